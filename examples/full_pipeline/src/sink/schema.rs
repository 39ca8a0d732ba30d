//! Schemas of the registry as the sink uses them.

use std::sync::OnceLock;

use avro_wire::{FieldReader, Scalar, Schema};
use s3_partitioner::{Fields, Value};

use super::json::JsonPlan;
#[cfg(feature = "parquet")]
use super::parquet::Way;

/// A schema of the registry, and how to read the fields that paths are made of.
#[derive(Debug)]
pub(super) struct Known {
    id: u32,
    schema: Schema,
    fields: Vec<(String, FieldReader)>,
    json: OnceLock<JsonPlan>,
    /// As a value, and as a key.
    #[cfg(feature = "parquet")]
    parquet: [OnceLock<Way>; 2],
}

impl Known {
    /// The schema with this id, with readers for those of `fields` that it has.
    pub(super) fn new(id: u32, schema: Schema, fields: &[String]) -> Self {
        let fields = fields
            .iter()
            .filter_map(|path| Some((path.clone(), schema.field_reader(path)?)))
            .collect();
        Self {
            id,
            schema,
            fields,
            json: OnceLock::new(),
            #[cfg(feature = "parquet")]
            parquet: Default::default(),
        }
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    pub(super) const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The way to JSON, compiled when it is first needed.
    pub(super) fn json(&self) -> &JsonPlan {
        self.json.get_or_init(|| JsonPlan::new(&self.schema))
    }

    /// The way to Parquet, of values or of keys.
    #[cfg(feature = "parquet")]
    pub(super) fn parquet(&self, keys: bool) -> &Way {
        let [of_values, of_keys] = &self.parquet;
        let place = if keys { of_keys } else { of_values };
        place.get_or_init(|| Way::new(&self.schema, keys))
    }
}

/// A datum that is asked for single fields.
#[derive(Debug)]
pub(super) struct DatumFields<'d> {
    pub(super) known: &'d Known,
    pub(super) datum: &'d [u8],
}

impl Fields for DatumFields<'_> {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        let (_, reader) = self.known.fields.iter().find(|(known, _)| known == path)?;
        Some(match reader.read(self.datum).ok()? {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Boolean(value),
            Scalar::Int(value) => Value::Int32(value),
            Scalar::Long(value) => Value::Int64(value),
            Scalar::Float(value) => Value::Float32(value),
            Scalar::Double(value) => Value::Float64(value),
            Scalar::String(value) => Value::String(value),
            Scalar::Bytes(_) => Value::Composite,
        })
    }

    fn schema_name(&self) -> Option<&str> {
        self.known.schema.name()
    }
}
