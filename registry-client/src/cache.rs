//! A bounded cache that asks for each missing key once, however many callers want it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

/// Answers by key, least recently used ones dropped first.
///
/// Callers that miss the same key share one flight: the first one asks, the others wait for its
/// answer. When the one that asks is cancelled, another takes over. Only the map is locked, and
/// never across an await, so a slow key does not hold up another.
pub(crate) struct Cache<K, V> {
    state: Mutex<State<K, V>>,
    lifetime: Box<dyn Fn(&V) -> Lifetime + Send + Sync>,
    missing_ttl: Duration,
}

/// How long an answer is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// For so long it is as good as a new one.
    pub(crate) fresh: Duration,
    /// For so long after that it may still be used, while a new one is fetched.
    pub(crate) stale: Duration,
}

impl Lifetime {
    /// Good until others displace it.
    pub(crate) const ENDLESS: Self = Self { fresh: Duration::MAX, stale: Duration::ZERO };
}

/// What [`Cache::look`] finds.
pub(crate) enum Found<V> {
    /// A good answer.
    Fresh(V),
    /// An old answer; somebody else fetches a new one already.
    Stale(V),
    /// An old answer; the caller has to see to a [`refresh`](Cache::refresh).
    Refresh(V),
    /// Nothing that may be used.
    Nothing,
}

struct State<K, V> {
    ready: LruCache<K, Entry<V>>,
    missing: LruCache<K, Missing>,
    flights: HashMap<K, Flight<V>>,
}

struct Entry<V> {
    value: V,
    /// When it becomes stale; `None`: never.
    old: Option<Instant>,
    /// When it is of no use any more, once it is stale.
    dead: Instant,
    /// When to look for a new one; later than `old` while somebody does, and after a failure.
    refresh: Instant,
}

struct Missing {
    error: Error,
    expires: Instant,
}

/// A question on its way, and how many callers wait for the answer.
struct Flight<V> {
    answer: Answer<V>,
    waiting: usize,
}

type Answer<V> = Arc<OnceCell<Result<V, Error>>>;

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    /// A cache of at most `capacity` values and as many absences. Values are kept for the
    /// `lifetime` they have, answers that a thing does not exist for `missing_ttl`. Other
    /// failures are never kept.
    pub(crate) fn new(
        capacity: NonZeroUsize,
        missing_ttl: Duration,
        lifetime: impl Fn(&V) -> Lifetime + Send + Sync + 'static,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                ready: LruCache::sparse(capacity),
                missing: LruCache::sparse(capacity),
                flights: HashMap::new(),
            }),
            lifetime: Box::new(lifetime),
            missing_ttl,
        }
    }

    /// The value of `key` if it is here and fresh; never waits for an answer and never
    /// allocates.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        fresh(&mut self.lock().ready, key)
    }

    /// The value of `key` if it is here, fresh or not.
    pub(crate) fn look(&self, key: &K) -> Found<V> {
        let mut state = self.lock();
        let Some(entry) = state.ready.get_mut(key) else { return Found::Nothing };
        let Some(old) = entry.old else { return Found::Fresh(entry.value.clone()) };
        let now = Instant::now();
        if now < old {
            return Found::Fresh(entry.value.clone());
        }
        if now >= entry.dead {
            state.ready.pop(key);
            return Found::Nothing;
        }
        if now < entry.refresh {
            return Found::Stale(entry.value.clone());
        }
        // Whoever is told to refresh may be cancelled: after this time another one is told.
        entry.refresh = now + REFRESH_PATIENCE;
        Found::Refresh(entry.value.clone())
    }

    /// Fetches a new value of `key`. The old one stays in use meanwhile, and also when this
    /// fails, unless the answer is that the thing does not exist any more.
    pub(crate) async fn refresh<F>(&self, key: &K, fetch: impl FnOnce() -> F + Send)
    where
        F: Future<Output = Result<V, Error>> + Send,
    {
        if let Err(error) = self.fly(key, fetch).await
            && error.kind() != ErrorKind::NotFound
            && let Some(entry) = self.lock().ready.peek_mut(key)
        {
            entry.refresh = Instant::now() + REFRESH_PAUSE;
        }
    }

    /// The value of `key`, from `fetch` if there is no fresh one here.
    pub(crate) async fn get_or_fetch<F>(
        &self,
        key: &K,
        fetch: impl FnOnce() -> F + Send,
    ) -> Result<V, Error>
    where
        F: Future<Output = Result<V, Error>> + Send,
    {
        {
            let mut state = self.lock();
            if let Some(value) = fresh(&mut state.ready, key) {
                return Ok(value);
            }
            if let Some(missing) = state.missing.get(key) {
                if Instant::now() < missing.expires {
                    return Err(missing.error.clone());
                }
                state.missing.pop(key);
            }
        }
        self.fly(key, fetch).await
    }

    /// Joins the flight for `key`, or starts it.
    async fn fly<F>(&self, key: &K, fetch: impl FnOnce() -> F + Send) -> Result<V, Error>
    where
        F: Future<Output = Result<V, Error>> + Send,
    {
        let answer = {
            let mut state = self.lock();
            let flight = state
                .flights
                .entry(key.clone())
                .or_insert_with(|| Flight { answer: Answer::default(), waiting: 0 });
            flight.waiting += 1;
            Arc::clone(&flight.answer)
        };
        let waiter = Waiter { cache: self, key, answer };
        waiter.answer.get_or_init(fetch).await.clone()
    }

    /// Forgets what is known about `key`, including that it does not exist. An answer that is
    /// on its way is still handed to those who wait, but not kept.
    pub(crate) fn forget(&self, key: &K) {
        let mut state = self.lock();
        state.ready.pop(key);
        state.missing.pop(key);
        state.flights.remove(key);
    }

    /// Forgets everything about the keys that `which` names.
    pub(crate) fn forget_where(&self, which: impl Fn(&K) -> bool) {
        let mut state = self.lock();
        let ready = state.ready.iter().map(|(key, _)| key);
        let missing = state.missing.iter().map(|(key, _)| key);
        let keys: Vec<K> = ready
            .chain(missing)
            .chain(state.flights.keys())
            .filter(|key| which(key))
            .cloned()
            .collect();
        for key in keys {
            state.ready.pop(&key);
            state.missing.pop(&key);
            state.flights.remove(&key);
        }
    }

    /// Forgets that `key` does not exist.
    pub(crate) fn forget_missing(&self, key: &K) {
        self.lock().missing.pop(key);
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        // No code that can panic runs under the lock, so the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A caller leaves: the first one that leaves with an answer keeps it, the last one that
    /// leaves without one drops the flight.
    fn leave(&self, key: &K, answer: &Answer<V>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(flight) = state.flights.get_mut(key) else { return };
        if !Arc::ptr_eq(&flight.answer, answer) {
            return;
        }
        flight.waiting -= 1;
        match answer.get() {
            Some(Ok(value)) => {
                let Lifetime { fresh, stale } = (self.lifetime)(value);
                let old = (fresh < Duration::MAX).then(|| after(fresh));
                let refresh = old.unwrap_or_else(Instant::now);
                let dead = refresh + stale.min(FAR);
                state.ready.put(key.clone(), Entry { value: value.clone(), old, dead, refresh });
            }
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                state.ready.pop(key);
                if !self.missing_ttl.is_zero() {
                    let expires = after(self.missing_ttl);
                    state.missing.put(key.clone(), Missing { error: error.clone(), expires });
                }
            }
            Some(Err(_)) => {}
            None if flight.waiting > 0 => return,
            None => {}
        }
        state.flights.remove(key);
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("missing_ttl", &self.missing_ttl).finish_non_exhaustive()
    }
}

/// Leaves the flight when its caller has the answer, and also when its caller is cancelled.
struct Waiter<'a, K, V>
where
    K: Hash + Eq + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    cache: &'a Cache<K, V>,
    key: &'a K,
    answer: Answer<V>,
}

impl<K, V> Drop for Waiter<'_, K, V>
where
    K: Hash + Eq + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    fn drop(&mut self) {
        self.cache.leave(self.key, &self.answer);
    }
}

fn fresh<K: Hash + Eq, V: Clone>(entries: &mut LruCache<K, Entry<V>>, key: &K) -> Option<V> {
    let entry = entries.get(key)?;
    if entry.old.is_some_and(|old| old <= Instant::now()) {
        return None;
    }
    Some(entry.value.clone())
}

/// The instant `delay` from now, or one that no program lives to see.
pub(crate) fn after(delay: Duration) -> Instant {
    Instant::now() + delay.min(FAR)
}

const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
/// How long nobody else is told to refresh.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);
/// How long after a failed refresh nobody is told to try again.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    fn cache(capacity: usize, ttl: Option<u64>) -> Cache<u32, u32> {
        let fresh = ttl.map_or(Duration::MAX, Duration::from_secs);
        let lifetime = Lifetime { fresh, stale: fresh };
        Cache::new(NonZeroUsize::new(capacity).unwrap(), Duration::from_secs(5), move |_| lifetime)
    }

    fn flights(cache: &Cache<u32, u32>) -> usize {
        cache.lock().flights.len()
    }

    #[tokio::test(start_paused = true)]
    async fn values_expire_and_the_least_recent_goes_first() {
        let cache = cache(2, Some(60));
        for key in [1, 2] {
            assert_eq!(cache.get_or_fetch(&key, || async { Ok(10) }).await.unwrap(), 10);
        }
        assert_eq!(cache.get(&1), Some(10));
        assert_eq!(cache.get_or_fetch(&3, || async { Ok(30) }).await.unwrap(), 30);
        assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (Some(10), None, Some(30)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.get_or_fetch(&1, || async { Ok(11) }).await.unwrap(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn only_absence_is_kept_of_failures() {
        let cache = cache(2, None);
        for kind in [
            ErrorKind::Server,
            ErrorKind::Busy,
            ErrorKind::Transport,
            ErrorKind::Timeout,
            ErrorKind::Unauthorized,
            ErrorKind::Response,
        ] {
            let result = cache.get_or_fetch(&1, || async { Err(Error::build(kind).into()) }).await;
            assert_eq!(result.unwrap_err().kind(), kind);
        }
        let missing = || async { Err(Error::build(ErrorKind::NotFound).into()) };
        assert!(cache.get_or_fetch(&1, missing).await.is_err());
        let kept = cache.get_or_fetch(&1, || async { Ok(1) }).await;
        assert_eq!(kept.unwrap_err().kind(), ErrorKind::NotFound);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(cache.get_or_fetch(&1, || async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(flights(&cache), 0);
    }

    #[tokio::test]
    async fn a_cancelled_asker_is_replaced_by_a_waiter() {
        let cache = Arc::new(cache(2, None));
        let asked = Arc::new(AtomicUsize::new(0));
        let release = Arc::new(Notify::new());
        let call = || {
            let (cache, asked, release) =
                (Arc::clone(&cache), Arc::clone(&asked), Arc::clone(&release));
            tokio::spawn(async move {
                let fetch = || async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    release.notified().await;
                    Ok(7)
                };
                cache.get_or_fetch(&1, fetch).await
            })
        };
        let first = call();
        while asked.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..10).map(|_| call()).collect();
        while cache.lock().flights[&1].waiting < 11 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        release.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap().unwrap(), 7);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(flights(&cache), 0);
    }

    #[tokio::test]
    async fn a_flight_that_everybody_left_is_forgotten() {
        let cache = cache(2, None);
        let never = cache.get_or_fetch(&1, std::future::pending);
        assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        assert_eq!(flights(&cache), 0);
    }

    #[tokio::test]
    async fn an_answer_from_before_forgetting_is_not_kept() {
        let cache = cache(2, None);
        let fetch = || async {
            cache.forget(&1);
            Ok(1)
        };
        assert_eq!(cache.get_or_fetch(&1, fetch).await.unwrap(), 1);
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_value_is_used_while_one_caller_refreshes() {
        let cache = cache(2, Some(60));
        cache.get_or_fetch(&1, || async { Ok(10) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(matches!(cache.look(&1), Found::Refresh(10)));
        assert!(matches!(cache.look(&1), Found::Stale(10)));
        cache.refresh(&1, || async { Err(Error::build(ErrorKind::Server).into()) }).await;
        assert!(matches!(cache.look(&1), Found::Stale(10)));
        tokio::time::advance(REFRESH_PAUSE).await;
        assert!(matches!(cache.look(&1), Found::Refresh(10)));
        cache.refresh(&1, || async { Ok(11) }).await;
        assert!(matches!(cache.look(&1), Found::Fresh(11)));
        tokio::time::advance(Duration::from_secs(60)).await;
        cache.refresh(&1, || async { Err(Error::build(ErrorKind::NotFound).into()) }).await;
        assert!(matches!(cache.look(&1), Found::Nothing));
        tokio::time::advance(Duration::from_secs(5)).await;
        cache.get_or_fetch(&1, || async { Ok(12) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(120)).await;
        assert!(matches!(cache.look(&1), Found::Nothing));
        assert_eq!(flights(&cache), 0);
    }

    #[tokio::test]
    async fn forgetting_goes_by_the_key() {
        let cache = cache(8, None);
        for key in 0..4 {
            cache.get_or_fetch(&key, || async { Ok(key) }).await.unwrap();
        }
        cache.forget_where(|key| key % 2 == 0);
        let here: Vec<_> = (0..4).map(|key| cache.get(&key).is_some()).collect();
        assert_eq!(here, [false, true, false, true]);
    }
}
