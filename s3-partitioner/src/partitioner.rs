use std::fmt::{Debug, Write as _};
use std::time::SystemTime;

use crate::{Error, ErrorKind, Record, Shape, Value};

/// Says which directory below the topic a record belongs to (the "encoded partition").
pub trait Partitioner: Send + Sync + Debug {
    /// Appends the encoded partition to `out`. `now` is the wall clock of the poll the record came
    /// with; all records of one poll share it.
    ///
    /// # Errors
    /// A kind for which [`Error::is_record_error`] holds; `out` may then have grown.
    fn encode(&self, record: &Record<'_>, now: SystemTime, out: &mut String) -> Result<(), Error>;

    /// The span of time that `now` falls in, by any number that differs between spans, if paths
    /// depend on the wall clock: within one span they must not. What makes objects exactly-once
    /// remembers where the span changed, so a partitioner that looks at `now` has to answer.
    fn wall_clock_bucket(&self, now: SystemTime) -> Option<i64> {
        let _ = now;
        None
    }
}

/// `partition=<kafka partition>`: Confluent's `DefaultPartitioner`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefaultPartitioner;

impl DefaultPartitioner {
    /// The only one there is.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Partitioner for DefaultPartitioner {
    fn encode(&self, record: &Record<'_>, _now: SystemTime, out: &mut String) -> Result<(), Error> {
        // Writing to a String cannot fail.
        let _ = write!(out, "partition={}", record.partition);
        Ok(())
    }
}

/// `name=value` for each of a list of fields: Confluent's `FieldPartitioner`.
///
/// Values are printed verbatim, nothing is escaped: a `/` in a value makes a deeper path.
#[derive(Clone, Debug)]
pub struct FieldPartitioner {
    fields: Vec<String>,
    delimiter: String,
}

impl FieldPartitioner {
    /// Partitions by these fields; nested ones are written with dots.
    ///
    /// # Errors
    /// [`ErrorKind::Property`] if the list is empty or a path has a blank segment.
    pub fn new<I>(fields: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let fields: Vec<String> = fields.into_iter().map(Into::into).collect();
        let legal = |name: &String| {
            let path = lookup_path(name);
            !path.is_empty() && path.split('.').all(|segment| !segment.trim().is_empty())
        };
        if fields.is_empty() || !fields.iter().all(legal) {
            return Err(Error::property("partition.field.name"));
        }
        Ok(Self { fields, delimiter: "/".to_owned() })
    }

    /// Joins the fields with this instead of `/` (`directory.delim`).
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: &str) -> Self {
        delimiter.clone_into(&mut self.delimiter);
        self
    }
}

impl Partitioner for FieldPartitioner {
    fn encode(&self, record: &Record<'_>, _now: SystemTime, out: &mut String) -> Result<(), Error> {
        if record.value.shape() != Shape::Struct {
            return Err(Error::new(ErrorKind::NotStruct));
        }
        for (index, name) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.delimiter);
            }
            out.push_str(name);
            out.push('=');
            let path = lookup_path(name);
            let value = record.value.field(path).ok_or_else(|| missing(record, path))?;
            // Writing to a String cannot fail.
            let _ = match value {
                Value::Null => out.write_str("null"),
                Value::Boolean(v) => write!(out, "{v}"),
                Value::Int8(v) => write!(out, "{v}"),
                Value::Int16(v) => write!(out, "{v}"),
                Value::Int32(v) => write!(out, "{v}"),
                Value::Int64(v) => write!(out, "{v}"),
                Value::String(v) => out.write_str(v),
                Value::DateOrTime(_) | Value::Timestamp(_) => {
                    return Err(ErrorKind::LogicalType(name.clone()).into());
                }
                Value::Float32(_) | Value::Float64(_) | Value::Composite => {
                    return Err(ErrorKind::UnsupportedType(name.clone()).into());
                }
            };
        }
        Ok(())
    }
}

/// Puts the name of the value's schema before or after the path of another partitioner
/// (`s3.schema.partition.affix.type`).
#[derive(Clone, Debug)]
pub struct SchemaAffixPartitioner<P> {
    inner: P,
    affix: SchemaAffix,
    delimiter: String,
}

/// Where the schema's name goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaAffix {
    /// `schema_name=<name>/<path>`
    Prefix,
    /// `<path>/schema_name=<name>`
    Suffix,
}

impl<P: Partitioner> SchemaAffixPartitioner<P> {
    /// Wraps a partitioner; `delimiter` is `directory.delim`.
    #[must_use]
    pub fn new(inner: P, affix: SchemaAffix, delimiter: &str) -> Self {
        Self { inner, affix, delimiter: delimiter.to_owned() }
    }
}

impl<P: Partitioner> Partitioner for SchemaAffixPartitioner<P> {
    fn encode(&self, record: &Record<'_>, now: SystemTime, out: &mut String) -> Result<(), Error> {
        let name = record.value.schema_name().unwrap_or("null");
        match self.affix {
            SchemaAffix::Prefix => {
                let _ = write!(out, "schema_name={name}{}", self.delimiter);
                self.inner.encode(record, now, out)
            }
            SchemaAffix::Suffix => {
                self.inner.encode(record, now, out)?;
                let _ = write!(out, "{}schema_name={name}", self.delimiter);
                Ok(())
            }
        }
    }

    fn wall_clock_bucket(&self, now: SystemTime) -> Option<i64> {
        self.inner.wall_clock_bucket(now)
    }
}

/// Sends tombstones to a directory of their own (`behavior.on.null.values=write`).
#[derive(Clone, Debug)]
pub struct TombstonePartitioner<P> {
    inner: P,
    directory: String,
}

impl<P: Partitioner> TombstonePartitioner<P> {
    /// Wraps a partitioner; `directory` is `tombstone.encoded.partition`.
    #[must_use]
    pub fn new(inner: P, directory: &str) -> Self {
        Self { inner, directory: directory.to_owned() }
    }
}

impl<P: Partitioner> Partitioner for TombstonePartitioner<P> {
    fn encode(&self, record: &Record<'_>, now: SystemTime, out: &mut String) -> Result<(), Error> {
        if record.is_tombstone() {
            out.push_str(&self.directory);
            return Ok(());
        }
        self.inner.encode(record, now, out)
    }

    fn wall_clock_bucket(&self, now: SystemTime) -> Option<i64> {
        self.inner.wall_clock_bucket(now)
    }
}

impl<P: Partitioner + ?Sized> Partitioner for Box<P> {
    fn encode(&self, record: &Record<'_>, now: SystemTime, out: &mut String) -> Result<(), Error> {
        (**self).encode(record, now, out)
    }

    fn wall_clock_bucket(&self, now: SystemTime) -> Option<i64> {
        (**self).wall_clock_bucket(now)
    }
}

/// Splitting a Java string drops trailing empty pieces, so dots at the end do not count.
pub(crate) fn lookup_path(name: &str) -> &str {
    name.trim_end_matches('.')
}

/// Why `path` has no value: the field itself, or already one of its parents.
#[cold]
pub(crate) fn missing(record: &Record<'_>, path: &str) -> Error {
    let parent_missing = path.match_indices('.').any(|(dot, _)| match path.split_at_checked(dot) {
        Some((parent, _)) => record.value.field(parent).is_none(),
        None => false,
    });
    if parent_missing {
        ErrorKind::MissingParent(path.to_owned()).into()
    } else {
        ErrorKind::MissingField(path.to_owned()).into()
    }
}
