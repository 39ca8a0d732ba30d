use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Compatibility, DefaultPartitioner, Error, ErrorKind, FieldPartitioner, ObjectNamer,
    Partitioner, Paths, RotationConfig, SchemaAffix, SchemaAffixPartitioner, TimePartitioner,
    TimeUnit, TimestampExtractor, TombstonePartitioner,
};

/// Everything this crate decides with, from the properties of Confluent's S3 sink.
///
/// ```
/// use s3_partitioner::Settings;
///
/// let settings = Settings::from_properties([
///     ("partitioner.class", "io.confluent.connect.storage.partitioner.DefaultPartitioner"),
///     ("flush.size", "100"),
///     ("rotate.schedule.interval.ms", "60000"),
///     ("timezone", "Australia/Sydney"),
///     ("s3.bucket.name", "analytics"),
/// ])?;
/// assert_eq!(settings.extension(), ".avro");
/// assert_eq!(settings.unused_keys(), ["s3.bucket.name"]);
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    partitioner: Arc<dyn Partitioner>,
    paths: Paths,
    namer: ObjectNamer,
    rotation: RotationConfig,
    compatibility: Compatibility,
    null_values: NullValues,
    extension: String,
    bad_records: BadRecords,
    unused_keys: Vec<String>,
}

/// Which records at fault may be passed over rather than stop the task (`errors.scope`, which the
/// connector does not have).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadRecords {
    /// Every one.
    #[default]
    All,
    /// Those that the connector would report to its dead-letter topic. It fails its task for the
    /// others.
    AsConnector,
}

/// What to do with records that have no value (`behavior.on.null.values`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NullValues {
    /// Stop.
    #[default]
    Fail,
    /// Skip them.
    Ignore,
    /// Write their keys, into a directory of their own.
    Write,
}

impl Settings {
    /// Reads the connector's own keys. Where a key is absent the connector's default counts; only
    /// `flush.size` has none, and time partitioning needs `locale` and `timezone` (and, unless
    /// daily or hourly, `path.format` and `partition.duration.ms`).
    ///
    /// Classes may be given in full (`io.confluent.connect.s3.format.avro.AvroFormat`), by their
    /// last name, or shortened to `avro`, `json`, `parquet`, `bytearray` and `default`, `field`,
    /// `time`, `daily`, `hourly`. Keys that mean nothing to this crate are in
    /// [`unused_keys`](Self::unused_keys).
    ///
    /// Some keys are not the connector's; all but `object.key.max.bytes` are off unless given:
    ///
    /// | key | value | |
    /// |---|---|---|
    /// | `rotate.bytes` | 1 or more, -1 for off | closes when the records have so many bytes: [`RotationConfig::with_flush_bytes`] |
    /// | `rotate.idle.ms` | 1 or more, -1 for off | closes when no record has come for so long: [`RotationConfig::with_idle_ms`] |
    /// | `schema.files` | `rotate`, `separate` | what another schema does: close the files, or open one beside them: [`RotationConfig::with_file_per_schema`]. `separate` projects nothing, so it excludes a `schema.compatibility` |
    /// | `timestamp.field.unit` | `semantic`, `days`, `s`, `ms`, `us`, `ns` | what the number in `timestamp.field` counts: [`TimeUnit`] |
    /// | `partition.value.escape` | `none`, `hive` | how values become directories: [`FieldPartitioner::with_hive_escaping`] |
    /// | `object.key.max.bytes` | 1 or more, -1 for off | a record whose key would be longer is at fault; 1,024, which is what S3 takes, unless given |
    /// | `offset.metadata.max.bytes` | 128 or more | the broker's setting, if it is not 4,096: [`RotationConfig::with_metadata_limit`] |
    /// | `errors.scope` | `all`, `connector` | which bad records may be passed over: [`BadRecords`] |
    ///
    /// # Errors
    /// A kind for which [`Error::is_record_error`] does not hold.
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut properties = Properties(properties.into_iter().collect());
        let delimiter = properties.take("directory.delim").unwrap_or("/");
        let null_values = match properties.choice("behavior.on.null.values")?.as_deref() {
            None | Some("fail") => NullValues::Fail,
            Some("ignore") => NullValues::Ignore,
            Some("write") => NullValues::Write,
            Some(_) => return Err(Error::property("behavior.on.null.values")),
        };
        let tombstones = properties.take("tombstone.encoded.partition").unwrap_or("tombstone");
        // The zone also belongs to the schedule.
        let timezone = properties.take("timezone").unwrap_or("");

        let Partitioning { mut partitioner, mut paths, extractor } =
            partitioning(&mut properties, delimiter, timezone)?;
        if let Some(affix) = schema_affix(&mut properties)? {
            partitioner = Box::new(SchemaAffixPartitioner::new(partitioner, affix, delimiter));
            paths = paths.with_schema_affix(affix, delimiter);
        }
        let mut rotation = rotation(&mut properties, timezone, extractor)?;
        if null_values == NullValues::Write {
            partitioner = Box::new(TombstonePartitioner::new(partitioner, tombstones));
            paths = paths.with_tombstones(tombstones);
            rotation = rotation.with_tombstones(tombstones);
        }
        let compatibility = properties
            .take("schema.compatibility")
            .map_or(Compatibility::None, Compatibility::from_name);
        match properties.choice("schema.files")?.as_deref() {
            None | Some("rotate") => {}
            Some("separate") if compatibility == Compatibility::None => {
                rotation = rotation.with_file_per_schema();
            }
            Some(_) => return Err(Error::property("schema.files")),
        }
        let bad_records = match properties.choice("errors.scope")?.as_deref() {
            None | Some("all") => BadRecords::All,
            Some("connector") => BadRecords::AsConnector,
            Some(_) => return Err(Error::property("errors.scope")),
        };
        let namer = namer(&mut properties, delimiter)?;
        let extension = extension(&mut properties)?;
        let longest = match properties.0.contains_key("object.key.max.bytes") {
            true => properties.limit("object.key.max.bytes")?,
            false => Some(LONGEST_KEY),
        };
        if let Some(longest) = longest {
            let longest = usize::try_from(longest).unwrap_or(usize::MAX);
            paths = paths.with_max_key_bytes(longest, &namer, &extension);
        }
        Ok(Self {
            partitioner: Arc::from(partitioner),
            paths,
            namer,
            rotation,
            compatibility,
            null_values,
            extension,
            bad_records,
            unused_keys: properties.0.into_keys().map(str::to_owned).collect(),
        })
    }

    /// Says where records go.
    #[must_use]
    pub fn partitioner(&self) -> &dyn Partitioner {
        &*self.partitioner
    }

    /// Says where records go, and remembers what it printed.
    #[must_use]
    pub fn paths(&self) -> Paths {
        self.paths.clone()
    }

    /// Says what objects are called.
    #[must_use]
    pub const fn namer(&self) -> &ObjectNamer {
        &self.namer
    }

    /// Says when files are closed; give a clone to the [`Rotation`](crate::Rotation) of each topic
    /// partition.
    #[must_use]
    pub const fn rotation(&self) -> &RotationConfig {
        &self.rotation
    }

    /// Which schema changes rotate.
    #[must_use]
    pub const fn compatibility(&self) -> Compatibility {
        self.compatibility
    }

    /// Which bad records may be passed over.
    #[must_use]
    pub const fn bad_records(&self) -> BadRecords {
        self.bad_records
    }

    /// Whether a record with this error may be passed over, or sent to a dead-letter topic, and the
    /// next one be tried. [`Rotation::skipped`](crate::Rotation::skipped) then says so to the
    /// rotation.
    #[must_use]
    pub const fn may_skip(&self, error: &Error) -> bool {
        match self.bad_records {
            BadRecords::All => error.is_record_error(),
            BadRecords::AsConnector => error.is_reported_by_connector(),
        }
    }

    /// What to do with tombstones.
    #[must_use]
    pub const fn null_values(&self) -> NullValues {
        self.null_values
    }

    /// What object names end with, by format and codec: `.avro`, `.json.gz`, `.snappy.parquet`.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Keys that this crate has no use for, sorted: the caller's own, and misspelt ones.
    #[must_use]
    pub fn unused_keys(&self) -> &[String] {
        &self.unused_keys
    }
}

/// The properties nobody has asked for yet.
struct Properties<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Properties<'a> {
    fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    fn choice(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key).map(str::trim) {
            Some("") => Err(Error::property(key)),
            value => Ok(value.map(str::to_ascii_lowercase)),
        }
    }

    fn number<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Error> {
        self.take(key).map(|text| text.trim().parse().map_err(|_| Error::property(key))).transpose()
    }

    /// A limit of 1 or more, or -1 for none.
    fn limit(&mut self, key: &str) -> Result<Option<u64>, Error> {
        match self.number::<i64>(key)? {
            None | Some(-1) => Ok(None),
            Some(limit @ 1..) => Ok(Some(limit.unsigned_abs())),
            Some(_) => Err(Error::property(key)),
        }
    }

    fn required(&mut self, key: &'static str) -> Result<&'a str, Error> {
        self.take(key).ok_or_else(|| Error::new(ErrorKind::MissingProperty(key)))
    }
}

/// What S3 takes.
const LONGEST_KEY: u64 = 1_024;

struct Partitioning {
    partitioner: Box<dyn Partitioner>,
    paths: Paths,
    /// Where times come from, if they matter.
    extractor: Option<TimestampExtractor>,
}

impl Partitioning {
    fn new<P>(partitioner: P, extractor: Option<TimestampExtractor>) -> Self
    where
        P: Partitioner + Clone + 'static,
        Paths: From<P>,
    {
        let paths = Paths::from(partitioner.clone());
        Self { partitioner: Box::new(partitioner), paths, extractor }
    }
}

fn partitioning(
    properties: &mut Properties<'_>,
    delimiter: &str,
    timezone: &str,
) -> Result<Partitioning, Error> {
    let class = short_class(properties, "partitioner.class", "Partitioner")?;
    let fields = properties.take("partition.field.name");
    let path_format = properties.take("path.format");
    let duration = properties.number::<i64>("partition.duration.ms")?;
    let locale = properties.take("locale");
    let extractor = properties.take("timestamp.extractor");
    let field = properties.take("timestamp.field").unwrap_or("timestamp");
    let unit = unit(properties)?;
    let hive = match properties.choice("partition.value.escape")?.as_deref() {
        None | Some("none") => false,
        Some("hive") => true,
        Some(_) => return Err(Error::property("partition.value.escape")),
    };
    match class.as_deref() {
        None | Some("default") => return Ok(Partitioning::new(DefaultPartitioner::new(), None)),
        Some("field") => {
            let fields = fields
                .ok_or_else(|| Error::new(ErrorKind::MissingProperty("partition.field.name")))?;
            let mut fields = FieldPartitioner::new(fields.split(',').map(str::trim))?;
            if hive {
                fields = fields.with_hive_escaping();
            }
            return Ok(Partitioning::new(fields.with_delimiter(delimiter), None));
        }
        Some("time" | "timebased" | "daily" | "hourly") => {}
        Some(_) => return Err(Error::property("partitioner.class")),
    }
    let extractor = match extractor {
        None | Some("Wallclock") => TimestampExtractor::Wallclock,
        Some("Record") => TimestampExtractor::Record,
        Some("RecordField") => match unit {
            None => TimestampExtractor::RecordField(field.to_owned()),
            Some(unit) => TimestampExtractor::RecordFieldIn(field.to_owned(), unit),
        },
        Some(_) => return Err(Error::property("timestamp.extractor")),
    };
    if timezone.trim().is_empty() {
        return Err(Error::property("timezone"));
    }
    let partitioner = match class.as_deref() {
        Some("daily") => TimePartitioner::daily(timezone)?,
        Some("hourly") => TimePartitioner::hourly(timezone)?,
        _ => {
            let duration = duration
                .ok_or_else(|| Error::new(ErrorKind::MissingProperty("partition.duration.ms")))?;
            let span = u64::try_from(duration)
                .map(Duration::from_millis)
                .map_err(|_| Error::property("partition.duration.ms"))?;
            let path_format =
                path_format.ok_or_else(|| Error::new(ErrorKind::MissingProperty("path.format")))?;
            TimePartitioner::new(path_format, span, timezone)?
        }
    };
    let locale = locale.ok_or_else(|| Error::new(ErrorKind::MissingProperty("locale")))?;
    let partitioner = partitioner
        .with_locale(locale)?
        .with_delimiter(delimiter)?
        .with_extractor(extractor.clone());
    Ok(Partitioning::new(partitioner, Some(extractor)))
}

fn unit(properties: &mut Properties<'_>) -> Result<Option<TimeUnit>, Error> {
    let key = "timestamp.field.unit";
    Ok(Some(match properties.choice(key)?.as_deref() {
        None => return Ok(None),
        Some("semantic") => TimeUnit::BySemanticType,
        Some("days") => TimeUnit::Days,
        Some("s") => TimeUnit::Seconds,
        Some("ms") => TimeUnit::Milliseconds,
        Some("us") => TimeUnit::Microseconds,
        Some("ns") => TimeUnit::Nanoseconds,
        Some(_) => return Err(Error::property(key)),
    }))
}

fn schema_affix(properties: &mut Properties<'_>) -> Result<Option<SchemaAffix>, Error> {
    let key = "s3.schema.partition.affix.type";
    match properties.choice(key)?.as_deref() {
        None | Some("none") => Ok(None),
        Some("prefix") => Ok(Some(SchemaAffix::Prefix)),
        Some("suffix") => Ok(Some(SchemaAffix::Suffix)),
        Some(_) => Err(Error::property(key)),
    }
}

fn rotation(
    properties: &mut Properties<'_>,
    timezone: &str,
    extractor: Option<TimestampExtractor>,
) -> Result<RotationConfig, Error> {
    let flush_size = properties.required("flush.size")?;
    let flush_size = flush_size.trim().parse().map_err(|_| Error::property("flush.size"))?;
    let mut config = RotationConfig::new(flush_size)?;
    let interval = properties.number::<i64>("rotate.interval.ms")?;
    if let (Some(interval), Some(extractor)) = (interval, extractor) {
        config = config.with_interval_ms(interval, extractor);
    }
    match properties.choice("rotate.file.on.partition.change")?.as_deref() {
        None | Some("true") => {}
        Some("false") => config = config.without_rotation_on_partition_change(),
        Some(_) => return Err(Error::property("rotate.file.on.partition.change")),
    }
    if let Some(period) = properties.number::<i64>("rotate.schedule.interval.ms")?
        && period > 0
    {
        if timezone.trim().is_empty() {
            return Err(Error::property("timezone"));
        }
        config = config.with_schedule_ms(period, timezone)?;
    }
    if let Some(files) = properties.limit("partitioner.max.open.files")? {
        config = config.with_max_open_files(usize::try_from(files).unwrap_or(usize::MAX));
    }
    if let Some(bytes) = properties.limit("rotate.bytes")? {
        config = config.with_flush_bytes(bytes);
    }
    if let Some(idle) = properties.limit("rotate.idle.ms")? {
        config = config.with_idle_ms(idle.cast_signed());
    }
    match properties.number::<usize>("offset.metadata.max.bytes")? {
        Some(bytes) => config.with_metadata_limit(bytes),
        None => Ok(config),
    }
}

fn namer(properties: &mut Properties<'_>, delimiter: &str) -> Result<ObjectNamer, Error> {
    let topics_dir = properties.take("topics.dir").unwrap_or("topics");
    let mut namer = ObjectNamer::new(topics_dir).with_directory_delimiter(delimiter);
    if let Some(delimiter) = properties.take("file.delim") {
        namer = namer.with_file_delimiter(delimiter);
    }
    match properties.number::<u16>("filename.offset.zero.pad.width")? {
        Some(width) => namer.with_pad_width(width),
        None => Ok(namer),
    }
}

/// Spec of the suffixes: an Avro codec never shows, gzip does, and Parquet puts its codec first.
fn extension(properties: &mut Properties<'_>) -> Result<String, Error> {
    let format = short_class(properties, "format.class", "Format")?;
    let compression = properties.choice("s3.compression.type")?;
    let bytes = properties.take("format.bytearray.extension").unwrap_or(".bin");
    let parquet = properties.choice("parquet.codec")?;
    let gzip = match compression.as_deref() {
        None | Some("none") => false,
        Some("gzip") => true,
        Some(_) => return Err(Error::property("s3.compression.type")),
    };
    let stem = match format.as_deref() {
        None | Some("avro") if !gzip => ".avro",
        Some("json") => ".json",
        Some("bytearray") => bytes,
        Some("parquet") if !gzip => match parquet.as_deref() {
            Some("none") => ".parquet",
            None | Some("snappy") => ".snappy.parquet",
            Some("gzip") => ".gz.parquet",
            Some("brotli") => ".br.parquet",
            Some("zstd") => ".zstd.parquet",
            Some(_) => return Err(Error::property("parquet.codec")),
        },
        None | Some("avro" | "parquet") => return Err(Error::property("s3.compression.type")),
        Some(_) => return Err(Error::property("format.class")),
    };
    Ok(format!("{stem}{}", if gzip { ".gz" } else { "" }))
}

/// The last name of a class, without its suffix, in lower case.
fn short_class(
    properties: &mut Properties<'_>,
    key: &str,
    suffix: &str,
) -> Result<Option<String>, Error> {
    let Some(class) = properties.take(key).map(str::trim) else { return Ok(None) };
    let name = class.rsplit('.').next().unwrap_or(class);
    let name = name.strip_suffix(suffix).unwrap_or(name);
    if name.is_empty() {
        return Err(Error::property(key));
    }
    Ok(Some(name.to_ascii_lowercase()))
}
