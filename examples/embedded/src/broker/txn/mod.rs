//! The transaction coordinator.
//!
//! A transactional id owns a producer id and an epoch that rises with each new owner. A transaction
//! collects partitions and offsets, is decided by one entry in the journal, and is then carried
//! out: an end marker in every partition, the offsets handed to their groups. What was decided but
//! not carried out when the broker died is carried out at the next start.

mod entry;
mod state;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Notify;

pub(super) use state::Owner;
use state::{Phase, Transaction};

use super::batch::Outcome;
use super::config::Config;
use super::group::Commit;
use super::journal::Journal;
use super::node::{Node, now_ms};

/// All transactions. Each has a lock of its own, held while it is written to or ended, so that no
/// record can slip in behind the end marker. A journal lock is only taken inside of that.
#[derive(Debug)]
pub(super) struct Coordinator {
    known: Mutex<Known>,
    written: Mutex<Written>,
    /// Told when a deadline may have come nearer.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<StrBytes, Shared>,
    by_producer: HashMap<i64, Shared>,
}

type Shared = Arc<Mutex<Transaction>>;

#[derive(Debug)]
struct Written {
    journal: Journal,
    /// The newest entry of each id, for when the journal is written anew.
    newest: HashMap<StrBytes, Vec<u8>>,
}

impl Written {
    fn write(&mut self, transaction: &Transaction) -> io::Result<()> {
        let mut bytes = Vec::new();
        entry::write(transaction, &mut bytes);
        self.journal.append(&bytes)?;
        self.newest.insert(transaction.id.clone(), bytes);
        if self.journal.is_mostly_old() {
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let all: Vec<u8> = self.newest.values().flatten().copied().collect();
        self.journal.rewrite(&all)
    }
}

impl Coordinator {
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        let mut by_id = HashMap::new();
        let path = config.data_dir.join("transactions.log");
        let journal = Journal::open(&path, config, |body| match entry::read(body) {
            Some(transaction) => {
                by_id.insert(transaction.id.clone(), transaction);
                true
            }
            None => false,
        })?;
        let mut known = Known::default();
        let mut newest = HashMap::new();
        for (id, transaction) in by_id {
            let mut bytes = Vec::new();
            entry::write(&transaction, &mut bytes);
            newest.insert(id.clone(), bytes);
            let producer_id = transaction.owner.producer_id;
            let shared = Arc::new(Mutex::new(transaction));
            known.by_producer.insert(producer_id, Arc::clone(&shared));
            known.by_id.insert(id, shared);
        }
        let mut written = Written { journal, newest };
        written.rewrite()?;
        Ok(Self { known: Mutex::new(known), written: Mutex::new(written), sooner: Notify::new() })
    }

    /// Makes the caller the only producer of the id: whatever the one before it left open is
    /// aborted, and its epoch is over.
    pub(super) fn init(
        &self,
        node: &Node,
        id: &StrBytes,
        timeout_ms: i32,
        claimed: Option<Owner>,
    ) -> Result<Owner, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let found = self.known().by_id.get(id).cloned();
        let shared = match found {
            Some(shared) => shared,
            None => self.add(node, id, timeout_ms)?,
        };
        let mut transaction = lock(&shared);
        if claimed.is_some_and(|claimed| claimed != transaction.owner) {
            return Err(ResponseError::ProducerFenced);
        }
        if let Phase::Decided(_) = transaction.phase {
            self.carry_out(node, &mut transaction)?;
        }
        if transaction.phase == Phase::Ongoing {
            // With the next epoch, so that the markers already fence the one before.
            self.decide(&mut transaction, Outcome::Abort, Bump::Yes)?;
            self.carry_out(node, &mut transaction)?;
        }
        let mut renewed = transaction.clone();
        renewed.timeout_ms = timeout_ms;
        renewed.phase = Phase::Empty;
        if transaction.owner.epoch >= LAST_EPOCH {
            renewed.owner = Owner { producer_id: new_producer_id(node)?, epoch: 0 };
        } else {
            renewed.owner.epoch += 1;
        }
        self.write(&renewed)?;
        if renewed.owner.producer_id != transaction.owner.producer_id {
            let mut known = self.known();
            known.by_producer.remove(&transaction.owner.producer_id);
            known.by_producer.insert(renewed.owner.producer_id, Arc::clone(&shared));
        }
        *transaction = renewed;
        Ok(transaction.owner)
    }

    /// Adds partitions that exist.
    pub(super) fn add_partitions(
        &self,
        id: &StrBytes,
        owner: Owner,
        partitions: &[(StrBytes, i32)],
    ) -> Result<(), ResponseError> {
        self.change(id, owner, |transaction| {
            transaction.begin(now_ms());
            transaction.partitions.extend(partitions.iter().cloned());
            Ok(())
        })
    }

    /// Announces that offsets of a group will be part of the transaction.
    pub(super) fn add_group(
        &self,
        id: &StrBytes,
        owner: Owner,
        group: &StrBytes,
    ) -> Result<(), ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.change(id, owner, |transaction| {
            transaction.begin(now_ms());
            transaction.offsets.entry(group.clone()).or_default();
            Ok(())
        })
    }

    /// Keeps offsets until the transaction is decided.
    pub(super) fn add_offsets(
        &self,
        id: &StrBytes,
        owner: Owner,
        group: &StrBytes,
        commits: Vec<Commit>,
    ) -> Result<(), ResponseError> {
        self.change(id, owner, |transaction| {
            if transaction.phase != Phase::Ongoing {
                return Err(ResponseError::InvalidTxnState);
            }
            let pending =
                transaction.offsets.get_mut(group).ok_or(ResponseError::InvalidTxnState)?;
            for Commit { topic, partition, committed } in commits {
                pending.insert((topic, partition), committed);
            }
            Ok(())
        })
    }

    /// Ends a transaction. Asking twice for the same end is fine.
    pub(super) fn end(
        &self,
        node: &Node,
        id: &StrBytes,
        owner: Owner,
        outcome: Outcome,
    ) -> Result<(), ResponseError> {
        let shared = self.find(id)?;
        let mut transaction = lock(&shared);
        transaction.check(owner)?;
        match transaction.phase {
            Phase::Done(done) if done == outcome => return Ok(()),
            Phase::Decided(decided) if decided == outcome => {}
            Phase::Ongoing => self.decide(&mut transaction, outcome, Bump::No)?,
            _ => return Err(ResponseError::InvalidTxnState),
        }
        self.carry_out(node, &mut transaction)
    }

    /// Runs `append` for a batch of a transaction, which cannot end before it is done.
    pub(super) fn write_in<T>(
        &self,
        owner: Owner,
        topic: &str,
        partition: i32,
        append: impl FnOnce() -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let shared = self.known().by_producer.get(&owner.producer_id).cloned();
        let shared = shared.ok_or(ResponseError::InvalidProducerIdMapping)?;
        let transaction = lock(&shared);
        if transaction.owner != owner {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let added = transaction
            .partitions
            .iter()
            .any(|(name, index)| *index == partition && name.as_str() == topic);
        if transaction.phase != Phase::Ongoing || !added {
            return Err(ResponseError::InvalidTxnState);
        }
        append()
    }

    /// Whether an open transaction may yet change this offset.
    pub(super) fn is_pending(&self, group: &StrBytes, topic: &StrBytes, partition: i32) -> bool {
        let all: Vec<Shared> = self.known().by_id.values().cloned().collect();
        let place = (topic.clone(), partition);
        all.iter().any(|shared| {
            lock(shared).offsets.get(group).is_some_and(|pending| pending.contains_key(&place))
        })
    }

    /// Carries out what was decided before the last stop.
    pub(super) fn resume(&self, node: &Node) -> Result<(), ResponseError> {
        let all: Vec<Shared> = self.known().by_id.values().cloned().collect();
        for shared in all {
            let mut transaction = lock(&shared);
            if let Phase::Decided(_) = transaction.phase {
                self.carry_out(node, &mut transaction)?;
            }
        }
        Ok(())
    }

    /// Aborts transactions whose time is over. Never returns.
    pub(super) async fn keep_time(&self, node: &Node) {
        loop {
            let next = self.tick(node, now_ms());
            let sleep = async {
                match next {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.written().journal.sync()
    }

    /// Returns how long it is until the next transaction's time is over.
    fn tick(&self, node: &Node, now: i64) -> Option<Duration> {
        let all: Vec<Shared> = self.known().by_id.values().cloned().collect();
        let mut next: Option<i64> = None;
        for shared in all {
            let mut transaction = lock(&shared);
            let Some(deadline) = transaction.deadline() else { continue };
            let mut wait = deadline - now;
            if wait <= 0 {
                tracing::info!(id = %transaction.id, "transaction timed out");
                // The owner is told by its epoch being over.
                let ended = self
                    .decide(&mut transaction, Outcome::Abort, Bump::Yes)
                    .and_then(|()| self.carry_out(node, &mut transaction));
                if ended.is_ok() {
                    continue;
                }
                wait = RETRY_MS;
            }
            next = Some(next.map_or(wait, |next| next.min(wait)));
        }
        next.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    fn add(&self, node: &Node, id: &StrBytes, timeout_ms: i32) -> Result<Shared, ResponseError> {
        let producer_id = new_producer_id(node)?;
        // The first owner gets epoch 0.
        let owner = Owner { producer_id, epoch: -1 };
        let shared = Arc::new(Mutex::new(Transaction::new(id.clone(), owner, timeout_ms)));
        let mut known = self.known();
        if let Some(other) = known.by_id.get(id) {
            return Ok(Arc::clone(other));
        }
        known.by_producer.insert(producer_id, Arc::clone(&shared));
        known.by_id.insert(id.clone(), Arc::clone(&shared));
        Ok(shared)
    }

    fn find(&self, id: &StrBytes) -> Result<Shared, ResponseError> {
        self.known().by_id.get(id).cloned().ok_or(ResponseError::InvalidProducerIdMapping)
    }

    /// Applies a change once the journal has it.
    fn change(
        &self,
        id: &StrBytes,
        owner: Owner,
        change: impl FnOnce(&mut Transaction) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let shared = self.find(id)?;
        let mut transaction = lock(&shared);
        transaction.check(owner)?;
        if let Phase::Decided(_) = transaction.phase {
            return Err(ResponseError::ConcurrentTransactions);
        }
        let mut changed = transaction.clone();
        change(&mut changed)?;
        if changed != *transaction {
            self.write(&changed)?;
            *transaction = changed;
            self.sooner.notify_one();
        }
        Ok(())
    }

    fn decide(
        &self,
        transaction: &mut Transaction,
        outcome: Outcome,
        bump: Bump,
    ) -> Result<(), ResponseError> {
        if let Phase::Decided(_) = transaction.phase {
            return Ok(());
        }
        let mut decided = transaction.clone();
        decided.phase = Phase::Decided(outcome);
        if bump == Bump::Yes {
            decided.owner.epoch = decided.owner.epoch.saturating_add(1);
        }
        self.write(&decided)?;
        *transaction = decided;
        Ok(())
    }

    /// Tells partitions and groups what was decided. Doing it twice does no harm.
    fn carry_out(&self, node: &Node, transaction: &mut Transaction) -> Result<(), ResponseError> {
        let Phase::Decided(outcome) = transaction.phase else { return Ok(()) };
        let Owner { producer_id, epoch } = transaction.owner;
        for (name, index) in &transaction.partitions {
            // A topic that is gone has nothing to end.
            let topic = node.topics.get(name);
            if let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(*index)) {
                partition.end_transaction(producer_id, epoch, outcome, now_ms())?;
            }
        }
        if outcome == Outcome::Commit {
            for (group, offsets) in &transaction.offsets {
                let commits: Vec<Commit> = offsets
                    .iter()
                    .map(|((topic, partition), committed)| Commit {
                        topic: topic.clone(),
                        partition: *partition,
                        committed: committed.clone(),
                    })
                    .collect();
                node.groups.commit_transaction(group, &commits)?;
            }
        }
        let mut done = transaction.clone();
        done.finish(outcome);
        self.write(&done)?;
        *transaction = done;
        Ok(())
    }

    fn write(&self, transaction: &Transaction) -> Result<(), ResponseError> {
        self.written().write(transaction).map_err(storage)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an end also ends the owner's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bump {
    Yes,
    No,
}

fn lock(shared: &Shared) -> MutexGuard<'_, Transaction> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_producer_id(node: &Node) -> Result<i64, ResponseError> {
    node.next_producer_id().map_err(storage)
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "transaction file failed");
    ResponseError::KafkaStorageError
}

/// Kafka's `transaction.max.timeout.ms`.
const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// One is left for an abort that fences.
const LAST_EPOCH: i16 = i16::MAX - 2;
/// After a failure to write.
const RETRY_MS: i64 = 1000;

#[cfg(test)]
mod tests;
