use core::fmt;

/// A moment as PostgreSQL counts it: microseconds since 2000-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PgTime(i64);

/// 2000-01-01 in microseconds since 1970-01-01.
const EPOCH: i64 = 946_684_800_000_000;
const MICROS_PER_DAY: i64 = 86_400_000_000;

impl PgTime {
    /// A moment from microseconds since 2000-01-01 UTC.
    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 2000-01-01 UTC.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Microseconds since 1970-01-01 UTC; the last 30 years that fit an `i64` give `i64::MAX`.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0.saturating_add(EPOCH)
    }

    /// A moment from microseconds since 1970-01-01 UTC; the first 30 years that fit an `i64` give
    /// the smallest moment.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros.saturating_sub(EPOCH))
    }
}

#[cfg(feature = "std")]
impl From<std::time::SystemTime> for PgTime {
    /// Cut to whole microseconds; what does not fit becomes the nearest moment that does.
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => {
                Self::from_unix_micros(i64::try_from(after.as_micros()).unwrap_or(i64::MAX))
            }
            Err(before) => {
                let before = i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX);
                Self::from_unix_micros(-before)
            }
        }
    }
}

/// ISO 8601 in UTC, `2026-11-22T09:30:00.000001Z`, years outside 0 to 9999 with a sign.
impl fmt::Display for PgTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(MICROS_PER_DAY));
        let micros = self.0.rem_euclid(MICROS_PER_DAY);
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+}")?;
        }
        let seconds = micros / 1_000_000;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let fraction = micros % 1_000_000;
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}

/// Proleptic Gregorian year, month and day from days since 2000-01-01.
pub(crate) const fn civil(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day ends a year and each 400 years repeat.
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let (month, carry) = if shifted < 10 { (shifted + 3, 0) } else { (shifted - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_form() {
        for (micros, text) in [
            (0, "2000-01-01T00:00:00.000000Z"),
            (-1, "1999-12-31T23:59:59.999999Z"),
            (-EPOCH, "1970-01-01T00:00:00.000000Z"),
            (5_097_600_000_000 - MICROS_PER_DAY, "2000-02-28T00:00:00.000000Z"),
            (5_097_600_000_000, "2000-02-29T00:00:00.000000Z"),
            (848_649_683_525_421, "2026-11-22T08:01:23.525421Z"),
            (i64::MAX, "+294277-01-09T04:00:54.775807Z"),
            (i64::MIN, "-290278-12-22T19:59:05.224192Z"),
        ] {
            assert_eq!(PgTime::new(micros).to_string(), text);
        }
    }

    #[test]
    fn unix() {
        assert_eq!(PgTime::new(0).unix_micros(), EPOCH);
        assert_eq!(PgTime::new(i64::MAX).unix_micros(), i64::MAX);
        assert_eq!(PgTime::from_unix_micros(0).get(), -EPOCH);
        assert_eq!(PgTime::from_unix_micros(i64::MIN).get(), i64::MIN);
        #[cfg(feature = "std")]
        {
            use std::time::{Duration, UNIX_EPOCH};
            assert_eq!(PgTime::from(UNIX_EPOCH + Duration::from_nanos(1999)).unix_micros(), 1);
            assert_eq!(PgTime::from(UNIX_EPOCH - Duration::from_micros(7)).unix_micros(), -7);
        }
    }
}
