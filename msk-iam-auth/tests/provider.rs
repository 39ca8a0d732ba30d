//! One load for everybody, ahead of expiry, and never in the way.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed call is a failed test")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use msk_iam_auth::{
    Credentials, Error, ErrorKind, ProvideCredentials, Region, Signer, Token, TokenProvider,
};

/// Answers what it was told to, after a while; then always with the last answer.
#[derive(Debug)]
struct Scripted {
    answers: Mutex<VecDeque<Result<Credentials, Error>>>,
    takes: Duration,
    calls: AtomicUsize,
}

#[async_trait]
impl ProvideCredentials for Scripted {
    async fn credentials(&self) -> Result<Credentials, Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.front().unwrap().clone();
        if answers.len() > 1 {
            answers.pop_front();
        }
        answer
    }
}

impl Scripted {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// A provider whose clock stands still until it is set (milliseconds since `START`).
struct Bench {
    provider: TokenProvider,
    source: Arc<Scripted>,
    clock: Arc<AtomicU64>,
}

const START: SystemTime = UNIX_EPOCH;

fn bench(answers: Vec<Result<Credentials, Error>>) -> Bench {
    let source = Arc::new(Scripted {
        answers: Mutex::new(answers.into()),
        takes: Duration::from_millis(200),
        calls: AtomicUsize::new(0),
    });
    let clock = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&clock);
    let signer = Signer::new(Region::new("us-east-1").unwrap());
    let provider = TokenProvider::new(signer, Arc::<Scripted>::clone(&source))
        .with_clock(move || START + Duration::from_millis(read.load(Ordering::SeqCst)));
    Bench { provider, source, clock }
}

impl Bench {
    fn set(&self, seconds: u64) {
        self.clock.store(seconds * 1_000, Ordering::SeqCst);
    }

    async fn calls_reach(&self, calls: usize) {
        for _ in 0..1_000 {
            if self.source.calls() >= calls {
                // The load takes a while after it was asked for.
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} calls instead of {calls}", self.source.calls());
    }
}

fn expiring(seconds: u64) -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret").with_expires_at(START + Duration::from_secs(seconds))
}

fn left(token: &Token) -> u64 {
    token.expires_at().duration_since(token.issued_at()).unwrap().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_load() {
    let bench = bench(vec![Ok(expiring(3_600))]);
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let provider = bench.provider.clone();
            tokio::spawn(async move { provider.token().await })
        })
        .collect();
    for task in tasks {
        assert_eq!(left(&task.await.unwrap().unwrap()), 900);
    }
    assert_eq!(bench.source.calls(), 1);
    bench.provider.forget();
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_is_shared_too() {
    let bench = bench(vec![Err(Error::provider("no role")), Ok(expiring(3_600))]);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let provider = bench.provider.clone();
            tokio::spawn(async move { provider.token().await })
        })
        .collect();
    for task in tasks {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Provider);
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no role");
    }
    assert_eq!(bench.source.calls(), 1);
    bench.provider.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refresh_is_ahead_of_expiry_and_in_the_background() {
    let bench = bench(vec![Ok(expiring(3_600)), Ok(expiring(7_200))]);
    bench.provider.token().await.unwrap();
    bench.set(3_600 - 361);
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 1, "too early");
    bench.set(3_600 - 299);
    // The old credentials are given out at once.
    assert_eq!(left(&bench.provider.current().unwrap()), 299);
    bench.calls_reach(2).await;
    assert_eq!(left(&bench.provider.current().unwrap()), 900);
    assert_eq!(bench.source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn old_credentials_serve_while_the_source_is_down() {
    let down = Error::provider("down");
    let bench = bench(vec![Ok(expiring(3_600)), Err(down)]);
    bench.provider.token().await.unwrap();
    bench.set(3_600 - 30);
    // So close to the end that the load is awaited, and in vain.
    assert_eq!(left(&bench.provider.token().await.unwrap()), 30);
    assert_eq!(bench.source.calls(), 2);
    assert_eq!(left(&bench.provider.token().await.unwrap()), 30);
    assert_eq!(bench.source.calls(), 2, "not again within seconds");
    bench.set(3_600);
    assert_eq!(bench.provider.token().await.unwrap_err().kind(), &ErrorKind::Provider);
    assert_eq!(bench.provider.current().unwrap_err().kind(), &ErrorKind::Provider);
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_tried_again() {
    let busy = || Err(Error::provider("busy").retryable());
    let bench = bench(vec![busy(), busy(), Ok(expiring(3_600))]);
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 3);

    let bench = self::bench(vec![busy(), busy(), busy(), Ok(expiring(3_600))]);
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 4);

    let bench = self::bench(vec![busy(), busy(), busy(), busy(), Ok(expiring(3_600))]);
    assert!(bench.provider.token().await.unwrap_err().is_retryable());
    assert_eq!(bench.source.calls(), 4, "three retries");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let mut bench = bench(vec![Ok(expiring(3_600))]);
    bench.provider = bench.provider.with_load_timeout(Duration::from_millis(100));
    assert_eq!(bench.provider.token().await.unwrap_err().kind(), &ErrorKind::Timeout);
    assert_eq!(bench.source.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_nothing_along() {
    let bench = bench(vec![Ok(expiring(3_600))]);
    let first = tokio::time::timeout(Duration::from_millis(50), bench.provider.token()).await;
    assert!(first.is_err());
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_not_accepted() {
    let bench = bench(vec![Ok(expiring(100))]);
    bench.set(100);
    assert_eq!(bench.provider.token().await.unwrap_err().kind(), &ErrorKind::CredentialsExpired);
}

#[tokio::test(start_paused = true)]
async fn current_works_from_a_thread_without_a_runtime() {
    let bench = bench(vec![Ok(expiring(3_600))]);
    let provider = bench.provider.clone();
    let error = std::thread::spawn(move || provider.current()).join().unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotLoaded);
    // It asked for a load, which the runtime of `new` does.
    bench.calls_reach(1).await;
    let provider = bench.provider.clone();
    let token = std::thread::spawn(move || provider.current()).join().unwrap().unwrap();
    assert_eq!(left(&token), 900);
}

#[tokio::test(start_paused = true)]
async fn keep_fresh_loads_by_itself_and_ends_with_the_provider() {
    let bench = bench(vec![Ok(expiring(3_600)), Ok(expiring(7_200))]);
    let task = tokio::spawn(bench.provider.keep_fresh());
    bench.calls_reach(1).await;
    assert_eq!(left(&bench.provider.current().unwrap()), 900);
    bench.set(3_400);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(bench.source.calls(), 2);
    drop(bench);
    task.await.unwrap();
}

#[tokio::test]
async fn both_mechanisms_and_nothing_secret_in_debug() {
    let source = Credentials::new("AKIDEXAMPLE", "hush-hush").with_session_token("sesame");
    let provider =
        TokenProvider::new(Signer::new(Region::new("us-east-1").unwrap()), Arc::new(source));
    let payload = provider.sasl_payload("b-1.example:9098").await.unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["host"], "b-1.example");
    assert_eq!(payload["x-amz-security-token"], "sesame");
    let token = provider.token().await.unwrap();
    let debug = format!("{provider:?} {token:?}");
    for secret in ["hush", "sesame", token.as_str()] {
        assert!(!debug.contains(secret), "{debug}");
    }
}

#[test]
fn sixty_four_threads_share_one_load() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let bench = bench(vec![Ok(expiring(3_600))]);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let token = runtime.block_on(bench.provider.token()).unwrap();
                    assert_eq!(left(&token), 900);
                }
            });
        }
    });
    assert_eq!(bench.source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_given_out_again_until_a_tenth_of_its_life_is_over() {
    let bench = bench(vec![Ok(expiring(3_600))]);
    let first = bench.provider.token().await.unwrap();
    bench.set(89);
    assert_eq!(bench.provider.current().unwrap(), first);
    assert_eq!(bench.provider.token().await.unwrap(), first);
    bench.set(90);
    let second = bench.provider.current().unwrap();
    assert_eq!(second.issued_at(), START + Duration::from_secs(90));
    // Never one from the future, nor one with other credentials.
    bench.set(80);
    assert_eq!(bench.provider.current().unwrap().issued_at(), START + Duration::from_secs(80));
    bench.provider.forget();
    assert_eq!(bench.provider.current().unwrap_err().kind(), &ErrorKind::NotLoaded);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_delays_nothing() {
    let bench = bench(vec![Ok(expiring(10_000)), Ok(expiring(20_000)), Err(Error::provider("x"))]);
    bench.set(6_400);
    bench.provider.token().await.unwrap();
    // An hour is left, though the clock will say two.
    bench.set(2_800);
    tokio::time::advance(Duration::from_secs(3_600 - 300 - 61)).await;
    bench.provider.token().await.unwrap();
    assert_eq!(bench.source.calls(), 1, "too early");
    tokio::time::advance(Duration::from_secs(62 + 90)).await;
    bench.set(2_800 + 90);
    bench.provider.current().unwrap();
    bench.calls_reach(2).await;
    // The end is not put off either.
    tokio::time::advance(Duration::from_secs(20_000)).await;
    assert_eq!(bench.provider.token().await.unwrap_err().kind(), &ErrorKind::Provider);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_old_until_the_new_is_there_and_is_not_a_storm() {
    let other =
        Credentials::new("OTHER", "secret").with_expires_at(START + Duration::from_secs(3_600));
    let bench = bench(vec![Ok(expiring(3_600)), Ok(other)]);
    let first = bench.provider.token().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..100 {
        bench.provider.reload();
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.source.calls(), 1, "that was loaded a moment ago");
    assert_eq!(bench.provider.current().unwrap(), first);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(bench.provider.current().unwrap(), first, "of the other key");
    assert_eq!(bench.source.calls(), 2);

    // After a while it is done at once.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.source.calls(), 2);
    bench.provider.reload();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.source.calls(), 3);
}
