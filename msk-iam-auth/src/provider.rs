use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::runtime::Handle;

use crate::{Credentials, Error, ErrorKind, Signer, Token};

/// A source of credentials: a role, a file, a metadata service.
///
/// Report failures as [`Error::provider`], and those worth another attempt as
/// [`retryable`](Error::retryable). Say when the credentials expire, or they will never be asked for
/// again.
#[async_trait]
pub trait ProvideCredentials: Send + Sync + fmt::Debug {
    /// Loads credentials, without caching: the [`TokenProvider`] does that.
    async fn credentials(&self) -> Result<Credentials, Error>;
}

/// Credentials are a source of themselves.
#[async_trait]
impl ProvideCredentials for Credentials {
    async fn credentials(&self) -> Result<Self, Error> {
        Ok(self.clone())
    }
}

/// The variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvironmentCredentials;

impl EnvironmentCredentials {
    /// The only one there is.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl ProvideCredentials for EnvironmentCredentials {
    async fn credentials(&self) -> Result<Credentials, Error> {
        Credentials::from_env()
    }
}

/// Keeps credentials at hand and signs tokens with them.
///
/// Clones share the credentials, so one provider serves every Kafka client of a program. However
/// many ask at once, the source is asked once. Credentials are loaded anew five minutes before they
/// expire (half-way, if they live ten minutes or less) while the old ones are still given out; if
/// that fails, the old ones are given out until they expire. Each call signs a fresh token, which
/// takes microseconds.
///
/// ```
/// use std::sync::Arc;
/// use msk_iam_auth::{Credentials, Region, Signer, TokenProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), msk_iam_auth::Error> {
/// let source = Arc::new(Credentials::new("AKIDEXAMPLE", "secret"));
/// let provider = TokenProvider::new(Signer::new(Region::new("us-east-1")?), source);
/// let token = provider.token().await?;
/// // From now on also where nothing can be awaited, such as in librdkafka's callback.
/// assert!(provider.current()?.expires_at() >= token.expires_at());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenProvider {
    signer: Signer,
    source: Arc<dyn ProvideCredentials>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    load_timeout: Duration,
    runtime: Option<Handle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Held by whoever asks the source.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    refresh_at: Option<SystemTime>,
    /// Number of loads that have ended, to tell whether one ended while we waited for our turn.
    loads: u64,
    last_error: Option<Error>,
}

/// What can be done with the credentials at hand.
enum Look {
    Fresh(Credentials),
    /// Good, but it is time to load new ones.
    Aging(Credentials),
    /// None, or so short-lived that the broker would say "Session too short".
    Unusable {
        loads: u64,
    },
}

impl TokenProvider {
    /// A provider that has not loaded anything yet. If this is called within a tokio runtime, that
    /// runtime does the background loading that [`current`](Self::current) asks for. Its timer has
    /// to be enabled.
    #[must_use]
    pub fn new(signer: Signer, source: Arc<dyn ProvideCredentials>) -> Self {
        Self {
            signer,
            source,
            clock: Arc::new(SystemTime::now),
            load_timeout: Duration::from_secs(30),
            runtime: Handle::try_current().ok(),
            shared: Arc::default(),
        }
    }

    /// Reads the time elsewhere: a clock that is corrected by what is known of its error, or a
    /// test's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Waits this long for the source, at each of its attempts, instead of 30 seconds.
    #[must_use]
    pub const fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// Signs a token, loading credentials first if there are none that would do.
    ///
    /// # Errors
    /// What the source answers, [`ErrorKind::Timeout`], or what [`Signer::token`] answers.
    pub async fn token(&self) -> Result<Token, Error> {
        let credentials = self.credentials().await?;
        self.signer.token(&credentials, (self.clock)())
    }

    /// Signs the message of the mechanism AWS_MSK_IAM for a broker, as [`token`](Self::token) does
    /// for the other one.
    ///
    /// # Errors
    /// As [`token`](Self::token), and [`ErrorKind::Host`].
    pub async fn sasl_payload(&self, host: &str) -> Result<Vec<u8>, Error> {
        let credentials = self.credentials().await?;
        self.signer.sasl_payload(host, &credentials, (self.clock)())
    }

    /// Signs a token with the credentials at hand. Never waits and never blocks, so it can be called
    /// from a client's own thread; if it is time for new credentials, it has them loaded in the
    /// background.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`] if no credentials have been loaded yet, the error of the last
    /// attempt if they have expired meanwhile, or what [`Signer::token`] answers.
    pub fn current(&self) -> Result<Token, Error> {
        let look = self.look();
        if !matches!(look, Look::Fresh(_)) {
            self.load_in_background();
        }
        match look {
            Look::Fresh(credentials) | Look::Aging(credentials) => {
                self.signer.token(&credentials, (self.clock)())
            }
            Look::Unusable { .. } => {
                let (credentials, error) = {
                    let state = self.state();
                    (state.credentials.clone(), state.last_error.clone())
                };
                credentials
                    .and_then(|last| self.signer.token(&last, (self.clock)()).ok())
                    .ok_or_else(|| error.unwrap_or_else(|| Error::new(ErrorKind::NotLoaded)))
            }
        }
    }

    /// Keeps credentials fresh until every clone of this provider is gone. Spawn it where only
    /// [`current`](Self::current) is called, and perhaps not for a long time.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + use<> {
        const LONGEST: Duration = Duration::from_secs(30);
        let settings = Self { shared: Arc::default(), ..self.clone() };
        let shared = Arc::downgrade(&self.shared);
        async move {
            loop {
                let wait = {
                    let Some(shared) = shared.upgrade() else { return };
                    let provider = Self { shared, ..settings.clone() };
                    match provider.look() {
                        Look::Fresh(_) => provider.until_refresh().unwrap_or(LONGEST).min(LONGEST),
                        Look::Aging(_) | Look::Unusable { .. } => {
                            let loads = provider.state().loads;
                            match provider.load_shared(loads).await {
                                Ok(_) => Duration::from_millis(100),
                                Err(_) => RETRY_AFTER,
                            }
                        }
                    }
                };
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Drops the credentials at hand, after a broker has refused them for instance. The next call
    /// loads new ones.
    pub fn forget(&self) {
        let mut state = self.state();
        state.credentials = None;
        state.refresh_at = None;
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        match self.look() {
            Look::Fresh(credentials) => Ok(credentials),
            Look::Aging(credentials) => {
                self.load_in_background();
                Ok(credentials)
            }
            Look::Unusable { loads } => self.load_shared(loads).await,
        }
    }

    fn look(&self) -> Look {
        let now = (self.clock)();
        let state = self.state();
        let Some(credentials) = state.credentials.clone() else {
            return Look::Unusable { loads: state.loads };
        };
        let left = credentials.expires_at().map(|at| at.duration_since(now).unwrap_or_default());
        let is_time = state.refresh_at.is_some_and(|at| now >= at);
        match left {
            Some(Duration::ZERO) => Look::Unusable { loads: state.loads },
            Some(left) if is_time && left < SHORTEST_SESSION => {
                Look::Unusable { loads: state.loads }
            }
            _ if is_time => Look::Aging(credentials),
            _ => Look::Fresh(credentials),
        }
    }

    /// Loads, or waits for whoever is loading already. `loads` is the number of loads that had ended
    /// when the caller found that it needs one.
    async fn load_shared(&self, loads: u64) -> Result<Credentials, Error> {
        let _turn = self.shared.flight.lock().await;
        {
            let state = self.state();
            if state.loads != loads {
                // Somebody's load ended while we waited; its result is ours too.
                return match (&state.credentials, &state.last_error) {
                    (Some(credentials), _) => Ok(credentials.clone()),
                    (None, Some(error)) => Err(error.clone()),
                    (None, None) => Err(Error::new(ErrorKind::NotLoaded)),
                };
            }
        }
        self.load().await
    }

    fn load_in_background(&self) {
        let Some(runtime) = Handle::try_current().ok().or_else(|| self.runtime.clone()) else {
            return;
        };
        let Ok(turn) = Arc::clone(&self.shared.flight).try_lock_owned() else { return };
        let provider = self.clone();
        // Nobody awaits the task: its result is in the state.
        drop(runtime.spawn(async move {
            let _turn = turn;
            drop(provider.load().await);
        }));
    }

    /// Only for whoever holds the flight.
    async fn load(&self) -> Result<Credentials, Error> {
        let result = self.load_with_retries().await;
        let now = (self.clock)();
        let mut state = self.state();
        state.loads += 1;
        match result {
            Ok(credentials) => {
                state.refresh_at = credentials.expires_at().map(|at| refresh_at(now, at));
                state.credentials = Some(credentials.clone());
                state.last_error = None;
                Ok(credentials)
            }
            Err(error) => {
                state.last_error = Some(error.clone());
                state.refresh_at = now.checked_add(RETRY_AFTER);
                let usable = |old: &Credentials| old.expires_at().is_none_or(|at| at > now);
                state.credentials = state.credentials.take().filter(usable);
                state.credentials.clone().ok_or(error)
            }
        }
    }

    async fn load_with_retries(&self) -> Result<Credentials, Error> {
        const ATTEMPTS: u32 = 3;
        let mut attempt = 0;
        loop {
            let result = tokio::time::timeout(self.load_timeout, self.source.credentials())
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout)))
                .and_then(|credentials| {
                    credentials.check()?;
                    let now = (self.clock)();
                    match credentials.expires_at() {
                        Some(at) if at <= now => Err(Error::new(ErrorKind::CredentialsExpired)),
                        _ => Ok(credentials),
                    }
                });
            attempt += 1;
            match result {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                    let longest = Duration::from_millis(500) * 2_u32.pow(attempt - 1);
                    tokio::time::sleep(random_part(longest)).await;
                }
                result => return result,
            }
        }
    }

    fn until_refresh(&self) -> Option<Duration> {
        let refresh_at = self.state().refresh_at?;
        Some(refresh_at.duration_since((self.clock)()).unwrap_or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProvider")
            .field("signer", &self.signer)
            .field("source", &self.source)
            .field("load_timeout", &self.load_timeout)
            .finish_non_exhaustive()
    }
}

/// The broker ends a session with its credentials, so there is no use in beginning one shorter than
/// this while there may be better credentials to be had.
const SHORTEST_SESSION: Duration = Duration::from_secs(60);

/// After a load that failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Five minutes before the end, and up to one minute earlier so that many processes that started
/// together do not ask together; half-way for short-lived credentials.
fn refresh_at(now: SystemTime, expires_at: SystemTime) -> SystemTime {
    const AHEAD: Duration = Duration::from_secs(300);
    let left = expires_at.duration_since(now).unwrap_or_default();
    let wait = if left > 2 * AHEAD {
        left - AHEAD - random_part((left / 10).min(Duration::from_secs(60)))
    } else {
        left / 2
    };
    now.checked_add(wait).unwrap_or(expires_at)
}

/// A random duration up to `longest`, evenly spread. Good enough to spread load; not for secrets.
fn random_part(longest: Duration) -> Duration {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let share = u32::try_from(random >> 32).unwrap_or(0) / 65_536;
    longest * share / 65_536
}
