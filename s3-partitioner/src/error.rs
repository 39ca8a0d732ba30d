use std::fmt;

/// What a decision could not be made for. See [`Error::kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
}

/// The kinds of failure, by whose fault it is: the configuration, one record, or the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A property has a value the connector refuses too. Holds the property's key.
    Property(String),
    /// A property that has no default is absent. Holds its key.
    MissingProperty(&'static str),
    /// `path.format` is blank, is only the delimiter, or has a letter that means nothing at this
    /// byte offset.
    PathFormat {
        /// Byte where the pattern went wrong; 0 if it is blank as a whole.
        offset: usize,
    },
    /// Not a time zone id in Joda's spelling. Holds the id.
    TimeZone(String),
    /// The pattern prints month, day or era names in a language this crate has no names for.
    /// Holds the language.
    Language(String),
    /// The pattern prints zone names (`z`), and this crate has none for the zone. Holds its id.
    ZoneName(String),
    /// `partition.duration.ms` is 0. The connector divides by it at the first record.
    ZeroDuration,
    /// `filename.offset.zero.pad.width` is 0, which makes the connector's name format illegal.
    ZeroPadWidth,
    /// The record's value is not a struct (or, for a timestamp field, also not a map).
    NotStruct,
    /// The field has a type that cannot be part of a path, or is no time. Holds the path.
    UnsupportedType(String),
    /// The record has no Kafka timestamp, and the extractor needs one.
    NoTimestamp,
    /// The record's schema has no such field, or a timestamp field is null. Holds the path.
    MissingField(String),
    /// A parent of the field is absent from the schema. Holds the path.
    MissingParent(String),
    /// A Connect logical date or time where a number is needed. Holds the path.
    LogicalType(String),
    /// The text of a timestamp field is no time. Holds the path.
    TimestampText(String),
    /// A time that does not fit 64 bits of milliseconds, or is outside the years of a schedule.
    TimeRange,
    /// Schemas are to be compared by version, and one has none.
    SchemaVersion,
    /// The object's key would be longer than the store takes.
    KeyTooLong,
    /// The committed metadata of a topic partition is not ours.
    Metadata,
    /// A step of a commit plan out of its order: a mistake in the calling program.
    Step,
}

impl Error {
    #[cold]
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind }
    }

    #[cold]
    pub(crate) fn property(key: &str) -> Self {
        Self::new(ErrorKind::Property(key.to_owned()))
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether one record is at fault: it may go to a dead-letter topic and the next one be tried.
    /// Otherwise the configuration is, and no record will fare better.
    #[must_use]
    pub const fn is_record_error(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::NotStruct
                | ErrorKind::UnsupportedType(_)
                | ErrorKind::NoTimestamp
                | ErrorKind::MissingField(_)
                | ErrorKind::MissingParent(_)
                | ErrorKind::LogicalType(_)
                | ErrorKind::TimestampText(_)
                | ErrorKind::TimeRange
                | ErrorKind::SchemaVersion
                | ErrorKind::KeyTooLong
        )
    }

    /// Whether the connector, too, reports the record to its dead-letter topic and goes on. It
    /// fails its task for any other error, also where one record is at fault.
    #[must_use]
    pub const fn is_reported_by_connector(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::NotStruct
                | ErrorKind::UnsupportedType(_)
                | ErrorKind::NoTimestamp
                | ErrorKind::SchemaVersion
        )
    }

    /// The class of the exception that the connector throws for the record, which Connect's header
    /// `__connect.errors.exception.class.name` holds. `None` if the record is not at fault.
    #[must_use]
    pub const fn java_class(&self) -> Option<&'static str> {
        Some(match self.kind {
            ErrorKind::NotStruct | ErrorKind::UnsupportedType(_) | ErrorKind::NoTimestamp => {
                "io.confluent.connect.storage.errors.PartitionException"
            }
            ErrorKind::MissingField(_) => "org.apache.kafka.connect.errors.DataException",
            ErrorKind::MissingParent(_) => "java.lang.NullPointerException",
            ErrorKind::LogicalType(_) => "java.lang.ClassCastException",
            ErrorKind::TimestampText(_) => "java.lang.IllegalArgumentException",
            ErrorKind::TimeRange => "java.lang.ArithmeticException",
            ErrorKind::SchemaVersion => "org.apache.kafka.connect.errors.SchemaProjectorException",
            ErrorKind::KeyTooLong => "org.apache.kafka.connect.errors.ConnectException",
            _ => return None,
        })
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Property(key) => write!(f, "property {key} has an illegal value"),
            ErrorKind::MissingProperty(key) => write!(f, "property {key} is missing"),
            ErrorKind::PathFormat { offset } => {
                write!(f, "path.format is illegal at byte {offset}")
            }
            ErrorKind::TimeZone(id) => write!(f, "unknown time zone {id:?}"),
            ErrorKind::Language(language) => {
                write!(f, "no month and day names for the language {language:?}")
            }
            ErrorKind::ZoneName(id) => write!(f, "no printable name for the time zone {id}"),
            ErrorKind::ZeroDuration => f.write_str("partition.duration.ms is zero"),
            ErrorKind::ZeroPadWidth => f.write_str("filename.offset.zero.pad.width is zero"),
            ErrorKind::NotStruct => f.write_str("the record's value is not a struct"),
            ErrorKind::UnsupportedType(path) => write!(f, "field {path} has an unusable type"),
            ErrorKind::NoTimestamp => f.write_str("the record has no timestamp"),
            ErrorKind::MissingField(path) => write!(f, "field {path} is missing"),
            ErrorKind::MissingParent(path) => write!(f, "a parent of field {path} is missing"),
            ErrorKind::LogicalType(path) => write!(f, "field {path} is a logical date or time"),
            ErrorKind::TimestampText(path) => write!(f, "the text of field {path} is no time"),
            ErrorKind::TimeRange => f.write_str("a time is out of range"),
            ErrorKind::SchemaVersion => {
                f.write_str("a schema without a version cannot be compared")
            }
            ErrorKind::KeyTooLong => f.write_str("the object's key would be too long"),
            ErrorKind::Metadata => f.write_str("the committed metadata is not a commit intent"),
            ErrorKind::Step => f.write_str("a step of the commit plan is out of order"),
        }
    }
}
