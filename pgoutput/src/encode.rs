//! Messages back into bytes, for proxies, recordings and tests.

use alloc::vec::Vec;

use crate::{
    Column, Error, ErrorKind, Message, Oid, OldTuple, Prepare, Tuple, Xid, cursor::Cursor,
    replication::Frame,
};

impl Message<'_> {
    /// The letter on the wire.
    #[must_use]
    pub const fn letter(&self) -> u8 {
        match self {
            Self::Begin(_) => b'B',
            Self::Commit(_) => b'C',
            Self::Origin(_) => b'O',
            Self::Relation(_) => b'R',
            Self::Type(_) => b'Y',
            Self::Insert(_) => b'I',
            Self::Update(_) => b'U',
            Self::Delete(_) => b'D',
            Self::Truncate(_) => b'T',
            Self::Logical(_) => b'M',
            Self::StreamStart(_) => b'S',
            Self::StreamStop => b'E',
            Self::StreamCommit(_) => b'c',
            Self::StreamAbort(_) => b'A',
            Self::BeginPrepare(_) => b'b',
            Self::Prepare(_) => b'P',
            Self::CommitPrepared(_) => b'K',
            Self::RollbackPrepared(_) => b'r',
            Self::StreamPrepare(_) => b'p',
        }
    }

    /// Appends the message as the server would send it.
    ///
    /// A decoded message gives the bytes it came from. What was changed in its fields since is
    /// written as it is now: `xid` where there is one, and the long form of
    /// [`StreamAbort`](crate::StreamAbort) when it has both its position and its time.
    ///
    /// ```
    /// use pgoutput::{Column, Decoder, Insert, Message, Oid, ProtocolVersion, TupleBuf};
    ///
    /// let mut row = TupleBuf::new();
    /// row.push(Column::Text(b"10"))?;
    /// row.push(Column::Null)?;
    /// let mut bytes = Vec::new();
    /// Message::Insert(Insert::new(Oid::new(16571), row.as_tuple())).encode(&mut bytes)?;
    /// assert_eq!(bytes, b"I\0\0\x40\xBBN\0\x02t\0\0\0\x0210n");
    /// let mut decoder = Decoder::new(ProtocolVersion::V1);
    /// assert!(matches!(decoder.decode(&bytes)?, Message::Insert(_)));
    /// # Ok::<_, pgoutput::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ZeroInName`] and [`ErrorKind::TooLong`], for texts that do not fit the format.
    /// `out` is as before the call then; the offset counts from there.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.push(self.letter());
        let result = self.encode_body(&mut Writer { out, start });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn encode_body(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Begin(m) => {
                out.u64(m.final_lsn.get()).time(m.commit_time.get()).u32(m.xid.get());
            }
            Self::Commit(m) => {
                out.u8(m.flags).u64(m.commit_lsn.get()).u64(m.end_lsn.get());
                out.time(m.commit_time.get());
            }
            Self::Origin(m) => out.u64(m.commit_lsn.get()).name(m.name)?,
            Self::Relation(m) => {
                out.xid(m.xid).u32(m.id.get()).name(m.namespace)?;
                out.name(m.name)?;
                let (len, columns) = m.raw();
                out.u8(m.replica_identity.letter()).bytes(&len.to_be_bytes()).bytes(columns);
            }
            Self::Type(m) => {
                out.xid(m.xid).u32(m.id.get()).name(m.namespace)?;
                out.name(m.name)?;
            }
            Self::Insert(m) => {
                out.row(m.xid, m.relation).u8(b'N').tuple(m.new);
            }
            Self::Update(m) => {
                out.row(m.xid, m.relation);
                if let Some(old) = m.old {
                    out.old(old);
                }
                out.u8(b'N').tuple(m.new);
            }
            Self::Delete(m) => {
                out.row(m.xid, m.relation).old(m.old);
            }
            Self::Truncate(m) => {
                out.xid(m.xid).length(m.relations.len())?;
                out.u8(m.options);
                for oid in m.relations.iter() {
                    out.u32(oid.get());
                }
            }
            Self::Logical(m) => {
                out.xid(m.xid).u8(m.flags).u64(m.lsn.get()).name(m.prefix)?;
                out.length(m.content.len())?;
                out.bytes(m.content);
            }
            Self::StreamStart(m) => {
                out.u32(m.xid.get()).u8(u8::from(m.first_segment));
            }
            Self::StreamStop => {}
            Self::StreamCommit(m) => {
                out.u32(m.xid.get()).u8(m.flags).u64(m.commit_lsn.get()).u64(m.end_lsn.get());
                out.time(m.commit_time.get());
            }
            Self::StreamAbort(m) => {
                out.u32(m.xid.get()).u32(m.subxid.get());
                if let (Some(at), Some(when)) = (m.abort_lsn, m.abort_time) {
                    out.u64(at.get()).time(when.get());
                }
            }
            Self::BeginPrepare(m) => {
                out.u64(m.prepare_lsn.get()).u64(m.end_lsn.get()).time(m.prepare_time.get());
                out.u32(m.xid.get()).name(m.gid)?;
            }
            Self::Prepare(m) | Self::StreamPrepare(m) => out.prepare(m)?,
            Self::CommitPrepared(m) => {
                out.u8(m.flags).u64(m.commit_lsn.get()).u64(m.end_lsn.get());
                out.time(m.commit_time.get()).u32(m.xid.get()).name(m.gid)?;
            }
            Self::RollbackPrepared(m) => {
                out.u8(m.flags).u64(m.prepare_end_lsn.get()).u64(m.rollback_end_lsn.get());
                out.time(m.prepare_time.get()).time(m.rollback_time.get());
                out.u32(m.xid.get()).name(m.gid)?;
            }
        }
        Ok(())
    }
}

impl Frame<'_> {
    /// Appends the body of the CopyData message, as the server would send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut out = Writer { out, start };
        match *self {
            Self::XLogData { start, end, sent, data } => {
                out.u8(b'w').u64(start.get()).u64(end.get()).time(sent.get()).bytes(data);
            }
            Self::Keepalive { end, sent, reply_requested } => {
                out.u8(b'k').u64(end.get()).time(sent.get()).u8(u8::from(reply_requested));
            }
        }
    }
}

/// A row being put together, for a message to [`encode`](Message::encode).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TupleBuf {
    len: u16,
    bytes: Vec<u8>,
}

impl TupleBuf {
    /// A row without columns.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: 0, bytes: Vec::new() }
    }

    /// Adds a column at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLong`] past 65535 columns and for a value of 2 GiB or more; the row is as
    /// before then.
    pub fn push(&mut self, column: Column<'_>) -> Result<(), Error> {
        let at = self.bytes.len();
        let len = self.len.checked_add(1).ok_or_else(|| Error::new(ErrorKind::TooLong, at))?;
        let mut out = Writer { out: &mut self.bytes, start: 0 };
        let (letter, value) = match column {
            Column::Null => (b'n', None),
            Column::Unchanged => (b'u', None),
            Column::Text(value) => (b't', Some(value)),
            Column::Binary(value) => (b'b', Some(value)),
        };
        out.u8(letter);
        if let Some(value) = value {
            if let Err(error) = out.length(value.len()) {
                self.bytes.truncate(at);
                return Err(error);
            }
            out.bytes(value);
        }
        self.len = len;
        Ok(())
    }

    /// Takes all columns out, and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
        self.bytes.clear();
    }

    /// The row as messages have it.
    #[must_use]
    pub fn as_tuple(&self) -> Tuple<'_> {
        Tuple::from_raw(self.len, Cursor::new(&self.bytes))
    }
}

/// Puts fields of a message behind each other, in the order of the protocol.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Where the message began.
    start: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    fn u8(&mut self, byte: u8) -> &mut Self {
        self.out.push(byte);
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn time(&mut self, micros: i64) -> &mut Self {
        self.bytes(&micros.to_be_bytes())
    }

    fn xid(&mut self, xid: Option<Xid>) -> &mut Self {
        match xid {
            Some(xid) => self.u32(xid.get()),
            None => self,
        }
    }

    fn row(&mut self, xid: Option<Xid>, relation: Oid) -> &mut Self {
        self.xid(xid).u32(relation.get())
    }

    fn tuple(&mut self, tuple: Tuple<'_>) {
        let (len, columns) = tuple.raw();
        self.bytes(&len.to_be_bytes()).bytes(columns);
    }

    fn old(&mut self, old: OldTuple<'_>) {
        let letter = match old {
            OldTuple::Key(_) => b'K',
            OldTuple::Full(_) => b'O',
        };
        self.u8(letter).tuple(old.tuple());
    }

    fn prepare(&mut self, m: &Prepare<'_>) -> Result<(), Error> {
        self.u8(m.flags).u64(m.prepare_lsn.get()).u64(m.end_lsn.get());
        self.time(m.prepare_time.get()).u32(m.xid.get()).name(m.gid)
    }

    fn name(&mut self, name: &str) -> Result<(), Error> {
        if name.contains('\0') {
            return Err(self.fail(ErrorKind::ZeroInName));
        }
        self.bytes(name.as_bytes()).u8(0);
        Ok(())
    }

    fn length(&mut self, length: usize) -> Result<(), Error> {
        let length = i32::try_from(length).map_err(|_| self.fail(ErrorKind::TooLong))?;
        self.bytes(&length.to_be_bytes());
        Ok(())
    }

    #[cold]
    fn fail(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.out.len().saturating_sub(self.start))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Insert, Logical, Lsn};

    #[test]
    fn a_refused_message_leaves_nothing() {
        let message = Message::Logical(Logical {
            xid: None,
            flags: 0,
            lsn: Lsn::new(1),
            prefix: "a\0b",
            content: b"",
        });
        let mut out = vec![7];
        let error = message.encode(&mut out).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::ZeroInName, 10));
        assert_eq!(out, [7]);
    }

    #[test]
    fn rows_have_at_most_65535_columns() {
        let mut row = TupleBuf::new();
        for _ in 0..65_535 {
            row.push(Column::Unchanged).unwrap();
        }
        assert_eq!(row.push(Column::Null).unwrap_err().kind(), ErrorKind::TooLong);
        assert_eq!(row.as_tuple().columns().filter(Result::is_ok).count(), 65_535);
        let mut out = Vec::new();
        Message::Insert(Insert::new(Oid::new(1), row.as_tuple())).encode(&mut out).unwrap();
        assert_eq!(out.len(), 8 + 65_535);
    }
}
