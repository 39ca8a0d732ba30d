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
/// Values are printed verbatim, nothing is escaped: a `/` in a value makes a deeper path. See
/// [`with_hive_escaping`](Self::with_hive_escaping).
#[derive(Clone, Debug)]
pub struct FieldPartitioner {
    fields: Vec<FieldName>,
    delimiter: String,
    escaping: Escaping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaping {
    None,
    Hive,
}

#[derive(Clone, Debug)]
pub(crate) struct FieldName {
    /// As configured, which is how it is printed.
    name: String,
    /// What is asked for.
    path: String,
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
        let fields = fields.into_iter().map(Into::into).map(|name: String| {
            let path = lookup_path(&name).to_owned();
            FieldName { name, path }
        });
        let fields: Vec<FieldName> = fields.collect();
        let legal = |FieldName { path, .. }: &FieldName| {
            !path.is_empty() && path.split('.').all(|segment| !segment.trim().is_empty())
        };
        if fields.is_empty() || !fields.iter().all(legal) {
            return Err(Error::property("partition.field.name"));
        }
        Ok(Self { fields, delimiter: "/".to_owned(), escaping: Escaping::None })
    }

    /// Joins the fields with this instead of `/` (`directory.delim`).
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: &str) -> Self {
        delimiter.clone_into(&mut self.delimiter);
        self
    }

    /// Writes values as Hive does, so that each stays one directory and engines read it back:
    /// control characters and any of `"#%'*/:=?\{[]^` as `%` and two hexadecimal digits, null and
    /// the empty text as `__HIVE_DEFAULT_PARTITION__`. The connector escapes nothing.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use s3_partitioner::{FieldPartitioner, Fields, Partitioner, Record, Value};
    ///
    /// #[derive(Debug)]
    /// struct Row;
    /// impl Fields for Row {
    ///     fn field(&self, path: &str) -> Option<Value<'_>> {
    ///         (path == "path").then_some(Value::String("a/../b"))
    ///     }
    /// }
    ///
    /// let by_path = FieldPartitioner::new(["path"])?.with_hive_escaping();
    /// let mut encoded = String::new();
    /// let record = Record::new("files", 0, 7).with_value(&Row);
    /// by_path.encode(&record, SystemTime::now(), &mut encoded)?;
    /// assert_eq!(encoded, "path=a%2F..%2Fb");
    /// # Ok::<(), s3_partitioner::Error>(())
    /// ```
    #[must_use]
    pub const fn with_hive_escaping(mut self) -> Self {
        self.escaping = Escaping::Hive;
        self
    }
}

/// What Hive writes for null and for the empty text.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

fn push_hive(text: &str, out: &mut String) {
    if text.is_empty() {
        return out.push_str(HIVE_NULL);
    }
    let escaped = |c: char| c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c);
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|&(_, c)| escaped(c)) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        // Writing to a String cannot fail.
        let _ = write!(out, "%{:02X}", u32::from(c));
        rest = from.get(1..).unwrap_or("");
    }
    out.push_str(rest);
}

impl FieldPartitioner {
    pub(crate) fn fields(&self) -> &[FieldName] {
        &self.fields
    }

    /// Appends what comes before the value of a field.
    pub(crate) fn write_name(&self, index: usize, field: &FieldName, out: &mut String) {
        if index > 0 {
            out.push_str(&self.delimiter);
        }
        out.push_str(&field.name);
        out.push('=');
    }

    /// Appends the value of a field.
    #[inline]
    pub(crate) fn write_value(
        &self,
        field: &FieldName,
        value: Value<'_>,
        out: &mut String,
    ) -> Result<(), Error> {
        let integer = match value {
            Value::Null => {
                out.push_str(match self.escaping {
                    Escaping::None => "null",
                    Escaping::Hive => HIVE_NULL,
                });
                return Ok(());
            }
            Value::Boolean(flag) => {
                out.push_str(if flag { "true" } else { "false" });
                return Ok(());
            }
            Value::String(text) => {
                match self.escaping {
                    Escaping::None => out.push_str(text),
                    Escaping::Hive => push_hive(text, out),
                }
                return Ok(());
            }
            Value::Int8(v) => i64::from(v),
            Value::Int16(v) => i64::from(v),
            Value::Int32(v) => i64::from(v),
            Value::Int64(v) => v,
            Value::DateOrTime(_) | Value::Timestamp(_) => {
                return Err(ErrorKind::LogicalType(field.name.clone()).into());
            }
            Value::Float32(_) | Value::Float64(_) | Value::Composite => {
                return Err(ErrorKind::UnsupportedType(field.name.clone()).into());
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "{integer}");
        Ok(())
    }
}

impl FieldName {
    /// The value of the field in a record whose value is a struct.
    #[inline]
    pub(crate) fn find<'r>(&self, record: &Record<'r>) -> Option<Value<'r>> {
        record.value.field(&self.path)
    }

    /// What is asked for.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    #[cold]
    pub(crate) fn missing(&self, record: &Record<'_>) -> Error {
        missing(record, &self.path)
    }
}

impl Partitioner for FieldPartitioner {
    fn encode(&self, record: &Record<'_>, _now: SystemTime, out: &mut String) -> Result<(), Error> {
        if record.value.shape() != Shape::Struct {
            return Err(Error::new(ErrorKind::NotStruct));
        }
        for (index, field) in self.fields.iter().enumerate() {
            self.write_name(index, field, out);
            let value = field.find(record).ok_or_else(|| field.missing(record))?;
            self.write_value(field, value, out)?;
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
        let mut inner = String::new();
        self.inner.encode(record, now, &mut inner)?;
        write_affix(self.affix, record.value.schema_name(), &self.delimiter, &inner, out);
        Ok(())
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

/// Appends a path with the name of a schema before or after it.
pub(crate) fn write_affix(
    affix: SchemaAffix,
    schema: Option<&str>,
    delimiter: &str,
    inner: &str,
    out: &mut String,
) {
    let schema = schema.unwrap_or("null");
    // Writing to a String cannot fail.
    let _ = match affix {
        SchemaAffix::Prefix => write!(out, "schema_name={schema}{delimiter}{inner}"),
        SchemaAffix::Suffix => write!(out, "{inner}{delimiter}schema_name={schema}"),
    };
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
