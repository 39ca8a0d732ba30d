//! Records that belong to no table: the bounds of transactions, heartbeats, logical messages.

use avro_wire::primitive::{write_long, write_string};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::frame;
use super::metadata::{Metadatas, optional_long, optional_text};
use super::row::{ABSENT, PRESENT};
use super::{SchemaIds, Scratch};
use crate::consumer::Notification;
use crate::error::{Error, ErrorKind};
use crate::java_hash::{bucket, buckets, buckets_of_copy};
use crate::mapping::{BinaryMode, Fidelity, Mapping};
use crate::names::topic_name;
use crate::op::Op;
use crate::schema::{ConnectSchema, ConnectType};
use crate::source::SourceBlock;
use crate::source::{fields, long, source_schema, text, transaction_schema};

/// Topic and schemas of records that belong to no table, and what writes them.
///
/// ```
/// use debezium_model::{EventStream, Mapping, SchemaIds, Scratch};
///
/// let heartbeats = EventStream::heartbeats("cdc", &Mapping::default());
/// assert_eq!(heartbeats.topic(), "__debezium-heartbeat.cdc");
/// let mut scratch = Scratch::new();
/// let (key, value) =
///     heartbeats.heartbeat(5, SchemaIds::new(Some(1), 2), &mut scratch)?;
/// assert_eq!(key, b"\0\0\0\0\x01\x06cdc");
/// assert_eq!(value, b"\0\0\0\0\x02\x0a");
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EventStream {
    topic: String,
    prefix: String,
    key: ConnectSchema,
    value: ConnectSchema,
    binary: BinaryMode,
    ordered: bool,
}

/// The key and the value of a record, framed.
pub type KeyAndValue<'a> = (&'a [u8], &'a [u8]);

/// Where a transaction begins or ends.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TransactionBound<'a> {
    /// Before its first change.
    Begin,
    /// After its last change, with the number of changes of each table, named `schema.table`.
    End(&'a [(&'a str, i64)]),
}

impl EventStream {
    fn new(
        topic: &str,
        prefix: &str,
        key: ConnectSchema,
        value: ConnectSchema,
        mapping: &Mapping,
    ) -> Self {
        Self {
            topic: topic_name(topic),
            prefix: prefix.to_owned(),
            key,
            value,
            binary: mapping.binary,
            ordered: mapping.fidelity == Fidelity::Corrected,
        }
    }

    /// The records that bound transactions (`provide.transaction.metadata`), in
    /// `<prefix>.transaction` or where `topic.transaction` says.
    #[must_use]
    pub fn transactions(topic_prefix: &str, mapping: &Mapping) -> Self {
        let topic =
            format!("{topic_prefix}{}{}", mapping.topic_delimiter, mapping.transaction_topic);
        let count = fields(vec![("data_collection", text()), ("event_count", long())]);
        let count = ConnectSchema::new(count).with_name("event.collection").with_version(1);
        let key = named("common.TransactionMetadataKey", vec![("id", text())]);
        let value = named(
            "common.TransactionMetadataValue",
            vec![
                ("status", text()),
                ("id", text()),
                ("event_count", long().optional()),
                (
                    "data_collections",
                    ConnectSchema::new(ConnectType::Array(count.optional())).optional(),
                ),
                ("ts_ms", long()),
            ],
        );
        Self::new(&topic, topic_prefix, key, value, mapping)
    }

    /// Heartbeats (`heartbeat.interval.ms`), in `__debezium-heartbeat.<prefix>` or where
    /// `topic.heartbeat.prefix` says.
    #[must_use]
    pub fn heartbeats(topic_prefix: &str, mapping: &Mapping) -> Self {
        let topic =
            format!("{}{}{topic_prefix}", mapping.heartbeat_prefix, mapping.topic_delimiter);
        let key = named("common.ServerNameKey", vec![("serverName", text())]);
        let value = named("common.Heartbeat", vec![("ts_ms", long())]);
        Self::new(&topic, topic_prefix, key, value, mapping)
    }

    /// Logical messages, what `pg_logical_emit_message` writes, in `<prefix>.message`.
    #[must_use]
    pub fn messages(topic_prefix: &str, mapping: &Mapping) -> Self {
        let topic = format!("{topic_prefix}{}message", mapping.topic_delimiter);
        let content = match mapping.binary {
            BinaryMode::Bytes => ConnectType::Bytes,
            _ => ConnectType::String,
        };
        let content = ConnectSchema::new(content).optional();
        let key = named("postgresql.MessageKey", vec![("prefix", text().optional())]);
        let message =
            named("postgresql.Message", vec![("prefix", text().optional()), ("content", content)]);
        let value = named(
            "postgresql.MessageValue",
            vec![
                ("op", text()),
                ("ts_ms", long().optional()),
                ("source", source_schema()),
                ("transaction", transaction_schema()),
                ("message", message),
            ],
        );
        Self::new(&topic, topic_prefix, key, value, mapping)
    }

    /// Notifications (`notification.enabled.channels=sink`), in the topic that
    /// `notification.sink.topic.name` names.
    #[must_use]
    pub fn notifications(topic: &str, topic_prefix: &str, mapping: &Mapping) -> Self {
        let data = ConnectSchema::new(ConnectType::Map(text())).optional();
        let key = named("common.NotificationKey", vec![("id", text())]);
        let value = named(
            "common.Notification",
            vec![
                ("id", text()),
                ("type", text()),
                ("aggregate_type", text()),
                ("additional_data", data),
                ("timestamp", long()),
            ],
        );
        Self::new(topic, topic_prefix, key, value, mapping)
    }

    /// The topic of the records.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The schema of their keys.
    #[must_use]
    pub fn key_schema(&self) -> &ConnectSchema {
        &self.key
    }

    /// The schema of their values.
    #[must_use]
    pub fn value_schema(&self) -> &ConnectSchema {
        &self.value
    }

    /// Writes the bound of a transaction that was committed `ts_ms` milliseconds after 1970.
    /// Tables come in the order of Debezium's hash map, or in the caller's when
    /// [`Fidelity::Corrected`] is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKeyId`] when the id of the key's schema is missing,
    /// [`ErrorKind::WrongStream`] when these are not the records of transactions.
    pub fn transaction<'s>(
        &self,
        bound: TransactionBound<'_>,
        id: &str,
        ts_ms: i64,
        ids: SchemaIds,
        scratch: &'s mut Scratch,
    ) -> Result<KeyAndValue<'s>, Error> {
        self.begin("io.debezium.connector.common.TransactionMetadataValue", ids, scratch)?;
        let Scratch { key, value, .. } = scratch;
        write_string(id, key);
        match bound {
            TransactionBound::Begin => {
                write_string("BEGIN", value);
                write_string(id, value);
                value.extend_from_slice(&[ABSENT; 2]);
            }
            TransactionBound::End(tables) => {
                write_string("END", value);
                write_string(id, value);
                optional_long(Some(tables.iter().map(|(_, count)| count).sum()), value);
                value.push(PRESENT);
                let mut tables: Vec<&(&str, i64)> = tables.iter().collect();
                if !self.ordered {
                    let buckets = buckets(tables.len());
                    tables.sort_by_key(|(name, _)| bucket(name, buckets));
                }
                if let Some(count) = i64::try_from(tables.len()).ok().filter(|count| *count > 0) {
                    write_long(count, value);
                }
                for (name, count) in tables {
                    value.push(PRESENT);
                    write_string(name, value);
                    write_long(*count, value);
                }
                write_long(0, value);
            }
        }
        write_long(ts_ms, value);
        Ok((key, value))
    }

    /// Writes a heartbeat of a time in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKeyId`] when the id of the key's schema is missing,
    /// [`ErrorKind::WrongStream`] when these are not heartbeats.
    pub fn heartbeat<'s>(
        &self,
        ts_ms: i64,
        ids: SchemaIds,
        scratch: &'s mut Scratch,
    ) -> Result<KeyAndValue<'s>, Error> {
        self.begin("io.debezium.connector.common.Heartbeat", ids, scratch)?;
        let Scratch { key, value, .. } = scratch;
        write_string(&self.prefix, key);
        write_long(ts_ms, value);
        Ok((key, value))
    }

    /// Writes a logical message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKeyId`] when the id of the key's schema is missing,
    /// [`ErrorKind::WrongStream`] when these are not messages.
    pub fn message<'s>(
        &self,
        prefix: &str,
        content: &[u8],
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        scratch: &'s mut Scratch,
    ) -> Result<KeyAndValue<'s>, Error> {
        self.begin("io.debezium.connector.postgresql.MessageValue", ids, scratch)?;
        let Scratch { key, value, .. } = scratch;
        optional_text(Some(prefix), key);
        write_string(Op::Message.code(), value);
        optional_long(Some(source.processed_ns.div_euclid(1_000_000)), value);
        Metadatas::source(&self.prefix, "", "", source, value);
        Metadatas::transaction(source, value);
        optional_text(Some(prefix), value);
        value.push(PRESENT);
        match self.binary {
            BinaryMode::Bytes => avro_wire::primitive::write_bytes(content, value),
            BinaryMode::Base64 => write_string(&STANDARD.encode(content), value),
            BinaryMode::Base64UrlSafe => write_string(&URL_SAFE.encode(content), value),
            BinaryMode::Hex => {
                let mut hex = String::new();
                crate::value::push_hex(content, &mut hex);
                write_string(&hex, value);
            }
        }
        Ok((key, value))
    }

    /// Writes a notification; one without a time is of 1970. The entries of its data come in the
    /// order of the hash maps through which Debezium and the converter pass them, to which the last
    /// entry was added last: it is the connector's name there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKeyId`] when the id of the key's schema is missing,
    /// [`ErrorKind::WrongStream`] when these are not notifications.
    pub fn notification<'s>(
        &self,
        notification: &Notification<Vec<(&str, &str)>>,
        ids: SchemaIds,
        scratch: &'s mut Scratch,
    ) -> Result<KeyAndValue<'s>, Error> {
        self.begin("io.debezium.connector.common.Notification", ids, scratch)?;
        let Scratch { key, value, .. } = scratch;
        let Notification { id, kind, aggregate_type, additional_data, timestamp } = notification;
        write_string(id, key);
        write_string(id, value);
        write_string(kind, value);
        write_string(aggregate_type, value);
        match additional_data {
            None => value.push(ABSENT),
            Some(data) => {
                value.push(PRESENT);
                let mut entries = data.clone();
                for buckets in [buckets_of_copy(entries.len()), buckets(entries.len())] {
                    entries.sort_by_key(|(name, _)| bucket(name, buckets));
                }
                if let Some(count) = i64::try_from(entries.len()).ok().filter(|count| *count > 0) {
                    write_long(count, value);
                }
                for (name, text) in entries {
                    write_string(name, value);
                    write_string(text, value);
                }
                write_long(0, value);
            }
        }
        write_long(timestamp.unwrap_or_default(), value);
        Ok((key, value))
    }

    fn begin(&self, name: &str, ids: SchemaIds, scratch: &mut Scratch) -> Result<(), Error> {
        let error = |kind| Error::table(kind, &self.topic);
        if self.value.name() != Some(name) {
            return Err(error(ErrorKind::WrongStream));
        }
        let id = ids.key.ok_or_else(|| error(ErrorKind::MissingKeyId))?;
        scratch.key.clear();
        scratch.value.clear();
        frame(id, &mut scratch.key);
        frame(ids.value, &mut scratch.value);
        Ok(())
    }
}

fn named(name: &str, list: Vec<(&str, ConnectSchema)>) -> ConnectSchema {
    ConnectSchema::new(fields(list))
        .with_name(&format!("io.debezium.connector.{name}"))
        .with_version(1)
}
