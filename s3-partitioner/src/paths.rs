mod field;
mod time;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use self::field::FieldPaths;
use self::time::TimePaths;
use crate::partitioner::write_affix;
use crate::zone::unix_ms;
use crate::{
    DefaultPartitioner, Error, ErrorKind, FieldPartitioner, ObjectNamer, Partitioner, Record,
    SchemaAffix, TimePartitioner,
};

/// Says which directory below the topic a record belongs to, and prints a path only when it is
/// another one than before: once for each span of time, for each value of a field.
///
/// Have one for each task or thread; topic partitions may share it. It gives what the
/// [`Partitioner`] gives, faster.
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{Paths, Record, TimePartitioner, TimestampExtractor};
///
/// let hourly = TimePartitioner::hourly("UTC")?.with_extractor(TimestampExtractor::Record);
/// let mut paths = Paths::from(hourly);
/// let record = Record::new("orders", 3, 42).with_timestamp_ms(1_709_622_489_123);
/// let path = paths.encode(&record, SystemTime::now())?;
/// assert_eq!(path, "year=2024/month=03/day=05/hour=07");
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Paths {
    base: Base,
    affix: Option<Affix>,
    tombstones: Option<String>,
    /// Neither of the two.
    is_plain: bool,
    /// For a path and two topics.
    key_room: usize,
}

#[derive(Clone, Debug)]
enum Base {
    /// The path of a partition, and the partition.
    Default(String, Option<i32>),
    Field(FieldPaths),
    Time(Box<TimePaths>),
    Any(Arc<dyn Partitioner>, String),
}

/// The name of the schema beside the path.
#[derive(Clone, Debug)]
struct Affix {
    affix: SchemaAffix,
    delimiter: String,
    /// What the path was made of.
    made_of: Option<i64>,
    schema: Option<String>,
    path: String,
}

impl Paths {
    /// The paths of any partitioner, printed for every record.
    #[must_use]
    pub fn new(partitioner: Arc<dyn Partitioner>) -> Self {
        Base::Any(partitioner, String::new()).into()
    }

    /// Puts the name of the value's schema before or after each path, as
    /// [`SchemaAffixPartitioner`](crate::SchemaAffixPartitioner) does.
    #[must_use]
    pub fn with_schema_affix(mut self, affix: SchemaAffix, delimiter: &str) -> Self {
        self.affix = Some(Affix {
            affix,
            delimiter: delimiter.to_owned(),
            made_of: None,
            schema: None,
            path: String::new(),
        });
        self.is_plain = false;
        self
    }

    /// Sends tombstones to a directory of their own, as
    /// [`TombstonePartitioner`](crate::TombstonePartitioner) does.
    #[must_use]
    pub fn with_tombstones(mut self, directory: &str) -> Self {
        self.tombstones = Some(directory.to_owned());
        self.is_plain = false;
        self
    }

    /// Refuses records whose object could have a key of more than this many bytes, with the longest
    /// of partitions and offsets. `namer` and `extension` are those of the objects.
    #[must_use]
    pub fn with_max_key_bytes(mut self, most: usize, namer: &ObjectNamer, extension: &str) -> Self {
        self.key_room = most.saturating_sub(namer.fixed_bytes(extension));
        self
    }

    /// The encoded partition of a record. `now` is the wall clock of the poll it came with.
    ///
    /// # Errors
    /// What [`Partitioner::encode`] answers, and [`ErrorKind::KeyTooLong`].
    #[inline]
    pub fn encode(&mut self, record: &Record<'_>, now: SystemTime) -> Result<&str, Error> {
        let now_ms = self.base.look_at(now);
        self.encode_at(record, now, now_ms)
    }

    /// As [`encode`](Self::encode), where the caller knows `now` in milliseconds since 1970-01-01
    /// UTC too.
    #[inline]
    pub(crate) fn encode_at(
        &mut self,
        record: &Record<'_>,
        now: SystemTime,
        now_ms: i64,
    ) -> Result<&str, Error> {
        // Few instructions, in the caller's code, for what nearly every record needs.
        if self.is_plain && self.base.holds(record, now_ms) && self.fits(self.base.path(), record) {
            return Ok(self.base.path());
        }
        if !(self.is_plain && matches!(self.base, Base::Field(_))) {
            return self.find(record, now, now_ms);
        }
        match &mut self.base {
            Base::Field(paths) => paths.find(record, self.key_room),
            base => Ok(base.path()),
        }
    }

    #[inline(never)]
    fn find(&mut self, record: &Record<'_>, now: SystemTime, now_ms: i64) -> Result<&str, Error> {
        if let Some(directory) = &self.tombstones
            && record.is_tombstone()
        {
            return Ok(directory);
        }
        let made_of = self.base.encode(record, now, now_ms)?;
        let path = match &mut self.affix {
            None => self.base.path(),
            Some(affix) => affix.around(self.base.path(), made_of, record.value.schema_name()),
        };
        if path.len() + 2 * record.topic.len() > self.key_room {
            return Err(Error::new(ErrorKind::KeyTooLong));
        }
        Ok(path)
    }

    #[inline]
    const fn fits(&self, path: &str, record: &Record<'_>) -> bool {
        path.len() + 2 * record.topic.len() <= self.key_room
    }

    /// See [`Partitioner::wall_clock_bucket`].
    #[must_use]
    #[inline]
    pub fn wall_clock_bucket(&mut self, now: SystemTime) -> Option<i64> {
        let now_ms = self.base.look_at(now);
        self.wall_clock_bucket_at(now, now_ms)
    }

    #[inline]
    pub(crate) fn wall_clock_bucket_at(&mut self, now: SystemTime, now_ms: i64) -> Option<i64> {
        match &mut self.base {
            Base::Default(..) | Base::Field(_) => None,
            Base::Time(paths) => paths.wall_clock_bucket(now_ms),
            Base::Any(partitioner, _) => partitioner.wall_clock_bucket(now),
        }
    }
}

impl Base {
    /// The wall clock in milliseconds, for those that look at it.
    #[inline]
    fn look_at(&self, now: SystemTime) -> i64 {
        match self {
            Self::Time(paths) if paths.needs_clock() => unix_ms(now),
            _ => 0,
        }
    }

    /// Whether the path of the record before is also that of this one, where that is quickly seen.
    #[inline]
    fn holds(&self, record: &Record<'_>, now_ms: i64) -> bool {
        match self {
            Self::Time(paths) => paths.holds(record, now_ms),
            Self::Default(_, partition) => *partition == Some(record.partition),
            Self::Field(_) | Self::Any(..) => false,
        }
    }

    /// Finds the path of a record. Gives a number that stays as long as the path does, if there is
    /// one.
    #[inline]
    fn encode(
        &mut self,
        record: &Record<'_>,
        now: SystemTime,
        now_ms: i64,
    ) -> Result<Option<i64>, Error> {
        match self {
            Self::Default(path, partition) => {
                if *partition != Some(record.partition) {
                    path.clear();
                    *partition = Some(record.partition);
                    // Writing to a String cannot fail.
                    let _ = write!(path, "partition={}", record.partition);
                }
                Ok(Some(i64::from(record.partition)))
            }
            Self::Field(paths) => paths.encode(record).map(Some),
            Self::Time(paths) => paths.encode(record, now_ms).map(Some),
            Self::Any(partitioner, path) => {
                path.clear();
                partitioner.encode(record, now, path).map(|()| None)
            }
        }
    }

    #[inline]
    fn path(&self) -> &str {
        match self {
            Self::Default(path, _) | Self::Any(_, path) => path,
            Self::Field(paths) => paths.path(),
            Self::Time(paths) => paths.path(),
        }
    }
}

impl Affix {
    fn around(&mut self, inner: &str, made_of: Option<i64>, schema: Option<&str>) -> &str {
        if made_of.is_none() || self.made_of != made_of || self.schema.as_deref() != schema {
            self.made_of = made_of;
            self.schema = schema.map(str::to_owned);
            self.path.clear();
            write_affix(self.affix, schema, &self.delimiter, inner, &mut self.path);
        }
        &self.path
    }
}

impl From<Base> for Paths {
    fn from(base: Base) -> Self {
        Self { base, affix: None, tombstones: None, is_plain: true, key_room: usize::MAX }
    }
}

impl From<DefaultPartitioner> for Paths {
    fn from(_: DefaultPartitioner) -> Self {
        Base::Default(String::new(), None).into()
    }
}

impl From<FieldPartitioner> for Paths {
    fn from(partitioner: FieldPartitioner) -> Self {
        Base::Field(FieldPaths::new(partitioner)).into()
    }
}

impl From<TimePartitioner> for Paths {
    fn from(partitioner: TimePartitioner) -> Self {
        Base::Time(Box::new(TimePaths::new(partitioner))).into()
    }
}
