//! Sinks killed outright, joined and left under load, with every way of rotating: in the end each
//! offset is in one object, and no object has ever changed.
//!
//! The number of kills is 20 unless `SINK_KILLS` says otherwise, and the number of times that the
//! membership of a group changes is 6 unless `SINK_CHANGES` does. `SINK_SEED` repeats a run as far
//! as the machine lets it.
//!
//! With `SINK_KILLS=200 SINK_CHANGES=40`, 22 November 2026, on two busy cores: 200 kills, 56 of them
//! between announcing objects and moving on, 28,040 rows; 20 joined, 5 left and 15 killed, 31,176
//! rows; 104 s.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it did"
)]

mod support;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use support::{
    Running, Services, parquet,
    rows::{Dice, Load, SCHEMA, SCHEMA_2, Seen, create_topic, object_files, register, sink},
    until,
};

const PARTITIONS: i32 = 2;

/// A way of rotating, by the connector's keys. `flush.size` is beyond reach where another rule is
/// looked at.
struct Policy {
    name: &'static str,
    /// What must have closed objects in the end.
    reasons: &'static [&'static str],
    pairs: &'static [(&'static str, &'static str)],
}

const POLICIES: [Policy; 11] = [
    Policy { name: "size", reasons: &["flush.size"], pairs: &[("flush.size", "37")] },
    Policy {
        name: "record-time",
        reasons: &["partition change"],
        pairs: &[
            ("flush.size", "100000"),
            ("rotate.interval.ms", "60000"),
            ("partitioner.class", "TimeBasedPartitioner"),
            ("timestamp.extractor", "Record"),
            ("partition.duration.ms", "60000"),
            ("path.format", "'h'=HH/'m'=mm"),
            ("locale", "en"),
            ("timezone", "UTC"),
        ],
    },
    Policy {
        name: "schedule",
        reasons: &["rotate.schedule.interval.ms"],
        pairs: &[
            ("flush.size", "100000"),
            ("rotate.schedule.interval.ms", "200"),
            ("timezone", "Australia/Sydney"),
        ],
    },
    Policy {
        name: "wall-clock",
        reasons: &["flush.size"],
        pairs: &[
            ("flush.size", "90"),
            ("partitioner.class", "TimeBasedPartitioner"),
            ("timestamp.extractor", "Wallclock"),
            ("partition.duration.ms", "70"),
            ("path.format", "'s'=ss/'ms'=SSS"),
            ("locale", "en"),
            ("timezone", "UTC"),
        ],
    },
    Policy {
        name: "bytes",
        reasons: &["bytes"],
        pairs: &[("flush.size", "100000"), ("rotate.bytes", "300")],
    },
    Policy {
        name: "idle",
        reasons: &["idle"],
        pairs: &[("flush.size", "100000"), ("rotate.idle.ms", "20")],
    },
    // All of them at once, every one soon enough to be the first at times.
    Policy {
        name: "all-clocks",
        reasons: &["bytes", "idle", "rotate.interval.ms", "rotate.schedule.interval.ms"],
        pairs: &[
            ("flush.size", "60"),
            ("rotate.bytes", "330"),
            ("rotate.idle.ms", "47"),
            ("rotate.interval.ms", "150"),
            ("rotate.file.on.partition.change", "false"),
            ("rotate.schedule.interval.ms", "470"),
            ("partitioner.class", "TimeBasedPartitioner"),
            ("timestamp.extractor", "Wallclock"),
            ("partition.duration.ms", "70"),
            ("path.format", "'s'=ss/'ms'=SSS"),
            ("locale", "en"),
            ("timezone", "UTC"),
        ],
    },
    // Several row groups in an object, and hardly any memory for the one begun.
    Policy {
        name: "parquet",
        reasons: &["rotate.schedule.interval.ms"],
        pairs: &[
            ("format.class", "ParquetFormat"),
            ("parquet.codec", "zstd"),
            ("sink.parquet.row.group.bytes", "120"),
            ("sink.memory.bytes", "50"),
            ("flush.size", "100000"),
            ("rotate.schedule.interval.ms", "230"),
            ("timezone", "UTC"),
        ],
    },
    Policy { name: "schema", reasons: &["schema change"], pairs: &[("flush.size", "100000")] },
    Policy {
        name: "projected",
        reasons: &["flush.size"],
        pairs: &[("flush.size", "43"), ("schema.compatibility", "BACKWARD")],
    },
    Policy {
        name: "field",
        reasons: &["flush.size"],
        pairs: &[
            ("flush.size", "29"),
            ("partitioner.class", "FieldPartitioner"),
            ("partition.field.name", "note"),
        ],
    },
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_killed_leaves_each_offset_in_one_object() {
    let kills = number("SINK_KILLS", 20);
    let seed = number("SINK_SEED", u64::from(std::process::id()));
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    let parquet = parquet::is_readable("a_sink_that_is_killed_…, with Parquet");
    for (index, policy) in POLICIES.iter().enumerate() {
        if policy.name == "parquet" && !parquet {
            continue;
        }
        // The first policies take what does not divide evenly.
        let share = POLICIES.len() as u64;
        let kills = kills / share + u64::from((index as u64) < kills % share);
        let dice = Dice(seed.wrapping_mul(31).wrapping_add(index as u64) | 1);
        runs.push(killed(policy, kills, dice, &services, folder.path()));
    }
    let rows: i64 = futures_util::future::join_all(runs).await.into_iter().sum();
    eprintln!("{kills} kills, {rows} rows, seed {seed}");
}

async fn killed(
    policy: &Policy,
    kills: u64,
    mut dice: Dice,
    services: &Services,
    folder: &Path,
) -> i64 {
    let topic = policy.name;
    create_topic(services, topic, PARTITIONS).await;
    let subject = format!("{topic}-value");
    let first = (register(services, &subject, SCHEMA).await, false);
    let second = (register(services, &subject, SCHEMA_2).await, true);
    let schemas = match topic {
        "schema" | "projected" => vec![first, second],
        "field" => vec![second],
        _ => vec![first],
    };
    let mut pairs = policy.pairs.to_vec();
    // The group need not wait for the session of the dead to end.
    pairs.push(("consumer.group.instance.id", topic));
    let (mut command, bucket) = sink(services, folder, topic, &pairs);
    // Each object is logged, with what closed it.
    command.env("RUST_LOG", "info,full_pipeline::sink=debug");
    let load = Load::start(services, topic, PARTITIONS, schemas, 200);
    let log = folder.join(format!("{topic}.log"));
    let mut running = Running::start_logged(&mut command, &log);
    let mut seen = Seen::default();
    for _ in 0..kills {
        // It must have got somewhere, or it would be killed at its start every time.
        let (before, patience) = (object_files(&bucket).len(), Instant::now());
        while object_files(&bucket).len() == before {
            assert!(patience.elapsed() < Duration::from_secs(60), "{topic}: no object appears");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Half of them die while objects appear, the others anywhere.
        if dice.below(2) == 0 {
            tokio::time::sleep(Duration::from_micros(dice.below(400_000))).await;
        }
        running.kill();
        seen.look(&bucket);
        running = Running::start_logged(&mut command, &log);
    }
    let rows = load.stop().await;
    let all = usize::try_from(rows * i64::from(PARTITIONS)).unwrap();
    finish(topic, vec![running], &mut seen, &bucket, all).await;
    seen.check(topic, &bucket, PARTITIONS, rows);
    let log = std::fs::read_to_string(&log).unwrap();
    let repeated = log.matches("that were announced").count();
    let mut reasons = BTreeMap::<&str, u32>::new();
    for line in log.lines().filter(|line| line.contains(" records, ")) {
        let reason = line.rsplit_once(", ").unwrap().1.trim_end_matches(')');
        *reasons.entry(reason).or_default() += 1;
    }
    // A few kills are over before every rule has had its turn.
    let closed = |reason: &&str| reasons.contains_key(*reason);
    let enough = match kills {
        ..20 => policy.reasons.iter().any(closed),
        _ => policy.reasons.iter().all(closed),
    };
    assert!(enough, "{topic}: {reasons:?}");
    eprintln!(
        "{topic}: {kills} kills, {repeated} of them between announcing objects and moving on; \
         closed by {reasons:?}"
    );
    rows * i64::from(PARTITIONS)
}

/// Waits until the sinks have read the last row, then ends them in good order. What is open without
/// a reason to be closed is closed by that.
async fn finish(topic: &str, running: Vec<Running>, seen: &mut Seen, bucket: &Path, all: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut quiet = (0, Instant::now());
    loop {
        let held = seen.look(bucket);
        if held >= all {
            break;
        }
        if quiet.0 != held {
            quiet = (held, Instant::now());
        }
        // Nothing more appears: the rest lies in open objects.
        if quiet.1.elapsed() > Duration::from_secs(8) {
            break;
        }
        assert!(Instant::now() < deadline, "{topic}: {held} of {all}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for running in running {
        running.terminate();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_that_join_and_leave_a_group_leave_each_offset_in_one_object() {
    const PARTITIONS: i32 = 6;
    let changes = number("SINK_CHANGES", 6);
    let seed = number("SINK_SEED", u64::from(std::process::id()));
    let mut dice = Dice(seed | 1);
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    let topic = "group";
    create_topic(&services, topic, PARTITIONS).await;
    let first = (register(&services, "group-value", SCHEMA).await, false);
    let second = (register(&services, "group-value", SCHEMA_2).await, true);
    let (mut command, bucket) = sink(
        &services,
        folder.path(),
        topic,
        &[
            ("flush.size", "61"),
            ("rotate.schedule.interval.ms", "300"),
            ("timezone", "UTC"),
            ("consumer.session.timeout.ms", "6000"),
            ("consumer.heartbeat.interval.ms", "300"),
        ],
    );
    let load = Load::start(&services, topic, PARTITIONS, vec![first, second], 60);
    let mut seen = Seen::default();
    let mut sinks = vec![Running::start(&mut command), Running::start(&mut command)];
    let mut done = (0, 0, 0);
    for _ in 0..changes {
        let before = object_files(&bucket).len();
        until("objects", || (object_files(&bucket).len() > before + 4).then_some(()));
        tokio::time::sleep(Duration::from_micros(dice.below(500_000))).await;
        let index = usize::try_from(dice.below(sinks.len() as u64)).unwrap();
        match dice.below(3) {
            _ if sinks.len() < 2 => {
                done.0 += 1;
                sinks.push(Running::start(&mut command));
            }
            0 | 1 if sinks.len() < 3 => {
                done.0 += 1;
                sinks.push(Running::start(&mut command));
            }
            0 => {
                done.1 += 1;
                sinks.swap_remove(index).terminate();
            }
            _ => {
                done.2 += 1;
                sinks.swap_remove(index).kill();
            }
        }
        seen.look(&bucket);
    }
    let rows = load.stop().await;
    let all = usize::try_from(rows * i64::from(PARTITIONS)).unwrap();
    until("all rows", || (seen.look(&bucket) >= all).then_some(()));
    finish(topic, sinks, &mut seen, &bucket, all).await;
    seen.check(topic, &bucket, PARTITIONS, rows);
    let (joined, left, killed) = done;
    eprintln!("{joined} joined, {left} left, {killed} killed, {all} rows, seed {seed}");
}
