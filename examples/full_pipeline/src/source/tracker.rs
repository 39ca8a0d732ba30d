//! Which position may be confirmed to Postgres: the end of the last transaction before which
//! every message is acknowledged by Kafka, whatever order the acknowledgements come in.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Counts messages in flight by transaction.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Transactions that are not settled, oldest first; their numbers are consecutive.
    open: VecDeque<Transaction>,
    /// The number of the first of them.
    first: usize,
    confirmed: u64,
    bytes: usize,
    messages: usize,
    delivered: u64,
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct Transaction {
    outstanding: usize,
    /// Where Postgres may go on from once this is settled; unset while messages are still added.
    end: Option<u64>,
}

impl Tracker {
    /// Opens the next transaction and gives its number.
    pub(crate) fn begin(&self) -> usize {
        let mut state = self.lock();
        state.open.push_back(Transaction::default());
        state.first + state.open.len() - 1
    }

    /// Notes a message of a transaction before it is handed to the producer.
    pub(crate) fn sent(&self, transaction: usize, bytes: usize) {
        let mut state = self.lock();
        state.bytes += bytes;
        state.messages += 1;
        if let Some(open) = state.transaction(transaction) {
            open.outstanding += 1;
        }
    }

    /// Notes that Kafka has the message, or why it never will.
    pub(crate) fn settled(&self, transaction: usize, bytes: usize, failure: Option<String>) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.messages = state.messages.saturating_sub(1);
        match failure {
            None => {
                state.delivered += 1;
                if let Some(open) = state.transaction(transaction) {
                    open.outstanding = open.outstanding.saturating_sub(1);
                }
                state.confirm();
            }
            // Its transaction stays open for ever: nothing behind it may be confirmed.
            Some(reason) => {
                state.failure.get_or_insert(reason);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends a transaction at `end`.
    pub(crate) fn commit(&self, transaction: usize, end: u64) {
        let mut state = self.lock();
        if let Some(open) = state.transaction(transaction) {
            open.end = Some(end);
        }
        state.confirm();
    }

    /// Forgets a transaction that the server will send again, with all that was opened after it.
    pub(crate) fn abandon(&self, transaction: usize) {
        let mut state = self.lock();
        let keep = transaction.saturating_sub(state.first);
        if state.open.get(keep).is_some_and(|open| open.end.is_none()) {
            state.open.truncate(keep);
            // Late acknowledgements of the forgotten numbers must not count for new ones.
            let next = transaction + 1;
            if state.open.is_empty() {
                state.first = next;
            } else {
                state.open.push_back(Transaction { outstanding: 0, end: Some(0) });
            }
        }
        state.confirm();
    }

    /// The position up to which everything is in Kafka; zero when nothing is yet.
    pub(crate) fn confirmed(&self) -> u64 {
        self.lock().confirmed
    }

    /// Whether no transaction is open or in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().open.is_empty()
    }

    /// Whether Kafka has every message of a transaction and of those before it.
    pub(crate) fn is_settled(&self, transaction: usize) -> bool {
        transaction < self.lock().first
    }

    /// Messages that Kafka has acknowledged.
    pub(crate) fn delivered(&self) -> u64 {
        self.lock().delivered
    }

    /// Why a message can never be delivered, once there is one.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Waits until at most `bytes` are in flight, or a delivery has failed.
    pub(crate) async fn below(&self, bytes: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that an acknowledgement in between is not missed.
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.bytes <= bytes || state.failure.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// A panic elsewhere leaves counters that are still right: every change is a single step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn transaction(&mut self, number: usize) -> Option<&mut Transaction> {
        self.open.get_mut(number.checked_sub(self.first)?)
    }

    fn confirm(&mut self) {
        while let Some(Transaction { outstanding: 0, end: Some(end) }) = self.open.front() {
            self.confirmed = self.confirmed.max(*end);
            self.open.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_confirmed_when_all_before_it_is_settled() {
        let tracker = Tracker::default();
        let a = tracker.begin();
        tracker.sent(a, 10);
        tracker.commit(a, 100);
        let b = tracker.begin();
        tracker.sent(b, 10);
        tracker.commit(b, 200);
        tracker.settled(b, 10, None);
        assert_eq!(tracker.confirmed(), 0);
        assert!(!tracker.is_settled(a) && !tracker.is_settled(b));
        tracker.settled(a, 10, None);
        assert_eq!(tracker.confirmed(), 200);
        assert!(tracker.is_settled(a) && tracker.is_settled(b));
        assert!(tracker.is_idle());
    }

    #[test]
    fn a_failed_message_holds_the_position_for_ever() {
        let tracker = Tracker::default();
        let a = tracker.begin();
        tracker.sent(a, 1);
        tracker.commit(a, 100);
        tracker.settled(a, 1, Some("too large".to_owned()));
        let b = tracker.begin();
        tracker.commit(b, 200);
        assert_eq!(tracker.confirmed(), 0);
        assert_eq!(tracker.failure().as_deref(), Some("too large"));
    }

    #[test]
    fn an_abandoned_transaction_is_not_confirmed_and_frees_what_is_behind_it() {
        let tracker = Tracker::default();
        let a = tracker.begin();
        tracker.sent(a, 1);
        tracker.abandon(a);
        let b = tracker.begin();
        assert_ne!(a, b);
        tracker.settled(a, 1, None);
        tracker.sent(b, 1);
        tracker.commit(b, 50);
        assert_eq!(tracker.confirmed(), 0);
        tracker.settled(b, 1, None);
        assert_eq!(tracker.confirmed(), 50);
    }

    #[tokio::test]
    async fn waiting_for_room_ends_when_there_is_room() {
        let tracker = std::sync::Arc::new(Tracker::default());
        let a = tracker.begin();
        tracker.sent(a, 100);
        let waiter = tokio::spawn({
            let tracker = tracker.clone();
            async move { tracker.below(50).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        tracker.settled(a, 100, None);
        waiter.await.unwrap();
    }
}
