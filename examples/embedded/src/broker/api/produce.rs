//! `Produce`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::broker::batch::BatchHeader;
use crate::broker::node::Node;
use crate::broker::partition::Appended;
use crate::broker::topics::Topic;
use crate::broker::txn::Owner;
use crate::broker::wire::Refused;

/// Stores what was sent. Without acknowledgements (`acks=0`) there is no reply, and a failure
/// closes the connection, which is the only way to tell the producer.
pub(in crate::broker) fn answer(
    node: &Node,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, Refused> {
    let acks = request.acks;
    let acks_are_valid = matches!(acks, -1..=1);
    let mut failed = false;
    let topics = request.topic_data.into_iter().map(|data| {
        let topic = node.topics.get(&data.name);
        let TopicProduceData { name, partition_data, .. } = data;
        let partitions = partition_data.into_iter().map(|data| {
            let appended = if acks_are_valid {
                append(node, topic.as_deref(), &data)
            } else {
                Err(ResponseError::InvalidRequiredAcks)
            };
            failed |= appended.is_err();
            describe(data.index, appended)
        });
        TopicProduceResponse::default()
            .with_partition_responses(partitions.collect())
            .with_name(name)
    });
    let response = ProduceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(node.throttle_ms());
    match acks {
        0 if failed => Err(Refused::Unacknowledged),
        0 => Ok(None),
        _ => Ok(Some(response)),
    }
}

fn append(
    node: &Node,
    topic: Option<&Topic>,
    data: &PartitionProduceData,
) -> Result<Appended, ResponseError> {
    node.check_leader()?;
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic.partition(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let batch = data.records.as_deref().ok_or(ResponseError::InvalidRecord)?;
    let max_bytes = topic.settings.max_message_bytes(node.config.max_message_bytes);
    let header = BatchHeader::parse(batch)?;
    if !header.is_transactional() {
        return partition.append(batch, max_bytes);
    }
    let owner = Owner { producer_id: header.producer_id, epoch: header.producer_epoch };
    node.transactions
        .write_in(owner, &topic.name, data.index, || partition.append(batch, max_bytes))
}

fn describe(index: i32, appended: Result<Appended, ResponseError>) -> PartitionProduceResponse {
    let response =
        PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    match appended {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_start_offset(appended.log_start),
        Err(error) => {
            response.with_error_code(error.code()).with_base_offset(-1).with_log_start_offset(-1)
        }
    }
}
