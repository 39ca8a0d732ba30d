//! The sink on topics that a test writes itself: how it rotates, and how it goes on after the death
//! of an earlier owner.
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

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use registry_client::{NewSchema, Subject};
use support::{
    Running, Services, as_text, configuration, objects, program, run, start_offset, until,
};

const SCHEMA: &str = r#"{"type":"record","name":"Row","fields":[{"name":"id","type":"long"}]}"#;

struct Place {
    services: Services,
    folder: tempfile::TempDir,
    schema: u32,
}

impl Place {
    async fn new(partitions: i32) -> Self {
        support::install_tls();
        let services = Services::start();
        let registry =
            registry_client::Client::new(registry_client::Config::new(&services.registry)).unwrap();
        let schema =
            registry.register(&Subject::new("rows-value"), &NewSchema::new(SCHEMA)).await.unwrap();
        let admin: AdminClient<DefaultClientContext> = client(&services).create().unwrap();
        let topic = NewTopic::new("rows", partitions, TopicReplication::Fixed(1));
        for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            made.unwrap();
        }
        Self { services, folder: tempfile::tempdir().unwrap(), schema: schema.get() }
    }

    fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }

    /// Sends the numbers with these timestamps to one partition.
    async fn send(&self, partition: i32, rows: impl IntoIterator<Item = (i64, i64)>) {
        let producer: FutureProducer = client(&self.services).create().unwrap();
        for (id, timestamp) in rows {
            let mut value = vec![0];
            value.extend(self.schema.to_be_bytes());
            avro_wire::primitive::write_long(id, &mut value);
            let record: FutureRecord<'_, (), Vec<u8>> =
                FutureRecord::to("rows").partition(partition).timestamp(timestamp).payload(&value);
            producer.send(record, Duration::from_secs(10)).await.unwrap();
        }
    }

    async fn send_tombstone(&self) {
        let producer: FutureProducer = client(&self.services).create().unwrap();
        let record: FutureRecord<'_, str, Vec<u8>> =
            FutureRecord::to("rows").partition(0).key("gone");
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    fn sink(&self, pairs: &[(&str, &str)]) -> Command {
        let mut all = vec![("name", "rows-sink"), ("topics", "rows")];
        all.extend(pairs);
        let config = configuration(self.folder.path(), "sink.json", &all);
        let mut command = program();
        command
            .args(["sink", "--brokers", &self.services.kafka])
            .args(["--registry-url", &self.services.registry, "--sink-config"])
            .arg(config)
            .arg("--bucket")
            .arg(self.bucket());
        command
    }

    /// Names of the objects with their numbers.
    fn objects(&self) -> Vec<(String, Vec<i64>)> {
        objects(&self.bucket())
            .into_iter()
            .map(|(name, records)| {
                let ids = records.iter().map(|r| as_text(&r["id"]).unwrap().parse().unwrap());
                (name, ids.collect())
            })
            .collect()
    }

    fn starts(&self) -> Vec<i64> {
        self.objects().iter().map(|(name, _)| start_offset(name)).collect()
    }
}

fn client(services: &Services) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &services.kafka);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn record_time_rotates_and_names_the_folders() {
    let place = Place::new(1).await;
    let minute = 60_000;
    // 2024-01-01 00:00 to 00:04, two records each; the last minute stays open until shutdown.
    let midnight = 1_704_067_200_000;
    place.send(0, (0..10).map(|i| (i, midnight + i / 2 * minute))).await;
    let running = Running::start(&mut place.sink(&[
        ("flush.size", "1000"),
        ("rotate.interval.ms", "60000"),
        ("partitioner.class", "io.confluent.connect.storage.partitioner.TimeBasedPartitioner"),
        ("timestamp.extractor", "Record"),
        ("partition.duration.ms", "60000"),
        ("path.format", "'y'=YYYY/'m'=mm"),
        ("locale", "en"),
        ("timezone", "UTC"),
    ]));
    until("four objects", || (place.objects().len() == 4).then_some(()));
    running.terminate();
    let objects = place.objects();
    let expected: Vec<(String, Vec<i64>)> = (0..5)
        .map(|minute| {
            let first = minute * 2;
            (
                format!("topics/rows/y=2024/m=0{minute}/rows+0+{first:010}.avro"),
                vec![first, first + 1],
            )
        })
        .collect();
    assert_eq!(objects, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_value_names_the_folders() {
    let place = Place::new(1).await;
    place.send(0, (0..6).map(|i| (i % 2, 0))).await;
    let running = Running::start(&mut place.sink(&[
        ("flush.size", "6"),
        ("partitioner.class", "FieldPartitioner"),
        ("partition.field.name", "id"),
    ]));
    until("both objects", || (place.objects().len() == 2).then_some(()));
    running.terminate();
    assert_eq!(
        place.objects(),
        [
            ("topics/rows/id=0/rows+0+0000000000.avro".to_owned(), vec![0, 0, 0]),
            ("topics/rows/id=1/rows+0+0000000001.avro".to_owned(), vec![1, 1, 1]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_clock_rotates_without_a_new_record() {
    let place = Place::new(1).await;
    place.send(0, (0..3).map(|i| (i, 0))).await;
    let schedule = [
        ("flush.size", "1000"),
        ("rotate.schedule.interval.ms", "300"),
        ("timezone", "Australia/Sydney"),
    ];
    let running = Running::start(&mut place.sink(&schedule));
    let held = |place: &Place| place.objects().iter().map(|(_, ids)| ids.len()).sum::<usize>();
    until("the first records", || (held(&place) == 3).then_some(()));
    place.send(0, (3..5).map(|i| (i, 0))).await;
    until("the others", || (held(&place) == 5).then_some(()));
    running.terminate();
    let ids: Vec<i64> = place.objects().into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_boundary_is_kept_by_the_next_owner() {
    let place = Place::new(1).await;
    place.send(0, (0..20).map(|i| (i, 0))).await;
    // What a sink leaves that died between announcing offset 6 and finishing its objects.
    let consumer: BaseConsumer = client(&place.services)
        .set("group.id", "connect-rows-sink")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut announced = TopicPartitionList::new();
    let mut at = announced.add_partition("rows", 0);
    at.set_offset(Offset::Offset(4)).unwrap();
    at.set_metadata(r#"{"end":6}"#);
    consumer.commit(&announced, CommitMode::Sync).unwrap();
    drop(consumer);

    let running = Running::start(&mut place.sink(&[("flush.size", "5")]));
    until("three objects", || (place.starts().len() == 3).then_some(()));
    running.terminate();
    // 4..=6 as announced, although flush.size says 5; then by fives; the rest at shutdown.
    assert_eq!(place.starts(), [4, 7, 12, 17]);
    let ids: Vec<i64> = place.objects().into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(ids, (4..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_share_the_partitions_and_each_offset_is_in_one_object() {
    let place = Place::new(4).await;
    for partition in 0..4 {
        place.send(partition, (0..50).map(|i| (i, 0))).await;
    }
    let pairs = [
        ("flush.size", "7"),
        ("rotate.schedule.interval.ms", "500"),
        ("timezone", "UTC"),
        ("consumer.session.timeout.ms", "6000"),
    ];
    let first = Running::start(&mut place.sink(&pairs));
    until("the first objects", || (place.starts().len() > 4).then_some(()));
    let second = Running::start(&mut place.sink(&pairs));
    for partition in 0..4 {
        place.send(partition, (50..300).map(|i| (i, 0))).await;
    }
    // One owner dies outright, with objects open; the other takes over.
    first.kill();
    let held = || place.objects().iter().map(|(_, ids)| ids.len()).sum::<usize>();
    until("all records", || (held() >= 4 * 300).then_some(()));
    second.terminate();
    for partition in 0..4 {
        let folder = format!("topics/rows/partition={partition}/");
        let ids: Vec<i64> = place
            .objects()
            .into_iter()
            .filter(|(name, _)| name.starts_with(&folder))
            .flat_map(|(_, ids)| ids)
            .collect();
        assert_eq!(ids, (0..300).collect::<Vec<_>>(), "partition {partition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_are_passed_over_or_stop_the_sink_as_configured() {
    let place = Place::new(1).await;
    place.send(0, [(0, 0)]).await;
    place.send_tombstone().await;
    place.send(0, [(1, 0)]).await;
    let running = Running::start(&mut place.sink(&[("flush.size", "2")]));
    until("the object", || (place.objects().len() == 1).then_some(()));
    running.terminate();
    assert_eq!(place.objects()[0].1, [0, 1]);

    let strict = place
        .sink(&[("flush.size", "2"), ("behavior.on.null.values", "fail"), ("name", "strict-sink")])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&strict.stderr);
    assert_eq!(strict.status.code(), Some(7), "{log}");
    assert!(log.contains("rows/0 offset 1 is a tombstone"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_schema_id_stops_the_sink_with_its_place() {
    let place = Place::new(1).await;
    let producer: FutureProducer = client(&place.services).create().unwrap();
    let record: FutureRecord<'_, (), str> = FutureRecord::to("rows").payload("plain text");
    producer.send(record, Duration::from_secs(10)).await.unwrap();
    let output = run(&mut place.sink(&[("flush.size", "2")]));
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{log}");
    assert!(log.contains("no schema id") && log.contains("rows/0 offset 0"), "{log}");
}
