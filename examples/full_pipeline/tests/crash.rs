//! The pipeline killed outright in the middle of its work: whatever it had done, starting it again
//! leaves nothing out, and no object holds an offset twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use support::{
    Decoder, Place, Received, Running, as_text, configuration, connect, consume, high_watermark,
    objects, program, rows, start_offset, until,
};

const TOPIC: &str = "crash.public.numbers";

impl Place {
    fn bucket(&self) -> std::path::PathBuf {
        self.folder.path().join("bucket")
    }

    fn pipeline(&self) -> Command {
        let source = configuration(
            self.folder.path(),
            "source.json",
            &[
                ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
                ("topic.prefix", "crash"),
                ("slot.name", "crash"),
                ("publication.name", "numbers"),
                ("key.converter", "io.confluent.connect.avro.AvroConverter"),
                ("key.converter.schema.registry.url", &self.services.registry),
                ("value.converter", "io.confluent.connect.avro.AvroConverter"),
                ("value.converter.schema.registry.url", &self.services.registry),
                ("transforms", "unwrap"),
                ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
            ],
        );
        let sink = configuration(
            self.folder.path(),
            "sink.json",
            &[
                ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
                ("format.class", "io.confluent.connect.s3.format.avro.AvroFormat"),
                ("topics", TOPIC),
                ("flush.size", "750"),
                // The wall clock closes objects too, wherever it happens to strike.
                ("rotate.schedule.interval.ms", "200"),
                ("timezone", "UTC"),
                ("consumer.session.timeout.ms", "6000"),
            ],
        );
        let mut command = program();
        command
            .args(["run", "--postgres-url", &self.url(), "--brokers", &self.services.kafka])
            .args(["--registry-url", &self.services.registry])
            .args([Path::new("--source-config"), &source, Path::new("--sink-config"), &sink])
            .args([Path::new("--bucket"), &self.bucket()]);
        command
    }
}

async fn numbers(messages: &[Received], decoder: &mut Decoder) -> Vec<i64> {
    let mut numbers = Vec::new();
    for message in messages {
        let record = decoder.decode(message.value.as_ref().unwrap()).await.1;
        numbers.push(as_text(&record["id"]).unwrap().parse().unwrap());
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_pipeline_is_killed_in_mid_stream() {
    const ROWS: i64 = 30_000;
    let place = Place::new();
    let mut client = connect(&place.url()).await;
    client
        .execute(
            "CREATE TABLE numbers (id bigint PRIMARY KEY, text text NOT NULL); \
             CREATE PUBLICATION numbers FOR TABLE numbers; \
             INSERT INTO numbers SELECT i, repeat('x', 200) FROM generate_series(1, 1000) i",
        )
        .await
        .unwrap();
    let running = Running::start(&mut place.pipeline());
    let kafka = place.services.kafka.clone();
    until("the snapshot", || (high_watermark(&kafka, TOPIC) >= 1000).then_some(()));
    let url = place.url();
    let writer = tokio::spawn(async move {
        let mut client = connect(&url).await;
        for first in (1001..=ROWS).step_by(100) {
            let sql = format!(
                "INSERT INTO numbers SELECT i, repeat('y', 200) FROM generate_series({first}, {}) i",
                first + 99
            );
            client.execute(&sql).await.unwrap();
        }
    });
    // Three times, at moments that the messages decide and nobody knows beforehand.
    let mut running = running;
    for at_least in [3_000, 9_000, 15_000] {
        until("some messages", || (high_watermark(&kafka, TOPIC) >= at_least).then_some(()));
        running.kill();
        running = Running::start(&mut place.pipeline());
    }
    writer.await.unwrap();

    // The slot has moved past the last row when Kafka has everything that will come.
    let end = rows(&mut client, "SELECT pg_current_wal_insert_lsn()").await;
    let end = end[0].get(0).unwrap();
    let confirmed = format!(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots \
         WHERE slot_name = 'crash' AND confirmed_flush_lsn >= '{end}'"
    );
    for attempt in 0.. {
        if !rows(&mut client, &confirmed).await.is_empty() {
            break;
        }
        assert!(attempt < 600, "the slot does not reach {end}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut decoder = Decoder::new(&place.services.registry);
    let messages = consume(&kafka, TOPIC);
    let in_topic = numbers(&messages, &mut decoder).await;
    let seen: BTreeSet<i64> = in_topic.iter().copied().collect();
    assert_eq!(seen, (1..=ROWS).collect(), "every row has come");
    // At least once, in order: where it repeats, it repeats a whole stretch.
    for pair in in_topic.windows(2) {
        assert!(pair[1] <= pair[0] + 1, "{} is followed by {}", pair[0], pair[1]);
    }

    let bucket = place.bucket();
    until("the last object", || {
        let held: usize = objects(&bucket).values().map(Vec::len).sum();
        (held >= in_topic.len()).then_some(())
    });
    running.terminate();
    let objects = objects(&bucket);
    let mut next = 0;
    for (name, records) in &objects {
        assert_eq!(start_offset(name), next, "{name} begins where the one before ended");
        let ids: Vec<i64> =
            records.iter().map(|record| as_text(&record["id"]).unwrap().parse().unwrap()).collect();
        let from = usize::try_from(next).unwrap();
        assert_eq!(ids, in_topic[from..from + ids.len()], "{name}");
        next += i64::try_from(records.len()).unwrap();
    }
    assert_eq!(next, i64::try_from(in_topic.len()).unwrap(), "the objects hold the whole topic");
    assert!(objects.len() > 30, "{} objects", objects.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_killed_is_taken_again() {
    const ROWS: i64 = 60_000;
    let place = Place::new();
    let mut client = connect(&place.url()).await;
    client
        .execute(&format!(
            "CREATE TABLE numbers (id bigint PRIMARY KEY, text text NOT NULL); \
             CREATE PUBLICATION numbers FOR TABLE numbers; \
             INSERT INTO numbers SELECT i, repeat('x', 200) FROM generate_series(1, {ROWS}) i"
        ))
        .await
        .unwrap();
    let kafka = place.services.kafka.clone();
    let running = Running::start(&mut place.pipeline());
    until("some messages", || (high_watermark(&kafka, TOPIC) >= 500).then_some(()));
    running.kill();
    client.execute("UPDATE numbers SET text = 'later' WHERE id = 7").await.unwrap();
    let running = Running::start(&mut place.pipeline());
    let mut decoder = Decoder::new(&place.services.registry);
    for attempt in 0.. {
        let messages = consume(&kafka, TOPIC);
        let seen: BTreeSet<i64> = numbers(&messages, &mut decoder).await.into_iter().collect();
        let mut updated = false;
        for message in messages.iter().rev().take(50) {
            let record = decoder.decode(message.value.as_ref().unwrap()).await.1;
            updated |= as_text(&record["text"]).as_deref() == Some("later");
        }
        if seen.len() == usize::try_from(ROWS).unwrap() && updated {
            break;
        }
        assert!(attempt < 100, "{} of {ROWS} rows have come", seen.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    running.terminate();
}
