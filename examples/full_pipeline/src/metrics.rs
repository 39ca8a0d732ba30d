//! What the pipeline counts, shared by the source, the sink and whoever shows it.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A counter that any task may raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the count.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// Counters and small logs of one process.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Rows read by the snapshot.
    pub snapshot_rows: Counter,
    /// Whether the snapshot is complete (0 or 1).
    pub snapshot_done: Counter,
    /// Row changes decoded from the stream.
    pub changes: Counter,
    /// Records that Kafka has acknowledged, tombstones included.
    pub messages: Counter,
    /// Bytes of keys and values handed to Kafka.
    pub message_bytes: Counter,
    /// Column values that came as "unchanged TOAST".
    pub unchanged_toast: Counter,
    /// Rows that were read again to fill such columns in.
    pub reselected: Counter,
    /// Rows that no record could be made of, where that is tolerated.
    pub source_bad: Counter,
    /// Connections to Postgres or Kafka that were made again.
    pub reconnects: Counter,
    /// The position confirmed to Postgres.
    pub confirmed_lsn: Counter,
    /// Records the sink has read.
    pub sink_records: Counter,
    /// Tombstones the sink has passed over.
    pub sink_tombstones: Counter,
    /// Records that fitted no object, where that is tolerated.
    pub sink_bad: Counter,
    /// How often the sink stopped reading because its store or its disk was slow or failed.
    pub sink_pauses: Counter,
    schemas: Mutex<Vec<SchemaSeen>>,
    objects: Mutex<Vec<ObjectWritten>>,
    objects_count: Counter,
    objects_bytes: Counter,
    objects_records: Counter,
}

/// A schema that the source has registered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SchemaSeen {
    /// The subject it was registered under.
    pub subject: String,
    /// Its id in the registry.
    pub id: u32,
}

/// An object that the sink has made visible.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ObjectWritten {
    /// Path in the bucket.
    pub path: String,
    /// Records it holds.
    pub records: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Offset of the first record.
    pub first_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Why it was closed.
    pub reason: &'static str,
}

/// Objects kept in memory for the report; beyond them only the totals grow.
const OBJECTS_KEPT: usize = 1000;

impl Metrics {
    /// Notes a registered schema, once.
    pub fn schema(&self, subject: &str, id: u32) {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if !schemas.iter().any(|seen| seen.subject == subject && seen.id == id) {
            schemas.push(SchemaSeen { subject: subject.to_owned(), id });
        }
    }

    /// The schemas registered so far, oldest first.
    #[must_use]
    pub fn schemas(&self) -> Vec<SchemaSeen> {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an object.
    pub fn object(&self, object: ObjectWritten) {
        self.objects_count.add(1);
        self.objects_bytes.add(object.bytes);
        self.objects_records.add(object.records);
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if objects.len() < OBJECTS_KEPT {
            objects.push(object);
        }
    }

    /// The first thousand objects.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectWritten> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Objects, their records and their bytes.
    #[must_use]
    pub fn object_totals(&self) -> (u64, u64, u64) {
        (self.objects_count.get(), self.objects_records.get(), self.objects_bytes.get())
    }
}

/// What this process has used, as the operating system counts it.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// Largest resident memory in KiB.
    pub peak_kib: u64,
}

/// CPU that was used before the program began.
static TICKS_BEFORE: OnceLock<u64> = OnceLock::new();

/// Leaves what this process has used so far out of the report: `cargo run` becomes the program it
/// has built, and its own work would count.
pub fn begin_usage() {
    TICKS_BEFORE.get_or_init(|| cpu_ticks().unwrap_or_default());
}

/// CPU of this process in ticks of 1/100 s, which they are on every Linux.
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command name is in parentheses and may hold anything; the fields behind it are fixed:
    // utime and stime are the 14th and 15th of all.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Reads this process's usage; `None` where there is no `/proc`.
#[must_use]
pub(crate) fn usage() -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    let ticks = cpu_ticks()?.saturating_sub(TICKS_BEFORE.get().copied().unwrap_or_default());
    Some(Usage { cpu_seconds: Duration::from_millis(ticks * 10).as_secs_f64(), peak_kib })
}
