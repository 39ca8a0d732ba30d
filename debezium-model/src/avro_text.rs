//! From a Connect schema to the Avro schema text of Confluent's converter.
//!
//! The order of the properties is that converter's, so that the text is identical and a registry
//! finds the schema that Debezium registered instead of adding a version.

use crate::json::{Bytes, Json};
use crate::schema::{ConnectSchema, ConnectType, DefaultValue};

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Precision of a decimal whose schema does not tell one.
const DEFAULT_PRECISION: i64 = 64;
/// Namespace and name of a struct that has none.
const DEFAULT_NAME: &str = "io.confluent.connect.avro.ConnectDefault";

/// Whose text an Avro schema is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AvroStyle {
    /// Confluent's `AvroConverter` at its default settings.
    #[default]
    Confluent,
    /// The same with `connect.meta.data=false`: no `connect.*` properties. Bytes stay the same.
    WithoutMetadata,
    /// Apicurio's converter, whose properties of decimals come last.
    Apicurio,
}

impl ConnectSchema {
    /// The Avro schema text of another converter, or of other settings; [`ConnectSchema::to_avro`]
    /// has the default's.
    #[must_use]
    pub fn to_avro_style(&self, style: AvroStyle) -> String {
        let out = Json::default();
        let mut writer = Writer { out, defined: Vec::new(), namespace: None, style };
        writer.schema(self);
        writer.out.into_text()
    }

    /// The Avro schema text that Confluent's `AvroConverter` registers for this schema, with its
    /// property order and its `connect.*` properties.
    #[must_use]
    pub fn to_avro(&self) -> String {
        self.to_avro_style(AvroStyle::Confluent)
    }
}

struct Writer<'s> {
    out: Json,
    /// Full names of the records written so far; the next use of one is by name.
    defined: Vec<&'s str>,
    /// Namespace of the enclosing record.
    namespace: Option<&'s str>,
    style: AvroStyle,
}

impl<'s> Writer<'s> {
    /// A schema with its null branch, if it is optional. The branch of the default comes first,
    /// as Avro demands.
    fn schema(&mut self, schema: &'s ConnectSchema) {
        if !schema.is_optional() {
            return self.branch(schema);
        }
        self.out.begin_array();
        if schema.default_value().is_some() {
            self.branch(schema);
            self.out.string("null");
        } else {
            self.out.string("null");
            self.branch(schema);
        }
        self.out.end_array();
    }

    fn branch(&mut self, schema: &'s ConnectSchema) {
        match schema.kind() {
            ConnectType::Struct(_) => return self.record(schema),
            ConnectType::Array(items) => {
                self.out.begin_object();
                self.out.key("type");
                self.out.string("array");
                self.out.key("items");
                self.schema(items);
            }
            ConnectType::Map(values) => {
                self.out.begin_object();
                self.out.key("type");
                self.out.string("map");
                self.out.key("values");
                self.schema(values);
            }
            _ => {
                let name = primitive(schema.kind());
                if !has_properties(schema, self.style) {
                    return self.out.string(name);
                }
                self.out.begin_object();
                self.out.key("type");
                self.out.string(name);
            }
        }
        self.properties(schema);
        self.out.end_object();
    }

    fn record(&mut self, schema: &'s ConnectSchema) {
        let full = schema.name().unwrap_or(DEFAULT_NAME);
        let (namespace, name) = match full.rsplit_once('.') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, full),
        };
        if self.defined.contains(&full) {
            let reference = if namespace == self.namespace { name } else { full };
            return self.out.string(reference);
        }
        self.defined.push(full);
        self.out.begin_object();
        self.out.key("type");
        self.out.string("record");
        self.out.key("name");
        self.out.string(name);
        if namespace != self.namespace {
            self.out.key("namespace");
            self.out.string(namespace.unwrap_or(""));
        }
        let enclosing = std::mem::replace(&mut self.namespace, namespace);
        self.out.key("fields");
        self.out.begin_array();
        for field in schema.fields() {
            self.out.begin_object();
            self.out.key("name");
            self.out.string(&field.name);
            self.out.key("type");
            self.schema(&field.schema);
            if let Some(default) = field.schema.default_value() {
                self.out.key("default");
                match default {
                    // Avro's own defaults have only doubles.
                    DefaultValue::Float(value) => {
                        let value = DefaultValue::Double(f64::from(*value));
                        self.out.default_value(&value, Bytes::Latin1);
                    }
                    _ => self.out.default_value(default, Bytes::Latin1),
                }
            } else if field.schema.is_optional() {
                self.out.key("default");
                self.out.null();
            }
            self.out.end_object();
        }
        self.out.end_array();
        self.namespace = enclosing;
        self.properties(schema);
        self.out.end_object();
    }

    fn properties(&mut self, schema: &ConnectSchema) {
        let decimal = schema.name() == Some(DECIMAL);
        if decimal && self.style != AvroStyle::Apicurio {
            self.decimal(schema, ["scale", "precision"]);
        }
        if self.style != AvroStyle::WithoutMetadata {
            self.metadata(schema);
        }
        let logical = match schema.name() {
            Some(DECIMAL) => "decimal",
            Some("org.apache.kafka.connect.data.Date") => "date",
            Some("org.apache.kafka.connect.data.Time") => "time-millis",
            Some("org.apache.kafka.connect.data.Timestamp") => "timestamp-millis",
            _ => return,
        };
        self.out.key("logicalType");
        self.out.string(logical);
        if decimal && self.style == AvroStyle::Apicurio {
            self.decimal(schema, ["precision", "scale"]);
        }
    }

    fn decimal(&mut self, schema: &ConnectSchema, order: [&str; 2]) {
        for property in order {
            let (key, otherwise) = match property {
                "scale" => ("scale", 0),
                _ => ("connect.decimal.precision", DEFAULT_PRECISION),
            };
            let parameter = schema.parameters().iter().find(|(name, _)| name == key);
            self.out.key(property);
            self.out
                .integer(parameter.and_then(|(_, value)| value.parse().ok()).unwrap_or(otherwise));
        }
    }

    /// What only Connect reads.
    fn metadata(&mut self, schema: &ConnectSchema) {
        if let Some(doc) = schema.doc() {
            self.out.key("connect.doc");
            self.out.string(doc);
        }
        if let Some(version) = schema.version() {
            self.out.key("connect.version");
            self.out.integer(version.into());
        }
        if !schema.parameters().is_empty() {
            self.out.key("connect.parameters");
            self.out.string_map(schema.parameters());
        }
        if let Some(default) = schema.default_value() {
            self.out.key("connect.default");
            self.out.default_value(default, Bytes::Latin1);
        }
        if let Some(name) = schema.name() {
            self.out.key("connect.name");
            self.out.string(name);
        }
        if *schema.kind() == ConnectType::Int16 {
            self.out.key("connect.type");
            self.out.string("int16");
        }
    }
}

fn primitive(kind: &ConnectType) -> &'static str {
    match kind {
        ConnectType::Int16 | ConnectType::Int32 => "int",
        ConnectType::Int64 => "long",
        ConnectType::Float32 => "float",
        ConnectType::Float64 => "double",
        ConnectType::Boolean => "boolean",
        ConnectType::Bytes => "bytes",
        _ => "string",
    }
}

fn has_properties(schema: &ConnectSchema, style: AvroStyle) -> bool {
    if style == AvroStyle::WithoutMetadata {
        return schema
            .name()
            .is_some_and(|name| name.starts_with("org.apache.kafka.connect.data."));
    }
    *schema.kind() == ConnectType::Int16
        || schema.name().is_some()
        || schema.version().is_some()
        || schema.doc().is_some()
        || !schema.parameters().is_empty()
        || schema.default_value().is_some()
}

#[cfg(test)]
mod tests {
    use super::{AvroStyle, ConnectSchema, ConnectType, DECIMAL};

    #[test]
    fn decimals_of_apicurio_end_with_their_properties() {
        let decimal = ConnectSchema::new(ConnectType::Bytes)
            .with_name(DECIMAL)
            .with_version(1)
            .with_parameter("scale", "2")
            .with_parameter("connect.decimal.precision", "5");
        assert_eq!(
            decimal.to_avro_style(AvroStyle::Apicurio),
            concat!(
                r#"{"type":"bytes","connect.version":1,"connect.parameters":{"scale":"2","#,
                r#""connect.decimal.precision":"5"},"#,
                r#""connect.name":"org.apache.kafka.connect.data.Decimal","#,
                r#""logicalType":"decimal","precision":5,"scale":2}"#
            )
        );
    }
}
