//! `ListOffsets` and `OffsetForLeaderEpoch`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::fetch::{check_epoch, isolation};
use crate::broker::batch::LEADER_EPOCH;
use crate::broker::node::Node;
use crate::broker::partition::Isolation;
use crate::broker::topics::Topic;

pub(in crate::broker) fn answer(node: &Node, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = isolation(request.isolation_level);
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = node.topics.get(&wanted.name);
        let partitions = wanted.partitions.iter().map(|asked| {
            let response = ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_offset(-1)
                .with_timestamp(-1)
                .with_leader_epoch(-1);
            match node.check_leader().and_then(|()| look_up(topic.as_deref(), asked, isolation)) {
                Ok(Some((offset, timestamp))) => response
                    .with_offset(offset)
                    .with_timestamp(timestamp)
                    .with_leader_epoch(LEADER_EPOCH),
                Ok(None) => response,
                Err(error) => response.with_error_code(error.code()),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and timestamp, or nothing when no record is young enough.
fn look_up(
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<(i64, i64)>, ResponseError> {
    let partition = topic
        .and_then(|topic| topic.partition(asked.partition_index))
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_epoch(asked.current_leader_epoch)?;
    match asked.timestamp {
        LATEST => {
            let offsets = partition.offsets();
            Ok(Some(match isolation {
                Isolation::Uncommitted => (offsets.high_watermark, -1),
                Isolation::Committed => (offsets.last_stable, -1),
            }))
        }
        EARLIEST => Ok(Some((partition.offsets().log_start, -1))),
        NEWEST => partition.newest(),
        since if since >= 0 => partition.first_since(since),
        _ => Err(ResponseError::InvalidRequest),
    }
}

/// There has been one leader epoch, and it has not ended.
pub(in crate::broker) fn leader_epochs(
    node: &Node,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = node.topics.get(&wanted.topic);
        let partitions = wanted.partitions.iter().map(|asked| {
            let response = EpochEndOffset::default()
                .with_partition(asked.partition)
                .with_leader_epoch(-1)
                .with_end_offset(-1);
            let partition = topic
                .as_ref()
                .and_then(|topic| topic.partition(asked.partition))
                .ok_or(ResponseError::UnknownTopicOrPartition);
            match partition
                .and_then(|partition| check_epoch(asked.current_leader_epoch).map(|()| partition))
            {
                Ok(partition) if asked.leader_epoch == LEADER_EPOCH => response
                    .with_leader_epoch(LEADER_EPOCH)
                    .with_end_offset(partition.offsets().high_watermark),
                Ok(_) => response,
                Err(error) => response.with_error_code(error.code()),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(wanted.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the highest timestamp.
const NEWEST: i64 = -3;
