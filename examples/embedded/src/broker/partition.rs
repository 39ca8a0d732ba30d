//! One partition: its log, the producers that wrote it and the fetches that wait for more.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use super::batch::{self, BatchHeader};
use super::config::Durability;
use super::log::{self, Log};
use super::producers::{Producers, Verdict};

#[derive(Debug)]
pub(super) struct Partition {
    state: Mutex<State>,
    durability: Durability,
}

#[derive(Debug)]
struct State {
    log: Log,
    producers: Producers,
    /// Offset after the last batch that consumers may see.
    high_watermark: i64,
    /// Position of the high watermark.
    visible_end: u64,
    waiting: Vec<Weak<Notify>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    pub(super) base_offset: i64,
    pub(super) log_start: i64,
}

impl Partition {
    pub(super) fn open(dir: &Path, segment_bytes: u64, durability: Durability) -> io::Result<Self> {
        let mut producers = Producers::default();
        let log = Log::open(dir, segment_bytes, |batch| producers.record(batch))?;
        let state = State {
            high_watermark: log.next_offset(),
            visible_end: log.end(),
            log,
            producers,
            waiting: Vec::new(),
        };
        Ok(Self { state: Mutex::new(state), durability })
    }

    /// Checks and stores the batch of a produce request, once.
    pub(super) fn append(&self, batch: &[u8], max_bytes: usize) -> Result<Appended, ResponseError> {
        if batch.len() > max_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        let header = BatchHeader::accept(batch)?;
        let mut state = self.lock();
        let base_offset = match state.producers.check(&header)? {
            Verdict::Duplicate(base_offset) => base_offset,
            Verdict::New => {
                let base_offset = state.log.append(&header, batch).map_err(storage)?;
                // From here on the batch is in the log, so a repeat must be recognised even if
                // the flush below fails.
                state.producers.record(&BatchHeader { base_offset, ..header });
                if self.durability == Durability::Disk {
                    tokio::task::block_in_place(|| state.log.sync()).map_err(storage)?;
                }
                state.publish();
                base_offset
            }
        };
        Ok(Appended { base_offset, log_start: state.log.first_offset() })
    }

    pub(super) fn offsets(&self) -> Offsets {
        let state = self.lock();
        Offsets { log_start: state.log.first_offset(), high_watermark: state.high_watermark }
    }

    /// Position of the batch that holds `offset`; the end when `offset` is the next one to come.
    pub(super) fn position(&self, offset: i64) -> Result<u64, ResponseError> {
        let span = {
            let state = self.lock();
            if offset < state.log.first_offset() || offset > state.high_watermark {
                return Err(ResponseError::OffsetOutOfRange);
            }
            if offset == state.high_watermark {
                return Ok(state.visible_end);
            }
            state.log.around_offset(offset).ok_or(ResponseError::KafkaStorageError)?
        };
        let found = log::seek(&span, |header| header.next_offset() > offset).map_err(storage)?;
        found.map(|(position, _)| position).ok_or(ResponseError::KafkaStorageError)
    }

    /// Bytes that can be read from `position` on.
    pub(super) fn readable(&self, position: u64) -> u64 {
        self.lock().visible_end.saturating_sub(position)
    }

    /// Whole batches from `position` on; see [`log::read`].
    pub(super) fn read(
        &self,
        position: u64,
        limit: usize,
        first_whole: bool,
    ) -> Result<Bytes, ResponseError> {
        let (span, readable) = {
            let state = self.lock();
            (state.log.at(position), state.visible_end.saturating_sub(position))
        };
        let Some(span) = span.filter(|_| readable > 0) else { return Ok(Bytes::new()) };
        let limit = limit.min(usize::try_from(readable).unwrap_or(usize::MAX));
        log::read(&span, limit, first_whole).map_err(storage)
    }

    /// Offset and timestamp of the first record that is not older than `since`.
    pub(super) fn first_since(&self, since: i64) -> Result<Option<(i64, i64)>, ResponseError> {
        let Some(span) = self.lock().log.around_time(since) else { return Ok(None) };
        let found = log::seek(&span, |header| header.max_timestamp >= since).map_err(storage)?;
        let Some((position, header)) = found else { return Ok(None) };
        let bytes = self.read(position, header.len, true)?;
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

    /// Flushes everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.lock().log.sync()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn publish(&mut self) {
        self.high_watermark = self.log.next_offset();
        self.visible_end = self.log.end();
        for waiter in self.waiting.drain(..).filter_map(|waiter| waiter.upgrade()) {
            waiter.notify_one();
        }
    }
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "partition log failed");
    ResponseError::KafkaStorageError
}
