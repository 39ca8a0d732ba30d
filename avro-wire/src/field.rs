//! One field of a record, without the rest.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::skip::Walk;
use crate::table::{Node, Table};
use crate::{Error, Schema};

/// Reads one scalar field of a record, stepping over the fields before it and never looking at
/// those behind it. Made by [`Schema::field_reader`].
///
/// ```
/// use avro_wire::{Scalar, Schema};
///
/// let schema = Schema::parse(r#"{"type":"record","name":"R","fields":[
///     {"name":"id","type":"long"},
///     {"name":"at","type":["null",{"type":"record","name":"A","fields":[
///         {"name":"city","type":"string"}]}]}]}"#)?;
/// let city = schema.field_reader("at.city").unwrap();
/// assert_eq!(city.read(b"\x2a\x02\x0aDelft")?, Scalar::String("Delft"));
/// assert_eq!(city.read(b"\x2a\x00")?, Scalar::Null);
/// assert!(schema.field_reader("at").is_none());
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FieldReader {
    schema: Schema,
    /// For each record on the way: its index in the table, and the field in it.
    steps: Box<[(u32, usize)]>,
}

/// A value without parts, borrowed from the datum.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the types of Avro are a closed set")]
pub enum Scalar<'a> {
    /// Null, also when a record around the field is null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An int.
    Int(i32),
    /// A long.
    Long(i64),
    /// A float.
    Float(f32),
    /// A double.
    Double(f64),
    /// Bytes or a fixed.
    Bytes(&'a [u8]),
    /// A string, or the symbol of an enum.
    String(&'a str),
}

impl FieldReader {
    pub(crate) fn new(schema: &Schema, path: &str) -> Option<Self> {
        let table = schema.table();
        let mut node = *schema.root();
        let mut steps = Vec::new();
        for name in path.split('.') {
            if let Node::Option { inner, .. } = node {
                node = table.node(inner);
            }
            let Node::Record(index) = node else { return None };
            let position = table.record(index).position(name)?;
            node = table.record(index).fields.get(position)?.node;
            steps.push((index, position));
        }
        is_scalar(table, node).then(|| Self { schema: schema.clone(), steps: steps.into() })
    }

    /// Reads the field out of `datum`, which may go on behind it with anything.
    ///
    /// # Errors
    /// Those of [`ErrorKind::is_data`](crate::ErrorKind::is_data), for the bytes up to the end of
    /// the field.
    pub fn read<'a>(&'a self, datum: &'a [u8]) -> Result<Scalar<'a>, Error> {
        let table = self.schema.table();
        let mut walk = Walk::new(table, datum);
        let mut node = self.schema.root();
        for &(record, position) in &self.steps {
            if let Node::Option { null_first, .. } = *node
                && !walk.is_some(null_first)?
            {
                return Ok(Scalar::Null);
            }
            walk.descend()?;
            let fields = &table.record(record).fields;
            for field in fields.iter().take(position) {
                walk.skip(&field.node).map_err(|error| error.in_field(&field.name))?;
            }
            node = fields.get(position).map_or(&Node::Null, |field| &field.node);
        }
        scalar(&mut walk, node)
    }
}

fn is_scalar(table: &Table, node: Node) -> bool {
    match node {
        Node::Record(_) | Node::Array(_) | Node::Map(_) => false,
        Node::Option { inner, .. } => is_scalar(table, table.node(inner)),
        Node::Union(index) => table.branches(index).iter().all(|b| is_scalar(table, b.node)),
        _ => true,
    }
}

fn scalar<'a>(walk: &mut Walk<'a, 'a>, node: &Node) -> Result<Scalar<'a>, Error> {
    let node = match *node {
        Node::Option { null_first, inner } => {
            if !walk.is_some(null_first)? {
                return Ok(Scalar::Null);
            }
            walk.table.node(inner)
        }
        Node::Union(index) => walk.branch(index)?.node,
        node => node,
    };
    let reader = &mut walk.reader;
    Ok(match node {
        Node::Boolean => Scalar::Boolean(reader.read_boolean()?),
        Node::Int => Scalar::Int(reader.read_int()?),
        Node::Long => Scalar::Long(reader.read_long()?),
        Node::Float => Scalar::Float(reader.read_float()?),
        Node::Double => Scalar::Double(reader.read_double()?),
        Node::Bytes => Scalar::Bytes(reader.read_bytes()?),
        Node::Fixed(size) => Scalar::Bytes(reader.read_fixed(size as usize)?),
        Node::String => Scalar::String(reader.read_str()?),
        Node::Enum(index) => Scalar::String(walk.symbol(index)?),
        // `is_scalar` let nothing else through.
        _ => Scalar::Null,
    })
}
