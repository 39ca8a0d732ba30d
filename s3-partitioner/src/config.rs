use std::time::SystemTime;

use crate::zone::{Zone, from_unix_ms, unix_ms};
use crate::{Error, TimestampExtractor};

/// When the open files of a topic partition are closed.
#[derive(Clone, Debug)]
pub struct RotationConfig {
    pub(crate) flush_size: u64,
    pub(crate) flush_bytes: Option<u64>,
    pub(crate) idle_ms: Option<i64>,
    pub(crate) interval: Option<Interval>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) max_open_files: Option<usize>,
    pub(crate) file_per_schema: bool,
    pub(crate) metadata_limit: usize,
    pub(crate) tombstone_directory: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(crate) interval_ms: i64,
    pub(crate) extractor: TimestampExtractor,
    pub(crate) on_partition_change: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) period_ms: i64,
    pub(crate) zone: Zone,
}

/// What a broker takes by default (`offset.metadata.max.bytes`).
const METADATA_LIMIT: usize = 4_096;
/// An end, and one place where the wall clock went on, with numbers of any size.
const LEAST_METADATA: usize = 128;

impl RotationConfig {
    /// Closes after this many records of the topic partition, over all its files (`flush.size`).
    ///
    /// # Errors
    /// [`ErrorKind::Property`](crate::ErrorKind::Property) for 0.
    pub fn new(flush_size: u64) -> Result<Self, Error> {
        if flush_size == 0 {
            return Err(Error::property("flush.size"));
        }
        Ok(Self {
            flush_size,
            flush_bytes: None,
            idle_ms: None,
            interval: None,
            schedule: None,
            max_open_files: None,
            file_per_schema: false,
            metadata_limit: METADATA_LIMIT,
            tombstone_directory: None,
        })
    }

    /// Also closes when a record's time is this many milliseconds (1 or more) after the first
    /// record's (`rotate.interval.ms`), and when the encoded partition changes. `extractor` is the
    /// one of the time partitioner; with other partitioners the connector has no such rotation.
    #[must_use]
    pub fn with_interval_ms(mut self, interval_ms: i64, extractor: TimestampExtractor) -> Self {
        self.interval = (interval_ms > 0).then_some(Interval {
            interval_ms,
            extractor,
            on_partition_change: true,
        });
        self
    }

    /// Keeps files open when the encoded partition changes
    /// (`rotate.file.on.partition.change=false`). Only matters with an interval.
    #[must_use]
    pub fn without_rotation_on_partition_change(mut self) -> Self {
        if let Some(interval) = &mut self.interval {
            interval.on_partition_change = false;
        }
        self
    }

    /// Also closes by the wall clock, at every multiple of this many milliseconds (1 or more) since
    /// local midnight, and at midnight (`rotate.schedule.interval.ms`, `timezone`).
    ///
    /// # Errors
    /// [`ErrorKind::TimeZone`](crate::ErrorKind::TimeZone).
    pub fn with_schedule_ms(mut self, period_ms: i64, timezone: &str) -> Result<Self, Error> {
        let zone = Zone::parse(timezone)?;
        self.schedule = (period_ms > 0).then_some(Schedule { period_ms, zone });
        Ok(self)
    }

    /// Also closes when the records of the topic partition, over all its files, have this many
    /// bytes (1 or more) by [`Record::size`](crate::Record::size) (`rotate.bytes`, a key of our own).
    #[must_use]
    pub const fn with_flush_bytes(mut self, bytes: u64) -> Self {
        self.flush_bytes = Some(bytes);
        self
    }

    /// Also closes when no record has come for this many milliseconds (1 or more) of the wall
    /// clock (`rotate.idle.ms`, a key of our own). The connector has no such rule: without a schedule
    /// the last files of a topic that falls silent stay open for ever.
    #[must_use]
    pub fn with_idle_ms(mut self, idle_ms: i64) -> Self {
        self.idle_ms = (idle_ms > 0).then_some(idle_ms);
        self
    }

    /// Keeps a file open for every schema instead of closing when schemas alternate. Nothing is
    /// projected then: each record is in a file of its own schema (`schema.files=separate`, a key of
    /// our own). The connector writes a file for each alternation.
    #[must_use]
    pub const fn with_file_per_schema(mut self) -> Self {
        self.file_per_schema = true;
        self
    }

    /// The most bytes of metadata that the broker takes with an offset (its
    /// `offset.metadata.max.bytes`) instead of 4,096. Files are closed before the
    /// [`CommitPlan`](crate::CommitPlan) would need more.
    ///
    /// # Errors
    /// [`ErrorKind::Property`](crate::ErrorKind::Property) for fewer than 128, which may not hold
    /// the shortest announcement.
    pub fn with_metadata_limit(mut self, bytes: usize) -> Result<Self, Error> {
        if bytes < LEAST_METADATA {
            return Err(Error::property("offset.metadata.max.bytes"));
        }
        self.metadata_limit = bytes;
        Ok(self)
    }

    /// Closes rather than have more files open than this (`partitioner.max.open.files`).
    #[must_use]
    pub const fn with_max_open_files(mut self, files: usize) -> Self {
        self.max_open_files = Some(files);
        self
    }

    /// Says that tombstones are written, into this directory. A change to or from a directory
    /// whose name contains it is then no partition change, and a tombstone's time is its Kafka
    /// timestamp.
    #[must_use]
    pub fn with_tombstones(mut self, directory: &str) -> Self {
        self.tombstone_directory = Some(directory.to_owned());
        self
    }

    /// The first boundary of the schedule after `now`, if there is a schedule.
    #[must_use]
    pub fn next_scheduled(&self, now: SystemTime) -> Option<SystemTime> {
        self.boundary_after(unix_ms(now)).and_then(from_unix_ms)
    }

    pub(crate) fn boundary_after(&self, now_ms: i64) -> Option<i64> {
        self.schedule.as_ref().map(|s| s.zone.next_boundary(s.period_ms, now_ms))
    }
}
