//! What a restart has to know of signals and ad-hoc snapshots, written down no earlier than it is
//! true: in Kafka, in the record of the connector's position.

use std::{collections::VecDeque, sync::atomic::Ordering};

use super::{Source, incremental::Progress, offsets::Position};
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

    /// Writes down what can be, with the transaction that is `open`, or for itself.
    pub(super) fn write_settled(
        &mut self,
        source: &Source,
        open: Option<usize>,
    ) -> Result<(), Error> {
        let mut newest = None;
        while let Some((number, _)) = self.pending.front()
            && source.tracker.is_settled(*number)
        {
            newest = self.pending.pop_front();
        }
        let Some((_, position)) = newest else { return Ok(()) };
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
