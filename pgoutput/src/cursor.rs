use crate::{Error, ErrorKind, Lsn, Oid, PgTime, Xid};

/// A bounds-checked reader. The offset is computed only when an error is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Offset of the end of `rest`, in the bytes that errors count from.
    end: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len() }
    }

    /// The last bytes of a message, with offsets counted from its start.
    #[inline(always)]
    pub(crate) const fn tail(rest: &'a [u8], message: &'a [u8]) -> Self {
        Self { rest, end: message.len() }
    }

    /// The next `length` bytes as a reader of their own, with offsets counted as here.
    #[inline]
    pub(crate) fn split(&mut self, length: usize) -> Result<Self, Error> {
        let rest = self.bytes(length)?;
        Ok(Self { rest, end: self.offset() })
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) const fn offset(&self) -> usize {
        self.end.saturating_sub(self.rest.len())
    }

    /// What was read since `self`, of which `later` is a copy that has read on.
    #[inline]
    pub(crate) fn until(&self, later: &Self) -> Self {
        let read = self.rest.len().saturating_sub(later.rest.len());
        Self { rest: self.rest.get(..read).unwrap_or_default(), end: later.offset() }
    }

    #[inline]
    pub(crate) const fn fail(&self, kind: ErrorKind) -> Error {
        fail_at(kind, self.end, self.rest.len())
    }

    /// An error about the byte that was read last.
    #[inline]
    pub(crate) const fn fail_before(&self, kind: ErrorKind) -> Error {
        fail_at(kind, self.end, self.rest.len().saturating_add(1))
    }

    #[inline]
    pub(crate) const fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fail(ErrorKind::TrailingBytes)) }
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(short(length, self.end, self.rest.len())),
        }
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(short(N, self.end, self.rest.len())),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    #[cfg(feature = "postgres-types")]
    #[inline]
    pub(crate) fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    #[cfg(feature = "postgres-types")]
    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    #[cfg(feature = "postgres-types")]
    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    #[cfg(feature = "postgres-types")]
    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn xid(&mut self) -> Result<Xid, Error> {
        self.u32().map(Xid::new)
    }

    #[inline]
    pub(crate) fn oid(&mut self) -> Result<Oid, Error> {
        self.u32().map(Oid::new)
    }

    #[inline]
    pub(crate) fn lsn(&mut self) -> Result<Lsn, Error> {
        self.array().map(u64::from_be_bytes).map(Lsn::new)
    }

    #[inline]
    pub(crate) fn time(&mut self) -> Result<PgTime, Error> {
        self.array().map(i64::from_be_bytes).map(PgTime::new)
    }

    /// A length or count of four bytes that must not be negative.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        let at = *self;
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| at.fail(ErrorKind::NegativeLength(length)))
    }

    /// Bytes that carry their length in front.
    #[inline(always)]
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Error> {
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(short(4, self.end, self.rest.len()));
        };
        // A negative length is too much for any slice, so that one comparison finds both.
        let length = u32::from_be_bytes(*length);
        match rest.split_at_checked(length as usize) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(too_long(length, self.end, rest.len())),
        }
    }

    /// A name that ends in a zero byte.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<&'a str, Error> {
        let at = *self;
        let Some(length) = self.rest.iter().position(|&byte| byte == 0) else {
            return Err(at.fail(ErrorKind::UnterminatedName));
        };
        let name = self.bytes(length)?;
        self.u8()?;
        core::str::from_utf8(name).map_err(|_| at.fail(ErrorKind::InvalidUtf8))
    }
}

// These take values: a reference would make every reader live in memory instead of in registers.

#[cold]
#[inline(never)]
const fn fail_at(kind: ErrorKind, end: usize, left: usize) -> Error {
    Error::new(kind, end.saturating_sub(left))
}

#[cold]
#[inline(never)]
fn short(wanted: usize, end: usize, left: usize) -> Error {
    let missing = u32::try_from(wanted.saturating_sub(left)).unwrap_or(u32::MAX);
    Error::new(ErrorKind::UnexpectedEnd { missing }, end.saturating_sub(left))
}

/// A length of four bytes that is more than what is left behind it.
#[cold]
#[inline(never)]
fn too_long(length: u32, end: usize, left: usize) -> Error {
    let negative = length.cast_signed();
    if negative < 0 {
        let at = end.saturating_sub(left).saturating_sub(4);
        return Error::new(ErrorKind::NegativeLength(negative), at);
    }
    short(length as usize, end, left)
}
