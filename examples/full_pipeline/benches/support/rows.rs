//! The rows that the sink is measured with, and how.
#![allow(unreachable_pub, reason = "a module of several benches")]

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use full_pipeline::config::{Endpoints, Properties, SinkConfig};
use full_pipeline::sink::Offline;
use serde::Serialize;

/// What the rows are.
pub const SCHEMA: &str = r#"{"type":"record","name":"Value","namespace":"ord.ods.orders","fields":[
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

/// A flattened row of Debezium.
#[derive(Debug, Serialize, Clone)]
pub struct Row {
    pub order_id: i64,
    pub customer_id: Option<String>,
    pub employee_id: Option<i32>,
    pub order_date: Option<i32>,
    pub freight: Option<f64>,
    pub ship_name: Option<String>,
    pub ship_address: Option<String>,
    pub ship_country: Option<String>,
    pub lines: Option<String>,
    pub updated_at: Option<i64>,
    pub __op: Option<String>,
    pub __table: Option<String>,
    pub __lsn: Option<i64>,
    pub __source_ts_ms: Option<i64>,
    pub __deleted: Option<String>,
}

/// A row, most of whose values are its own.
pub fn row(i: i64) -> Row {
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

/// A sink into this folder.
pub fn config(bucket: &Path, format: &str) -> SinkConfig {
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
pub fn best(mut run: impl FnMut() -> u64) -> (Duration, u64) {
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

/// Rows as they lie in Kafka.
pub fn framed(rows: &[Row]) -> Vec<Vec<u8>> {
    let schema = avro_wire::Schema::parse(SCHEMA).unwrap();
    let frame = |row| {
        let mut value = vec![0, 0, 0, 0, 1];
        avro_wire::encode(row, &schema, &mut value).unwrap();
        value
    };
    rows.iter().map(frame).collect()
}

/// Writes so many rows into this folder through the sink; gives the bytes of the objects.
pub fn sink(bucket: &Path, format: &str, rows: i64, framed: &[Vec<u8>]) -> u64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sink = Offline::open(config(bucket, format), "rows", &[(1, SCHEMA)]).await.unwrap();
        for (offset, value) in (0..rows).zip(framed.iter().cycle()) {
            sink.write(offset, offset, value).await.unwrap();
        }
        let objects = sink.close().await.unwrap();
        let written: u64 = objects.iter().map(|object| object.records).sum();
        assert_eq!(written, rows.unsigned_abs());
        objects.iter().map(|object| object.bytes).sum()
    })
}
