//! What a value means beyond its bytes: the logical types of a schema, and their values as numbers,
//! as bytes and as text.
//!
//! [`encode`](crate::encode) and [`decode`](crate::decode) work on the numbers and bytes of the
//! datum. The types here turn those into something to look at, and back:
//!
//! | logical type | type under it | here |
//! |---|---|---|
//! | `decimal` | two's complement in `bytes` or `fixed` | [`Decimal`] with the scale of the schema |
//! | `big-decimal` | number and scale in `bytes` | [`Decimal`] with a scale of its own |
//! | `uuid` | text in `string`, or `fixed` of 16 | [`Uuid`] |
//! | `date` | days since 1970-01-01 in `int` | [`Date`] |
//! | `time-millis`, `time-micros` | since midnight, in `int`, `long` | [`Time`] |
//! | `timestamp-millis`, `-micros`, `-nanos` | since 1970-01-01T00:00:00Z in `long` | [`Timestamp`] |
//! | `local-timestamp-millis`, `-micros`, `-nanos` | the same of no zone | [`LocalTimestamp`] |
//! | `duration` | three numbers in a `fixed` of 12 | [`Duration`] |
//!
//! ```
//! use avro_wire::Schema;
//! use avro_wire::logical::{Date, Decimal};
//!
//! #[derive(serde::Deserialize)]
//! struct Row<'a> { day: i32, price: &'a [u8] }
//!
//! let schema = Schema::parse(r#"{"type":"record","name":"Row","fields":[
//!     {"name":"day","type":{"type":"int","logicalType":"date"}},
//!     {"name":"price","type":
//!         {"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#)?;
//! let row: Row = avro_wire::decode(b"\x02\x04\x04\xd2", &schema)?;
//! assert_eq!(Date::from_days(row.day).to_string(), "1970-01-02");
//! assert_eq!(Decimal::new(row.price, 2).to_string(), "12.34");
//! # Ok::<(), avro_wire::Error>(())
//! ```

mod date;
mod decimal;
mod digits;
mod duration;
mod text;
mod time;
mod uuid;

pub use self::date::Date;
pub use self::decimal::Decimal;
pub use self::duration::Duration;
pub use self::time::{LocalTimestamp, Time, Timestamp};
pub use self::uuid::Uuid;

use alloc::string::String;

use serde_json::{Map, Value};

use crate::table::Node;

/// A logical type, where the schema names one that goes with the type under it.
///
/// Logical types do not change the bytes, so [`encode`](crate::encode) and
/// [`decode`](crate::decode) work on the type under them; unknown or malformed ones are ignored,
/// as the specification asks (Avro 1.12, "Logical Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logical {
    /// Two's complement big-endian number in `bytes` or `fixed`, divided by 10 to the `scale`.
    Decimal {
        /// Digits in all, at least 1.
        precision: u32,
        /// Digits after the point, at most `precision`.
        scale: u32,
    },
    /// A number with its own scale, in `bytes`: the two's complement as `bytes`, then the scale as
    /// `int`.
    BigDecimal,
    /// A UUID: text in `string`, or big-endian in a `fixed` of 16 bytes.
    Uuid,
    /// Days since 1970-01-01, in `int`.
    Date,
    /// Milliseconds after midnight, in `int`.
    TimeMillis,
    /// Microseconds after midnight, in `long`.
    TimeMicros,
    /// Milliseconds since 1970-01-01T00:00:00Z, in `long`.
    TimestampMillis,
    /// Microseconds since 1970-01-01T00:00:00Z, in `long`.
    TimestampMicros,
    /// Nanoseconds since 1970-01-01T00:00:00Z, in `long`.
    TimestampNanos,
    /// Milliseconds since 1970-01-01T00:00:00 of no zone in particular, in `long`.
    LocalTimestampMillis,
    /// Microseconds since 1970-01-01T00:00:00 of no zone in particular, in `long`.
    LocalTimestampMicros,
    /// Nanoseconds since 1970-01-01T00:00:00 of no zone in particular, in `long`.
    LocalTimestampNanos,
    /// Months, days and milliseconds as three little-endian 32-bit numbers, in a `fixed` of 12.
    Duration,
}

impl Logical {
    pub(crate) fn of(node: Node, attributes: &Map<String, Value>) -> Option<Self> {
        let name = attributes.get("logicalType")?.as_str()?;
        Some(match (name, node) {
            ("decimal", Node::Bytes | Node::Fixed(_)) => {
                let number = |key| attributes.get(key).map(|v| u32::try_from(v.as_u64()?).ok());
                let precision = number("precision")??;
                let scale = number("scale").unwrap_or(Some(0))?;
                if precision == 0 || scale > precision {
                    return None;
                }
                Self::Decimal { precision, scale }
            }
            ("big-decimal", Node::Bytes) => Self::BigDecimal,
            ("uuid", Node::String | Node::Fixed(16)) => Self::Uuid,
            ("date", Node::Int) => Self::Date,
            ("time-millis", Node::Int) => Self::TimeMillis,
            ("time-micros", Node::Long) => Self::TimeMicros,
            ("timestamp-millis", Node::Long) => Self::TimestampMillis,
            ("timestamp-micros", Node::Long) => Self::TimestampMicros,
            ("timestamp-nanos", Node::Long) => Self::TimestampNanos,
            ("local-timestamp-millis", Node::Long) => Self::LocalTimestampMillis,
            ("local-timestamp-micros", Node::Long) => Self::LocalTimestampMicros,
            ("local-timestamp-nanos", Node::Long) => Self::LocalTimestampNanos,
            ("duration", Node::Fixed(12)) => Self::Duration,
            _ => return None,
        })
    }
}
