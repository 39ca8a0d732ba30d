//! Waits, deadlines and lifetimes, on a clock that only moves when everybody sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use registry_client::{
    Client, Config, Error, ErrorKind, NewSchema, Request, Response, SchemaId, Subject, Transport,
    Version,
};
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);

/// Answers from a list, the last one for ever, and remembers when it was asked.
#[derive(Debug)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Instant>>,
}

#[derive(Clone, Debug)]
enum Reply {
    Answer(Response),
    Broken,
    Silence,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        self.asked.lock().unwrap().push(Instant::now());
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            let next = replies.pop_front().expect("a reply");
            if replies.is_empty() {
                replies.push_back(next.clone());
            }
            next
        };
        match reply {
            Reply::Answer(response) => Ok(response),
            Reply::Broken => Err(Error::transport("connection reset")),
            Reply::Silence => std::future::pending().await,
        }
    }
}

impl Script {
    fn new(replies: impl Into<VecDeque<Reply>>) -> Arc<Self> {
        Arc::new(Self { replies: Mutex::new(replies.into()), asked: Mutex::default() })
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn gaps(&self) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.iter().zip(asked.iter().skip(1)).map(|(before, after)| *after - *before).collect()
    }
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(Response::new(status, body.to_owned()))
}

fn ok() -> Reply {
    answer(200, r#"{"id":5,"schema":"\"long\""}"#)
}

fn client(config: Config, script: &Arc<Script>) -> Client {
    Client::with_transport(config, Arc::clone(script) as Arc<dyn Transport>).unwrap()
}

fn config() -> Config {
    Config::new("http://registry")
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_stay_under_their_ceilings() {
    let script = Script::new([Reply::Broken]);
    let config = config().with_retries(6).with_retry_wait(SECOND, 4 * SECOND);
    let error = client(config, &script).schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    let gaps = script.gaps();
    assert_eq!(gaps.len(), 6);
    for (gap, ceiling) in gaps.iter().zip([1, 2, 4, 4, 4, 4]) {
        // The paused clock rounds up to a millisecond.
        assert!(*gap <= ceiling * SECOND + Duration::from_millis(2), "{gaps:?}");
    }
    assert!(gaps.iter().sum::<Duration>() > SECOND, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_minimum() {
    let busy = Reply::Answer(Response::new(429, "").with_retry_after("20"));
    let script = Script::new([busy, ok()]);
    client(config(), &script).schema(SchemaId::new(1)).await.unwrap();
    let gaps = script.gaps();
    assert!(gaps.len() == 1 && gaps[0] >= 20 * SECOND && gaps[0] < 21 * SECOND, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_the_deadline_ends_the_call_at_once() {
    let busy = Reply::Answer(Response::new(503, "").with_retry_after("3600"));
    let script = Script::new([busy]);
    let start = Instant::now();
    let error = client(config(), &script).schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(503)));
    assert_eq!((script.count(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_timeout_and_is_retried_until_the_deadline() {
    let script = Script::new([Reply::Silence, ok()]);
    let start = Instant::now();
    client(config(), &script).schema(SchemaId::new(1)).await.unwrap();
    assert_eq!(script.count(), 2);
    assert!(start.elapsed() >= 10 * SECOND && start.elapsed() < 11 * SECOND);

    let script = Script::new([Reply::Silence]);
    let config = config().with_retries(1_000).with_deadline(45 * SECOND);
    let start = Instant::now();
    let error = client(config, &script).schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(start.elapsed() <= 45 * SECOND + Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_bounded_number_of_requests() {
    let script = Script::new([answer(500, "")]);
    let client = client(config(), &script);
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.schema(SchemaId::new(1)).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap().unwrap_err().is_retryable());
    }
    assert_eq!(script.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn latest_is_kept_for_its_time_and_forgotten_by_a_registration() {
    let script = Script::new([ok()]);
    let config = config().with_latest_ttl(30 * SECOND).with_latest_stale(Duration::ZERO);
    let client = client(config, &script);
    let subject = Subject::new("s");
    for (wait, requests) in [(0, 1), (29, 1), (1, 2), (29, 2)] {
        advance(wait * SECOND).await;
        client.latest(&subject).await.unwrap();
        assert_eq!(script.count(), requests);
    }
    client.register(&subject, &NewSchema::new("\"long\"")).await.unwrap();
    assert_eq!(script.count(), 3);
    client.latest(&subject).await.unwrap();
    assert_eq!(script.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_old_latest_is_used_while_a_new_one_is_fetched_and_while_the_registry_is_away() {
    let newer = answer(200, r#"{"id":6,"schema":"\"long\""}"#);
    let script = Script::new([ok(), newer, answer(500, "")]);
    let config = config()
        .with_latest_ttl(30 * SECOND)
        .with_latest_stale(100 * SECOND)
        .with_missing_ttl(Duration::ZERO)
        .with_retries(0);
    let client = client(config, &script);
    let subject = Subject::new("s");
    let latest = async || client.latest(&subject).await.map(|latest| latest.id().get());
    assert_eq!(latest().await.unwrap(), 5);
    advance(30 * SECOND).await;
    // Nobody waits; one asks.
    for _ in 0..1_000 {
        assert_eq!(latest().await.unwrap(), 5);
    }
    while script.count() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(latest().await.unwrap(), 6);
    assert_eq!(script.count(), 2);
    // From here on the registry fails: at most one question in a second, and the old answer.
    advance(30 * SECOND).await;
    for _ in 0..5 {
        for _ in 0..10 {
            assert_eq!(latest().await.unwrap(), 6);
            tokio::task::yield_now().await;
        }
        advance(SECOND).await;
    }
    assert_eq!(script.count(), 7);
    advance(100 * SECOND).await;
    assert_eq!(latest().await.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_left_alone_and_its_end_noticed() {
    let mut replies: VecDeque<_> = vec![answer(503, ""); 20].into();
    replies.push_back(ok());
    let script = Script::new(replies);
    let config = config().with_retries(0).with_circuit_breaker(3, SECOND, 8 * SECOND);
    let client = client(config, &script);
    let mut open = 0;
    // 100 questions a second for a minute, of different ids.
    for id in 0..6_000 {
        advance(Duration::from_millis(10)).await;
        match client.schema(SchemaId::new(id)).await.map_err(|error| (error.kind(), error)) {
            Ok(_) => assert!(script.count() > 20),
            Err((ErrorKind::CircuitOpen, error)) => {
                open += 1;
                assert!(error.is_retryable() && error.retry_after().is_some());
            }
            Err((kind, _)) => assert_eq!(kind, ErrorKind::Server),
        }
    }
    // 3 failures, then probes after 1, 2, 4, 8, 8, ... seconds.
    assert!((9..=12).contains(&script.count()), "{}", script.count());
    assert!(open > 5_900, "{open}");
    for id in 0..2_000 {
        advance(Duration::from_millis(100)).await;
        let _ = client.schema(SchemaId::new(id)).await;
    }
    assert!(client.schema(SchemaId::new(1_000_000)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_already_failed_tells_that_when_the_circuit_opens() {
    let script = Script::new([answer(500, r#"{"error_code":50001,"message":"disk"}"#)]);
    let config = config().with_retries(5).with_circuit_breaker(2, 60 * SECOND, 60 * SECOND);
    let client = client(config, &script);
    let error = client.schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Server, Some(50001)));
    assert_eq!(script.count(), 2);
    let error = client.schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!((error.kind(), script.count()), (ErrorKind::CircuitOpen, 2));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_not_heard_of_a_registration_is_asked_again() {
    let missing = || answer(404, r#"{"error_code":40403,"message":"no"}"#);
    let script = Script::new([ok(), missing(), missing(), ok(), missing()]);
    let client = client(config(), &script);
    let id = client.register(&Subject::new("s"), &NewSchema::new("\"long\"")).await.unwrap();
    assert!(client.schema(id).await.is_ok());
    assert_eq!(script.count(), 4);
    // An id that this program did not register, and the same one later, are believed.
    assert!(client.schema(SchemaId::new(9)).await.is_err());
    assert_eq!(script.count(), 5);
    advance(31 * SECOND).await;
    assert!(client.version(&Subject::new("s"), Version::new(1)).await.is_err());
    assert_eq!(script.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_missing_id_is_asked_again_after_its_time() {
    let missing = answer(404, r#"{"error_code":40403,"message":"no"}"#);
    let script = Script::new([missing, ok()]);
    let client = client(config(), &script);
    for _ in 0..100 {
        let error = client.schema(SchemaId::new(5)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(script.count(), 1);
    advance(5 * SECOND).await;
    assert!(client.schema(SchemaId::new(5)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_missing_id_is_asked_again_after_its_registration() {
    let missing = answer(404, r#"{"error_code":40403,"message":"no"}"#);
    let script = Script::new([missing, ok()]);
    let client = client(config(), &script);
    assert!(client.schema(SchemaId::new(5)).await.is_err());
    let id = client.register(&Subject::new("s"), &NewSchema::new("\"long\"")).await.unwrap();
    assert!(client.schema(id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn ids_are_bounded_and_the_least_recently_used_goes() {
    let script = Script::new([ok()]);
    let client = client(config().with_cache_capacity(2), &script);
    for id in [1, 2, 1, 3] {
        client.schema(SchemaId::new(id)).await.unwrap();
    }
    assert_eq!(script.count(), 3);
    let here = |id| client.try_get(SchemaId::new(id)).is_some();
    assert_eq!((here(1), here(2), here(3)), (true, false, true));
    advance(Duration::from_secs(365 * 86_400)).await;
    assert!(client.try_get(SchemaId::new(1)).is_some());
}
