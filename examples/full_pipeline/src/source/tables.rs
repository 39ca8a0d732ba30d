//! The tables of the stream: each compiled once per version of its relation, its schemas
//! registered once, its records encoded into buffers that are used again.

use std::{collections::HashMap, ops::ControlFlow};

use debezium_model::{
    Change, ColumnDef, ErrorKind, HeaderValue, Headers, JsonWriter, MappedColumn, Mapping, Op,
    OutboxEvent, Plan, Record, SchemaIds, Scratch, SourceBlock, Table, TableId,
};
use pgoutput::{Column, Relation, client::quote_identifier};
use registry_client::{Client as Registry, NewSchema, Subject};

use super::publisher::{OwnHeader, Publisher};
use crate::{
    config::SourceConfig,
    error::{Error, Part},
    metrics::Metrics,
};

/// One version of a table, ready to encode its rows.
pub(crate) struct Compiled {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) topic: String,
    table: Table,
    plan: Plan,
    ids: SchemaIds,
    key_writer: Option<JsonWriter>,
}

/// Bytes of a Confluent frame before its datum.
const FRAME: usize = 5;

impl Compiled {
    /// A record's own headers in Connect's text.
    fn headers(&self, headers: &Headers<'_>) -> Result<Vec<OwnHeader>, Error> {
        headers
            .iter()
            .map(|header| {
                let (value, leads) = match header.value {
                    HeaderValue::Text(text) => (Some(text.to_owned()), false),
                    HeaderValue::Long(number) => (Some(number.to_string()), false),
                    HeaderValue::Key(framed) => (self.key_text(framed)?, true),
                    _ => (None, false),
                };
                Ok(OwnHeader { name: header.name.to_owned(), value, leads })
            })
            .collect()
    }

    fn key_text(&self, framed: &[u8]) -> Result<Option<String>, Error> {
        let (Some(writer), Some((_, datum))) = (&self.key_writer, framed.split_at_checked(FRAME))
        else {
            return Ok(None);
        };
        let failed = || Error::new(Part::Data, format!("cannot show a key of {}", self.topic));
        let mut text = Vec::new();
        writer.write(datum, &mut text).map_err(|error| failed().with_cause(error))?;
        String::from_utf8(text).map(Some).map_err(|error| failed().with_cause(error))
    }

    /// Schema and name.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The same as SQL has it.
    pub(crate) fn sql_name(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    /// The options the table was mapped with.
    pub(crate) fn mapping(&self) -> &Mapping {
        self.table.mapping()
    }

    /// What a row is found by again.
    pub(crate) fn row_key<'r>(&'r self, row: &[Column<'r>]) -> Option<Vec<(&'r str, Column<'r>)>> {
        self.table.row_key(row)
    }

    /// Whether rows are sent as the events that they hold.
    pub(crate) fn is_outbox(&self) -> bool {
        self.table.mapping().is_outbox()
    }

    /// The event of a change of an outbox table.
    pub(crate) fn outbox_event(
        &self,
        change: &Change<'_>,
        source: &SourceBlock<'_>,
    ) -> Result<Option<OutboxEvent>, debezium_model::Error> {
        if self.skips(change.op) {
            return Ok(None);
        }
        self.table.outbox_event(change, source)
    }

    /// Whether changes of this kind make no records.
    pub(crate) fn skips(&self, op: Op) -> bool {
        self.table.mapping().skips(op)
    }

    /// The columns in table order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &MappedColumn> {
        self.table.columns().iter()
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The tables by relation id; `None` for those that the filter leaves out.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    by_relation: HashMap<u32, Option<Compiled>>,
}

impl Tables {
    pub(crate) fn get(&self, relation: u32) -> Option<&Compiled> {
        self.by_relation.get(&relation)?.as_ref()
    }

    pub(crate) fn put(&mut self, relation: u32, table: Option<Compiled>) {
        self.by_relation.insert(relation, table);
    }
}

/// Compiles a table and registers its schemas.
pub(crate) async fn compile(
    config: &SourceConfig,
    registry: &Registry,
    metrics: &Metrics,
    schema: &str,
    name: &str,
    columns: Vec<ColumnDef>,
) -> Result<Compiled, Error> {
    let table =
        Table::new(&config.topic_prefix, TableId::new(schema, name), columns, &config.mapping)
            .map_err(|error| {
                Error::new(Part::Data, format!("cannot map the table {schema}.{name}"))
                    .with_cause(error)
            })?;
    if table.key_schema().is_none() {
        tracing::warn!(
            "{schema}.{name} has no primary key: its records have no key, so their order across \
             partitions and their compaction are undefined, and updates and deletes need \
             REPLICA IDENTITY FULL"
        );
    }
    let topic = table.topic().to_owned();
    if table.mapping().is_outbox() {
        return Ok(Compiled {
            schema: schema.to_owned(),
            name: name.to_owned(),
            topic,
            plan: table.plan(),
            table,
            ids: SchemaIds::new(None, 0),
            key_writer: None,
        });
    }
    let key = match table.key_schema() {
        Some(schema) => Some(register(registry, metrics, &topic, "key", &schema.to_avro()).await?),
        None => None,
    };
    let value =
        register(registry, metrics, &topic, "value", &table.value_schema().to_avro()).await?;
    let key_writer = table.header_key_schema().map(|schema| JsonWriter::new(&schema, false));
    Ok(Compiled {
        schema: schema.to_owned(),
        name: name.to_owned(),
        topic,
        plan: table.plan(),
        table,
        ids: SchemaIds::new(key, value),
        key_writer,
    })
}

/// Whether all of these columns have a binary reading. What cannot be mapped at all is told when a
/// row of it arrives.
pub(super) fn read_binary(config: &SourceConfig, columns: Vec<ColumnDef>) -> bool {
    let id = TableId::new("", "");
    Table::new(&config.topic_prefix, id, columns, &config.mapping)
        .map_or(true, |table| table.columns().iter().all(MappedColumn::reads_binary))
}

pub(super) async fn register(
    registry: &Registry,
    metrics: &Metrics,
    topic: &str,
    side: &str,
    text: &str,
) -> Result<u32, Error> {
    let subject = format!("{topic}-{side}");
    let id = registry
        .register(&Subject::new(&subject), &NewSchema::new(text))
        .await
        .map_err(|error| registry_error(&subject, error))?;
    metrics.schema(&subject, id.get());
    tracing::debug!("{subject} is schema {id}");
    Ok(id.get())
}

pub(crate) fn registry_error(what: &str, error: registry_client::Error) -> Error {
    let retryable = error.is_retryable();
    let failure = Error::new(Part::Registry, format!("the registry refused or failed {what}"))
        .with_cause(error);
    if retryable {
        failure.with_retryable(true).with_advice("see that the registry is up and answers")
    } else {
        failure.with_advice("see the registry's compatibility level and this user's rights")
    }
}

/// Whether the catalog's columns are those of the relation message. They differ when another
/// ALTER came after the change that is being decoded.
pub(crate) fn merge(
    relation: &Relation<'_>,
    catalog: Vec<ColumnDef>,
) -> Result<Vec<ColumnDef>, Error> {
    let mut by_name: HashMap<String, ColumnDef> =
        catalog.into_iter().map(|column| (column.name().to_owned(), column)).collect();
    relation
        .columns()
        .map(|column| {
            let column = column.map_err(|error| {
                Error::new(Part::Postgres, "cannot read a relation message").with_cause(error)
            })?;
            // The message is the truth for names and types; the catalog fills in the rest.
            Ok(match by_name.remove(column.name) {
                Some(known) if known.type_oid() == column.type_oid.get() => {
                    known.with_typmod(column.typmod)
                }
                _ => ColumnDef::new(column.name, column.type_oid.get(), "")
                    .with_typmod(column.typmod),
            })
        })
        .collect()
}

/// Encodes rows and hands their records to the producer.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    scratch: Scratch,
}

impl Encoder {
    /// Encodes and sends what a change gives; says of how many events Debezium would speak.
    pub(crate) fn publish(
        &mut self,
        table: &Compiled,
        change: &Change<'_>,
        source: &SourceBlock<'_>,
        transaction: usize,
        publisher: &Publisher,
        metrics: &Metrics,
    ) -> Result<i64, Error> {
        let (mut sent, mut records, mut moved) = (Ok(()), 0, false);
        let encoded = table.plan.encode(
            change,
            source,
            table.ids,
            &mut self.scratch,
            &mut |record: Record<'_>| {
                records += 1;
                let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                metrics.message_bytes.add(bytes as u64);
                let headers = if record.headers.is_empty() {
                    Ok(None)
                } else {
                    let mut headers = record.headers.iter();
                    moved |= headers.any(|header| matches!(header.value, HeaderValue::Key(_)));
                    table.headers(&record.headers).map(|own| Some(publisher.headers_with(&own)))
                };
                let topic = record.topic.unwrap_or(&table.topic);
                sent = headers.and_then(|headers| {
                    publisher.send(transaction, topic, record.key, record.value, headers)
                });
                if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        encoded.map_err(|error| {
            let what = format!("cannot encode a row of {}.{}", table.schema, table.name);
            let unavailable = error.kind() == ErrorKind::Unavailable;
            let failure = Error::new(Part::Data, what).with_cause(error);
            if unavailable {
                failure.with_advice(format!(
                    "set toast.policy to reselect or placeholder, or ALTER TABLE {}.{} REPLICA \
                     IDENTITY FULL",
                    table.schema, table.name
                ))
            } else {
                failure
            }
        })?;
        sent?;
        // What flattening drops has been an event before.
        let events = match change.op {
            op if table.skips(op) => 0,
            Op::Update if records == 0 => 0,
            _ if moved => [Op::Delete, Op::Create].iter().filter(|op| !table.skips(**op)).count(),
            _ => 1,
        };
        Ok(i64::try_from(events).unwrap_or(i64::MAX))
    }
}
