//! The consumer: part of a group, cooperative, committing only what the sink says.

use std::sync::{Mutex, PoisonError};

use rdkafka::{
    ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::KafkaError,
};

use crate::{
    config::SinkConfig,
    error::{Error, Part},
    iam::Login,
    kafka,
};

/// Remembers which partitions were taken away until the sink has seen it.
#[derive(Debug)]
pub(super) struct Context {
    login: Login,
    revoked: Mutex<Vec<(String, i32)>>,
}

impl Context {
    /// Whether the partition was taken away and the sink has yet to see it.
    pub(super) fn is_revoked(&self, topic: &str, partition: i32) -> bool {
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        revoked.iter().any(|(gone, at)| (gone.as_str(), *at) == (topic, partition))
    }

    /// The partitions taken away since the last call.
    pub(super) fn take_revoked(&self) -> Vec<(String, i32)> {
        std::mem::take(&mut self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log_client(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka consumer: {error}: {reason}");
        self.login.heard(&error, reason);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.login.oauth_token()
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            for partition in partitions.elements() {
                tracing::info!("{}/{} is taken away", partition.topic(), partition.partition());
                revoked.push((partition.topic().to_owned(), partition.partition()));
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            for partition in partitions.elements() {
                tracing::info!("{}/{} is assigned", partition.topic(), partition.partition());
            }
        }
    }
}

/// A consumer that has joined its group.
pub(super) fn join(config: &SinkConfig, login: &Login) -> Result<StreamConsumer<Context>, Error> {
    let mut client = kafka::base(&config.kafka);
    client
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", "2048")
        .set("queued.min.messages", "1000")
        .set("fetch.max.bytes", "2097152")
        .set("fetch.message.max.bytes", "1048576")
        .set("fetch.wait.max.ms", "100")
        // Topics that the source has yet to create are seen soon.
        .set("topic.metadata.refresh.interval.ms", "2000")
        .set("allow.auto.create.topics", "false");
    kafka::finish(&mut client, &config.kafka, login);
    let context = Context { login: login.clone(), revoked: Mutex::default() };
    let consumer: StreamConsumer<Context> =
        client.create_with_context(context).map_err(kafka::creation_error)?;
    let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .map_err(|error| Error::new(Part::Kafka, "cannot subscribe").with_cause(error))?;
    Ok(consumer)
}

/// One partition with an offset and metadata, as a commit wants it.
pub(super) fn position(
    topic: &str,
    partition: i32,
    offset: i64,
    metadata: &str,
) -> Result<TopicPartitionList, Error> {
    let failed =
        |error: KafkaError| Error::new(Part::Kafka, "cannot commit an offset").with_cause(error);
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, partition);
    element.set_offset(rdkafka::Offset::Offset(offset)).map_err(failed)?;
    element.set_metadata(metadata);
    Ok(list)
}
