//! Schemas of the registry as the sink uses them.

use std::{collections::HashMap, sync::OnceLock};

use avro_wire::{FieldReader, Scalar, Schema};
use s3_partitioner::{ConnectSchema, Fields, Value};

#[cfg(feature = "parquet")]
use super::parquet::Way;
use super::{
    connect::{self, Connect, Meaning},
    json::JsonPlan,
    project::Projection,
};
use crate::error::Error;

/// A schema of the registry, and how to read the fields that paths are made of.
#[derive(Debug)]
pub(super) struct Known {
    id: u32,
    schema: Schema,
    fields: Vec<Field>,
    /// What it is to Connect, by the topic: versions are those of the topic's subject.
    connect: HashMap<String, ConnectSchema>,
    json: OnceLock<JsonPlan>,
    /// As a value, and as a key.
    #[cfg(feature = "parquet")]
    parquet: [OnceLock<Way>; 2],
}

impl Known {
    /// The schema with this id, with readers for those of `fields` that it has.
    pub(super) fn new(id: u32, schema: Schema, fields: &[String]) -> Self {
        let text = if fields.is_empty() { None } else { Some(connect::json(&schema)) };
        let fields = text.as_ref().map_or_else(Vec::new, |text| {
            let connect = Connect::new(text);
            let field = |path: &String| {
                let reader = schema.field_reader(path)?;
                let (name, meaning) = connect.meaning(path);
                Some(Field { path: path.clone(), reader, name, meaning })
            };
            fields.iter().filter_map(field).collect()
        });
        Self {
            id,
            schema,
            fields,
            connect: HashMap::new(),
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

    /// The schema as Connect compares it in this topic, if its version was asked for.
    pub(super) fn connect(&self, topic: &str) -> Option<&ConnectSchema> {
        self.connect.get(topic)
    }

    /// Makes the schema comparable in this topic, where it has this version.
    pub(super) fn set_version(&mut self, topic: &str, version: Option<i32>) {
        let text = connect::json(&self.schema);
        self.connect.insert(topic.to_owned(), Connect::new(&text).schema(version));
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

/// A field that is asked for.
#[derive(Debug)]
struct Field {
    path: String,
    reader: FieldReader,
    /// Of its schema.
    name: Option<String>,
    meaning: Meaning,
}

/// Ways from schemas to those of files, compiled when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Projections(HashMap<(u32, u32), Option<Projection>>);

impl Projections {
    /// Puts the datum as the file's schema has it into `out`. `None` if there is no way.
    pub(super) fn write(
        &mut self,
        (record, file): (&Known, &Known),
        datum: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<(), Error>> {
        let way = self.0.entry((record.id, file.id));
        let way = way.or_insert_with(|| Projection::new(&record.schema, &file.schema)).as_ref()?;
        out.clear();
        Some(way.write(datum, out))
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
        let Field { reader, meaning, .. } =
            self.known.fields.iter().find(|known| known.path == path)?;
        Some(match reader.read(self.datum).ok()? {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Boolean(value),
            Scalar::Int(value) if *meaning == Meaning::DateOrTime => Value::DateOrTime(value),
            Scalar::Int(value) => Value::Int32(value),
            Scalar::Long(value) if *meaning == Meaning::Timestamp => Value::Timestamp(value),
            Scalar::Long(value) => Value::Int64(value),
            Scalar::Float(value) => Value::Float32(value),
            Scalar::Double(value) => Value::Float64(value),
            Scalar::String(value) => Value::String(value),
            Scalar::Bytes(_) => Value::Composite,
        })
    }

    fn semantic_type(&self, path: &str) -> Option<&str> {
        self.known.fields.iter().find(|known| known.path == path)?.name.as_deref()
    }

    fn schema_name(&self) -> Option<&str> {
        self.known.schema.name()
    }
}
