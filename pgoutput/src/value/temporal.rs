use core::fmt;

use crate::{PgTime, time::civil};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A value, or one of the two that lie beyond all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are two infinities")]
pub enum Extended<T> {
    /// `-infinity`
    NegativeInfinity,
    /// An ordinary value.
    Finite(T),
    /// `infinity`
    Infinity,
}

impl<T> Extended<T> {
    /// The ordinary value, if it is one.
    #[must_use]
    pub fn finite(self) -> Option<T> {
        match self {
            Self::Finite(value) => Some(value),
            Self::NegativeInfinity | Self::Infinity => None,
        }
    }

    pub(super) fn parse(text: &str, finite: impl FnOnce(&str) -> Option<T>) -> Option<Self> {
        match text {
            "infinity" => Some(Self::Infinity),
            "-infinity" => Some(Self::NegativeInfinity),
            text => finite(text).map(Self::Finite),
        }
    }
}

/// A day: its count since 2000-01-01, in the Gregorian calendar reckoned backwards.
///
/// Text form (`Display`) `2026-11-22`, years outside 0 to 9999 with a sign; year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// A day from its count.
    #[must_use]
    pub const fn new(days: i32) -> Self {
        Self(days)
    }

    /// Days since 2000-01-01.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// Year (0 for 1 BC), month and day.
    #[must_use]
    pub fn civil(self) -> (i32, u8, u8) {
        let (year, month, day) = civil(i64::from(self.0));
        // No day that fits 32 bits has a year that does not.
        let small = |number| u8::try_from(number).unwrap_or(0);
        (i32::try_from(year).unwrap_or(i32::MAX), small(month), small(day))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}-{month:02}-{day:02}")
        } else {
            write!(f, "{year:+}-{month:02}-{day:02}")
        }
    }
}

/// A time of day with an offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TimeTz {
    /// Microseconds since midnight there.
    pub micros: i64,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// A span of time in the three units that cannot be converted into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl Extended<Date> {
    pub(super) const fn from_days(days: i32) -> Self {
        match days {
            i32::MIN => Self::NegativeInfinity,
            i32::MAX => Self::Infinity,
            days => Self::Finite(Date(days)),
        }
    }
}

impl Extended<PgTime> {
    pub(super) const fn from_micros(micros: i64) -> Self {
        match micros {
            i64::MIN => Self::NegativeInfinity,
            i64::MAX => Self::Infinity,
            micros => Self::Finite(PgTime::new(micros)),
        }
    }
}

impl Extended<Interval> {
    /// Infinite ones exist since PostgreSQL 17.
    pub(super) const fn from_parts(months: i32, days: i32, micros: i64) -> Self {
        match (months, days, micros) {
            (i32::MIN, i32::MIN, i64::MIN) => Self::NegativeInfinity,
            (i32::MAX, i32::MAX, i64::MAX) => Self::Infinity,
            _ => Self::Finite(Interval { months, days, micros }),
        }
    }
}

/// `2026-11-22`, `0044-03-15 BC`.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    let (text, bc) = split_era(text);
    i32::try_from(parse_days(text, bc)?).ok().map(Date)
}

/// `2026-11-22 08:01:23.5`, with ` BC` behind it for years before 1.
pub(super) fn parse_timestamp(text: &str) -> Option<PgTime> {
    let (text, bc) = split_era(text);
    let (date, time) = text.split_once(' ')?;
    moment(parse_days(date, bc)?, parse_time(time)?)
}

/// The same with `+01`, `-03:30` or `+00:19:32` behind the time.
pub(super) fn parse_timestamp_tz(text: &str) -> Option<PgTime> {
    let (text, bc) = split_era(text);
    let (date, time) = text.split_once(' ')?;
    let (time, offset) = split_offset(time)?;
    moment(parse_days(date, bc)?, parse_time(time)? - i64::from(offset) * SECOND)
}

pub(super) fn parse_time_tz(text: &str) -> Option<TimeTz> {
    let (time, offset) = split_offset(text)?;
    Some(TimeTz { micros: parse_time(time)?, offset })
}

/// `08:01:23.525421`, at most 24 hours.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    parse_clock(text).and_then(|micros| i64::try_from(micros).ok()).filter(|time| *time <= DAY)
}

fn moment(days: i64, micros: i64) -> Option<PgTime> {
    let moment = i128::from(days) * i128::from(DAY) + i128::from(micros);
    i64::try_from(moment).ok().map(PgTime::new)
}

fn split_era(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |text| (text, true))
}

/// Days since 2000-01-01.
fn parse_days(text: &str, bc: bool) -> Option<i64> {
    let mut parts = text.split('-');
    let mut number = |least: usize| {
        let part = parts.next()?;
        let fits = (least..=7).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if fits { part.parse::<i64>().ok() } else { None }
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let year = if bc { 1 - year } else { year };
    let days = days_from_civil(year, month, day);
    (civil(days) == (year, month, day)).then_some(days)
}

/// The inverse of [`civil`]; wrong for a day that does not exist.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day ends one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 730_425
}

/// Hours of any size, minutes and seconds; at most six decimals.
fn parse_clock(text: &str) -> Option<i128> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let hours = hours.parse::<u64>().ok().filter(|_| is_digits(hours))?;
    let sixty = |text: &str| {
        let number = text.parse::<u8>().ok()?;
        (is_digits(text) && text.len() == 2 && number <= 60).then_some(i128::from(number))
    };
    if !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let places = u32::try_from(fraction.len()).ok()?;
    let fraction = fraction.parse::<i128>().ok()? * 10_i128.pow(6 - places);
    let seconds = (i128::from(hours) * 60 + sixty(minutes)?) * 60 + sixty(seconds)?;
    Some(seconds * i128::from(SECOND) + fraction)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The time before an offset, and the offset in seconds east.
fn split_offset(text: &str) -> Option<(&str, i32)> {
    let at = text.rfind(['+', '-'])?;
    let (time, offset) = text.split_at(at);
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, offset.strip_prefix('+')?),
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        if !is_digits(part) || part.len() != 2 || unit == 0 {
            return None;
        }
        seconds += part.parse::<i32>().ok()? * unit;
        unit /= 60;
    }
    Some((time, sign * seconds))
}

/// `1 year 2 mons -3 days +04:05:06.789`: parts that are zero are left out.
pub(super) fn parse_interval(text: &str) -> Option<Interval> {
    let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i128);
    let mut words = text.split(' ');
    let mut any = false;
    while let Some(word) = words.next() {
        any = true;
        if word.contains(':') {
            let (sign, clock) = match word.strip_prefix('-') {
                Some(clock) => (-1, clock),
                None => (1, word.strip_prefix('+').unwrap_or(word)),
            };
            micros = sign * parse_clock(clock)?;
            if words.next().is_some() {
                return None;
            }
            break;
        }
        let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
        let number = word.parse::<i64>().ok().filter(|_| is_digits(digits))?;
        match words.next()? {
            "year" | "years" => months = months.checked_add(number.checked_mul(12)?)?,
            "mon" | "mons" => months = months.checked_add(number)?,
            "day" | "days" => days = number,
            _ => return None,
        }
    }
    any.then_some(())?;
    Some(Interval {
        months: i32::try_from(months).ok()?,
        days: i32::try_from(days).ok()?,
        micros: i64::try_from(micros).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn days_there_and_back() {
        for days in (-2_500_000..2_500_000).step_by(37).chain([i32::MIN + 1, i32::MAX - 1]) {
            let (year, month, day) = Date(days).civil();
            let (month, day) = (i64::from(month), i64::from(day));
            assert_eq!(days_from_civil(i64::from(year), month, day), i64::from(days));
        }
        assert_eq!(parse_date("2000-01-01"), Some(Date(0)));
        assert_eq!(parse_date("0001-12-31 BC").unwrap().to_string(), "0000-12-31");
        assert_eq!(parse_date("4714-11-24 BC").unwrap().to_string(), "-4713-11-24");
        for bad in ["", "2001-02-29", "2000-13-01", "0000-01-01", "20-01-01", "2000-01-01-", "x"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("24:00:00"), Some(DAY));
        assert_eq!(parse_time("00:00:00.000001"), Some(1));
        assert_eq!(parse_time("01:02:03.5"), Some(3_723_500_000));
        for bad in ["24:00:00.1", "1:2:3", "-1:00:00", "00:00", "00:00:00.1234567", "00:61:00"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
        let tz = parse_time_tz("12:00:00-03:30").unwrap();
        assert_eq!((tz.micros, tz.offset), (DAY / 2, -12_600));
        assert_eq!(parse_time_tz("12:00:00+00:19:32").unwrap().offset, 1172);
        assert_eq!(parse_time_tz("12:00:00"), None);
        assert_eq!(parse_timestamp_tz("2000-01-01 01:00:00+01"), Some(PgTime::new(0)));
        assert_eq!(parse_timestamp("1999-12-31 23:59:59.999999"), Some(PgTime::new(-1)));
    }

    #[test]
    fn intervals() {
        let parts = |text| parse_interval(text).map(|i| (i.months, i.days, i.micros));
        assert_eq!(parts("1 year 2 mons -3 days +04:05:06.7"), Some((14, -3, 14_706_700_000)));
        assert_eq!(parts("00:00:00"), Some((0, 0, 0)));
        assert_eq!(parts("-1 years -1 mons"), Some((-13, 0, 0)));
        assert_eq!(parts("-2562047788:00:54.775808"), Some((0, 0, i64::MIN)));
        for bad in ["", "1", "1 year 00:00", "1 hour", "00:00:00 1 day", "P1Y", "+-1 day"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
