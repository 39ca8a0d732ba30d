//! What has to hold for any broker: run against the embedded one, or against those that
//! `KAFKA_BROKERS` names (`host:port,host:port`). Topics and groups get names of their own.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::client::{DEADLINE, Stand, read, stand, text};

/// A broker and the name of a topic that nobody else uses.
struct Scene {
    /// Kept for as long as it is needed.
    _own: Option<Stand>,
    brokers: String,
    name: String,
}

type Producer = ThreadedProducer<DefaultProducerContext>;

async fn scene(what: &str, partitions: i32) -> Scene {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("acceptance-{what}-{now}");
    let scene = match std::env::var("KAFKA_BROKERS") {
        Ok(brokers) => Scene { _own: None, brokers, name },
        Err(_) => {
            let own = stand().await;
            Scene { brokers: own.broker.bootstrap(), _own: Some(own), name }
        }
    };
    let admin: AdminClient<DefaultClientContext> = scene.client().create().unwrap();
    let topic = NewTopic::new(&scene.name, partitions, TopicReplication::Fixed(1));
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
    const COUNT: usize = 200_000;
    let scene = scene(codec, 4).await;
    let producer: Producer = scene
        .client()
        .set("enable.idempotence", "true")
        .set("compression.codec", codec)
        .create()
        .unwrap();
    for number in 0..COUNT {
        scene.send(&producer, &number.to_string());
    }
    producer.flush(DEADLINE).unwrap();
    let consumer = scene.reader(4);
    let mut seen = HashSet::new();
    let end = Instant::now() + DEADLINE * 2;
    for _ in 0..COUNT {
        let message = loop {
            assert!(Instant::now() < end, "{} of {COUNT}", seen.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                break message.unwrap().detach();
            }
        };
        assert!(seen.insert(text(&message)), "{} came twice", text(&message));
    }
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
