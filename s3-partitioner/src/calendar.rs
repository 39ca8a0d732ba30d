//! The proleptic Gregorian calendar over the whole range of 64-bit milliseconds, which is wider
//! than what date libraries offer: a microsecond field read as milliseconds lands in year 55840.

pub(crate) const DAY_MS: i64 = 86_400_000;
/// Milliseconds in 400 Gregorian years: weekdays and leap years repeat after them.
pub(crate) const CYCLE_MS: i64 = 146_097 * DAY_MS;

/// The year 10000.
const NEAR_MS: u64 = 253_402_300_800_000;

/// A date and time of day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Astronomical year: 0 is 1 BC.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// Days since 1970-01-01.
    pub(crate) epoch_day: i64,
    /// 0 to 86,399,999.
    pub(crate) milli_of_day: i64,
}

impl Civil {
    /// From milliseconds since 1970-01-01T00:00 local time.
    #[inline]
    pub(crate) fn from_local_ms(local: i64) -> Self {
        match u64::try_from(local) {
            Ok(after) if after < NEAR_MS => Self::near(after),
            _ => Self::far(local),
        }
    }

    /// After 1970 and before the year 10000, in 32 bits. The divisions of the general algorithm
    /// become multiplications, as Neri and Schneider showed ("Euclidean affine functions and their
    /// application to calendar algorithms", 2022).
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low halves are meant")]
    fn near(after: u64) -> Self {
        let day_ms = DAY_MS.unsigned_abs();
        let (epoch_day, milli_of_day) = (after / day_ms, after % day_ms);
        // Counting from 0000-03-01 puts the leap day at the end of a year.
        let quarters = 4 * (epoch_day as u32 + 719_468) + 3;
        let (century, of_century) = (quarters / 146_097, (quarters % 146_097) | 3);
        let scaled = 2_939_745 * u64::from(of_century);
        let day_of_year = (scaled as u32) / 2_939_745 / 4;
        let scaled_month = 2_141 * day_of_year + 197_913;
        let (month, day) = (scaled_month >> 16, (scaled_month & 0xFFFF) / 2_141 + 1);
        let next_year = u32::from(day_of_year >= 306);
        Self {
            year: i64::from(100 * century + (scaled >> 32) as u32 + next_year),
            month: i64::from(month - 12 * next_year),
            day: i64::from(day),
            epoch_day: epoch_day.cast_signed(),
            milli_of_day: milli_of_day.cast_signed(),
        }
    }

    const fn far(local: i64) -> Self {
        let epoch_day = local.div_euclid(DAY_MS);
        // Counting from 0000-03-01 puts the leap day at the end of a year, where it disturbs
        // nothing.
        let shifted = epoch_day + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month, day, epoch_day, milli_of_day: local.rem_euclid(DAY_MS) }
    }

    /// 1 to 366.
    pub(crate) const fn day_of_year(&self) -> i64 {
        self.epoch_day - days_from_civil(self.year, 1, 1) + 1
    }

    /// ISO: 1 is Monday, 7 is Sunday.
    pub(crate) const fn day_of_week(&self) -> i64 {
        (self.epoch_day + 3).rem_euclid(7) + 1
    }

    /// ISO week year and week of it (1 to 53): the week belongs to the year of its Thursday.
    pub(crate) const fn week(&self) -> (i64, i64) {
        let thursday = self.epoch_day - self.day_of_week() + 4;
        let year = Self::far(thursday.saturating_mul(DAY_MS)).year;
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }
}

/// Days since 1970-01-01 of a date; month and day must be in range.
pub(crate) const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

pub(crate) const fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

pub(crate) const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday of the first ISO week of a week year, in days since 1970-01-01.
pub(crate) const fn first_week_monday(week_year: i64) -> i64 {
    // January 4th is always in week 1.
    let fourth = days_from_civil(week_year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip() {
        for day in (-800_000_000..800_000_000).step_by(99_991).chain(-1_000..1_000) {
            let civil = Civil::from_local_ms(day * DAY_MS);
            assert_eq!(days_from_civil(civil.year, civil.month, civil.day), day);
            assert!((1..=days_in_month(civil.year, civil.month)).contains(&civil.day));
            let (year, week) = civil.week();
            assert_eq!(first_week_monday(year) + (week - 1) * 7 + civil.day_of_week() - 1, day);
        }
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        let near = NEAR_MS.cast_signed();
        for day in 0..near / DAY_MS {
            let local = day * DAY_MS + day % 7;
            assert_eq!(Civil::near(local.unsigned_abs()), Civil::far(local));
        }
        assert_eq!(Civil::from_local_ms(near).year, 10_000);
        assert_eq!(Civil::from_local_ms(near - 1).year, 9_999);
        assert_eq!(Civil::from_local_ms(-1).year, 1969);
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        assert_eq!(Civil::from_local_ms(i64::MAX).year, 292_278_994);
        assert_eq!(Civil::from_local_ms(i64::MIN).year, -292_275_055);
        let _ = Civil::from_local_ms(i64::MAX).week();
        let _ = Civil::from_local_ms(i64::MIN).week();
    }
}
