use std::time::{Duration, SystemTime};

use crate::pattern::Pattern;
use crate::zone::{Zone, unix_ms};
use crate::{Error, ErrorKind, Partitioner, Record, TimestampExtractor};

/// A directory per span of time: Confluent's `TimeBasedPartitioner`, `DailyPartitioner` and
/// `HourlyPartitioner`.
///
/// Times are rounded down to the span in local time, counted from 1970-01-01T00:00 local time
/// (so 7-day spans begin on Thursdays, and times before 1970 round *up*), and printed with
/// Joda-Time's pattern letters, which differ from those of `java.time`: `Y` is the year of era,
/// `x` the week year, `ZZ` an offset with a colon and `ZZZ` the zone's id.
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{Partitioner, Record, TimePartitioner, TimestampExtractor};
///
/// let by_hour = TimePartitioner::hourly("Australia/Sydney")?.with_extractor(TimestampExtractor::Record);
/// let record = Record::new("orders", 0, 7).with_timestamp_ms(1_709_622_489_123);
/// let mut path = String::new();
/// by_hour.encode(&record, SystemTime::now(), &mut path)?;
/// assert_eq!(path, "year=2024/month=03/day=05/hour=18");
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimePartitioner {
    format: Format,
    duration_ms: i64,
    zone: Zone,
    locale: String,
    delimiter: String,
    pattern: Pattern,
    extractor: TimestampExtractor,
}

#[derive(Clone, Debug)]
enum Format {
    Own(String),
    Daily,
    Hourly,
}

impl TimePartitioner {
    /// A directory per `span`, printed with `path_format` in `timezone` (`path.format`,
    /// `partition.duration.ms`, `timezone`).
    ///
    /// # Errors
    /// [`ErrorKind::PathFormat`], [`ErrorKind::TimeZone`], [`ErrorKind::ZoneName`],
    /// [`ErrorKind::ZeroDuration`], or [`ErrorKind::Property`] for a span beyond 64 bits of
    /// milliseconds.
    pub fn new(path_format: &str, span: Duration, timezone: &str) -> Result<Self, Error> {
        let duration_ms = i64::try_from(span.as_millis())
            .map_err(|_| Error::property("partition.duration.ms"))?;
        Self::build(Format::Own(path_format.to_owned()), duration_ms, timezone)
    }

    /// A directory per day: `year=2024/month=03/day=05`.
    ///
    /// # Errors
    /// [`ErrorKind::TimeZone`].
    pub fn daily(timezone: &str) -> Result<Self, Error> {
        Self::build(Format::Daily, 86_400_000, timezone)
    }

    /// A directory per hour: `year=2024/month=03/day=05/hour=18`.
    ///
    /// # Errors
    /// [`ErrorKind::TimeZone`].
    pub fn hourly(timezone: &str) -> Result<Self, Error> {
        Self::build(Format::Hourly, 3_600_000, timezone)
    }

    /// Takes times from elsewhere than the wall clock.
    #[must_use]
    pub fn with_extractor(mut self, extractor: TimestampExtractor) -> Self {
        self.extractor = extractor;
        self
    }

    /// Joins directories with this instead of `/` (`directory.delim`). As in the connector, one
    /// delimiter at the end of the format is dropped, and a delimiter made of letters is read as
    /// part of the daily and hourly patterns.
    ///
    /// # Errors
    /// [`ErrorKind::PathFormat`] if the format is the delimiter, or illegal together with it.
    pub fn with_delimiter(mut self, delimiter: &str) -> Result<Self, Error> {
        delimiter.clone_into(&mut self.delimiter);
        self.compile()
    }

    /// Prints names in this language instead of English (`locale`). The value is a language
    /// (`en`), not a locale: `en_US` is an unknown language to the connector, and prints short
    /// root names.
    ///
    /// # Errors
    /// [`ErrorKind::Property`] if it is blank, [`ErrorKind::Language`] if the format prints names
    /// and this crate has none for it.
    pub fn with_locale(mut self, locale: &str) -> Result<Self, Error> {
        locale.clone_into(&mut self.locale);
        self.compile()
    }

    /// Where times come from.
    #[must_use]
    pub const fn extractor(&self) -> &TimestampExtractor {
        &self.extractor
    }

    fn build(format: Format, duration_ms: i64, timezone: &str) -> Result<Self, Error> {
        if duration_ms == 0 {
            return Err(Error::new(ErrorKind::ZeroDuration));
        }
        let zone = Zone::parse(timezone)?;
        let pattern = Pattern::compile("", &zone, "en")?;
        Self {
            format,
            duration_ms,
            zone,
            locale: "en".to_owned(),
            delimiter: "/".to_owned(),
            pattern,
            extractor: TimestampExtractor::Wallclock,
        }
        .compile()
    }

    fn compile(mut self) -> Result<Self, Error> {
        if self.locale.trim().is_empty() {
            return Err(Error::property("locale"));
        }
        let d = self.delimiter.as_str();
        let day = format!("'year'=YYYY{d}'month'=MM{d}'day'=dd");
        let text = match &self.format {
            Format::Daily => day,
            Format::Hourly => format!("{day}{d}'hour'=HH"),
            Format::Own(text) => {
                if text.trim().is_empty() || text == d {
                    return Err(Error::new(ErrorKind::PathFormat { offset: 0 }));
                }
                text.strip_suffix(d).unwrap_or(text).to_owned()
            }
        };
        self.pattern = Pattern::compile(&text, &self.zone, &self.locale)?;
        Ok(self)
    }
}

impl TimePartitioner {
    /// Milliseconds of a span.
    pub(crate) const fn duration_ms(&self) -> i64 {
        self.duration_ms
    }

    pub(crate) const fn zone(&self) -> &Zone {
        &self.zone
    }

    pub(crate) const fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The number of the span that an instant falls in, counted from the local epoch.
    fn bucket(&self, utc_ms: i64) -> Option<i64> {
        let local = utc_ms.checked_add(self.zone.offset_ms(utc_ms))?;
        local.checked_div(self.duration_ms)
    }
}

impl Partitioner for TimePartitioner {
    fn encode(&self, record: &Record<'_>, now: SystemTime, out: &mut String) -> Result<(), Error> {
        let time = self
            .extractor
            .extract(record, now)?
            .ok_or_else(|| Error::new(ErrorKind::NoTimestamp))?;
        let bucket = self.bucket(time).ok_or_else(|| Error::new(ErrorKind::TimeRange))?;
        // The division rounded towards zero, so this cannot overflow.
        let start = self.zone.to_utc(bucket * self.duration_ms);
        self.pattern.print(start, self.zone.offset_ms(start), &self.zone, out);
        Ok(())
    }

    fn wall_clock_bucket(&self, now: SystemTime) -> Option<i64> {
        match self.extractor {
            TimestampExtractor::Wallclock => self.bucket(unix_ms(now)),
            _ => None,
        }
    }
}
