//! Dates, times and durations that are numbers.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::moment;
use crate::value::civil_from_days;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        #[allow(clippy::exhaustive_structs, reason = "the number is all there is")]
        pub struct $name(
            /// The number, as it stands in the record.
            pub $inner,
        );

        /// What [`Fidelity::Corrected`](crate::Fidelity::Corrected) writes for infinite values.
        impl $name {
            /// Later than every other.
            pub const INFINITY: Self = Self(<$inner>::MAX);
            /// Earlier than every other.
            pub const MINUS_INFINITY: Self = Self(<$inner>::MIN);
        }
    };
}

macro_rules! duration {
    ($(#[$doc:meta])* $name:ident($inner:ty), $per_second:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        #[allow(clippy::exhaustive_structs, reason = "the number is all there is")]
        pub struct $name(
            /// The number, as it stands in the record.
            pub $inner,
        );

        impl $name {
            /// How long that is, whichever way.
            #[must_use]
            pub fn magnitude(self) -> Duration {
                let units = u64::from(self.0.unsigned_abs());
                let rest = units % $per_second * (1_000_000_000 / $per_second);
                Duration::from_secs(units / $per_second) + Duration::from_nanos(rest)
            }
        }
    };
}

number! {
    /// Days since 1970-01-01: `io.debezium.time.Date`, and Connect's own `Date`.
    ///
    /// ```
    /// assert_eq!(debezium_model::Date(19_782).year_month_day(), (2024, 2, 29));
    /// ```
    Date(i32)
}

impl Date {
    /// Year, month and day in the proleptic Gregorian calendar; the year before 1 is 0.
    #[must_use]
    pub fn year_month_day(self) -> (i64, u8, u8) {
        let (year, month, day) = civil_from_days(self.0.into());
        let small = |number: i64| u8::try_from(number).unwrap_or(u8::MAX);
        (year, small(month), small(day))
    }
}

duration! {
    /// Milliseconds since midnight: `io.debezium.time.Time`, and Connect's own `Time`.
    Time(i32), 1000
}

duration! {
    /// Microseconds since midnight, up to 24:00: `io.debezium.time.MicroTime`.
    MicroTime(i64), 1_000_000
}

duration! {
    /// Nanoseconds since midnight, up to 24:00: `io.debezium.time.NanoTime`.
    NanoTime(i64), 1_000_000_000
}

duration! {
    /// Microseconds, a month being 30.4375 days: `io.debezium.time.MicroDuration`, an `interval`.
    MicroDuration(i64), 1_000_000
}

duration! {
    /// Nanoseconds, a month being 30.4375 days: `io.debezium.time.NanoDuration`.
    NanoDuration(i64), 1_000_000_000
}

macro_rules! timestamp {
    ($(#[$doc:meta])* $name:ident, $per_second:expr) => {
        number! {
            $(#[$doc])*
            $name(i64)
        }

        impl $name {
            /// The moment, if UTC was the zone it was meant in; `None` for one that the system's
            /// clock cannot tell, and for infinite ones.
            #[must_use]
            pub fn system_time(self) -> Option<SystemTime> {
                if self == Self::INFINITY || self == Self::MINUS_INFINITY {
                    return None;
                }
                moment(self.0, $per_second)
            }
        }
    };
}

timestamp! {
    /// Milliseconds since 1970: `io.debezium.time.Timestamp`, and Connect's own `Timestamp`.
    Timestamp, 1000
}

timestamp! {
    /// Microseconds since 1970: `io.debezium.time.MicroTimestamp`.
    MicroTimestamp, 1_000_000
}

timestamp! {
    /// Nanoseconds since 1970: `io.debezium.time.NanoTimestamp`.
    NanoTimestamp, 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Date, MicroDuration, MicroTimestamp, NanoTime, Time};

    #[test]
    fn numbers_mean_what_they_say() {
        assert_eq!(Date(-719_162).year_month_day(), (1, 1, 1));
        assert_eq!(Date(-719_529).year_month_day(), (-1, 12, 31));
        assert_eq!(Time(45_296_789).magnitude(), Duration::from_millis(45_296_789));
        assert_eq!(MicroDuration(-1_500_000).magnitude(), Duration::from_millis(1500));
        assert_eq!(NanoTime(i64::MIN).magnitude(), Duration::from_nanos(1 << 63));
        let at = MicroTimestamp(-1).system_time().unwrap();
        let before = SystemTime::UNIX_EPOCH.duration_since(at).unwrap();
        assert_eq!(before, Duration::from_micros(1));
        assert_eq!(MicroTimestamp::INFINITY.system_time(), None);
    }
}
