//! AWS Glue's compression byte.

use alloc::vec::Vec;

use crate::{Error, ErrorKind};

/// How a datum is compressed behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// zlib (RFC 1950).
    Zlib,
}

impl Compression {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zlib => 5,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, Error> {
        match byte {
            0 => Ok(Self::None),
            5 => Ok(Self::Zlib),
            _ => Err(Error::at(ErrorKind::UnknownCompression { byte }, 1)),
        }
    }
}

#[cfg(feature = "zlib")]
pub(super) fn deflate(datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    use std::io::Write as _;

    let mut encoder = flate2::write::ZlibEncoder::new(out, flate2::Compression::default());
    encoder
        .write_all(datum)
        .and_then(|()| encoder.finish().map(drop))
        .map_err(|_| Error::new(ErrorKind::Value))
}

#[cfg(not(feature = "zlib"))]
pub(super) fn deflate(_: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
    Err(Error::new(ErrorKind::UnknownCompression { byte: Compression::Zlib.byte() }))
}

#[cfg(feature = "zlib")]
pub(super) fn inflate<'b>(
    packed: &[u8],
    limit: usize,
    scratch: &'b mut Vec<u8>,
) -> Result<&'b [u8], Error> {
    use std::io::Read as _;

    scratch.clear();
    // One byte more than the limit tells what just fits from what goes on.
    let most = (limit as u64).saturating_add(1);
    let mut decoder = flate2::read::ZlibDecoder::new(packed);
    let size = decoder.by_ref().take(most).read_to_end(scratch);
    match size {
        Ok(size) if size <= limit && decoder.total_in() == packed.len() as u64 => Ok(scratch),
        size => {
            scratch.clear();
            let over = size.is_ok_and(|size| size > limit);
            let kind = if over { ErrorKind::SizeLimit { limit } } else { ErrorKind::Inflate };
            Err(Error::new(kind))
        }
    }
}

#[cfg(not(feature = "zlib"))]
pub(super) fn inflate<'b>(_: &[u8], _: usize, _: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
    Err(Error::new(ErrorKind::UnknownCompression { byte: Compression::Zlib.byte() }))
}
