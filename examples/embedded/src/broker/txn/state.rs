use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::broker::batch::Outcome;
use crate::broker::group::Committed;

/// A producer as it names itself in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Owner {
    pub(in crate::broker) producer_id: i64,
    pub(in crate::broker) epoch: i16,
}

/// A transactional id with its newest transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) id: StrBytes,
    pub(super) owner: Owner,
    pub(super) timeout_ms: i32,
    pub(super) phase: Phase,
    /// Milliseconds since 1970.
    pub(super) began_ms: i64,
    pub(super) partitions: BTreeSet<(StrBytes, i32)>,
    /// By group; a group is there before its first offset.
    pub(super) offsets: BTreeMap<StrBytes, BTreeMap<(StrBytes, i32), Committed>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No transaction since the owner came.
    Empty,
    Ongoing,
    /// Written down, but not yet known to all partitions and groups.
    Decided(Outcome),
    Done(Outcome),
}

impl Transaction {
    pub(super) const fn new(id: StrBytes, owner: Owner, timeout_ms: i32) -> Self {
        Self {
            id,
            owner,
            timeout_ms,
            phase: Phase::Empty,
            began_ms: 0,
            partitions: BTreeSet::new(),
            offsets: BTreeMap::new(),
        }
    }

    /// Whether a request comes from the present owner.
    pub(super) fn check(&self, owner: Owner) -> Result<(), ResponseError> {
        if owner.producer_id != self.owner.producer_id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if owner.epoch != self.owner.epoch {
            Err(ResponseError::ProducerFenced)
        } else {
            Ok(())
        }
    }

    /// Starts a transaction unless one is going on.
    pub(super) const fn begin(&mut self, now_ms: i64) {
        if !matches!(self.phase, Phase::Ongoing) {
            self.phase = Phase::Ongoing;
            self.began_ms = now_ms;
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Done(outcome);
        self.partitions.clear();
        self.offsets.clear();
    }

    /// When the transaction has to be aborted, or its end tried again.
    pub(super) fn deadline(&self) -> Option<i64> {
        match self.phase {
            Phase::Empty | Phase::Done(_) => None,
            Phase::Decided(_) => Some(0),
            Phase::Ongoing => Some(self.began_ms.saturating_add(i64::from(self.timeout_ms))),
        }
    }
}
