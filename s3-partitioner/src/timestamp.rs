use std::time::SystemTime;

use crate::calendar::{DAY_MS, days_from_civil, days_in_month, first_week_monday, is_leap};
use crate::partitioner::lookup_path;
use crate::zone::unix_ms;
use crate::{Error, ErrorKind, Record, Shape, Value};

/// Where a record's time comes from (`timestamp.extractor`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampExtractor {
    /// The wall clock of the poll.
    #[default]
    Wallclock,
    /// The Kafka timestamp.
    Record,
    /// A field of the value, by its path of names joined with dots.
    RecordField(String),
    /// A field of the value whose number counts something else than milliseconds. The connector
    /// has no such extractor: there the microseconds of a Debezium timestamp lie in the year 55840.
    RecordFieldIn(String, TimeUnit),
}

/// What the number in a timestamp field counts, from 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeUnit {
    /// What the field's [semantic type](crate::Fields::semantic_type) says, which is one of
    /// Debezium's (`io.debezium.time.…`) or of Connect's logical types. Milliseconds without one.
    BySemanticType,
    /// Days.
    Days,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl TimestampExtractor {
    /// The record's time, in milliseconds since 1970-01-01 UTC. `None` only for
    /// [`Record`](Self::Record) without a Kafka timestamp.
    ///
    /// 32 and 64-bit integers count as milliseconds whatever they mean: a microsecond field lands
    /// tens of thousands of years ahead, as it does with the connector. Text is a number of
    /// milliseconds if it is all digits, otherwise a date in Joda-Time's reading of ISO 8601,
    /// where a text without an offset is UTC.
    ///
    /// # Errors
    /// [`ErrorKind::MissingField`] for a field that is absent or null,
    /// [`ErrorKind::LogicalType`] for a Connect `Date` or `Time`, [`ErrorKind::TimestampText`] for
    /// text that is no time, [`ErrorKind::UnsupportedType`] for any other type and
    /// [`ErrorKind::NotStruct`] if the value has no fields.
    pub fn extract(&self, record: &Record<'_>, now: SystemTime) -> Result<Option<i64>, Error> {
        match self {
            Self::Wallclock => Ok(Some(unix_ms(now))),
            _ => self.extract_ms(record, 0),
        }
    }

    /// As [`extract`](Self::extract), with the wall clock in milliseconds since 1970-01-01 UTC.
    #[inline]
    pub(crate) fn extract_ms(
        &self,
        record: &Record<'_>,
        now_ms: i64,
    ) -> Result<Option<i64>, Error> {
        match self {
            Self::Wallclock => Ok(Some(now_ms)),
            Self::Record => Ok(record.timestamp_ms),
            Self::RecordField(name) => {
                let (value, is_map) = lookup(record, lookup_path(name))?;
                field_ms(value, is_map, name).map(Some)
            }
            Self::RecordFieldIn(name, unit) => {
                let path = lookup_path(name);
                let (value, _) = lookup(record, path)?;
                let count = match unit {
                    TimeUnit::BySemanticType => match record.value.semantic_type(path) {
                        Some(semantic) => Count::of(semantic),
                        None => Some(Count::Units(1.0, 1)),
                    },
                    TimeUnit::Days => Some(Count::DAYS),
                    TimeUnit::Seconds => Some(Count::Units(1e3, 1_000)),
                    TimeUnit::Milliseconds => Some(Count::Units(1.0, 1)),
                    TimeUnit::Microseconds => Some(Count::Fractions(1_000)),
                    TimeUnit::Nanoseconds => Some(Count::Fractions(1_000_000)),
                };
                let count =
                    count.ok_or_else(|| Error::new(ErrorKind::UnsupportedType(name.clone())))?;
                count.ms(value, name).map(Some)
            }
        }
    }

    /// The field that is looked at, if one is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::RecordField(name) | Self::RecordFieldIn(name, _) => Some(name),
            Self::Wallclock | Self::Record => None,
        }
    }
}

/// The value of a field, null if there is none, and whether it is in a map without a schema.
fn lookup<'r>(record: &Record<'r>, path: &str) -> Result<(Value<'r>, bool), Error> {
    let is_map = match record.value.shape() {
        Shape::Struct => false,
        Shape::Map => true,
        Shape::Other | Shape::Null => return Err(Error::new(ErrorKind::NotStruct)),
    };
    Ok((record.value.field(path).unwrap_or(Value::Null), is_map))
}

/// How the number of a field becomes milliseconds.
#[derive(Clone, Copy)]
enum Count {
    /// So many milliseconds each.
    Units(f64, i64),
    /// So many of them are a millisecond.
    Fractions(i64),
    /// Calendar years.
    Years,
}

impl Count {
    const DAYS: Self = Self::Units(86_400e3, DAY_MS);

    /// By Debezium's and Connect's names. A time of day, a duration or anything unknown is no
    /// point in time.
    fn of(semantic: &str) -> Option<Self> {
        Some(match semantic {
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Self::DAYS,
            "io.debezium.time.MicroTimestamp" => Self::Fractions(1_000),
            "io.debezium.time.NanoTimestamp" => Self::Fractions(1_000_000),
            "io.debezium.time.Year" => Self::Years,
            "io.debezium.time.Timestamp"
            | "org.apache.kafka.connect.data.Timestamp"
            | "io.debezium.time.ZonedTimestamp"
            | "io.debezium.time.IsoTimestamp"
            | "io.debezium.time.IsoDate" => Self::Units(1.0, 1),
            _ => return None,
        })
    }

    fn ms(self, value: Value<'_>, name: &str) -> Result<i64, Error> {
        let number = match value {
            Value::Null => return Err(ErrorKind::MissingField(name.to_owned()).into()),
            Value::Int8(number) => i64::from(number),
            Value::Int16(number) => i64::from(number),
            Value::Int32(number) => i64::from(number),
            Value::Int64(number) => number,
            Value::DateOrTime(days) if matches!(self, Self::Units(_, DAY_MS)) => i64::from(days),
            Value::DateOrTime(_) => return Err(ErrorKind::LogicalType(name.to_owned()).into()),
            // Connect says what it is.
            Value::Timestamp(ms) => return Ok(ms),
            Value::Float32(number) => return self.fractional(f64::from(number), name),
            Value::Float64(number) => return self.fractional(number, name),
            Value::String(text) => match parse_number(text) {
                Some(number) => number,
                // Debezium puts a zone behind a date (`2024-01-02Z`), where Joda wants none.
                None => {
                    let ms = parse_iso(text).or_else(|| parse_iso(text.strip_suffix('Z')?));
                    return ms.ok_or_else(|| ErrorKind::TimestampText(name.to_owned()).into());
                }
            },
            Value::Boolean(_) | Value::Composite => {
                return Err(ErrorKind::UnsupportedType(name.to_owned()).into());
            }
        };
        let ms = match self {
            Self::Units(_, each) => number.checked_mul(each),
            Self::Fractions(of_ms) => Some(number.div_euclid(of_ms)),
            Self::Years => (-200_000_000..200_000_000)
                .contains(&number)
                .then(|| days_from_civil(number, 1, 1) * DAY_MS),
        };
        ms.ok_or_else(|| Error::new(ErrorKind::TimeRange))
    }

    fn fractional(self, number: f64, name: &str) -> Result<i64, Error> {
        match self {
            Self::Units(each, _) => Ok(truncate(number * each)),
            Self::Fractions(1_000) => Ok(truncate(number / 1e3)),
            Self::Fractions(_) => Ok(truncate(number / 1e6)),
            Self::Years => Err(ErrorKind::UnsupportedType(name.to_owned()).into()),
        }
    }
}

fn field_ms(value: Value<'_>, is_map: bool, name: &str) -> Result<i64, Error> {
    Ok(match value {
        Value::Null => return Err(ErrorKind::MissingField(name.to_owned()).into()),
        Value::Int32(ms) => i64::from(ms),
        Value::Int64(ms) | Value::Timestamp(ms) => ms,
        Value::String(text) => {
            parse_text(text).ok_or_else(|| Error::new(ErrorKind::TimestampText(name.to_owned())))?
        }
        Value::Int8(ms) if is_map => i64::from(ms),
        Value::Int16(ms) if is_map => i64::from(ms),
        Value::Float32(ms) if is_map => truncate(f64::from(ms)),
        Value::Float64(ms) if is_map => truncate(ms),
        Value::DateOrTime(_) => return Err(ErrorKind::LogicalType(name.to_owned()).into()),
        _ => return Err(ErrorKind::UnsupportedType(name.to_owned()).into()),
    })
}

#[allow(clippy::cast_possible_truncation, reason = "saturates, as Java's longValue does")]
const fn truncate(number: f64) -> i64 {
    number as i64
}

/// Milliseconds as a number, or a date.
fn parse_text(text: &str) -> Option<i64> {
    parse_number(text).or_else(|| parse_iso(text))
}

/// Digits that fit 64 bits, with a sign or without.
fn parse_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Joda-Time's `dateTimeParser`: any prefix of a date (calendar, ordinal or week), then `T` with
/// any prefix of a time, whose last part may have a fraction, then an offset.
fn parse_iso(text: &str) -> Option<i64> {
    let mut cursor = Cursor { rest: text };
    if cursor.skip_any(&['T', 't']) {
        let time = cursor.time()?;
        return cursor.finish(0, time);
    }
    // The readings of a date overlap (`2024-06` begins `2024-060`); the one that consumes most
    // wins, and the calendar wins a tie.
    let readings = [Cursor::calendar_date, Cursor::ordinal_date, Cursor::week_date];
    let mut best: Option<(Cursor<'_>, Option<i64>)> = None;
    for reading in readings {
        let mut attempt = Cursor { rest: text };
        if let Some(day) = reading(&mut attempt)
            && best.as_ref().is_none_or(|(so_far, _)| attempt.rest.len() < so_far.rest.len())
        {
            best = Some((attempt, day));
        }
    }
    let (mut cursor, day) = best?;
    let day = day?;
    let time = if cursor.skip_any(&['T', 't']) {
        if cursor.rest.starts_with(|c: char| c.is_ascii_digit()) { cursor.time()? } else { 0 }
    } else {
        return cursor.rest.is_empty().then(|| day.checked_mul(DAY_MS)).flatten();
    };
    cursor.finish(day, time)
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn skip_any(&mut self, any: &[char]) -> bool {
        match self.rest.strip_prefix(any) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// One to `most` digits.
    fn number(&mut self, most: usize) -> Option<i64> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some(number)
    }

    fn year(&mut self) -> Option<i64> {
        let negative = match self.rest.bytes().next()? {
            b'-' => true,
            b'+' => false,
            _ => return self.number(9),
        };
        self.skip_any(&['-', '+']);
        self.number(9).map(|year| if negative { -year } else { year })
    }

    /// Each reading gives the days since 1970-01-01, or an inner `None` if the shape fits but the
    /// numbers are no date.
    fn calendar_date(&mut self) -> Option<Option<i64>> {
        let year = self.year()?;
        let (mut month, mut day) = (1, 1);
        if let Some(value) = self.part(2) {
            month = value;
            if let Some(value) = self.part(2) {
                day = value;
            }
        }
        let legal = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        Some(legal.then(|| days_from_civil(year, month, day)))
    }

    fn ordinal_date(&mut self) -> Option<Option<i64>> {
        let year = self.year()?;
        let day = self.part(3)?;
        let legal = (1..=365 + i64::from(is_leap(year))).contains(&day);
        Some(legal.then(|| days_from_civil(year, 1, 1) + day - 1))
    }

    fn week_date(&mut self) -> Option<Option<i64>> {
        let year = self.year()?;
        self.rest = self.rest.strip_prefix("-W").or_else(|| self.rest.strip_prefix("-w"))?;
        let week = self.number(2)?;
        let day = self.part(1).unwrap_or(1);
        let monday = first_week_monday(year);
        let weeks = (first_week_monday(year + 1) - monday) / 7;
        let legal = (1..=weeks).contains(&week) && (1..=7).contains(&day);
        Some(legal.then(|| monday + (week - 1) * 7 + day - 1))
    }

    /// A dash and digits, or nothing at all.
    fn part(&mut self, most: usize) -> Option<i64> {
        let before = *self;
        if self.skip_any(&['-'])
            && let Some(number) = self.number(most)
        {
            return Some(number);
        }
        *self = before;
        None
    }

    /// Milliseconds of the day.
    fn time(&mut self) -> Option<i64> {
        let mut total = 0;
        for (unit, limit) in [(3_600_000, 23), (60_000, 59), (1_000, 59)] {
            if unit != 3_600_000 && !self.skip_any(&[':']) {
                break;
            }
            let number = self.number(2)?;
            if number > limit {
                return None;
            }
            total += number * unit;
            if self.skip_any(&['.', ',']) {
                return Some(total + self.fraction(unit)?);
            }
        }
        Some(total)
    }

    /// Any number of digits, cut to whole milliseconds digit by digit.
    fn fraction(&mut self, unit: i64) -> Option<i64> {
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if digits.is_empty() {
            return None;
        }
        self.rest = rest;
        let mut total = 0;
        let mut weight = unit;
        for digit in digits.bytes() {
            weight /= 10;
            total += i64::from(digit - b'0') * weight;
        }
        Some(total)
    }

    /// An optional offset, then the end.
    fn finish(mut self, day: i64, time: i64) -> Option<i64> {
        let local = day.checked_mul(DAY_MS)?.checked_add(time)?;
        if self.rest.is_empty() || (self.skip_any(&['Z', 'z']) && self.rest.is_empty()) {
            return Some(local);
        }
        let negative = self.rest.starts_with('-');
        if !self.skip_any(&['+', '-']) {
            return None;
        }
        let mut offset = self.exactly_two(23)? * 3_600_000;
        let colons = self.rest.starts_with(':');
        for unit in [60_000, 1_000] {
            if self.rest.is_empty() {
                break;
            }
            if colons && !self.skip_any(&[':']) {
                return None;
            }
            offset += self.exactly_two(59)? * unit;
        }
        if !self.rest.is_empty() {
            return None;
        }
        local.checked_add(if negative { offset } else { -offset })
    }

    fn exactly_two(&mut self, limit: i64) -> Option<i64> {
        let before = self.rest.len();
        let number = self.number(2)?;
        (before - self.rest.len() == 2 && number <= limit).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_a_date() {
        let day = |text: &str| parse_text(text).map(|ms| ms.div_euclid(DAY_MS));
        assert_eq!(day("2024-02"), Some(days_from_civil(2024, 2, 1)));
        assert_eq!(day("2024-060"), Some(days_from_civil(2024, 2, 29)));
        assert_eq!(day("2023-366"), None);
        assert_eq!(day("2024-W05-3"), Some(days_from_civil(2024, 1, 31)));
        assert_eq!(day("2024-W05"), Some(days_from_civil(2024, 1, 29)));
        assert_eq!(day("2023-W53"), None);
        assert_eq!(parse_text("T03:04:05Z"), Some(11_045_000));
        assert_eq!(parse_text("1970-01-01T00:30.5"), Some(1_830_000));
        assert_eq!(parse_text("1970-01-01T00:00:00,1239999999999999"), Some(123));
        for junk in [
            "2024-",
            "2024-01-",
            "2024-W",
            "T",
            "2024-01-01T1:",
            "2024Z",
            "20240102T030405Z",
            "2024-01-01T00:00:00[UTC]",
            " 2024-01-01",
            "2024-01-01 ",
            "99999999999999999999",
            "٣",
        ] {
            assert_eq!(parse_text(junk), None, "{junk}");
        }
    }
}
