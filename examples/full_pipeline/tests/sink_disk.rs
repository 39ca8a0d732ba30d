//! The sink on a folder: names that no folder should have, and a disk that is full until somebody
//! makes room.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it could not do"
)]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rdkafka::producer::{FutureProducer, FutureRecord};
use support::{
    Running, Services, consume, files,
    rows::{SCHEMA_2, Seen, client, create_topic, register, row, sink},
    until,
};

async fn send(services: &Services, topic: &str, notes: impl IntoIterator<Item = String>) {
    let schema = register(services, &format!("{topic}-value"), SCHEMA_2).await;
    let producer: FutureProducer = client(services).create().unwrap();
    for (id, note) in (0..).zip(notes) {
        let value = row(schema, id, Some(&note));
        let record: FutureRecord<'_, (), Vec<u8>> =
            FutureRecord::to(topic).partition(0).payload(&value);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_good_names_stay_in_the_folder() {
    let services = Services::start();
    let folder = tempfile::tempdir().unwrap();
    create_topic(&services, "odd", 1).await;
    let odd = [
        ("../../../out", "note=../%2E%2E/%2E%2E/out"),
        ("/etc/x", "note=/etc/x"),
        ("nul\0", "note=nul%00"),
        ("🦀", "note=🦀"),
        ("a//b", "note=a/b"),
        ("line\n", "note=line%0A"),
    ];
    // A name of a folder has 255 bytes at most, however it is written.
    let long = ["y".repeat(251), "\0".repeat(84), "x".repeat(5_000)];
    let notes = odd.iter().map(|(note, _)| (*note).to_owned()).chain(long.clone());
    send(&services, "odd", notes).await;
    let pairs = [
        ("flush.size", "6"),
        ("partitioner.class", "FieldPartitioner"),
        ("partition.field.name", "note"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "odd-dlq"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let (mut command, bucket) = sink(&services, folder.path(), "odd", &pairs);
    let running = Running::start(&mut command);
    let mut seen = Seen::default();
    until("the objects", || (seen.look(&bucket) == 6).then_some(()));
    until("the others", || {
        (support::high_watermark(&services.kafka, "odd-dlq") == 3).then_some(())
    });
    running.terminate();
    seen.check("odd", &bucket, 1, 6);
    for (id, (note, directory)) in odd.iter().enumerate() {
        let path = bucket.join(format!("topics/odd/{directory}/odd+0+{id:010}.avro"));
        assert!(path.exists(), "{note:?}: {}", path.display());
    }
    let wrong = |path: &PathBuf| !path.starts_with(bucket.join("topics/odd"));
    let outside: Vec<PathBuf> = files(&bucket).into_iter().filter(wrong).collect();
    assert!(outside.is_empty(), "{outside:?}");
    let bad = consume(&services.kafka, "odd-dlq");
    let offsets: Vec<&str> =
        bad.iter().map(|bad| bad.headers["__connect.errors.offset"].as_str()).collect();
    assert_eq!(offsets, ["6", "7", "8"]);
    assert!(
        bad.iter().all(|bad| bad.headers["__connect.errors.exception.message"].contains("long"))
    );
}

/// A small disk, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this process may not mount one.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    fn make_room(&self) {
        let mut command = Command::new("mount");
        command.args(["-o", "remount,size=64m"]).arg(&self.0);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let disks = ["objects", "spilled"].map(|name| folder.path().join(name));
    let [Some(objects), Some(spilled)] = disks.each_ref().map(|at| Disk::mount(at)) else {
        // Another test limits the size of files instead, as every machine can.
        eprintln!("SKIPPED a_full_disk_is_waited_for: this process may not mount a file system");
        return;
    };
    let services = Services::start();
    let cases = [
        (&objects, "objects", "cannot write topics/objects/partition=0/"),
        (&spilled, "spills", "cannot put away what is open of topics/spills/partition=0/"),
    ];
    for (disk, topic, said) in cases {
        create_topic(&services, topic, 1).await;
        send(&services, topic, (0..60).map(|_| "x".repeat(20_000))).await;
        let mut pairs = vec![("flush.size", "30")];
        if topic != "objects" {
            pairs.push(("sink.spill.dir", disk.0.to_str().unwrap()));
            pairs.push(("sink.memory.bytes", "100000"));
        }
        // The bucket is a folder with the topic's name.
        let (mut command, bucket) = sink(&services, folder.path(), topic, &pairs);
        let log = folder.path().join(format!("{topic}.log"));
        let running = Running::start_logged(&mut command, &log);
        let read = || std::fs::read_to_string(&log).unwrap();
        until("the error, twice", || (read().matches(said).count() >= 2).then_some(()));
        let mut seen = Seen::default();
        assert_eq!(seen.look(&bucket), 0, "{topic}: nothing is visible");
        disk.make_room();
        until("all rows", || (seen.look(&bucket) == 60).then_some(()));
        running.terminate();
        seen.check(topic, &bucket, 1, 60);
        // The same process, still in its group.
        assert_eq!(read().matches("is assigned").count(), 1, "{}", read());
    }
}
