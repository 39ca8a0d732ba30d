//! Days of the calendar.

use core::fmt;
use core::str::FromStr;

use super::text::Text;
use crate::{Error, ErrorKind};

/// A day of the proleptic Gregorian calendar, held as days since 1970-01-01.
///
/// ```
/// use avro_wire::logical::Date;
///
/// let date = Date::from_days(19_782);
/// assert_eq!(date.to_string(), "2024-02-29");
/// assert_eq!(Date::from_ymd(2024, 2, 29), Some(date));
/// assert_eq!("2024-02-30".parse::<Date>().ok(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// So many days after 1970-01-01, which is what `date` holds in an `int`.
    #[must_use]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn to_days(self) -> i32 {
        self.0
    }

    /// The day of a year (0 is 1 BC), a month from 1 and a day from 1; `None` when there is none,
    /// or none that an `int` can hold.
    #[must_use]
    pub fn from_ymd(year: i32, month: u8, day: u8) -> Option<Self> {
        let days = days_from_civil(year.into(), month, day)?;
        i32::try_from(days).ok().map(Self)
    }

    /// Year (0 is 1 BC), month from 1, day from 1.
    #[must_use]
    pub fn ymd(self) -> (i32, u8, u8) {
        let (year, month, day) = civil_from_days(self.0.into());
        // The days of 32 bits are less than six million years.
        (i32::try_from(year).unwrap_or(i32::MAX), month, day)
    }
}

/// `2024-02-29`. Years before 0 and after 9999 have a sign: `-0001-12-31`, `+10000-01-01`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0.into())
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut text = Text::new(text);
        let days = text.date()?;
        text.finish()?;
        i32::try_from(days).map(Self).map_err(|_| Error::new(ErrorKind::NumberRange))
    }
}

pub(super) fn write_date(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        write!(f, "{year:04}-{month:02}-{day:02}")
    } else {
        write!(f, "{year:+05}-{month:02}-{day:02}")
    }
}

/// Days of 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;

/// From the 1st of March of the year 0, with which years of this count start, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Counts years from March, so that the leap day is their last; `day_of_year` is then a linear
/// function of the month. Right for every `days` that a timestamp of 64 bits has.
pub(super) fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days.saturating_add(EPOCH);
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    // Both are small and positive by their formulas.
    (year, u8::try_from(month).unwrap_or(0), u8::try_from(day_of_month).unwrap_or(0))
}

pub(super) fn days_from_civil(year: i64, month: u8, day: u8) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let length = match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (month, day) = (i64::from(month), i64::from(day));
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * ERA + year * 365 + year / 4 - year / 100 + day_of_year - EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_two_eras_follows_the_one_before() {
        let mut before = (-401, 12, 31);
        let start = days_from_civil(-400, 1, 1).unwrap();
        for days in start..start + 2 * ERA {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
            let next = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if days_from_civil(year, month, day + 1).is_some() => {
                    (year, month, day + 1)
                }
                (year, month, _) => (year, month + 1, 1),
            };
            assert_eq!((year, month, day), next);
            before = next;
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(-719_468), (0, 3, 1));
    }
}
