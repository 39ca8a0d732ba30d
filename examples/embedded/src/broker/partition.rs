//! One partition: its log, the producers that wrote it and the fetches that wait for more.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use super::batch::{self, BatchHeader, Outcome};
use super::config::{Config, Durability};
use super::faults::Faults;
use super::log::{self, Context, Log, Rules};
use super::producers::{Producers, Verdict};
use super::stable::{Aborted, Place, Transactions};

#[derive(Debug)]
pub(super) struct Partition {
    state: Mutex<State>,
    disk: Disk,
    /// Changed under the lock of the state.
    retired: AtomicBool,
}

/// How to write.
#[derive(Debug)]
struct Disk {
    durability: Durability,
    faults: Faults,
}

#[derive(Debug)]
struct State {
    log: Log,
    producers: Producers,
    transactions: Transactions,
    /// After the last batch that consumers may see.
    visible: Place,
    waiting: Vec<Weak<Notify>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
    /// Everything in front of it is in a finished transaction or in none.
    pub(super) last_stable: i64,
}

/// What a consumer wants to see of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    Uncommitted,
    Committed,
}

/// What a fetch gets from one partition.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) records: Bytes,
    pub(super) offsets: Offsets,
    /// For [`Isolation::Committed`]: what the client has to leave out.
    pub(super) aborted: Option<Vec<Aborted>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    pub(super) base_offset: i64,
    pub(super) log_start: i64,
}

impl Partition {
    pub(super) fn open(dir: &Path, segment_bytes: u64, config: &Config) -> io::Result<Self> {
        let mut producers = Producers::default();
        let mut transactions = Transactions::default();
        let log = Log::open(dir, segment_bytes, |stored| {
            producers.record(&stored.header);
            transactions.record(&stored.header, stored.position, stored.outcome);
        })?;
        let state = State {
            visible: Place { offset: log.next_offset(), position: log.end() },
            log,
            producers,
            transactions,
            waiting: Vec::new(),
        };
        let disk = Disk { durability: config.durability, faults: config.faults.clone() };
        Ok(Self { state: Mutex::new(state), disk, retired: AtomicBool::new(false) })
    }

    /// Checks and stores the batch of a produce request, once.
    pub(super) fn append(&self, batch: &[u8], max_bytes: usize) -> Result<Appended, ResponseError> {
        if batch.len() > max_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        let header = BatchHeader::accept(batch)?;
        let mut state = self.lock();
        if !header.is_transactional() && state.transactions.is_open(header.producer_id) {
            return Err(ResponseError::InvalidTxnState);
        }
        let base_offset = match state.producers.check(&header)? {
            Verdict::Duplicate(base_offset) => base_offset,
            Verdict::New => state.store(&header, batch, None, &self.disk)?,
        };
        Ok(Appended { base_offset, log_start: state.log.first_offset() })
    }

    /// Writes the end of a producer's transaction into the log.
    pub(super) fn end_transaction(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        outcome: Outcome,
        now: i64,
    ) -> Result<(), ResponseError> {
        let (header, batch) = batch::marker(producer_id, producer_epoch, outcome, now);
        self.lock().store(&header, &batch, Some(outcome), &self.disk).map(|_| ())
    }

    pub(super) fn offsets(&self) -> Offsets {
        self.lock().offsets()
    }

    /// Position of the batch that holds `offset`; the end when `offset` is the next one to come.
    pub(super) fn position(&self, offset: i64) -> Result<u64, ResponseError> {
        let span = {
            let state = self.lock();
            if offset < state.log.first_offset() || offset > state.visible.offset {
                return Err(ResponseError::OffsetOutOfRange);
            }
            if offset == state.visible.offset {
                return Ok(state.visible.position);
            }
            // Nothing when the rest was removed by compaction.
            let Some(span) = state.log.around_offset(offset) else {
                return Ok(state.visible.position);
            };
            span
        };
        let found = log::seek(&span, |header| header.next_offset() > offset).map_err(storage)?;
        found.map(|(position, _)| position).ok_or(ResponseError::KafkaStorageError)
    }

    /// Bytes that can be read from `position` on.
    pub(super) fn readable(&self, position: u64, isolation: Isolation) -> u64 {
        self.lock().end(isolation).position.saturating_sub(position)
    }

    /// Whole batches, from the one that holds `offset` on; for the limits see [`log::read`].
    pub(super) fn read(
        &self,
        offset: i64,
        limit: usize,
        first_whole: bool,
        isolation: Isolation,
    ) -> Result<Fetched, ResponseError> {
        let (span, end, offsets) = {
            let state = self.lock();
            let offsets = state.offsets();
            if offset < offsets.log_start || offset > offsets.high_watermark {
                return Err(ResponseError::OffsetOutOfRange);
            }
            let end = state.end(isolation);
            // The span stays readable and unchanged whatever happens to the log from here on.
            let span = if offset < end.offset { state.log.around_offset(offset) } else { None };
            (span, end, offsets)
        };
        let mut records = Bytes::new();
        if let Some(span) = span {
            let found =
                log::seek(&span, |header| header.next_offset() > offset).map_err(storage)?;
            let (position, _) = found.ok_or(ResponseError::KafkaStorageError)?;
            records = log::read(&span.part(position, end.position), limit, first_whole)
                .map_err(storage)?;
        }
        let aborted = (isolation == Isolation::Committed).then(|| {
            let to = batch::end_offset(&records).unwrap_or(offset);
            self.lock().transactions.aborted(offset, to)
        });
        Ok(Fetched { records, offsets, aborted })
    }

    /// Offset and timestamp of the first record that is not older than `since`.
    pub(super) fn first_since(&self, since: i64) -> Result<Option<(i64, i64)>, ResponseError> {
        let Some(span) = self.lock().log.around_time(since) else { return Ok(None) };
        let found = log::seek(&span, |header| header.max_timestamp >= since).map_err(storage)?;
        let Some((position, header)) = found else { return Ok(None) };
        let bytes = log::read(&span.part(position, u64::MAX), header.len, true).map_err(storage)?;
        Ok(Some(batch::first_since(&header, &bytes, since)))
    }

    /// Offset and timestamp of the newest record by timestamp.
    pub(super) fn newest(&self) -> Result<Option<(i64, i64)>, ResponseError> {
        let Some((_, newest)) = self.lock().log.around_max_timestamp() else { return Ok(None) };
        if newest == i64::MIN { Ok(None) } else { self.first_since(newest) }
    }

    /// Has `waiter` told about the next batch.
    pub(super) fn watch(&self, waiter: &Arc<Notify>) {
        let mut state = self.lock();
        state.waiting.retain(|other| other.strong_count() > 0);
        state.waiting.push(Arc::downgrade(waiter));
    }

    /// Removes old files as [`Log::retire`] does, but nothing of an open transaction.
    pub(super) fn retire(&self, bytes: Option<u64>, since: Option<i64>) -> io::Result<()> {
        let mut state = self.lock();
        if self.is_retired() {
            return Ok(());
        }
        let keep_from = state.end(Isolation::Committed).offset;
        let retired = state.log.retire(bytes, since, keep_from);
        let first = state.log.first_offset();
        state.transactions.forget_before(first);
        retired
    }

    /// Removes records that later ones of the same key replace, when there is enough to gain; see
    /// [`Log::plan_compaction`].
    pub(super) fn compact(&self, rules: &Rules, now: i64) -> io::Result<()> {
        let (pass, context) = {
            let state = self.lock();
            let stable = state.end(Isolation::Committed).offset;
            let Some(pass) = state.log.plan_compaction(rules, stable, now)? else { return Ok(()) };
            let context = Context {
                aborted: state.transactions.aborted(0, stable),
                newest: state.producers.newest_batches(),
            };
            (pass, context)
        };
        // The files it reads do not change, so this goes on beside reading and writing.
        let swap = |cleaned| {
            self.disk.faults.before_write()?;
            let mut state = self.lock();
            if self.is_retired() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            state.log.swap(cleaned)
        };
        match pass.run(&context, || self.is_retired(), swap) {
            Ok(progress) => self.lock().log.finish_compaction(progress),
            Err(error) if error.kind() == io::ErrorKind::Interrupted && self.is_retired() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// From here on no files are removed or replaced: they may belong to someone else.
    pub(super) fn retire_files(&self) {
        let _state = self.lock();
        self.retired.store(true, Ordering::Release);
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Flushes everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.lock().log.sync()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Appends a batch, remembers it and shows it to consumers.
    fn store(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        outcome: Option<Outcome>,
        disk: &Disk,
    ) -> Result<i64, ResponseError> {
        disk.faults.before_write().map_err(storage)?;
        let base_offset = self.log.append(header, batch).map_err(storage)?;
        let stored = BatchHeader { base_offset, ..*header };
        // From here on the batch is in the log, so a repeat must be recognised even if the flush
        // below fails.
        self.producers.record(&stored);
        let len = u64::try_from(stored.len).unwrap_or(u64::MAX);
        self.transactions.record(&stored, self.log.end().saturating_sub(len), outcome);
        if disk.durability == Durability::Disk {
            tokio::task::block_in_place(|| {
                disk.faults.before_sync();
                self.log.sync()
            })
            .map_err(storage)?;
        }
        self.publish();
        Ok(base_offset)
    }

    fn publish(&mut self) {
        self.visible = Place { offset: self.log.next_offset(), position: self.log.end() };
        for waiter in self.waiting.drain(..).filter_map(|waiter| waiter.upgrade()) {
            waiter.notify_one();
        }
    }

    /// Where a consumer has to stop.
    fn end(&self, isolation: Isolation) -> Place {
        match isolation {
            Isolation::Uncommitted => self.visible,
            Isolation::Committed => self
                .transactions
                .first_open()
                .map_or(self.visible, |first_open| first_open.min(self.visible)),
        }
    }

    fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log.first_offset(),
            high_watermark: self.visible.offset,
            last_stable: self.end(Isolation::Committed).offset,
        }
    }
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "partition log failed");
    ResponseError::KafkaStorageError
}
