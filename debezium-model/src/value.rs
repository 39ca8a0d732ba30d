//! From the bytes of a column to its mapped value, without allocating: the value borrows from the
//! column or from reused buffers.

mod array;
mod bits;
mod decimal;
mod hstore;
mod java_date;
mod net;
mod print;
mod temporal;
mod usual;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::error::ErrorKind;
use crate::json::push_double;
use crate::kind::{Days, Decimal, Kind, TextType, TimeUnit};
use crate::mapping::{BinaryMode, HstoreMode, IntervalMode};

pub(crate) use array::{ArrayItem, Elements};
#[cfg(feature = "avro")]
pub(crate) use decimal::{fewest_bytes, small_decimal};
pub(crate) use hstore::Ordered;
#[cfg(feature = "avro")]
pub(crate) use net::is_uuid;
pub(crate) use net::push_hex;
pub(crate) use temporal::{civil_from_days, days_from_civil};
#[cfg(feature = "avro")]
pub(crate) use temporal::{usual_micros, usual_utc};

/// The bytes of a column that is neither null nor unchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// One mapped value; also the elements of arrays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// The value has no representation, and Debezium writes null.
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Text(&'a str),
    /// Text, too, whose bytes were checked in a cheaper way than a `str` takes.
    Utf8(&'a [u8]),
    Bytes(&'a [u8]),
    VariableDecimal {
        scale: i32,
        unscaled: &'a [u8],
    },
    Point {
        x: f64,
        y: f64,
    },
}

impl Scalar<'_> {
    /// The value with its text as a `str`, if it is one.
    pub(crate) fn with_str(self) -> Self {
        match self {
            Self::Utf8(bytes) => std::str::from_utf8(bytes).map_or(self, Self::Text),
            other => other,
        }
    }
}

/// What is done about values that Debezium does not give as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As Debezium while streaming.
    Stream,
    /// As Debezium in a snapshot.
    Snapshot,
    /// As they are.
    Exact,
}

/// Reused buffers of a conversion.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueScratch {
    text: String,
    digits: Vec<u8>,
    limbs: Vec<u64>,
    bytes: Vec<u8>,
    pairs: Ordered,
}

/// Converts everything but arrays and `hstore` maps, which have no single value.
pub(crate) fn convert<'a>(
    kind: &Kind,
    raw: Raw<'a>,
    reading: Reading,
    scratch: &'a mut ValueScratch,
) -> Result<Scalar<'a>, ErrorKind> {
    let exact = reading == Reading::Exact;
    Ok(match kind {
        Kind::Bool => Scalar::Bool(match raw {
            Raw::Text(b"t" | b"true") | Raw::Binary([1]) => true,
            Raw::Text(b"f" | b"false") | Raw::Binary([0]) => false,
            _ => return Err(malformed(raw)),
        }),
        Kind::Int16 => Scalar::Int(match raw {
            Raw::Text(text) => integer::<i16>(text)?.into(),
            Raw::Binary(bytes) => i16::from_be_bytes(fixed(bytes)?).into(),
        }),
        Kind::Int32 => Scalar::Int(match raw {
            Raw::Text(text) => integer(text)?,
            Raw::Binary(bytes) => i32::from_be_bytes(fixed(bytes)?),
        }),
        Kind::Int64 => Scalar::Long(match raw {
            Raw::Text(text) => integer(text)?,
            Raw::Binary(bytes) => i64::from_be_bytes(fixed(bytes)?),
        }),
        Kind::Oid => Scalar::Long(match raw {
            Raw::Text(text) => integer::<u32>(text)?.into(),
            Raw::Binary(bytes) => u32::from_be_bytes(fixed(bytes)?).into(),
        }),
        Kind::Float32 => Scalar::Float(match raw {
            Raw::Text(text) => ascii(text)?.parse().map_err(|_| ErrorKind::MalformedText)?,
            Raw::Binary(bytes) => f32::from_be_bytes(fixed(bytes)?),
        }),
        Kind::Float64 => Scalar::Double(match raw {
            Raw::Text(text) => ascii(text)?.parse().map_err(|_| ErrorKind::MalformedText)?,
            Raw::Binary(bytes) => f64::from_be_bytes(fixed(bytes)?),
        }),
        Kind::Numeric(mode) => decimal::numeric(*mode, raw, exact, scratch)?,
        Kind::Money(mode) => decimal::money(*mode, raw, exact, scratch)?,
        Kind::Date(days) if reading == Reading::Snapshot => {
            java_date::snapshot_date(*days, raw, &mut scratch.text)?
        }
        Kind::Date(days) => temporal::date(*days, raw, exact, &mut scratch.text)?,
        Kind::Time(unit) => temporal::time(*unit, raw, exact, &mut scratch.text)?,
        Kind::TimeTz => temporal::time_tz(raw, exact, &mut scratch.text)?,
        Kind::Timestamp(unit) => temporal::timestamp(*unit, raw, exact, &mut scratch.text)?,
        Kind::TimestampTz(digits) => {
            temporal::timestamp_tz(*digits, raw, &mut scratch.bytes, &mut scratch.text)?
        }
        Kind::Interval(mode) => temporal::interval(*mode, raw, &mut scratch.text)?,
        Kind::Text(_) | Kind::Name | Kind::Enum(_) => {
            let (Raw::Text(bytes) | Raw::Binary(bytes)) = raw;
            Scalar::Utf8(utf8(bytes)?)
        }
        Kind::Char => Scalar::Text(char_type(raw, &mut scratch.text)?),
        Kind::Versioned(_) => match raw {
            Raw::Text(bytes) | Raw::Binary([1, bytes @ ..]) => Scalar::Utf8(utf8(bytes)?),
            Raw::Binary(_) => return Err(ErrorKind::MalformedBinary),
        },
        Kind::Opaque(_) => match raw {
            Raw::Text(bytes) => Scalar::Utf8(utf8(bytes)?),
            Raw::Binary(_) => return Err(ErrorKind::UnsupportedBinary),
        },
        Kind::Uuid => Scalar::Utf8(net::uuid(raw, &mut scratch.bytes)?),
        Kind::Inet => Scalar::Text(net::address(raw, false, &mut scratch.text)?),
        Kind::Cidr => Scalar::Text(net::address(raw, true, &mut scratch.text)?),
        Kind::MacAddr => Scalar::Text(net::mac(raw, &mut scratch.text)?),
        Kind::Bytea(mode) => bytea(*mode, raw, scratch)?,
        Kind::BitBool => Scalar::Bool(bits::boolean(raw)?),
        Kind::BitText => Scalar::Text(bits::text(raw, &mut scratch.text)?),
        Kind::Bits(_) => Scalar::Bytes(bits::little_endian(raw, &mut scratch.bytes)?),
        Kind::Point => point(raw)?,
        Kind::Hstore(HstoreMode::Json) => Scalar::Text(hstore::json(
            raw,
            &mut scratch.pairs,
            &mut scratch.bytes,
            &mut scratch.text,
        )?),
        Kind::Unknown(_) | Kind::Geometric(_) if matches!(raw, Raw::Binary(_)) => {
            return Err(ErrorKind::UnsupportedBinary);
        }
        Kind::Unknown(mode) => {
            let (Raw::Text(bytes) | Raw::Binary(bytes)) = raw;
            encoded(*mode, bytes, &mut scratch.text)
        }
        Kind::Geometric(mode) => {
            let (Raw::Text(bytes) | Raw::Binary(bytes)) = raw;
            let ValueScratch { bytes: printed, text, .. } = scratch;
            geometric(ascii(bytes)?, text)?;
            printed.clear();
            printed.extend_from_slice(text.as_bytes());
            encoded(*mode, printed, text)
        }
        Kind::Lost(_) => Scalar::Null,
        Kind::Hstore(HstoreMode::Map) | Kind::Array(..) => return Err(ErrorKind::OutOfRange),
    })
}

/// Converts an element of an array. Debezium reads those of some types in another way than the same
/// value outside of one.
pub(crate) fn convert_element<'a>(
    kind: &Kind,
    raw: Raw<'a>,
    reading: Reading,
    scratch: &'a mut ValueScratch,
) -> Result<Scalar<'a>, ErrorKind> {
    if reading == Reading::Exact {
        return convert(kind, raw, reading, scratch);
    }
    match kind {
        Kind::Date(days) => java_date::snapshot_date(*days, raw, &mut scratch.text),
        Kind::Time(unit) => java_date::time_in_array(*unit, raw, &mut scratch.text),
        Kind::TimeTz => java_date::time_tz_in_array(raw, &mut scratch.text),
        Kind::Timestamp(unit) => java_date::timestamp_in_array(*unit, raw, &mut scratch.text),
        Kind::TimestampTz(digits) => {
            let ValueScratch { bytes, text, .. } = scratch;
            java_date::timestamp_tz_in_array(*digits, raw, bytes, text)
        }
        _ => convert(kind, raw, reading, scratch),
    }
}

/// What a value of the kind is made of when there is none but null is not allowed: the zero of
/// its type, as Connect's struct gives it.
pub(crate) fn zero(kind: &Kind) -> Scalar<'static> {
    match kind {
        Kind::Bool | Kind::BitBool => Scalar::Bool(false),
        Kind::Int16 | Kind::Int32 => Scalar::Int(0),
        Kind::Int64 | Kind::Oid => Scalar::Long(0),
        Kind::Float32 => Scalar::Float(0.0),
        Kind::Float64 => Scalar::Double(0.0),
        Kind::Numeric(mode) | Kind::Money(mode) => match mode {
            Decimal::Fixed(..) => Scalar::Bytes(&[0]),
            Decimal::Variable => Scalar::VariableDecimal { scale: 0, unscaled: &[0] },
            Decimal::Double => Scalar::Double(0.0),
            Decimal::Text(_) => Scalar::Text("0"),
        },
        Kind::Date(Days::Debezium | Days::Connect) => Scalar::Int(0),
        Kind::Date(Days::Iso) => Scalar::Text("1970-01-01Z"),
        Kind::Time(TimeUnit::Millis | TimeUnit::Connect) => Scalar::Int(0),
        Kind::Time(TimeUnit::Micros | TimeUnit::Nanos) => Scalar::Long(0),
        Kind::Time(TimeUnit::Iso) | Kind::TimeTz => Scalar::Text("00:00:00Z"),
        Kind::Timestamp(TimeUnit::Iso) => Scalar::Text("1970-01-01T00:00:00Z"),
        Kind::Timestamp(_) => Scalar::Long(0),
        Kind::TimestampTz(_) => Scalar::Text("1970-01-01T00:00:00Z"),
        Kind::Interval(IntervalMode::Numeric) => Scalar::Long(0),
        Kind::Interval(IntervalMode::String) => Scalar::Text("P0Y0M0DT0H0M0S"),
        Kind::Bytea(BinaryMode::Bytes)
        | Kind::Unknown(BinaryMode::Bytes)
        | Kind::Geometric(BinaryMode::Bytes)
        | Kind::Bits(_) => Scalar::Bytes(&[]),
        Kind::Point => Scalar::Point { x: 0.0, y: 0.0 },
        Kind::Hstore(_) | Kind::Text(TextType::Json) | Kind::Versioned(TextType::Json) => {
            Scalar::Text("{}")
        }
        Kind::Lost(element) => zero(element),
        _ => Scalar::Text(""),
    }
}

fn malformed(raw: Raw<'_>) -> ErrorKind {
    match raw {
        Raw::Text(_) => ErrorKind::MalformedText,
        Raw::Binary(_) => ErrorKind::MalformedBinary,
    }
}

/// The bytes, if they are UTF-8. Most are ASCII, which is seen sooner.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&[u8], ErrorKind> {
    if bytes.is_ascii() { Ok(bytes) } else { utf8_str(bytes).map(str::as_bytes) }
}

fn utf8_str(bytes: &[u8]) -> Result<&str, ErrorKind> {
    std::str::from_utf8(bytes).map_err(|_| ErrorKind::InvalidUtf8)
}

/// Text of a type that prints only ASCII.
fn ascii(bytes: &[u8]) -> Result<&str, ErrorKind> {
    std::str::from_utf8(bytes).map_err(|_| ErrorKind::MalformedText)
}

/// A whole number. All of up to 18 digits fit 64 bits, so that nothing is left to check on the way.
#[inline]
fn integer<T: TryFrom<i64>>(text: &[u8]) -> Result<T, ErrorKind> {
    let value = match small_integer(text) {
        Some(value) => value,
        None => ascii(text)?.parse().map_err(|_| ErrorKind::MalformedText)?,
    };
    T::try_from(value).map_err(|_| ErrorKind::MalformedText)
}

/// One to 18 digits.
#[inline]
pub(crate) fn small_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// The bytes of a type whose binary form has one length.
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ErrorKind> {
    bytes.try_into().map_err(|_| ErrorKind::MalformedBinary)
}

/// `"char"` is any one byte; zero prints as nothing and bytes above ASCII in octal
/// (`charout` in the server sources).
fn char_type<'a>(raw: Raw<'a>, text: &'a mut String) -> Result<&'a str, ErrorKind> {
    match raw {
        Raw::Text(bytes) => utf8_str(bytes),
        Raw::Binary([0]) => Ok(""),
        Raw::Binary(&[byte]) if byte >= 0x80 => {
            text.clear();
            text.push('\\');
            for shift in [6, 3, 0] {
                text.push(char::from(b'0' + ((byte >> shift) & 7)));
            }
            Ok(text)
        }
        Raw::Binary(bytes @ [_]) => utf8_str(bytes),
        Raw::Binary(_) => Err(ErrorKind::MalformedBinary),
    }
}

fn bytea<'a>(
    mode: BinaryMode,
    raw: Raw<'a>,
    scratch: &'a mut ValueScratch,
) -> Result<Scalar<'a>, ErrorKind> {
    let ValueScratch { bytes, text, .. } = scratch;
    let bytes: &'a [u8] = match raw {
        Raw::Binary(value) => value,
        Raw::Text(value) => {
            bytea_text(value, bytes)?;
            bytes
        }
    };
    Ok(encoded(mode, bytes, text))
}

/// Bytes in the form asked for.
fn encoded<'a>(mode: BinaryMode, bytes: &'a [u8], text: &'a mut String) -> Scalar<'a> {
    text.clear();
    match mode {
        BinaryMode::Bytes => return Scalar::Bytes(bytes),
        BinaryMode::Base64 => STANDARD.encode_string(bytes, text),
        BinaryMode::Base64UrlSafe => URL_SAFE.encode_string(bytes, text),
        BinaryMode::Hex => push_hex(bytes, text),
    }
    Scalar::Text(text)
}

/// Both settings of `bytea_output`: `\x` and hexadecimal, or bytes with octal escapes.
fn bytea_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    out.clear();
    if let Some(hex) = text.strip_prefix(b"\\x") {
        let (pairs, rest) = hex.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ErrorKind::MalformedText);
        }
        for [high, low] in pairs {
            let (Some(high), Some(low)) = (net::nibble(*high), net::nibble(*low)) else {
                return Err(ErrorKind::MalformedText);
            };
            out.push(high << 4 | low);
        }
        return Ok(());
    }
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'\\', [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', tail @ ..]) => {
                out.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                tail
            }
            (b'\\', _) => return Err(ErrorKind::MalformedText),
            (byte, tail) => {
                out.push(byte);
                tail
            }
        };
    }
    Ok(())
}

/// The text of a geometric value with its numbers as Java prints them, which is how they come out
/// of the JDBC driver's objects.
fn geometric(value: &str, out: &mut String) -> Result<(), ErrorKind> {
    out.clear();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        if matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',') {
            out.push(c);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let end = rest.find([')', ']', '}', '>', ',']).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| ErrorKind::MalformedText)?;
        push_double(number, out);
        rest = tail;
    }
    Ok(())
}

/// Text `(x,y)`, binary two floats.
fn point(raw: Raw<'_>) -> Result<Scalar<'static>, ErrorKind> {
    let (x, y) = match raw {
        Raw::Text(text) => {
            let inner = ascii(text)?.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
            let (x, y) =
                inner.and_then(|text| text.split_once(',')).ok_or(ErrorKind::MalformedText)?;
            let number = |text: &str| text.parse::<f64>().map_err(|_| ErrorKind::MalformedText);
            (number(x)?, number(y)?)
        }
        Raw::Binary(bytes) => {
            let (x, y) = bytes.split_first_chunk::<8>().ok_or(ErrorKind::MalformedBinary)?;
            (f64::from_be_bytes(*x), f64::from_be_bytes(fixed(y)?))
        }
    };
    Ok(Scalar::Point { x, y })
}
