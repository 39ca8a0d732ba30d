//! What else a consumer finds in topics of Debezium: events that are not about one row.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, Source, Transaction};
use crate::error::Error;
use crate::op::Op;

/// The value of a logical message's event, in `<prefix>.message`. The same from JSON and Avro but
/// for the content, which [`LogicalMessage`] tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageEvent<C = String> {
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
pub struct LogicalMessage<C> {
    /// Its prefix.
    pub prefix: Option<String>,
    /// Its content: text in base64 from JSON, bytes from Avro.
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
        let Some(value) = value.filter(|value| value.trim_ascii() != b"null") else {
            return Ok(Self::Tombstone);
        };
        let envelope = Envelope::from_json(value)?;
        Ok(if envelope.op == Op::Truncate {
            Self::Truncated(envelope)
        } else {
            Self::Row(envelope)
        })
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
