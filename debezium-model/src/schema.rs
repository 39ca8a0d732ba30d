use std::sync::Arc;

use crate::json::Json;

/// A Kafka Connect schema: the one description from which both the Avro and the JSON schema of a
/// record follow.
///
/// Cheap to clone. Two of them are equal when every property is.
///
/// ```
/// use debezium_model::{ConnectSchema, ConnectType};
///
/// let date = ConnectSchema::new(ConnectType::Int32)
///     .with_name("io.debezium.time.Date")
///     .with_version(1)
///     .optional();
/// assert_eq!(
///     date.to_connect_json(),
///     r#"{"type":"int32","optional":true,"name":"io.debezium.time.Date","version":1}"#
/// );
/// assert_eq!(
///     date.to_avro(),
///     r#"["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}]"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectSchema {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    kind: ConnectType,
    optional: bool,
    name: Option<String>,
    version: Option<i32>,
    doc: Option<String>,
    parameters: Vec<(String, String)>,
    default: Option<DefaultValue>,
}

/// The type of a [`ConnectSchema`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectType {
    /// A 16-bit integer.
    Int16,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A 32-bit floating-point number.
    Float32,
    /// A 64-bit floating-point number.
    Float64,
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A list of values of one schema.
    Array(ConnectSchema),
    /// A map from text to values of one schema.
    Map(ConnectSchema),
    /// Named fields, in order.
    Struct(Vec<ConnectField>),
}

/// A field of a struct schema.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectField {
    /// Name of the field.
    pub name: String,
    /// Schema of its value.
    pub schema: ConnectSchema,
}

impl ConnectField {
    /// A field.
    #[must_use]
    pub fn new(name: &str, schema: ConnectSchema) -> Self {
        Self { name: name.to_owned(), schema }
    }
}

/// The default of a schema, in the form the schema's own type has on the wire.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DefaultValue {
    /// Of a boolean.
    Boolean(bool),
    /// Of any integer, also days, milliseconds or microseconds.
    Integer(i64),
    /// Of a 32-bit float.
    Float(f32),
    /// Of a 64-bit float.
    Double(f64),
    /// Of text.
    Text(String),
    /// Of bytes, also a decimal's unscaled two's complement.
    Bytes(Vec<u8>),
}

impl ConnectSchema {
    /// A required schema of a type, without name, version or default.
    #[must_use]
    pub fn new(kind: ConnectType) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                optional: false,
                name: None,
                version: None,
                doc: None,
                parameters: Vec::new(),
                default: None,
            }),
        }
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// The same schema, allowing null.
    #[must_use]
    pub fn optional(self) -> Self {
        self.edit(|inner| inner.optional = true)
    }

    /// The same schema with a name.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        self.edit(|inner| inner.name = Some(name.to_owned()))
    }

    /// The same schema with a version.
    #[must_use]
    pub fn with_version(self, version: i32) -> Self {
        self.edit(|inner| inner.version = Some(version))
    }

    /// The same schema with a documentation text.
    #[must_use]
    pub fn with_doc(self, doc: &str) -> Self {
        self.edit(|inner| inner.doc = Some(doc.to_owned()))
    }

    /// The same schema with one more parameter.
    #[must_use]
    pub fn with_parameter(self, key: &str, value: &str) -> Self {
        self.edit(|inner| inner.parameters.push((key.to_owned(), value.to_owned())))
    }

    /// The same schema with a default.
    #[must_use]
    pub fn with_default(self, default: DefaultValue) -> Self {
        self.edit(|inner| inner.default = Some(default))
    }

    /// The same schema, optional and without default.
    pub(crate) fn nullable(self) -> Self {
        self.edit(|inner| {
            inner.optional = true;
            inner.default = None;
        })
    }

    /// The schema of an added metadata field: the same value, optional and without default.
    pub(crate) fn bare_optional(&self) -> Self {
        self.clone().edit(|inner| {
            inner.optional = true;
            inner.default = None;
        })
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> &ConnectType {
        &self.inner.kind
    }

    /// Whether null is allowed.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.inner.optional
    }

    /// The full name, such as `cdc.public.orders.Envelope`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Option<i32> {
        self.inner.version
    }

    /// The documentation text.
    #[must_use]
    pub fn doc(&self) -> Option<&str> {
        self.inner.doc.as_deref()
    }

    /// The parameters, in order.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.inner.parameters
    }

    /// The default.
    #[must_use]
    pub fn default_value(&self) -> Option<&DefaultValue> {
        self.inner.default.as_ref()
    }

    /// The fields of a struct, nothing for other types.
    #[must_use]
    pub fn fields(&self) -> &[ConnectField] {
        match &self.inner.kind {
            ConnectType::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// The schema text of Connect's `JsonConverter`, the `schema` half of a message written with
    /// `schemas.enable=true`. Properties come in that converter's order.
    #[must_use]
    pub fn to_connect_json(&self) -> String {
        let mut out = Json::default();
        self.write_connect_json(None, &mut out);
        out.into_text()
    }

    fn write_connect_json(&self, field: Option<&str>, out: &mut Json) {
        out.begin_object();
        out.key("type");
        match self.kind() {
            ConnectType::Int16 => out.string("int16"),
            ConnectType::Int32 => out.string("int32"),
            ConnectType::Int64 => out.string("int64"),
            ConnectType::Float32 => out.string("float"),
            ConnectType::Float64 => out.string("double"),
            ConnectType::Boolean => out.string("boolean"),
            ConnectType::String => out.string("string"),
            ConnectType::Bytes => out.string("bytes"),
            ConnectType::Array(items) => {
                out.string("array");
                out.key("items");
                items.write_connect_json(None, out);
            }
            ConnectType::Map(values) => {
                out.string("map");
                out.key("keys");
                Self::new(ConnectType::String).write_connect_json(None, out);
                out.key("values");
                values.write_connect_json(None, out);
            }
            ConnectType::Struct(fields) => {
                out.string("struct");
                out.key("fields");
                out.begin_array();
                for field in fields {
                    field.schema.write_connect_json(Some(&field.name), out);
                }
                out.end_array();
            }
        }
        out.key("optional");
        out.boolean(self.is_optional());
        if let Some(name) = self.name() {
            out.key("name");
            out.string(name);
        }
        if let Some(version) = self.version() {
            out.key("version");
            out.integer(version.into());
        }
        if let Some(doc) = self.doc() {
            out.key("doc");
            out.string(doc);
        }
        if !self.parameters().is_empty() {
            out.key("parameters");
            out.string_map(self.parameters());
        }
        if let Some(default) = self.default_value() {
            out.key("default");
            out.default_value(default, crate::json::Bytes::Base64);
        }
        if let Some(field) = field {
            out.key("field");
            out.string(field);
        }
        out.end_object();
    }
}
