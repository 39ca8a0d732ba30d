//! Dates, times and intervals. Text is what `DateStyle` ISO, `IntervalStyle` postgres and
//! `TimeZone` UTC print (another zone only changes offsets, which are read); binary is whole
//! numbers counted from 2000-01-01.

use std::fmt::Write as _;

use super::print::{Fraction, push_date, push_fraction, push_moment, push_offset, push_time};
use super::usual::{self, Usual};
use super::{Raw, Scalar, fixed};
use crate::error::ErrorKind;
use crate::kind::{Days, TimeUnit};
use crate::mapping::IntervalMode;

/// Days from 1970-01-01 to 2000-01-01.
pub(super) const EPOCH_DAYS: i64 = 10_957;
pub(super) const DAY_SECONDS: i64 = 86_400;
pub(super) const DAY_MICROS: i64 = DAY_SECONDS * SECOND;
pub(super) const SECOND: i64 = 1_000_000;
/// What Debezium's stream gives for the days of infinity and of minus infinity.
const INFINITE_DAYS: (i64, i64) = (-2_147_472_692, -2_147_472_691);
/// The JDBC driver's stand-ins for infinite timestamps, in milliseconds since 1970.
const INFINITE_MILLIS: (i64, i64) = (9_223_372_036_825_200, -9_223_372_036_832_400);

/// The server's words, which Debezium gives for `timestamptz`.
const INFINITY: &str = "infinity";
const MINUS_INFINITY: &str = "-infinity";

/// A moment, whole seconds since 1970 apart from the microseconds after them: together they do
/// not fit 64 bits at the end of PostgreSQL's range.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    Finite { seconds: i64, micros: i64 },
    Infinity,
    MinusInfinity,
}

/// What is infinite is the least or the greatest number of all when `exact`.
pub(super) fn date<'a>(
    days: Days,
    raw: Raw<'_>,
    exact: bool,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let count = match read_date(raw)? {
        Date::Finite(count) => count,
        Date::Infinity if exact && days == Days::Iso => return Ok(Scalar::Text(INFINITY)),
        Date::MinusInfinity if exact && days == Days::Iso => {
            return Ok(Scalar::Text(MINUS_INFINITY));
        }
        Date::Infinity if exact => i32::MAX.into(),
        Date::MinusInfinity if exact => i32::MIN.into(),
        Date::Infinity => INFINITE_DAYS.0,
        Date::MinusInfinity => INFINITE_DAYS.1,
    };
    let cut = i32::try_from(count).map_err(|_| ErrorKind::OutOfRange)?;
    Ok(finish(days, count, cut, out))
}

/// A date, in days since 1970.
pub(super) enum Date {
    Finite(i64),
    Infinity,
    MinusInfinity,
}

pub(super) fn read_date(raw: Raw<'_>) -> Result<Date, ErrorKind> {
    Ok(match raw {
        Raw::Text(b"infinity") => Date::Infinity,
        Raw::Text(b"-infinity") => Date::MinusInfinity,
        Raw::Text(text) => {
            if let Some(days) = usual::date(text) {
                return Ok(Date::Finite(days));
            }
            let mut parser = Parser(text);
            let (year, month, day) = parser.ymd()?;
            let year = parser.era(year)?;
            Date::Finite(days_from_civil(year, month, day))
        }
        Raw::Binary(bytes) => match i32::from_be_bytes(fixed(bytes)?) {
            i32::MAX => Date::Infinity,
            i32::MIN => Date::MinusInfinity,
            count => Date::Finite(i64::from(count) + EPOCH_DAYS),
        },
    })
}

/// The days in the form asked for; text has room for all of them.
pub(super) fn finish(days: Days, count: i64, cut: i32, out: &mut String) -> Scalar<'_> {
    if days == Days::Iso {
        out.clear();
        push_date(count, out);
        out.push('Z');
        return Scalar::Text(out);
    }
    Scalar::Int(cut)
}

/// 24:00 is one time of day and 00:00 another when `exact`.
pub(super) fn time<'a>(
    unit: TimeUnit,
    raw: Raw<'_>,
    exact: bool,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let micros = read_time(raw)?;
    Ok(match unit {
        TimeUnit::Millis | TimeUnit::Connect => {
            Scalar::Int(i32::try_from(micros / 1000).map_err(|_| ErrorKind::OutOfRange)?)
        }
        TimeUnit::Micros => Scalar::Long(micros),
        TimeUnit::Nanos => Scalar::Long(micros * 1000),
        TimeUnit::Iso => {
            out.clear();
            let micros = if exact { micros } else { micros % DAY_MICROS };
            push_time(micros, Fraction::Trimmed, out);
            out.push('Z');
            Scalar::Text(out)
        }
    })
}

/// Microseconds since midnight; 24:00 is the last.
pub(super) fn read_time(raw: Raw<'_>) -> Result<i64, ErrorKind> {
    match raw {
        Raw::Text(text) => {
            let mut parser = Parser(text);
            let micros = parser.time_of_day()?;
            parser.end()?;
            Ok(micros)
        }
        Raw::Binary(bytes) => day_micros(i64::from_be_bytes(fixed(bytes)?)),
    }
}

/// 24:00 keeps its zone when
/// `exact`, because in another it would be a time of another day.
pub(super) fn time_tz<'a>(
    raw: Raw<'_>,
    exact: bool,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let (micros, west) = read_time_tz(raw)?;
    out.clear();
    if exact && micros == DAY_MICROS {
        push_time(micros, Fraction::Trimmed, out);
        push_offset(-west, out);
        return Ok(Scalar::Text(out));
    }
    push_time((micros + west * SECOND).rem_euclid(DAY_MICROS), Fraction::Trimmed, out);
    out.push('Z');
    Ok(Scalar::Text(out))
}

/// Microseconds since midnight, and the zone in seconds *west* of Greenwich, as in the binary form.
pub(super) fn read_time_tz(raw: Raw<'_>) -> Result<(i64, i64), ErrorKind> {
    match raw {
        Raw::Text(text) => {
            let mut parser = Parser(text);
            let micros = parser.time_of_day()?;
            let east = parser.offset()?;
            parser.end()?;
            Ok((micros, -east))
        }
        Raw::Binary(bytes) => {
            let (micros, west) =
                bytes.split_first_chunk::<8>().ok_or(ErrorKind::MalformedBinary)?;
            let west = i64::from(i32::from_be_bytes(fixed(west)?));
            Ok((day_micros(i64::from_be_bytes(*micros))?, west))
        }
    }
}

/// What is infinite is the least or the greatest number of all when `exact`, and what a number has
/// no room for is an error.
pub(super) fn timestamp<'a>(
    unit: TimeUnit,
    raw: Raw<'_>,
    exact: bool,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let moment = moment(raw, Zone::None)?;
    Ok(match unit {
        TimeUnit::Iso if exact && matches!(moment, Moment::Infinity) => Scalar::Text(INFINITY),
        TimeUnit::Iso if exact && matches!(moment, Moment::MinusInfinity) => {
            Scalar::Text(MINUS_INFINITY)
        }
        TimeUnit::Millis | TimeUnit::Connect | TimeUnit::Micros
            if exact && matches!(moment, Moment::Infinity) =>
        {
            Scalar::Long(i64::MAX)
        }
        TimeUnit::Millis | TimeUnit::Connect | TimeUnit::Micros
            if exact && matches!(moment, Moment::MinusInfinity) =>
        {
            Scalar::Long(i64::MIN)
        }
        TimeUnit::Millis | TimeUnit::Connect => Scalar::Long(match moment {
            Moment::Finite { seconds, micros } => seconds * 1000 + micros / 1000,
            Moment::Infinity => INFINITE_MILLIS.0,
            Moment::MinusInfinity => INFINITE_MILLIS.1,
        }),
        TimeUnit::Micros => Scalar::Long(match moment {
            Moment::Finite { seconds, micros } if exact => seconds
                .checked_mul(SECOND)
                .and_then(|whole| whole.checked_add(micros))
                .ok_or(ErrorKind::OutOfRange)?,
            // Java's conversion of the seconds saturates and the sum then wraps; it matters only
            // after the year 294247.
            Moment::Finite { seconds, micros } => {
                seconds.saturating_mul(SECOND).wrapping_add(micros)
            }
            Moment::Infinity => INFINITE_MILLIS.0 * 1000,
            Moment::MinusInfinity => INFINITE_MILLIS.1 * 1000,
        }),
        TimeUnit::Nanos => match moment {
            Moment::Finite { seconds, micros } => {
                let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(micros) * 1000;
                i64::try_from(nanos).map_or(Scalar::Null, Scalar::Long)
            }
            Moment::Infinity => Scalar::Long(i64::MAX),
            Moment::MinusInfinity => Scalar::Long(i64::MIN),
        },
        TimeUnit::Iso => {
            let (seconds, micros) = match moment {
                Moment::Finite { seconds, micros } => (seconds, micros),
                Moment::Infinity => split_millis(INFINITE_MILLIS.0),
                Moment::MinusInfinity => split_millis(INFINITE_MILLIS.1),
            };
            out.clear();
            push_moment(seconds, micros, Fraction::Trimmed, out);
            Scalar::Text(out)
        }
    })
}

pub(super) fn timestamp_tz<'a>(
    digits: usize,
    raw: Raw<'_>,
    copy: &'a mut Vec<u8>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    if let Some(usual) = usual_utc(raw) {
        copy.clear();
        usual.push_iso(digits, copy);
        return Ok(Scalar::Utf8(copy));
    }
    Ok(Scalar::Text(match moment(raw, Zone::Offset)? {
        Moment::Infinity => INFINITY,
        Moment::MinusInfinity => MINUS_INFINITY,
        Moment::Finite { seconds, micros } => {
            out.clear();
            push_moment(seconds, micros, Fraction::Digits(digits), out);
            out
        }
    }))
}

/// A `timestamptz` whose text is in UTC, unless there is something about it.
#[inline]
pub(crate) fn usual_utc(raw: Raw<'_>) -> Option<Usual> {
    match raw {
        Raw::Text([text @ .., b'+', b'0', b'0']) => Usual::read(text),
        Raw::Text(_) => None,
        Raw::Binary(_) => match moment(raw, Zone::Offset).ok()? {
            Moment::Finite { seconds, micros } => Usual::of(seconds, micros),
            Moment::Infinity | Moment::MinusInfinity => None,
        },
    }
}

/// Microseconds since 1970 of a `timestamp`, unless there is something about it.
#[inline]
pub(crate) fn usual_micros(raw: Raw<'_>) -> Option<i64> {
    match raw {
        Raw::Text(text) => Usual::read(text).map(Usual::micros),
        Raw::Binary(bytes) => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            // The sum of the greatest number, which is infinity, does not fit.
            micros.checked_add(EPOCH_DAYS * DAY_MICROS).filter(|_| micros != i64::MIN)
        }
    }
}

/// Binary is microseconds, days and months.
pub(super) fn interval<'a>(
    mode: IntervalMode,
    raw: Raw<'_>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let (months, days, micros) = match raw {
        Raw::Text(text) => Parser(text).interval()?,
        Raw::Binary(bytes) => {
            let (micros, rest) =
                bytes.split_first_chunk::<8>().ok_or(ErrorKind::MalformedBinary)?;
            let (days, months) = rest.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
            (
                i64::from(i32::from_be_bytes(fixed(months)?)),
                i64::from(i32::from_be_bytes(*days)),
                i64::from_be_bytes(*micros),
            )
        }
    };
    if mode == IntervalMode::Numeric {
        // An average month: 365.25 days / 12, to the microsecond.
        let month = 2_629_800 * i128::from(SECOND);
        let total = i128::from(months) * month
            + i128::from(days) * i128::from(DAY_MICROS)
            + i128::from(micros);
        return i64::try_from(total).map(Scalar::Long).map_err(|_| ErrorKind::OutOfRange);
    }
    out.clear();
    let (seconds, fraction) = (micros / SECOND, micros % SECOND);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let sign = if micros < 0 && seconds == 0 && fraction != 0 { "-" } else { "" };
    print(
        out,
        format_args!("P{}Y{}M{days}DT{hours}H{minutes}M{sign}{seconds}", months / 12, months % 12),
    );
    push_fraction(fraction.abs(), Fraction::Trimmed, out);
    out.push('S');
    Ok(Scalar::Text(out))
}

/// A time of day of the binary form; 24:00:00 is one.
fn day_micros(micros: i64) -> Result<i64, ErrorKind> {
    if (0..=DAY_MICROS).contains(&micros) { Ok(micros) } else { Err(ErrorKind::MalformedBinary) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    None,
    Offset,
}

pub(super) fn moment(raw: Raw<'_>, zone: Zone) -> Result<Moment, ErrorKind> {
    match raw {
        Raw::Text(text) => {
            if zone == Zone::None
                && let Some(usual) = Usual::read(text)
            {
                let (seconds, micros) = usual.parts();
                return Ok(Moment::Finite { seconds, micros });
            }
            match text {
                b"infinity" => return Ok(Moment::Infinity),
                b"-infinity" => return Ok(Moment::MinusInfinity),
                _ => {}
            }
            let mut parser = Parser(text);
            let (year, month, day) = parser.ymd()?;
            parser.expect(b' ')?;
            let micros = parser.time_of_day()?;
            let east = if zone == Zone::Offset { parser.offset()? } else { 0 };
            let year = parser.era(year)?;
            let seconds = days_from_civil(year, month, day) * DAY_SECONDS + micros / SECOND - east;
            Ok(Moment::Finite { seconds, micros: micros % SECOND })
        }
        Raw::Binary(bytes) => Ok(match i64::from_be_bytes(fixed(bytes)?) {
            i64::MAX => Moment::Infinity,
            i64::MIN => Moment::MinusInfinity,
            micros => Moment::Finite {
                seconds: micros.div_euclid(SECOND) + EPOCH_DAYS * DAY_SECONDS,
                micros: micros.rem_euclid(SECOND),
            },
        }),
    }
}

fn split_millis(millis: i64) -> (i64, i64) {
    (millis.div_euclid(1000), millis.rem_euclid(1000) * 1000)
}

/// Reads from the front; every failure is the same error.
struct Parser<'a>(&'a [u8]);

/// More digits than any part of a date or an interval has.
const MAX_DIGITS: usize = 12;

impl Parser<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ErrorKind> {
        if self.take(byte) { Ok(()) } else { Err(ErrorKind::MalformedText) }
    }

    fn end(&self) -> Result<(), ErrorKind> {
        if self.0.is_empty() { Ok(()) } else { Err(ErrorKind::MalformedText) }
    }

    /// The number and how many digits it had.
    fn digits(&mut self) -> Result<(i64, usize), ErrorKind> {
        let mut value = 0;
        let mut count = 0;
        while let Some((digit @ b'0'..=b'9', rest)) = self.0.split_first() {
            if count == MAX_DIGITS {
                return Err(ErrorKind::MalformedText);
            }
            value = value * 10 + i64::from(digit - b'0');
            count += 1;
            self.0 = rest;
        }
        if count == 0 { Err(ErrorKind::MalformedText) } else { Ok((value, count)) }
    }

    /// A number in a range, of two digits.
    fn two(&mut self, max: i64) -> Result<i64, ErrorKind> {
        match self.digits()? {
            (value, 2) if value <= max => Ok(value),
            _ => Err(ErrorKind::MalformedText),
        }
    }

    fn ymd(&mut self) -> Result<(i64, i64, i64), ErrorKind> {
        let (year, _) = self.digits()?;
        self.expect(b'-')?;
        let month = self.two(12)?;
        self.expect(b'-')?;
        let day = self.two(31)?;
        // The server's range ends in the year 5874897.
        if month == 0 || day == 0 || year > 10_000_000 {
            return Err(ErrorKind::MalformedText);
        }
        Ok((year, month, day))
    }

    /// The end of a date: nothing, or ` BC`, where the year 1 BC is astronomically 0.
    fn era(&mut self, year: i64) -> Result<i64, ErrorKind> {
        match self.0 {
            b"" => Ok(year),
            b" BC" => Ok(1 - year),
            _ => Err(ErrorKind::MalformedText),
        }
    }

    /// `HH:MM:SS[.ffffff]` in microseconds.
    fn time_of_day(&mut self) -> Result<i64, ErrorKind> {
        let hours = self.two(24)?;
        self.expect(b':')?;
        let minutes = self.two(59)?;
        self.expect(b':')?;
        let seconds = self.two(60)?;
        let micros = self.fraction()?;
        let total = ((hours * 60 + minutes) * 60 + seconds) * SECOND + micros;
        if total > DAY_MICROS { Err(ErrorKind::MalformedText) } else { Ok(total) }
    }

    fn fraction(&mut self) -> Result<i64, ErrorKind> {
        if !self.take(b'.') {
            return Ok(0);
        }
        match self.digits()? {
            (value, count @ 1..=6) => Ok((count..6).fold(value, |value, _| value * 10)),
            _ => Err(ErrorKind::MalformedText),
        }
    }

    /// `±HH[:MM[:SS]]` in seconds east of Greenwich.
    fn offset(&mut self) -> Result<i64, ErrorKind> {
        let negative = self.take(b'-');
        if !negative {
            self.expect(b'+')?;
        }
        let mut seconds = self.two(24)? * 3600;
        if self.take(b':') {
            seconds += self.two(59)? * 60;
            if self.take(b':') {
                seconds += self.two(59)?;
            }
        }
        Ok(if negative { -seconds } else { seconds })
    }

    /// `1 year 2 mons -3 days +04:05:06.789012`, any part missing.
    fn interval(&mut self) -> Result<(i64, i64, i64), ErrorKind> {
        let (mut months, mut days, mut micros) = (0, 0, 0);
        loop {
            let negative = self.take(b'-');
            if !negative {
                self.take(b'+');
            }
            let (number, _) = self.digits()?;
            let signed = if negative { -number } else { number };
            if self.take(b':') {
                let minutes = self.two(59)?;
                self.expect(b':')?;
                let seconds = self.two(59)?;
                let fraction = self.fraction()?;
                self.end()?;
                micros = i128::from((number * 60 + minutes) * 60 + seconds) * i128::from(SECOND)
                    + i128::from(fraction);
                if negative {
                    micros = -micros;
                }
            } else {
                self.expect(b' ')?;
                let length = self.0.iter().position(|byte| *byte == b' ').unwrap_or(self.0.len());
                let (unit, rest) = self.0.split_at_checked(length).unwrap_or((self.0, b""));
                self.0 = rest;
                match unit {
                    b"year" | b"years" => months += signed * 12,
                    b"mon" | b"mons" => months += signed,
                    b"day" | b"days" => days += signed,
                    _ => return Err(ErrorKind::MalformedText),
                }
            }
            if !self.take(b' ') {
                self.end()?;
                let micros = i64::try_from(micros).map_err(|_| ErrorKind::OutOfRange)?;
                return Ok((months, days, micros));
            }
        }
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day comes last, in eras of 400 years.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Writing to a string cannot fail.
fn print(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::{civil_from_days, days_from_civil};

    #[test]
    fn calendar_both_ways() {
        for days in (-800_000..800_000).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 1, 1), super::EPOCH_DAYS);
        assert_eq!(days_from_civil(-43, 3, 15), -735_160);
    }
}
