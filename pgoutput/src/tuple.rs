use core::iter::FusedIterator;

use crate::{Error, ErrorKind, cursor::Cursor};

/// A row as it lies in the message: read and checked column by column, when asked for.
///
/// On the wire (TupleData): `i16` count of columns, then for each one byte of its kind and, for
/// `t` and `b`, an `i32` length and that many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Tuple<'a> {
    cursor: Cursor<'a>,
    len: u16,
}

impl<'a> Tuple<'a> {
    /// A row that ends where the message ends; bytes left over are reported by the last column.
    #[inline]
    pub(crate) fn to_end(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let len = cursor.u16()?;
        Ok(Self { cursor: *cursor, len })
    }

    /// A row with something behind it, so that its lengths have to be walked here.
    #[inline]
    pub(crate) fn delimited(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let len = cursor.u16()?;
        let mut walk = *cursor;
        for _ in 0..len {
            column(&mut walk)?;
        }
        let body = cursor.until(&walk);
        *cursor = walk;
        Ok(Self { cursor: body, len })
    }

    /// The same, for bytes known to begin behind the count.
    #[inline(always)]
    pub(crate) const fn new(len: [u8; 2], rest: &'a [u8], message: &'a [u8]) -> Self {
        Self { cursor: Cursor::tail(rest, message), len: u16::from_be_bytes(len) }
    }

    pub(crate) const fn from_raw(len: u16, cursor: Cursor<'a>) -> Self {
        Self { cursor, len }
    }

    /// The count and the bytes behind it.
    pub(crate) const fn raw(&self) -> (u16, &'a [u8]) {
        (self.len, self.cursor.rest())
    }

    /// The number of columns.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it is a row of a table without columns.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The columns in the order of the Relation message.
    ///
    /// Reading to the end checks everything, also that no bytes follow the last column.
    #[inline]
    pub const fn columns(&self) -> Columns<'a> {
        Columns { cursor: self.cursor, left: self.len, failed: false }
    }
}

impl<'a> IntoIterator for Tuple<'a> {
    type Item = Result<Column<'a>, Error>;
    type IntoIter = Columns<'a>;

    #[inline]
    fn into_iter(self) -> Columns<'a> {
        self.columns()
    }
}

/// The row before an update or delete: what of it the table's replica identity lets through.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "the format has had these two since it exists")]
pub enum OldTuple<'a> {
    /// `K`: only the columns of the key carry values. The others are [`Column::Null`], which here
    /// says "not part of the key" and nothing about the value.
    Key(Tuple<'a>),
    /// `O`: the whole row, under REPLICA IDENTITY FULL.
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The row, whichever kind it is.
    #[inline]
    #[must_use]
    pub const fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => *tuple,
        }
    }
}

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a closed set of the wire format")]
pub enum Column<'a> {
    /// `n`: NULL, or not part of the key in an [`OldTuple::Key`].
    Null,
    /// `u`: a value stored out of line that this update did not touch; the server does not send it.
    Unchanged,
    /// `t`: the type's text output, in the client encoding.
    Text(&'a [u8]),
    /// `b`: the type's binary output. Types without one stay text in a binary stream.
    Binary(&'a [u8]),
}

/// The columns of a [`Tuple`], in order. After an error it ends.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct Columns<'a> {
    pub(crate) cursor: Cursor<'a>,
    left: u16,
    failed: bool,
}

impl Columns<'_> {
    /// An error so many bytes before the end of the column that was read last. Ends the iteration.
    #[inline(always)] // A call would keep the iterator in memory.
    pub(crate) const fn fail_in_last(&mut self, kind: ErrorKind, before_end: usize) -> Error {
        self.left = 0;
        self.failed = true;
        Error::new(kind, self.cursor.offset().saturating_sub(before_end))
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Result<Column<'a>, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let column = column(&mut self.cursor);
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

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        // One item more when bytes follow the last column, one alone when the first column is bad.
        (usize::from(self.left > 0), Some(usize::from(self.left) + 1))
    }
}

impl FusedIterator for Columns<'_> {}

/// The bits that `t` and `b` have in common, and which of these are set: no other kind is like that.
const VALUE_MASK: u8 = !(b't' ^ b'b');
const VALUE_BITS: u8 = b't' & b'b';
const _: () = assert!(b'n' & VALUE_MASK != VALUE_BITS && b'u' & VALUE_MASK != VALUE_BITS);

// Inlined, so that the reader and the column stay in registers. The kinds are told apart by a mask
// first, because four cases in one place become a jump through a table, which is slower.
#[inline(always)]
fn column<'a>(cursor: &mut Cursor<'a>) -> Result<Column<'a>, Error> {
    let kind = cursor.u8()?;
    if kind & VALUE_MASK == VALUE_BITS {
        return match kind {
            b't' => cursor.counted().map(Column::Text),
            b'b' => cursor.counted().map(Column::Binary),
            other => Err(cursor.fail_before(ErrorKind::UnknownColumn(other))),
        };
    }
    match kind {
        b'n' => Ok(Column::Null),
        b'u' => Ok(Column::Unchanged),
        other => Err(cursor.fail_before(ErrorKind::UnknownColumn(other))),
    }
}
