use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::op::{Op, Snapshot};

/// A change event as a consumer reads it, with rows of the consumer's own type.
///
/// Deserialize it from JSON with [`Envelope::from_json`], or from Avro with `avro_wire::decode`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Envelope<R> {
    /// The row before the change, as far as the replica identity gives it.
    pub before: Option<R>,
    /// The row after the change.
    pub after: Option<R>,
    /// Where the event comes from.
    pub source: Source,
    /// Its place in the transaction, where transaction metadata is provided.
    pub transaction: Option<Transaction>,
    /// What happened.
    pub op: Op,
    /// When it was processed, in milliseconds since 1970.
    pub ts_ms: Option<i64>,
    /// The same in microseconds; since Debezium 2.6.
    #[serde(default)]
    pub ts_us: Option<i64>,
    /// The same in nanoseconds; since Debezium 2.6.
    #[serde(default)]
    pub ts_ns: Option<i64>,
}

/// Where an event comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Source {
    /// Version of Debezium.
    pub version: String,
    /// Kind of connector, `postgresql` here.
    pub connector: String,
    /// Logical name of the source, the prefix of its topics.
    pub name: String,
    /// Time of the commit, in milliseconds since 1970.
    pub ts_ms: i64,
    /// Place in a snapshot.
    #[serde(default)]
    pub snapshot: Option<Snapshot>,
    /// Name of the database.
    pub db: String,
    /// JSON text of the last commit's position and this one.
    #[serde(default)]
    pub sequence: Option<String>,
    /// Time of the commit, in microseconds since 1970.
    #[serde(default)]
    pub ts_us: Option<i64>,
    /// Time of the commit, in nanoseconds since 1970.
    #[serde(default)]
    pub ts_ns: Option<i64>,
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Transaction id.
    #[serde(default, rename = "txId")]
    pub tx_id: Option<i64>,
    /// Position in the log.
    #[serde(default)]
    pub lsn: Option<i64>,
    /// Oldest transaction still running, where the connector asks for it.
    #[serde(default)]
    pub xmin: Option<i64>,
    /// Replication origin.
    #[serde(default)]
    pub origin: Option<String>,
    /// Position at the origin.
    #[serde(default)]
    pub origin_lsn: Option<i64>,
}

/// The place of an event in its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transaction {
    /// Identifies the transaction.
    pub id: String,
    /// Place among all events of the transaction, from 1.
    pub total_order: i64,
    /// Place among its events of the same table, from 1.
    pub data_collection_order: i64,
}

impl<R: DeserializeOwned> Envelope<R> {
    /// Reads the value of a JSON message, with or without the `{"schema": …, "payload": …}` that
    /// Connect's converter puts around it when `schemas.enable=true`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedJson`](crate::ErrorKind::MalformedJson), with the parser's complaint.
    pub fn from_json(message: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Probe {
            payload: Option<IgnoredAny>,
            op: Option<IgnoredAny>,
        }
        #[derive(Deserialize)]
        struct Wrapped<T> {
            payload: T,
        }
        let probe: Probe = serde_json::from_slice(message).map_err(Error::json)?;
        if probe.payload.is_some() && probe.op.is_none() {
            let wrapped: Wrapped<Self> = serde_json::from_slice(message).map_err(Error::json)?;
            return Ok(wrapped.payload);
        }
        serde_json::from_slice(message).map_err(Error::json)
    }
}
