//! How fast records become objects on a local disk, without Kafka: a million flattened Debezium
//! rows, beside apache-avro's writer, serde_json, and writing the same bytes.
//!
//! `cargo bench -p full-pipeline --bench sink_speed [-- rows]`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a bench prints and ends by panicking"
)]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};

use full_pipeline::{
    config::{Endpoints, Properties, SinkConfig},
    sink::Offline,
};
use serde::Serialize;

const SCHEMA: &str = r#"{"type":"record","name":"Value","namespace":"ord.ods.orders","fields":[
    {"name":"order_id","type":"long"},
    {"name":"customer_id","type":["null","string"],"default":null},
    {"name":"employee_id","type":["null","int"],"default":null},
    {"name":"order_date","type":["null","int"],"default":null},
    {"name":"freight","type":["null","double"],"default":null},
    {"name":"ship_name","type":["null","string"],"default":null},
    {"name":"ship_address","type":["null","string"],"default":null},
    {"name":"ship_country","type":["null","string"],"default":null},
    {"name":"lines","type":["null","string"],"default":null},
    {"name":"updated_at","type":["null","long"],"default":null},
    {"name":"__op","type":["null","string"],"default":null},
    {"name":"__table","type":["null","string"],"default":null},
    {"name":"__lsn","type":["null","long"],"default":null},
    {"name":"__source_ts_ms","type":["null","long"],"default":null},
    {"name":"__deleted","type":["null","string"],"default":null}]}"#;

#[derive(Serialize, Clone)]
struct Row {
    order_id: i64,
    customer_id: Option<String>,
    employee_id: Option<i32>,
    order_date: Option<i32>,
    freight: Option<f64>,
    ship_name: Option<String>,
    ship_address: Option<String>,
    ship_country: Option<String>,
    lines: Option<String>,
    updated_at: Option<i64>,
    __op: Option<String>,
    __table: Option<String>,
    __lsn: Option<i64>,
    __source_ts_ms: Option<i64>,
    __deleted: Option<String>,
}

fn row(i: i64) -> Row {
    let text = |text: &str| Some(text.to_owned());
    Row {
        order_id: 10_248 + i,
        customer_id: text("VINET"),
        employee_id: i32::try_from(i % 9).ok(),
        order_date: (i % 7 != 0).then_some(19_723),
        freight: Some(32.38 + i as f64 / 8.0),
        ship_name: text("Vins et alcools Chevalier"),
        ship_address: text("59 rue de l'Abbaye, Reims"),
        ship_country: text("France"),
        lines: Some(format!(
            "[{{\"product\":\"Queso Cabrales\",\"quantity\":{},\"price\":14.0}},\
             {{\"product\":\"Mozzarella di Giovanni\",\"quantity\":5,\"price\":34.8}}]",
            i % 40
        )),
        updated_at: Some(1_704_067_200_000_000 + i),
        __op: text("u"),
        __table: text("orders"),
        __lsn: Some(27_000_000 + i * 312),
        __source_ts_ms: Some(1_704_067_200_000 + i),
        __deleted: (i % 3 == 0).then(|| "false".to_owned()),
    }
}

fn config(bucket: &Path, format: &str) -> SinkConfig {
    let properties: BTreeMap<String, String> = [
        ("topics", "rows"),
        ("flush.size", "250000"),
        ("format.class", format),
        ("s3.bucket.name", "none"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let mut endpoints = Endpoints::default();
    endpoints.brokers = Some("none:1".to_owned());
    endpoints.registry_url = Some("http://none".to_owned());
    endpoints.bucket = Some(bucket.display().to_string());
    SinkConfig::from_properties(Properties::from_values(properties), &endpoints).unwrap()
}

/// Best of three, each with a disk that has nothing to do.
fn best(mut run: impl FnMut() -> u64) -> (Duration, u64) {
    let mut best = (Duration::MAX, 0);
    for _ in 0..3 {
        settle_disk();
        let started = Instant::now();
        let bytes = run();
        best = best.min((started.elapsed(), bytes));
    }
    best
}

fn settle_disk() {
    // What earlier rounds wrote must not be written back during this one.
    let _status = std::process::Command::new("sync").status();
}

fn main() {
    let rows: i64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let distinct: Vec<Row> = (0..1000).map(row).collect();
    let schema = avro_wire::Schema::parse(SCHEMA).unwrap();
    let framed: Vec<Vec<u8>> = distinct
        .iter()
        .map(|row| {
            let mut value = vec![0, 0, 0, 0, 1];
            avro_wire::encode(row, &schema, &mut value).unwrap();
            value
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ours = |format: &str| {
        let bucket = folder.path().join(format);
        best(|| {
            runtime.block_on(async {
                let config = config(&bucket, format);
                let mut sink = Offline::open(config, "rows", &[(1, SCHEMA)]).await.unwrap();
                for (offset, value) in (0..rows).zip(framed.iter().cycle()) {
                    sink.write(offset, offset, value).await.unwrap();
                }
                let objects = sink.close().await.unwrap();
                let written: u64 = objects.iter().map(|object| object.records).sum();
                assert_eq!(written, rows.unsigned_abs());
                objects.iter().map(|object| object.bytes).sum()
            })
        })
    };
    let avro = ours("AvroFormat");
    let json = ours("JsonFormat");

    let raw = |bytes: u64| {
        let block = vec![7; 5 << 20];
        let path = folder.path().join("raw");
        best(|| {
            let mut file = File::create(&path).unwrap();
            let mut left = bytes;
            while left > 0 {
                let piece = usize::try_from(left).unwrap().min(block.len());
                file.write_all(&block[..piece]).unwrap();
                left -= piece as u64;
            }
            bytes
        })
    };
    let raw_avro = raw(avro.1);

    let peer_schema = apache_avro::Schema::parse_str(SCHEMA).unwrap();
    let peer = best(|| {
        let file = BufWriter::new(File::create(folder.path().join("peer.avro")).unwrap());
        let mut writer = apache_avro::Writer::new(&peer_schema, file).unwrap();
        for (_, row) in (0..rows).zip(distinct.iter().cycle()) {
            writer.append_ser(row).unwrap();
        }
        writer.flush().unwrap();
        0
    });
    let peer_json = best(|| {
        let file = File::create(folder.path().join("peer.json")).unwrap();
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        for (_, row) in (0..rows).zip(distinct.iter().cycle()) {
            serde_json::to_writer(&mut writer, row).unwrap();
            writer.write_all(b"\n").unwrap();
        }
        writer.flush().unwrap();
        0
    });
    let peer_file = std::fs::metadata(folder.path().join("peer.json")).unwrap().len();
    assert_eq!(json.1, peer_file, "the same JSON");

    let rate = |(time, _): (Duration, u64)| rows as f64 / time.as_secs_f64() / 1e6;
    println!("{rows} rows, {} MB of Avro, {} MB of JSON, best of 3", avro.1 >> 20, json.1 >> 20);
    for (name, measured) in [
        ("Avro, sink", avro),
        ("Avro, apache-avro append_ser", peer),
        ("the same bytes, written", raw_avro),
        ("JSON, sink", json),
        ("JSON, serde_json", peer_json),
    ] {
        println!("{name:<30} {:>7.2} M rows/s {:>9.0?}", rate(measured), measured.0);
    }
    println!("Avro beside apache-avro       {:>7.2} (goal 8)", rate(avro) / rate(peer));
    println!("Avro beside the raw write     {:>7.2} (goal 0.6)", rate(avro) / rate(raw_avro));
    println!("JSON beside serde_json        {:>7.2} (goal 1)", rate(json) / rate(peer_json));
}
