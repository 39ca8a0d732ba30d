//! Which of a partition's transactions are open and which were aborted.

use std::collections::HashMap;

use super::batch::{BatchHeader, Outcome};

/// Kept up to date with every batch of the log, in order; rebuilt from the log on start.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// By producer id: where its open transaction begins here.
    open: HashMap<i64, Place>,
    /// In order of their markers.
    aborted: Vec<Aborted>,
}

/// An offset and the position of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) offset: i64,
    pub(super) position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    /// Offset of the marker.
    pub(super) last_offset: i64,
}

impl Transactions {
    /// Takes note of a stored batch, whose head holds its final offset. `outcome` is what a
    /// control batch says.
    pub(super) fn record(&mut self, batch: &BatchHeader, position: u64, outcome: Option<Outcome>) {
        if !batch.is_transactional() {
            return;
        }
        if !batch.is_control() {
            let place = Place { offset: batch.base_offset, position };
            self.open.entry(batch.producer_id).or_insert(place);
            return;
        }
        let Some(outcome) = outcome else { return };
        // A marker without records: the transaction wrote nothing here, or its marker came twice.
        let Some(first) = self.open.remove(&batch.producer_id) else { return };
        if outcome == Outcome::Abort {
            self.aborted.push(Aborted {
                producer_id: batch.producer_id,
                first_offset: first.offset,
                last_offset: batch.base_offset,
            });
        }
    }

    /// Forgets what ended in front of an offset, because its records are gone.
    pub(super) fn forget_before(&mut self, offset: i64) {
        self.aborted.retain(|aborted| aborted.last_offset >= offset);
    }

    pub(super) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// Where the oldest open transaction begins: nothing from there on is decided.
    pub(super) fn first_open(&self) -> Option<Place> {
        self.open.values().min().copied()
    }

    /// The aborted transactions with records or markers from `from` up to, not including, `to`.
    pub(super) fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        let after = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        let mut found: Vec<Aborted> = self.aborted.iter().skip(after).copied().collect();
        found.retain(|aborted| aborted.first_offset < to);
        // Consumers walk through the list and the records side by side.
        found.sort_unstable_by_key(|aborted| aborted.first_offset);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::batch;

    fn records(producer_id: i64, base_offset: i64) -> BatchHeader {
        let (mut header, _) = batch::marker(producer_id, 0, Outcome::Commit, 0);
        header.attributes = 1 << 4;
        header.base_offset = base_offset;
        header
    }

    fn end(transactions: &mut Transactions, producer_id: i64, offset: i64, outcome: Outcome) {
        let (mut header, bytes) = batch::marker(producer_id, 0, outcome, 0);
        header.base_offset = offset;
        assert!(header.is_intact(&bytes));
        assert_eq!(batch::outcome(&bytes), Some(outcome));
        transactions.record(&header, 0, batch::outcome(&bytes));
    }

    #[test]
    fn the_oldest_open_transaction_holds_back_and_aborted_ones_are_listed() {
        let mut transactions = Transactions::default();
        transactions.record(&records(1, 0), 0, None);
        transactions.record(&records(2, 1), 100, None);
        transactions.record(&records(1, 2), 200, None);
        assert_eq!(transactions.first_open(), Some(Place { offset: 0, position: 0 }));
        end(&mut transactions, 1, 3, Outcome::Commit);
        assert_eq!(transactions.first_open(), Some(Place { offset: 1, position: 100 }));
        end(&mut transactions, 2, 4, Outcome::Abort);
        assert_eq!(transactions.first_open(), None);
        // A second marker changes nothing.
        end(&mut transactions, 2, 5, Outcome::Abort);
        let aborted = Aborted { producer_id: 2, first_offset: 1, last_offset: 4 };
        assert_eq!(transactions.aborted(0, 5), [aborted]);
        assert_eq!(transactions.aborted(4, 5), [aborted]);
        assert_eq!(transactions.aborted(5, 6), []);
        assert_eq!(transactions.aborted(0, 1), []);
    }
}
