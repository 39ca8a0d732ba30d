//! The text forms, as the server's output functions write them.

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::{net::IpAddr, str::FromStr};

use super::{
    Array, Bound, Dimension, Extended, Interval, Numeric, Range, Value,
    definition::Scope,
    geometric,
    kind::Kind,
    output::{Elements, Parts},
    temporal,
};
use crate::{Error, ErrorKind, Oid};

/// Reads a value. `at` is where it begins in the column, for errors.
pub(super) fn decode<'a>(
    scope: Scope<'_>,
    id: Oid,
    text: &'a str,
    at: usize,
) -> Result<Value<'a>, Error> {
    let kind = scope.kind(id, at)?;
    let invalid = || Error::new(ErrorKind::InvalidValue(id), at);
    match kind {
        Kind::Array(element) => array(scope.inner(at)?, id, element, text, at).map(Value::Array),
        Kind::Vector(element) => vector(scope.inner(at)?, element, text, at).map(Value::Array),
        Kind::Range(element) => {
            let (range, rest) = range(scope.inner(at)?, id, element, text, at)?;
            if rest.is_empty() { Ok(Value::Range(Box::new(range))) } else { Err(invalid()) }
        }
        Kind::Multirange(element) => multirange(scope.inner(at)?, id, element, text, at),
        Kind::Composite(fields) => composite(scope.inner(at)?, id, fields, text, at),
        kind => scalar(kind, text).ok_or_else(invalid),
    }
}

/// A part of a larger value, which borrows only if it stands there as it is.
fn part<'a>(scope: Scope<'_>, id: Oid, text: Cow<'a, str>, at: usize) -> Result<Value<'a>, Error> {
    match text {
        Cow::Borrowed(text) => decode(scope, id, text, at),
        Cow::Owned(text) => decode(scope, id, &text, at).map(Value::into_owned),
    }
}

fn scalar<'a>(kind: Kind<'_>, text: &'a str) -> Option<Value<'a>> {
    Some(match kind {
        Kind::Bool => Value::Bool(match text {
            "t" => true,
            "f" => false,
            _ => return None,
        }),
        Kind::Int2 => Value::Int2(number(text)?),
        Kind::Int4 => Value::Int4(number(text)?),
        Kind::Int8 => Value::Int8(number(text)?),
        Kind::Float4 => Value::Float4(float(text)?),
        Kind::Float8 => Value::Float8(float(text)?),
        Kind::Numeric => Value::Numeric(Numeric::parse(text)?),
        Kind::Money => Value::Money(money(text)?),
        Kind::Oid => Value::Oid(Oid::new(number(text)?)),
        Kind::Xid8 => Value::Xid8(number(text)?),
        Kind::Lsn => Value::Lsn(text.parse().ok()?),
        Kind::Char => Value::Char(char(text)?),
        Kind::Json | Kind::Jsonb => Value::Json(Cow::Borrowed(text)),
        Kind::Bytes => Value::Bytes(Cow::Owned(bytes(text)?)),
        Kind::Bits => bits(text)?,
        Kind::Uuid => {
            let digits: String = text.chars().filter(|char| *char != '-').collect();
            Value::Uuid(hex(&digits)?.try_into().ok()?)
        }
        Kind::Date => Value::Date(Extended::parse(text, temporal::parse_date)?),
        Kind::Time => Value::Time(temporal::parse_time(text)?),
        Kind::TimeTz => Value::TimeTz(temporal::parse_time_tz(text)?),
        Kind::Timestamp => Value::Timestamp(Extended::parse(text, temporal::parse_timestamp)?),
        Kind::TimestampTz => {
            Value::TimestampTz(Extended::parse(text, temporal::parse_timestamp_tz)?)
        }
        Kind::Interval => {
            let parsed = Extended::parse(text, temporal::parse_interval)?;
            Value::Interval(match parsed {
                Extended::Finite(Interval { months, days, micros }) => {
                    Extended::from_parts(months, days, micros)
                }
                infinite => infinite,
            })
        }
        Kind::Inet => {
            let (address, prefix) = network(text)?;
            Value::Inet(address, prefix)
        }
        Kind::Cidr => {
            let (address, prefix) = network(text)?;
            Value::Cidr(address, prefix)
        }
        Kind::MacAddr => Value::MacAddr(mac(text)?.try_into().ok()?),
        Kind::MacAddr8 => Value::MacAddr8(mac(text)?.try_into().ok()?),
        Kind::Point => geometric::parse_point(text)?,
        Kind::Line => geometric::parse_line(text)?,
        Kind::Lseg => geometric::parse_lseg(text)?,
        Kind::Box => geometric::parse_box(text)?,
        Kind::Path => geometric::parse_path(text)?,
        Kind::Polygon => geometric::parse_polygon(text)?,
        Kind::Circle => geometric::parse_circle(text)?,
        Kind::Hstore => hstore(text)?,
        Kind::Text
        | Kind::Object
        | Kind::JsonPath
        | Kind::Tid
        | Kind::Snapshot
        | Kind::TsVector
        | Kind::TsQuery
        | Kind::Unknown => Value::Text(Cow::Borrowed(text)),
        Kind::Array(_)
        | Kind::Vector(_)
        | Kind::Range(_)
        | Kind::Multirange(_)
        | Kind::Composite(_) => return None,
    })
}

/// A whole number; the server never prints a plus sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// A float, in the shortest form that gives it back; `NaN` and `Infinity` as Rust reads them.
fn float<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// `-$1,234.56`, `1.234,56 €`, `($1.00)`: the digits, whatever stands between them.
fn money(text: &str) -> Option<i64> {
    let negative = text.contains(['-', '(']);
    let mut any = false;
    let mut value = 0_i64;
    for byte in text.bytes().filter(u8::is_ascii_digit) {
        any = true;
        let digit = i64::from(byte - b'0');
        value = value.checked_mul(10)?;
        // Downwards for negative numbers, since there is one more of them.
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    any.then_some(value)
}

/// A byte, or for one above 127 a backslash and three octal digits.
fn char(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [] => Some(0),
        [byte] => Some(byte),
        [b'\\', ..] if text.len() == 4 => u8::from_str_radix(text.get(1..)?, 8).ok(),
        _ => None,
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?)).collect()
}

/// `\x01ab`, or with `bytea_output` escape the bytes with `\\` and `\ooo` among them.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        return hex(digits);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = after;
        } else {
            let (digits, after) = rest.split_first_chunk::<3>()?;
            let octal = core::str::from_utf8(digits).ok()?;
            out.push(u8::from_str_radix(octal, 8).ok()?);
            rest = after;
        }
    }
    Some(out)
}

fn bits(text: &str) -> Option<Value<'static>> {
    let mut out = Vec::with_capacity(text.len().div_ceil(8));
    for chunk in text.as_bytes().chunks(8) {
        let mut byte = 0;
        for (place, bit) in chunk.iter().enumerate() {
            match bit {
                b'0' => {}
                b'1' => byte |= 0x80 >> place,
                _ => return None,
            }
        }
        out.push(byte);
    }
    Some(Value::Bits(u32::try_from(text.len()).ok()?, Cow::Owned(out)))
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(number(prefix)?)),
        None => (text, None),
    };
    let address = IpAddr::from_str(address).ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    (prefix <= longest).then_some((address, prefix))
}

fn mac(text: &str) -> Option<Vec<u8>> {
    text.split(':')
        .map(|part| if part.len() == 2 { u8::from_str_radix(part, 16).ok() } else { None })
        .collect()
}

/// `"a"=>"1", "b"=>NULL`
fn hstore(text: &str) -> Option<Value<'_>> {
    let mut pairs = Vec::new();
    let mut parts = Parts::new(text);
    while !parts.is_empty() {
        if !pairs.is_empty() {
            parts.skip(", ")?;
        }
        let key = parts.quoted()?;
        parts.skip("=>")?;
        let value = if parts.skip("NULL").is_some() { None } else { Some(parts.quoted()?) };
        pairs.push((key, value));
    }
    Some(Value::Hstore(pairs))
}

/// `{1,2}`, `[0:1][2:2]={{1},{NULL}}`, with semicolons between boxes.
fn array<'a>(
    scope: Scope<'_>,
    id: Oid,
    element_type: Oid,
    text: &'a str,
    at: usize,
) -> Result<Array<'a>, Error> {
    let invalid = || Error::new(ErrorKind::InvalidValue(id), at);
    let is_box = matches!(scope.kind(element_type, at)?, Kind::Box);
    let mut reader = Elements::new(text, if is_box { ';' } else { ',' }).ok_or_else(invalid)?;
    let mut elements = Vec::new();
    while let Some((value, offset)) = reader.next_element().ok_or_else(invalid)? {
        elements.push(match value {
            Some(text) => part(scope, element_type, text, at + offset)?,
            None => Value::Null,
        });
    }
    let dimensions = reader.dimensions(elements.len()).ok_or_else(invalid)?;
    Ok(Array { element_type, dimensions, elements })
}

/// `1 2 3`
fn vector<'a>(
    scope: Scope<'_>,
    element_type: Oid,
    text: &'a str,
    at: usize,
) -> Result<Array<'a>, Error> {
    let mut elements = Vec::new();
    let mut offset = at;
    for word in text.split(' ').filter(|_| !text.is_empty()) {
        elements.push(decode(scope, element_type, word, offset)?);
        offset += word.len() + 1;
    }
    let len = u32::try_from(elements.len()).unwrap_or(u32::MAX);
    let dimensions = Vec::from([Dimension { len, lower_bound: 0 }]);
    Ok(Array { element_type, dimensions, elements })
}

/// `empty`, `[1,5)`, `(,"a b"]`; gives what stands behind it, too.
fn range<'a>(
    scope: Scope<'_>,
    id: Oid,
    element: Oid,
    text: &'a str,
    at: usize,
) -> Result<(Range<'a>, &'a str), Error> {
    let invalid = || Error::new(ErrorKind::InvalidValue(id), at);
    if let Some(rest) = text.strip_prefix("empty") {
        return Ok((Range::Empty, rest));
    }
    let mut parts = Parts::new(text);
    let lower_in = match parts.take() {
        Some('[') => true,
        Some('(') => false,
        _ => return Err(invalid()),
    };
    let lower_at = at + parts.offset();
    let lower = parts.field(&[',']).ok_or_else(invalid)?;
    parts.skip(",").ok_or_else(invalid)?;
    let upper_at = at + parts.offset();
    let upper = parts.field(&[')', ']']).ok_or_else(invalid)?;
    let upper_in = match parts.take() {
        Some(']') => true,
        Some(')') => false,
        _ => return Err(invalid()),
    };
    let bound = |text: Option<Cow<'a, str>>, included, at| match text {
        Some(text) => Ok(Bound::new(part(scope, element, text, at)?, included)),
        None => Ok(Bound::Unbounded),
    };
    let (lower, upper) = (bound(lower, lower_in, lower_at)?, bound(upper, upper_in, upper_at)?);
    Ok((Range::Between { lower, upper }, parts.rest()))
}

/// `{[1,3),[5,7)}`
fn multirange<'a>(
    scope: Scope<'_>,
    id: Oid,
    element: Oid,
    text: &'a str,
    at: usize,
) -> Result<Value<'a>, Error> {
    let invalid = || Error::new(ErrorKind::InvalidValue(id), at);
    let mut rest = text.strip_prefix('{').ok_or_else(invalid)?;
    let mut ranges = Vec::new();
    while rest != "}" {
        if !ranges.is_empty() {
            rest = rest.strip_prefix(',').ok_or_else(invalid)?;
        }
        let offset = at + (text.len() - rest.len());
        let (range, after) = range(scope, id, element, rest, offset)?;
        ranges.push(range);
        rest = after;
    }
    Ok(Value::Multirange(ranges))
}

/// `(1,"a b",)`: nothing at all is NULL. Fields of unknown types stay text.
fn composite<'a>(
    scope: Scope<'_>,
    id: Oid,
    types: Option<&[Oid]>,
    text: &'a str,
    at: usize,
) -> Result<Value<'a>, Error> {
    const TEXT: Oid = Oid::new(25);
    let invalid = || Error::new(ErrorKind::InvalidValue(id), at);
    // No fields at all and one that is NULL look the same.
    if text == "()" && types.is_none_or(<[Oid]>::is_empty) {
        return Ok(Value::Composite(Vec::new()));
    }
    let mut parts = Parts::new(text);
    parts.skip("(").ok_or_else(invalid)?;
    let mut fields = Vec::new();
    loop {
        let id = match types {
            Some(types) => *types.get(fields.len()).ok_or_else(invalid)?,
            None => TEXT,
        };
        let offset = at + parts.offset();
        fields.push(match parts.field(&[',', ')']).ok_or_else(invalid)? {
            Some(text) => part(scope, id, text, offset)?,
            None => Value::Null,
        });
        match parts.take() {
            Some(',') => {}
            Some(')') => break,
            _ => return Err(invalid()),
        }
    }
    let complete = types.is_none_or(|types| types.len() == fields.len());
    if complete && parts.is_empty() { Ok(Value::Composite(fields)) } else { Err(invalid()) }
}
