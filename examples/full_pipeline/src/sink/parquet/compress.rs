//! Compression of pages, with memory that is used again.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};

use super::Codec;

/// Compresses one page after another.
#[derive(Default)]
pub(super) struct Compressor {
    snappy: Option<snap::raw::Encoder>,
    zstd: Option<zstd_safe::CCtx<'static>>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// The page as the file holds it.
    pub(super) fn compress<'p>(&'p mut self, codec: Codec, page: &'p [u8]) -> io::Result<&'p [u8]> {
        match codec {
            Codec::None => return Ok(page),
            Codec::Snappy => {
                self.packed.resize(snap::raw::max_compress_len(page.len()), 0);
                let encoder = self.snappy.get_or_insert_with(snap::raw::Encoder::new);
                let size = encoder.compress(page, &mut self.packed)?;
                self.packed.truncate(size);
            }
            Codec::Gzip => {
                self.packed.clear();
                let mut encoder = GzEncoder::new(&mut self.packed, Compression::default());
                encoder.write_all(page)?;
                encoder.finish()?;
            }
            Codec::Zstd => {
                self.packed.clear();
                self.packed.reserve(zstd_safe::compress_bound(page.len()));
                let context = self.zstd.get_or_insert_with(zstd_safe::CCtx::create);
                context.compress(&mut self.packed, page, zstd_safe::CLEVEL_DEFAULT).map_err(
                    |code| io::Error::other(format!("zstd: {}", zstd_safe::get_error_name(code))),
                )?;
            }
        }
        Ok(&self.packed)
    }
}
