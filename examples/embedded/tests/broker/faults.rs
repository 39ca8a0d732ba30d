//! Each trouble on demand, as a client sees it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use embedded_services::broker::{Config, Fault};
use rdkafka::ClientContext;
use rdkafka::Statistics;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::client::{DEADLINE, Stand, stand, stand_with, text, until};

async fn send(producer: &FutureProducer, value: &str) -> Result<i64, Option<RDKafkaErrorCode>> {
    let record = FutureRecord::<(), _>::to("t").payload(value);
    let sent = producer.send(record, DEADLINE).await;
    sent.map(|delivery| delivery.offset).map_err(|(error, _)| error.rdkafka_error_code())
}

/// A producer that tells of the first error instead of trying again.
fn impatient(stand: &Stand) -> FutureProducer {
    stand.client().set("retries", "0").set("linger.ms", "0").create().unwrap()
}

fn values(stand: &Stand, count: usize) -> Vec<String> {
    stand.read_all("t", 1, count).iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_waited_for() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer = stand.producer();
    send(&producer, "warm").await.unwrap();
    let delay = Duration::from_millis(700);
    stand.broker.faults().set(Fault::Delay(delay));
    let begin = Instant::now();
    send(&producer, "x").await.unwrap();
    assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
}

/// Remembers what the client is told besides the results of its calls.
#[derive(Clone, Default)]
struct Ear {
    errors: Arc<Mutex<Vec<KafkaError>>>,
    throttled: Arc<Mutex<i64>>,
}

impl ClientContext for Ear {
    fn error(&self, error: KafkaError, _: &str) {
        self.errors.lock().unwrap().push(error);
    }

    fn stats(&self, statistics: Statistics) {
        let throttles = statistics.brokers.values().filter_map(|broker| broker.throttle.as_ref());
        let highest = throttles.map(|window| window.max).max().unwrap_or(0);
        let mut throttled = self.throttled.lock().unwrap();
        *throttled = (*throttled).max(highest);
    }
}

type Listening = FutureProducer<Ear>;

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_anew_and_nothing_is_written_twice() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let ear = Ear::default();
    let mut config = stand.client();
    config.set("enable.idempotence", "true").set("linger.ms", "0");
    let producer = Listening::from_config_and_context(&config, ear.clone()).unwrap();
    let send = |value: &'static str| {
        let record = FutureRecord::<(), _>::to("t").payload(value);
        producer.send(record, DEADLINE)
    };
    send("before").await.unwrap();
    // The batch is stored, its acknowledgement ends after nine bytes.
    stand.broker.faults().set(Fault::CutAfter(9));
    assert_eq!(send("torn").await.unwrap().offset, 1);
    assert_eq!(send("after").await.unwrap().offset, 2);
    assert_eq!(values(&stand, 3), ["before", "torn", "after"]);
    until("the client tells of it", || !ear.errors.lock().unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_comes_in_later() {
    let stand = stand().await;
    stand.broker.faults().set(Fault::Refuse);
    let consumer: BaseConsumer = stand.client().create().unwrap();
    assert!(consumer.fetch_metadata(None, Duration::from_millis(800)).is_err());
    stand.broker.faults().clear();
    consumer.fetch_metadata(None, DEADLINE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_denies_it_is_asked_again() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    stand.broker.faults().set(Fault::NotLeader);
    // The client looks for the leader until its time is over.
    let short: FutureProducer = stand.client().set("message.timeout.ms", "1000").create().unwrap();
    assert_eq!(send(&short, "x").await, Err(Some(RDKafkaErrorCode::MessageTimedOut)));
    let patient = stand.producer();
    let (sent, ()) = tokio::join!(send(&patient, "y"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stand.broker.faults().clear();
    });
    assert_eq!(sent, Ok(0));
    assert_eq!(values(&stand, 1), ["y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_client_is_told_and_waits() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let time = Duration::from_millis(400);
    stand.broker.faults().set(Fault::Throttle(time));
    let ear = Ear::default();
    let mut config = stand.client();
    config.set("statistics.interval.ms", "50").set("linger.ms", "0");
    let producer = Listening::from_config_and_context(&config, ear.clone()).unwrap();
    let begin = Instant::now();
    for value in ["a", "b", "c"] {
        producer.send(FutureRecord::<(), _>::to("t").payload(value), DEADLINE).await.unwrap();
    }
    // The first reply comes at once; each later request waits for the one before it.
    assert!(begin.elapsed() >= time * 2, "{:?}", begin.elapsed());
    until("the statistics show it", || *ear.throttled.lock().unwrap() >= 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer = impatient(&stand);
    assert_eq!(send(&producer, "a").await, Ok(0));
    stand.broker.faults().set(Fault::DiskFull);
    assert_eq!(send(&producer, "b").await, Err(Some(RDKafkaErrorCode::KafkaStorageError)));
    stand.broker.faults().clear();
    assert_eq!(send(&producer, "c").await, Ok(1));
    assert_eq!(values(&stand, 2), ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_waited_for() {
    let stand = stand_with(Config::with_fsync).await;
    stand.topic("t", 1).await;
    let producer = stand.producer();
    send(&producer, "warm").await.unwrap();
    let time = Duration::from_millis(600);
    stand.broker.faults().set(Fault::SlowFsync(time));
    let begin = Instant::now();
    send(&producer, "x").await.unwrap();
    assert!(begin.elapsed() >= time, "{:?}", begin.elapsed());
}
