//! The binary forms, as the server's send functions write them.

use alloc::{borrow::Cow, boxed::Box, format, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Array, Bound, Dimension, Extended, Numeric, Range, TimeTz, Value, definition::Scope, geometric,
    kind::Kind, text_search,
};
use crate::{Error, ErrorKind, Oid, cursor::Cursor};

/// As many as the server allows.
const MAX_DIMENSIONS: usize = 6;

/// Reads a value that reaches to the end.
pub(super) fn decode<'a>(
    scope: Scope<'_>,
    id: Oid,
    mut cursor: Cursor<'a>,
) -> Result<Value<'a>, Error> {
    let kind = scope.kind(id, cursor.offset())?;
    let value = value(scope, kind, id, &mut cursor)?;
    cursor.finish()?;
    Ok(value)
}

fn value<'a>(
    scope: Scope<'_>,
    kind: Kind<'_>,
    id: Oid,
    cursor: &mut Cursor<'a>,
) -> Result<Value<'a>, Error> {
    Ok(match kind {
        Kind::Bool => Value::Bool(match cursor.u8()? {
            0 => false,
            1 => true,
            _ => return Err(cursor.fail_before(ErrorKind::InvalidValue(id))),
        }),
        Kind::Int2 => Value::Int2(cursor.i16()?),
        Kind::Int4 => Value::Int4(cursor.i32()?),
        Kind::Int8 => Value::Int8(cursor.i64()?),
        Kind::Float4 => Value::Float4(f32::from_bits(cursor.u32()?)),
        Kind::Float8 => Value::Float8(cursor.f64()?),
        Kind::Numeric => Value::Numeric(Numeric::read(cursor)?),
        Kind::Money => Value::Money(cursor.i64()?),
        Kind::Oid | Kind::Object => Value::Oid(cursor.oid()?),
        Kind::Xid8 => Value::Xid8(cursor.u64()?),
        Kind::Lsn => Value::Lsn(cursor.lsn()?),
        Kind::Char => Value::Char(cursor.u8()?),
        Kind::Text => Value::Text(Cow::Borrowed(text(cursor)?)),
        Kind::Json => Value::Json(Cow::Borrowed(text(cursor)?)),
        Kind::Jsonb => Value::Json(Cow::Borrowed(versioned_text(cursor, id)?)),
        Kind::JsonPath => Value::Text(Cow::Borrowed(versioned_text(cursor, id)?)),
        Kind::Bytes => Value::Bytes(Cow::Borrowed(rest(cursor)?)),
        Kind::Unknown => Value::Opaque(Cow::Borrowed(rest(cursor)?)),
        Kind::Bits => bits(cursor)?,
        Kind::Uuid => Value::Uuid(cursor.array()?),
        Kind::Date => Value::Date(Extended::from_days(cursor.i32()?)),
        Kind::Time => Value::Time(cursor.i64()?),
        Kind::TimeTz => {
            // The server counts seconds west.
            let (micros, west) = (cursor.i64()?, cursor.i32()?);
            Value::TimeTz(TimeTz { micros, offset: west.saturating_neg() })
        }
        Kind::Timestamp => Value::Timestamp(Extended::from_micros(cursor.i64()?)),
        Kind::TimestampTz => Value::TimestampTz(Extended::from_micros(cursor.i64()?)),
        Kind::Interval => {
            let (micros, days, months) = (cursor.i64()?, cursor.i32()?, cursor.i32()?);
            Value::Interval(Extended::from_parts(months, days, micros))
        }
        Kind::Inet => {
            let (address, prefix) = network(cursor, id)?;
            Value::Inet(address, prefix)
        }
        Kind::Cidr => {
            let (address, prefix) = network(cursor, id)?;
            Value::Cidr(address, prefix)
        }
        Kind::MacAddr => Value::MacAddr(cursor.array()?),
        Kind::MacAddr8 => Value::MacAddr8(cursor.array()?),
        Kind::Point => Value::Point(geometric::read_point(cursor)?),
        Kind::Line => Value::Line(geometric::read_line(cursor)?),
        Kind::Lseg => Value::Lseg(geometric::read_two(cursor)?),
        Kind::Box => Value::Box(geometric::read_two(cursor)?),
        Kind::Path => Value::Path(geometric::read_path(cursor, id)?),
        Kind::Polygon => Value::Polygon(geometric::read_points(cursor)?),
        Kind::Circle => Value::Circle(geometric::read_circle(cursor)?),
        Kind::Tid => {
            let (block, item) = (cursor.u32()?, cursor.u16()?);
            Value::Text(Cow::Owned(format!("({block},{item})")))
        }
        Kind::Snapshot => snapshot(cursor)?,
        Kind::TsVector => Value::Text(Cow::Owned(text_search::vector(cursor)?)),
        Kind::TsQuery => Value::Text(Cow::Owned(text_search::query(cursor, id)?)),
        Kind::Array(_) | Kind::Vector(_) => Value::Array(array(scope, id, cursor)?),
        Kind::Range(element) => Value::Range(Box::new(range(scope, id, element, cursor)?)),
        Kind::Multirange(element) => {
            let count = cursor.length()?;
            let mut ranges = Vec::new();
            for _ in 0..count {
                let mut body = sized(cursor)?;
                ranges.push(range(scope, id, element, &mut body)?);
                body.finish()?;
            }
            Value::Multirange(ranges)
        }
        Kind::Composite(_) => {
            let inner = scope.inner(cursor.offset())?;
            let count = cursor.length()?;
            let mut fields = Vec::new();
            for _ in 0..count {
                let id = cursor.oid()?;
                fields.push(nullable(inner, id, cursor)?);
            }
            Value::Composite(fields)
        }
        Kind::Hstore => {
            let count = cursor.length()?;
            let mut pairs = Vec::new();
            for _ in 0..count {
                let key = text(&mut sized(cursor)?)?;
                let value = optional(cursor)?.map(|mut value| text(&mut value)).transpose()?;
                pairs.push((Cow::Borrowed(key), value.map(Cow::Borrowed)));
            }
            Value::Hstore(pairs)
        }
    })
}

fn rest<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Error> {
    cursor.bytes(cursor.rest().len())
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
    let at = cursor.offset();
    core::str::from_utf8(rest(cursor)?)
        .map_err(|error| Error::new(ErrorKind::InvalidUtf8, at + error.valid_up_to()))
}

fn versioned_text<'a>(cursor: &mut Cursor<'a>, id: Oid) -> Result<&'a str, Error> {
    match cursor.u8()? {
        1 => text(cursor),
        _ => Err(cursor.fail_before(ErrorKind::InvalidValue(id))),
    }
}

/// A part with its length in front.
fn sized<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, Error> {
    let length = cursor.length()?;
    cursor.split(length)
}

/// The same, where -1 says NULL.
fn optional<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Cursor<'a>>, Error> {
    let mut ahead = *cursor;
    if ahead.i32()? == -1 {
        *cursor = ahead;
        return Ok(None);
    }
    sized(cursor).map(Some)
}

fn nullable<'a>(scope: Scope<'_>, id: Oid, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Error> {
    match optional(cursor)? {
        Some(body) => decode(scope, id, body),
        None => Ok(Value::Null),
    }
}

/// `i32` count of bits and the bytes they fill.
fn bits<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>, Error> {
    let count = cursor.length()?;
    let bytes = cursor.bytes(count.div_ceil(8))?;
    Ok(Value::Bits(u32::try_from(count).unwrap_or(u32::MAX), Cow::Borrowed(bytes)))
}

/// Family (2 and 3, the server's own numbers), bits of the prefix, whether it is a `cidr`, count
/// of bytes, and the address.
fn network(cursor: &mut Cursor<'_>, id: Oid) -> Result<(IpAddr, u8), Error> {
    let at = *cursor;
    let invalid = || at.fail(ErrorKind::InvalidValue(id));
    let [family, prefix, _, length] = cursor.array()?;
    let (address, longest) = match (family, length) {
        (2, 4) => (IpAddr::V4(Ipv4Addr::from(cursor.array::<4>()?)), 32),
        (3, 16) => (IpAddr::V6(Ipv6Addr::from(cursor.array::<16>()?)), 128),
        _ => return Err(invalid()),
    };
    if prefix > longest { Err(invalid()) } else { Ok((address, prefix)) }
}

/// `i32` count, lowest and next transaction id, and the ids between that are running.
fn snapshot(cursor: &mut Cursor<'_>) -> Result<Value<'static>, Error> {
    let count = cursor.length()?;
    let (lowest, next) = (cursor.u64()?, cursor.u64()?);
    let mut out = format!("{lowest}:{next}:");
    for n in 0..count {
        let separator = if n > 0 { "," } else { "" };
        out.push_str(&format!("{separator}{}", cursor.u64()?));
    }
    Ok(Value::Text(Cow::Owned(out)))
}

/// `i32` count of dimensions, `i32` flags, type of the elements, for each dimension its length and
/// lower bound, then the elements.
fn array<'a>(scope: Scope<'_>, id: Oid, cursor: &mut Cursor<'a>) -> Result<Array<'a>, Error> {
    let scope = scope.inner(cursor.offset())?;
    let at = *cursor;
    let invalid = || at.fail(ErrorKind::InvalidValue(id));
    let count = cursor.length()?;
    if count > MAX_DIMENSIONS || cursor.u32()? > 1 {
        return Err(invalid());
    }
    let element_type = cursor.oid()?;
    let mut dimensions = Vec::new();
    let mut total = u32::from(count > 0);
    for _ in 0..count {
        let len = u32::try_from(cursor.length()?).map_err(|_| invalid())?;
        total = total.checked_mul(len).ok_or_else(invalid)?;
        dimensions.push(Dimension { len, lower_bound: cursor.i32()? });
    }
    let mut elements = Vec::new();
    for _ in 0..total {
        elements.push(nullable(scope, element_type, cursor)?);
    }
    Ok(Array { element_type, dimensions, elements })
}

/// A byte of flags, then each bound that is there.
fn range<'a>(
    scope: Scope<'_>,
    id: Oid,
    element: Oid,
    cursor: &mut Cursor<'a>,
) -> Result<Range<'a>, Error> {
    const EMPTY: u8 = 0x01;
    const LOWER_IN: u8 = 0x02;
    const UPPER_IN: u8 = 0x04;
    const NO_LOWER: u8 = 0x08;
    const NO_UPPER: u8 = 0x10;
    let scope = scope.inner(cursor.offset())?;
    let flags = cursor.u8()?;
    if flags & !(EMPTY | LOWER_IN | UPPER_IN | NO_LOWER | NO_UPPER) != 0 {
        return Err(cursor.fail_before(ErrorKind::InvalidValue(id)));
    }
    if flags & EMPTY != 0 {
        return Ok(Range::Empty);
    }
    let mut bound = |none, included| {
        if flags & none != 0 {
            return Ok(Bound::Unbounded);
        }
        let value = decode(scope, element, sized(cursor)?)?;
        Ok(Bound::new(value, flags & included != 0))
    };
    Ok(Range::Between { lower: bound(NO_LOWER, LOWER_IN)?, upper: bound(NO_UPPER, UPPER_IN)? })
}
