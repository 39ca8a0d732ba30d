use crate::{Error, Lsn, PgTime, Xid, cursor::Cursor};

/// `B`: a transaction begins; its changes and a [`Commit`] follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Begin {
    /// Position of the commit record; the [`Commit`] repeats it.
    pub final_lsn: Lsn,
    /// When it was committed.
    pub commit_time: PgTime,
    /// The transaction.
    pub xid: Xid,
}

/// `C`: the transaction is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Unused by the server so far (0).
    pub flags: u8,
    /// Position of the commit record.
    pub commit_lsn: Lsn,
    /// End of the commit record: what to acknowledge once the transaction is safe.
    pub end_lsn: Lsn,
    /// When it was committed.
    pub commit_time: PgTime,
}

/// `S`: a piece of a transaction still in progress begins (protocol 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStart {
    /// The top-level transaction of the piece.
    pub xid: Xid,
    /// Whether it is the first piece of this transaction.
    pub first_segment: bool,
}

/// `c`: a streamed transaction is committed (protocol 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamCommit {
    /// The transaction.
    pub xid: Xid,
    /// Unused by the server so far (0).
    pub flags: u8,
    /// Position of the commit record.
    pub commit_lsn: Lsn,
    /// End of the commit record: what to acknowledge once the transaction is safe.
    pub end_lsn: Lsn,
    /// When it was committed.
    pub commit_time: PgTime,
}

/// `A`: a streamed transaction, or a savepoint in it, was rolled back (protocol 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamAbort {
    /// The top-level transaction.
    pub xid: Xid,
    /// What was rolled back: the transaction itself when equal to `xid`, else a part of it.
    pub subxid: Xid,
    /// Position of the abort record; sent with `streaming 'parallel'` only (protocol 4).
    pub abort_lsn: Option<Lsn>,
    /// When it was rolled back; sent with `streaming 'parallel'` only (protocol 4).
    pub abort_time: Option<PgTime>,
}

/// `b`: a transaction that will end in PREPARE TRANSACTION begins (protocol 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BeginPrepare<'a> {
    /// Position of the prepare record.
    pub prepare_lsn: Lsn,
    /// End of the prepare record.
    pub end_lsn: Lsn,
    /// When it was prepared.
    pub prepare_time: PgTime,
    /// The transaction.
    pub xid: Xid,
    /// The name its PREPARE gave it.
    pub gid: &'a str,
}

/// `P`, and `p` for a streamed transaction: the transaction is prepared (protocol 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepare<'a> {
    /// Unused by the server so far (0).
    pub flags: u8,
    /// Position of the prepare record.
    pub prepare_lsn: Lsn,
    /// End of the prepare record.
    pub end_lsn: Lsn,
    /// When it was prepared.
    pub prepare_time: PgTime,
    /// The transaction.
    pub xid: Xid,
    /// The name its PREPARE gave it.
    pub gid: &'a str,
}

/// `K`: a prepared transaction is committed (protocol 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitPrepared<'a> {
    /// Unused by the server so far (0).
    pub flags: u8,
    /// Position of the commit record.
    pub commit_lsn: Lsn,
    /// End of the commit record.
    pub end_lsn: Lsn,
    /// When it was committed.
    pub commit_time: PgTime,
    /// The transaction.
    pub xid: Xid,
    /// The name its PREPARE gave it.
    pub gid: &'a str,
}

/// `r`: a prepared transaction is rolled back (protocol 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollbackPrepared<'a> {
    /// Unused by the server so far (0).
    pub flags: u8,
    /// End of the prepare record.
    pub prepare_end_lsn: Lsn,
    /// End of the rollback record.
    pub rollback_end_lsn: Lsn,
    /// When it was prepared.
    pub prepare_time: PgTime,
    /// When it was rolled back.
    pub rollback_time: PgTime,
    /// The transaction.
    pub xid: Xid,
    /// The name its PREPARE gave it.
    pub gid: &'a str,
}

// Struct literals below evaluate their fields in the order written, which is the order on the wire.

impl Begin {
    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self { final_lsn: cursor.lsn()?, commit_time: cursor.time()?, xid: cursor.xid()? })
    }
}

impl Commit {
    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            flags: cursor.u8()?,
            commit_lsn: cursor.lsn()?,
            end_lsn: cursor.lsn()?,
            commit_time: cursor.time()?,
        })
    }
}

impl StreamStart {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self { xid: cursor.xid()?, first_segment: cursor.u8()? != 0 })
    }
}

impl StreamCommit {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            xid: cursor.xid()?,
            flags: cursor.u8()?,
            commit_lsn: cursor.lsn()?,
            end_lsn: cursor.lsn()?,
            commit_time: cursor.time()?,
        })
    }
}

impl StreamAbort {
    pub(crate) fn read(cursor: &mut Cursor<'_>, long: bool) -> Result<Self, Error> {
        Ok(Self {
            xid: cursor.xid()?,
            subxid: cursor.xid()?,
            abort_lsn: if long { Some(cursor.lsn()?) } else { None },
            abort_time: if long { Some(cursor.time()?) } else { None },
        })
    }
}

impl<'a> BeginPrepare<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        Ok(Self {
            prepare_lsn: cursor.lsn()?,
            end_lsn: cursor.lsn()?,
            prepare_time: cursor.time()?,
            xid: cursor.xid()?,
            gid: cursor.name()?,
        })
    }
}

impl<'a> Prepare<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        Ok(Self {
            flags: cursor.u8()?,
            prepare_lsn: cursor.lsn()?,
            end_lsn: cursor.lsn()?,
            prepare_time: cursor.time()?,
            xid: cursor.xid()?,
            gid: cursor.name()?,
        })
    }
}

impl<'a> CommitPrepared<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        Ok(Self {
            flags: cursor.u8()?,
            commit_lsn: cursor.lsn()?,
            end_lsn: cursor.lsn()?,
            commit_time: cursor.time()?,
            xid: cursor.xid()?,
            gid: cursor.name()?,
        })
    }
}

impl<'a> RollbackPrepared<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        Ok(Self {
            flags: cursor.u8()?,
            prepare_end_lsn: cursor.lsn()?,
            rollback_end_lsn: cursor.lsn()?,
            prepare_time: cursor.time()?,
            rollback_time: cursor.time()?,
            xid: cursor.xid()?,
            gid: cursor.name()?,
        })
    }
}
