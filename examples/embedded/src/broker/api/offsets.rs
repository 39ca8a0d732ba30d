//! Committed offsets on the wire.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::group::{Commit, Committed, Identity};
use crate::broker::node::Node;

/// Stores offsets. A partition that does not exist or whose metadata is too long is refused by
/// itself; a sender that is no member any more is refused as a whole.
pub(in crate::broker) fn commit(node: &Node, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let identity =
        Identity { member_id: request.member_id, instance_id: request.group_instance_id };
    let mut commits = Vec::new();
    let mut verdicts = Vec::new();
    for topic in &request.topics {
        let known = node.topics.get(&topic.name);
        for asked in &topic.partitions {
            let metadata = asked.committed_metadata.clone().unwrap_or_default();
            let exists = known
                .as_ref()
                .is_some_and(|known| known.partition(asked.partition_index).is_some());
            let verdict = if !exists {
                Err(ResponseError::UnknownTopicOrPartition)
            } else if metadata.len() > MAX_METADATA_BYTES {
                Err(ResponseError::OffsetMetadataTooLarge)
            } else {
                commits.push(Commit {
                    topic: topic.name.0.clone(),
                    partition: asked.partition_index,
                    committed: Committed {
                        offset: asked.committed_offset,
                        leader_epoch: asked.committed_leader_epoch,
                        metadata,
                    },
                });
                Ok(())
            };
            verdicts.push(verdict);
        }
    }
    let generation = request.generation_id_or_member_epoch;
    let stored = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        node.groups.commit(&request.group_id, &identity, generation, &commits)
    };
    let mut verdicts = verdicts.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(verdicts.by_ref()).map(|(asked, verdict)| {
            let error = stored.and(verdict).err();
            OffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

pub(in crate::broker) fn fetch(
    node: &Node,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if version < 8 {
        let wanted = request.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        let topics = look_up(node, &request.group_id, wanted, stable).into_iter();
        let topics = topics.map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, committed, error_code)| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(committed.metadata))
                    .with_error_code(error_code)
            });
            OffsetFetchResponseTopic::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let wanted = group.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        let topics = look_up(node, &group.group_id, wanted, stable).into_iter();
        let topics = topics.map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, committed, error_code)| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(committed.metadata))
                    .with_error_code(error_code)
            });
            OffsetFetchResponseTopics::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        OffsetFetchResponseGroup::default()
            .with_topics(topics.collect())
            .with_group_id(group.group_id)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

/// Partition, offset and error code, topic by topic.
type Found = Vec<(TopicName, Vec<(i32, Committed, i16)>)>;

/// The offsets of the partitions asked for, or of all that have one. Offset -1 means none. With
/// `stable` an offset that an open transaction may change is refused.
fn look_up(
    node: &Node,
    group: &StrBytes,
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
    stable: bool,
) -> Found {
    // Looked for before the offset is read: what is decided in between is then read.
    let error = |topic: &StrBytes, index: i32| {
        let is_pending = stable && node.transactions.is_pending(group, topic, index);
        if is_pending { ResponseError::UnstableOffsetCommit.code() } else { 0 }
    };
    let Some(wanted) = wanted else {
        let mut found: Found = Vec::new();
        for (topic, index, committed) in node.groups.all_committed(group) {
            let one = match error(&topic, index) {
                0 => (index, committed, 0),
                code => (index, none(), code),
            };
            match found.last_mut() {
                Some((name, partitions)) if name.0 == topic => partitions.push(one),
                _ => found.push((TopicName(topic), vec![one])),
            }
        }
        return found;
    };
    let find = |(topic, indexes): (TopicName, Vec<i32>)| {
        let offsets = indexes.into_iter().map(|index| match error(&topic.0, index) {
            0 => {
                let committed = node.groups.committed(group, &topic, index);
                (index, committed.unwrap_or_else(none), 0)
            }
            code => (index, none(), code),
        });
        let offsets = offsets.collect();
        (topic, offsets)
    };
    wanted.into_iter().map(find).collect()
}

pub(in crate::broker) fn delete(node: &Node, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let name = topic.name.0.clone();
        wanted.extend(topic.partitions.iter().map(|asked| (name.clone(), asked.partition_index)));
    }
    if let Err(error) = node.groups.delete_offsets(&request.group_id, &wanted) {
        return OffsetDeleteResponse::default().with_error_code(error.code());
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            OffsetDeleteResponsePartition::default().with_partition_index(asked.partition_index)
        });
        OffsetDeleteResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

const fn none() -> Committed {
    Committed { offset: -1, leader_epoch: -1, metadata: StrBytes::new() }
}

/// Kafka's `offset.metadata.max.bytes`.
pub(super) const MAX_METADATA_BYTES: usize = 4096;
