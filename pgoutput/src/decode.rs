use crate::{
    Begin, BeginPrepare, Commit, CommitPrepared, Delete, Error, ErrorKind, Insert, Logical,
    Message, Oid, Origin, Prepare, Relation, RollbackPrepared, StreamAbort, StreamCommit,
    StreamStart, Truncate, Tuple, TypeName, Update, Xid, cursor::Cursor,
};

/// The version of the pgoutput protocol, the option `proto_version` of START_REPLICATION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// Whole transactions, after their commit.
    #[default]
    V1,
    /// Also transactions in progress (PostgreSQL 14).
    V2,
    /// Also prepared transactions (PostgreSQL 15).
    V3,
    /// Also `streaming 'parallel'` (PostgreSQL 16).
    V4,
}

impl ProtocolVersion {
    /// The number of the version.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// The option `streaming` of START_REPLICATION: transactions sent before they are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Streaming {
    /// Never.
    #[default]
    Off,
    /// When they outgrow `logical_decoding_work_mem` (protocol 2).
    On,
    /// The same, and [`StreamAbort`] says where and when (protocol 4).
    Parallel,
}

/// Reads pgoutput messages, one at a time, in the order they came.
///
/// It remembers one thing between messages, whether a streamed block is open: inside one, most
/// messages carry the transaction id. Use a new decoder, or [`reset`](Self::reset), for each
/// connection.
///
/// ```
/// use pgoutput::{Decoder, Message, ProtocolVersion};
///
/// let mut decoder = Decoder::new(ProtocolVersion::V1);
/// let message = decoder.decode(b"B\0\0\0\0\x02\xDD\x57\x38\0\x03\x03\xD5\xB4\x46\x5B\x9C\0\0\x06\x7A")?;
/// let Message::Begin(begin) = message else { panic!("{message:?}") };
/// assert_eq!(begin.xid.get(), 1658);
/// assert_eq!(begin.final_lsn.to_string(), "0/2DD5738");
/// # Ok::<_, pgoutput::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    version: ProtocolVersion,
    long_aborts: bool,
    in_block: bool,
}

impl Decoder {
    /// A decoder for a stream started with this `proto_version`.
    #[must_use]
    pub const fn new(version: ProtocolVersion) -> Self {
        Self { version, long_aborts: false, in_block: false }
    }

    /// Says which `streaming` option the stream was started with.
    ///
    /// Only [`Streaming::Parallel`] makes a difference: [`StreamAbort`] is longer then, which the
    /// message itself does not tell.
    #[must_use]
    pub const fn with_streaming(mut self, streaming: Streaming) -> Self {
        self.long_aborts = matches!(streaming, Streaming::Parallel);
        self
    }

    /// The same decoder inside of a streamed block.
    pub(crate) const fn inside_block(&self) -> Self {
        Self { version: self.version, long_aborts: self.long_aborts, in_block: true }
    }

    /// Forgets an open block, for a stream that begins again on a new connection.
    pub const fn reset(&mut self) {
        self.in_block = false;
    }

    /// Reads one whole message: the `data` of one XLogData frame.
    ///
    /// Columns of rows and of relations are not looked at yet; their iterators check them.
    ///
    /// # Errors
    ///
    /// Every kind but those of COPY and of frames; the decoder is as before the call then.
    #[inline(always)]
    pub fn decode<'a>(&mut self, message: &'a [u8]) -> Result<Message<'a>, Error> {
        // The shapes of nearly all messages of nearly all streams, where there is nothing that
        // could go wrong: their columns reach to the end and are checked when they are read.
        if !self.in_block {
            match *message {
                [b'I', a, b, c, d, b'N', e, f, ref rest @ ..] => {
                    let relation = Oid::new(u32::from_be_bytes([a, b, c, d]));
                    let new = Tuple::new([e, f], rest, message);
                    return Ok(Message::Insert(Insert::new(relation, new)));
                }
                [b'U', a, b, c, d, b'N', e, f, ref rest @ ..] => {
                    let relation = Oid::new(u32::from_be_bytes([a, b, c, d]));
                    let new = Tuple::new([e, f], rest, message);
                    return Ok(Message::Update(Update::new(relation, None, new)));
                }
                _ => {}
            }
        }
        self.decode_any(message)
    }

    #[inline(never)]
    fn decode_any<'a>(&mut self, message: &'a [u8]) -> Result<Message<'a>, Error> {
        let mut cursor = Cursor::new(message);
        let tag = cursor.u8()?;
        match tag {
            b'I' => {
                let xid = self.xid(&mut cursor)?;
                Insert::read(&mut cursor, xid).map(Message::Insert)
            }
            b'U' => {
                let xid = self.xid(&mut cursor)?;
                Update::read(&mut cursor, xid).map(Message::Update)
            }
            b'D' => {
                let xid = self.xid(&mut cursor)?;
                Delete::read(&mut cursor, xid).map(Message::Delete)
            }
            _ => self.decode_other(tag, cursor),
        }
    }

    fn decode_other<'a>(&mut self, tag: u8, mut cursor: Cursor<'a>) -> Result<Message<'a>, Error> {
        self.check_place(tag, &cursor)?;
        let cursor = &mut cursor;
        let message = match tag {
            b'B' => Message::Begin(Begin::read(cursor)?),
            b'C' => Message::Commit(Commit::read(cursor)?),
            b'O' => Message::Origin(Origin::read(cursor)?),
            b'R' => {
                let xid = self.xid(cursor)?;
                Message::Relation(Relation::read(cursor, xid)?)
            }
            b'Y' => {
                let xid = self.xid(cursor)?;
                Message::Type(TypeName::read(cursor, xid)?)
            }
            b'T' => {
                let xid = self.xid(cursor)?;
                Message::Truncate(Truncate::read(cursor, xid)?)
            }
            b'M' => {
                let xid = self.xid(cursor)?;
                Message::Logical(Logical::read(cursor, xid)?)
            }
            b'S' => Message::StreamStart(StreamStart::read(cursor)?),
            b'E' => Message::StreamStop,
            b'c' => Message::StreamCommit(StreamCommit::read(cursor)?),
            b'A' => Message::StreamAbort(StreamAbort::read(cursor, self.long_aborts)?),
            b'b' => Message::BeginPrepare(BeginPrepare::read(cursor)?),
            b'P' => Message::Prepare(Prepare::read(cursor)?),
            b'p' => Message::StreamPrepare(Prepare::read(cursor)?),
            b'K' => Message::CommitPrepared(CommitPrepared::read(cursor)?),
            b'r' => Message::RollbackPrepared(RollbackPrepared::read(cursor)?),
            other => return Err(cursor.fail_before(ErrorKind::UnknownMessage(other))),
        };
        cursor.finish()?;
        match message {
            Message::StreamStart(_) => self.in_block = true,
            Message::StreamStop => self.in_block = false,
            _ => {}
        }
        Ok(message)
    }

    /// Refuses what this version does not have, and what cannot stand inside or outside a block:
    /// a block left open would shift every later message by the four bytes of the id.
    fn check_place(&self, tag: u8, cursor: &Cursor<'_>) -> Result<(), Error> {
        let needs = match tag {
            b'S' | b'E' | b'c' | b'A' => ProtocolVersion::V2,
            b'b' | b'P' | b'p' | b'K' | b'r' => ProtocolVersion::V3,
            _ => ProtocolVersion::V1,
        };
        if self.version < needs {
            return Err(cursor.fail_before(ErrorKind::NotInVersion(tag)));
        }
        let fits = match tag {
            b'R' | b'Y' | b'T' | b'M' | b'O' => true,
            b'E' => self.in_block,
            _ => !self.in_block,
        };
        if fits { Ok(()) } else { Err(cursor.fail_before(ErrorKind::Misplaced(tag))) }
    }

    #[inline]
    fn xid(&self, cursor: &mut Cursor<'_>) -> Result<Option<Xid>, Error> {
        if self.in_block { cursor.xid().map(Some) } else { Ok(None) }
    }
}
