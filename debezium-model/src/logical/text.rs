//! Dates, times and durations that are text, and JSON in text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::{DeserializeOwned, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::system_time;
use crate::error::{Error, ErrorKind};
use crate::value::days_from_civil;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $value:ty, $parse:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            text: Box<str>,
            value: $value,
        }

        impl $name {
            /// The text, as it stands in the record.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let mut parser = Parser(text);
                match parser.$parse() {
                    Some(value) if parser.0.is_empty() => Ok(Self { text: text.into(), value }),
                    _ => Err(Error::value(ErrorKind::MalformedText)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Whole seconds since 1970 and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Moment {
    Finite(i64, u32),
    Infinity,
    MinusInfinity,
}

impl Moment {
    fn system_time(self) -> Option<SystemTime> {
        match self {
            Self::Finite(seconds, nanos) => system_time(seconds, nanos),
            Self::Infinity | Self::MinusInfinity => None,
        }
    }
}

text! {
    /// A moment, `io.debezium.time.ZonedTimestamp`: `2024-03-01T07:59:59.900Z`, or `infinity` and
    /// `-infinity`.
    ///
    /// ```
    /// use debezium_model::ZonedTimestamp;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let at: ZonedTimestamp = "1970-01-01T00:00:01.500Z".parse()?;
    /// assert_eq!(at.system_time(), Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)));
    /// assert!("infinity".parse::<ZonedTimestamp>()?.is_infinite());
    /// # Ok::<(), debezium_model::Error>(())
    /// ```
    ZonedTimestamp, Moment, moment
}

impl ZonedTimestamp {
    /// The moment; `None` for one that the system's clock cannot tell, and for infinite ones.
    #[must_use]
    pub fn system_time(&self) -> Option<SystemTime> {
        self.value.system_time()
    }

    /// Whether it is before or after all others.
    #[must_use]
    pub fn is_infinite(&self) -> bool {
        matches!(self.value, Moment::Infinity | Moment::MinusInfinity)
    }
}

text! {
    /// A date and time of day without zone, written with a `Z`: `io.debezium.time.IsoTimestamp`.
    IsoTimestamp, Moment, moment
}

impl IsoTimestamp {
    /// The moment, if UTC was the zone it was meant in; `None` for one that the system's clock
    /// cannot tell, and for infinite ones.
    #[must_use]
    pub fn system_time(&self) -> Option<SystemTime> {
        self.value.system_time()
    }
}

text! {
    /// A time of day with its zone, `io.debezium.time.ZonedTime`: `07:04:56.789Z`.
    ZonedTime, (u64, i32), zoned_time
}

impl ZonedTime {
    /// How long after midnight in its zone.
    #[must_use]
    pub fn since_midnight(&self) -> Duration {
        Duration::from_nanos(self.value.0)
    }

    /// How many seconds its zone is ahead of UTC.
    #[must_use]
    pub fn offset_seconds(&self) -> i32 {
        self.value.1
    }
}

text! {
    /// A time of day without zone, written with a `Z`: `io.debezium.time.IsoTime`.
    IsoTime, (u64, i32), zoned_time
}

impl IsoTime {
    /// How long after midnight.
    #[must_use]
    pub fn since_midnight(&self) -> Duration {
        Duration::from_nanos(self.value.0)
    }
}

text! {
    /// A date, `io.debezium.time.IsoDate`: `2024-02-29Z`, or `infinity` and `-infinity`.
    IsoDate, Option<i64>, iso_date
}

impl IsoDate {
    /// Days since 1970-01-01; `None` for an infinite date.
    #[must_use]
    pub fn days(&self) -> Option<i64> {
        self.value
    }
}

text! {
    /// A span of months, days and time, `io.debezium.time.Interval`: `P1Y2M3DT4H5M6.789S`.
    ///
    /// ```
    /// use debezium_model::Interval;
    ///
    /// let span: Interval = "P1Y2M-3DT4H5M6.5S".parse()?;
    /// assert_eq!((span.months(), span.days(), span.micros()), (14, -3, 14_706_500_000));
    /// # Ok::<(), debezium_model::Error>(())
    /// ```
    Interval, (i64, i64, i64), interval
}

impl Interval {
    /// Months, a year being 12.
    #[must_use]
    pub fn months(&self) -> i64 {
        self.value.0
    }

    /// Days.
    #[must_use]
    pub fn days(&self) -> i64 {
        self.value.1
    }

    /// The time, in microseconds.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.value.2
    }
}

/// A value that is JSON in a text, `io.debezium.data.Json`, read into a type of one's own.
///
/// ```
/// use debezium_model::{Json, from_json};
///
/// let tags: Json<Vec<String>> = from_json(br#""[\"a\",\"b\"]""#)?;
/// assert_eq!(tags.0, ["a", "b"]);
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "the value is all there is")]
pub struct Json<T>(
    /// What the text holds.
    pub T,
);

impl<T: Serialize> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

const DAY_SECONDS: i64 = 86_400;

/// Reads from the front.
struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Option<()> {
        self.take(text).then_some(())
    }

    /// Digits and how many they are.
    fn digits(&mut self) -> Option<(i64, usize)> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((digits.parse().ok().filter(|_| length <= 12)?, length))
    }

    fn two(&mut self, max: i64) -> Option<i64> {
        self.digits().filter(|(value, length)| *length == 2 && *value <= max).map(|found| found.0)
    }

    fn sign(&mut self) -> i64 {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        if negative { -1 } else { 1 }
    }

    /// Days since 1970.
    fn date(&mut self) -> Option<i64> {
        let sign = self.sign();
        let year = sign * self.digits()?.0;
        self.expect("-")?;
        let month = self.two(12)?;
        self.expect("-")?;
        let day = self.two(31)?;
        let known = month > 0 && day > 0 && year.abs() < 1_000_000_000;
        known.then(|| days_from_civil(year, month, day))
    }

    /// Seconds and nanoseconds.
    fn time(&mut self) -> Option<(i64, u32)> {
        let hours = self.two(24)?;
        self.expect(":")?;
        let minutes = self.two(59)?;
        // Java leaves out seconds that are zero in some forms.
        let seconds = if self.take(":") { self.two(60)? } else { 0 };
        Some(((hours * 60 + minutes) * 60 + seconds, self.fraction(9)?))
    }

    fn fraction(&mut self, width: usize) -> Option<u32> {
        if !self.take(".") {
            return Some(0);
        }
        let (value, length) = self.digits()?;
        let scaled = (length..width).fold(value, |value, _| value * 10);
        u32::try_from(scaled).ok().filter(|_| (1..=width).contains(&length))
    }

    /// Seconds ahead of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.take("Z") {
            return Some(0);
        }
        if !self.0.starts_with(['+', '-']) {
            return None;
        }
        let sign = self.sign();
        let mut seconds = self.two(24)? * 3600;
        if self.take(":") {
            seconds += self.two(59)? * 60;
        }
        if self.take(":") {
            seconds += self.two(59)?;
        }
        Some(sign * seconds)
    }

    fn moment(&mut self) -> Option<Moment> {
        if self.take("infinity") {
            return Some(Moment::Infinity);
        }
        if self.take("-infinity") {
            return Some(Moment::MinusInfinity);
        }
        let days = self.date()?;
        self.expect("T")?;
        let (seconds, nanos) = self.time()?;
        let ahead = self.zone()?;
        Some(Moment::Finite(days * DAY_SECONDS + seconds - ahead, nanos))
    }

    /// Nanoseconds since midnight, and the zone.
    fn zoned_time(&mut self) -> Option<(u64, i32)> {
        let (seconds, nanos) = self.time()?;
        let since = u64::try_from(seconds).ok()? * 1_000_000_000 + u64::from(nanos);
        Some((since, i32::try_from(self.zone()?).ok()?))
    }

    fn iso_date(&mut self) -> Option<Option<i64>> {
        if self.take("infinity") || self.take("-infinity") {
            return Some(None);
        }
        let days = self.date()?;
        self.zone()?;
        Some(Some(days))
    }

    /// A number with its sign, and the fraction in microseconds.
    fn part(&mut self, unit: &str) -> Option<(i64, i64)> {
        let mut ahead = Parser(self.0);
        let sign = ahead.sign();
        let (value, length) = ahead.digits()?;
        let micros = i64::from(ahead.fraction(6)?);
        if length == 0 || !ahead.take(unit) {
            // Another unit's, or none: this part is missing.
            return Some((0, 0));
        }
        *self = Parser(ahead.0);
        Some((sign * value, sign * micros))
    }

    fn interval(&mut self) -> Option<(i64, i64, i64)> {
        self.expect("P")?;
        let mut whole = |unit: &str| match self.part_or_missing(unit)? {
            (value, 0) => Some(value),
            _ => None,
        };
        let months = whole("Y")?.checked_mul(12)?.checked_add(whole("M")?)?;
        let days = whole("D")?;
        if self.0.is_empty() {
            return Some((months, days, 0));
        }
        self.expect("T")?;
        let mut whole = |unit: &str| match self.part_or_missing(unit)? {
            (value, 0) => Some(value),
            _ => None,
        };
        let minutes = whole("H")?.checked_mul(60)?.checked_add(whole("M")?)?;
        let (seconds, micros) = self.part_or_missing("S")?;
        let seconds = minutes.checked_mul(60)?.checked_add(seconds)?;
        Some((months, days, seconds.checked_mul(1_000_000)?.checked_add(micros)?))
    }

    fn part_or_missing(&mut self, unit: &str) -> Option<(i64, i64)> {
        if self.0.is_empty() || self.0.starts_with('T') { Some((0, 0)) } else { self.part(unit) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Interval, IsoDate, IsoTime, IsoTimestamp, ZonedTime, ZonedTimestamp};

    #[test]
    fn moments() {
        let seconds = |text: &str| {
            let at = text.parse::<ZonedTimestamp>().unwrap().system_time()?;
            Some(match at.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_secs()).unwrap(),
                Err(error) => -i64::try_from(error.duration().as_secs()).unwrap(),
            })
        };
        assert_eq!(seconds("2024-03-01T07:59:59.900Z"), Some(1_709_279_999));
        assert_eq!(seconds("2024-03-01T09:59:59+02:00"), Some(1_709_279_999));
        assert_eq!(seconds("-0043-03-15T00:00:00Z"), Some(-735_160 * 86_400));
        assert_eq!(seconds("+10000-01-01T00:00:00.000000Z"), Some(2_932_897 * 86_400));
        assert_eq!(seconds("-infinity"), None);
        let local: IsoTimestamp = "1970-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(local.system_time(), Some(std::time::UNIX_EPOCH));
        for wrong in ["", "2024-03-01", "2024-03-01T07:59:59", "2024-13-01T00:00:00Z", "infinityZ"]
        {
            assert!(wrong.parse::<ZonedTimestamp>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_and_times() {
        let time: ZonedTime = "24:00:00-02:00".parse().unwrap();
        assert_eq!(time.since_midnight(), Duration::from_secs(86_400));
        assert_eq!((time.offset_seconds(), time.as_str()), (-7200, "24:00:00-02:00"));
        let time: IsoTime = "12:34:56.789Z".parse().unwrap();
        assert_eq!(time.since_midnight(), Duration::from_millis(45_296_789));
        assert_eq!("2024-02-29Z".parse::<IsoDate>().unwrap().days(), Some(19_782));
        assert_eq!("infinity".parse::<IsoDate>().unwrap().days(), None);
        assert!("12:34:56".parse::<IsoTime>().is_err());
    }

    #[test]
    fn intervals() {
        let parts = |text: &str| {
            let span: Interval = text.parse().unwrap();
            (span.months(), span.days(), span.micros())
        };
        assert_eq!(parts("P1Y2M3DT4H5M6.789012S"), (14, 3, 14_706_789_012));
        assert_eq!(parts("P0Y0M-1DT0H0M-0.000001S"), (0, -1, -1));
        assert_eq!(parts("P0Y-1M0DT0H0M0S"), (-1, 0, 0));
        assert_eq!(parts("P3D"), (0, 3, 0));
        for wrong in ["", "1Y", "P1X", "P1DT1", "P1.5Y", "PT99999999999999S"] {
            assert!(wrong.parse::<Interval>().is_err(), "{wrong}");
        }
    }
}
