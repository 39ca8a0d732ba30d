//! How fast records become objects on a local disk, without Kafka: a million flattened Debezium
//! rows, beside apache-avro's writer, serde_json, and writing the same bytes.
//!
//! `cargo bench -p full-pipeline --bench sink_speed [-- rows [format]]`. Parquet is measured beside
//! arrow's writer by `cargo bench -p benches --bench sink_parquet`.
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

#[path = "support/rows.rs"]
mod rows;

use std::{
    fs::File,
    io::{BufWriter, Write},
    time::Duration,
};

use rows::{Row, SCHEMA, best, row};

fn main() {
    let count: i64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let distinct: Vec<Row> = (0..1000).map(row).collect();
    let framed = rows::framed(&distinct);
    let folder = tempfile::tempdir().unwrap();
    let ours = |format: &str| {
        let bucket = folder.path().join(format);
        best(|| rows::sink(&bucket, format, count, &framed))
    };
    if let Some(format) = std::env::args().nth(2) {
        let (time, _) = ours(&format);
        println!("{format}: {:.0?}", time);
        return;
    }
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
        for (_, row) in (0..count).zip(distinct.iter().cycle()) {
            writer.append_ser(row).unwrap();
        }
        writer.flush().unwrap();
        0
    });
    let peer_json = best(|| {
        let file = File::create(folder.path().join("peer.json")).unwrap();
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        for (_, row) in (0..count).zip(distinct.iter().cycle()) {
            serde_json::to_writer(&mut writer, row).unwrap();
            writer.write_all(b"\n").unwrap();
        }
        writer.flush().unwrap();
        0
    });
    let peer_file = std::fs::metadata(folder.path().join("peer.json")).unwrap().len();
    assert_eq!(json.1, peer_file, "the same JSON");

    let rate = |(time, _): (Duration, u64)| count as f64 / time.as_secs_f64() / 1e6;
    println!("{count} rows, {} MB of Avro, {} MB of JSON, best of 3", avro.1 >> 20, json.1 >> 20);
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
