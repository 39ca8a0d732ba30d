//! A datum to a value.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{BigDecimal, Decimal, Duration, Uuid};

use crate::primitive::Reader;
use crate::skip::Walk;
use crate::table::Node;
use crate::{Error, ErrorKind, Logical, Schema};

pub(super) fn decode(datum: &[u8], schema: &Schema) -> Result<Value, Error> {
    let mut walk = Walk::new(schema.table(), datum);
    let value = read(&mut walk, schema.slot())?;
    walk.reader.finish()?;
    Ok(value)
}

/// Reads one value of the type in `slot`.
fn read(walk: &mut Walk<'_, '_>, slot: u32) -> Result<Value, Error> {
    let table = walk.table;
    let logical = table.slots.get(slot as usize).and_then(|slot| slot.logical);
    let node = table.node(slot);
    match node {
        Node::Null => Ok(Value::Null),
        Node::Boolean => walk.reader.read_boolean().map(Value::Boolean),
        Node::Int => walk.reader.read_int().map(|value| int(value, logical)),
        Node::Long => walk.reader.read_long().map(|value| long(value, logical)),
        Node::Float => walk.reader.read_float().map(Value::Float),
        Node::Double => walk.reader.read_double().map(Value::Double),
        Node::Bytes => walk.reader.read_bytes().map(|value| bytes(value, logical)),
        Node::String => walk.reader.read_str().map(|value| string(value, logical)),
        Node::Fixed(size) => {
            walk.reader.read_fixed(size as usize).map(|value| fixed(value, logical))
        }
        Node::Enum(index) => {
            let mut before = walk.reader.clone();
            let symbol = walk.symbol(index)?.to_owned();
            Ok(Value::Enum(position(&mut before)?, symbol))
        }
        Node::Option { null_first, inner } => {
            let mut before = walk.reader.clone();
            let value = if walk.is_some(null_first)? { read(walk, inner)? } else { Value::Null };
            Ok(Value::Union(position(&mut before)?, Box::new(value)))
        }
        Node::Union(index) => {
            let mut before = walk.reader.clone();
            let branch = walk.branch(index)?;
            let value = read(walk, branch.slot)?;
            Ok(Value::Union(position(&mut before)?, Box::new(value)))
        }
        Node::Array(item) => {
            let mut items = Vec::new();
            blocks(walk, item, false, |walk| {
                items.push(read(walk, item)?);
                Ok(())
            })?;
            Ok(Value::Array(items))
        }
        Node::Map(item) => {
            let mut entries = HashMap::new();
            blocks(walk, item, true, |walk| {
                let key = walk.reader.read_str()?.to_owned();
                entries.insert(key, read(walk, item)?);
                Ok(())
            })?;
            Ok(Value::Map(entries))
        }
        Node::Record(index) => {
            let record = table.record(index);
            walk.descend()?;
            if record.min_size == 0 && walk.take_empty(1).is_none() {
                return Err(walk.reader.error(ErrorKind::ItemCount { count: 1 }));
            }
            let mut fields = Vec::with_capacity(record.fields.len());
            for field in &record.fields {
                let value = read(walk, field.slot).map_err(|error| error.in_field(&field.name))?;
                fields.push((field.name.to_string(), value));
            }
            walk.depth += 1;
            Ok(Value::Record(fields))
        }
        // Only tables of a resolution have these.
        Node::Resolved(_) | Node::Byte => Err(Error::new(ErrorKind::Unresolvable)),
    }
}

/// The index of a branch or symbol, which was read before and is in range.
fn position(before: &mut Reader<'_>) -> Result<u32, Error> {
    let index = before.read_long()?;
    u32::try_from(index).map_err(|_| before.error(ErrorKind::BranchOutOfRange { index }))
}

fn blocks<'s, 'a>(
    walk: &mut Walk<'s, 'a>,
    item: u32,
    keyed: bool,
    mut each: impl FnMut(&mut Walk<'s, 'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let node = walk.table.node_ref(item);
    walk.descend()?;
    loop {
        let block = walk.block(node, keyed)?;
        if block.count == 0 {
            walk.depth += 1;
            return Ok(());
        }
        for _ in 0..block.count {
            each(walk)?;
        }
        walk.end_block(block.end)?;
    }
}

const fn int(value: i32, logical: Option<Logical>) -> Value {
    match logical {
        Some(Logical::Date) => Value::Date(value),
        Some(Logical::TimeMillis) => Value::TimeMillis(value),
        _ => Value::Int(value),
    }
}

const fn long(value: i64, logical: Option<Logical>) -> Value {
    match logical {
        Some(Logical::TimeMicros) => Value::TimeMicros(value),
        Some(Logical::TimestampMillis) => Value::TimestampMillis(value),
        Some(Logical::TimestampMicros) => Value::TimestampMicros(value),
        Some(Logical::TimestampNanos) => Value::TimestampNanos(value),
        Some(Logical::LocalTimestampMillis) => Value::LocalTimestampMillis(value),
        Some(Logical::LocalTimestampMicros) => Value::LocalTimestampMicros(value),
        Some(Logical::LocalTimestampNanos) => Value::LocalTimestampNanos(value),
        _ => Value::Long(value),
    }
}

fn bytes(value: &[u8], logical: Option<Logical>) -> Value {
    match logical {
        Some(Logical::Decimal { .. }) => decimal(value),
        Some(Logical::BigDecimal) => {
            big_decimal(value).map_or_else(|_| Value::Bytes(value.to_vec()), Value::BigDecimal)
        }
        _ => Value::Bytes(value.to_vec()),
    }
}

fn fixed(value: &[u8], logical: Option<Logical>) -> Value {
    let other = || Value::Fixed(value.len(), value.to_vec());
    match logical {
        Some(Logical::Decimal { .. }) => decimal(value),
        Some(Logical::Uuid) => Uuid::from_slice(value).map_or_else(|_| other(), Value::Uuid),
        Some(Logical::Duration) => <[u8; 12]>::try_from(value)
            .map_or_else(|_| other(), |value| Value::Duration(Duration::from(value))),
        _ => other(),
    }
}

fn string(value: &str, logical: Option<Logical>) -> Value {
    if logical == Some(Logical::Uuid)
        && let Ok(uuid) = Uuid::parse_str(value)
    {
        return Value::Uuid(uuid);
    }
    Value::String(value.to_owned())
}

/// The other crate cannot write a decimal that was made of no bytes.
fn decimal(value: &[u8]) -> Value {
    Value::Decimal(Decimal::from(if value.is_empty() { &[0] } else { value }))
}

/// The unscaled number as `bytes`, then the scale as `int` (Avro 1.12, "Decimal": big-decimal).
fn big_decimal(value: &[u8]) -> Result<BigDecimal, Error> {
    let mut reader = Reader::new(value);
    let unscaled = reader.read_bytes()?;
    let scale = reader.read_long()?;
    reader.finish()?;
    Ok(BigDecimal::new(Decimal::from(unscaled).into(), scale))
}
