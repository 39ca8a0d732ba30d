//! Rows of an outbox table, sent as the events that they hold. The schemas come from the rows, and
//! each is registered when it is first seen.

use std::collections::{HashMap, HashSet};

use debezium_model::{Change, ConnectSchema, SourceBlock};

use super::{
    Source,
    publisher::OwnHeader,
    tables::{self, Compiled},
};
use crate::{
    error::{Error, Part},
    kafka,
};

/// Schemas remembered before all are forgotten and asked for again: payloads that are turned from
/// JSON into structs may have any number of shapes.
const REMEMBERED: usize = 1000;

/// What has been registered and made for events.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Ids by topic and side, and text.
    ids: HashMap<(String, &'static str, String), u32>,
    topics: HashSet<String>,
}

impl Outbox {
    /// Sends the event of a change, if it has one.
    pub(super) async fn publish(
        &mut self,
        source: &Source,
        table: &Compiled,
        change: &Change<'_>,
        block: &SourceBlock<'_>,
        number: usize,
    ) -> Result<(), Error> {
        let event = table.outbox_event(change, block).map_err(|error| {
            let what = format!("cannot read an event of {}.{}", table.schema, table.name);
            Error::new(Part::Data, what).with_cause(error)
        })?;
        let Some(event) = event else { return Ok(()) };
        let key = self.framed(source, &event.topic, "key", event.key.as_ref()).await?;
        let value = self.framed(source, &event.topic, "value", event.value.as_ref()).await?;
        if !self.topics.contains(&event.topic) {
            let topic = [(event.topic.as_str(), false)];
            kafka::create_topics(&source.config.kafka, &source.login, &topic).await?;
            self.topics.insert(event.topic.clone());
        }
        let own: Vec<OwnHeader> = event
            .headers
            .into_iter()
            .map(|(name, value)| OwnHeader { name, value, leads: false })
            .collect();
        let (key, value) = (key.as_deref(), value.as_deref());
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        source.metrics.message_bytes.add(bytes as u64);
        let headers = Some(source.publisher.headers_with(&own));
        let at = Some(event.timestamp_ms);
        source.publisher.send_at(number, &event.topic, key, value, headers, at)
    }

    /// The datum behind the id of its schema.
    async fn framed(
        &mut self,
        source: &Source,
        topic: &str,
        side: &'static str,
        part: Option<&(ConnectSchema, Vec<u8>)>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some((schema, datum)) = part else { return Ok(None) };
        let known = (topic.to_owned(), side, schema.to_avro());
        let id = match self.ids.get(&known) {
            Some(id) => *id,
            None => {
                let (registry, metrics) = (&source.registry, &source.metrics);
                let id = tables::register(registry, metrics, topic, side, &known.2).await?;
                if self.ids.len() >= REMEMBERED {
                    self.ids.clear();
                }
                self.ids.insert(known, id);
                id
            }
        };
        let mut framed = vec![0];
        framed.extend_from_slice(&id.to_be_bytes());
        framed.extend_from_slice(datum);
        Ok(Some(framed))
    }
}
