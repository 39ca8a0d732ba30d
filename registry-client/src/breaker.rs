//! Leaves a registry alone that has failed several times in a row.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::after;

/// A circuit breaker for one URL: after `threshold` failures in a row it lets nothing through
/// for a pause, then one request as a probe. A probe that fails doubles the pause, any success
/// ends it.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    pause: Duration,
    max_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Failed probes in a row.
    probes: u32,
    silent_until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    /// `threshold` 0 never breaks.
    pub(crate) fn new(threshold: u32, pause: Duration, max_pause: Duration) -> Self {
        Self { threshold, pause, max_pause, state: Mutex::default() }
    }

    /// Whether a request may go out now; how long to wait when not.
    pub(crate) fn admit(&self) -> Result<Admission<'_>, Duration> {
        let mut state = self.lock();
        let Some(until) = state.silent_until else {
            return Ok(Admission { breaker: self, probe: false });
        };
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Err(left);
        }
        if state.probing {
            return Err(self.pause);
        }
        state.probing = true;
        Ok(Admission { breaker: self, probe: true })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to send one request. Dropped without an outcome (the caller was cancelled), it counts
/// neither way.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Admission<'_> {
    pub(crate) fn succeeded(self) {
        *self.breaker.lock() = State::default();
    }

    pub(crate) fn failed(self) {
        let breaker = self.breaker;
        let mut state = breaker.lock();
        state.failures = state.failures.saturating_add(1);
        if self.probe {
            state.probes = state.probes.saturating_add(1);
        } else if state.silent_until.is_some() {
            // It went out before the pause began, and tells nothing new.
            return;
        }
        if self.probe || (breaker.threshold > 0 && state.failures >= breaker.threshold) {
            let factor = 2u32.checked_pow(state.probes).unwrap_or(u32::MAX);
            let pause = breaker.pause.saturating_mul(factor).min(breaker.max_pause);
            state.silent_until = Some(after(pause));
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_opens_probes_and_closes() {
        let breaker = Breaker::new(3, SECOND, 4 * SECOND);
        for _ in 0..2 {
            breaker.admit().unwrap().failed();
        }
        breaker.admit().unwrap().succeeded();
        let late = breaker.admit().unwrap();
        for _ in 0..3 {
            breaker.admit().unwrap().failed();
        }
        assert_eq!(breaker.admit().unwrap_err(), SECOND);
        late.failed();
        for pause in [1, 2, 4, 4] {
            advance(pause * SECOND - Duration::from_millis(1)).await;
            assert!(breaker.admit().is_err(), "{pause}");
            advance(Duration::from_millis(1)).await;
            let probe = breaker.admit().unwrap();
            assert!(breaker.admit().is_err(), "one probe at a time");
            probe.failed();
        }
        advance(4 * SECOND).await;
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().succeeded();
        assert!(breaker.admit().is_ok());
        breaker.admit().unwrap().failed();
        assert!(breaker.admit().is_ok(), "counting starts again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_threshold_of_zero_never_opens() {
        let breaker = Breaker::new(0, SECOND, SECOND);
        for _ in 0..1_000 {
            breaker.admit().unwrap().failed();
        }
        assert!(breaker.admit().is_ok());
    }
}
