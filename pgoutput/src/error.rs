use thiserror::Error as ThisError;

use crate::Oid;

/// Why some bytes could not be decoded, and where.
///
/// 16 bytes on a 64-bit machine; holds no text and nothing of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[error("{kind} at byte {offset}")]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
}

const _: () = assert!(size_of::<Error>() <= 24);

impl Error {
    #[cold]
    pub(crate) const fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What was wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The byte where it went wrong, counted from the start of the slice given to `decode`.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message ends too early.
    #[error("{missing} more bytes needed")]
    UnexpectedEnd {
        /// How many bytes are missing for the field at the offset.
        missing: u32,
    },
    /// The message is complete and more bytes follow.
    #[error("unexpected bytes after the end of the message")]
    TrailingBytes,
    /// No message of any protocol version begins with this byte.
    #[error("unknown message {0:#04x}")]
    UnknownMessage(u8),
    /// The message exists, but not in the protocol version the decoder was told.
    #[error("message {0:#04x} does not exist in the protocol version in use")]
    NotInVersion(u8),
    /// The message cannot stand here: inside a streamed block, or outside one.
    #[error("message {0:#04x} is out of place with regard to streamed blocks")]
    Misplaced(u8),
    /// A row does not begin with `N`, `K` or `O`.
    #[error("unknown kind of row {0:#04x}")]
    UnknownTuple(u8),
    /// A column is neither `n`, `u`, `t` nor `b`.
    #[error("unknown kind of column {0:#04x}")]
    UnknownColumn(u8),
    /// A replica identity is neither `d`, `n`, `f` nor `i`.
    #[error("unknown replica identity {0:#04x}")]
    UnknownReplicaIdentity(u8),
    /// A replication frame begins with neither `w` nor `k`.
    #[error("unknown replication frame {0:#04x}")]
    UnknownFrame(u8),
    /// A length or a count is negative.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// A name is not closed by a zero byte.
    #[error("name without its closing zero byte")]
    UnterminatedName,
    /// A name, or the text of a value, is not UTF-8.
    #[error("text is not utf-8")]
    InvalidUtf8,
    /// A name to be encoded holds a zero byte, which ends names on the wire.
    #[error("name with a zero byte inside")]
    ZeroInName,
    /// Something to be encoded is longer than its length field can tell.
    #[error("too long for the format")]
    TooLong,
    /// No value of the type with this id looks so.
    #[error("not a value of type {0}")]
    InvalidValue(Oid),
    /// Types nested too deeply, or a domain over itself.
    #[error("types nested too deeply")]
    TooDeep,
    /// The data does not begin with the signature of binary COPY.
    #[error("not binary copy data")]
    CopySignature,
    /// Binary COPY data with flags this crate cannot read.
    #[error("unsupported binary copy flags {0:#010x}")]
    CopyFlags(u32),
    /// COPY data after the trailer.
    #[error("copy data after its trailer")]
    CopyFinished,
}
