//! What the registry remembers, as keys and values: the one form for memory, a file and Postgres.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::answer::Refusal;

/// What a value is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Key {
    /// Context and id; a [`Stored`].
    Schema(String, u32),
    /// Context, subject and number; a [`StoredVersion`].
    Version(String, String, u32),
    /// Context; the highest id it ever gave. A context is there when this is.
    Last(String),
    /// Scope; a JSON object.
    Config(String),
    /// Scope; a [`Mode`](super::state::Mode) as text.
    Mode(String),
}

/// A new value for a key, or none from now on.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) value: Option<Value>,
}

/// A schema's content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    pub(super) guid: Uuid,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What a client sends as a schema, and gets back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) schema: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule_set: Option<Value>,
}

/// A name defined elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: i64,
}

/// A version of a subject.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct StoredVersion {
    pub(super) id: u32,
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Change {
    pub(super) fn put(key: Key, value: &impl Serialize) -> Result<Self, Refusal> {
        let value = serde_json::to_value(value).map_err(Refusal::storage)?;
        Ok(Self { key, value: Some(value) })
    }

    pub(super) const fn remove(key: Key) -> Self {
        Self { key, value: None }
    }
}
