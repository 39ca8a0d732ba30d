//! What a restart has to know of signals and ad-hoc snapshots, written down no earlier than it is
//! true: in Kafka, in the record of the connector's position.

use std::{collections::VecDeque, sync::atomic::Ordering};

use super::{Source, incremental::Progress, offsets::Position, tracker::Tracker};
use crate::error::Error;

/// The connector's position, and those it will have.
#[derive(Debug)]
pub(super) struct Ledger {
    /// All of it but the progress.
    position: Position,
    /// Positions to be written down once Kafka has everything of a transaction.
    pending: VecDeque<(usize, Position)>,
}

impl Ledger {
    pub(super) fn new(position: Position) -> Self {
        Self { position, pending: VecDeque::new() }
    }

    /// The signal that was seen to last.
    pub(super) fn signal(&self) -> Option<(u64, u64)> {
        self.position.signal
    }

    pub(super) fn saw(&mut self, signal: Option<(u64, u64)>) {
        self.position.signal = signal;
    }

    /// Kafka has everything.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    fn with(&self, progress: &Progress) -> Position {
        let incremental = Some(progress.clone()).filter(Progress::is_running);
        Position { incremental, ..self.position.clone() }
    }

    /// Writes the position down with the change that has led to it, so that the slot cannot be
    /// confirmed behind that change without it.
    pub(super) fn write(
        &self,
        source: &Source,
        progress: &Progress,
        number: usize,
    ) -> Result<(), Error> {
        send(source, number, &self.with(progress))
    }

    /// Has the position written down once Kafka has all that was sent up to the end of a
    /// transaction: rows that are on their way may still be lost, and are read again then.
    pub(super) fn write_later(&mut self, progress: &Progress, number: usize) {
        let position = self.with(progress);
        self.pending.push_back((number, position));
    }

    /// The newest position that is true by now, once.
    fn settled(&mut self, tracker: &Tracker) -> Option<Position> {
        let mut newest = None;
        while let Some((number, _)) = self.pending.front()
            && tracker.is_settled(*number)
        {
            newest = self.pending.pop_front();
        }
        newest.map(|(_, position)| position)
    }

    /// Writes down what can be, with the transaction that is `open`, or for itself.
    pub(super) fn write_settled(
        &mut self,
        source: &Source,
        open: Option<usize>,
    ) -> Result<(), Error> {
        let Some(position) = self.settled(&source.tracker) else { return Ok(()) };
        if let Some(number) = open {
            return send(source, number, &position);
        }
        let number = source.tracker.begin();
        let sent = send(source, number, &position);
        source.tracker.commit(number, 0);
        sent
    }
}

fn send(source: &Source, number: usize, position: &Position) -> Result<(), Error> {
    let value = position.to_bytes()?;
    let (topic, key) = (&source.config.offsets_topic, source.config.name.as_bytes());
    source.publisher.send(number, topic, Some(key), Some(&value), None)?;
    source.positions.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::incremental::Collection;

    #[test]
    fn progress_is_true_when_kafka_has_the_rows() {
        let position: Position =
            serde_json::from_str(r#"{"slot":"s","snapshot_lsn":"0/1","snapshot_rows":0}"#).unwrap();
        let (mut ledger, tracker) = (Ledger::new(position), Tracker::default());
        let (schema, table) = ("s".to_owned(), "t".to_owned());
        let mut progress = Progress::default();
        progress.add("a", vec![Collection { schema, table, filter: None, surrogate: None }]);
        ledger.saw(Some((5, 4)));
        assert_eq!(ledger.signal(), Some((5, 4)));
        let mut numbers = Vec::new();
        for scanned in [10, 20, 30] {
            let number = tracker.begin();
            tracker.sent(number, 1);
            progress.scanned = scanned;
            ledger.write_later(&progress, number);
            tracker.commit(number, scanned);
            numbers.push(number);
        }
        assert_eq!(ledger.settled(&tracker), None);
        // Out of order, the first one is still on its way.
        tracker.settled(numbers[1], 1, None);
        assert_eq!(ledger.settled(&tracker), None);
        tracker.settled(numbers[0], 1, None);
        let settled = ledger.settled(&tracker).unwrap();
        assert_eq!(settled.incremental.unwrap().scanned, 20);
        assert_eq!(settled.signal, Some((5, 4)));
        assert_eq!(ledger.settled(&tracker), None);
        // Nothing is running any more.
        progress.next_collection();
        let number = tracker.begin();
        ledger.write_later(&progress, number);
        tracker.commit(number, 40);
        tracker.settled(numbers[2], 1, None);
        assert_eq!(ledger.settled(&tracker).unwrap().incremental, None);
    }
}
