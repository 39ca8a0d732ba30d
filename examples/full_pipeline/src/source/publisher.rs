//! The producer: idempotent, acknowledged by all replicas, bounded in bytes, and tied to the
//! tracker that decides which position Postgres may forget.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientContext, Message,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{
        BaseRecord, DeliveryResult, NoCustomPartitioner, ProducerContext, ThreadedProducer,
    },
};

use super::tracker::Tracker;
use crate::{
    config::ClientSettings,
    error::{Error, Part},
    iam::Login,
    kafka,
};

/// Bytes of messages between the encoder and Kafka; past it the source stops reading.
const IN_FLIGHT: usize = 4 << 20;

/// Sends records and tells the tracker what became of them.
pub(crate) struct Publisher {
    producer: ThreadedProducer<Context>,
    tracker: Arc<Tracker>,
    context: Vec<(String, String)>,
    /// The connector's headers, made once.
    headers: Option<OwnedHeaders>,
}

/// A header of one record, as Connect's converter writes it: text, or JSON for a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnHeader {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// Whether it stands before the connector's own.
    pub(crate) leads: bool,
}

fn insert_text(all: OwnedHeaders, (key, value): &(String, String)) -> OwnedHeaders {
    all.insert(Header { key, value: Some(value.as_str()) })
}

struct Context {
    tracker: Arc<Tracker>,
    login: Login,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log_client(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka producer: {error}: {reason}");
        self.login.heard(&error, reason);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.login.oauth_token()
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    /// The number of the transaction the message belongs to.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, transaction: usize) {
        let (message, failure) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(format!("{}: {error}", message.topic()))),
        };
        let bytes = message.payload_len() + message.key_len();
        self.tracker.settled(transaction, bytes, failure);
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// A producer for one run of the source; `headers` go with every record.
    pub(crate) fn new(
        settings: &ClientSettings,
        login: &Login,
        tracker: Arc<Tracker>,
        headers: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let mut config = kafka::base(settings);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // An unreachable broker is waited for: nothing is given up, nothing is lost.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "32768")
            .set("message.max.bytes", "10485760")
            // Java's default partitioner, so that a key stays in its partition after a migration.
            .set("partitioner", "murmur2_random");
        kafka::finish(&mut config, settings, login);
        let context = Context { tracker: tracker.clone(), login: login.clone() };
        let producer = config.create_with_context(context).map_err(kafka::creation_error)?;
        let context: Vec<(String, String)> =
            headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let headers = (!context.is_empty()).then(|| {
            context.iter().fold(OwnedHeaders::new_with_capacity(context.len()), insert_text)
        });
        Ok(Self { producer, tracker, context, headers })
    }

    /// The headers of a record that has some of its own: the other key of a key change stands
    /// before the connector's, what else there is behind them.
    pub(crate) fn headers_with(&self, own: &[OwnHeader]) -> OwnedHeaders {
        let room = OwnedHeaders::new_with_capacity(self.context.len() + own.len());
        let insert = |all: OwnedHeaders, own: &OwnHeader| {
            all.insert(Header { key: &own.name, value: own.value.as_deref() })
        };
        let all = own.iter().filter(|own| own.leads).fold(room, insert);
        let all = self.context.iter().fold(all, insert_text);
        own.iter().filter(|own| !own.leads).fold(all, insert)
    }

    /// Waits until there is room for more.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        self.tracker.below(IN_FLIGHT).await;
        self.check()
    }

    /// Hands one record to the producer, which copies it. A value of `None` is a tombstone; without
    /// `headers` it has the connector's.
    pub(crate) fn send(
        &self,
        transaction: usize,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
    ) -> Result<(), Error> {
        self.send_at(transaction, topic, key, value, headers, None)
    }

    /// As [`Self::send`], with the record's time in milliseconds since 1970.
    pub(crate) fn send_at(
        &self,
        transaction: usize,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
        timestamp_ms: Option<i64>,
    ) -> Result<(), Error> {
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, transaction);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.payload(value);
        }
        if let Some(timestamp_ms) = timestamp_ms {
            record = record.timestamp(timestamp_ms);
        }
        if let Some(headers) = headers.or_else(|| self.headers.clone()) {
            record = record.headers(headers);
        }
        self.tracker.sent(transaction, bytes);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                // `ready` keeps below librdkafka's own limits, so this is the rare burst of one
                // enormous row; the producer's thread makes room.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    self.tracker.settled(transaction, bytes, Some(error.to_string()));
                    return Err(delivery(topic, &error.to_string()));
                }
            }
        }
    }

    /// Waits until everything sent is acknowledged.
    pub(crate) async fn flush(&self, limit: Duration) -> Result<(), Error> {
        match tokio::time::timeout(limit, self.tracker.below(0)).await {
            Ok(()) => self.check(),
            Err(_) => Err(Error::new(
                Part::Kafka,
                format!("Kafka did not acknowledge everything within {} s", limit.as_secs()),
            )
            .with_retryable(true)),
        }
    }

    /// The first delivery that failed for good.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.tracker.failure() {
            None => Ok(()),
            Some(failure) => Err(delivery("a record", &failure)),
        }
    }
}

fn delivery(what: &str, reason: &str) -> Error {
    Error::new(Part::Kafka, format!("cannot deliver {what}: {reason}"))
}
