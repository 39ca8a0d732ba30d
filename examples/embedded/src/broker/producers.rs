//! What a partition remembers of idempotent producers, to store each batch once and in order.

use std::collections::{HashMap, HashSet, VecDeque};

use kafka_protocol::ResponseError;

use super::batch::BatchHeader;

/// The producers seen by one partition.
#[derive(Debug, Default)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Counts appended batches, to forget the producer that has been silent longest.
    clock: u64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// The newest batches, oldest first.
    recent: VecDeque<Sequenced>,
    last_used: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sequenced {
    first: i32,
    last: i32,
    base_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Store it.
    New,
    /// It is stored already, at this offset.
    Duplicate(i64),
}

impl Producers {
    /// Decides about a batch before it is stored.
    pub(super) fn check(&self, batch: &BatchHeader) -> Result<Verdict, ResponseError> {
        if batch.producer_id < 0 {
            return Ok(Verdict::New);
        }
        // A producer never seen here, or long forgotten, may start anywhere.
        let Some(known) = self.by_id.get(&batch.producer_id) else { return Ok(Verdict::New) };
        if batch.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 {
                Ok(Verdict::New)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let last = last_sequence(batch);
        let repeated = known
            .recent
            .iter()
            .find(|stored| (stored.first, stored.last) == (batch.base_sequence, last));
        if let Some(stored) = repeated {
            return Ok(Verdict::Duplicate(stored.base_offset));
        }
        match known.recent.back() {
            Some(stored) if advance(stored.last, 1) != batch.base_sequence => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            _ => Ok(Verdict::New),
        }
    }

    /// Remembers a stored batch, whose head holds its final offset.
    pub(super) fn record(&mut self, batch: &BatchHeader) {
        // The end of a transaction has no sequence number, but its epoch counts: it may be the
        // first that is heard of a producer which fenced another.
        if batch.producer_id < 0 || (batch.base_sequence < 0 && !batch.is_control()) {
            return;
        }
        self.clock += 1;
        if self.by_id.len() >= MAX_PRODUCERS && !self.by_id.contains_key(&batch.producer_id) {
            self.forget_oldest();
        }
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            recent: VecDeque::with_capacity(REMEMBERED_BATCHES),
            last_used: 0,
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.recent.clear();
        }
        producer.last_used = self.clock;
        if batch.is_control() {
            return;
        }
        if producer.recent.len() == REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Sequenced {
            first: batch.base_sequence,
            last: last_sequence(batch),
            base_offset: batch.base_offset,
        });
    }

    /// Offset of the newest batch of each producer.
    pub(super) fn newest_batches(&self) -> HashSet<i64> {
        let newest = self.by_id.values().filter_map(|producer| producer.recent.back());
        newest.map(|batch| batch.base_offset).collect()
    }

    fn forget_oldest(&mut self) {
        // A quarter at a time, so that the search is paid for by many new producers.
        let mut ages: Vec<u64> = self.by_id.values().map(|producer| producer.last_used).collect();
        let middle = ages.len() / 4;
        let (_, &mut limit, _) = ages.select_nth_unstable(middle);
        self.by_id.retain(|_, producer| producer.last_used > limit);
    }
}

fn last_sequence(batch: &BatchHeader) -> i32 {
    advance(batch.base_sequence, batch.last_offset_delta)
}

/// Sequence numbers go from 0 to `i32::MAX` and then start again at 0.
fn advance(sequence: i32, by: i32) -> i32 {
    sequence.checked_add(by).unwrap_or_else(|| by - (i32::MAX - sequence) - 1)
}

/// A producer has at most this many requests under way.
const REMEMBERED_BATCHES: usize = 5;
/// Bounds the memory of a partition; Kafka forgets by age instead.
const MAX_PRODUCERS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            len: 100,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch,
            base_sequence,
            record_count: count,
        }
    }

    #[test]
    fn a_repeat_of_one_of_the_last_five_is_a_duplicate_and_older_ones_are_out_of_order() {
        let mut producers = Producers::default();
        for i in 0..6 {
            let next = batch(0, i * 10, 10, i64::from(i) * 10);
            assert_eq!(producers.check(&next), Ok(Verdict::New));
            producers.record(&next);
        }
        for i in 1..6 {
            let offset = i64::from(i) * 10;
            assert_eq!(producers.check(&batch(0, i * 10, 10, -1)), Ok(Verdict::Duplicate(offset)));
        }
        let oldest = batch(0, 0, 10, -1);
        assert_eq!(producers.check(&oldest), Err(ResponseError::OutOfOrderSequenceNumber));
        let gap = batch(0, 61, 1, -1);
        assert_eq!(producers.check(&gap), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn a_newer_epoch_fences_the_older_one_and_starts_at_zero() {
        let mut producers = Producers::default();
        producers.record(&batch(3, 5, 1, 0));
        assert_eq!(producers.check(&batch(2, 6, 1, -1)), Err(ResponseError::InvalidProducerEpoch));
        let late = batch(4, 6, 1, -1);
        assert_eq!(producers.check(&late), Err(ResponseError::OutOfOrderSequenceNumber));
        let next = batch(4, 0, 1, 1);
        assert_eq!(producers.check(&next), Ok(Verdict::New));
        producers.record(&next);
        assert_eq!(producers.check(&batch(3, 6, 1, -1)), Err(ResponseError::InvalidProducerEpoch));
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.record(&batch(0, i32::MAX - 1, 4, 0));
        assert_eq!(producers.check(&batch(0, 2, 1, -1)), Ok(Verdict::New));
        let gap = batch(0, 3, 1, -1);
        assert_eq!(producers.check(&gap), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn memory_stays_bounded_and_the_newest_producers_are_kept() {
        let mut producers = Producers::default();
        let count = i64::try_from(MAX_PRODUCERS).unwrap() * 3;
        for id in 0..count {
            producers.record(&BatchHeader { producer_id: id, ..batch(0, 0, 1, id) });
        }
        assert!(producers.by_id.len() <= MAX_PRODUCERS);
        assert!(producers.by_id.contains_key(&(count - 1)));
        assert!(!producers.by_id.contains_key(&0));
    }
}
