//! Transactions on the wire.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::offsets::MAX_METADATA_BYTES;
use crate::broker::batch::Outcome;
use crate::broker::group::{Commit, Committed, Identity};
use crate::broker::node::Node;
use crate::broker::txn::Owner;

/// Gives out a producer id: a new one each time without a transactional id, the id's own with the
/// next epoch otherwise.
pub(in crate::broker) fn init_producer_id(
    node: &Node,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let owner = match &request.transactional_id {
        None => node.next_producer_id().map(|producer_id| Owner { producer_id, epoch: 0 }).map_err(
            |error| {
                tracing::error!(%error, "producer id file failed");
                ResponseError::KafkaStorageError
            },
        ),
        Some(id) => {
            let claimed =
                Owner { producer_id: request.producer_id.0, epoch: request.producer_epoch };
            let claimed = (version >= 3 && claimed.producer_id >= 0).then_some(claimed);
            let timeout_ms = request.transaction_timeout_ms;
            node.transactions.init(node, &id.0, timeout_ms, claimed)
        }
    };
    match owner {
        Ok(owner) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(owner.producer_id))
            .with_producer_epoch(owner.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
            .with_error_code(fenced_since(4, version, error).code()),
    }
}

/// All partitions are added, or none: one that does not exist keeps the others out.
pub(in crate::broker) fn add_partitions(
    node: &Node,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let owner = Owner {
        producer_id: request.v3_and_below_producer_id.0,
        epoch: request.v3_and_below_producer_epoch,
    };
    let mut wanted = Vec::new();
    let mut all_exist = true;
    let exists = |name: &str, index: i32| {
        node.topics.get(name).is_some_and(|topic| topic.partition(index).is_some())
    };
    for topic in &request.v3_and_below_topics {
        for &index in &topic.partitions {
            all_exist &= exists(&topic.name, index);
            wanted.push((topic.name.0.clone(), index));
        }
    }
    let added = if all_exist {
        node.transactions
            .add_partitions(&request.v3_and_below_transactional_id.0, owner, &wanted)
            .map_err(|error| fenced_since(2, version, error))
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let topics = request.v3_and_below_topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|&index| {
            let error = if exists(&topic.name, index) {
                added.err()
            } else {
                Some(ResponseError::UnknownTopicOrPartition)
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(error.map_or(0, |error| error.code()))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_results_by_partition(partitions.collect())
            .with_name(topic.name.clone())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
}

pub(in crate::broker) fn add_offsets(
    node: &Node,
    request: &AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let owner = Owner { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let added =
        node.transactions.add_group(&request.transactional_id.0, owner, &request.group_id.0);
    let error = added.map_err(|error| fenced_since(2, version, error)).err();
    AddOffsetsToTxnResponse::default().with_error_code(error.map_or(0, |error| error.code()))
}

/// Takes offsets into a transaction. A consumer that lost its place in the group is refused, as
/// for a commit of its own.
pub(in crate::broker) fn commit_offsets(
    node: &Node,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let owner = Owner { producer_id: request.producer_id.0, epoch: request.producer_epoch };
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
            verdicts.push(if !exists {
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
            });
        }
    }
    let taken = node
        .groups
        .check_transaction(&request.group_id, &identity, request.generation_id)
        .and_then(|()| {
            let id = &request.transactional_id.0;
            node.transactions.add_offsets(id, owner, &request.group_id, commits)
        })
        .map_err(|error| fenced_since(i16::MAX, 0, error));
    let mut verdicts = verdicts.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(verdicts.by_ref()).map(|(asked, verdict)| {
            let error = taken.and(verdict).err();
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        TxnOffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

pub(in crate::broker) fn end(node: &Node, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
    let owner = Owner { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let ended = node.transactions.end(node, &request.transactional_id.0, owner, outcome);
    let error = ended.map_err(|error| fenced_since(2, version, error)).err();
    EndTxnResponse::default().with_error_code(error.map_or(0, |error| error.code()))
}

/// `PRODUCER_FENCED` is younger than these requests; older versions say `INVALID_PRODUCER_EPOCH`.
const fn fenced_since(first: i16, version: i16, error: ResponseError) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < first => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}
