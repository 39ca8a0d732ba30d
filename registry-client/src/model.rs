//! What goes over the wire as JSON, and the types it becomes.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::subject::Subject;

/// The number a registry gives to a schema's content; it stands in front of every datum. Never
/// reused for another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(u32);

impl SchemaId {
    /// The id with this number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SchemaId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// A version within a subject: 1 or more, or the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(Option<u32>);

impl Version {
    /// Whatever version is the newest when the registry answers.
    pub const LATEST: Self = Self(None);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(Some(number))
    }

    /// The number; `None` for [`LATEST`](Self::LATEST).
    #[must_use]
    pub const fn get(self) -> Option<u32> {
        self.0
    }
}

/// Writes the number, or `latest`, as paths have it.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("latest"),
        }
    }
}

/// Reads a number, `latest` or `-1`.
impl FromStr for Version {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text {
            "latest" | "-1" => Ok(Self::LATEST),
            number => number.parse().map(Self::new),
        }
    }
}

/// The language a schema is written in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaType {
    /// Apache Avro, as JSON. Registries leave the type out for it.
    #[default]
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers.
    Protobuf,
    /// A type this crate does not know, by the registry's name for it.
    Other(Box<str>),
}

impl SchemaType {
    /// The registry's name for the type, such as `AVRO`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for SchemaType {
    fn from(name: &str) -> Self {
        match name {
            "AVRO" => Self::Avro,
            "JSON" => Self::Json,
            "PROTOBUF" => Self::Protobuf,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for SchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name used in one schema and defined in another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reference {
    /// The name as the referring schema writes it; for Avro the full name of a named type.
    pub name: Box<str>,
    /// Subject that holds the definition.
    pub subject: Subject,
    /// Version of that subject.
    pub version: Version,
}

impl Reference {
    /// `name` is defined by `version` of `subject`.
    #[must_use]
    pub fn new(name: &str, subject: Subject, version: Version) -> Self {
        Self { name: name.into(), subject, version }
    }
}

/// A schema to register, look up or check. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewSchema {
    text: Arc<str>,
    schema_type: SchemaType,
    references: Arc<[Reference]>,
}

impl NewSchema {
    /// An Avro schema, sent as it is written here.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), schema_type: SchemaType::Avro, references: Arc::new([]) }
    }

    /// The same text in another language.
    #[must_use]
    pub fn with_type(mut self, schema_type: SchemaType) -> Self {
        self.schema_type = schema_type;
        self
    }

    /// Names that the text uses and other subjects define.
    #[must_use]
    pub fn with_references(mut self, references: &[Reference]) -> Self {
        self.references = references.into();
        self
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Body of the calls that take a schema.
    pub(crate) fn to_body(&self) -> Result<Vec<u8>, Error> {
        let wire = WireSchema {
            schema: &self.text,
            schema_type: match &self.schema_type {
                SchemaType::Avro => None,
                other => Some(other.as_str()),
            },
            references: self
                .references
                .iter()
                .map(|reference| WireReference {
                    name: reference.name.clone(),
                    subject: reference.subject.as_str().into(),
                    version: reference.version.get().map_or(-1, i64::from),
                })
                .collect(),
        };
        serde_json::to_vec(&wire)
            .map_err(|e| Error::build(crate::ErrorKind::Config).with_source(e).into())
    }
}

/// A schema that a registry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    id: SchemaId,
    subject: Option<Subject>,
    version: Option<Version>,
    text: Box<str>,
    schema_type: SchemaType,
    references: Box<[Reference]>,
}

impl Registered {
    /// The schema's id.
    #[must_use]
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// The subject it was asked from; registries do not always tell it for a lookup by id, since
    /// several subjects can share a schema.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Its version within [`subject`](Self::subject).
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The schema's text, as the registry gave it.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.text
    }

    /// The language of the text.
    #[must_use]
    pub fn schema_type(&self) -> &SchemaType {
        &self.schema_type
    }

    /// Names that the text uses and other subjects define.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }
}

/// Whether a schema may follow earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compatibility {
    is_compatible: bool,
    messages: Vec<String>,
}

impl Compatibility {
    /// Whether it may, under the compatibility level that the registry has set.
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        self.is_compatible
    }

    /// The registry's reasons against it, in its own words.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSchema<'a> {
    schema: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<WireReference>,
}

#[derive(Serialize, Deserialize)]
struct WireReference {
    name: Box<str>,
    subject: Box<str>,
    version: i64,
}

/// Answer that describes a registered schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireRegistered {
    id: Option<u32>,
    subject: Option<Box<str>>,
    version: Option<i64>,
    schema: Box<str>,
    schema_type: Option<Box<str>>,
    references: Option<Vec<WireReference>>,
}

impl WireRegistered {
    /// `asked` is the id that was asked for, which registries do not repeat.
    pub(crate) fn into_registered(self, asked: Option<SchemaId>) -> Option<Registered> {
        Some(Registered {
            id: asked.or_else(|| self.id.map(SchemaId))?,
            subject: self.subject.map(|name| Subject::new(&name)),
            version: self.version.map(version),
            text: self.schema,
            schema_type: self.schema_type.map_or(SchemaType::Avro, |name| (&*name).into()),
            references: self
                .references
                .into_iter()
                .flatten()
                .map(|r| Reference {
                    name: r.name,
                    subject: Subject::new(&r.subject),
                    version: version(r.version),
                })
                .collect(),
        })
    }
}

/// Registries write the latest version as -1.
fn version(number: i64) -> Version {
    u32::try_from(number).map_or(Version::LATEST, Version::new)
}

/// Answer to a registration.
#[derive(Deserialize)]
pub(crate) struct WireId {
    pub(crate) id: u32,
}

/// Answer to a compatibility check.
#[derive(Deserialize)]
pub(crate) struct WireCompatibility {
    is_compatible: bool,
    messages: Option<Vec<String>>,
}

impl From<WireCompatibility> for Compatibility {
    fn from(wire: WireCompatibility) -> Self {
        Self { is_compatible: wire.is_compatible, messages: wire.messages.unwrap_or_default() }
    }
}

/// Body of a refusal. Proxies answer other things, so nothing is required.
#[derive(Default, Deserialize)]
pub(crate) struct WireError {
    #[serde(default)]
    pub(crate) error_code: Option<i32>,
    #[serde(default)]
    pub(crate) message: Option<Box<str>>,
}
