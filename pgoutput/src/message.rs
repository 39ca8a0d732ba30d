use core::iter::FusedIterator;

use crate::{
    Begin, BeginPrepare, Commit, CommitPrepared, Error, ErrorKind, Lsn, Oid, OldTuple, Prepare,
    RollbackPrepared, StreamAbort, StreamCommit, StreamStart, Tuple, Xid, cursor::Cursor,
};

/// One pgoutput message. The letter on the wire stands beside each.
///
/// `xid` fields are present exactly inside a streamed block ([`StreamStart`] to `StreamStop`),
/// where changes of a transaction and of its subtransactions come before the outcome is known.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Message<'a> {
    /// `B`
    Begin(Begin),
    /// `C`
    Commit(Commit),
    /// `O`
    Origin(Origin<'a>),
    /// `R`
    Relation(Relation<'a>),
    /// `Y`
    Type(TypeName<'a>),
    /// `I`
    Insert(Insert<'a>),
    /// `U`
    Update(Update<'a>),
    /// `D`
    Delete(Delete<'a>),
    /// `T`
    Truncate(Truncate<'a>),
    /// `M`
    Logical(Logical<'a>),
    /// `S`
    StreamStart(StreamStart),
    /// `E`: the piece of a transaction in progress ends.
    StreamStop,
    /// `c`
    StreamCommit(StreamCommit),
    /// `A`
    StreamAbort(StreamAbort),
    /// `b`
    BeginPrepare(BeginPrepare<'a>),
    /// `P`
    Prepare(Prepare<'a>),
    /// `K`
    CommitPrepared(CommitPrepared<'a>),
    /// `r`
    RollbackPrepared(RollbackPrepared<'a>),
    /// `p`
    StreamPrepare(Prepare<'a>),
}

/// `O`: the transaction came to this server by replication from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin<'a> {
    /// Position of the commit on the server it came from; any value, also zero.
    pub commit_lsn: Lsn,
    /// The name of the origin.
    pub name: &'a str,
}

/// `R`: a table as the rows that follow have it. Sent before its first row in a session and again
/// when it may have changed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Relation<'a> {
    /// The transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// The table's id, which rows refer to.
    pub id: Oid,
    /// Its schema; empty for `pg_catalog`.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which old values the server sends.
    pub replica_identity: ReplicaIdentity,
    columns: Cursor<'a>,
    len: u16,
}

impl<'a> Relation<'a> {
    /// The number of columns.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the table has no columns, which is allowed.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The count of columns and the bytes behind it.
    pub(crate) const fn raw(&self) -> (u16, &'a [u8]) {
        (self.len, self.columns.rest())
    }

    /// The columns, checked as they are read.
    #[inline]
    pub const fn columns(&self) -> RelationColumns<'a> {
        RelationColumns { cursor: self.columns, left: self.len, failed: false }
    }
}

/// How old rows of a table are identified: `REPLICA IDENTITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplicaIdentity {
    /// `d`: the primary key.
    Default,
    /// `n`: nothing.
    Nothing,
    /// `f`: the whole row.
    Full,
    /// `i`: the columns of a chosen index.
    Index,
}

impl ReplicaIdentity {
    /// The letter on the wire, as in `pg_class.relreplident`.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Default => b'd',
            Self::Nothing => b'n',
            Self::Full => b'f',
            Self::Index => b'i',
        }
    }
}

/// One column of a [`Relation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelationColumn<'a> {
    /// Bit 0 says that the column belongs to the replica identity's key.
    pub flags: u8,
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub type_oid: Oid,
    /// The type's modifier, `pg_attribute.atttypmod`; -1 for none.
    pub typmod: i32,
}

impl RelationColumn<'_> {
    /// Whether the column belongs to the replica identity's key.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// The columns of a [`Relation`], in order. After an error it ends.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct RelationColumns<'a> {
    cursor: Cursor<'a>,
    left: u16,
    failed: bool,
}

impl<'a> Iterator for RelationColumns<'a> {
    type Item = Result<RelationColumn<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let column = relation_column(&mut self.cursor);
            if column.is_err() {
                self.left = 0;
                self.failed = true;
            }
            return Some(column);
        }
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        self.failed = true;
        Some(Err(self.cursor.fail(ErrorKind::TrailingBytes)))
    }
}

impl FusedIterator for RelationColumns<'_> {}

fn relation_column<'a>(cursor: &mut Cursor<'a>) -> Result<RelationColumn<'a>, Error> {
    Ok(RelationColumn {
        flags: cursor.u8()?,
        name: cursor.name()?,
        type_oid: cursor.oid()?,
        typmod: cursor.i32()?,
    })
}

/// `Y`: the name of a type that is not built in, before the [`Relation`] that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeName<'a> {
    /// The transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// The type's id.
    pub id: Oid,
    /// Its schema; empty for `pg_catalog`.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// `I`: a new row.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Insert<'a> {
    /// The (sub)transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// The table.
    pub relation: Oid,
    /// The row.
    pub new: Tuple<'a>,
}

/// `U`: a changed row.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Update<'a> {
    /// The (sub)transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// The table.
    pub relation: Oid,
    /// The row before: the whole under REPLICA IDENTITY FULL, the key when it changed, else none.
    pub old: Option<OldTuple<'a>>,
    /// The row after.
    pub new: Tuple<'a>,
}

/// `D`: a deleted row.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Delete<'a> {
    /// The (sub)transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// The table.
    pub relation: Oid,
    /// The row before.
    pub old: OldTuple<'a>,
}

/// `T`: tables were emptied, together.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Truncate<'a> {
    /// The (sub)transaction, inside a streamed block.
    pub xid: Option<Xid>,
    /// Bit 0 CASCADE, bit 1 RESTART IDENTITY.
    pub options: u8,
    /// The tables.
    pub relations: Oids<'a>,
}

impl Truncate<'_> {
    /// Whether it was said with CASCADE.
    #[must_use]
    pub const fn cascade(&self) -> bool {
        self.options & 1 != 0
    }

    /// Whether it was said with RESTART IDENTITY.
    #[must_use]
    pub const fn restart_identity(&self) -> bool {
        self.options & 2 != 0
    }
}

/// Some object ids, in order.
#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub struct Oids<'a>(&'a [[u8; 4]]);

impl<'a> Oids<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Oid> + use<'a> {
        self.0.iter().map(|oid| Oid::new(u32::from_be_bytes(*oid)))
    }
}

/// `M`: what `pg_logical_emit_message` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logical<'a> {
    /// The (sub)transaction, inside a streamed block. A message that is not transactional comes
    /// between blocks and has none.
    pub xid: Option<Xid>,
    /// Bit 0: transactional.
    pub flags: u8,
    /// Its position.
    pub lsn: Lsn,
    /// Its prefix.
    pub prefix: &'a str,
    /// Its content.
    pub content: &'a [u8],
}

impl Logical<'_> {
    /// Whether it is part of a transaction, and so came with its commit.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.flags & 1 != 0
    }
}

impl<'a> Origin<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        Ok(Self { commit_lsn: cursor.lsn()?, name: cursor.name()? })
    }
}

impl<'a> Relation<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        Ok(Self {
            xid,
            id: cursor.oid()?,
            namespace: cursor.name()?,
            name: cursor.name()?,
            replica_identity: match cursor.u8()? {
                b'd' => ReplicaIdentity::Default,
                b'n' => ReplicaIdentity::Nothing,
                b'f' => ReplicaIdentity::Full,
                b'i' => ReplicaIdentity::Index,
                other => return Err(cursor.fail_before(ErrorKind::UnknownReplicaIdentity(other))),
            },
            len: cursor.u16()?,
            columns: cursor.split(cursor.rest().len())?,
        })
    }
}

impl<'a> TypeName<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        Ok(Self { xid, id: cursor.oid()?, namespace: cursor.name()?, name: cursor.name()? })
    }
}

impl<'a> Insert<'a> {
    /// A message to [`encode`](Message::encode), as outside a streamed block.
    #[must_use]
    pub const fn new(relation: Oid, new: Tuple<'a>) -> Self {
        Self { xid: None, relation, new }
    }

    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        let relation = cursor.oid()?;
        match cursor.u8()? {
            b'N' => Ok(Self { xid, relation, new: Tuple::to_end(cursor)? }),
            other => Err(cursor.fail_before(ErrorKind::UnknownTuple(other))),
        }
    }
}

impl<'a> Update<'a> {
    /// A message to [`encode`](Message::encode), as outside a streamed block.
    #[must_use]
    pub const fn new(relation: Oid, old: Option<OldTuple<'a>>, new: Tuple<'a>) -> Self {
        Self { xid: None, relation, old, new }
    }

    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        let relation = cursor.oid()?;
        let old = match cursor.u8()? {
            b'N' => return Ok(Self { xid, relation, old: None, new: Tuple::to_end(cursor)? }),
            b'K' => OldTuple::Key(Tuple::delimited(cursor)?),
            b'O' => OldTuple::Full(Tuple::delimited(cursor)?),
            other => return Err(cursor.fail_before(ErrorKind::UnknownTuple(other))),
        };
        match cursor.u8()? {
            b'N' => Ok(Self { xid, relation, old: Some(old), new: Tuple::to_end(cursor)? }),
            other => Err(cursor.fail_before(ErrorKind::UnknownTuple(other))),
        }
    }
}

impl<'a> Delete<'a> {
    /// A message to [`encode`](Message::encode), as outside a streamed block.
    #[must_use]
    pub const fn new(relation: Oid, old: OldTuple<'a>) -> Self {
        Self { xid: None, relation, old }
    }

    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        let relation = cursor.oid()?;
        let old = match cursor.u8()? {
            b'K' => OldTuple::Key(Tuple::to_end(cursor)?),
            b'O' => OldTuple::Full(Tuple::to_end(cursor)?),
            other => return Err(cursor.fail_before(ErrorKind::UnknownTuple(other))),
        };
        Ok(Self { xid, relation, old })
    }
}

impl<'a> Truncate<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        let count = cursor.length()?;
        let options = cursor.u8()?;
        let (oids, _) = cursor.bytes(count.saturating_mul(4))?.as_chunks::<4>();
        Ok(Self { xid, options, relations: Oids(oids) })
    }
}

impl<'a> Logical<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>, xid: Option<Xid>) -> Result<Self, Error> {
        Ok(Self {
            xid,
            flags: cursor.u8()?,
            lsn: cursor.lsn()?,
            prefix: cursor.name()?,
            content: cursor.counted()?,
        })
    }
}
