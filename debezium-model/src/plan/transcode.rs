//! From the Avro datum of a record to the JSON text of the same record.

use avro_wire::primitive::Reader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};
use crate::json::{ShortText, java_double, java_float};
use crate::plan::digits::push_decimal;
use crate::plan::quote::quote;
use crate::schema::{ConnectField, ConnectSchema, ConnectType};

/// Writes the text that Connect's `JsonConverter` gives for a key or a value, from the datum that
/// a plan made. Compiled once per schema; cheap to use.
///
/// ```
/// use debezium_model::{EventStream, JsonWriter, Mapping, SchemaIds, Scratch};
///
/// let heartbeats = EventStream::heartbeats("cdc", &Mapping::default());
/// let mut scratch = Scratch::new();
/// let (_, value) = heartbeats.heartbeat(5, SchemaIds::new(Some(1), 2), &mut scratch)?;
/// let mut text = Vec::new();
/// JsonWriter::new(heartbeats.value_schema(), false).write(&value[5..], &mut text)?;
/// assert_eq!(text, br#"{"ts_ms":5}"#);
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonWriter {
    node: Node,
    schema: Option<String>,
    name: String,
}

#[derive(Clone, Debug)]
struct Node {
    /// Index of the branch with the value, where null is allowed.
    branch: Option<i64>,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Integer,
    Float,
    Double,
    Boolean,
    Text,
    Bytes,
    Array(Box<Node>),
    Map(Box<Node>),
    Struct(Vec<Field>),
}

#[derive(Clone, Debug)]
struct Field {
    lead: Lead,
    /// The same with null behind it.
    null: Lead,
    node: Node,
}

/// What comes before a value: brace or comma, the name quoted, the colon.
#[derive(Clone, Debug)]
struct Lead {
    /// The first bytes of it, copied in one go.
    first: [u8; Self::ONE_GO],
    /// How many of those it has.
    count: usize,
    rest: Vec<u8>,
}

impl Lead {
    const ONE_GO: usize = 16;

    fn new(place: usize, name: &str, value: &[u8]) -> Self {
        let mut text = vec![if place == 0 { b'{' } else { b',' }];
        quote(name.as_bytes(), &mut text);
        text.push(b':');
        text.extend_from_slice(value);
        let count = text.len().min(Self::ONE_GO);
        let rest = text.split_off(count);
        text.resize(Self::ONE_GO, 0);
        Self { first: text.try_into().unwrap_or_default(), count, rest }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.count;
        out.extend_from_slice(&self.first);
        out.truncate(end);
        if !self.rest.is_empty() {
            out.extend_from_slice(&self.rest);
        }
    }
}

impl JsonWriter {
    /// A writer for a schema. With `schemas` every text carries its schema, as with
    /// `schemas.enable=true`.
    #[must_use]
    pub fn new(schema: &ConnectSchema, schemas: bool) -> Self {
        Self {
            node: Node::new(schema),
            schema: schemas.then(|| schema.to_connect_json()),
            name: schema.name().unwrap_or_default().to_owned(),
        }
    }

    /// Appends the text of a datum, in UTF-8: what follows the schema id in a record's key or value.
    /// Numbers are as Java prints them, bytes and decimals in base64.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedDatum`] when the datum was not written with the schema; nothing is
    /// appended then.
    pub fn write(&self, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        let mut reader = Reader::new(datum);
        if let Some(schema) = &self.schema {
            out.extend_from_slice(b"{\"schema\":");
            out.extend_from_slice(schema.as_bytes());
            out.extend_from_slice(b",\"payload\":");
        }
        let written = self.node.write(&mut reader, out).and_then(|()| reader.finish().ok());
        if written.is_none() {
            out.truncate(start);
            return Err(Error::table(ErrorKind::MalformedDatum, &self.name));
        }
        if self.schema.is_some() {
            out.push(b'}');
        }
        Ok(())
    }
}

impl Node {
    fn new(schema: &ConnectSchema) -> Self {
        // The default's branch comes first.
        let branch = i64::from(schema.default_value().is_none());
        let field = |(place, field): (usize, &ConnectField)| {
            let lead = |value| Lead::new(place, &field.name, value);
            Field { lead: lead(b""), null: lead(b"null"), node: Self::new(&field.schema) }
        };
        let shape = match schema.kind() {
            ConnectType::Int16 | ConnectType::Int32 | ConnectType::Int64 => Shape::Integer,
            ConnectType::Float32 => Shape::Float,
            ConnectType::Float64 => Shape::Double,
            ConnectType::Boolean => Shape::Boolean,
            ConnectType::String => Shape::Text,
            ConnectType::Bytes => Shape::Bytes,
            ConnectType::Array(items) => Shape::Array(Box::new(Self::new(items))),
            ConnectType::Map(values) => Shape::Map(Box::new(Self::new(values))),
            ConnectType::Struct(fields) => {
                Shape::Struct(fields.iter().enumerate().map(field).collect())
            }
        };
        Self { branch: schema.is_optional().then_some(branch), shape }
    }

    /// Whether null is what comes. `None`, here and below, when the datum has something else.
    #[inline]
    fn is_null(&self, reader: &mut Reader<'_>) -> Option<bool> {
        match self.branch {
            Some(branch) => Some(reader.read_long().ok()? != branch),
            None => Some(false),
        }
    }

    fn write(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
        if self.is_null(reader)? {
            out.extend_from_slice(b"null");
            return Some(());
        }
        self.shape.write(reader, out)
    }
}

impl Shape {
    /// In the code of whoever calls it: most values are of these three shapes.
    #[inline(always)]
    fn write(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Integer => integer(reader.read_long().ok()?, out),
            Self::Text => text(reader, out)?,
            Self::Boolean => {
                let text: &[u8] = if reader.read_boolean().ok()? { b"true" } else { b"false" };
                out.extend_from_slice(text);
            }
            shape => shape.write_other(reader, out)?,
        }
        Some(())
    }

    /// What there is less of, and what holds values itself.
    #[inline(never)]
    fn write_other(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Integer | Self::Text | Self::Boolean => {}
            Self::Float => {
                let value = reader.read_float().ok()?;
                number(java_float(value), value.is_finite(), out);
            }
            Self::Double => {
                let value = reader.read_double().ok()?;
                number(java_double(value), value.is_finite(), out);
            }
            Self::Bytes => base64(reader.read_bytes().ok()?, out),
            Self::Array(items) => {
                out.push(b'[');
                blocks(reader, out, |reader, out| items.write(reader, out))?;
                out.push(b']');
            }
            Self::Map(values) => {
                out.push(b'{');
                blocks(reader, out, |reader, out| {
                    text(reader, out)?;
                    out.push(b':');
                    values.write(reader, out)
                })?;
                out.push(b'}');
            }
            Self::Struct(fields) => {
                for field in fields {
                    if field.node.is_null(reader)? {
                        field.null.write(out);
                    } else {
                        field.lead.write(out);
                        field.node.shape.write(reader, out)?;
                    }
                }
                if fields.is_empty() {
                    out.push(b'{');
                }
                out.push(b'}');
            }
        }
        Some(())
    }
}

#[inline]
fn integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    push_decimal(value.unsigned_abs(), out);
}

#[inline]
fn text(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    let text = reader.read_bytes().ok()?;
    if !quote(text, out) {
        std::str::from_utf8(text).ok()?;
    }
    Some(())
}

/// The items of an array or a map. Every item takes at least a byte: nothing that Debezium puts
/// there is empty.
fn blocks(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let mut first = true;
    loop {
        let count = reader.read_long().ok()?;
        if count == 0 {
            return Some(());
        }
        if count < 0 {
            // The size of the block, which is only of use for skipping it.
            reader.read_long().ok()?;
        }
        for _ in 0..count.unsigned_abs() {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            item(reader, out)?;
        }
    }
}

/// JSON has no numbers that are not finite; they are text.
fn number(text: ShortText, finite: bool, out: &mut Vec<u8>) {
    let text = text.as_str().as_bytes();
    if finite {
        out.extend_from_slice(text);
    } else {
        quote(text, out);
    }
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    // Four characters for every three bytes, the last of which may be missing.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room for all of them.
    let _ = STANDARD.encode_slice(bytes, out.get_mut(start..).unwrap_or_default());
    out.push(b'"');
}
