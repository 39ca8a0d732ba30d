//! A value to a datum.

use apache_avro::types::Value;
use apache_avro::{BigDecimal, Decimal};

use crate::table::{DEPTH_LIMIT, Node, Record, Table};
use crate::{Error, ErrorKind, Schema, primitive};

pub(super) fn encode(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), Error> {
    write(value, schema.table(), *schema.root(), DEPTH_LIMIT, out)
}

fn write(
    value: &Value,
    table: &Table,
    node: Node,
    depth: u8,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match (node, value) {
        (Node::Option { .. } | Node::Union(_), _) => write_union(value, table, node, depth, out)?,
        (Node::Null, Value::Null) => {}
        (Node::Boolean, Value::Boolean(value)) => primitive::write_boolean(*value, out),
        (Node::Int, _) => primitive::write_int(int_of(value).ok_or_else(mismatch)?, out),
        (Node::Long, _) => primitive::write_long(long_of(value).ok_or_else(mismatch)?, out),
        (Node::Float, Value::Float(value)) => primitive::write_float(*value, out),
        (Node::Double, Value::Double(value)) => primitive::write_double(*value, out),
        (Node::Double, Value::Float(value)) => primitive::write_double(f64::from(*value), out),
        (Node::Bytes, Value::Bytes(value) | Value::Fixed(_, value)) => {
            primitive::write_bytes(value, out);
        }
        (Node::Bytes, Value::Decimal(value)) => primitive::write_bytes(&unscaled(value)?, out),
        (Node::Bytes, Value::BigDecimal(value)) => {
            primitive::write_bytes(&big_decimal(value), out);
        }
        (Node::Bytes, Value::Uuid(value)) => primitive::write_bytes(value.as_bytes(), out),
        (Node::Fixed(size), _) => write_fixed(value, size as usize, out)?,
        (Node::String, Value::String(value)) => primitive::write_string(value, out),
        (Node::String, Value::Uuid(value)) => primitive::write_string(&value.to_string(), out),
        (Node::Enum(index), Value::Enum(_, symbol) | Value::String(symbol)) => {
            let position = table.enumeration(index).position(symbol);
            let position =
                position.ok_or_else(|| Error::named(ErrorKind::UnknownVariant, symbol))?;
            primitive::write_length(position, out);
        }
        (Node::Array(item), Value::Array(items)) => {
            let (node, depth) = (table.node(item), descend(depth)?);
            count(items.len(), out);
            for item in items {
                write(item, table, node, depth, out)?;
            }
            out.push(0);
        }
        (Node::Map(item), Value::Map(entries)) => {
            let (node, depth) = (table.node(item), descend(depth)?);
            count(entries.len(), out);
            for (key, value) in entries {
                primitive::write_string(key, out);
                write(value, table, node, depth, out)?;
            }
            out.push(0);
        }
        (Node::Record(index), Value::Record(_) | Value::Map(_)) => {
            write_record(value, table, table.record(index), descend(depth)?, out)?;
        }
        _ => return Err(mismatch()),
    }
    Ok(())
}

fn write_record(
    value: &Value,
    table: &Table,
    record: &Record,
    depth: u8,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    if let Some(name) = unknown_field(value, record) {
        return Err(Error::named(ErrorKind::UnknownField, name));
    }
    for (position, field) in record.fields.iter().enumerate() {
        let aliases = record.aliases.iter().filter(|(of, _)| *of == position);
        let found = field_of(value, position, &field.name)
            .or_else(|| aliases.into_iter().find_map(|(_, name)| field_of(value, position, name)));
        match (found, field.default.as_ref().and_then(|default| default.datum.as_deref())) {
            (Some(value), _) => write(value, table, field.node, depth, out)
                .map_err(|error| error.in_field(&field.name))?,
            (None, Some(datum)) => out.extend_from_slice(datum),
            (None, None) => return Err(Error::new(ErrorKind::MissingField).in_field(&field.name)),
        }
    }
    Ok(())
}

/// The field `name`, which mostly stands where the schema has it.
fn field_of<'v>(value: &'v Value, position: usize, name: &str) -> Option<&'v Value> {
    match value {
        Value::Record(fields) => {
            let here = fields.get(position).filter(|(found, _)| found == name);
            let found = here.or_else(|| fields.iter().find(|(found, _)| found == name));
            found.map(|(_, value)| value)
        }
        Value::Map(entries) => entries.get(name),
        _ => None,
    }
}

fn unknown_field<'v>(value: &'v Value, record: &Record) -> Option<&'v str> {
    let is_unknown = |name: &str| {
        record.position(name).is_none() && !record.aliases.iter().any(|(_, alias)| alias == name)
    };
    match value {
        Value::Record(fields) => {
            fields.iter().map(|(name, _)| name.as_str()).find(|name| is_unknown(name))
        }
        Value::Map(entries) => entries.keys().map(String::as_str).find(|name| is_unknown(name)),
        _ => None,
    }
}

fn write_union(
    value: &Value,
    table: &Table,
    node: Node,
    depth: u8,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let branches = match node {
        Node::Option { null_first: true, inner } => vec![Node::Null, table.node(inner)],
        Node::Option { inner, .. } => vec![table.node(inner), Node::Null],
        Node::Union(index) => table.branches(index).iter().map(|branch| branch.node).collect(),
        _ => return Err(mismatch()),
    };
    let (position, value) = match value {
        Value::Union(position, value) => (*position as usize, &**value),
        _ => {
            let exact = branches.iter().position(|&node| fits(value, table, node));
            // An int has its bytes as a long, too.
            let wider = || {
                let long = branches.iter().position(|&node| node == Node::Long);
                int_of(value).and(long)
            };
            (exact.or_else(wider).ok_or_else(mismatch)?, value)
        }
    };
    let node = *branches.get(position).ok_or_else(mismatch)?;
    primitive::write_length(position, out);
    write(value, table, node, depth, out)
}

/// Whether a value without its branch may be one of the type `node`. What is inside of arrays,
/// maps and fields is not looked at.
fn fits(value: &Value, table: &Table, node: Node) -> bool {
    match (node, value) {
        (Node::Null, Value::Null)
        | (Node::Boolean, Value::Boolean(_))
        | (Node::Float, Value::Float(_))
        | (Node::Double, Value::Double(_))
        | (Node::Bytes, Value::Bytes(_) | Value::Decimal(_) | Value::BigDecimal(_))
        | (Node::String, Value::String(_) | Value::Uuid(_))
        | (Node::Array(_), Value::Array(_))
        | (Node::Map(_), Value::Map(_)) => true,
        (Node::Int, _) => int_of(value).is_some(),
        (Node::Long, _) => long_of(value).is_some() && int_of(value).is_none(),
        (Node::Fixed(size), Value::Fixed(_, bytes)) => bytes.len() == size as usize,
        (Node::Fixed(size), Value::Duration(_)) => size == 12,
        (Node::Fixed(size), Value::Uuid(_)) => size == 16,
        (Node::Fixed(_), Value::Decimal(_)) => true,
        (Node::Enum(index), Value::Enum(_, symbol)) => {
            table.enumeration(index).position(symbol).is_some()
        }
        (Node::Record(index), Value::Record(fields)) => {
            let record = table.record(index);
            fields.len() == record.fields.len() && unknown_field(value, record).is_none()
        }
        _ => false,
    }
}

const fn int_of(value: &Value) -> Option<i32> {
    match value {
        Value::Int(value) | Value::Date(value) | Value::TimeMillis(value) => Some(*value),
        _ => None,
    }
}

fn long_of(value: &Value) -> Option<i64> {
    match value {
        Value::Long(value)
        | Value::TimeMicros(value)
        | Value::TimestampMillis(value)
        | Value::TimestampMicros(value)
        | Value::TimestampNanos(value)
        | Value::LocalTimestampMillis(value)
        | Value::LocalTimestampMicros(value)
        | Value::LocalTimestampNanos(value) => Some(*value),
        _ => int_of(value).map(i64::from),
    }
}

fn write_fixed(value: &Value, size: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let duration: [u8; 12];
    let bytes = match value {
        Value::Fixed(_, bytes) | Value::Bytes(bytes) => bytes,
        Value::Duration(value) => {
            duration = value.into();
            &duration[..]
        }
        Value::Uuid(value) => value.as_bytes(),
        Value::Decimal(value) => return write_decimal(&unscaled(value)?, size, out),
        _ => return Err(mismatch()),
    };
    if bytes.len() != size {
        let actual = bytes.len();
        return Err(Error::new(ErrorKind::LengthMismatch { expected: size, actual }));
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// Brings a number to `size` bytes: with copies of its sign in front, or without them.
fn write_decimal(number: &[u8], size: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let sign = if number.first().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
    match number.len().checked_sub(size).and_then(|extra| number.split_at_checked(extra)) {
        None => {
            out.resize(out.len() + size - number.len(), sign);
            out.extend_from_slice(number);
        }
        Some((extra, number)) => {
            let same_sign = number.first().is_some_and(|&byte| (byte ^ sign) < 0x80);
            if !extra.is_empty() && (extra.iter().any(|&byte| byte != sign) || !same_sign) {
                return Err(Error::new(ErrorKind::NumberRange));
            }
            out.extend_from_slice(number);
        }
    }
    Ok(())
}

fn unscaled(value: &Decimal) -> Result<Vec<u8>, Error> {
    value.try_into().map_err(|_| Error::new(ErrorKind::NumberRange))
}

fn big_decimal(value: &BigDecimal) -> Vec<u8> {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    let mut out = Vec::new();
    primitive::write_bytes(&unscaled.to_signed_bytes_be(), &mut out);
    primitive::write_long(scale, &mut out);
    out
}

/// As Java writes: one block for all items, and none at all for no items.
fn count(items: usize, out: &mut Vec<u8>) {
    if items > 0 {
        primitive::write_length(items, out);
    }
}

fn descend(depth: u8) -> Result<u8, Error> {
    depth.checked_sub(1).ok_or_else(|| Error::new(ErrorKind::DepthLimit))
}

fn mismatch() -> Error {
    Error::new(ErrorKind::TypeMismatch)
}
