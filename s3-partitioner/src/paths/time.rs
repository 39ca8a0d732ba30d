use crate::zone::Offsets;
use crate::{Error, ErrorKind, Record, TimePartitioner, TimestampExtractor};

/// The paths of a time partitioner. Each is printed once for its span of time, as long as not too
/// many spans take turns.
#[derive(Clone, Debug)]
pub(super) struct TimePaths {
    partitioner: TimePartitioner,
    offsets: Offsets,
    /// The span of the last path: from one instant until before another, in milliseconds since
    /// 1970-01-01 UTC. Empty at first.
    from: i64,
    until: i64,
    bucket: i64,
    current: usize,
    /// By the last bits of the span's number.
    entries: [Entry; ENTRIES],
}

#[derive(Debug)]
struct Entry {
    bucket: i64,
    /// Empty until the entry is used.
    path: String,
}

impl Entry {
    /// Longer than nearly all patterns print, so that memory is asked for here and not later.
    const CAPACITY: usize = 96;
}

impl Default for Entry {
    fn default() -> Self {
        Self { bucket: 0, path: String::with_capacity(Self::CAPACITY) }
    }
}

/// Keeps the capacity, which a clone of a string does not have.
impl Clone for Entry {
    fn clone(&self) -> Self {
        let mut entry = Self { bucket: self.bucket, ..Self::default() };
        entry.path.push_str(&self.path);
        entry
    }
}

/// Late records and unordered times alternate between a few spans.
const ENTRIES: usize = 16;

impl TimePaths {
    pub(super) fn new(partitioner: TimePartitioner) -> Self {
        let offsets = Offsets::new(partitioner.zone().clone());
        let entries = std::array::from_fn(|_| Entry::default());
        Self { partitioner, offsets, from: 0, until: 0, bucket: 0, current: 0, entries }
    }

    /// Gives the number of the span that the record's time is in.
    #[inline]
    pub(super) fn encode(&mut self, record: &Record<'_>, now_ms: i64) -> Result<i64, Error> {
        let time = match self.partitioner.extractor() {
            TimestampExtractor::Wallclock => Some(now_ms),
            TimestampExtractor::Record => record.timestamp_ms,
            extractor => extractor.extract_ms(record, now_ms)?,
        };
        match time {
            Some(time) => self.turn_to(time),
            None => Err(Error::new(ErrorKind::NoTimestamp)),
        }
    }

    /// Whether the last path is also that of this record, if its time is no field of the value.
    #[inline]
    pub(super) const fn holds(&self, record: &Record<'_>, now_ms: i64) -> bool {
        let time = match self.partitioner.extractor() {
            TimestampExtractor::Record => record.timestamp_ms,
            TimestampExtractor::Wallclock => Some(now_ms),
            _ => None,
        };
        match time {
            Some(time) => self.from <= time && time < self.until,
            None => false,
        }
    }

    pub(super) const fn needs_clock(&self) -> bool {
        matches!(self.partitioner.extractor(), TimestampExtractor::Wallclock)
    }

    #[inline]
    pub(super) fn wall_clock_bucket(&mut self, now_ms: i64) -> Option<i64> {
        match self.partitioner.extractor() {
            TimestampExtractor::Wallclock => self.turn_to(now_ms).ok(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn path(&self) -> &str {
        self.entries.get(self.current).map_or("", |entry| &entry.path)
    }

    /// Makes the path that of an instant, and gives the number of its span.
    #[inline]
    fn turn_to(&mut self, utc_ms: i64) -> Result<i64, Error> {
        if self.from <= utc_ms && utc_ms < self.until {
            return Ok(self.bucket);
        }
        self.change_to(utc_ms)
    }

    #[inline(never)]
    fn change_to(&mut self, utc_ms: i64) -> Result<i64, Error> {
        let out_of_range = || Error::new(ErrorKind::TimeRange);
        let span = self.offsets.span(utc_ms);
        let local = utc_ms.checked_add(span.offset_ms).ok_or_else(out_of_range)?;
        let duration = self.partitioner.duration_ms();
        let bucket = local.checked_div(duration).ok_or_else(out_of_range)?;
        // The division rounds towards zero: the span around the local epoch is twice as long, and
        // those before it end where they are counted from.
        let start = bucket * duration;
        let first = if bucket > 0 { start } else { start.saturating_sub(duration - 1) };
        let end = if bucket < 0 { start.saturating_add(1) } else { start.saturating_add(duration) };
        let index = usize::try_from(bucket.rem_euclid(16)).unwrap_or(0) % ENTRIES;
        let Some(entry) = self.entries.get_mut(index) else { return Err(out_of_range()) };
        if entry.bucket != bucket || entry.path.is_empty() {
            entry.path.clear();
            entry.bucket = bucket;
            let mut offset_ms = span.offset_ms;
            let mut utc = start.saturating_sub(offset_ms);
            if !(span.holds(start) && span.holds(utc)) {
                utc = self.offsets.instant(start);
                offset_ms = self.offsets.span(utc).offset_ms;
            }
            self.partitioner.pattern().print(utc, offset_ms, self.offsets.zone(), &mut entry.path);
        }
        (self.bucket, self.current) = (bucket, index);
        self.from = span.from.max(first.saturating_sub(span.offset_ms));
        self.until = span.until.min(end.saturating_sub(span.offset_ms));
        Ok(bucket)
    }
}
