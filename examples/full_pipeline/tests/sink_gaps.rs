//! The sink on topics with offsets that hold no record: transactions that were aborted, the marks
//! of those that were not, and what compaction has removed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{path::PathBuf, process::Command, time::Duration};

use embedded_services::broker::{Broker, Config};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord, Producer},
};
use support::{Running, configuration, files, program};

const LIMIT: Duration = Duration::from_secs(20);

struct Place {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(&folder.path().join("broker"))
            .with_retention_interval(Duration::from_millis(50));
        let place = Self { broker: Broker::start(config).await.unwrap(), folder };
        let admin: AdminClient<DefaultClientContext> = place.client().create().unwrap();
        let mut topic = NewTopic::new("gaps", 1, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            made.unwrap();
        }
        place
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap());
        config
    }

    fn producer(&self, transactions: bool) -> FutureProducer {
        let mut config = self.client();
        if transactions {
            config.set("transactional.id", "gaps");
        }
        let producer: FutureProducer = config.create().unwrap();
        if transactions {
            producer.init_transactions(LIMIT).unwrap();
        }
        producer
    }

    /// What an owner leaves that dies between announcing an end and finishing its objects.
    fn announce(&self, at: i64, end: i64) {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition("gaps", 0);
        element.set_offset(Offset::Offset(at)).unwrap();
        element.set_metadata(format!("{{\"end\":{end}}}"));
        self.group().commit(&list, CommitMode::Sync).unwrap();
    }

    fn committed(&self) -> (Offset, String) {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition("gaps", 0);
        let found = self.group().committed_offsets(wanted, LIMIT).unwrap();
        (found.elements()[0].offset(), found.elements()[0].metadata().to_owned())
    }

    fn group(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", "connect-gaps-sink").set("enable.auto.commit", "false");
        config.create().unwrap()
    }

    /// The offsets that hold a record.
    fn offsets(&self) -> Vec<i64> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset("gaps", 0, Offset::Offset(0)).unwrap();
        consumer.assign(&from).unwrap();
        let mut offsets = Vec::new();
        loop {
            match consumer.poll(LIMIT).expect("the topic stopped") {
                Ok(message) => offsets.push(message.offset()),
                Err(KafkaError::PartitionEOF(_)) => return offsets,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }

    fn sink(&self, pairs: &[(&str, &str)]) -> Command {
        let mut all = vec![
            ("name", "gaps-sink"),
            ("topics", "gaps"),
            ("format.class", "JsonFormat"),
            ("value.converter", "StringConverter"),
        ];
        all.extend(pairs);
        let config = configuration(self.folder.path(), "sink.json", &all);
        let mut command = program();
        command.args(["sink", "--brokers", &self.broker.bootstrap(), "--sink-config"]);
        command.arg(config).arg("--bucket").arg(self.bucket());
        command
    }

    /// The objects that are there, by the offset in their names, with their lines.
    fn objects(&self) -> Vec<(i64, Vec<String>)> {
        let mut found = files(&self.bucket());
        found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        let object = |path: &PathBuf| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let start = stem.rsplit('+').next().unwrap().parse().unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            (start, text.lines().map(|line| line.trim_matches('"').to_owned()).collect())
        };
        found.iter().map(object).collect()
    }
}

async fn send(producer: &FutureProducer, key: &str, value: Option<&str>) -> i64 {
    let mut record = FutureRecord::to("gaps").key(key);
    if let Some(value) = value {
        record = record.payload(value);
    }
    producer.send(record, LIMIT).await.unwrap().offset
}

/// Waits until it holds, and lets the broker work meanwhile.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !tokio::task::block_in_place(&mut done) {
        assert!(std::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_leave_gaps_that_objects_step_over() {
    let place = Place::new(&[]).await;
    let producer = place.producer(true);
    let mut kept = Vec::new();
    for number in 0..30 {
        producer.begin_transaction().unwrap();
        for _ in 0..3 {
            let offset = send(&producer, "k", Some(&number.to_string())).await;
            if number % 3 != 1 {
                kept.push((offset, number.to_string()));
            }
        }
        match number % 3 {
            1 => producer.abort_transaction(LIMIT).unwrap(),
            _ => producer.commit_transaction(LIMIT).unwrap(),
        }
    }
    let running = Running::start(&mut place.sink(&[("flush.size", "7")]));
    until("eight objects", || place.objects().len() == 8).await;
    running.terminate();
    // By sevens of what was committed, and each named after its own first record.
    let expected: Vec<(i64, Vec<String>)> = kept
        .chunks(7)
        .map(|part| (part[0].0, part.iter().map(|(_, text)| text.clone()).collect()))
        .collect();
    assert_eq!(place.objects(), expected);
    let last = kept.last().unwrap().0;
    assert_eq!(place.committed(), (Offset::Offset(last + 1), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_end_that_compaction_removed_is_passed_by() {
    let place = Place::new(&[
        ("cleanup.policy", "compact"),
        ("segment.bytes", "14"),
        ("min.cleanable.dirty.ratio", "0"),
        ("delete.retention.ms", "0"),
    ])
    .await;
    let plain = place.producer(false);
    for number in 0..5 {
        assert_eq!(send(&plain, &format!("k{number}"), Some(&number.to_string())).await, number);
    }
    // An object may end behind a tombstone that was passed over, and tombstones go.
    assert_eq!(send(&plain, "gone", None).await, 5);
    place.announce(0, 5);
    let transactional = place.producer(true);
    transactional.begin_transaction().unwrap();
    send(&transactional, "never", Some("never")).await;
    transactional.abort_transaction(LIMIT).unwrap();
    until("the compaction", || place.offsets() == [0, 1, 2, 3, 4]).await;

    let running = Running::start(&mut place.sink(&[("flush.size", "3")]));
    until("the object", || place.objects().len() == 1).await;
    until("the commit", || place.committed() == (Offset::Offset(6), String::new())).await;
    // What comes later goes on as if nothing had been.
    for number in 8..11 {
        send(&plain, &format!("l{number}"), Some(&number.to_string())).await;
    }
    until("the next object", || place.objects().len() == 2).await;
    running.terminate();
    let text = |numbers: std::ops::Range<i32>| numbers.map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(place.objects(), [(0, text(0..5)), (8, text(8..11))]);
}
