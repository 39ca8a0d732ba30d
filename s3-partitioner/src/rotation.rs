use std::collections::HashMap;
use std::time::SystemTime;

use crate::clock::{Breakpoints, Clock};
use crate::zone::{from_unix_ms, unix_ms};
use crate::{
    Error, OpenFile, Paths, Reason, Record, Rotate, RotationConfig, SchemaChange, SchemaKey,
};

/// Decides when the files of **one topic partition** are closed, in the connector's order of rules.
/// A rotation closes all of them together, whatever file caused it.
///
/// For each record: [`place`](Self::place), then write it into [`file`](Self::file). If the writer
/// refuses the record, say so with [`rejected`](Self::rejected). When a poll brought nothing (or
/// the [`deadline`](Self::deadline) has come), ask [`due`](Self::due). A
/// [`CommitPlan`](crate::CommitPlan) says what closing takes.
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{Record, Rotate, Rotation, SchemaKey, Settings};
///
/// let settings = Settings::from_properties([("flush.size", "2")])?;
/// let mut paths = settings.paths();
/// let mut rotation = Rotation::new(settings.rotation().clone());
/// let (now, schema) = (SystemTime::now(), SchemaKey::new(1));
/// let first = rotation.place(&mut paths, &Record::new("orders", 0, 40), schema, now)?;
/// assert_eq!(first, Rotate::Keep);
/// let second = rotation.place(&mut paths, &Record::new("orders", 0, 41), schema, now)?;
/// assert_eq!(second, Rotate::After);
/// assert_eq!(rotation.file().map(|file| file.encoded()), Some("partition=0"));
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
    files: Vec<Slot>,
    /// The first file of each encoded partition.
    index: HashMap<String, usize>,
    /// Number of files that have records.
    open_count: usize,
    record_count: u64,
    bytes: u64,
    base_ms: Option<i64>,
    /// Of the last record observed, accepted or not.
    last_ms: Option<i64>,
    current: Option<usize>,
    last_offset: Option<i64>,
    /// Also of records that were rejected or passed over.
    handled: Option<i64>,
    next_ms: Option<i64>,
    clock_ms: Option<i64>,
    /// When a record was last observed.
    active_ms: i64,
    undo: Option<Undo>,
    reason: Option<Reason>,
    clock: Clock,
    /// What an earlier owner of the partition had announced.
    replay: Option<Replay>,
}

#[derive(Clone, Debug)]
struct Slot {
    file: OpenFile,
    /// The next file of the same encoded partition, with another schema.
    next: Option<usize>,
}

/// The last record observed.
#[derive(Clone, Copy, Debug)]
struct Undo {
    slot: usize,
    last_offset: Option<i64>,
    size: u64,
}

#[derive(Clone, Debug)]
struct Replay {
    end: i64,
    clock: Breakpoints,
}

impl Rotation {
    /// Nothing open yet, and nothing left by an earlier owner of the partition. A sink takes
    /// [`CommitPlan::rotation`](crate::CommitPlan::rotation) instead.
    #[must_use]
    pub fn new(config: RotationConfig) -> Self {
        Self {
            config,
            files: Vec::new(),
            index: HashMap::new(),
            open_count: 0,
            record_count: 0,
            bytes: 0,
            base_ms: None,
            last_ms: None,
            current: None,
            last_offset: None,
            handled: None,
            next_ms: None,
            clock_ms: None,
            active_ms: i64::MIN,
            undo: None,
            reason: None,
            clock: Clock::default(),
            replay: None,
        }
    }

    /// Closes after this offset and not before it, whatever the other rules say, with the wall
    /// clock as it was.
    pub(crate) fn with_replay(mut self, end: i64, clock: Breakpoints) -> Self {
        self.replay = Some(Replay { end, clock });
        self
    }

    /// Finds the path of the next record and decides about it, where any difference of schema
    /// rotates (`schema.compatibility=NONE`). `now` is the wall clock of the poll, the same for all
    /// of its records. [`Rotate::Keep`] and [`Rotate::After`] count the record as written.
    ///
    /// # Errors
    /// What [`Partitioner::encode`](crate::Partitioner::encode) and
    /// [`TimestampExtractor::extract`](crate::TimestampExtractor::extract) answer; nothing has then
    /// been counted.
    pub fn place(
        &mut self,
        paths: &mut Paths,
        record: &Record<'_>,
        schema: SchemaKey,
        now: SystemTime,
    ) -> Result<Rotate, Error> {
        self.place_with(paths, record, schema, now, |_, _| Ok(Some(SchemaChange::Schema)))
    }

    /// As [`place`](Self::place), where `compare` says whether a record of the first schema can go
    /// into a file of the second one. It is only asked about different keys; see
    /// [`Compatibility::change`](crate::Compatibility::change).
    ///
    /// # Errors
    /// Those of [`place`](Self::place), and what `compare` answers; the record is then not counted.
    pub fn place_with<F>(
        &mut self,
        paths: &mut Paths,
        record: &Record<'_>,
        schema: SchemaKey,
        now: SystemTime,
        compare: F,
    ) -> Result<Rotate, Error>
    where
        F: FnOnce(SchemaKey, SchemaKey) -> Result<Option<SchemaChange>, Error>,
    {
        let now_ms = unix_ms(now);
        let encoded = match paths.wall_clock_bucket_at(now, now_ms) {
            Some(bucket) => {
                let clock_ms = self.wall_clock(record.offset, bucket, now_ms);
                let clock = if clock_ms == now_ms { Some(now) } else { from_unix_ms(clock_ms) };
                paths.encode_at(record, clock.unwrap_or(now), clock_ms)?
            }
            None => paths.encode_at(record, now, now_ms)?,
        };
        self.decide(record, encoded, schema, now_ms, compare)
    }

    /// Decides about a record whose path is known, and does not depend on the wall clock: a path
    /// that does is only repeated after a crash by [`place`](Self::place).
    ///
    /// # Errors
    /// What [`TimestampExtractor::extract`](crate::TimestampExtractor::extract) answers; nothing has then been counted.
    pub fn observe(
        &mut self,
        record: &Record<'_>,
        encoded: &str,
        schema: SchemaKey,
        now: SystemTime,
    ) -> Result<Rotate, Error> {
        self.observe_with(record, encoded, schema, now, |_, _| Ok(Some(SchemaChange::Schema)))
    }

    /// As [`observe`](Self::observe), comparing schemas as [`place_with`](Self::place_with) does.
    ///
    /// # Errors
    /// What [`TimestampExtractor::extract`](crate::TimestampExtractor::extract) or `compare`
    /// answers; the record is then not counted.
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
        self.decide(record, encoded, schema, unix_ms(now), compare)
    }

    fn decide<F>(
        &mut self,
        record: &Record<'_>,
        encoded: &str,
        schema: SchemaKey,
        now_ms: i64,
        compare: F,
    ) -> Result<Rotate, Error>
    where
        F: FnOnce(SchemaKey, SchemaKey) -> Result<Option<SchemaChange>, Error>,
    {
        self.start_poll(now_ms);
        let tombstone = record.is_tombstone();
        let time = self.record_time(record, tombstone, now_ms)?;
        self.last_ms = time;
        if self.base_ms.is_none() {
            self.base_ms = time;
        }
        self.undo = None;
        self.active_ms = now_ms;
        let slot = self.find(encoded, schema);
        if let Some(end) = self.announced_end() {
            if record.offset > end {
                if self.record_count > 0 {
                    return Ok(self.before(Reason::Forced));
                }
                self.replay = None;
            } else {
                // What was refused then is refused again; what was rotated for lies behind the end.
                if let Some(Slot { file, .. }) = slot.and_then(|index| self.files.get(index))
                    && !tombstone
                    && file.schema != schema
                {
                    let _ = compare(schema, file.schema)?;
                }
                self.write(slot, record, encoded, schema, tombstone);
                return Ok(if record.offset == end {
                    self.after(Reason::Forced)
                } else {
                    Rotate::Keep
                });
            }
        }
        let file = slot.and_then(|index| self.files.get(index)).map(|slot| &slot.file);
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
        if self.clock.is_full() {
            return Ok(self.before(Reason::Metadata));
        }
        self.write(slot, record, encoded, schema, tombstone);
        Ok(if self.record_count >= self.config.flush_size {
            self.after(Reason::Size)
        } else if self.config.flush_bytes.is_some_and(|most| self.bytes >= most) {
            self.after(Reason::Bytes)
        } else {
            Rotate::Keep
        })
    }

    /// Takes back the record observed last, which the writer refused: it does not count, and the
    /// files stay open even if the answer was [`Rotate::After`].
    pub fn rejected(&mut self) {
        let Some(Undo { slot, last_offset, size }) = self.undo.take() else { return };
        self.record_count = self.record_count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        self.last_offset = last_offset;
        self.reason = None;
        if let Some(Slot { file, .. }) = self.files.get_mut(slot) {
            file.records = file.records.saturating_sub(1);
            if file.records == 0 {
                self.open_count = self.open_count.saturating_sub(1);
            }
        }
    }

    /// The record at `offset` goes into no object: it could not be placed, or is a tombstone that is
    /// ignored. The next rotation ends behind it, so that it is not read again.
    pub fn skipped(&mut self, offset: i64) {
        self.handled = self.handled.max(Some(offset));
        self.undo = None;
    }

    /// Whether the files are to be closed although no record is there to be observed. If so, close
    /// them and call [`closed`](Self::closed).
    #[must_use]
    pub fn due(&mut self, now: SystemTime) -> bool {
        let now_ms = unix_ms(now);
        self.start_poll(now_ms);
        if self.record_count == 0 {
            return false;
        }
        if let Some(end) = self.announced_end() {
            self.reason = (self.handled >= Some(end)).then_some(Reason::Forced);
            return self.reason.is_some();
        }
        self.reason = self.time_rule(None, now_ms).or_else(|| {
            let idle = now_ms.saturating_sub(self.active_ms);
            self.config.idle_ms.filter(|&most| idle >= most).map(|_| Reason::Idle)
        });
        self.reason.is_some()
    }

    /// The reader has gone past every offset below `position`, which is known at the end of a
    /// partition even where the log holds no record to show for it. Whether the files are to be
    /// closed for that: an end that an earlier owner announced has been passed, since the record
    /// there was compacted away meanwhile.
    #[must_use]
    pub fn passed(&mut self, position: i64) -> bool {
        if self.announced_end().is_none_or(|end| position <= end) {
            return false;
        }
        if self.record_count == 0 {
            self.replay = None;
            return false;
        }
        self.reason = Some(Reason::Forced);
        true
    }

    /// Every file of the topic partition has been closed.
    pub fn closed(&mut self, now: SystemTime) {
        if matches!(
            self.reason,
            Some(Reason::Interval | Reason::PartitionChange | Reason::Schedule | Reason::Forced)
        ) {
            self.next_ms = self.config.boundary_after(unix_ms(now));
        }
        if self.reason == Some(Reason::Forced) {
            self.replay = None;
        }
        if let Some(last) = self.handled {
            // The record that is observed next may have its time already.
            self.clock.close(last);
        }
        self.files.clear();
        self.index.clear();
        self.open_count = 0;
        self.record_count = 0;
        self.bytes = 0;
        self.base_ms = None;
        self.last_ms = None;
        self.current = None;
        self.last_offset = None;
        self.handled = None;
        self.undo = None;
        self.reason = None;
    }

    /// When to ask [`due`](Self::due) at the latest. `None` while nothing is open or the wall clock
    /// does not matter.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        if self.record_count == 0 || self.is_bound() {
            return None;
        }
        let idle = self.config.idle_ms.map(|idle| self.active_ms.saturating_add(idle));
        self.next_ms.into_iter().chain(idle).min().and_then(from_unix_ms)
    }

    /// Whether files must not be closed, not even at shutdown, since an earlier owner of the
    /// partition announced an end that has yet to be reached. What is open is given up then, and
    /// read again by the next owner.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.replay.is_some()
    }

    /// The file that the record observed last belongs to.
    #[must_use]
    pub fn file(&self) -> Option<&OpenFile> {
        self.current.and_then(|index| self.files.get(index)).map(|slot| &slot.file)
    }

    /// The open files, in the order of first use, which is the order to complete them in. Read this
    /// before [`closed`](Self::closed).
    pub fn open_files(&self) -> impl Iterator<Item = &OpenFile> {
        self.files.iter().map(|slot| &slot.file).filter(|file| file.records > 0)
    }

    /// Number of records in all open files.
    #[must_use]
    pub const fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Offset of the last record written into an open file. The connector commits the one after
    /// it.
    #[must_use]
    pub const fn last_offset(&self) -> Option<i64> {
        self.last_offset
    }

    /// Offset of the last record written, rejected or passed over: where closing now would end.
    #[must_use]
    pub const fn end(&self) -> Option<i64> {
        self.handled
    }

    /// Why the last decision asked to close; `None` after [`Rotate::Keep`].
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Whether the end that an earlier owner announced is what closes the files.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_bound() && self.reason == Some(Reason::Forced)
    }

    pub(crate) const fn points(&self) -> &Breakpoints {
        self.clock.points()
    }

    fn announced_end(&self) -> Option<i64> {
        self.replay.as_ref().map(|replay| replay.end)
    }

    /// The time that counts for the path of the record at `offset`.
    #[inline]
    fn wall_clock(&mut self, offset: i64, bucket: i64, now_ms: i64) -> i64 {
        if let Some(Replay { end, clock }) = &self.replay
            && offset <= *end
        {
            return clock.at(offset).unwrap_or(now_ms);
        }
        // Rejected records leave files without records, whose schema and path count when they are
        // read again.
        if self.files.is_empty() {
            self.clock.start_at(offset);
        }
        self.clock.look(offset, bucket, now_ms, self.config.metadata_limit)
    }

    fn find(&self, encoded: &str, schema: SchemaKey) -> Option<usize> {
        let fits = |file: &OpenFile| {
            file.encoded == encoded && (!self.config.file_per_schema || file.schema == schema)
        };
        // Most records go where the one before went.
        if let Some(current) = self.current
            && self.files.get(current).is_some_and(|slot| fits(&slot.file))
        {
            return Some(current);
        }
        let mut next = self.index.get(encoded).copied();
        while let Some(slot) = next.and_then(|index| self.files.get(index)) {
            if fits(&slot.file) {
                return next;
            }
            next = slot.next;
        }
        None
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
            let number = self.files.len();
            // Of the files of one path, the newest comes first.
            let next = match self.index.get_mut(encoded) {
                Some(first) => Some(std::mem::replace(first, number)),
                None => {
                    self.index.insert(encoded.to_owned(), number);
                    None
                }
            };
            let file = OpenFile {
                number,
                encoded: encoded.to_owned(),
                start_offset: record.offset,
                records: 0,
                schema,
                tombstones: tombstone,
            };
            self.files.push(Slot { file, next });
            number
        });
        if let Some(Slot { file, .. }) = self.files.get_mut(slot) {
            if file.records == 0 {
                file.start_offset = record.offset;
                file.tombstones = tombstone;
                self.open_count += 1;
            }
            file.records += 1;
        }
        self.undo = Some(Undo { slot, last_offset: self.last_offset, size: record.size });
        self.current = Some(slot);
        self.last_offset = Some(record.offset);
        self.handled = Some(record.offset);
        self.record_count += 1;
        self.bytes = self.bytes.saturating_add(record.size);
        self.reason = None;
    }

    fn record_time(
        &self,
        record: &Record<'_>,
        tombstone: bool,
        now_ms: i64,
    ) -> Result<Option<i64>, Error> {
        match &self.config.interval {
            None => Ok(None),
            Some(_) if tombstone && self.config.tombstone_directory.is_some() => {
                Ok(record.timestamp_ms)
            }
            Some(interval) => interval.extractor.extract_ms(record, now_ms),
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
                && let Some(current) = self.file()
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
        // A clock that was put back must not make files wait for it.
        self.active_ms = self.active_ms.min(now_ms);
        if self.next_ms.is_none_or(|next| now_ms >= next && self.record_count == 0) {
            self.next_ms = self.config.boundary_after(now_ms);
        }
    }
}
