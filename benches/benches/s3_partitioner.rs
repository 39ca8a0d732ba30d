//! The path of a record by the hour, in a zone with daylight saving, and by the value of a field;
//! what is decided about the record; the name of an object.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use criterion::{Criterion, Throughput};
use jiff::tz::TimeZone;
use s3_partitioner::{
    CommitPlan, FieldPartitioner, Fields, ObjectNamer, Partitioner, Paths, Record, Rotate,
    RotationConfig, SchemaKey, TimePartitioner, TimestampExtractor, Value,
};

const ZONE: &str = "Australia/Sydney";
const START_MS: i64 = 1_709_622_489_123;
const PATTERN: &str = "year=%Y/month=%m/day=%d/hour=%H";
const RECORDS: i64 = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hourly(&mut criterion);
    partitions(&mut criterion);
    fields(&mut criterion);
    decision(&mut criterion);
    name(&mut criterion);
    criterion.final_summary();
}

/// One hour, as a live stream has it (warm), and a new one for every record (cold).
fn hourly(criterion: &mut Criterion) {
    let hourly = TimePartitioner::hourly(ZONE).unwrap().with_extractor(TimestampExtractor::Record);
    let mut paths = Paths::from(hourly.clone());
    let zone = TimeZone::get(ZONE).unwrap();
    // It has no zones of its own; summer time has to do.
    let offset = chrono::FixedOffset::east_opt(11 * 3_600).unwrap();
    let record = |time: i64| Record::new("orders", 3, 42).with_timestamp_ms(time);
    let print = |time: i64, out: &mut String| {
        out.clear();
        hourly.encode(&record(time), UNIX_EPOCH, out).unwrap();
    };
    let jiff = |time: i64, out: &mut String| {
        out.clear();
        let local = jiff::Timestamp::from_millisecond(time).unwrap().to_zoned(zone.clone());
        write!(out, "{}", local.strftime(PATTERN)).unwrap();
    };
    let chrono = |time: i64, out: &mut String| {
        out.clear();
        let utc = chrono::DateTime::from_timestamp_millis(time).unwrap();
        write!(out, "{}", utc.with_timezone(&offset).format(PATTERN)).unwrap();
    };

    let warm: Vec<i64> = (0..RECORDS).map(|n| START_MS + n * 100).collect();
    let cold: Vec<i64> = (0..RECORDS).map(|n| START_MS + n * 3_600_000 * 7).collect();
    let (mut out, mut again) = (String::new(), String::new());
    for &time in warm.iter().chain(&cold) {
        print(time, &mut out);
        jiff(time, &mut again);
        assert_eq!(out, again);
        assert_eq!(paths.encode(&record(time), UNIX_EPOCH).unwrap(), again);
    }
    for &time in &warm {
        jiff(time, &mut out);
        chrono(time, &mut again);
        assert_eq!(out, again);
    }

    for (name, times) in [("warm", &warm), ("cold", &cold)] {
        let mut group = criterion.benchmark_group(format!("hourly/{name}"));
        group.throughput(Throughput::Elements(RECORDS.unsigned_abs()));
        group.bench_function("paths", |b| {
            b.iter(|| {
                for &time in times {
                    let record = record(black_box(time));
                    black_box(paths.encode(&record, UNIX_EPOCH).unwrap());
                }
            });
        });
        group.bench_function("partitioner", |b| {
            b.iter(|| times.iter().for_each(|&time| print(black_box(time), &mut out)));
        });
        group.bench_function("jiff", |b| {
            b.iter(|| times.iter().for_each(|&time| jiff(black_box(time), &mut out)));
        });
        group.bench_function("chrono", |b| {
            b.iter(|| times.iter().for_each(|&time| chrono(black_box(time), &mut out)));
        });
        group.finish();
    }
}

/// The same hour for the records of ever more Kafka partitions, one after the other.
fn partitions(criterion: &mut Criterion) {
    let hourly = TimePartitioner::hourly(ZONE).unwrap().with_extractor(TimestampExtractor::Record);
    let mut group = criterion.benchmark_group("hourly/partitions");
    for partitions in [1, 100, 10_000] {
        let mut paths = Paths::from(hourly.clone());
        let mut next = 0;
        group.throughput(Throughput::Elements(RECORDS.unsigned_abs()));
        group.bench_function(format!("{partitions}"), |b| {
            b.iter(|| {
                for n in 0..RECORDS {
                    next = if next + 1 == partitions { 0 } else { next + 1 };
                    let record =
                        Record::new("orders", black_box(next), 42).with_timestamp_ms(START_MS + n);
                    black_box(paths.encode(&record, UNIX_EPOCH).unwrap());
                }
            });
        });
    }
    group.finish();
}

#[derive(Debug)]
struct Region(String);

impl Fields for Region {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        (path == "region").then_some(Value::String(&self.0))
    }
}

/// One value that repeats, and ever more that take turns.
fn fields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("field/values");
    for count in [1, 100, 10_000] {
        let regions: Vec<Region> = (0..count).map(|n| Region(format!("region-{n:05}"))).collect();
        let mut paths = Paths::from(FieldPartitioner::new(["region"]).unwrap());
        let mut turns = regions.iter().cycle();
        group.throughput(Throughput::Elements(RECORDS.unsigned_abs()));
        group.bench_function(format!("{count}"), |b| {
            b.iter(|| {
                for offset in 0..RECORDS {
                    let record = Record::new("orders", 3, offset).with_value(turns.next().unwrap());
                    black_box(paths.encode(black_box(&record), UNIX_EPOCH).unwrap());
                }
            });
        });
    }
    group.finish();
}

/// Path, wall clock and rotation together.
fn decision(criterion: &mut Criterion) {
    let config = RotationConfig::new(u64::MAX)
        .unwrap()
        .with_schedule_ms(600_000, ZONE)
        .unwrap()
        .with_idle_ms(600_000);
    let mut group = criterion.benchmark_group("place");
    group.throughput(Throughput::Elements(RECORDS.unsigned_abs()));
    for (name, extractor) in
        [("record", TimestampExtractor::Record), ("wall_clock", TimestampExtractor::Wallclock)]
    {
        let hourly = TimePartitioner::hourly(ZONE).unwrap().with_extractor(extractor);
        let mut paths = Paths::from(hourly);
        let mut rotation = CommitPlan::new(0).rotation(config.clone());
        let now: SystemTime = UNIX_EPOCH + Duration::from_millis(START_MS.unsigned_abs());
        let mut offset = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                for n in 0..RECORDS {
                    let record = Record::new("orders", 3, offset).with_timestamp_ms(START_MS + n);
                    offset += 1;
                    let key = SchemaKey::new(1);
                    let decision = rotation.place(&mut paths, black_box(&record), key, now);
                    assert_eq!(decision.unwrap(), Rotate::Keep);
                }
            });
        });
    }
    // Ever more files open at once, whose records take turns.
    for files in [1, 100, 10_000] {
        let regions: Vec<Region> = (0..files).map(|n| Region(format!("region-{n:05}"))).collect();
        let mut paths = Paths::from(FieldPartitioner::new(["region"]).unwrap());
        let mut rotation = CommitPlan::new(0).rotation(config.clone());
        let mut turns = regions.iter().cycle();
        let mut offset = 0;
        let mut place = || {
            let record = Record::new("orders", 3, offset).with_value(turns.next().unwrap());
            offset += 1;
            let key = SchemaKey::new(1);
            let decision = rotation.place(&mut paths, black_box(&record), key, UNIX_EPOCH);
            assert_eq!(decision.unwrap(), Rotate::Keep);
        };
        (0..files).for_each(|_| place());
        group.bench_function(format!("files/{files}"), |b| {
            b.iter(|| (0..RECORDS).for_each(|_| place()));
        });
    }
    group.finish();
}

fn name(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("name");
    let (namer, record) = (ObjectNamer::new("topics"), Record::new("orders", 3, 42));
    let mut out = String::new();
    namer.object("partition=3", &record, ".avro", &mut out);
    assert_eq!(out, "topics/orders/partition=3/orders+3+0000000042.avro");
    group.bench_function("object_key", |b| {
        b.iter(|| {
            out.clear();
            namer.object(black_box("partition=3"), &record, ".avro", &mut out);
        });
    });
    group.finish();
}
