use std::collections::HashMap;
use std::time::SystemTime;

use crate::zone::{Zone, from_unix_ms, unix_ms};
use crate::{Error, Record, SchemaChange, TimestampExtractor};

/// When the open files of a topic partition are closed.
#[derive(Clone, Debug)]
pub struct RotationConfig {
    flush_size: u64,
    interval: Option<Interval>,
    schedule: Option<Schedule>,
    max_open_files: Option<usize>,
    tombstone_directory: Option<String>,
}

#[derive(Clone, Debug)]
struct Interval {
    interval_ms: i64,
    extractor: TimestampExtractor,
    on_partition_change: bool,
}

#[derive(Clone, Debug)]
struct Schedule {
    period_ms: i64,
    zone: Zone,
}

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
            interval: None,
            schedule: None,
            max_open_files: None,
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
        self.schedule
            .as_ref()
            .and_then(|s| from_unix_ms(s.zone.next_boundary(s.period_ms, unix_ms(now))))
    }
}

/// Identifies a value's schema within the caller: equal keys, equal schemas. A registry's id will
/// do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaKey(u64);

impl SchemaKey {
    /// The key of values without a schema.
    pub const NONE: Self = Self(u64::MAX);

    /// From the caller's number.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self(key)
    }

    /// The caller's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What to do with a record. See [`Rotation::observe`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "every caller has to act on each of the three")]
pub enum Rotate {
    /// Write it.
    Keep,
    /// Close every open file of the topic partition, call [`Rotation::closed`], and observe the
    /// record again.
    Before,
    /// Write it, then close every open file of the topic partition and call [`Rotation::closed`].
    After,
}

/// Why files are to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// `flush.size` records are there.
    Size,
    /// `rotate.interval.ms` of record time have passed.
    Interval,
    /// The encoded partition changed.
    PartitionChange,
    /// A boundary of `rotate.schedule.interval.ms` has passed.
    Schedule,
    /// The value's schema does not fit the file's.
    Schema,
    /// A tombstone met a file of values, or the other way round.
    Tombstone,
    /// `partitioner.max.open.files` would be exceeded.
    OpenFiles,
    /// A boundary that an earlier owner of the partition had announced. See
    /// [`CommitPlan`](crate::CommitPlan).
    Forced,
}

/// One file of a topic partition that is open: the records of one encoded partition.
#[derive(Clone, Debug)]
pub struct OpenFile {
    encoded: String,
    start_offset: i64,
    records: u64,
    schema: SchemaKey,
    tombstones: bool,
}

impl OpenFile {
    /// The encoded partition.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Offset of the first record written, which the object is named after.
    #[must_use]
    pub const fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Number of records written.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Schema the file was begun with; later records may have to be projected to it. As in the
    /// connector this is the schema of the first record observed, even if the writer refused that
    /// one: a sink that copies records undecoded should find bad ones before it observes them.
    #[must_use]
    pub const fn schema(&self) -> SchemaKey {
        self.schema
    }
}

/// Decides when the files of **one topic partition** are closed, in the connector's order of rules.
/// A rotation closes all of them together, whatever file caused it.
///
/// For each record: [`observe`](Self::observe), then write. If the writer refuses the record, say
/// so with [`rejected`](Self::rejected). When a poll brought nothing (or the
/// [`deadline`](Self::deadline) has come), ask [`due`](Self::due).
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{Record, Rotate, Rotation, RotationConfig, SchemaKey};
///
/// let mut rotation = Rotation::new(RotationConfig::new(2)?);
/// let now = SystemTime::now();
/// let schema = SchemaKey::new(1);
/// let first = rotation.observe(&Record::new("orders", 0, 40), "partition=0", schema, now)?;
/// assert_eq!(first, Rotate::Keep);
/// let second = rotation.observe(&Record::new("orders", 0, 41), "partition=0", schema, now)?;
/// assert_eq!(second, Rotate::After);
/// assert_eq!(rotation.open_files().next().map(|file| file.start_offset()), Some(40));
/// assert_eq!(rotation.last_offset(), Some(41));
/// rotation.closed(now);
/// assert_eq!(rotation.open_files().count(), 0);
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rotation {
    config: RotationConfig,
    /// In order of first use. A file whose only records were rejected stays, with no records, since
    /// its schema still counts.
    files: Vec<OpenFile>,
    index: HashMap<String, usize>,
    /// Number of files that have records.
    open_count: usize,
    record_count: u64,
    base_ms: Option<i64>,
    /// Of the last record observed, accepted or not.
    last_ms: Option<i64>,
    current: Option<usize>,
    last_offset: Option<i64>,
    next_ms: Option<i64>,
    clock_ms: Option<i64>,
    /// File of the last record observed, and the last offset before it.
    undo: Option<(usize, Option<i64>)>,
    reason: Option<Reason>,
    forced_end: Option<i64>,
}

impl Rotation {
    /// Nothing open yet.
    #[must_use]
    pub fn new(config: RotationConfig) -> Self {
        Self {
            config,
            files: Vec::new(),
            index: HashMap::new(),
            open_count: 0,
            record_count: 0,
            base_ms: None,
            last_ms: None,
            current: None,
            last_offset: None,
            next_ms: None,
            clock_ms: None,
            undo: None,
            reason: None,
            forced_end: None,
        }
    }

    /// Closes after this offset and not before it, whatever the other rules say: what
    /// [`CommitPlan::forced_end`](crate::CommitPlan::forced_end) answers after a restart.
    #[must_use]
    pub const fn with_forced_end(mut self, end: Option<i64>) -> Self {
        self.forced_end = end;
        self
    }

    /// Decides about the next record, where any difference of schema rotates
    /// (`schema.compatibility=NONE`). `now` is the wall clock of the poll, the same for all of its
    /// records. [`Rotate::Keep`] and [`Rotate::After`] count the record as written.
    ///
    /// # Errors
    /// What [`TimestampExtractor::extract`] answers; nothing has then been counted.
    pub fn observe(
        &mut self,
        record: &Record<'_>,
        encoded: &str,
        schema: SchemaKey,
        now: SystemTime,
    ) -> Result<Rotate, Error> {
        self.observe_with(record, encoded, schema, now, |_, _| Ok(Some(SchemaChange::Schema)))
    }

    /// As [`observe`](Self::observe), where `compare` says whether a record of the first schema can
    /// go into a file of the second one. It is only asked about different keys; see
    /// [`Compatibility::change`](crate::Compatibility::change).
    ///
    /// # Errors
    /// What [`TimestampExtractor::extract`] or `compare` answers; the record is then not counted.
    pub fn observe_with<F>(
        &mut self,
        record: &Record<'_>,
        encoded: &str,
        schema: SchemaKey,
        now: SystemTime,
        compare: F,
    ) -> Result<Rotate, Error>
    where
        F: FnOnce(SchemaKey, SchemaKey) -> Result<Option<SchemaChange>, Error>,
    {
        let now_ms = unix_ms(now);
        self.start_poll(now_ms);
        let tombstone = record.is_tombstone();
        let time = self.record_time(record, tombstone, now)?;
        self.last_ms = time;
        if self.base_ms.is_none() {
            self.base_ms = time;
        }
        self.undo = None;
        let slot = self.find(encoded);
        if let Some(end) = self.forced_end {
            if record.offset > end {
                if self.record_count > 0 {
                    return Ok(self.before(Reason::Forced));
                }
                self.forced_end = None;
            } else {
                self.write(slot, record, encoded, schema, tombstone);
                return Ok(if record.offset == end {
                    self.after(Reason::Forced)
                } else {
                    Rotate::Keep
                });
            }
        }
        let file = slot.and_then(|index| self.files.get(index));
        if self.record_count > 0 {
            if file.is_some_and(|file| file.records > 0 && file.tombstones != tombstone) {
                return Ok(self.before(Reason::Tombstone));
            }
            if let Some(reason) = self.time_rule(Some(encoded), now_ms) {
                return Ok(self.before(reason));
            }
        }
        let opens = file.is_none_or(|file| file.records == 0);
        if let Some(file) = file
            && !tombstone
            && file.schema != schema
            && compare(schema, file.schema)?.is_some()
            && self.record_count > 0
        {
            return Ok(self.before(Reason::Schema));
        }
        if let Some(most) = self.config.max_open_files
            && opens
            && self.record_count > 0
            && self.open_count >= most
        {
            return Ok(self.before(Reason::OpenFiles));
        }
        self.write(slot, record, encoded, schema, tombstone);
        Ok(if self.record_count >= self.config.flush_size {
            self.after(Reason::Size)
        } else {
            Rotate::Keep
        })
    }

    /// Takes back the record observed last, which the writer refused: it does not count, and the
    /// files stay open even if the answer was [`Rotate::After`].
    pub fn rejected(&mut self) {
        let Some((slot, last_offset)) = self.undo.take() else { return };
        self.record_count = self.record_count.saturating_sub(1);
        self.last_offset = last_offset;
        self.reason = None;
        if let Some(file) = self.files.get_mut(slot) {
            file.records = file.records.saturating_sub(1);
            if file.records == 0 {
                self.open_count = self.open_count.saturating_sub(1);
            }
        }
    }

    /// Whether the files are to be closed although no record is there to be observed. If so, close
    /// them and call [`closed`](Self::closed).
    #[must_use]
    pub fn due(&mut self, now: SystemTime) -> bool {
        let now_ms = unix_ms(now);
        self.start_poll(now_ms);
        if self.record_count == 0 || self.forced_end.is_some() {
            return false;
        }
        self.reason = self.time_rule(None, now_ms);
        self.reason.is_some()
    }

    /// Every file of the topic partition has been closed.
    pub fn closed(&mut self, now: SystemTime) {
        if matches!(
            self.reason,
            Some(Reason::Interval | Reason::PartitionChange | Reason::Schedule | Reason::Forced)
        ) {
            self.next_ms = self.boundary_after(unix_ms(now));
        }
        if self.reason == Some(Reason::Forced) {
            self.forced_end = None;
        }
        self.files.clear();
        self.index.clear();
        self.open_count = 0;
        self.record_count = 0;
        self.base_ms = None;
        self.last_ms = None;
        self.current = None;
        self.last_offset = None;
        self.undo = None;
        self.reason = None;
    }

    /// When to ask [`due`](Self::due) at the latest. `None` while nothing is open or the wall clock
    /// does not matter.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        if self.record_count == 0 || self.forced_end.is_some() {
            return None;
        }
        self.next_ms.and_then(from_unix_ms)
    }

    /// The open files, in the order of first use, which is the order to complete them in. Read this
    /// before [`closed`](Self::closed).
    pub fn open_files(&self) -> impl Iterator<Item = &OpenFile> {
        self.files.iter().filter(|file| file.records > 0)
    }

    /// Number of records in all open files.
    #[must_use]
    pub const fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Offset of the last record written into an open file. After closing, the offset to commit is
    /// one more.
    #[must_use]
    pub const fn last_offset(&self) -> Option<i64> {
        self.last_offset
    }

    /// Why the last decision asked to close; `None` after [`Rotate::Keep`].
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    fn find(&self, encoded: &str) -> Option<usize> {
        // Most records go where the one before went.
        self.current
            .filter(|&index| self.files.get(index).is_some_and(|file| file.encoded == encoded))
            .or_else(|| self.index.get(encoded).copied())
    }

    fn before(&mut self, reason: Reason) -> Rotate {
        self.reason = Some(reason);
        Rotate::Before
    }

    fn after(&mut self, reason: Reason) -> Rotate {
        self.reason = Some(reason);
        Rotate::After
    }

    fn write(
        &mut self,
        slot: Option<usize>,
        record: &Record<'_>,
        encoded: &str,
        schema: SchemaKey,
        tombstone: bool,
    ) {
        let slot = slot.unwrap_or_else(|| {
            self.index.insert(encoded.to_owned(), self.files.len());
            self.files.push(OpenFile {
                encoded: encoded.to_owned(),
                start_offset: record.offset,
                records: 0,
                schema,
                tombstones: tombstone,
            });
            self.files.len() - 1
        });
        if let Some(file) = self.files.get_mut(slot) {
            if file.records == 0 {
                file.start_offset = record.offset;
                file.tombstones = tombstone;
                self.open_count += 1;
            }
            file.records += 1;
        }
        self.undo = Some((slot, self.last_offset));
        self.current = Some(slot);
        self.last_offset = Some(record.offset);
        self.record_count += 1;
        self.reason = None;
    }

    fn record_time(
        &self,
        record: &Record<'_>,
        tombstone: bool,
        now: SystemTime,
    ) -> Result<Option<i64>, Error> {
        match &self.config.interval {
            None => Ok(None),
            Some(_) if tombstone && self.config.tombstone_directory.is_some() => {
                Ok(record.timestamp_ms)
            }
            Some(interval) => interval.extractor.extract(record, now),
        }
    }

    /// Rules of time for the record observed last; `encoded` is where it would go, if that can
    /// differ from where the last one went.
    fn time_rule(&self, encoded: Option<&str>, now_ms: i64) -> Option<Reason> {
        if let Some(interval) = &self.config.interval {
            if let (Some(base), Some(time)) = (self.base_ms, self.last_ms)
                && time.saturating_sub(base) >= interval.interval_ms
            {
                return Some(Reason::Interval);
            }
            if interval.on_partition_change
                && let Some(encoded) = encoded
                && let Some(current) = self.current.and_then(|index| self.files.get(index))
                && current.encoded != encoded
                && !self.concerns_tombstones(&current.encoded)
                && !self.concerns_tombstones(encoded)
            {
                return Some(Reason::PartitionChange);
            }
        }
        self.next_ms.filter(|&next| now_ms >= next).map(|_| Reason::Schedule)
    }

    fn concerns_tombstones(&self, encoded: &str) -> bool {
        self.config.tombstone_directory.as_deref().is_some_and(|part| encoded.contains(part))
    }

    /// At the start of a poll a boundary that has passed with nothing open is only moved on. Within
    /// a poll it is not, so the clock tells the two apart.
    fn start_poll(&mut self, now_ms: i64) {
        if self.clock_ms == Some(now_ms) {
            return;
        }
        self.clock_ms = Some(now_ms);
        if self.next_ms.is_none_or(|next| now_ms >= next && self.record_count == 0) {
            self.next_ms = self.boundary_after(now_ms);
        }
    }

    fn boundary_after(&self, now_ms: i64) -> Option<i64> {
        self.config.schedule.as_ref().map(|s| s.zone.next_boundary(s.period_ms, now_ms))
    }
}
