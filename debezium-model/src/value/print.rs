//! Dates and times as Java prints them.

use super::temporal::{DAY_SECONDS, SECOND, civil_from_days};

#[derive(Clone, Copy)]
pub(super) enum Fraction {
    /// Without zeros at the end, and without a point when nothing is left.
    Trimmed,
    /// This many digits, up to six.
    Digits(usize),
}

/// `2024-03-01T07:59:59.900Z`.
pub(super) fn push_moment(seconds: i64, micros: i64, fraction: Fraction, out: &mut String) {
    push_date(seconds.div_euclid(DAY_SECONDS), out);
    out.push('T');
    push_time(seconds.rem_euclid(DAY_SECONDS) * SECOND + micros, fraction, out);
    out.push('Z');
}

/// As Java prints it: at least four digits of year, a plus from year 10000 on, a minus before
/// year 0.
pub(super) fn push_date(days: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    if year > 9999 {
        out.push('+');
    } else if year < 0 {
        out.push('-');
    }
    push_padded(year.abs(), 4, out);
    out.push('-');
    push_padded(month, 2, out);
    out.push('-');
    push_padded(day, 2, out);
}

pub(super) fn push_time(micros: i64, fraction: Fraction, out: &mut String) {
    let seconds = micros / SECOND;
    push_padded(seconds / 3600, 2, out);
    out.push(':');
    push_padded(seconds / 60 % 60, 2, out);
    out.push(':');
    push_padded(seconds % 60, 2, out);
    push_fraction(micros % SECOND, fraction, out);
}

/// `Z`, or hours and what else is not zero.
pub(super) fn push_offset(east: i64, out: &mut String) {
    if east == 0 {
        return out.push('Z');
    }
    out.push(if east < 0 { '-' } else { '+' });
    let seconds = east.abs();
    push_padded(seconds / 3600, 2, out);
    out.push(':');
    push_padded(seconds / 60 % 60, 2, out);
    if seconds % 60 != 0 {
        out.push(':');
        push_padded(seconds % 60, 2, out);
    }
}

pub(super) fn push_fraction(micros: i64, fraction: Fraction, out: &mut String) {
    let mut digits = 6;
    let mut value = micros;
    match fraction {
        Fraction::Trimmed => {
            while digits > 0 && value % 10 == 0 {
                value /= 10;
                digits -= 1;
            }
        }
        Fraction::Digits(count) => {
            while digits > count {
                value /= 10;
                digits -= 1;
            }
        }
    }
    if digits > 0 {
        out.push('.');
        push_padded(value, digits, out);
    }
}

/// A non-negative number with zeros in front; by hand, because formatting is most of the cost of
/// a timestamp otherwise.
fn push_padded(value: i64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start -= 1;
        if rest == 0 && digits_of(start) >= width {
            break;
        }
    }
    out.push_str(digits.get(start..).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or(""));
}

/// How many of twenty digits come from a place on.
const fn digits_of(start: usize) -> usize {
    20 - start
}

#[cfg(test)]
mod tests {
    use super::push_date;

    #[test]
    fn years_as_java_prints_them() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-735_160, "-0043-03-15"),
            (-719_528, "0000-01-01"),
            (-2_147_472_692, "-5877611-06-21"),
        ] {
            let mut out = String::new();
            push_date(days, &mut out);
            assert_eq!(out, expected);
        }
    }
}
