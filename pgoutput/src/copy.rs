//! Rows of `COPY ... TO STDOUT (FORMAT binary)`.
//!
//! "COPY", File Formats, Binary Format, in the PostgreSQL documentation: a header of 19 bytes
//! (11 of signature, flags, length of an extension), rows, and a trailer of -1 in two bytes. A row
//! is an `i16` count and for each column an `i32` length, -1 for NULL, and that many bytes.

use core::iter::FusedIterator;

use crate::{Column, Error, ErrorKind, cursor::Cursor};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xFF\r\n\0";
/// Bit 16, the only critical flag ever used: rows carry an oid (before PostgreSQL 12).
const CRITICAL_FLAGS: u32 = 0xFFFF_0000;
const TRAILER: &[u8] = &[0xFF, 0xFF];

/// Reads binary COPY data as the server sends it: each CopyData message holds whole rows.
///
/// ```
/// use pgoutput::{Column, copy::CopyDecoder};
///
/// let mut decoder = CopyDecoder::new();
/// let first = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x2A\xFF\xFF\xFF\xFF";
/// for row in decoder.decode(first)? {
///     let columns = row?.columns().collect::<Result<Vec<_>, _>>()?;
///     assert_eq!(columns, [Column::Binary(&[0, 0, 0, 42]), Column::Null]);
/// }
/// assert_eq!(decoder.decode(b"\xFF\xFF")?.count(), 0);
/// assert!(decoder.is_finished());
/// # Ok::<_, pgoutput::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CopyDecoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Header,
    Rows,
    Finished,
}

impl CopyDecoder {
    /// A decoder that expects the header first.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Header }
    }

    /// Reads the body of one CopyData message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CopySignature`], [`ErrorKind::CopyFlags`], [`ErrorKind::UnexpectedEnd`],
    /// [`ErrorKind::NegativeLength`] for the header, [`ErrorKind::CopyFinished`] after the trailer.
    #[inline]
    pub fn decode<'a>(&mut self, copy_data: &'a [u8]) -> Result<Rows<'a>, Error> {
        let mut cursor = Cursor::new(copy_data);
        if self.state != State::Rows {
            if self.state == State::Finished {
                return Err(cursor.fail(ErrorKind::CopyFinished));
            }
            header(&mut cursor)?;
            self.state = State::Rows;
        }
        // The server sends the trailer in a message of its own, or after the header of no rows.
        if cursor.rest() == TRAILER {
            self.state = State::Finished;
        }
        Ok(Rows { cursor })
    }

    /// Whether the trailer was read: no row is missing.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}

fn header(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    let at = *cursor;
    if cursor.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(at.fail(ErrorKind::CopySignature));
    }
    let at = *cursor;
    let flags = cursor.u32()?;
    if flags & CRITICAL_FLAGS != 0 {
        return Err(at.fail(ErrorKind::CopyFlags(flags)));
    }
    cursor.counted().map(drop)
}

/// The rows of one CopyData message, mostly one. After an error it ends.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct Rows<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let row = row(&mut self.cursor);
        if !matches!(row, Ok(Some(_))) {
            self.cursor = Cursor::new(&[]);
        }
        row.transpose()
    }
}

impl FusedIterator for Rows<'_> {}

/// The next row, or none at the trailer.
#[inline]
fn row<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Row<'a>>, Error> {
    let len = cursor.u16()?;
    if len == u16::MAX {
        return cursor.finish().map(|()| None);
    }
    let mut walk = *cursor;
    for _ in 0..len {
        column(&mut walk)?;
    }
    let body = cursor.until(&walk);
    *cursor = walk;
    Ok(Some(Row { cursor: body, len }))
}

#[inline(always)]
fn column<'a>(cursor: &mut Cursor<'a>) -> Result<Column<'a>, Error> {
    // The length -1.
    if let Some([0xFF, 0xFF, 0xFF, 0xFF]) = cursor.rest().first_chunk() {
        return cursor.array::<4>().map(|_| Column::Null);
    }
    cursor.counted().map(Column::Binary)
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    cursor: Cursor<'a>,
    len: u16,
}

impl<'a> Row<'a> {
    /// The number of columns.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has no columns, which is allowed.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes behind the column count: with the count all there is to a row, for keeping it
    /// longer than the message it came in.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.cursor.rest()
    }

    /// A row of `columns` columns from what [`as_bytes`](Self::as_bytes) gave.
    #[inline]
    #[must_use]
    pub const fn from_bytes(columns: u16, bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), len: columns }
    }

    /// The columns in the order of the COPY command: [`Column::Null`] or [`Column::Binary`].
    #[inline]
    pub const fn columns(&self) -> Columns<'a> {
        Columns { cursor: self.cursor, left: self.len }
    }
}

/// The columns of a [`Row`], in order. After an error it ends.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct Columns<'a> {
    cursor: Cursor<'a>,
    left: u16,
}

impl<'a> Iterator for Columns<'a> {
    type Item = Result<Column<'a>, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let column = column(&mut self.cursor);
        if column.is_err() {
            self.left = 0;
        }
        Some(column)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        // `Rows` has walked the row already, so no column can fail.
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl FusedIterator for Columns<'_> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn head() -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([0; 8]);
        out
    }

    fn all(decoder: &mut CopyDecoder, data: &[u8]) -> Result<usize, Error> {
        let mut columns = 0;
        for row in decoder.decode(data)? {
            for column in row?.columns() {
                column?;
                columns += 1;
            }
        }
        Ok(columns)
    }

    #[test]
    fn every_truncation_is_an_error_or_a_row_less() {
        let mut data = head();
        data.extend(b"\0\x02\0\0\0\x03abc\xFF\xFF\xFF\xFF\0\0\xFF\xFF");
        assert_eq!(all(&mut CopyDecoder::new(), &data).unwrap(), 2);
        for length in 0..data.len() {
            let result = all(&mut CopyDecoder::new(), &data[..length]);
            let between_rows = [19, 32, 34].contains(&length);
            assert_eq!(result.is_ok(), between_rows, "{length}: {result:?}");
        }
    }

    #[test]
    fn refuses() {
        let kind = |data: &[u8]| all(&mut CopyDecoder::new(), data).unwrap_err().kind();
        assert_eq!(kind(b"1\tabc\n........."), ErrorKind::CopySignature);
        let mut flags = head();
        flags[12] = 1;
        assert_eq!(kind(&flags), ErrorKind::CopyFlags(0x1_0000));
        let mut negative = head();
        negative.extend(b"\0\x01\xFF\xFF\xFF\xFE");
        assert_eq!(kind(&negative), ErrorKind::NegativeLength(-2));
        let mut trailing = head();
        trailing.extend(b"\xFF\xFF\0");
        assert_eq!(kind(&trailing), ErrorKind::TrailingBytes);

        let mut decoder = CopyDecoder::new();
        all(&mut decoder, &head()).unwrap();
        assert!(!decoder.is_finished());
        all(&mut decoder, TRAILER).unwrap();
        assert!(decoder.is_finished());
        assert_eq!(all(&mut decoder, b"\0\0").unwrap_err().kind(), ErrorKind::CopyFinished);
    }
}
