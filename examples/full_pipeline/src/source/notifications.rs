//! Notifications: what snapshots tell about themselves, to a topic or to the log.

use std::hash::{BuildHasher, Hasher, RandomState};

use debezium_model::{EventStream, Notification, SchemaIds, Scratch};
use rdkafka::message::OwnedHeaders;
use tokio::sync::OnceCell;

use super::{Source, tables};
use crate::{
    config::SourceConfig,
    error::{Error, Part},
    kafka,
};

/// Where notifications go.
#[derive(Debug)]
pub(super) struct Notifier {
    stream: Option<EventStream>,
    log: bool,
    ids: OnceCell<SchemaIds>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About<'a> {
    /// The snapshot at the start, or a blocking one.
    Snapshot,
    /// An incremental snapshot, by the id of the signal that asked for it.
    Incremental(Option<&'a str>),
}

impl Notifier {
    pub(super) fn new(config: &SourceConfig) -> Self {
        let topic = config.signals.notification_topic.as_deref();
        Self {
            stream: topic.map(|topic| {
                EventStream::notifications(topic, &config.topic_prefix, &config.mapping)
            }),
            log: config.signals.notification_log,
            ids: OnceCell::new(),
        }
    }
}

impl Source {
    /// Tells that something happened, with more about it by name.
    pub(super) async fn notify(
        &self,
        number: usize,
        about: About<'_>,
        kind: &str,
        data: &[(&str, &str)],
    ) -> Result<(), Error> {
        let notifier = &self.notifier;
        if notifier.stream.is_none() && !notifier.log {
            return Ok(());
        }
        let (aggregate, id) = match about {
            About::Snapshot => ("Initial Snapshot", None),
            About::Incremental(id) => ("Incremental Snapshot", id),
        };
        let id = id.map_or_else(random_uuid, str::to_owned);
        let mut data = data.to_vec();
        // The last one, as the order of the others depends on it.
        data.push(("connector_name", &self.config.topic_prefix));
        let now_ms = super::now_ns().div_euclid(1_000_000);
        let notification = Notification::new(&id, kind, aggregate, Some(data), now_ms);
        if notifier.log {
            let data = notification.additional_data.iter().flatten();
            let data: Vec<String> = data.map(|(name, text)| format!("{name}={text}")).collect();
            tracing::info!("notification: {aggregate} {id}: {kind}; {}", data.join(", "));
        }
        let Some(stream) = &notifier.stream else { return Ok(()) };
        let ids = *notifier.ids.get_or_try_init(|| self.register_notifications(stream)).await?;
        let mut scratch = Scratch::new();
        let (key, value) = stream.notification(&notification, ids, &mut scratch).map_err(|e| {
            Error::new(Part::Data, format!("cannot encode a record of {}", stream.topic()))
                .with_cause(e)
        })?;
        self.metrics.message_bytes.add((key.len() + value.len()) as u64);
        // These have no headers, not even the connector's.
        let headers = Some(OwnedHeaders::new());
        self.publisher.send(number, stream.topic(), Some(key), Some(value), headers)
    }

    async fn register_notifications(&self, stream: &EventStream) -> Result<SchemaIds, Error> {
        let (registry, metrics, topic) = (&self.registry, &self.metrics, stream.topic());
        let key = stream.key_schema().to_avro();
        let key = tables::register(registry, metrics, topic, "key", &key).await?;
        let value = stream.value_schema().to_avro();
        let value = tables::register(registry, metrics, topic, "value", &value).await?;
        kafka::create_topics(&self.config.kafka, &self.login, &[(topic, false)]).await?;
        Ok(SchemaIds::new(Some(key), value))
    }

    /// As [`Self::notify`], for what belongs to no change.
    pub(super) async fn notify_aside(
        &self,
        about: About<'_>,
        kind: &str,
        data: &[(&str, &str)],
    ) -> Result<(), Error> {
        let number = self.tracker.begin();
        let sent = self.notify(number, about, kind, data).await;
        self.tracker.commit(number, 0);
        sent
    }
}

/// A UUID of version 4. The keys of the standard library's hashers come from the system's random
/// numbers.
pub(super) fn random_uuid() -> String {
    let random = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_i64(super::now_ns());
        hasher.finish()
    };
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        0x8000 | low >> 48 & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::random_uuid;

    #[test]
    fn random_uuids_have_their_shape_and_differ() {
        let ids: Vec<String> = (0..1000).map(|_| random_uuid()).collect();
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), 1000);
        for id in &ids {
            assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }
}
