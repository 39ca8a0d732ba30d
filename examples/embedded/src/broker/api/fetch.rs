//! `Fetch`: whole batches from files, waiting for them when there are none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::broker::batch::LEADER_EPOCH;
use crate::broker::node::{NODE_ID, Node};
use crate::broker::partition::{Fetched, Isolation, Partition};
use crate::broker::stable::Aborted;

/// Answers without sessions: every request names all its partitions, and session id 0 in the
/// reply tells the client to go on that way.
pub(in crate::broker) async fn answer(node: &Node, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse::default()
            .with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = u64::try_from(request.max_wait_ms).unwrap_or(0).min(MAX_WAIT_MS);
    let deadline = Instant::now() + Duration::from_millis(wait);
    let isolation = isolation(request.isolation_level);
    let plans = plan(node, &request);
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0);
    wait_for_bytes(&plans, min_bytes, isolation, deadline).await;

    let mut budget = Budget {
        left: usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_REPLY_BYTES),
        is_empty: true,
    };
    let mut plans = plans.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let count = topic.partitions.len();
        let partitions =
            plans.by_ref().take(count).map(|plan| plan.carry_out(&mut budget, isolation));
        FetchableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
            .with_topic_id(topic.topic_id)
    });
    FetchResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(node.throttle_ms())
}

/// One partition of the request, found or not.
struct Plan {
    index: i32,
    limit: usize,
    source: Result<Source, ResponseError>,
}

struct Source {
    partition: Arc<Partition>,
    offset: i64,
    /// Of the batch that holds the offset, to know how much there is to read.
    position: u64,
}

struct Budget {
    left: usize,
    /// Nothing has been read yet, so the next batch is read however large it is.
    is_empty: bool,
}

fn plan(node: &Node, request: &FetchRequest) -> Vec<Plan> {
    let mut plans = Vec::new();
    for wanted in &request.topics {
        let by_id = !wanted.topic_id.is_nil();
        let topic =
            if by_id { node.topics.by_id(wanted.topic_id) } else { node.topics.get(&wanted.topic) };
        let missing = if by_id && topic.is_none() {
            ResponseError::UnknownTopicId
        } else {
            ResponseError::UnknownTopicOrPartition
        };
        for asked in &wanted.partitions {
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition));
            plans.push(Plan {
                index: asked.partition,
                limit: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
                source: node
                    .check_leader()
                    .and_then(|()| partition.ok_or(missing))
                    .and_then(|partition| locate(partition, asked)),
            });
        }
    }
    plans
}

fn locate(partition: &Arc<Partition>, asked: &FetchPartition) -> Result<Source, ResponseError> {
    check_epoch(asked.current_leader_epoch)?;
    let position = partition.position(asked.fetch_offset)?;
    Ok(Source { partition: Arc::clone(partition), offset: asked.fetch_offset, position })
}

/// Compares the leader epoch a client believes in; -1 stands for none.
pub(super) const fn check_epoch(epoch: i32) -> Result<(), ResponseError> {
    if epoch > LEADER_EPOCH {
        Err(ResponseError::UnknownLeaderEpoch)
    } else if epoch != -1 && epoch < LEADER_EPOCH {
        Err(ResponseError::FencedLeaderEpoch)
    } else {
        Ok(())
    }
}

/// Returns when `min_bytes` can be read, an error is to be told, or the time is over.
async fn wait_for_bytes(plans: &[Plan], min_bytes: u64, isolation: Isolation, deadline: Instant) {
    if min_bytes == 0 || plans.is_empty() || plans.iter().any(|plan| plan.source.is_err()) {
        return;
    }
    let news = Arc::new(Notify::new());
    let sources = || plans.iter().filter_map(|plan| plan.source.as_ref().ok());
    loop {
        let readable = |source: &Source| source.partition.readable(source.position, isolation);
        if sources().map(readable).sum::<u64>() >= min_bytes {
            return;
        }
        // Ask to be told before looking again: a batch that comes in between is then not missed.
        for source in sources() {
            source.partition.watch(&news);
        }
        if sources().map(readable).sum::<u64>() >= min_bytes {
            return;
        }
        tokio::select! {
            () = news.notified() => {}
            () = sleep_until(deadline) => return,
        }
    }
}

impl Plan {
    fn carry_out(self, budget: &mut Budget, isolation: Isolation) -> PartitionData {
        let data = PartitionData::default()
            .with_partition_index(self.index)
            .with_preferred_read_replica(BrokerId(-1));
        let read = self.source.and_then(|source| {
            let limit = self.limit.min(budget.left);
            source.partition.read(source.offset, limit, budget.is_empty, isolation)
        });
        let Fetched { records, offsets, aborted } = match read {
            Ok(read) => read,
            Err(error) => {
                return data
                    .with_error_code(error.code())
                    .with_high_watermark(-1)
                    .with_last_stable_offset(-1)
                    .with_log_start_offset(-1)
                    .with_records(Some(Bytes::new()));
            }
        };
        budget.left = budget.left.saturating_sub(records.len());
        budget.is_empty &= records.is_empty();
        data.with_high_watermark(offsets.high_watermark)
            .with_last_stable_offset(offsets.last_stable)
            .with_log_start_offset(offsets.log_start)
            .with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(NODE_ID).with_leader_epoch(LEADER_EPOCH),
            )
            .with_aborted_transactions(aborted.map(|aborted| aborted.iter().map(list).collect()))
            .with_records(Some(records))
    }
}

fn list(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}

/// Reads a request's isolation level.
pub(super) const fn isolation(level: i8) -> Isolation {
    if level == READ_COMMITTED { Isolation::Committed } else { Isolation::Uncommitted }
}

const READ_COMMITTED: i8 = 1;
/// A reply is built in memory, so it is bounded whatever a client allows.
const MAX_REPLY_BYTES: usize = 8 * 1024 * 1024;
const MAX_WAIT_MS: u64 = 5 * 60 * 1000;
