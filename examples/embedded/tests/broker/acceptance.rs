//! What has to hold for any broker: run against the embedded one, or against those that
//! `KAFKA_BROKERS` names (`host:port,host:port`). Topics and groups get names of their own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList};

use crate::client::{DEADLINE, Stand, read, stand_with, text};

/// A broker and the name of a topic that nobody else uses.
struct Scene {
    /// Kept for as long as it is needed.
    _own: Option<Stand>,
    brokers: String,
    name: String,
}

type Producer = ThreadedProducer<DefaultProducerContext>;

async fn scene(what: &str, partitions: i32) -> Scene {
    scene_with(what, partitions, &[]).await
}

async fn scene_with(what: &str, partitions: i32, settings: &[(&str, &str)]) -> Scene {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("acceptance-{what}-{now}");
    let scene = match std::env::var("KAFKA_BROKERS") {
        Ok(brokers) => Scene { _own: None, brokers, name },
        Err(_) => {
            let often = Duration::from_millis(100);
            let own = stand_with(|config| config.with_retention_interval(often)).await;
            Scene { brokers: own.broker.bootstrap(), _own: Some(own), name }
        }
    };
    let admin: AdminClient<DefaultClientContext> = scene.client().create().unwrap();
    let mut topic = NewTopic::new(&scene.name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(made, [Ok(scene.name.clone())]);
    scene
}

impl Scene {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", &self.name);
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        config
    }

    fn transactional(&self) -> Producer {
        let producer: Producer =
            self.client().set("transactional.id", &self.name).create().unwrap();
        producer.init_transactions(DEADLINE).unwrap();
        producer
    }

    fn send(&self, producer: &Producer, value: &str) {
        let mut record = BaseRecord::<(), _>::to(&self.name).payload(value);
        while let Err((error, back)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full);
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn reader(&self, partitions: i32) -> BaseConsumer {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }
}

async fn none_is_lost(codec: &str) {
    const COUNT: usize = 1_000_000;
    const LIMIT: Duration = Duration::from_secs(240);
    let scene = scene(codec, 4).await;
    let producer: Producer = scene
        .client()
        .set("enable.idempotence", "true")
        .set("compression.codec", codec)
        .set("linger.ms", "5")
        .create()
        .unwrap();
    let consumer = scene.reader(4);
    let reader = std::thread::spawn(move || {
        let mut seen = vec![false; COUNT];
        let end = Instant::now() + LIMIT;
        for count in 0..COUNT {
            let message = loop {
                assert!(Instant::now() < end, "{count} of {COUNT}");
                if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                    break message.unwrap();
                }
            };
            let number: usize = message.payload_view::<str>().unwrap().unwrap().parse().unwrap();
            assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
        }
        consumer
    });
    for number in 0..COUNT {
        scene.send(&producer, &number.to_string());
    }
    producer.flush(LIMIT).unwrap();
    let consumer = reader.join().unwrap();
    let (ends, starts): (Vec<i64>, Vec<i64>) = (0..4)
        .map(|partition| consumer.fetch_watermarks(&scene.name, partition, DEADLINE).unwrap())
        .map(|(start, end)| (end, start))
        .unzip();
    assert_eq!((ends.iter().sum::<i64>(), starts), (COUNT as i64, vec![0; 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_as_it_is() {
    none_is_lost("none").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_compressed() {
    none_is_lost("zstd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_records_and_offsets_are_as_if_they_had_never_been() {
    let scene = scene("aborted", 1).await;
    let producer = scene.transactional();
    let consumer = scene.reader(1);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&scene.name, 0, Offset::Offset(1)).unwrap();
    let committed = |consumer: &BaseConsumer| {
        let mut list = TopicPartitionList::new();
        list.add_partition(&scene.name, 0);
        let found = consumer.committed_offsets(list, DEADLINE).unwrap();
        found.find_partition(&scene.name, 0).unwrap().offset()
    };
    for (value, expected) in [("aborted", Offset::Invalid), ("kept", Offset::Offset(1))] {
        producer.begin_transaction().unwrap();
        scene.send(&producer, value);
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &group, DEADLINE).unwrap();
        producer.flush(DEADLINE).unwrap();
        if value == "kept" {
            producer.commit_transaction(DEADLINE).unwrap();
        } else {
            producer.abort_transaction(DEADLINE).unwrap();
        }
        assert_eq!(committed(&consumer), expected);
    }
    // The aborted one comes first in the log, so it would be seen first.
    assert_eq!(text(&read(&consumer, 1)[0]), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_producer_of_an_id_commits() {
    let scene = scene("zombie", 1).await;
    let zombie = scene.transactional();
    zombie.begin_transaction().unwrap();
    scene.send(&zombie, "zombie");
    zombie.flush(DEADLINE).unwrap();
    let heir = scene.transactional();
    heir.begin_transaction().unwrap();
    scene.send(&heir, "heir");
    heir.commit_transaction(DEADLINE).unwrap();
    zombie.commit_transaction(DEADLINE).unwrap_err();
    assert_eq!(text(&read(&scene.reader(1), 1)[0]), "heir");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_in_the_middle_of_a_batch() {
    let scene = scene("middle", 1).await;
    let producer: Producer = scene.client().set("linger.ms", "500").create().unwrap();
    for number in 0..100 {
        scene.send(&producer, &number.to_string());
    }
    producer.flush(DEADLINE).unwrap();
    for start in [1, 50, 99] {
        let consumer: BaseConsumer = scene.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&scene.name, 0, Offset::Offset(start)).unwrap();
        consumer.assign(&list).unwrap();
        let messages = read(&consumer, usize::try_from(100 - start).unwrap());
        assert_eq!((messages[0].offset(), text(&messages[0])), (start, start.to_string()));
        assert_eq!(consumer.fetch_watermarks(&scene.name, 0, DEADLINE).unwrap(), (0, 100));
    }
}

/// Counts the answers that came from brokers.
#[derive(Default)]
struct Answers(AtomicI64);

impl ClientContext for Answers {
    fn stats(&self, statistics: Statistics) {
        self.0.store(statistics.brokers.values().map(|broker| broker.rx as i64).sum(), SeqCst);
    }
}

impl ConsumerContext for Answers {}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_brings_no_more_than_was_asked_for_but_always_something() {
    const MESSAGES: i64 = 60;
    let scene = scene("limits", 1).await;
    let producer: Producer = scene.client().set("batch.num.messages", "1").create().unwrap();
    let value = "x".repeat(10_000);
    for _ in 0..MESSAGES {
        scene.send(&producer, &value);
    }
    producer.flush(DEADLINE).unwrap();
    // Two messages in each answer; or one, though it is larger than the limit.
    for (limit, at_least) in [("25000", MESSAGES / 2), ("1000", MESSAGES / 4)] {
        let consumer: BaseConsumer<Answers> = scene
            .client()
            .set("max.partition.fetch.bytes", limit)
            .set("fetch.wait.max.ms", "5000")
            .set("statistics.interval.ms", "20")
            .create_with_context(Answers::default())
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&scene.name, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let end = Instant::now() + DEADLINE;
        let mut count = 0;
        while count < MESSAGES || consumer.context().0.load(SeqCst) < at_least {
            let answers = consumer.context().0.load(SeqCst);
            assert!(Instant::now() < end, "{count} messages in {answers} answers");
            if let Some(message) = consumer.poll(Duration::from_millis(20)) {
                assert_eq!(message.unwrap().payload_len(), 10_000);
                count += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_takes_half_of_the_partitions_over() {
    let scene = scene("cooperative", 4).await;
    let member = || {
        let consumer: BaseConsumer = scene
            .client()
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("heartbeat.interval.ms", "200")
            .create()
            .unwrap();
        consumer.subscribe(&[&scene.name]).unwrap();
        consumer
    };
    let owned = |consumer: &BaseConsumer| {
        let polled = consumer.poll(Duration::from_millis(50));
        assert!(polled.is_none_or(|message| message.is_ok()));
        let assignment = consumer.assignment().unwrap();
        assignment.elements().iter().map(|element| element.partition()).collect::<HashSet<_>>()
    };
    let all = HashSet::from([0, 1, 2, 3]);
    let end = Instant::now() + DEADLINE;
    let first = member();
    while owned(&first) != all {
        assert!(Instant::now() < end, "the first member has not got everything");
    }
    let second = member();
    loop {
        let (a, b) = (owned(&first), owned(&second));
        // What the one keeps is never the other's meanwhile.
        assert!(a.is_disjoint(&b), "{a:?} {b:?}");
        if (a.len(), b.len()) == (2, 2) {
            break;
        }
        assert!(Instant::now() < end, "{a:?} {b:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_keeps_the_last_value_of_each_key() {
    const KEYS: usize = 5;
    let settings = [
        ("cleanup.policy", "compact"),
        // The least that newer brokers allow.
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    let scene = scene_with("compaction", 1, &settings).await;
    let producer: Producer = scene.client().set("batch.num.messages", "10").create().unwrap();
    let send = |key: &str, value: &str| {
        let record = BaseRecord::to(&scene.name).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    let pad = "x".repeat(1000);
    for number in 0..2000 {
        send(&format!("k{}", number % KEYS), &format!("{number} {pad}"));
    }
    // The files of the others have to be closed.
    let large = "x".repeat(600_000);
    for _ in 0..2 {
        send("large", &large);
        producer.flush(DEADLINE).unwrap();
    }
    let (_, last) = scene.reader(1).fetch_watermarks(&scene.name, 0, DEADLINE).unwrap();
    // Elsewhere this may be done every fifteen seconds only.
    let end = Instant::now() + DEADLINE * 3;
    loop {
        let consumer = scene.reader(1);
        let mut values = Vec::new();
        loop {
            let message = read(&consumer, 1).remove(0);
            if message.key() != Some(b"large") {
                let value = text(&message);
                values.push(value.split(' ').next().unwrap().parse::<usize>().unwrap());
            }
            if message.offset() + 1 == last {
                break;
            }
        }
        if values.len() == KEYS {
            assert_eq!(values, [1995, 1996, 1997, 1998, 1999]);
            return;
        }
        assert!(Instant::now() < end, "{} records stay", values.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
