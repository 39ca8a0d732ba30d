//! From the Avro datum of a record to the JSON text of the same record.

use avro_wire::primitive::Reader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};
use crate::json::{push_double, push_float, push_integer, push_quoted_text};
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
/// let mut text = String::new();
/// JsonWriter::new(heartbeats.value_schema(), false).write(&value[5..], &mut text)?;
/// assert_eq!(text, r#"{"ts_ms":5}"#);
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
    /// Names quoted, with the colon.
    Struct(Vec<(String, Node)>),
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

    /// Appends the text of a datum: what follows the schema id in a record's key or value. Numbers
    /// are as Java prints them, bytes and decimals in base64.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedDatum`] when the datum was not written with the schema; part of the
    /// text may have been appended then.
    pub fn write(&self, datum: &[u8], out: &mut String) -> Result<(), Error> {
        let mut reader = Reader::new(datum);
        if let Some(schema) = &self.schema {
            out.push_str("{\"schema\":");
            out.push_str(schema);
            out.push_str(",\"payload\":");
        }
        self.node
            .write(&mut reader, out)
            .and_then(|()| reader.finish())
            .map_err(|_| Error::table(ErrorKind::MalformedDatum, &self.name))?;
        if self.schema.is_some() {
            out.push('}');
        }
        Ok(())
    }
}

impl Node {
    fn new(schema: &ConnectSchema) -> Self {
        // The default's branch comes first.
        let branch = i64::from(schema.default_value().is_none());
        let field = |field: &ConnectField| {
            let mut name = String::new();
            push_quoted_text(&field.name, &mut name);
            name.push(':');
            (name, Self::new(&field.schema))
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
            ConnectType::Struct(fields) => Shape::Struct(fields.iter().map(field).collect()),
        };
        Self { branch: schema.is_optional().then_some(branch), shape }
    }

    fn write(&self, reader: &mut Reader<'_>, out: &mut String) -> Result<(), avro_wire::Error> {
        if let Some(branch) = self.branch
            && reader.read_long()? != branch
        {
            out.push_str("null");
            return Ok(());
        }
        match &self.shape {
            Shape::Integer => push_integer(reader.read_long()?, out),
            Shape::Float => {
                let value = reader.read_float()?;
                quoted_unless(value.is_finite(), out, |out| push_float(value, out));
            }
            Shape::Double => {
                let value = reader.read_double()?;
                quoted_unless(value.is_finite(), out, |out| push_double(value, out));
            }
            Shape::Boolean => out.push_str(if reader.read_boolean()? { "true" } else { "false" }),
            Shape::Text => push_quoted_text(reader.read_str()?, out),
            Shape::Bytes => {
                out.push('"');
                STANDARD.encode_string(reader.read_bytes()?, out);
                out.push('"');
            }
            Shape::Array(items) => {
                out.push('[');
                blocks(reader, out, |reader, out| items.write(reader, out))?;
                out.push(']');
            }
            Shape::Map(values) => {
                out.push('{');
                blocks(reader, out, |reader, out| {
                    push_quoted_text(reader.read_str()?, out);
                    out.push(':');
                    values.write(reader, out)
                })?;
                out.push('}');
            }
            Shape::Struct(fields) => {
                let mut open = '{';
                for (name, field) in fields {
                    out.push(open);
                    open = ',';
                    out.push_str(name);
                    field.write(reader, out)?;
                }
                if open == '{' {
                    out.push('{');
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

/// The items of an array or a map. Every item takes at least a byte: nothing that Debezium puts
/// there is empty.
fn blocks(
    reader: &mut Reader<'_>,
    out: &mut String,
    mut item: impl FnMut(&mut Reader<'_>, &mut String) -> Result<(), avro_wire::Error>,
) -> Result<(), avro_wire::Error> {
    let mut first = true;
    loop {
        let count = reader.read_long()?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            // The size of the block, which is only of use for skipping it.
            reader.read_long()?;
        }
        for _ in 0..count.unsigned_abs() {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            item(reader, out)?;
        }
    }
}

fn quoted_unless(plain: bool, out: &mut String, push: impl FnOnce(&mut String)) {
    if plain {
        push(out);
    } else {
        out.push('"');
        push(out);
        out.push('"');
    }
}
