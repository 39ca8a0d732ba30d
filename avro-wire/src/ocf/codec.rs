//! How blocks are compressed.

use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::{Error, ErrorKind};

/// How the bytes of a block are stored (Avro 1.12, "Required Codecs" and "Optional Codecs").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As they are.
    Null,
    /// DEFLATE (RFC 1951) without a zlib header or checksum.
    Deflate,
    /// One raw block of snappy, then the CRC-32 of what it was made of, big-endian. Feature
    /// `snappy`.
    #[cfg(feature = "snappy")]
    Snappy,
    /// A frame of zstandard (RFC 8878), written at level 3. Feature `zstandard`.
    #[cfg(feature = "zstandard")]
    Zstandard,
    /// A bzip2 stream, written at level 9. Feature `bzip2`.
    #[cfg(feature = "bzip2")]
    Bzip2,
}

impl Codec {
    /// All that the features of this build have.
    pub const ALL: &'static [Self] = &[
        Self::Null,
        Self::Deflate,
        #[cfg(feature = "snappy")]
        Self::Snappy,
        #[cfg(feature = "zstandard")]
        Self::Zstandard,
        #[cfg(feature = "bzip2")]
        Self::Bzip2,
    ];

    /// The name in `avro.codec`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            #[cfg(feature = "snappy")]
            Self::Snappy => "snappy",
            #[cfg(feature = "zstandard")]
            Self::Zstandard => "zstandard",
            #[cfg(feature = "bzip2")]
            Self::Bzip2 => "bzip2",
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Result<Self, Error> {
        let known = Self::ALL.iter().find(|codec| codec.name().as_bytes() == name);
        known
            .copied()
            .ok_or_else(|| Error::named(ErrorKind::UnknownCodec, &String::from_utf8_lossy(name)))
    }

    /// What a block is stored as: itself, or what `packed` is overwritten with.
    pub(super) fn pack<'b>(
        self,
        block: &'b [u8],
        packed: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Error> {
        packed.clear();
        let done = match self {
            Self::Null => return Ok(block),
            Self::Deflate => {
                let mut encoder = DeflateEncoder::new(&mut *packed, Compression::default());
                encoder.write_all(block).and_then(|()| encoder.finish().map(drop)).ok()
            }
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::pack(block, packed),
            #[cfg(feature = "zstandard")]
            Self::Zstandard => zstandard::pack(block, packed),
            #[cfg(feature = "bzip2")]
            Self::Bzip2 => {
                let mut encoder =
                    bzip2::write::BzEncoder::new(&mut *packed, bzip2::Compression::best());
                encoder.write_all(block).and_then(|()| encoder.finish().map(drop)).ok()
            }
        };
        done.map(|()| &**packed).ok_or_else(|| Error::new(ErrorKind::Value))
    }

    /// The block that is stored as `stored`: that itself, or what `block` is overwritten with.
    /// Memory grows with what really comes out, never by what the bytes claim.
    pub(super) fn unpack(
        self,
        stored: &[u8],
        limit: usize,
        block: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        block.clear();
        match self {
            Self::Null => Ok(()),
            // What follows the stream is let pass: fastavro leaves a part of zlib's checksum there.
            Self::Deflate => drain(DeflateDecoder::new(stored), limit, block),
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::unpack(stored, limit, block),
            #[cfg(feature = "zstandard")]
            Self::Zstandard => zstandard::unpack(stored, limit, block),
            #[cfg(feature = "bzip2")]
            Self::Bzip2 => {
                let mut decoder = bzip2::read::BzDecoder::new(stored);
                drain(&mut decoder, limit, block)?;
                let all = decoder.total_in() == stored.len() as u64;
                if all { Ok(()) } else { Err(ErrorKind::Inflate) }
            }
        }
    }
}

fn drain(decoder: impl Read, limit: usize, block: &mut Vec<u8>) -> Result<(), ErrorKind> {
    // One byte more than the limit tells a full block from one that goes on.
    let most = (limit as u64).saturating_add(1);
    match decoder.take(most).read_to_end(block) {
        Ok(size) if size <= limit => Ok(()),
        Ok(_) => Err(ErrorKind::SizeLimit { limit }),
        Err(_) => Err(ErrorKind::Inflate),
    }
}

#[cfg(feature = "snappy")]
mod snappy {
    use crate::ErrorKind;

    pub(super) fn pack(block: &[u8], packed: &mut Vec<u8>) -> Option<()> {
        packed.resize(snap::raw::max_compress_len(block.len()), 0);
        let size = snap::raw::Encoder::new().compress(block, packed).ok()?;
        packed.truncate(size);
        packed.extend_from_slice(&crc32fast::hash(block).to_be_bytes());
        Some(())
    }

    pub(super) fn unpack(
        stored: &[u8],
        limit: usize,
        block: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        let (stored, checksum) = stored.split_last_chunk().ok_or(ErrorKind::Inflate)?;
        let size = snap::raw::decompress_len(stored).map_err(|_| ErrorKind::Inflate)?;
        if size > limit {
            return Err(ErrorKind::SizeLimit { limit });
        }
        // A copy of 64 bytes takes three, and nothing says more with less.
        if size / 64 > stored.len() / 3 {
            return Err(ErrorKind::Inflate);
        }
        block.resize(size, 0);
        let decoded = snap::raw::Decoder::new().decompress(stored, block);
        if decoded != Ok(size) {
            return Err(ErrorKind::Inflate);
        }
        let right = crc32fast::hash(block) == u32::from_be_bytes(*checksum);
        if right { Ok(()) } else { Err(ErrorKind::Checksum) }
    }
}

#[cfg(feature = "zstandard")]
mod zstandard {
    use crate::ErrorKind;

    pub(super) fn pack(block: &[u8], packed: &mut Vec<u8>) -> Option<()> {
        packed.reserve(zstd_safe::compress_bound(block.len()));
        zstd_safe::compress(packed, block, zstd_safe::CLEVEL_DEFAULT).ok().map(drop)
    }

    /// In one call, which needs no window: a stream of a few bytes may ask for one of 128 MiB.
    /// The size in the header is a claim, so room is doubled as long as it was filled.
    pub(super) fn unpack(
        stored: &[u8],
        limit: usize,
        block: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        let mut room = stored.len().saturating_mul(8).max(FIRST_ROOM);
        loop {
            room = room.min(limit);
            block.clear();
            block.reserve(room);
            match zstd_safe::decompress(block, stored) {
                Ok(size) if size <= limit => return Ok(()),
                Err(code) if code == TOO_SMALL && room < limit => room = room.saturating_mul(2),
                Err(TOO_SMALL) | Ok(_) => return Err(ErrorKind::SizeLimit { limit }),
                Err(_) => return Err(ErrorKind::Inflate),
            }
        }
    }

    /// Enough for the blocks of most writers.
    const FIRST_ROOM: usize = 128 << 10;

    /// `ZSTD_error_dstSize_tooSmall`, one of the codes that zstd promises not to change, in the
    /// form in which functions return it.
    const TOO_SMALL: usize = 0_usize.wrapping_sub(70);
}
