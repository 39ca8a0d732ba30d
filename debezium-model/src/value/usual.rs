//! Moments as nearly all are: in the years 0 to 9999, and in text `2024-05-06 07:08:09` with up to
//! six digits of a second, which is read at fixed places and eight bytes at a time. What is
//! different, or on a last day of February, is left to the parser and the general printer.

use super::temporal::{DAY_SECONDS, SECOND, civil_from_days, days_from_civil};

/// What eight bytes of text look like: `0` stands for any digit, all else for itself.
struct Shape {
    text: u64,
    /// What has to be added to a byte, less what it should be, for the highest bit of a byte that
    /// does not fit.
    room: u64,
}

const HIGHEST_BITS: u64 = 0x8080_8080_8080_8080;

impl Shape {
    #[allow(clippy::indexing_slicing, reason = "of constants only, so it is checked once")]
    const fn new(text: [u8; 8]) -> Self {
        let mut room = [0x7f; 8];
        let mut at = 0;
        while at < 8 {
            if text[at] == b'0' {
                room[at] -= 9;
            }
            at += 1;
        }
        Self { text: u64::from_le_bytes(text), room: u64::from_le_bytes(room) }
    }

    /// The numbers of two digits that begin at each of the bytes, where there are two digits.
    #[inline]
    const fn pairs(&self, text: [u8; 8]) -> Option<[u8; 8]> {
        let digits = u64::from_le_bytes(text) ^ self.text;
        // A byte that carries into the next one has its highest bit set.
        if (digits.wrapping_add(self.room) | digits) & HIGHEST_BITS != 0 {
            return None;
        }
        Some(digits.wrapping_mul(10).wrapping_add(digits >> 8).to_le_bytes())
    }
}

const YEAR_AND_MONTH: Shape = Shape::new(*b"0000-00-");
const MONTH_AND_DAY: Shape = Shape::new(*b"00-00-00");
const DAY_AND_HOUR: Shape = Shape::new(*b"00 00:00");
const TIME: Shape = Shape::new(*b"00:00:00");
const FRACTION: Shape = Shape::new(*b"0.000000");

/// How many days a month has in every year.
const DAYS: [u8; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A moment without a zone, or in UTC.
#[derive(Clone, Copy)]
pub(crate) struct Usual {
    century: u8,
    /// Of the century.
    year: u8,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

/// Length of a date, and of a date and a time without fraction.
const DATE: usize = 10;
const WHOLE: usize = 19;

impl Usual {
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (whole, fraction) = text.split_first_chunk::<WHOLE>()?;
        let (date, rest) = whole.split_first_chunk()?;
        let [century, _, year, _, _, month, ..] = YEAR_AND_MONTH.pairs(*date)?;
        let [day, _, _, hour, ..] = DAY_AND_HOUR.pairs(*rest.first_chunk()?)?;
        let [_, _, _, minute, _, _, second, _] = TIME.pairs(*whole.last_chunk()?)?;
        let micros = match fraction {
            [] => 0,
            [_, _, _, _, _, _, _] => {
                let [_, _, a, _, b, _, c, _] = FRACTION.pairs(*text.last_chunk()?)?;
                (u32::from(a) * 100 + u32::from(b)) * 100 + u32::from(c)
            }
            [b'.', digits @ ..] => short_fraction(digits)?,
            _ => return None,
        };
        let fits = is_day(month, day) && hour < 24 && minute < 60 && second < 60;
        fits.then_some(Self { century, year, month, day, hour, minute, second, micros })
    }

    /// From seconds since 1970 and the microseconds after them.
    #[inline]
    pub(crate) fn of(seconds: i64, micros: i64) -> Option<Self> {
        let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
        let year = u16::try_from(year).ok().filter(|year| *year < 10_000)?;
        let second = u32::try_from(seconds.rem_euclid(DAY_SECONDS)).ok()?;
        let byte = |number: u32| u8::try_from(number).ok();
        Some(Self {
            century: u8::try_from(year / 100).ok()?,
            year: u8::try_from(year % 100).ok()?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
            hour: byte(second / 3600)?,
            minute: byte(second / 60 % 60)?,
            second: byte(second % 60)?,
            micros: u32::try_from(micros).ok()?,
        })
    }

    /// Seconds since 1970, and the microseconds after them.
    #[inline]
    pub(crate) fn parts(self) -> (i64, i64) {
        let year = i64::from(self.century) * 100 + i64::from(self.year);
        let days = days_from_civil(year, self.month.into(), self.day.into());
        let minutes = i64::from(self.hour) * 60 + i64::from(self.minute);
        (days * DAY_SECONDS + minutes * 60 + i64::from(self.second), self.micros.into())
    }

    /// Microseconds since 1970.
    #[inline]
    pub(crate) fn micros(self) -> i64 {
        let (seconds, micros) = self.parts();
        seconds * SECOND + micros
    }

    /// As Java prints a moment in UTC, with six digits after the second.
    #[inline]
    pub(crate) fn iso(self) -> [u8; WHOLE + 8] {
        let two = |number: u8| pair(number.into());
        let ([y1, y2], [y3, y4]) = (two(self.century), two(self.year));
        let ([m1, m2], [d1, d2]) = (two(self.month), two(self.day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(self.hour), two(self.minute), two(self.second));
        let micros = u64::from(self.micros);
        let ([f1, f2], [f3, f4], [f5, f6]) =
            (pair(micros / 10_000), pair(micros / 100), pair(micros));
        [
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
            b'.', f1, f2, f3, f4, f5, f6, b'Z',
        ]
    }

    /// The same with so many digits, at most six.
    pub(crate) fn push_iso(self, digits: usize, out: &mut Vec<u8>) {
        let iso = self.iso();
        match digits {
            0 => out.extend_from_slice(iso.get(..WHOLE).unwrap_or(&iso)),
            _ => out.extend_from_slice(iso.get(..WHOLE + 1 + digits).unwrap_or(&iso)),
        }
        out.push(b'Z');
    }
}

/// Days since 1970 of a date such as `2024-05-06`.
#[inline]
pub(super) fn date(text: &[u8]) -> Option<i64> {
    let text: &[u8; DATE] = text.try_into().ok()?;
    let [century, _, year, ..] = YEAR_AND_MONTH.pairs(*text.first_chunk()?)?;
    let [_, _, _, month, _, _, day, _] = MONTH_AND_DAY.pairs(*text.last_chunk()?)?;
    let year = i64::from(century) * 100 + i64::from(year);
    is_day(month, day).then(|| days_from_civil(year, month.into(), day.into()))
}

#[inline]
fn is_day(month: u8, day: u8) -> bool {
    DAYS.get(usize::from(month)).is_some_and(|most| (1..=*most).contains(&day))
}

/// One to five digits of a second, in microseconds.
fn short_fraction(digits: &[u8]) -> Option<u32> {
    if !(1..=5).contains(&digits.len()) {
        return None;
    }
    let digits = digits.iter().map(|digit| u32::from(digit.wrapping_sub(b'0')));
    digits
        .chain(std::iter::repeat(0))
        .take(6)
        .try_fold(0, |value, digit| (digit < 10).then_some(value * 10 + digit))
}

/// The two digits of each number below 100.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        #[allow(clippy::indexing_slicing, reason = "a constant, so it is checked once")]
        {
            pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        }
        number += 1;
    }
    pairs
};

/// The last two digits of a number.
#[inline]
fn pair(number: u64) -> [u8; 2] {
    usize::try_from(number % 100).ok().and_then(|at| PAIRS.get(at)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Usual, date};

    #[test]
    fn moments_in_utc_are_copied() {
        let copy = |text: &str, digits| {
            let mut out = Vec::new();
            Usual::read(text.as_bytes())?.push_iso(digits, &mut out);
            String::from_utf8(out).ok()
        };
        for (text, digits, expected) in [
            ("2024-05-06 07:08:09.123456", 6, Some("2024-05-06T07:08:09.123456Z")),
            ("2024-05-06 07:08:09.1234", 6, Some("2024-05-06T07:08:09.123400Z")),
            ("2024-05-06 07:08:09.1234", 3, Some("2024-05-06T07:08:09.123Z")),
            ("2024-05-06 07:08:09.1", 3, Some("2024-05-06T07:08:09.100Z")),
            ("2024-05-06 07:08:09", 0, Some("2024-05-06T07:08:09Z")),
            ("2024-05-31 07:08:09", 0, Some("2024-05-31T07:08:09Z")),
            ("2024-06-31 07:08:09", 0, None),
            ("2024-02-29 07:08:09", 0, None),
            ("2024-00-01 07:08:09", 0, None),
            ("2024-13-01 07:08:09", 0, None),
            ("2024-05-00 07:08:09", 0, None),
            ("2024-05-06 24:00:00", 0, None),
            ("2024-05-06 07:60:00", 0, None),
            ("2024-05-06 07:08:60", 0, None),
            ("2024-05-06 07:08:09+02", 0, None),
            ("12024-05-06 07:08:09", 0, None),
            ("2024-05-06 07:08:09.", 6, None),
            ("2024-05-06 07:08:09.1234567", 6, None),
            ("2024-05-06 07:08:09.12:", 6, None),
            ("2024-05-06T07:08:09", 6, None),
            ("2024-05-06 07:08:0/", 6, None),
            ("2024-05-06 07:0\u{e9}:09", 6, None),
            ("", 6, None),
        ] {
            assert_eq!(copy(text, digits).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        let text = *b"2024-05-06 07:08:09.123456";
        assert_eq!(Usual::read(&text).unwrap().parts(), (1_714_979_289, 123_456));
        assert_eq!(date(&text[..10]), Some(19_849));
        for (at, old) in text.iter().enumerate() {
            for byte in 0..=u8::MAX {
                if byte == *old || (old.is_ascii_digit() && byte.is_ascii_digit()) {
                    continue;
                }
                let mut other = text;
                other[at] = byte;
                assert!(Usual::read(&other).is_none(), "{at} {byte}");
                assert!(Usual::read(&other[..25]).is_none() || at == 25, "{at} {byte}");
                assert!(date(&other[..10]).is_none() || at >= 10, "{at} {byte}");
            }
        }
    }

    #[test]
    fn numbers_and_back() {
        for seconds in (-62_167_219_200..253_402_300_800_i64).step_by(1_234_567_891) {
            let usual = Usual::of(seconds, 120).unwrap();
            assert_eq!(usual.parts(), (seconds, 120));
            assert_eq!(usual.micros(), seconds * 1_000_000 + 120);
            let mut text = usual.iso();
            text[10] = b' ';
            if let Some(read) = Usual::read(&text[..26]) {
                assert_eq!(read.iso(), usual.iso());
            } else {
                assert_eq!(&text[5..10], b"02-29");
            }
        }
        assert!(Usual::of(-62_167_219_201, 0).is_none());
        assert!(Usual::of(253_402_300_800, 0).is_none());
    }
}
