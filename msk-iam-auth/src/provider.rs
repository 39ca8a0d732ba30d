use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;

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
/// Clones share everything, so one provider serves every Kafka client of a program. However many
/// ask at once, the source is asked once. Credentials are loaded anew five minutes before they
/// expire (half-way, if they live ten minutes or less) while the old ones are still given out; if
/// that fails, the old ones are given out until they expire. A token is given out again until a
/// tenth of its lifetime has passed, which takes a fraction of a microsecond; signing a fresh one
/// takes a few.
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
    /// When the credentials end.
    end: Option<Moment>,
    /// When to load new ones.
    refresh: Option<Moment>,
    /// The newest token, and until when it is given out again.
    token: Option<(Token, SystemTime)>,
    /// Number of loads that have ended, to tell whether one ended while we waited for our turn.
    loads: u64,
    last_load: Option<Instant>,
    /// Whether a load is on its way that a broker's refusal has asked for.
    reload_is_due: bool,
    last_error: Option<Error>,
}

/// A time by two clocks, so that setting one back delays nothing.
#[derive(Clone, Copy)]
struct Moment {
    wall: SystemTime,
    steady: Instant,
}

impl Moment {
    fn after(now: SystemTime, wait: Duration) -> Option<Self> {
        Some(Self { wall: now.checked_add(wait)?, steady: Instant::now().checked_add(wait)? })
    }

    /// How long until the first of the two clocks is there.
    fn left(&self, now: SystemTime) -> Duration {
        let wall = self.wall.duration_since(now).unwrap_or_default();
        wall.min(self.steady.saturating_duration_since(Instant::now()))
    }
}

/// What can be done with the credentials at hand.
enum Look {
    Fresh(Credentials),
    /// Good, but it is time to load new ones.
    Aging {
        credentials: Credentials,
        loads: u64,
    },
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

    /// A token, loading credentials first if there are none that would do.
    ///
    /// # Errors
    /// What the source answers, [`ErrorKind::Timeout`], or what [`Signer::token`] answers.
    pub async fn token(&self) -> Result<Token, Error> {
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        let credentials = self.credentials().await?;
        self.sign(&credentials)
    }

    /// Signs the message of the mechanism AWS_MSK_IAM for a broker, loading credentials as
    /// [`token`](Self::token) does. It is a fresh one each time, as the mechanism wants it.
    ///
    /// # Errors
    /// As [`token`](Self::token), and [`ErrorKind::Host`].
    pub async fn sasl_payload(&self, host: &str) -> Result<Vec<u8>, Error> {
        let credentials = self.credentials().await?;
        self.signer.sasl_payload(host, &credentials, (self.clock)())
    }

    /// A token by the credentials at hand. Never waits and never blocks, so it can be called from a
    /// client's own thread; if it is time for new credentials, it has them loaded in the
    /// background.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`] if no credentials have been loaded yet, the error of the last
    /// attempt if they have expired meanwhile, or what [`Signer::token`] answers.
    pub fn current(&self) -> Result<Token, Error> {
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        match self.look() {
            Look::Fresh(credentials) => self.sign(&credentials),
            Look::Aging { credentials, loads } => {
                self.load_in_background(loads);
                self.sign(&credentials)
            }
            Look::Unusable { loads } => {
                self.load_in_background(loads);
                let (credentials, error) = {
                    let now = (self.clock)();
                    let state = self.state();
                    let ended = state.end.is_some_and(|end| end.left(now).is_zero());
                    (state.credentials.clone().filter(|_| !ended), state.last_error.clone())
                };
                credentials
                    .and_then(|last| self.sign(&last).ok())
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
                        Look::Aging { loads, .. } | Look::Unusable { loads } => {
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

    /// Has new credentials loaded in the background although those at hand have not expired. Call
    /// it when a broker refuses them: they may have been revoked, or be of a role whose policy has
    /// changed since. They are given out until the new ones are there. However often this is
    /// called, and by however many clients, the source is asked once in ten seconds at most.
    pub fn reload(&self) {
        let wait = {
            let mut state = self.state();
            if state.reload_is_due {
                return;
            }
            state.reload_is_due = true;
            let since = state.last_load.map_or(RETRY_AFTER, |last| last.elapsed());
            let wait = RETRY_AFTER.saturating_sub(since);
            // Whoever comes first then loads, should there be no runtime to do it by itself.
            state.refresh = Moment::after((self.clock)(), wait);
            state.token = None;
            wait
        };
        if let Some(runtime) = self.runtime() {
            let provider = self.clone();
            // Nobody awaits the task: its result is in the state.
            drop(runtime.spawn(async move {
                tokio::time::sleep(wait).await;
                let (is_due, loads) = {
                    let state = provider.state();
                    (state.reload_is_due, state.loads)
                };
                if is_due {
                    provider.load_in_background(loads);
                }
            }));
        }
    }

    /// Drops the credentials at hand, which must not be used again. The next call loads new ones.
    pub fn forget(&self) {
        let mut state = self.state();
        state.credentials = None;
        state.token = None;
        state.refresh = None;
        state.end = None;
    }

    /// A token signed so recently that it need not be signed again.
    fn cached(&self) -> Option<Token> {
        let now = (self.clock)();
        let state = self.state();
        let (token, until) = state.token.as_ref()?;
        // A token of the future is one of before the clock was set back.
        (token.issued_at() <= now && now < *until).then(|| token.clone())
    }

    fn sign(&self, credentials: &Credentials) -> Result<Token, Error> {
        let now = (self.clock)();
        let token = self.signer.token(credentials, now)?;
        let lifetime = token.expires_at().duration_since(token.issued_at()).unwrap_or_default();
        let mut state = self.state();
        // Not if these credentials have been replaced or forgotten meanwhile.
        if state.credentials.as_ref().is_some_and(|held| held.is_same(credentials)) {
            let left = state.refresh.map_or(lifetime, |refresh| refresh.left(now));
            let until = now + left.min(lifetime / 10);
            state.token = Some((token.clone(), until));
        }
        Ok(token)
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        match self.look() {
            Look::Fresh(credentials) => Ok(credentials),
            Look::Aging { credentials, loads } => {
                self.load_in_background(loads);
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
        let left = state.end.map(|end| end.left(now));
        let is_time = state.refresh.is_some_and(|refresh| refresh.left(now).is_zero());
        match left {
            Some(Duration::ZERO) => Look::Unusable { loads: state.loads },
            Some(left) if is_time && left < SHORTEST_SESSION => {
                Look::Unusable { loads: state.loads }
            }
            _ if is_time => Look::Aging { credentials, loads: state.loads },
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

    /// Loads, unless somebody does or has done so since; `loads` as for
    /// [`load_shared`](Self::load_shared).
    fn load_in_background(&self, loads: u64) {
        let Some(runtime) = self.runtime() else { return };
        let Ok(turn) = Arc::clone(&self.shared.flight).try_lock_owned() else { return };
        if self.state().loads != loads {
            return;
        }
        let provider = self.clone();
        // Nobody awaits the task: its result is in the state.
        drop(runtime.spawn(async move {
            let _turn = turn;
            drop(provider.load().await);
        }));
    }

    fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }

    /// Only for whoever holds the flight.
    async fn load(&self) -> Result<Credentials, Error> {
        {
            let mut state = self.state();
            state.last_load = Some(Instant::now());
            state.reload_is_due = false;
        }
        let result = self.load_with_retries().await;
        let now = (self.clock)();
        let mut state = self.state();
        state.loads += 1;
        match result {
            Ok(credentials) => {
                let left =
                    credentials.expires_at().map(|at| at.duration_since(now).unwrap_or_default());
                state.end = left.and_then(|left| Moment::after(now, left));
                state.refresh = left.and_then(|left| Moment::after(now, until_refresh(left)));
                state.credentials = Some(credentials.clone());
                state.token = None;
                state.last_error = None;
                Ok(credentials)
            }
            Err(error) => {
                state.last_error = Some(error.clone());
                state.refresh = Moment::after(now, RETRY_AFTER);
                if state.end.is_some_and(|end| end.left(now).is_zero()) {
                    state.credentials = None;
                }
                state.credentials.clone().ok_or(error)
            }
        }
    }

    async fn load_with_retries(&self) -> Result<Credentials, Error> {
        const RETRIES: u32 = 3;
        const LONGEST: Duration = Duration::from_secs(5);
        let mut retry = 0;
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
            match result {
                Err(error) if error.is_retryable() && retry < RETRIES => {
                    let longest = Duration::from_millis(500) * 2_u32.pow(retry);
                    tokio::time::sleep(random_part(longest.min(LONGEST))).await;
                    retry += 1;
                }
                result => return result,
            }
        }
    }

    fn until_refresh(&self) -> Option<Duration> {
        let now = (self.clock)();
        self.state().refresh.map(|refresh| refresh.left(now))
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

/// After a load that failed, and between loads that are asked for.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Five minutes before the end, and up to one minute earlier so that many processes that started
/// together do not ask together; half-way for short-lived credentials.
fn until_refresh(left: Duration) -> Duration {
    const AHEAD: Duration = Duration::from_secs(300);
    if left > 2 * AHEAD {
        left - AHEAD - random_part((left / 10).min(Duration::from_secs(60)))
    } else {
        left / 2
    }
}

/// A random duration up to `longest`, evenly spread. Good enough to spread load; not for secrets.
fn random_part(longest: Duration) -> Duration {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let share = u32::try_from(random >> 32).unwrap_or(0) / 65_536;
    longest * share / 65_536
}
