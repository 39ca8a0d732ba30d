//! Times of day and points in time.

use core::fmt;
use core::str::FromStr;

use super::date::write_date;
use super::text::Text;
use crate::Error;

pub(super) const DAY_NANOS: u64 = 86_400_000_000_000;

const SECOND: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// A time of day, from midnight to midnight: 24:00:00 is one too, as in PostgreSQL.
///
/// ```
/// use avro_wire::logical::Time;
///
/// let time = Time::from_micros(34_200_500_000).unwrap();
/// assert_eq!(time.to_string(), "09:30:00.500");
/// assert_eq!(time.to_millis(), 34_200_500);
/// assert_eq!("09:30:00.5".parse::<Time>()?, time);
/// assert_eq!(Time::from_millis(-1), None);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// So many milliseconds after midnight, which is what `time-millis` holds in an `int`; `None`
    /// outside of the day.
    #[must_use]
    pub fn from_millis(millis: i32) -> Option<Self> {
        Self::from_nanos(u64::try_from(millis).ok()? * 1_000_000)
    }

    /// So many microseconds after midnight, which is what `time-micros` holds in a `long`; `None`
    /// outside of the day.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        Self::from_nanos(u64::try_from(micros).ok()?.checked_mul(1000)?)
    }

    /// So many nanoseconds after midnight; `None` outside of the day.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Option<Self> {
        (nanos <= DAY_NANOS).then_some(Self(nanos))
    }

    /// Whole milliseconds after midnight.
    #[must_use]
    pub fn to_millis(self) -> i32 {
        // A day has 86,400,000.
        i32::try_from(self.0 / 1_000_000).unwrap_or(i32::MAX)
    }

    /// Whole microseconds after midnight.
    #[must_use]
    pub fn to_micros(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }

    /// Nanoseconds after midnight.
    #[must_use]
    pub const fn to_nanos(self) -> u64 {
        self.0
    }
}

/// `09:30:00`, with 3, 6 or 9 digits behind a point where the second is not whole.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        if nanos == 0 {
            Ok(())
        } else if nanos.is_multiple_of(1_000_000) {
            write!(f, ".{:03}", nanos / 1_000_000)
        } else if nanos.is_multiple_of(1000) {
            write!(f, ".{:06}", nanos / 1000)
        } else {
            write!(f, ".{nanos:09}")
        }
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut text = Text::new(text);
        let nanos = text.time()?;
        text.finish()?;
        Self::from_nanos(nanos).ok_or_else(|| text.invalid())
    }
}

/// Seconds since 1970-01-01T00:00:00 and nanoseconds of the second, below a thousand million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Moment {
    seconds: i64,
    nanos: i64,
}

impl Moment {
    const fn from_units(units: i64, of_a_second: i64) -> Self {
        let nanos = units.rem_euclid(of_a_second) * (SECOND / of_a_second);
        Self { seconds: units.div_euclid(of_a_second), nanos }
    }

    fn to_units(self, of_a_second: i64) -> Option<i64> {
        let part = self.nanos / (SECOND / of_a_second);
        // Near the least number, the seconds alone are below it.
        let whole = i128::from(self.seconds) * i128::from(of_a_second) + i128::from(part);
        i64::try_from(whole).ok()
    }

    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.seconds.div_euclid(DAY_SECONDS))?;
        let time = self.seconds.rem_euclid(DAY_SECONDS) * SECOND + self.nanos;
        write!(f, "T{}", Time(time.unsigned_abs()))
    }

    /// Also takes a space between day and time.
    fn read(text: &mut Text<'_>) -> Result<Self, Error> {
        let days = text.date()?;
        if !text.take('T') && !text.take(' ') {
            return Err(text.invalid());
        }
        let nanos = i64::try_from(text.time()?).unwrap_or(i64::MAX);
        Ok(Self { seconds: days * DAY_SECONDS + nanos / SECOND, nanos: nanos % SECOND })
    }
}

macro_rules! moment {
    ($name:ident, $epoch:literal, $logical:literal) => {
        impl $name {
            #[doc = concat!("So many milliseconds since ", $epoch, ", which is what `", $logical,
                "-millis` holds in a `long`.")]
            #[must_use]
            pub const fn from_millis(millis: i64) -> Self {
                Self(Moment::from_units(millis, 1000))
            }

            #[doc = concat!("So many microseconds since ", $epoch, ", which is what `", $logical,
                "-micros` holds in a `long`.")]
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(Moment::from_units(micros, 1_000_000))
            }

            #[doc = concat!("So many nanoseconds since ", $epoch, ", which is what `", $logical,
                "-nanos` holds in a `long`.")]
            #[must_use]
            pub const fn from_nanos(nanos: i64) -> Self {
                Self(Moment::from_units(nanos, SECOND))
            }

            #[doc = concat!("Milliseconds since ", $epoch, ", rounded down; `None` beyond 64 bits.")]
            #[must_use]
            pub fn to_millis(self) -> Option<i64> {
                self.0.to_units(1000)
            }

            #[doc = concat!("Microseconds since ", $epoch, ", rounded down; `None` beyond 64 bits.")]
            #[must_use]
            pub fn to_micros(self) -> Option<i64> {
                self.0.to_units(1_000_000)
            }

            #[doc = concat!("Nanoseconds since ", $epoch, "; `None` beyond 64 bits, which is before \
                1677 and after 2262.")]
            #[must_use]
            pub fn to_nanos(self) -> Option<i64> {
                self.0.to_units(SECOND)
            }
        }
    };
}

/// A point in time, in whatever zone: milliseconds, microseconds or nanoseconds since
/// 1970-01-01T00:00:00Z, without leap seconds.
///
/// ```
/// use avro_wire::logical::Timestamp;
///
/// let moment = Timestamp::from_micros(1_709_164_800_000_250);
/// assert_eq!(moment.to_string(), "2024-02-29T00:00:00.000250Z");
/// assert_eq!(moment.to_millis(), Some(1_709_164_800_000));
/// assert_eq!("2024-02-29T01:00:00.00025+01:00".parse::<Timestamp>()?, moment);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Moment);

moment!(Timestamp, "1970-01-01T00:00:00Z", "timestamp");

/// `2024-02-29T00:00:00Z`, with the day as that of [`Date`](super::Date) and the time as that of
/// [`Time`].
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)?;
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut text = Text::new(text);
        let mut moment = Moment::read(&mut text)?;
        moment.seconds -= text.offset()?;
        text.finish()?;
        Ok(Self(moment))
    }
}

/// A day and a time of it, of no zone in particular: counted from 1970-01-01T00:00:00 of the same
/// place.
///
/// ```
/// use avro_wire::logical::LocalTimestamp;
///
/// let moment = LocalTimestamp::from_millis(-1);
/// assert_eq!(moment.to_string(), "1969-12-31T23:59:59.999");
/// assert_eq!("1969-12-31 23:59:59.999".parse::<LocalTimestamp>()?, moment);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTimestamp(Moment);

moment!(LocalTimestamp, "1970-01-01T00:00:00 of the place", "local-timestamp");

/// As [`Timestamp`], without the `Z`.
impl fmt::Display for LocalTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl FromStr for LocalTimestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut text = Text::new(text);
        let moment = Moment::read(&mut text)?;
        text.finish()?;
        Ok(Self(moment))
    }
}
