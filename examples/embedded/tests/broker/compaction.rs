//! Compacted topics keep the last value of each key, whatever happens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{DeliveryResult, Message as _, OwnedMessage};
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::client::{DEADLINE, Stand, around, stand_with, text};
use crate::killed::spawn;

async fn topic(client: &ClientConfig, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let mut topic = NewTopic::new("t", 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "20000")
        .set("min.cleanable.dirty.ratio", "0.1");
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(made, [Ok("t".to_owned())]);
}

async fn compacted(settings: &[(&str, &str)]) -> Stand {
    let stand =
        stand_with(|config| config.with_retention_interval(Duration::from_millis(50))).await;
    topic(&stand.client(), settings).await;
    stand
}

type Producer = ThreadedProducer<DefaultProducerContext>;

/// Small batches, so that there are many of them.
fn producer(stand: &Stand) -> Producer {
    let mut client = stand.client();
    client.set("enable.idempotence", "true").set("linger.ms", "0").set("batch.num.messages", "20");
    client.create().unwrap()
}

/// Larger than a file, so everything in front of it lies in files that are closed.
fn close_files(producer: &Producer) {
    let large = "x".repeat(30_000);
    producer.send(BaseRecord::to("t").key(LAST).payload(&large)).map_err(|e| e.0).unwrap();
    producer.flush(DEADLINE).unwrap();
}

/// Reads from the beginning, or from where the group was, to what [`close_files`] wrote.
fn read_to_last(consumer: &BaseConsumer) -> Vec<OwnedMessage> {
    let end = Instant::now() + DEADLINE;
    let mut messages = Vec::new();
    loop {
        assert!(Instant::now() < end, "{} read", messages.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap().detach();
        if message.key() == Some(LAST.as_bytes()) {
            return messages;
        }
        messages.push(message);
    }
}

/// Reads again and again until there are as many messages as wanted.
async fn read_when(stand: &Stand, what: &str, count: usize) -> Vec<OwnedMessage> {
    let end = Instant::now() + DEADLINE;
    loop {
        let messages = read_to_last(&stand.reader("t", 1));
        if messages.len() == count {
            return messages;
        }
        assert!(Instant::now() < end, "{what}: {} instead of {count}", messages.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn key(message: &OwnedMessage) -> String {
    String::from_utf8(message.key().unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_last_value_of_each_key_and_groups_go_on() {
    const UPDATES: i64 = 10_000;
    const KEYS: i64 = 7;
    let stand = compacted(&[]).await;
    let producer = producer(&stand);
    for number in 0..UPDATES {
        let (key, value) = (format!("k{}", number % KEYS), number.to_string());
        producer.send(BaseRecord::to("t").key(&key).payload(&value)).map_err(|e| e.0).unwrap();
    }
    let mut group = stand.client();
    group.set("group.id", "g").set("enable.auto.commit", "false");
    group.set("auto.offset.reset", "error");
    let half: BaseConsumer = group.create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("t", 0, Offset::Offset(UPDATES / 2)).unwrap();
    half.commit(&offsets, CommitMode::Sync).unwrap();
    close_files(&producer);

    let read = read_when(&stand, "one of each key", usize::try_from(KEYS).unwrap()).await;
    for (expected, message) in (UPDATES - KEYS..).zip(&read) {
        let value = (key(message), text(message));
        assert_eq!(value, (format!("k{}", expected % KEYS), expected.to_string()));
        assert_eq!(message.offset(), expected, "offsets stay");
    }
    let stored: u64 = std::fs::read_dir(stand.dir.path().join("t-0"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(stored < 60_000, "{stored} bytes");

    // The offset that the group remembers is gone, and leads to the next one that is there.
    for _ in 0..2 {
        let consumer: BaseConsumer = group.create().unwrap();
        consumer.subscribe(&["t"]).unwrap();
        let read = read_to_last(&consumer);
        assert_eq!(read.first().map(OwnedMessage::offset), Some(UPDATES - KEYS));
    }
    assert_eq!(half.fetch_watermarks("t", 0, DEADLINE).unwrap(), (0, UPDATES + 1));

    let stand = stand.restart().await;
    assert_eq!(read_to_last(&stand.reader("t", 1)).len(), usize::try_from(KEYS).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_removes_its_key_and_then_itself() {
    let stand = compacted(&[("delete.retention.ms", "0")]).await;
    let producer = producer(&stand);
    for key in ["a", "b"] {
        producer.send(BaseRecord::to("t").key(key).payload("1")).map_err(|e| e.0).unwrap();
    }
    producer.send(BaseRecord::<_, ()>::to("t").key("a")).map_err(|e| e.0).unwrap();
    producer.flush(DEADLINE).unwrap();
    close_files(&producer);
    let read = read_when(&stand, "only the other key", 1).await;
    assert_eq!((key(&read[0]), text(&read[0])), ("b".to_owned(), "1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_values_replace_nothing() {
    let stand = compacted(&[]).await;
    let transactional: Producer = stand.client().set("transactional.id", "t").create().unwrap();
    transactional.init_transactions(DEADLINE).unwrap();
    for (value, commit) in [("old", true), ("kept", true), ("aborted", false)] {
        transactional.begin_transaction().unwrap();
        transactional.send(BaseRecord::to("t").key("k").payload(value)).map_err(|e| e.0).unwrap();
        transactional.flush(DEADLINE).unwrap();
        if commit {
            transactional.commit_transaction(DEADLINE).unwrap();
        } else {
            transactional.abort_transaction(DEADLINE).unwrap();
        }
    }
    let plain = producer(&stand);
    close_files(&plain);
    for isolation in ["read_uncommitted", "read_committed"] {
        read_when(&stand, "one value", 1).await;
        let mut client = stand.client();
        client.set("group.id", "g").set("isolation.level", isolation);
        let consumer: BaseConsumer = client.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let read = read_to_last(&consumer);
        assert_eq!(read.iter().map(text).collect::<Vec<_>>(), ["kept"], "{isolation}");
    }
    // It can go on, and so it can after a restart.
    let stand = stand.restart().await;
    let transactional: Producer = stand.client().set("transactional.id", "t").create().unwrap();
    transactional.init_transactions(DEADLINE).unwrap();
    transactional.begin_transaction().unwrap();
    transactional.send(BaseRecord::to("t").key("k").payload("new")).map_err(|e| e.0).unwrap();
    transactional.commit_transaction(DEADLINE).unwrap();
}

/// For each key the highest number that was acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<BTreeMap<String, u64>>>, Arc<Mutex<usize>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Ok(message) = result else { return };
        let message = message.detach();
        let number: u64 = text(&message).parse().unwrap();
        let mut highest = self.0.lock().unwrap();
        let highest = highest.entry(key(&message)).or_default();
        *highest = number.max(*highest);
        *self.1.lock().unwrap() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_process_is_killed_while_it_compacts() {
    const ROUNDS: u64 = 4;
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let (mut child, address) = spawn(dir.path());
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", address).set("message.timeout.ms", "5000");
        if round == 0 {
            topic(&client, &[]).await;
        }
        client.set("linger.ms", "1").set("batch.num.messages", "50");
        let producer: ThreadedProducer<Acknowledged> =
            client.create_with_context(acknowledged.clone()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut number = round * 1_000_000_000;
                while !stop.load(Ordering::Relaxed) {
                    let (key, value) = (format!("k{}", number % 50), number.to_string());
                    match producer.send(BaseRecord::to("t").key(&key).payload(&value)) {
                        Ok(()) => number += 1,
                        Err(_full) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            }
        });
        let enough = *acknowledged.1.lock().unwrap() + 5000;
        crate::client::until("enough is acknowledged", || {
            *acknowledged.1.lock().unwrap() >= enough
        })
        .await;
        // SIGKILL, while files are replaced all the time.
        child.kill().unwrap();
        child.wait().unwrap();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }

    let config = embedded_services::broker::Config::new(dir.path());
    let stand = around(embedded_services::broker::Broker::start(config).await.unwrap(), dir);
    close_files(&producer(&stand));
    let read = read_to_last(&stand.reader("t", 1));
    let mut last = BTreeMap::new();
    for pair in read.windows(2) {
        assert!(pair[0].offset() < pair[1].offset());
    }
    for message in &read {
        last.insert(key(message), text(message).parse::<u64>().unwrap());
    }
    let written = *acknowledged.1.lock().unwrap();
    assert!(read.len() < written / 2, "{} of {written} are still there", read.len());
    for (key, number) in acknowledged.0.lock().unwrap().iter() {
        assert!(last[key] >= *number, "{key}: {} is there, {number} was promised", last[key]);
    }
}

const LAST: &str = "last";
