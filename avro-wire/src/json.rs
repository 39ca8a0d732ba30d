//! Datums as JSON, written straight from their bytes without a value in between.
//!
//! Two forms ([`Form`]): that of the Avro specification, which other implementations read back,
//! and a plain one for people and for programs that know nothing of Avro.
//!
//! | type | [`Form::Avro`] | [`Form::Plain`] |
//! |---|---|---|
//! | union | `null`, or `{"branch":value}` | the value alone |
//! | `bytes`, `fixed` | a string, each byte as the code point of its number | Base64 (RFC 4648, with `=`) |
//! | `decimal`, `big-decimal` | as its bytes | its digits as a string: `"12.30"` |
//! | `date`, `time-…`, `timestamp-…`, `local-timestamp-…` | the number | ISO 8601 as a string |
//! | `uuid` | text, or as its bytes | text |
//! | `duration` | as its bytes | ISO 8601 as a string: `"P1M2DT6S"` |
//! | all others | the JSON of that name; enums as strings | the same |
//!
//! Both forms:
//! * `float` and `double` have the fewest digits that read back as the same number. What JSON
//!   has no number for is a string, as Java's encoder has it: `"NaN"`, `"Infinity"`,
//!   `"-Infinity"`.
//! * A `long` is a JSON number with all its digits. Readers that keep numbers in floating point
//!   lose some beyond 2⁵³.
//! * Entries of a map come in the order of the datum, and twice if they are there twice.
//! * No white space; strings are UTF-8, escaped only where JSON asks for it.
//!
//! In the plain form, values that do not go with their logical type are shown as the type under
//! it: a time outside of the day, `big-decimal` bytes that hold no number and scale. Decimals with
//! more than 1,000 digits after the point have an exponent where that is shorter; see
//! [`Decimal`].

mod out;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use self::out::{Bytes, write_base64, write_latin1, write_quoted, write_string};
use crate::logical::{Date, Decimal, Duration, LocalTimestamp, Time, Timestamp, Uuid};
use crate::skip::Walk;
use crate::table::{Node, Record};
use crate::{Error, ErrorKind, Logical, Schema};

/// How a datum is shown; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// The JSON encoding of the specification (Avro 1.12, "JSON Encoding").
    Avro,
    /// No names of branches; logical types as what they mean.
    Plain,
}

/// Appends the one datum in `datum` to `out` as JSON; on an error `out` keeps its old length.
///
/// ```
/// use avro_wire::Schema;
/// use avro_wire::json::{self, Form};
///
/// let schema = Schema::parse(r#"["null",{"type":"int","logicalType":"date"}]"#)?;
/// let mut out = Vec::new();
/// json::encode(b"\x02\xa2\x97\x01", &schema, Form::Avro, &mut out)?;
/// assert_eq!(out, br#"{"int":9681}"#);
/// out.clear();
/// json::encode(b"\x02\xa2\x97\x01", &schema, Form::Plain, &mut out)?;
/// assert_eq!(out, br#""1996-07-04""#);
/// # Ok::<(), avro_wire::Error>(())
/// ```
///
/// # Errors
/// Those of [`ErrorKind::is_data`], with [`Error::offset`] and [`Error::field`]. Bytes after the
/// datum are an error. In the plain form also [`ErrorKind::NumberSize`]: decimals beyond 64 KiB,
/// because their digits take time by the square of the length.
pub fn encode(datum: &[u8], schema: &Schema, form: Form, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let result = run(datum, schema, form, &mut Bytes(out));
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The one datum in `datum` as JSON.
///
/// ```
/// use avro_wire::Schema;
/// use avro_wire::json::{self, Form};
///
/// let schema = Schema::parse(r#"{"type":"record","name":"Row","fields":[
///     {"name":"id","type":"long"},{"name":"note","type":["null","string"]}]}"#)?;
/// let text = json::to_string(b"\x02\x02\x06tea", &schema, Form::Plain)?;
/// assert_eq!(text, r#"{"id":1,"note":"tea"}"#);
/// let text = json::to_string(b"\x02\x02\x06tea", &schema, Form::Avro)?;
/// assert_eq!(text, r#"{"id":1,"note":{"string":"tea"}}"#);
/// # Ok::<(), avro_wire::Error>(())
/// ```
///
/// # Errors
/// As [`encode`].
pub fn to_string(datum: &[u8], schema: &Schema, form: Form) -> Result<String, Error> {
    let mut out = String::new();
    run(datum, schema, form, &mut out)?;
    Ok(out)
}

/// Writes the one datum in `datum` to `out` as JSON, in pieces of a few KiB. Feature `std`.
///
/// # Errors
/// Those of `out`; of the kind `InvalidData` with the [`Error`] of [`encode`] inside for a datum
/// that is broken, of which a part may have been written by then.
#[cfg(feature = "std")]
pub fn write(
    datum: &[u8],
    schema: &Schema,
    form: Form,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let mut out = out::Chunks::new(out);
    let result = run(datum, schema, form, &mut out);
    out.finish()?;
    result.map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

fn run<W: Write>(datum: &[u8], schema: &Schema, form: Form, out: &mut W) -> Result<(), Error> {
    let walk = Walk::new(schema.table(), datum);
    let mut writer = Writer { walk, out, form };
    writer.value(schema.slot()).map_err(|error| error.or_offset(writer.walk.reader.offset()))?;
    writer.walk.reader.finish()
}

/// The longest decimal that is turned into digits, in bytes: 157,827 digits, which is more than
/// `numeric` of PostgreSQL has.
const DECIMAL_LIMIT: usize = 64 << 10;

/// The most digits after the point that are written out, though most of them may be zeros.
const PLAIN_SCALE: u32 = 1000;

struct Writer<'s, 'a, 'o, W> {
    walk: Walk<'s, 'a>,
    out: &'o mut W,
    form: Form,
}

impl<'s, W: Write> Writer<'s, '_, '_, W> {
    /// Writes one value of the type in `slot`.
    fn value(&mut self, slot: u32) -> Result<(), Error> {
        let table = self.walk.table;
        let logical = match self.form {
            Form::Avro => None,
            Form::Plain => table.slots.get(slot as usize).and_then(|slot| slot.logical),
        };
        match table.node(slot) {
            Node::Null => self.text("null"),
            Node::Boolean => {
                let value = self.walk.reader.read_boolean()?;
                self.text(if value { "true" } else { "false" })
            }
            Node::Int => {
                let value = self.walk.reader.read_int()?;
                self.int(value, logical)
            }
            Node::Long => {
                let value = self.walk.reader.read_long()?;
                self.long(value, logical)
            }
            Node::Float => {
                let value = self.walk.reader.read_float()?;
                self.float(f64::from(value), value)
            }
            Node::Double => {
                let value = self.walk.reader.read_double()?;
                self.float(value, value)
            }
            Node::Bytes => {
                let value = self.walk.reader.read_bytes()?;
                self.bytes(value, logical)
            }
            Node::String => {
                let value = self.walk.reader.read_str()?;
                done(write_string(self.out, value))
            }
            Node::Fixed(size) => {
                let value = self.walk.reader.read_fixed(size as usize)?;
                self.bytes(value, logical)
            }
            Node::Enum(index) => {
                let symbol = self.walk.symbol(index)?;
                done(write_string(self.out, symbol))
            }
            Node::Option { null_first, inner } => {
                if self.walk.is_some(null_first)? {
                    self.branch(inner)
                } else {
                    self.text("null")
                }
            }
            Node::Union(index) => {
                let branch = *self.walk.branch(index)?;
                if branch.node == Node::Null { self.text("null") } else { self.branch(branch.slot) }
            }
            Node::Record(index) => self.record(table.record(index)),
            Node::Array(item) => self.items(item, false),
            Node::Map(item) => self.items(item, true),
            // Only tables of a resolution have these.
            Node::Resolved(_) | Node::Byte => Err(Error::new(ErrorKind::Unresolvable)),
        }
    }

    fn branch(&mut self, slot: u32) -> Result<(), Error> {
        match self.form {
            Form::Plain => self.value(slot),
            Form::Avro => {
                self.text("{")?;
                done(write_string(self.out, self.walk.table.type_name(slot)))?;
                self.text(":")?;
                self.value(slot)?;
                self.text("}")
            }
        }
    }

    fn record(&mut self, record: &'s Record) -> Result<(), Error> {
        self.walk.descend()?;
        if record.min_size == 0 && self.walk.take_empty(1).is_none() {
            return Err(self.walk.reader.error(ErrorKind::ItemCount { count: 1 }));
        }
        let mut separator = "{";
        for field in &record.fields {
            self.text(separator)?;
            separator = ",";
            done(write_string(self.out, &field.name))?;
            self.text(":")?;
            self.value(field.slot).map_err(|error| self.walk.in_field(error, field))?;
        }
        self.walk.depth += 1;
        self.text(if record.fields.is_empty() { "{}" } else { "}" })
    }

    fn items(&mut self, item: u32, keyed: bool) -> Result<(), Error> {
        let node = self.walk.table.node_ref(item);
        self.walk.descend()?;
        let (mut separator, close) = if keyed { ("{", "}") } else { ("[", "]") };
        let open = separator;
        loop {
            let block = self.walk.block(node, keyed)?;
            if block.count == 0 {
                break;
            }
            for _ in 0..block.count {
                self.text(separator)?;
                separator = ",";
                if keyed {
                    let key = self.walk.reader.read_str()?;
                    done(write_string(self.out, key))?;
                    self.text(":")?;
                }
                self.value(item)?;
            }
            self.walk.end_block(block.end)?;
        }
        self.walk.depth += 1;
        if separator == open {
            self.text(open)?;
        }
        self.text(close)
    }

    fn int(&mut self, value: i32, logical: Option<Logical>) -> Result<(), Error> {
        let time = match logical {
            Some(Logical::Date) => return self.quoted(Date::from_days(value)),
            Some(Logical::TimeMillis) => Time::from_millis(value),
            _ => None,
        };
        match time {
            Some(time) => self.quoted(time),
            None => done(write!(self.out, "{value}")),
        }
    }

    fn long(&mut self, value: i64, logical: Option<Logical>) -> Result<(), Error> {
        use Logical as L;
        match logical {
            Some(L::TimestampMillis) => self.quoted(Timestamp::from_millis(value)),
            Some(L::TimestampMicros) => self.quoted(Timestamp::from_micros(value)),
            Some(L::TimestampNanos) => self.quoted(Timestamp::from_nanos(value)),
            Some(L::LocalTimestampMillis) => self.quoted(LocalTimestamp::from_millis(value)),
            Some(L::LocalTimestampMicros) => self.quoted(LocalTimestamp::from_micros(value)),
            Some(L::LocalTimestampNanos) => self.quoted(LocalTimestamp::from_nanos(value)),
            Some(L::TimeMicros) => match Time::from_micros(value) {
                Some(time) => self.quoted(time),
                None => done(write!(self.out, "{value}")),
            },
            _ => done(write!(self.out, "{value}")),
        }
    }

    /// `text` has the digits of the type that was read: a float has fewer than a double.
    fn float(&mut self, value: f64, text: impl fmt::Debug) -> Result<(), Error> {
        if value.is_nan() {
            self.text("\"NaN\"")
        } else if value.is_infinite() {
            self.text(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
        } else {
            // `Debug` turns to exponents where numbers get long, in the form that JSON has.
            done(write!(self.out, "{text:?}"))
        }
    }

    fn bytes(&mut self, value: &[u8], logical: Option<Logical>) -> Result<(), Error> {
        match logical {
            Some(Logical::Decimal { scale, .. }) => {
                self.check_decimal(value)?;
                let decimal = Decimal::new(value, i32::try_from(scale).unwrap_or(i32::MAX));
                if scale <= PLAIN_SCALE {
                    self.quoted(format_args!("{decimal:#}"))
                } else {
                    self.quoted(decimal)
                }
            }
            Some(Logical::BigDecimal) => match Decimal::decode_big(value) {
                Ok(decimal) => {
                    self.check_decimal(value)?;
                    self.quoted(decimal)
                }
                Err(_) => self.raw(value),
            },
            Some(Logical::Uuid) => match value.try_into() {
                Ok(value) => self.quoted(Uuid::from_bytes(value)),
                Err(_) => self.raw(value),
            },
            Some(Logical::Duration) => match value.try_into() {
                Ok(value) => self.quoted(Duration::from_bytes(value)),
                Err(_) => self.raw(value),
            },
            _ => self.raw(value),
        }
    }

    fn raw(&mut self, value: &[u8]) -> Result<(), Error> {
        done(match self.form {
            Form::Avro => write_latin1(self.out, value),
            Form::Plain => write_base64(self.out, value),
        })
    }

    fn check_decimal(&self, value: &[u8]) -> Result<(), Error> {
        match value.len() {
            size if size > DECIMAL_LIMIT => {
                Err(self.walk.reader.error(ErrorKind::NumberSize { size }))
            }
            _ => Ok(()),
        }
    }

    fn quoted(&mut self, value: impl fmt::Display) -> Result<(), Error> {
        done(write_quoted(self.out, value))
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<(), Error> {
        done(self.out.write_str(text))
    }
}

/// Only [`write`] has an output that can fail, and it keeps the reason itself.
#[inline]
fn done(result: fmt::Result) -> Result<(), Error> {
    result.map_err(|fmt::Error| Error::new(ErrorKind::Value))
}
