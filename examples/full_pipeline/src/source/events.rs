//! Records that belong to no table: the bounds of transactions, heartbeats, logical messages. Each
//! kind gets its topic and its schemas with its first record.

use std::collections::HashMap;

use debezium_model::{
    EventStream, Fidelity, KeyAndValue, Mapping, SchemaIds, Scratch, SourceBlock, TransactionBlock,
    TransactionBound,
};
use pgoutput::Lsn;
use rdkafka::message::OwnedHeaders;

use super::{Source, tables};
use crate::{
    error::{Error, Part},
    kafka,
};

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Events {
    transactions: Prepared,
    heartbeats: Prepared,
    messages: Prepared,
    scratch: Scratch,
}

/// A stream, with the ids of its schemas once they are registered.
#[derive(Debug)]
struct Prepared {
    stream: EventStream,
    ids: Option<SchemaIds>,
}

/// The changes of one transaction so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    id: String,
    total: i64,
    collections: Vec<(String, i64)>,
    places: HashMap<Collection, usize>,
}

/// What the changes of a transaction are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Collection {
    /// A table, by its relation's id.
    Relation(u32),
    Messages,
}

impl Events {
    pub(super) fn new(topic_prefix: &str, mapping: &Mapping) -> Self {
        let prepared = |stream| Prepared { stream, ids: None };
        Self {
            transactions: prepared(EventStream::transactions(topic_prefix, mapping)),
            heartbeats: prepared(EventStream::heartbeats(topic_prefix, mapping)),
            messages: prepared(EventStream::messages(topic_prefix, mapping)),
            scratch: Scratch::new(),
        }
    }

    /// Sends the bound of a transaction, which Debezium puts at `lsn`.
    pub(super) async fn bound(
        &mut self,
        source: &Source,
        number: usize,
        (xid, lsn): (u32, Lsn),
        commit_us: i64,
        end_of: Option<&Progress>,
    ) -> Result<(), Error> {
        let ids = self.transactions.ids(source).await?;
        let mut id = String::new();
        source.config.mapping.write_transaction_id(xid, lsn.get(), &mut id);
        let counts: Vec<(&str, i64)> = end_of
            .map(|progress| &progress.collections)
            .into_iter()
            .flatten()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        let bound = match end_of {
            None => TransactionBound::Begin,
            Some(_) => TransactionBound::End(&counts),
        };
        let stream = &self.transactions.stream;
        let ts_ms = commit_us.div_euclid(1000);
        let record = stream.transaction(bound, &id, ts_ms, ids, &mut self.scratch);
        send(source, number, stream, record)
    }

    /// Sends a heartbeat of this moment.
    pub(super) async fn heartbeat(&mut self, source: &Source, number: usize) -> Result<(), Error> {
        let ids = self.heartbeats.ids(source).await?;
        let now_ms = super::now_ns().div_euclid(1_000_000);
        let stream = &self.heartbeats.stream;
        send(source, number, stream, stream.heartbeat(now_ms, ids, &mut self.scratch))
    }

    /// Sends what `pg_logical_emit_message` wrote.
    pub(super) async fn message(
        &mut self,
        source: &Source,
        number: usize,
        message: &pgoutput::Logical<'_>,
        block: &SourceBlock<'_>,
    ) -> Result<(), Error> {
        let ids = self.messages.ids(source).await?;
        let stream = &self.messages.stream;
        let record = stream.message(message.prefix, message.content, block, ids, &mut self.scratch);
        send(source, number, stream, record)
    }
}

impl Prepared {
    async fn ids(&mut self, source: &Source) -> Result<SchemaIds, Error> {
        if let Some(ids) = self.ids {
            return Ok(ids);
        }
        let topic = self.stream.topic();
        let (registry, metrics) = (&source.registry, &source.metrics);
        let key = self.stream.key_schema().to_avro();
        let key = tables::register(registry, metrics, topic, "key", &key).await?;
        let value = self.stream.value_schema().to_avro();
        let value = tables::register(registry, metrics, topic, "value", &value).await?;
        kafka::create_topics(&source.config.kafka, &source.login, &[(topic, false)]).await?;
        Ok(*self.ids.insert(SchemaIds::new(Some(key), value)))
    }
}

fn send(
    source: &Source,
    number: usize,
    stream: &EventStream,
    record: Result<KeyAndValue<'_>, debezium_model::Error>,
) -> Result<(), Error> {
    let (key, value) = record.map_err(|error| {
        let what = format!("cannot encode a record of {}", stream.topic());
        Error::new(Part::Data, what).with_cause(error)
    })?;
    source.metrics.message_bytes.add((key.len() + value.len()) as u64);
    // These have no headers, not even the connector's.
    let headers = Some(OwnedHeaders::new());
    source.publisher.send(number, stream.topic(), Some(key), Some(value), headers)
}

impl Progress {
    /// The place of the next change.
    pub(super) fn next<'p>(
        &'p mut self,
        collection: Collection,
        mapping: &Mapping,
        (xid, lsn): (u32, Lsn),
    ) -> TransactionBlock<'p> {
        self.id.clear();
        mapping.write_transaction_id(xid, lsn.get(), &mut self.id);
        let place = self.places.get(&collection);
        let before = place.and_then(|place| self.collections.get(*place));
        let before = before.map_or(0, |(_, count)| *count);
        TransactionBlock::new(&self.id, self.total + 1, before + 1)
    }

    /// Counts events of a collection, which `name` names when it is new.
    pub(super) fn count(
        &mut self,
        collection: Collection,
        events: i64,
        name: impl FnOnce() -> String,
    ) {
        if events == 0 {
            return;
        }
        self.total += events;
        let place = *self.places.entry(collection).or_insert(self.collections.len());
        if place == self.collections.len() {
            self.collections.push((name(), 0));
        }
        if let Some((_, count)) = self.collections.get_mut(place) {
            *count += events;
        }
    }
}

/// The name under which messages are counted. Debezium prints an object there, with its address.
pub(super) fn messages_name(mapping: &Mapping, address: u32) -> String {
    match mapping.fidelity() {
        Fidelity::Corrected => "message".to_owned(),
        _ => format!(
            "io.debezium.connector.postgresql.LogicalDecodingMessageMonitor$\
             LogicalDecodingMessageId@{address:x}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_per_transaction_and_per_table() {
        let (mapping, mut progress) = (Mapping::default(), Progress::default());
        let (a, b) = (Collection::Relation(1), Collection::Relation(2));
        let mut places = Vec::new();
        for (collection, events) in [(a, 1), (b, 2), (a, 0), (a, 1), (b, 1)] {
            let place = progress.next(collection, &mapping, (7, Lsn::new(9)));
            assert_eq!(place.id, "7:9");
            places.push((place.total_order, place.data_collection_order));
            progress.count(collection, events, || format!("{collection:?}"));
        }
        assert_eq!(places, [(1, 1), (2, 1), (4, 2), (4, 2), (5, 3)]);
        let counts: Vec<i64> = progress.collections.iter().map(|(_, count)| *count).collect();
        assert_eq!((progress.total, counts), (5, vec![2, 3]));
    }
}
