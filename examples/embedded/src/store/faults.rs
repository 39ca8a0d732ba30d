use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use object_store::{Error, path::Path};

/// What a store is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// An object is written in one piece.
    Put,
    /// An upload in parts begins.
    Begin,
    /// One part of such an upload; all uploads count together.
    Part,
    /// An upload in parts becomes an object.
    Complete,
    /// An object or its metadata is read.
    Get,
    /// Objects are listed.
    List,
    /// One object is deleted.
    Delete,
    /// An object is copied or renamed.
    Copy,
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It has no effect and fails as a store does that answers 503 until the client gives up:
    /// [`Error::Generic`].
    Unavailable,
    /// It has no effect and fails with [`Error::PermissionDenied`].
    Denied,
    /// It has its effect and then fails as [`Unavailable`](Self::Unavailable) does, as when the
    /// connection breaks before the answer.
    LostAnswer,
}

impl Fault {
    pub(super) fn error(self, location: &str) -> Error {
        match self {
            Self::Denied => {
                Error::PermissionDenied { path: location.to_owned(), source: reason("403") }
            }
            Self::Unavailable => Error::Generic { store: STORE, source: reason("503") },
            Self::LostAnswer => Error::Generic { store: STORE, source: reason("no answer") },
        }
    }
}

fn reason(what: &str) -> Box<dyn std::error::Error + Send + Sync> {
    io::Error::other(format!("{what}, as ordered")).into()
}

/// Orders the faults of one store. All clones order the same ones.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    delay: Duration,
    seen: Vec<(Operation, u64)>,
}

#[derive(Debug)]
struct Rule {
    operation: Operation,
    fault: Fault,
    /// How many more pass before the one that is hit; `None` hits all.
    before: Option<u64>,
}

impl Faults {
    /// The operation of this kind with this number meets the fault; 1 is the next one.
    pub fn fail(&self, operation: Operation, number: u64, fault: Fault) {
        let before = Some(number.saturating_sub(1));
        self.state().rules.push(Rule { operation, fault, before });
    }

    /// Every operation of this kind meets the fault from now on, unless one by number is ordered.
    pub fn fail_all(&self, operation: Operation, fault: Fault) {
        self.state().rules.push(Rule { operation, fault, before: None });
    }

    /// Every operation takes this much longer from now on.
    pub fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Withdraws all orders. What was seen stays counted.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.delay = Duration::ZERO;
    }

    /// How many operations of this kind were asked of the store, those that failed too.
    #[must_use]
    pub fn seen(&self, operation: Operation) -> u64 {
        let state = self.state();
        state.seen.iter().find(|(seen, _)| *seen == operation).map_or(0, |(_, count)| *count)
    }

    /// Counts an operation; what it meets.
    pub(super) fn meet(&self, operation: Operation) -> (Option<Fault>, Duration) {
        let mut state = self.state();
        match state.seen.iter_mut().find(|(seen, _)| *seen == operation) {
            Some((_, count)) => *count += 1,
            None => state.seen.push((operation, 1)),
        }
        let mut numbered = None;
        state.rules.retain_mut(|rule| match &mut rule.before {
            Some(before) if rule.operation == operation => {
                if *before == 0 {
                    numbered = Some(rule.fault);
                    return false;
                }
                *before -= 1;
                true
            }
            _ => true,
        });
        let always = state
            .rules
            .iter()
            .find(|rule| rule.operation == operation && rule.before.is_none())
            .map(|rule| rule.fault);
        (numbered.or(always), state.delay)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&*self.state()).finish()
    }
}

/// Where a location is asked for, and there is one.
pub(super) fn place(location: Option<&Path>) -> String {
    location.map(ToString::to_string).unwrap_or_default()
}

const STORE: &str = "FaultyStore";
