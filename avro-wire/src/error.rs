//! The one error of the crate.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;

/// What went wrong, where in the input, and at which field.
///
/// One pointer wide, so that a `Result` of the hot paths stays in registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{inner}")]
pub struct Error {
    inner: Box<Inner>,
}

/// The kinds of [`Error`].
///
/// Bad bytes, a bad schema, and a value that does not fit its schema are told apart by the groups
/// [`ErrorKind::is_data`], [`ErrorKind::is_schema`] and [`ErrorKind::is_value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input ended inside a value; at least this many bytes were missing.
    #[error("needed {missing} more bytes")]
    UnexpectedEnd {
        /// Bytes that were missing; a lower bound.
        missing: u64,
    },
    /// A variable-length integer went on past ten bytes or past 64 bits.
    #[error("variable-length integer does not fit 64 bits")]
    VarintOverflow,
    /// An `int` was outside 32 bits.
    #[error("int {value} does not fit 32 bits")]
    IntRange {
        /// The number that was read.
        value: i64,
    },
    /// A boolean was neither 0 nor 1.
    #[error("boolean byte is {byte:#04x}")]
    InvalidBoolean {
        /// The byte that was read.
        byte: u8,
    },
    /// A string was not UTF-8.
    #[error("string is not UTF-8")]
    InvalidUtf8,
    /// A length or a block size was negative.
    #[error("negative length {length}")]
    NegativeLength {
        /// The length that was read.
        length: i64,
    },
    /// A union has no branch of this index.
    #[error("union has no branch {index}")]
    BranchOutOfRange {
        /// The index that was read.
        index: i64,
    },
    /// An enum has no symbol of this index.
    #[error("enum has no symbol {index}")]
    SymbolOutOfRange {
        /// The index that was read.
        index: i64,
    },
    /// An array or map claims more items than its bytes can hold (or, for values of no
    /// bytes, there are more than 4,096 in one datum).
    #[error("{count} items do not fit the input")]
    ItemCount {
        /// The count that was read.
        count: i64,
    },
    /// The items of an array or map end elsewhere than the size of their block says.
    #[error("block ends {off} bytes behind its announced end")]
    BlockSize {
        /// Bytes that the items take beyond the announced size; negative where they take less.
        off: i64,
    },
    /// A decimal is too long to be turned into digits, which takes time by the square.
    #[error("decimal of {size} bytes is too long for text")]
    NumberSize {
        /// The size of the decimal in bytes.
        size: usize,
    },
    /// Bytes were left after the datum.
    #[error("{count} bytes after the datum")]
    TrailingBytes {
        /// How many bytes were left.
        count: usize,
    },
    /// Schema or data nests deeper than 64 records, arrays and maps.
    #[error("nested deeper than 64 levels")]
    DepthLimit,
    /// The first byte is not that of the framing.
    #[error("message starts with {byte:#04x}")]
    UnknownMagic {
        /// The first byte of the message.
        byte: u8,
    },
    /// The framing has no place for this form of schema reference.
    #[error("framing cannot carry this schema reference")]
    UnsupportedReference,
    /// A schema id is negative or has the wrong number of bytes.
    #[error("invalid schema id")]
    InvalidId,
    /// No header of the record says which schema the datum was written by.
    #[error("no schema reference in the headers")]
    NoReference,
    /// The compression of the message is not known, or its feature is off.
    #[error("unknown or disabled compression {byte:#04x}")]
    UnknownCompression {
        /// The byte that names the compression.
        byte: u8,
    },
    /// An object container file does not start with `Obj` and 1, or its header is broken.
    #[error("not an object container file")]
    NotContainer,
    /// An object container file names a codec that is not known, or whose feature is off.
    #[error("unknown or disabled block codec")]
    UnknownCodec,
    /// A block of an object container file does not end with the sync marker.
    #[error("sync marker does not match")]
    SyncMismatch,
    /// A compressed block or message is broken.
    #[error("compressed bytes are broken")]
    Inflate,
    /// A compressed block or message is larger than the caller allows once inflated.
    #[error("inflates to more than {limit} bytes")]
    SizeLimit {
        /// The most bytes that were allowed.
        limit: usize,
    },
    /// A block does not have the checksum that is stored with it.
    #[error("checksum does not match")]
    Checksum,
    /// The schema text is not JSON.
    #[error("schema is not JSON")]
    Json,
    /// A name of the schema has characters that Avro forbids.
    #[error("invalid name")]
    InvalidName,
    /// A name that is neither a type of Avro nor defined before.
    #[error("unknown type")]
    UnknownType,
    /// A name, field or symbol is defined twice.
    #[error("defined twice")]
    Duplicate,
    /// An attribute of the schema is missing or of the wrong type.
    #[error("missing or malformed attribute")]
    InvalidAttribute,
    /// A union holds a union, or two branches that cannot be told apart.
    #[error("invalid union")]
    InvalidUnion,
    /// Data of the writer's schema, or this value of it, has no place in the reader's.
    #[error("no place in the reader's schema")]
    Unresolvable,
    /// The value has a type that the schema does not have at this place.
    #[error("value does not fit the schema")]
    TypeMismatch,
    /// The value has a field that the schema does not have.
    #[error("field is not in the schema")]
    UnknownField,
    /// A field without a default is missing.
    #[error("field is missing")]
    MissingField,
    /// The union or enum has no such branch or symbol.
    #[error("no such symbol or branch")]
    UnknownVariant,
    /// Text is not that of a decimal, UUID, date or time.
    #[error("text is not of the expected form")]
    InvalidText,
    /// A number is outside the range of its type.
    #[error("number out of range")]
    NumberRange,
    /// A fixed, array or map did not get the number of bytes or items it announced.
    #[error("length is {actual}, not {expected}")]
    LengthMismatch {
        /// The length that the schema or the caller announced.
        expected: usize,
        /// The length that came.
        actual: usize,
    },
    /// The `Serialize` or `Deserialize` of the value reported an error of its own.
    #[error("value refused")]
    Value,
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { inner: Box::new(Inner { kind, offset: None, name: None, field: None }) }
    }

    #[cold]
    pub(crate) fn at(kind: ErrorKind, offset: usize) -> Self {
        let mut error = Self::new(kind);
        error.inner.offset = Some(offset);
        error
    }

    #[cold]
    pub(crate) fn named(kind: ErrorKind, name: &str) -> Self {
        let mut error = Self::new(kind);
        error.inner.name = Some(name.into());
        error
    }

    /// Keeps the innermost field: callers add theirs from the inside out.
    #[cold]
    pub(crate) fn in_field(mut self, name: &str) -> Self {
        self.inner.field.get_or_insert_with(|| name.into());
        self
    }

    #[cold]
    pub(crate) fn or_offset(mut self, offset: usize) -> Self {
        self.inner.offset.get_or_insert(offset);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Where it went wrong, in bytes from the start of the input. For bad bytes this is the start
    /// of the primitive that could not be read; for a `Deserialize` that refuses a value it is the
    /// byte after that value. `None` when nothing was read.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.inner.offset
    }

    /// The name of the innermost record field around the error, if there is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.inner.field.as_deref()
    }

    /// The schema name, symbol or serde message that the error is about, if there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }
}

impl ErrorKind {
    /// Whether the bytes are at fault.
    #[must_use]
    pub const fn is_data(self) -> bool {
        !self.is_schema() && !self.is_value()
    }

    /// Whether the schema text is at fault.
    #[must_use]
    pub const fn is_schema(self) -> bool {
        matches!(
            self,
            Self::Json
                | Self::InvalidName
                | Self::UnknownType
                | Self::Duplicate
                | Self::InvalidAttribute
                | Self::InvalidUnion
                | Self::Unresolvable
        )
    }

    /// Whether the Rust value (or its type) does not go with the schema.
    #[must_use]
    pub const fn is_value(self) -> bool {
        matches!(
            self,
            Self::TypeMismatch
                | Self::UnknownField
                | Self::MissingField
                | Self::UnknownVariant
                | Self::InvalidText
                | Self::NumberRange
                | Self::LengthMismatch { .. }
                | Self::UnsupportedReference
                | Self::Value
        )
    }
}

impl serde::ser::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::named(ErrorKind::Value, &message.to_string())
    }
}

impl serde::de::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::named(ErrorKind::Value, &message.to_string())
    }

    #[cold]
    fn invalid_type(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        // The value itself may be a secret: only its type goes into the message.
        Self::named(
            ErrorKind::TypeMismatch,
            &alloc::format!("found {}, expected {expected}", type_of(found)),
        )
    }

    #[cold]
    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::named(ErrorKind::NumberRange, &alloc::format!("{} is not {expected}", type_of(found)))
    }

    #[cold]
    fn unknown_variant(variant: &str, _: &'static [&'static str]) -> Self {
        Self::named(ErrorKind::UnknownVariant, variant)
    }

    #[cold]
    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::named(ErrorKind::UnknownField, field)
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        Self::named(ErrorKind::MissingField, field)
    }
}

fn type_of(found: serde::de::Unexpected<'_>) -> &'static str {
    use serde::de::Unexpected as U;
    match found {
        U::Bool(_) => "boolean",
        U::Unsigned(_) | U::Signed(_) => "integer",
        U::Float(_) => "float",
        U::Char(_) | U::Str(_) => "string",
        U::Bytes(_) => "bytes",
        U::Unit | U::Option => "null",
        U::Seq => "array",
        U::Map => "record or map",
        U::Enum | U::UnitVariant | U::NewtypeVariant | U::TupleVariant | U::StructVariant => "enum",
        _ => "other type",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    offset: Option<usize>,
    name: Option<Box<str>>,
    field: Option<Box<str>>,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        if let Some(field) = &self.field {
            write!(f, " in field {field}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        Ok(())
    }
}

const _: () = assert!(size_of::<Error>() <= 24 && size_of::<Result<(), Error>>() <= 24);
