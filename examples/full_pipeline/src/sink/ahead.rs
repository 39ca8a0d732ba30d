//! What lies ahead of a partition that waits for the end which an earlier owner announced. The
//! record there may be gone by now, removed by compaction, and the client says nothing of offsets
//! without a record.

use std::time::{Duration, Instant};

use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};

use crate::{
    config::SinkConfig,
    error::{Error, Part},
    iam::Login,
    kafka,
};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Offsets of a partition, both ends included.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Whether no record is left there. Only what was read once may be asked about: what is still to be
/// written is not there either. False if the broker does not say in time.
///
/// # Errors
///
/// The question cannot be asked.
pub(super) async fn is_empty(config: &SinkConfig, login: &Login, gap: Gap) -> Result<bool, Error> {
    let mut client = kafka::base(&config.kafka);
    // A member of the group by name only, for the sake of its rights: it never joins.
    client
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest");
    let (settings, login) = (config.kafka.clone(), login.clone());
    kafka::run_blocking(move || {
        client.set("enable.partition.eof", "true");
        let failed = |error: KafkaError| {
            Error::new(Part::Kafka, format!("cannot look ahead in {}/{}", gap.topic, gap.partition))
                .with_cause(error)
                .with_retryable(true)
        };
        let consumer = kafka::consumer(client, &settings, &login)?;
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&gap.topic, gap.partition, Offset::Offset(gap.from))
            .map_err(failed)?;
        consumer.assign(&place).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => return Ok(message.offset() > gap.to),
                // Everything that is committed in the log has been passed.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(error)) => tracing::debug!("looking ahead: {error}"),
                None => {}
            }
        }
        Ok(false)
    })
    .await
}
