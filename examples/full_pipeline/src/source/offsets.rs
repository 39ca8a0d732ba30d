//! The compacted topic that remembers how far a connector came, so that an instance can be killed,
//! moved and started anywhere.

use std::time::Duration;

use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};
use serde::{Deserialize, Serialize};

use super::incremental::Progress;
use crate::{
    config::SourceConfig,
    error::{Error, Part},
    iam::Login,
    kafka,
};

const ANSWER: Duration = Duration::from_secs(10);

/// What is remembered of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The slot that the position belongs to.
    pub(crate) slot: String,
    /// Where the snapshot was taken, as Postgres writes positions.
    pub(crate) snapshot_lsn: String,
    /// Rows the snapshot had.
    pub(crate) snapshot_rows: u64,
    /// The signal that was seen to last: where its transaction commits, and the row in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<(u64, u64)>,
    /// The incremental snapshot that is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) incremental: Option<Progress>,
}

impl Position {
    /// As it is written down.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(Part::Kafka, "cannot write the position").with_cause(error))
    }
}

/// Reads the newest position of this connector; `None` when it never finished a snapshot.
pub(crate) async fn read(config: &SourceConfig, login: &Login) -> Result<Option<Position>, Error> {
    let mut client = kafka::base(&config.kafka);
    client.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    // Assigned by hand: the group is only a name that librdkafka wants.
    client.set("group.id", format!("{}-position", config.name));
    let (settings, login) = (config.kafka.clone(), login.clone());
    let (topic, name) = (config.offsets_topic.clone(), config.name.clone());
    kafka::run_blocking(move || {
        let failed = |cause: KafkaError| {
            Error::new(Part::Kafka, format!("cannot read positions from {topic}"))
                .with_cause(cause)
                .with_retryable(true)
        };
        let consumer = kafka::consumer(client, &settings, &login)?;
        let metadata = consumer.fetch_metadata(Some(&topic), ANSWER).map_err(failed)?;
        let partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(rdkafka::metadata::MetadataPartition::id)
            .collect();
        let mut newest = None;
        for partition in partitions {
            let (low, high) =
                consumer.fetch_watermarks(&topic, partition, ANSWER).map_err(failed)?;
            if low >= high {
                continue;
            }
            let mut assignment = TopicPartitionList::new();
            assignment
                .add_partition_offset(&topic, partition, Offset::Offset(low))
                .map_err(failed)?;
            consumer.assign(&assignment).map_err(failed)?;
            loop {
                let Some(message) = consumer.poll(ANSWER) else {
                    return Err(Error::new(Part::Kafka, format!("{topic} stopped answering"))
                        .with_retryable(true));
                };
                let message = message.map_err(failed)?;
                if message.key() == Some(name.as_bytes()) {
                    newest = message.payload().map(<[u8]>::to_vec);
                }
                if message.offset() + 1 >= high {
                    break;
                }
            }
        }
        newest
            .map(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error| {
                    Error::new(
                        Part::Kafka,
                        format!("the position of {name} in {topic} is not ours"),
                    )
                    .with_cause(error)
                    .with_advice("name another topic with offset.storage.topic")
                })
            })
            .transpose()
    })
    .await
}
