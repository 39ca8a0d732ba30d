//! The path of a record by the hour, in a zone with daylight saving.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::UNIX_EPOCH;

use criterion::{Criterion, Throughput};
use jiff::tz::TimeZone;
use s3_partitioner::{
    DefaultPartitioner, ObjectNamer, Partitioner, Record, TimePartitioner, TimestampExtractor,
};

const ZONE: &str = "Australia/Sydney";
const START_MS: i64 = 1_709_622_489_123;

fn main() {
    let hourly = TimePartitioner::hourly(ZONE).unwrap().with_extractor(TimestampExtractor::Record);
    let zone = TimeZone::get(ZONE).unwrap();
    let ours = |partitioner: &dyn Partitioner, time: i64, out: &mut String| {
        out.clear();
        let record = Record::new("orders", 3, 42).with_timestamp_ms(time);
        partitioner.encode(&record, UNIX_EPOCH, out).unwrap();
    };
    // The same by a general date library.
    let jiff = |time: i64, out: &mut String| {
        out.clear();
        let local = jiff::Timestamp::from_millisecond(time).unwrap().to_zoned(zone.clone());
        write!(out, "{}", local.strftime("year=%Y/month=%m/day=%d/hour=%H")).unwrap();
    };
    // One bucket, as a live stream has it, and a new one for every record.
    let warm: Vec<i64> = (0..1_000).map(|n| START_MS + n * 100).collect();
    let cold: Vec<i64> = (0..1_000).map(|n| START_MS + n * 3_600_000 * 7).collect();
    let (mut out, mut again) = (String::new(), String::new());
    for &time in warm.iter().chain(&cold) {
        ours(&hourly, time, &mut out);
        jiff(time, &mut again);
        assert_eq!(out, again);
    }

    let mut criterion = Criterion::default().configure_from_args();
    for (name, times) in [("warm", &warm), ("cold", &cold)] {
        let mut group = criterion.benchmark_group(format!("hourly/{name}"));
        group.throughput(Throughput::Elements(times.len() as u64));
        group.bench_function("ours", |b| {
            b.iter(|| times.iter().for_each(|&time| ours(&hourly, black_box(time), &mut out)));
        });
        group.bench_function("jiff", |b| {
            b.iter(|| times.iter().for_each(|&time| jiff(black_box(time), &mut out)));
        });
        group.finish();
    }

    let mut group = criterion.benchmark_group("name");
    group.bench_function("default_partition", |b| {
        b.iter(|| ours(&DefaultPartitioner::new(), black_box(START_MS), &mut out));
    });
    let (namer, record) = (ObjectNamer::new("topics"), Record::new("orders", 3, 42));
    namer.object("partition=3", &record, ".avro", &mut again);
    again.clear();
    namer.object("partition=3", &record, ".avro", &mut again);
    assert_eq!(again, "topics/orders/partition=3/orders+3+0000000042.avro");
    group.bench_function("object_key", |b| {
        b.iter(|| {
            again.clear();
            namer.object(black_box("partition=3"), &record, ".avro", &mut again);
        });
    });
    group.finish();
    criterion.final_summary();
}
