//! What the sink writes besides Avro values, what becomes of bad records, and how much memory open
//! objects take.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use support::{
    Running, Services, consume, files, parquet,
    rows::{SCHEMA_2, Seen, client, create_topic, register, row, sink},
    run, until,
};

const SCHEMA: &str = r#"{"type":"record","name":"Wide","namespace":"shop","fields":[
    {"name":"place","type":"int"},{"name":"text","type":"string"}]}"#;

/// Sends one record.
async fn send(producer: &FutureProducer, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) {
    let headers =
        OwnedHeaders::new().insert(Header { key: "who", value: Some("a \"test\"".as_bytes()) });
    let mut record: FutureRecord<'_, [u8], [u8]> =
        FutureRecord::to(topic).partition(0).timestamp(5).headers(headers);
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(value) = value {
        record = record.payload(value);
    }
    producer.send(record, Duration::from_secs(10)).await.unwrap();
}

fn names(bucket: &Path) -> Vec<String> {
    let mut names: Vec<String> = files(bucket)
        .iter()
        .map(|path| path.strip_prefix(bucket).unwrap().to_str().unwrap().to_owned())
        .collect();
    names.retain(|name| !name.contains('#'));
    names
}

async fn place(topic: &str) -> (Services, tempfile::TempDir, u32, FutureProducer) {
    let services = Services::start();
    create_topic(&services, topic, 1).await;
    let schema = register(&services, &format!("{topic}-value"), SCHEMA_2).await;
    let producer = client(&services).create().unwrap();
    (services, tempfile::tempdir().unwrap(), schema, producer)
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_with_keys_and_headers_beside_them() {
    let (services, folder, schema, producer) = place("lines").await;
    for id in 0..3 {
        let value = row(schema, id, Some("é\n"));
        send(&producer, "lines", Some(format!("k{id}").as_bytes()), Some(&value)).await;
    }
    let (mut command, bucket) = sink(
        &services,
        folder.path(),
        "lines",
        &[
            ("flush.size", "3"),
            ("format.class", "io.confluent.connect.s3.format.json.JsonFormat"),
            ("s3.compression.type", "gzip"),
            ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("store.kafka.keys", "true"),
            ("keys.format.class", "io.confluent.connect.s3.format.bytearray.ByteArrayFormat"),
            ("store.kafka.headers", "true"),
            ("headers.format.class", "io.confluent.connect.s3.format.json.JsonFormat"),
        ],
    );
    let running = Running::start(&mut command);
    let stem = "topics/lines/partition=0/lines+0+0000000000";
    let expected =
        [".headers.json.gz", ".json.gz", ".keys.bin.gz"].map(|end| format!("{stem}{end}"));
    until("three files", || (names(&bucket) == expected).then_some(()));
    running.terminate();
    let text = |end: &str| {
        let file = std::fs::File::open(bucket.join(format!("{stem}{end}"))).unwrap();
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(
        text(".json.gz"),
        (0..3).map(|id| format!("{{\"id\":{id},\"note\":\"é\\n\"}}\n")).collect::<String>()
    );
    assert_eq!(text(".keys.bin.gz"), "k0\nk1\nk2\n");
    let header = "{\"headers\":[{\"key\":\"who\",\"value\":\"a \\\"test\\\"\"}]}\n";
    assert_eq!(text(".headers.json.gz"), header.repeat(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_written_as_they_came() {
    let (services, folder, _, producer) = place("raw").await;
    for text in ["one", "two\u{0}", "three"] {
        send(&producer, "raw", None, Some(text.as_bytes())).await;
    }
    let (mut command, bucket) = sink(
        &services,
        folder.path(),
        "raw",
        &[
            ("flush.size", "3"),
            ("format.class", "ByteArrayFormat"),
            ("format.bytearray.extension", ".log"),
            ("format.bytearray.separator", "|"),
            ("value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter"),
        ],
    );
    let running = Running::start(&mut command);
    let path = bucket.join("topics/raw/partition=0/raw+0+0000000000.log");
    until("the file", || path.exists().then_some(()));
    running.terminate();
    assert_eq!(std::fs::read(path).unwrap(), b"one|two\0|three|");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_tombstones_are_written_where_that_is_asked_for() {
    let (services, folder, schema, producer) = place("gone").await;
    send(&producer, "gone", Some(b"a"), Some(&row(schema, 0, Some("x")))).await;
    send(&producer, "gone", Some(b"a"), None).await;
    send(&producer, "gone", Some(b"b"), None).await;
    send(&producer, "gone", Some(b"c"), Some(&row(schema, 3, Some("x")))).await;
    let (mut command, bucket) = sink(
        &services,
        folder.path(),
        "gone",
        &[
            ("flush.size", "4"),
            ("behavior.on.null.values", "write"),
            ("store.kafka.keys", "true"),
            ("key.converter", "StringConverter"),
        ],
    );
    let running = Running::start(&mut command);
    until("the files", || (names(&bucket).len() == 3).then_some(()));
    running.terminate();
    assert_eq!(
        names(&bucket),
        [
            "topics/gone/partition=0/gone+0+0000000000.avro",
            "topics/gone/partition=0/gone+0+0000000000.keys.avro",
            "topics/gone/tombstone/gone+0+0000000001.keys.avro",
        ]
    );
    let keys = |name: &str| -> Vec<String> {
        let bytes = std::fs::read(bucket.join("topics/gone").join(name)).unwrap();
        let keys = apache_avro::Reader::new(bytes.as_slice()).unwrap();
        keys.map(|key| support::as_text(&key.unwrap()).unwrap()).collect()
    };
    assert_eq!(keys("tombstone/gone+0+0000000001.keys.avro"), ["a", "b"]);
    assert_eq!(keys("partition=0/gone+0+0000000000.keys.avro"), ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_their_topic_with_connects_headers() {
    let (services, folder, schema, producer) = place("mixed").await;
    let unknown = row(999_999, 2, None);
    let long = row(schema, 4, Some(&"x".repeat(5_000)));
    let emoji = row(schema, 5, Some("🦀/../a"));
    let values: [&[u8]; 6] = [
        &row(schema, 0, Some("fine")),
        b"plain text",
        &unknown,
        &row(schema, 3, Some("fine")),
        &long,
        &emoji,
    ];
    for value in values {
        send(&producer, "mixed", Some(b"k"), Some(value)).await;
    }
    let (mut command, bucket) = sink(
        &services,
        folder.path(),
        "mixed",
        &[
            ("flush.size", "3"),
            ("partitioner.class", "FieldPartitioner"),
            ("partition.field.name", "note"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "mixed-dlq"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ],
    );
    let running = Running::start(&mut command);
    let mut seen = Seen::default();
    until("the good rows", || (seen.look(&bucket) == 3).then_some(()));
    until("the bad ones", || {
        (support::high_watermark(&services.kafka, "mixed-dlq") == 3).then_some(())
    });
    running.terminate();
    let bad = consume(&services.kafka, "mixed-dlq");
    let of =
        |index: usize, name: &str| bad[index].headers[&format!("__connect.errors.{name}")].clone();
    for (index, offset) in ["1", "2", "4"].into_iter().enumerate() {
        assert_eq!(of(index, "topic"), "mixed");
        assert_eq!(of(index, "partition"), "0");
        assert_eq!(of(index, "offset"), offset);
        assert_eq!(of(index, "connector.name"), "mixed-sink");
        assert_eq!(bad[index].headers["who"], "a \"test\"", "the record's own stay");
        assert_eq!(bad[index].key.as_deref(), Some(&b"k"[..]));
    }
    assert_eq!(bad[0].value.as_deref(), Some(&b"plain text"[..]));
    assert!(of(0, "exception.message").contains("no schema id"));
    assert!(of(1, "exception.message").contains("cannot get schema 999999"));
    assert!(of(2, "exception.message").contains("too long"));
    assert_eq!(of(2, "exception.class.name"), "org.apache.kafka.connect.errors.ConnectException");
    // A value that wants out of the bucket stays inside.
    assert!(files(folder.path()).iter().all(|path| path.starts_with(folder.path())));
    assert!(names(&bucket).iter().any(|name| name.contains("🦀")), "{:?}", names(&bucket));
}

/// Files may not grow beyond 4 KiB, as on a disk without space.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_space_loses_nothing() {
    let (services, folder, schema, producer) = place("full").await;
    for id in 0..20 {
        send(&producer, "full", None, Some(&row(schema, id, Some(&"x".repeat(1_000))))).await;
    }
    let (mut command, bucket) = sink(&services, folder.path(), "full", &[("flush.size", "10")]);
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", limited]).arg(command.get_program()).args(command.get_args());
    shell.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running(child);
    let wanted = "cannot write topics/full/partition=0/full+0+0000000000.avro";
    log.find(|line| line.as_ref().unwrap().contains(wanted)).unwrap().unwrap();
    running.kill();
    let mut seen = Seen::default();
    assert_eq!(seen.look(&bucket), 0, "nothing is visible");
    let running = Running::start(&mut command);
    until("all rows", || (seen.look(&bucket) == 20).then_some(()));
    running.terminate();
    seen.check("full", &bucket, 1, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_stops_a_sink_of_keys() {
    let (services, folder, schema, producer) = place("keyless").await;
    send(&producer, "keyless", None, Some(&row(schema, 0, Some("x")))).await;
    let (mut command, _) = sink(
        &services,
        folder.path(),
        "keyless",
        &[("flush.size", "1"), ("store.kafka.keys", "true")],
    );
    let output = run(&mut command);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{log}");
    assert!(log.contains("keyless/0 offset 0 has no key"), "{log}");
}

/// 1,000 directories at once, 80 MB in all, in either format.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_objects_fit_into_64_mib() {
    const PLACES: i32 = 1000;
    const EACH: usize = 40;
    let services = Services::start();
    create_topic(&services, "many", 1).await;
    let schema = register(&services, "many-value", SCHEMA).await;
    let producer: FutureProducer =
        client(&services).set("queue.buffering.max.kbytes", "262144").create().unwrap();
    let text = "0123456789abcdef".repeat(128);
    for _ in 0..EACH {
        let mut sent = Vec::new();
        for place in 0..PLACES {
            let mut value = vec![0];
            value.extend(schema.to_be_bytes());
            avro_wire::primitive::write_int(place, &mut value);
            avro_wire::primitive::write_string(&text, &mut value);
            let record: FutureRecord<'_, (), Vec<u8>> =
                FutureRecord::to("many").partition(0).payload(&value);
            sent.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        for delivered in sent {
            delivered.await.unwrap().unwrap();
        }
    }
    for format in ["avro", "parquet"] {
        if format == "avro" || parquet::is_readable("a_thousand_open_objects_fit_…, Parquet") {
            let peak = peak_of_many(&services, format, PLACES as usize, EACH);
            eprintln!("{format}: {peak} KiB at most in memory");
            assert!(peak <= 64 << 10, "{format}: {peak} KiB");
        }
    }
}

/// The most memory that a sink takes whose objects are all open until the last record, in KiB.
#[cfg(target_os = "linux")]
fn peak_of_many(services: &Services, format: &str, places: usize, each: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let flush = (places * each).to_string();
    let (mut command, bucket) = sink(
        services,
        folder.path(),
        "many",
        &[
            ("name", format),
            ("format.class", format),
            ("flush.size", flush.as_str()),
            ("partitioner.class", "FieldPartitioner"),
            ("partition.field.name", "place"),
        ],
    );
    let running = Running::start(&mut command);
    let peak = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == format);
    until("all objects", || {
        (files(&bucket).iter().filter(|path| whole(path)).count() == places).then_some(())
    });
    let peak = peak();
    running.terminate();
    let records: usize = if format == "parquet" {
        parquet::script(&["count", bucket.to_str().unwrap()]).trim().parse().unwrap()
    } else {
        let objects = files(&bucket).into_iter().filter(|path| whole(path));
        let records = |path: PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            apache_avro::Reader::new(bytes.as_slice()).unwrap().map(Result::unwrap).count()
        };
        objects.map(records).sum()
    };
    assert_eq!(records, places * each);
    peak
}
