//! From rows of an outbox table to the events they hold.

use avro_wire::primitive::{write_boolean, write_double, write_long, write_string};
use pgoutput::Column;

use super::Change;
use super::row::{ABSENT, Buffers, PRESENT, Row};
use crate::error::{Error, ErrorKind};
use crate::names::topic_name;
use crate::op::Op;
use crate::ordered::Value;
use crate::outbox::Outbox;
use crate::schema::{ConnectField, ConnectSchema, ConnectType};
use crate::source::SourceBlock;
use crate::table::{MappedColumn, Table};

/// An event that a row of an outbox table holds. Its schemas may differ from row to row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutboxEvent {
    /// The topic that the row names.
    pub topic: String,
    /// Schema and Avro datum of the key; none for a row without one.
    pub key: Option<(ConnectSchema, Vec<u8>)>,
    /// Schema and Avro datum of the value; none for a tombstone.
    pub value: Option<(ConnectSchema, Vec<u8>)>,
    /// Names of headers and their texts.
    pub headers: Vec<(String, Option<String>)>,
    /// Time of the event, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl Table {
    /// The event that a change of an outbox table holds; `None` for changes that hold none, which
    /// are all but inserts, and for tables that are no outbox. Events are rarer than rows: this
    /// allocates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTable`] when the table lacks a column that the options name; the kinds
    /// about values when the bytes of a column do not fit its type, or its payload is not JSON and
    /// should be expanded.
    pub fn outbox_event(
        &self,
        change: &Change<'_>,
        source: &SourceBlock<'_>,
    ) -> Result<Option<OutboxEvent>, Error> {
        let (Some(outbox), Some(row)) = (&self.mapping().outbox, change.after) else {
            return Ok(None);
        };
        if !matches!(change.op, Op::Create | Op::Read) {
            return Ok(None);
        }
        let reader = Reader { table: self, row };
        let route = reader.text(&outbox.route_by)?.unwrap_or_default();
        let Some(captures) = outbox.pattern.captures(&route) else { return Ok(None) };
        let mut topic = String::new();
        captures.expand(&outbox.replacement, &mut topic);
        let mut headers = vec![("id".to_owned(), reader.text(&outbox.id)?)];
        for placed in outbox.additional.iter().filter(|placed| placed.header) {
            headers.push((placed.name.clone(), reader.text(&placed.column)?));
        }
        let (column, place) = reader.find(&outbox.key)?;
        let key = match row.get(place) {
            Some(Column::Null) | None => None,
            Some(_) => Some((schema(column)?, reader.datum(place)?)),
        };
        let timestamp_ms = match &outbox.timestamp {
            Some(name) => {
                let (column, place) = reader.find(name)?;
                reader.millis(column, place)?
            }
            None => source.processed_ns.div_euclid(1_000_000),
        };
        let value = reader.value(outbox, &route)?;
        Ok(Some(OutboxEvent { topic: topic_name(&topic), key, value, headers, timestamp_ms }))
    }
}

struct Reader<'a> {
    table: &'a Table,
    row: &'a [Column<'a>],
}

fn schema(column: &MappedColumn) -> Result<ConnectSchema, Error> {
    let field = column.field().map(|field| field.schema.clone());
    field.ok_or_else(|| Error::column(ErrorKind::InvalidTable, "", column.def.name()))
}

impl Reader<'_> {
    fn find(&self, name: &str) -> Result<(&MappedColumn, usize), Error> {
        let place = self.table.columns().iter().position(|column| column.def.name() == name);
        place
            .and_then(|place| Some((self.table.columns().get(place)?, place)))
            .ok_or_else(|| self.error(ErrorKind::InvalidTable, name))
    }

    fn error(&self, kind: ErrorKind, column: &str) -> Error {
        Error::column(kind, &self.table.id().to_string(), column)
    }

    /// The datum of one column.
    fn datum(&self, place: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        Row::single(place, self.table)
            .encode(self.row, None, true, &mut Buffers::default(), &mut out)
            .map_err(|(kind, column)| {
                let name = self.table.columns().get(column).map_or("", |c| c.def.name());
                self.error(kind, name)
            })?;
        Ok(out)
    }

    fn json(&self, schema: &ConnectSchema, place: usize) -> Result<String, Error> {
        let mut text = Vec::new();
        super::JsonWriter::new(schema, false).write(&self.datum(place)?, &mut text)?;
        String::from_utf8(text).map_err(|_| self.error(ErrorKind::InvalidUtf8, ""))
    }

    /// A column as JSON, without the quotes of a text.
    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let (column, place) = self.find(name)?;
        let text = self.json(&schema(column)?, place)?;
        Ok(match serde_json::from_str(&text).map_err(Error::json)? {
            Value::Null => None,
            Value::Text(text) => Some(text),
            _ => Some(text),
        })
    }

    fn millis(&self, column: &MappedColumn, place: usize) -> Result<i64, Error> {
        let schema = schema(column)?;
        let text = self.json(&schema, place)?;
        let number: i64 =
            text.parse().map_err(|_| self.error(ErrorKind::OutOfRange, column.def.name()))?;
        Ok(match schema.name() {
            Some("io.debezium.time.MicroTimestamp") => number.div_euclid(1000),
            Some("io.debezium.time.NanoTimestamp") => number.div_euclid(1_000_000),
            _ => number,
        })
    }

    /// The payload, alone or with the columns that go beside it.
    fn value(
        &self,
        outbox: &Outbox,
        route: &str,
    ) -> Result<Option<(ConnectSchema, Vec<u8>)>, Error> {
        let (column, place) = self.find(&outbox.payload)?;
        let empty = matches!(self.row.get(place), Some(Column::Null) | None);
        if empty && outbox.tombstone_on_empty {
            return Ok(None);
        }
        let mut beside = outbox.additional.iter().filter(|placed| !placed.header).peekable();
        if empty && beside.peek().is_none() {
            // Null alone is no datum to the converter.
            return Ok(None);
        }
        let payload = self.payload(outbox, column, place)?;
        if beside.peek().is_none() {
            return Ok(Some(payload));
        }
        let (schema_of_payload, mut datum) = payload;
        let mut fields = vec![ConnectField::new("payload", schema_of_payload)];
        for placed in beside {
            let (column, place) = self.find(&placed.column)?;
            fields.push(ConnectField::new(&placed.name, schema(column)?));
            datum.extend(self.datum(place)?);
        }
        // The row's name, with what it is routed by before its last part.
        let row = self.table.row_schema_name();
        let name = match row.rsplit_once('.') {
            Some((before, last)) => format!("{before}.{route}.{last}"),
            None => row.to_owned(),
        };
        Ok(Some((ConnectSchema::new(ConnectType::Struct(fields)).with_name(&name), datum)))
    }

    fn payload(
        &self,
        outbox: &Outbox,
        column: &MappedColumn,
        place: usize,
    ) -> Result<(ConnectSchema, Vec<u8>), Error> {
        if outbox.expand_json
            && let Some(text) = self.text(&outbox.payload)?
        {
            let value: Value = serde_json::from_str(&text).map_err(Error::json)?;
            if let Some(shape) = shape(&value, "payload") {
                let mut datum = Vec::new();
                write(&value, &shape, &mut datum);
                return Ok((shape, datum));
            }
        }
        Ok((schema(column)?, self.datum(place)?))
    }
}

/// The schema of a JSON value; null has none, nor has what holds only nulls.
fn shape(value: &Value, name: &str) -> Option<ConnectSchema> {
    let kind = match value {
        Value::Null => return None,
        Value::Bool(_) => ConnectType::Boolean,
        Value::Text(_) => ConnectType::String,
        Value::Integer(number) if i32::try_from(*number).is_ok() => ConnectType::Int32,
        Value::Integer(_) => ConnectType::Int64,
        Value::Float(_) => ConnectType::Float64,
        Value::Array(items) => ConnectType::Array(items.iter().find_map(|item| shape(item, name))?),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(key, value)| {
                    Some(ConnectField::new(key, shape(value, &format!("{name}.{key}"))?))
                })
                .collect();
            return Some(
                ConnectSchema::new(ConnectType::Struct(fields)).with_name(name).optional(),
            );
        }
    };
    Some(ConnectSchema::new(kind).optional())
}

/// Writes a value with an optional schema; what does not fit it becomes null.
fn write(value: &Value, schema: &ConnectSchema, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(PRESENT);
    match (schema.kind(), value) {
        (ConnectType::Boolean, Value::Bool(value)) => write_boolean(*value, out),
        (ConnectType::String, Value::Text(value)) => write_string(value, out),
        (ConnectType::Int64, Value::Integer(number)) => write_long(*number, out),
        (ConnectType::Int32, Value::Integer(number)) if i32::try_from(*number).is_ok() => {
            write_long(*number, out);
        }
        (ConnectType::Float64, Value::Float(number)) => write_double(*number, out),
        (ConnectType::Array(items), Value::Array(values)) => {
            if let Some(count) = i64::try_from(values.len()).ok().filter(|count| *count > 0) {
                write_long(count, out);
            }
            values.iter().for_each(|value| write(value, items, out));
            write_long(0, out);
        }
        (ConnectType::Struct(fields), Value::Object(values)) => {
            for field in fields {
                let value = values.iter().find(|(name, _)| *name == field.name);
                write(value.map_or(&Value::Null, |(_, value)| value), &field.schema, out);
            }
        }
        _ => {
            out.truncate(start);
            out.push(ABSENT);
        }
    }
}
