//! What travels inside CopyData messages between a walsender and its client.
//!
//! "Streaming Replication Protocol", START_REPLICATION, in the PostgreSQL documentation.

use alloc::vec::Vec;

use crate::{Error, ErrorKind, Lsn, PgTime, cursor::Cursor};

/// What the server sends: the body of one CopyData message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// `w`: one pgoutput message.
    XLogData {
        /// Where the message comes from; zero for messages without a position of their own, such
        /// as Relation.
        start: Lsn,
        /// The same for logical decoding, not the end of the server's log.
        end: Lsn,
        /// When it was sent, by the server's clock.
        sent: PgTime,
        /// The message, for [`Decoder::decode`](crate::Decoder::decode).
        data: &'a [u8],
    },
    /// `k`: how far the server has come.
    Keepalive {
        /// The end of what it has decoded. With no transaction open and nothing unsaved it may be
        /// acknowledged, so that an idle stream lets the server drop old log.
        end: Lsn,
        /// When it was sent, by the server's clock.
        sent: PgTime,
        /// Whether the server wants a status update at once. The `client` module sends it.
        reply_requested: bool,
    },
}

impl<'a> Frame<'a> {
    /// Reads the body of a CopyData message. The pgoutput message in it is not looked at.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownFrame`], [`ErrorKind::UnexpectedEnd`], [`ErrorKind::TrailingBytes`].
    #[inline]
    pub fn decode(copy_data: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(copy_data);
        match cursor.u8()? {
            b'w' => Ok(Self::XLogData {
                start: cursor.lsn()?,
                end: cursor.lsn()?,
                sent: cursor.time()?,
                data: cursor.rest(),
            }),
            b'k' => {
                let (end, sent) = (cursor.lsn()?, cursor.time()?);
                let reply_requested = cursor.u8()? != 0;
                cursor.finish()?;
                Ok(Self::Keepalive { end, sent, reply_requested })
            }
            other => Err(cursor.fail_before(ErrorKind::UnknownFrame(other))),
        }
    }
}

/// What the client sends: how far it has come. `r`, 34 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyStatus {
    /// Everything before this was received.
    pub write: Lsn,
    /// Everything before this is safe; the server forgets it. Zero leaves the slot where it is.
    pub flush: Lsn,
    /// Everything before this is applied; of interest to synchronous replication only.
    pub apply: Lsn,
    /// When it was sent, by the client's clock.
    pub now: PgTime,
    /// Asks the server for a keepalive at once.
    pub reply_requested: bool,
}

impl StandbyStatus {
    /// A status with all three positions.
    #[must_use]
    pub const fn new(write: Lsn, flush: Lsn, apply: Lsn, now: PgTime) -> Self {
        Self { write, flush, apply, now, reply_requested: false }
    }

    /// Asks the server for a keepalive at once.
    #[must_use]
    pub const fn with_reply_requested(mut self, requested: bool) -> Self {
        self.reply_requested = requested;
        self
    }

    /// Appends the body of the CopyData message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// The body of the CopyData message.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 34] {
        let mut out = [0; 34];
        let fields = [
            &b"r"[..],
            &self.write.get().to_be_bytes(),
            &self.flush.get().to_be_bytes(),
            &self.apply.get().to_be_bytes(),
            &self.now.get().to_be_bytes(),
            &[u8::from(self.reply_requested)],
        ];
        for (byte, field) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *field;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_layout() {
        let status = StandbyStatus::new(
            Lsn::new(0x0102_0304_0506_0708),
            Lsn::new(2),
            Lsn::new(3),
            PgTime::new(-2),
        )
        .with_reply_requested(true);
        let mut out = alloc::vec![9];
        status.encode(&mut out);
        let expected = b"\x09r\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\
            \xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE\x01";
        assert_eq!(out, expected);
    }

    #[test]
    fn bad_frames() {
        let kind = |bytes: &[u8]| Frame::decode(bytes).unwrap_err().kind();
        assert_eq!(kind(b""), ErrorKind::UnexpectedEnd { missing: 1 });
        assert_eq!(kind(b"x"), ErrorKind::UnknownFrame(b'x'));
        assert_eq!(kind(&[b'k'; 17]), ErrorKind::UnexpectedEnd { missing: 1 });
        assert_eq!(kind(&[b'k'; 19]), ErrorKind::TrailingBytes);
        assert_eq!(kind(&[b'w'; 24]), ErrorKind::UnexpectedEnd { missing: 1 });
        assert!(Frame::decode(&[b'w'; 25]).is_ok());
    }
}
