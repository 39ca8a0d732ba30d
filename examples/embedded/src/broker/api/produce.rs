//! `Produce` and `InitProducerId`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use crate::broker::node::Node;
use crate::broker::partition::Appended;
use crate::broker::topics::Topic;
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
    let response = ProduceResponse::default().with_responses(topics.collect());
    match acks {
        0 if failed => Err(Refused::Unacknowledged),
        0 => Ok(None),
        _ => Ok(Some(response)),
    }
}

/// Gives out a producer id. It is new each time: the epoch of an id only rises in transactions.
pub(in crate::broker) fn init_producer_id(
    node: &Node,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refusal = InitProducerIdResponse::default().with_producer_id(ProducerId(-1));
    if request.transactional_id.is_some() {
        return refusal.with_error_code(ResponseError::InvalidRequest.code());
    }
    match node.next_producer_id() {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)),
        Err(error) => {
            tracing::error!(%error, "producer id file failed");
            refusal.with_error_code(ResponseError::KafkaStorageError.code())
        }
    }
}

fn append(
    node: &Node,
    topic: Option<&Topic>,
    data: &PartitionProduceData,
) -> Result<Appended, ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic.partition(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let batch = data.records.as_deref().ok_or(ResponseError::InvalidRecord)?;
    partition.append(batch, topic.settings.max_message_bytes(node.config.max_message_bytes))
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
