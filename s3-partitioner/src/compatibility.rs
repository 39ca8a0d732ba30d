use std::collections::BTreeMap;

use crate::{Error, ErrorKind};

/// Which changes of the value's schema rotate (`schema.compatibility`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compatibility {
    /// Any difference rotates.
    #[default]
    None,
    /// A newer version rotates; records of older ones are projected to the file's schema.
    Backward,
    /// An older version rotates; records of newer ones are projected to the file's schema.
    Forward,
    /// The same as [`Backward`](Self::Backward), in effect.
    Full,
}

/// Why a record cannot go into a file begun with another schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaChange {
    /// The schemas differ in anything at all.
    Schema,
    /// A type differs and is no widening of numbers.
    Type,
    /// A name differs.
    Name,
    /// The parameters differ.
    Parameters,
    /// The record's field may be null where the file's may not.
    Optionality,
    /// The file needs a field the record does not have.
    MissingRequiredField,
    /// The version is newer, or older, than the file's.
    Version,
}

impl Compatibility {
    /// By the property's value. The connector reads an unknown name as `NONE`, and so does this.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "BACKWARD" => Self::Backward,
            "FORWARD" => Self::Forward,
            "FULL" => Self::Full,
            _ => Self::None,
        }
    }

    /// Why a record with the schema `record` cannot go into a file begun with the schema `file`;
    /// `None` if it can, after being projected to the file's schema.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaVersion`] if the schemas differ, are to be compared by version, and one
    /// of them has none.
    pub fn change(
        self,
        record: &ConnectSchema,
        file: &ConnectSchema,
    ) -> Result<Option<SchemaChange>, Error> {
        if record == file {
            return Ok(None);
        }
        if self == Self::None {
            return Ok(Some(SchemaChange::Schema));
        }
        let (Some(record_version), Some(file_version)) = (record.version, file.version) else {
            return Err(Error::new(ErrorKind::SchemaVersion));
        };
        if let Some(change) = structural_change(record, file) {
            return Ok(Some(change));
        }
        let rotates = match self {
            Self::Forward => record_version < file_version,
            _ => record_version > file_version,
        };
        Ok(rotates.then_some(SchemaChange::Version))
    }
}

/// A Kafka Connect schema, as far as it decides about rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectSchema {
    kind: ConnectType,
    optional: bool,
    name: Option<String>,
    version: Option<i32>,
    doc: Option<String>,
    default: Option<String>,
    parameters: BTreeMap<String, String>,
    fields: Vec<(String, Self)>,
    key: Option<Box<Self>>,
    element: Option<Box<Self>>,
}

/// The types of Kafka Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the closed set of a frozen format")]
#[allow(missing_docs, reason = "the names are Connect's own")]
pub enum ConnectType {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

impl ConnectSchema {
    /// A required schema without a name.
    #[must_use]
    pub const fn new(kind: ConnectType) -> Self {
        Self {
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            default: None,
            parameters: BTreeMap::new(),
            fields: Vec::new(),
            key: None,
            element: None,
        }
    }

    /// Allows null.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets the version.
    #[must_use]
    pub const fn with_version(mut self, version: i32) -> Self {
        self.version = Some(version);
        self
    }

    /// Sets the documentation, a difference in which rotates under
    /// [`Compatibility::None`] only.
    #[must_use]
    pub fn with_doc(mut self, doc: &str) -> Self {
        self.doc = Some(doc.to_owned());
        self
    }

    /// Sets the default, in any text that is equal for equal values.
    #[must_use]
    pub fn with_default(mut self, default: &str) -> Self {
        self.default = Some(default.to_owned());
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with_parameter(mut self, key: &str, value: &str) -> Self {
        self.parameters.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a field of a struct.
    #[must_use]
    pub fn with_field(mut self, name: &str, schema: Self) -> Self {
        self.fields.push((name.to_owned(), schema));
        self
    }

    /// Sets the schema of a map's keys.
    #[must_use]
    pub fn with_key(mut self, schema: Self) -> Self {
        self.key = Some(Box::new(schema));
        self
    }

    /// Sets the schema of an array's elements or a map's values.
    #[must_use]
    pub fn with_element(mut self, schema: Self) -> Self {
        self.element = Some(Box::new(schema));
        self
    }
}

fn structural_change(record: &ConnectSchema, file: &ConnectSchema) -> Option<SchemaChange> {
    if record.kind != file.kind && !widens(record.kind, file.kind) {
        return Some(SchemaChange::Type);
    }
    if record.name != file.name {
        return Some(SchemaChange::Name);
    }
    if !parameters_fit(&record.parameters, &file.parameters) {
        return Some(SchemaChange::Parameters);
    }
    if record.optional && !file.optional && file.default.is_none() {
        return Some(SchemaChange::Optionality);
    }
    for (name, wanted) in &file.fields {
        match record.fields.iter().find(|(candidate, _)| candidate == name) {
            Some((_, given)) => {
                if let Some(change) = structural_change(given, wanted) {
                    return Some(change);
                }
            }
            None if !wanted.optional && wanted.default.is_none() => {
                return Some(SchemaChange::MissingRequiredField);
            }
            None => {}
        }
    }
    [(&record.key, &file.key), (&record.element, &file.element)].into_iter().find_map(
        |(given, wanted)| match (given, wanted) {
            (Some(given), Some(wanted)) => structural_change(given, wanted),
            _ => None,
        },
    )
}

/// Whether a number of the record's type can be widened to the file's.
const fn widens(record: ConnectType, file: ConnectType) -> bool {
    const fn rank(kind: ConnectType) -> Option<u8> {
        match kind {
            ConnectType::Int8 => Some(0),
            ConnectType::Int16 => Some(1),
            ConnectType::Int32 => Some(2),
            ConnectType::Int64 => Some(3),
            ConnectType::Float32 => Some(4),
            ConnectType::Float64 => Some(5),
            _ => None,
        }
    }
    match (rank(record), rank(file)) {
        (Some(from), Some(to)) => from < to,
        _ => false,
    }
}

/// Equal but for documentation; of an enum the record may have fewer symbols.
fn parameters_fit(record: &BTreeMap<String, String>, file: &BTreeMap<String, String>) -> bool {
    const ENUM: &str = "io.confluent.connect.avro.Enum";
    let is_symbol = |key: &str| key.strip_prefix(ENUM).is_some_and(|rest| rest.starts_with('.'));
    let is_metadata = |key: &str| {
        matches!(key, "connect.record.doc" | "connect.record.aliases" | "connect.record.namespace")
            || key.starts_with("io.confluent.connect.avro.field.doc.")
    };
    let both_enums = record.contains_key(ENUM) && file.contains_key(ENUM);
    let counts = |key: &str| !(is_metadata(key) || both_enums && is_symbol(key));
    record.iter().filter(|(key, _)| counts(key)).eq(file.iter().filter(|(key, _)| counts(key)))
        && record
            .iter()
            .filter(|(key, _)| both_enums && is_symbol(key))
            .all(|(key, value)| file.get(key) == Some(value))
}
