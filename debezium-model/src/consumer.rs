//! What else a consumer finds in topics of Debezium: events that are not about one row.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, Source, Transaction};
use crate::error::Error;
use crate::logical::Binary;
use crate::op::Op;

/// The value of a logical message's event, in `<prefix>.message`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageEvent<C = Binary> {
    /// Always [`Op::Message`].
    pub op: Op,
    /// When it was processed, in milliseconds since 1970.
    pub ts_ms: Option<i64>,
    /// Where it comes from; schema and table are empty.
    pub source: Source,
    /// Its place in the transaction, where transaction metadata is provided.
    pub transaction: Option<Transaction>,
    /// The message.
    pub message: LogicalMessage<C>,
}

/// What `pg_logical_emit_message` wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogicalMessage<C = Binary> {
    /// Its prefix.
    pub prefix: Option<String>,
    /// Its content; where `binary.handling.mode` makes it text, a `String`.
    pub content: Option<C>,
}

/// The key of a logical message's event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageKey {
    /// The message's prefix.
    pub prefix: Option<String>,
}

/// The value of an event about the bounds of a transaction, in `<prefix>.transaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransactionEvent {
    /// Which of the bounds.
    pub status: TransactionStatus,
    /// Identifies the transaction.
    pub id: String,
    /// How many events it had; only at its end.
    pub event_count: Option<i64>,
    /// How many of them each table had; only at its end.
    pub data_collections: Option<Vec<Option<TableCount>>>,
    /// Time of the commit, in milliseconds since 1970; since Debezium 1.8.
    #[serde(default)]
    pub ts_ms: Option<i64>,
}

/// A bound of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TransactionStatus {
    /// It begins.
    #[serde(rename = "BEGIN")]
    Begin,
    /// It ended.
    #[serde(rename = "END")]
    End,
}

/// The events of one table in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableCount {
    /// The table, as `schema.table`.
    pub data_collection: String,
    /// How many events.
    pub event_count: i64,
}

/// The key of an event about the bounds of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransactionKey {
    /// Identifies the transaction.
    pub id: String,
}

/// The value of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Heartbeat {
    /// When it was made, in milliseconds since 1970.
    pub ts_ms: i64,
}

/// The key of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeartbeatKey {
    /// Logical name of the source, the prefix of its topics.
    #[serde(rename = "serverName")]
    pub server_name: String,
}

/// The value of a notification, in the topic that `notification.sink.topic.name` names: what a
/// snapshot is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notification<D = BTreeMap<String, String>> {
    /// Identifies it.
    pub id: String,
    /// What happened, such as `STARTED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// To what, such as `Initial Snapshot`.
    pub aggregate_type: String,
    /// More about it, by name.
    pub additional_data: Option<D>,
    /// When, in milliseconds since 1970; since Debezium 2.4.
    #[serde(default)]
    pub timestamp: Option<i64>,
}

impl<D> Notification<D> {
    /// What happened to what, at a time in milliseconds since 1970.
    #[must_use]
    pub fn new(id: &str, kind: &str, aggregate_type: &str, data: Option<D>, at_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            aggregate_type: aggregate_type.to_owned(),
            additional_data: data,
            timestamp: Some(at_ms),
        }
    }
}

/// The key of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NotificationKey {
    /// Identifies the notification.
    pub id: String,
}

/// A key or a value with its schema around it, as `schemas.enable=true` makes Connect's
/// `JsonConverter` write it. [`from_json`] takes the schema away by itself; this is for whoever
/// wants it, or writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "the format has these two fields")]
pub struct WithSchema<T, S = serde_json::Value> {
    /// The schema, in Connect's form.
    pub schema: S,
    /// The key or value.
    pub payload: T,
}

/// A record of a table's topic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TableEvent<R> {
    /// A row was created, read, changed or deleted.
    Row(Envelope<R>),
    /// The table was emptied; the envelope has no rows.
    Truncated(Envelope<R>),
    /// The marker behind a delete, for the log's compaction.
    Tombstone,
}

/// A record without value is a tombstone.
impl<R> From<Option<Envelope<R>>> for TableEvent<R> {
    fn from(value: Option<Envelope<R>>) -> Self {
        match value {
            None => Self::Tombstone,
            Some(envelope) if envelope.op == Op::Truncate => Self::Truncated(envelope),
            Some(envelope) => Self::Row(envelope),
        }
    }
}

impl<R> TableEvent<R> {
    /// The record's value again; none for a tombstone.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope<R>> {
        match self {
            Self::Row(envelope) | Self::Truncated(envelope) => Some(envelope),
            Self::Tombstone => None,
        }
    }
}

impl<R: DeserializeOwned> TableEvent<R> {
    /// Reads the value of a record in JSON; a record without value is a tombstone, as is the text
    /// `null`.
    ///
    /// ```
    /// use debezium_model::TableEvent;
    ///
    /// assert_eq!(TableEvent::<()>::from_json(None)?, TableEvent::Tombstone);
    /// # Ok::<(), debezium_model::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedJson`](crate::ErrorKind::MalformedJson), with the parser's complaint.
    pub fn from_json(value: Option<&[u8]>) -> Result<Self, Error> {
        let value = value.filter(|value| value.trim_ascii() != b"null");
        value.map(Envelope::from_json).transpose().map(Self::from)
    }
}

/// Reads a key, a flattened row or an event of another kind than rows in JSON, with or without
/// the `{"schema": …, "payload": …}` around it.
///
/// ```
/// use debezium_model::{Heartbeat, from_json};
///
/// let plain: Heartbeat = from_json(br#"{"ts_ms":5}"#)?;
/// let wrapped: Heartbeat = from_json(br#"{"schema":{"type":"struct"},"payload":{"ts_ms":5}}"#)?;
/// assert_eq!(plain, wrapped);
/// # Ok::<(), debezium_model::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::MalformedJson`](crate::ErrorKind::MalformedJson), with the parser's complaint.
pub fn from_json<T: DeserializeOwned>(message: &[u8]) -> Result<T, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped<T> {
        #[serde(rename = "schema")]
        _schema: serde::de::IgnoredAny,
        payload: T,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Probe {
        #[serde(rename = "schema")]
        _schema: serde::de::IgnoredAny,
        #[serde(rename = "payload")]
        _payload: serde::de::IgnoredAny,
    }
    if serde_json::from_slice::<Probe>(message).is_ok() {
        let wrapped: Wrapped<T> = serde_json::from_slice(message).map_err(Error::json)?;
        return Ok(wrapped.payload);
    }
    serde_json::from_slice(message).map_err(Error::json)
}
