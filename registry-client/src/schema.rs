//! Schemas: to be registered, and as a registry holds them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, ErrorKind};
use crate::id::{Guid, SchemaId, Version};
use crate::metadata::{Metadata, RuleSet};
use crate::subject::{Context, Subject};

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
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
    id: Option<SchemaId>,
    version: Option<u32>,
    normalize: bool,
}

impl NewSchema {
    /// An Avro schema, sent as it is written here.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            schema_type: SchemaType::Avro,
            references: Arc::new([]),
            metadata: None,
            rule_set: None,
            id: None,
            version: None,
            normalize: false,
        }
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

    /// Tags and properties to go with the text.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Rules to go with the text.
    #[must_use]
    pub fn with_rule_set(mut self, rules: RuleSet) -> Self {
        self.rule_set = Some(rules);
        self
    }

    /// The id to register it by, which only a registry in [`Mode::Import`](crate::Mode::Import)
    /// permits.
    #[must_use]
    pub fn with_id(mut self, id: SchemaId) -> Self {
        self.id = Some(id);
        self
    }

    /// The version to register it as: in [`Mode::Import`](crate::Mode::Import) any, otherwise
    /// the one that comes next.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Asks the registry to compare the text by its meaning: order of attributes, spaces and
    /// the like do not count.
    #[must_use]
    pub fn with_normalization(mut self) -> Self {
        self.normalize = true;
        self
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_normalized(&self) -> bool {
        self.normalize
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
                    version: reference.version.to_wire(),
                })
                .collect(),
            metadata: self.metadata.as_ref().map(|metadata| &metadata.0),
            rule_set: self.rule_set.as_ref().map(|rules| &rules.0),
            id: self.id.map(SchemaId::get),
            version: self.version,
        };
        serde_json::to_vec(&wire).map_err(|e| Error::build(ErrorKind::Config).with_source(e).into())
    }
}

/// What a registry holds under an id or GUID: a text and what belongs to it, without a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    text: Box<str>,
    schema_type: SchemaType,
    references: Box<[Reference]>,
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
    guid: Option<Guid>,
    rest: Document,
}

impl Definition {
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

    /// Tags and properties, where the registry has any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Rules, where the registry has any.
    #[must_use]
    pub fn rule_set(&self) -> Option<&RuleSet> {
        self.rule_set.as_ref()
    }

    /// Its GUID, where the registry has them.
    #[must_use]
    pub fn guid(&self) -> Option<Guid> {
        self.guid
    }

    /// JSON text of a field of the answer that this crate does not know.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.rest.raw(name)
    }

    /// `asked` is the GUID that was asked for, which registries do not always repeat.
    pub(crate) fn read(mut fields: Document, asked: Option<Guid>) -> Result<Self, Error> {
        let text = fields.take("schema")?.ok_or_else(|| Error::response("it has no schema"))?;
        let schema_type = fields.take::<Box<str>>("schemaType")?;
        let references = fields.take::<Vec<WireReference>>("references")?;
        let told = fields.take::<Box<str>>("guid")?.and_then(|guid| guid.parse().ok());
        Ok(Self {
            text,
            schema_type: schema_type.map_or(SchemaType::Avro, |name| (&*name).into()),
            references: references
                .into_iter()
                .flatten()
                .map(|r| Reference {
                    name: r.name,
                    subject: Subject::new(&r.subject),
                    version: Version::from_wire(r.version),
                })
                .collect(),
            metadata: fields.take("metadata")?.map(Metadata),
            rule_set: fields.take("ruleSet")?.map(RuleSet),
            guid: asked.or(told),
            rest: fields,
        })
    }
}

/// A schema that a registry holds, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    id: SchemaId,
    subject: Option<Subject>,
    version: Option<Version>,
    definition: Definition,
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

    /// The text and what belongs to it.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The schema's text, as the registry gave it.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.definition.schema()
    }

    /// The language of the text.
    #[must_use]
    pub fn schema_type(&self) -> &SchemaType {
        self.definition.schema_type()
    }

    /// Names that the text uses and other subjects define.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        self.definition.references()
    }

    /// Tags and properties, where the registry has any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.definition.metadata()
    }

    /// Rules, where the registry has any.
    #[must_use]
    pub fn rule_set(&self) -> Option<&RuleSet> {
        self.definition.rule_set()
    }

    /// Its GUID, where the registry has them.
    #[must_use]
    pub fn guid(&self) -> Option<Guid> {
        self.definition.guid()
    }

    /// `asked` is the id that was asked for, which registries do not repeat.
    pub(crate) fn read(mut fields: Document, asked: Option<SchemaId>) -> Result<Self, Error> {
        let told = fields.take("id")?.map(SchemaId::new);
        let subject = fields.take::<Box<str>>("subject")?.map(|name| Subject::new(&name));
        let version = fields.take("version")?.map(Version::from_wire);
        let id = asked.or(told).ok_or_else(|| Error::response("it has no id"))?;
        Ok(Self { id, subject, version, definition: Definition::read(fields, None)? })
    }
}

/// What a registry says about a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Registration {
    /// The schema's id.
    pub id: SchemaId,
    /// Its GUID, where the registry has them.
    pub guid: Option<Guid>,
    /// Its version within the subject, where the registry says so: Confluent's does since 8.0.
    pub version: Option<Version>,
}

impl Registration {
    pub(crate) fn read(mut fields: Document) -> Result<Self, Error> {
        Ok(Self {
            id: fields
                .take("id")?
                .map(SchemaId::new)
                .ok_or_else(|| Error::response("it has no id"))?,
            guid: fields.get::<Box<str>>("guid").and_then(|guid| guid.parse().ok()),
            version: fields.get("version").map(Version::from_wire),
        })
    }
}

/// A place where a schema is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubjectVersion {
    /// The subject.
    pub subject: Subject,
    /// The version within it.
    pub version: Version,
}

/// An id, and the context in which it is that id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ContextId {
    /// The context.
    pub context: Context,
    /// The id within it.
    pub id: SchemaId,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Document>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<&'a Document>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct WireReference {
    name: Box<str>,
    subject: Box<str>,
    version: i64,
}

/// Answer that names a place.
#[derive(Deserialize)]
pub(crate) struct WireSubjectVersion {
    subject: Box<str>,
    version: i64,
}

impl From<WireSubjectVersion> for SubjectVersion {
    fn from(wire: WireSubjectVersion) -> Self {
        Self { subject: Subject::new(&wire.subject), version: Version::from_wire(wire.version) }
    }
}

/// Answer that names an id in a context; the default context may be left out.
#[derive(Deserialize)]
pub(crate) struct WireContextId {
    context: Option<Box<str>>,
    id: u32,
}

impl From<WireContextId> for ContextId {
    fn from(wire: WireContextId) -> Self {
        Self {
            context: wire.context.map_or(Context::DEFAULT, |name| Context::new(&name)),
            id: SchemaId::new(wire.id),
        }
    }
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
