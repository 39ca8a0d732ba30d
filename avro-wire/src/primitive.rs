//! The primitive values of Avro, without a schema: append functions and a bounds-checked reader.
//!
//! For programs that know the layout of their record at compile time or compile it themselves.
//!
//! ```
//! use avro_wire::primitive::{self, Reader};
//!
//! let mut out = Vec::new();
//! primitive::write_long(-2, &mut out);
//! primitive::write_string("avro", &mut out);
//! assert_eq!(out, [0x03, 0x08, b'a', b'v', b'r', b'o']);
//!
//! let mut reader = Reader::new(&out);
//! assert_eq!(reader.read_long()?, -2);
//! assert_eq!(reader.read_str()?, "avro");
//! reader.finish()?;
//! # Ok::<(), avro_wire::Error>(())
//! ```

use alloc::vec::Vec;

use crate::{Error, ErrorKind};

/// Appends an `int`: zigzag, then 7 bits a byte, 1 to 5 bytes.
#[inline]
pub fn write_int(value: i32, out: &mut Vec<u8>) {
    write_varint(zigzag(i64::from(value)), out);
}

/// Appends a `long`: zigzag, then 7 bits a byte, 1 to 10 bytes.
#[inline]
pub fn write_long(value: i64, out: &mut Vec<u8>) {
    write_varint(zigzag(value), out);
}

/// Appends `bytes`: the length as a long, then the bytes.
#[inline]
pub fn write_bytes(value: &[u8], out: &mut Vec<u8>) {
    write_length(value.len(), out);
    out.extend_from_slice(value);
}

/// Appends a `string`: the length in bytes as a long, then UTF-8.
#[inline]
pub fn write_string(value: &str, out: &mut Vec<u8>) {
    write_bytes(value.as_bytes(), out);
}

/// Appends a `boolean`: one byte, 0 or 1.
#[inline]
pub fn write_boolean(value: bool, out: &mut Vec<u8>) {
    out.push(u8::from(value));
}

/// Appends a `float`: four bytes, little-endian IEEE 754.
#[inline]
pub fn write_float(value: f32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `double`: eight bytes, little-endian IEEE 754.
#[inline]
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// A length that exists in memory fits a long: no slice is longer than `isize::MAX`.
#[inline]
pub(crate) fn write_length(length: usize, out: &mut Vec<u8>) {
    write_varint((length as u64) << 1, out);
}

#[inline]
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[inline]
fn write_varint(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(low_byte(value));
    } else {
        write_long_varint(value, out);
    }
}

/// Two bytes and more: spreads 56 bits over eight bytes at once, because a loop over the groups
/// costs a branch a byte and timestamps have eight or nine of them.
#[inline]
fn write_long_varint(value: u64, out: &mut Vec<u8>) {
    let spread = spread_groups(value);
    if value < 1 << 56 {
        // 2 to 8: the caller took care of one byte.
        let length = (70 - value.leading_zeros()) / 7;
        let more = CONTINUE & ((1 << (8 * (length - 1))) - 1);
        out.extend_from_slice(&(spread | more).to_le_bytes());
        out.truncate(out.len() - (8 - length as usize));
    } else {
        out.extend_from_slice(&(spread | CONTINUE).to_le_bytes());
        let rest = value >> 56;
        if rest < 0x80 {
            out.push(low_byte(rest));
        } else {
            out.extend_from_slice(&[low_byte(rest) | 0x80, low_byte(rest >> 7)]);
        }
    }
}

/// Moves the eight lowest groups of 7 bits to the low ends of eight bytes.
#[inline]
const fn spread_groups(value: u64) -> u64 {
    let x = (value & 0x0000_0000_0fff_ffff) | ((value & 0x00ff_ffff_f000_0000) << 4);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x0fff_c000_0fff_c000) << 2);
    (x & 0x007f_007f_007f_007f) | ((x & 0x3f80_3f80_3f80_3f80) << 1)
}

/// The inverse of [`spread_groups`]; the high bit of each byte must be clear.
#[inline]
const fn join_groups(x: u64) -> u64 {
    let x = (x & 0x007f_007f_007f_007f) | ((x & 0x7f00_7f00_7f00_7f00) >> 1);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
    (x & 0x0000_0000_0fff_ffff) | ((x & 0x0fff_ffff_0000_0000) >> 4)
}

#[inline]
const fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

const CONTINUE: u64 = 0x8080_8080_8080_8080;

/// Reads primitive values one after the other from a slice, borrowing from it.
///
/// A failed read leaves the reader where it was.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// The end of `input`. The start of what is read next is kept as a length, which is one number
    /// to put back after a failure.
    rest: &'a [u8],
    input: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the first byte of `input`.
    #[inline]
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, input }
    }

    /// Bytes read so far.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    /// The bytes not read yet.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads an `int`.
    ///
    /// # Errors
    /// As [`Reader::read_long`], and [`ErrorKind::IntRange`] beyond 32 bits.
    #[inline]
    pub fn read_int(&mut self) -> Result<i32, Error> {
        let before = self.rest;
        let value = self.read_long()?;
        i32::try_from(value).map_err(|_| {
            self.rest = before;
            self.error(ErrorKind::IntRange { value })
        })
    }

    /// Reads a `long`. Longer forms than needed are taken, as Java does, up to ten bytes.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`], [`ErrorKind::VarintOverflow`].
    #[inline]
    pub fn read_long(&mut self) -> Result<i64, Error> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(unzigzag(u64::from(first)));
        }
        self.read_long_varint().map(unzigzag)
    }

    /// Reads `bytes`.
    ///
    /// # Errors
    /// As [`Reader::read_long`], and [`ErrorKind::NegativeLength`].
    #[inline]
    pub fn read_bytes(&mut self) -> Result<&'a [u8], Error> {
        if let Some((bytes, rest)) = self.peek_short() {
            self.rest = rest;
            return Ok(bytes);
        }
        self.read_long_bytes()
    }

    /// Reads a `string`.
    ///
    /// # Errors
    /// As [`Reader::read_bytes`], and [`ErrorKind::InvalidUtf8`].
    #[inline]
    pub fn read_str(&mut self) -> Result<&'a str, Error> {
        let left = self.rest.len();
        let bytes = self.read_bytes()?;
        core::str::from_utf8(bytes).map_err(|_| self.utf8_error(left))
    }

    /// As [`Reader::read_str`], but all that is known of a failure is that nothing was read. Two
    /// words come back in registers; a `Result` would go through memory.
    #[inline(never)]
    pub(crate) fn try_str(&mut self) -> Option<&'a str> {
        let Some((bytes, rest)) = self.peek_short() else { return self.read_str().ok() };
        let text = core::str::from_utf8(bytes).ok()?;
        self.rest = rest;
        Some(text)
    }

    /// Bytes or a string whose length takes one byte, and what follows.
    #[inline]
    fn peek_short(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (&first, rest) = self.rest.split_first()?;
        // Neither a second byte of the length nor a negative one.
        if first & 0x81 == 0 { rest.split_at_checked(usize::from(first >> 1)) } else { None }
    }

    #[inline(never)]
    fn read_long_bytes(&mut self) -> Result<&'a [u8], Error> {
        let before = self.rest;
        let length = self.read_long()?;
        if let Ok(length) = usize::try_from(length)
            && let Some((bytes, rest)) = self.rest.split_at_checked(length)
        {
            self.rest = rest;
            return Ok(bytes);
        }
        let had = self.rest.len();
        self.rest = before;
        Err(self.length_error(length, had))
    }

    /// Reads a `boolean`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`], [`ErrorKind::InvalidBoolean`].
    #[inline]
    pub fn read_boolean(&mut self) -> Result<bool, Error> {
        match self.rest.split_first() {
            Some((&byte @ (0 | 1), rest)) => {
                self.rest = rest;
                Ok(byte == 1)
            }
            Some((&byte, _)) => Err(self.error(ErrorKind::InvalidBoolean { byte })),
            None => Err(self.end(1)),
        }
    }

    /// Reads a `float`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`].
    #[inline]
    pub fn read_float(&mut self) -> Result<f32, Error> {
        self.read_array().map(f32::from_le_bytes)
    }

    /// Reads a `double`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`].
    #[inline]
    pub fn read_double(&mut self) -> Result<f64, Error> {
        self.read_array().map(f64::from_le_bytes)
    }

    /// Reads a `fixed` of `size` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`].
    #[inline]
    pub fn read_fixed(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let Some((bytes, rest)) = self.rest.split_at_checked(size) else {
            return Err(self.end(size));
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`ErrorKind::TrailingBytes`].
    #[inline]
    pub fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error(ErrorKind::TrailingBytes { count: self.rest.len() }))
        }
    }

    #[inline]
    pub(crate) fn read_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.end(N));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    /// Reads the index of a branch of an option, if it takes one byte as it should: whether there
    /// is a value.
    #[inline]
    pub(crate) fn take_option(&mut self, null_first: bool) -> Option<bool> {
        match self.rest {
            [byte @ (0 | 2), rest @ ..] => {
                self.rest = rest;
                Some((*byte != 0) == null_first)
            }
            _ => None,
        }
    }

    /// As [`Reader::read_long`], without putting the number together.
    #[inline]
    pub(crate) fn skip_long(&mut self) -> Result<(), Error> {
        if let Some(chunk) = self.rest.first_chunk::<8>() {
            let stop = !u64::from_le_bytes(*chunk) & CONTINUE;
            if stop != 0 {
                let length = (stop.trailing_zeros() / 8 + 1) as usize;
                self.rest = self.rest.get(length..).unwrap_or_default();
                return Ok(());
            }
        }
        self.read_long().map(drop)
    }

    fn read_long_varint(&mut self) -> Result<u64, Error> {
        let Some(chunk) = self.rest.first_chunk::<8>() else {
            return self.read_varint_near_end();
        };
        let word = u64::from_le_bytes(*chunk);
        let stop = !word & CONTINUE;
        if stop == 0 {
            // Nanoseconds since 1970 have nine bytes.
            if let Some(&[_, _, _, _, _, _, _, _, last @ 0..0x80]) = self.rest.first_chunk::<9>() {
                self.rest = self.rest.get(9..).unwrap_or_default();
                return Ok(join_groups(word & !CONTINUE) | u64::from(last) << 56);
            }
            return self.read_varint_near_end();
        }
        // All bits up to and with the first clear high bit; its byte is the last one.
        let value = join_groups(word & (stop ^ (stop - 1)) & !CONTINUE);
        let length = (stop.trailing_zeros() / 8 + 1) as usize;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    fn read_varint_near_end(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                if index == 9 && byte > 1 {
                    break;
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            Error::at(ErrorKind::UnexpectedEnd { missing: 1 }, self.offset())
        } else {
            self.error(ErrorKind::VarintOverflow)
        })
    }

    #[cold]
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::at(kind, self.offset())
    }

    /// Goes back to where `left` bytes were left, the start of a string.
    #[cold]
    fn utf8_error(&mut self, left: usize) -> Error {
        self.rest = self.input.get(self.input.len() - left..).unwrap_or_default();
        self.error(ErrorKind::InvalidUtf8)
    }

    #[cold]
    fn end(&self, needed: usize) -> Error {
        let missing = needed.saturating_sub(self.rest.len()) as u64;
        self.error(ErrorKind::UnexpectedEnd { missing })
    }

    #[cold]
    fn length_error(&self, length: i64, had: usize) -> Error {
        match u64::try_from(length) {
            Ok(length) => {
                self.error(ErrorKind::UnexpectedEnd { missing: length.saturating_sub(had as u64) })
            }
            Err(_) => self.error(ErrorKind::NegativeLength { length }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(value: i64) -> Vec<u8> {
        let mut n = zigzag(value);
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
            n >>= 7;
        }
        out.push(u8::try_from(n).unwrap());
        out
    }

    #[test]
    fn varints_of_every_length_match_the_plain_loop() {
        let mut values = alloc::vec![0, 1, -1, i64::MIN, i64::MAX, i64::from(i32::MIN)];
        for shift in 0..63 {
            let v = 1_i64 << shift;
            values.extend([v - 1, v, v + 1, -v, -v - 1, v | (v >> 3)]);
        }
        for value in values {
            let mut out = alloc::vec![0xaa];
            write_long(value, &mut out);
            assert_eq!(out[1..], reference(value), "{value}");
            for padding in 0..12 {
                let mut reader = Reader::new(&out[1..]);
                assert_eq!(reader.read_long().unwrap(), value);
                assert_eq!(reader.rest().len(), padding);
                out.push(0xff);
            }
        }
    }

    #[test]
    fn over_long_and_short_varints_are_typed_errors() {
        let kind = |bytes: &[u8]| Reader::new(bytes).read_long().unwrap_err().kind();
        assert_eq!(kind(&[]), ErrorKind::UnexpectedEnd { missing: 1 });
        assert_eq!(kind(&[0x80; 9]), ErrorKind::UnexpectedEnd { missing: 1 });
        assert_eq!(kind(&[0x80; 10]), ErrorKind::VarintOverflow);
        assert_eq!(kind(&[0xff; 40]), ErrorKind::VarintOverflow);
        let mut ten = [0x80; 10];
        ten[9] = 1;
        assert_eq!(Reader::new(&ten).read_long().unwrap(), 1 << 62);
        ten[9] = 2;
        assert_eq!(kind(&ten), ErrorKind::VarintOverflow);
        assert_eq!(Reader::new(&[0x82, 0x00]).read_long().unwrap(), 1);
        let mut reader = Reader::new(&[2, 0xfe, 0xff, 0xff, 0xff, 0x7f]);
        reader.read_int().unwrap();
        let error = reader.read_int().unwrap_err();
        assert_eq!((error.offset(), reader.offset()), (Some(1), 1));
        assert!(matches!(error.kind(), ErrorKind::IntRange { .. }));
    }

    #[test]
    fn lengths_are_checked_before_use() {
        let error = Reader::new(&[0x14, 1, 2]).read_bytes().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEnd { missing: 8 });
        let error = Reader::new(&[0x01]).read_bytes().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NegativeLength { length: -1 });
        assert!(Reader::new(&[2, 0xff]).read_str().is_err());
        assert!(Reader::new(&[2]).read_boolean().is_err());
        assert!(Reader::new(&[1, 2, 3]).read_float().is_err());
    }
}
