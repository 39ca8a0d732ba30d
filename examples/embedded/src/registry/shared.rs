//! What all requests share: the state, and the one way to change it.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::answer::Refusal;
use super::change::Plan;
use super::record::Change;
use super::state::State;
use super::storage::{Kept, Storage, StorageError};
use super::{CompatibilityLevel, Faults, User};

pub(super) struct Shared {
    state: RwLock<State>,
    /// Whoever writes holds it from the decision until the state has taken the changes in.
    kept: Mutex<Kept>,
    is_shared: bool,
    pub(super) faults: Faults,
    pub(super) user: Option<User>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) async fn open(
        level: CompatibilityLevel,
        storage: Storage,
        user: Option<User>,
    ) -> Result<Arc<Self>, StorageError> {
        let (kept, changes) = Kept::open(storage).await?;
        let mut state = State::new(level);
        for change in &changes {
            state.apply(change)?;
        }
        let is_shared = kept.is_shared();
        let (state, kept) = (RwLock::new(state), Mutex::new(kept));
        Ok(Arc::new(Self { state, kept, is_shared, faults: Faults::default(), user }))
    }

    /// Answers from what is known. Where others can write, what is missing is looked for again.
    pub(super) async fn read<T>(
        &self,
        ask: impl Fn(&State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let answer = ask(&self.state());
        match answer {
            Err(refusal) if self.is_shared && refusal.is_missing() => {
                self.refresh().await.map_err(Refusal::storage)?;
                ask(&self.state())
            }
            answer => answer,
        }
    }

    /// Carries out a plan: it is made on the newest state, and answered when its changes are kept.
    /// Goes on to its end when the caller no longer waits.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        plan: impl Fn(&State) -> Plan<T> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        // What needs no change, such as registering what is there, does not wait for others.
        if let Ok((answer, changes)) = plan(&self.state())
            && changes.is_empty()
        {
            return Ok(answer);
        }
        let shared = Arc::clone(self);
        let call = async move {
            let mut kept = shared.kept.lock().await;
            let news = kept.begin().await.map_err(Refusal::storage)?;
            shared.take_in(&news).map_err(Refusal::storage)?;
            let planned = plan(&shared.state());
            let (answer, changes) = match planned {
                Ok((answer, changes)) if !changes.is_empty() => (answer, changes),
                other => {
                    kept.rollback().await.map_err(Refusal::storage)?;
                    return other.map(|(answer, _)| answer);
                }
            };
            kept.commit(&changes).await.map_err(Refusal::storage)?;
            shared.take_in(&changes).map_err(Refusal::storage)?;
            Ok(answer)
        };
        tokio::spawn(call).await.map_err(Refusal::storage)?
    }

    /// Where others can write, looks for their changes again and again.
    pub(super) fn follow(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let shared = self.is_shared.then(|| Arc::clone(self))?;
        Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
                // A database that does not answer now may do so the next time; until then answers
                // are from memory.
                let _ = shared.refresh().await;
            }
        }))
    }

    async fn refresh(&self) -> Result<(), StorageError> {
        let mut kept = self.kept.lock().await;
        let news = kept.news().await?;
        Ok(self.take_in(&news)?)
    }

    fn take_in(&self, changes: &[Change]) -> Result<(), serde_json::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        changes.iter().try_for_each(|change| state.apply(change))
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // A change is taken in whole or panics in no place.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How old an answer about what another instance has changed can be.
const REFRESH: Duration = Duration::from_millis(200);
