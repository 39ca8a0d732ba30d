//! A million messages, written once, read once, while the readers change.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::client::stand;

const MESSAGES: u32 = 1_000_000;
const FIRST_PART: u32 = 300_000;
/// Held back until the second member has been given partitions.
const LAST_PART: u32 = 100_000;
const DEADLINE: Duration = Duration::from_secs(120);

/// What the two members share: how often each message was seen.
struct Tally {
    seen: Vec<AtomicU8>,
    total: AtomicU32,
}

/// Commits what was read before partitions are given away, so that the next owner goes on from
/// there.
struct Member {
    owned: Mutex<Vec<i32>>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if !matches!(rebalance, Rebalance::Revoke(_)) {
            return;
        }
        // Another rebalance may be between its two halves; any other failure shows in the tally.
        let busy = KafkaError::ConsumerCommit(RDKafkaErrorCode::RebalanceInProgress);
        while consumer.commit_consumer_state(CommitMode::Sync).as_ref() == Err(&busy) {}
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        // A consumer that is being closed has none.
        let Ok(assignment) = consumer.assignment() else { return };
        let partitions = assignment.elements().iter().map(|element| element.partition()).collect();
        *self.owned.lock().unwrap() = partitions;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_messages_reach_a_growing_group_once_each() {
    let stand = stand().await;
    stand.topic("million", 4).await;
    let tally = Arc::new(Tally {
        seen: (0..MESSAGES).map(|_| AtomicU8::new(0)).collect(),
        total: AtomicU32::new(0),
    });
    let config = stand.client();
    let counts = tokio::task::spawn_blocking({
        let tally = Arc::clone(&tally);
        move || run(&config, &tally)
    })
    .await
    .unwrap();

    let lost = tally.seen.iter().filter(|seen| seen.load(Ordering::Relaxed) == 0).count();
    let doubled = tally.seen.iter().filter(|seen| seen.load(Ordering::Relaxed) > 1).count();
    assert_eq!((lost, doubled), (0, 0));
    assert_eq!(counts.0 + counts.1, MESSAGES);
    assert!(counts.0 >= FIRST_PART / 3 && counts.1 > 0, "{counts:?}");
}

/// Writes, and starts the second member while the first one reads. Returns how many messages each
/// of them got.
fn run(config: &ClientConfig, tally: &Arc<Tally>) -> (u32, u32) {
    let producer: ThreadedProducer<DefaultProducerContext> = config
        .clone()
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    produce(&producer, 0..FIRST_PART);
    let first = member(config);
    let first_reader = read(&first, tally);
    wait(|| tally.total.load(Ordering::Relaxed) >= FIRST_PART / 3);
    let second = member(config);
    let second_reader = read(&second, tally);
    produce(&producer, FIRST_PART..MESSAGES - LAST_PART);
    wait(|| owned(&first).len() == 2 && owned(&second).len() == 2);
    produce(&producer, MESSAGES - LAST_PART..MESSAGES);
    producer.flush(DEADLINE).unwrap();
    let mut partitions = [owned(&first), owned(&second)].concat();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2, 3]);
    (first_reader.join().unwrap(), second_reader.join().unwrap())
}

fn produce(producer: &ThreadedProducer<DefaultProducerContext>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let key = number.to_be_bytes();
        let mut record = BaseRecord::to("million").key(&key[..]).payload(&key[..]);
        while let Err((error, back)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full);
            record = back;
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn member(config: &ClientConfig) -> Arc<BaseConsumer<Member>> {
    let consumer: BaseConsumer<Member> = config
        .clone()
        .set("group.id", "million")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("heartbeat.interval.ms", "200")
        .create_with_context(Member { owned: Mutex::default() })
        .unwrap();
    consumer.subscribe(&["million"]).unwrap();
    Arc::new(consumer)
}

fn owned(consumer: &BaseConsumer<Member>) -> Vec<i32> {
    consumer.context().owned.lock().unwrap().clone()
}

/// Reads until both members together have as much as there is, then once more to see whether
/// anything comes twice.
fn read(consumer: &Arc<BaseConsumer<Member>>, tally: &Arc<Tally>) -> thread::JoinHandle<u32> {
    let (consumer, tally) = (Arc::clone(consumer), Arc::clone(tally));
    thread::spawn(move || {
        let end = Instant::now() + DEADLINE;
        let mut count = 0;
        loop {
            let done = tally.total.load(Ordering::Relaxed) >= MESSAGES;
            assert!(Instant::now() < end, "{} read", tally.total.load(Ordering::Relaxed));
            match consumer.poll(Duration::from_millis(200)) {
                Some(message) => {
                    let message = message.unwrap();
                    let number = u32::from_be_bytes(message.payload().unwrap().try_into().unwrap());
                    tally.seen[number as usize].fetch_add(1, Ordering::Relaxed);
                    tally.total.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                }
                None if done => return count,
                None => {}
            }
        }
    })
}

fn wait(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
}
