//! What the sink makes of schemas: records projected to the schema of their file, as
//! `schema.compatibility` says, and fields whose schema says what their number means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{path::Path, time::Duration};

use rdkafka::producer::{FutureProducer, FutureRecord};
use support::{
    Running, Services, as_text, consume, files, objects,
    rows::{SCHEMA, SCHEMA_2, client, create_topic, register, row, sink},
    until,
};

async fn send(services: &Services, topic: &str, values: impl IntoIterator<Item = Vec<u8>>) {
    let producer: FutureProducer = client(services).create().unwrap();
    for value in values {
        let record: FutureRecord<'_, (), Vec<u8>> =
            FutureRecord::to(topic).partition(0).timestamp(5).payload(&value);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

/// Objects as what their rows hold, a text for each: `-` where there is no such field.
fn contents(bucket: &Path) -> Vec<String> {
    let row = |row: &std::collections::BTreeMap<String, apache_avro::types::Value>| {
        let id = as_text(&row["id"]).unwrap();
        let note = row.get("note").map_or_else(
            || "-".to_owned(),
            |note| as_text(note).unwrap_or_else(|| "null".to_owned()),
        );
        format!("{id}:{note}")
    };
    let text = |rows: &Vec<_>| rows.iter().map(row).collect::<Vec<_>>().join(" ");
    objects(bucket).values().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_projected_to_the_schema_of_their_file() {
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    // Versions 1 and 2 by turns, then a file's end by its size, then 1 and 2 again.
    let cases: [(&str, &[&str]); 4] = [
        ("NONE", &["0:-", "1:a", "2:-", "3:a", "4:-", "5:a", "6:-", "7:a"]),
        // A newer version begins a file, and what is older goes into it with a null.
        ("BACKWARD", &["0:-", "1:a 2:null 3:a 4:null", "5:a 6:null 7:a"]),
        ("FULL", &["0:-", "1:a 2:null 3:a 4:null", "5:a 6:null 7:a"]),
        // What is newer loses what the file does not know; an older version begins a file.
        ("FORWARD", &["0:- 1:- 2:- 3:-", "4:- 5:- 6:- 7:-"]),
    ];
    for (mode, expected) in cases {
        let topic = &format!("mode-{}", mode.to_lowercase());
        create_topic(&services, topic, 1).await;
        let subject = format!("{topic}-value");
        let first = register(&services, &subject, SCHEMA).await;
        let second = register(&services, &subject, SCHEMA_2).await;
        let value = |id: i64| match id % 2 {
            0 => row(first, id, None),
            _ => row(second, id, Some("a")),
        };
        send(&services, topic, (0..8).map(value)).await;
        let pairs = [("flush.size", "4"), ("schema.compatibility", mode)];
        let (mut command, bucket) = sink(&services, folder.path(), topic, &pairs);
        let running = Running::start(&mut command);
        let held = || contents(&bucket).iter().map(|text| text.split(' ').count()).sum::<usize>();
        // The last object of some is closed by the end of the sink.
        until("the objects", || (held() >= 4).then_some(()));
        until("what was read", || (contents(&bucket).len() + 1 >= expected.len()).then_some(()));
        running.terminate();
        assert_eq!(contents(&bucket), expected, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projected_records_are_written_as_json_too() {
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    create_topic(&services, "text", 1).await;
    let first = register(&services, "text-value", SCHEMA).await;
    let second = register(&services, "text-value", SCHEMA_2).await;
    let values = [row(second, 0, Some("a")), row(first, 1, None), row(second, 2, Some("b"))];
    send(&services, "text", values).await;
    let pairs =
        [("flush.size", "3"), ("schema.compatibility", "BACKWARD"), ("format.class", "JsonFormat")];
    let (mut command, bucket) = sink(&services, folder.path(), "text", &pairs);
    let running = Running::start(&mut command);
    let path = bucket.join("topics/text/partition=0/text+0+0000000000.json");
    until("the object", || path.exists().then_some(()));
    running.terminate();
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "{\"id\":0,\"note\":\"a\"}\n{\"id\":1,\"note\":null}\n{\"id\":2,\"note\":\"b\"}\n"
    );
}

const TIMES: &str = r#"{"type":"record","name":"Times","fields":[
    {"name":"at","type":["null",{"type":"long","connect.version":1,
        "connect.name":"io.debezium.time.MicroTimestamp"}],"default":null},
    {"name":"day","type":{"type":"int","connect.version":1,
        "connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_a_field_says_what_its_number_means() {
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    create_topic(&services, "times", 1).await;
    let schema = register(&services, "times-value", TIMES).await;
    let mut value = vec![0];
    value.extend(schema.to_be_bytes());
    avro_wire::primitive::write_long(1, &mut value);
    // 2024-03-05T06:48:09.123456Z
    avro_wire::primitive::write_long(1_709_621_289_123_456, &mut value);
    avro_wire::primitive::write_int(19_787, &mut value);
    send(&services, "times", [value]).await;
    let time = [
        ("flush.size", "1"),
        ("partitioner.class", "DailyPartitioner"),
        ("timestamp.extractor", "RecordField"),
        ("timestamp.field", "at"),
        ("locale", "en"),
        ("timezone", "UTC"),
    ];
    let semantic = [("timestamp.field.unit", "semantic"), ("topics.dir", "semantic")];
    let plain = [("topics.dir", "plain"), ("name", "plain")];
    let field = [
        ("name", "field"),
        ("flush.size", "1"),
        ("partitioner.class", "FieldPartitioner"),
        ("partition.field.name", "day"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "bad-times"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let mut sinks = Vec::new();
    for pairs in [[&time[..], &semantic].concat(), [&time[..], &plain].concat(), field.to_vec()] {
        let (mut command, bucket) = sink(&services, folder.path(), "times", &pairs);
        sinks.push(Running::start(&mut command));
        let name = |path: &std::path::PathBuf| {
            path.strip_prefix(&bucket).unwrap().to_str().unwrap().to_owned()
        };
        match pairs.iter().find(|(key, _)| *key == "topics.dir") {
            Some((_, dir)) => until("the object", || {
                let names: Vec<String> = files(&bucket).iter().map(name).collect();
                names.iter().any(|name| name.starts_with(dir)).then_some(())
            }),
            None => until("the bad record", || {
                (support::high_watermark(&services.kafka, "bad-times") == 1).then_some(())
            }),
        }
    }
    for running in sinks {
        running.terminate();
    }
    let mut names: Vec<String> = files(&folder.path().join("times"))
        .iter()
        .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            // As Confluent's sink takes every number, for milliseconds.
            "times/plain/times/year=56145/month=09/day=28/times+0+0000000000.avro",
            "times/semantic/times/year=2024/month=03/day=05/times+0+0000000000.avro",
        ]
    );
    // A date of Connect's makes no directory: that sink casts it to a number and dies.
    let bad = consume(&services.kafka, "bad-times");
    assert_eq!(
        bad[0].headers["__connect.errors.exception.class.name"],
        "java.lang.ClassCastException"
    );
}
