//! Blocks into datums.

use super::{CODEC_KEY, Codec, MAGIC, SCHEMA_KEY};
use crate::primitive;
use crate::table::EMPTY_ITEM_LIMIT;
use crate::{Error, ErrorKind, Schema};

/// Reads the datums of a container file that lies in memory.
///
/// Not an `Iterator`: where blocks are compressed, a datum is borrowed from the reader.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    schema: Schema,
    codec: Codec,
    metadata: Vec<(&'a str, &'a [u8])>,
    sync: [u8; 16],
    input: primitive::Reader<'a>,
    limit: usize,
    /// The datums left in the block.
    count: u64,
    /// With [`Codec::Null`], the block; else `inflated` is.
    stored: &'a [u8],
    inflated: Vec<u8>,
    position: usize,
}

impl<'a> Reader<'a> {
    /// Reads the header of `file`.
    ///
    /// # Errors
    /// [`ErrorKind::NotContainer`], [`ErrorKind::UnknownCodec`], errors of the metadata map and
    /// of [`Schema::parse`].
    pub fn new(file: &'a [u8]) -> Result<Self, Error> {
        let mut input = primitive::Reader::new(file);
        if input.read_array() != Ok(MAGIC) {
            return Err(Error::at(ErrorKind::NotContainer, 0));
        }
        let metadata = read_metadata(&mut input)?;
        let sync = input.read_array()?;
        let value = |name| metadata.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let codec = match value(CODEC_KEY) {
            None => Codec::Null,
            Some(name) => Codec::from_name(name)?,
        };
        let schema = value(SCHEMA_KEY).and_then(|text| core::str::from_utf8(text).ok());
        let schema = schema.ok_or_else(|| Error::new(ErrorKind::NotContainer))?;
        Ok(Self {
            schema: Schema::parse(schema)?,
            codec,
            metadata,
            sync,
            input,
            limit: DEFAULT_LIMIT,
            count: 0,
            stored: &[],
            inflated: Vec::new(),
            position: 0,
        })
    }

    /// Refuses blocks that inflate to more than `bytes`; 64 MiB if not set. That is also the most
    /// memory that compressed blocks take, beside what the codec needs: less than 4 MiB.
    #[must_use]
    pub const fn with_block_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The schema of the datums.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How the blocks are stored.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The metadata entry `key`.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&'a [u8]> {
        self.metadata.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
    }

    /// The next datum, or `None` at the end of the file.
    ///
    /// # Errors
    /// [`ErrorKind::SyncMismatch`], [`ErrorKind::Inflate`], [`ErrorKind::SizeLimit`],
    /// [`ErrorKind::Checksum`], and those of [`Schema::skip`], which finds the end of a datum. Offsets count from the start of the file
    /// for blocks and from the start of the datum within one. Do not go on after an error.
    #[allow(
        clippy::should_implement_trait,
        reason = "lends from the reader, which Iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        while self.count == 0 {
            self.check_used_up()?;
            if self.input.rest().is_empty() {
                return Ok(None);
            }
            self.read_block()?;
        }
        let block = match self.codec {
            Codec::Null => self.stored,
            _ => &self.inflated,
        };
        let rest = block.get(self.position..).unwrap_or_default();
        let length = self.schema.skip(rest)?;
        self.position += length;
        self.count -= 1;
        Ok(rest.get(..length))
    }

    fn check_used_up(&self) -> Result<(), Error> {
        let size = match self.codec {
            Codec::Null => self.stored.len(),
            _ => self.inflated.len(),
        };
        match size - self.position {
            0 => Ok(()),
            count => Err(self.input.error(ErrorKind::TrailingBytes { count })),
        }
    }

    fn read_block(&mut self) -> Result<(), Error> {
        let before = self.input.clone();
        let count = self.input.read_long()?;
        let stored = self.input.read_bytes()?;
        let after = self.input.clone();
        if self.input.read_array()? != self.sync {
            return Err(after.error(ErrorKind::SyncMismatch));
        }
        let size = match self.codec {
            Codec::Null => {
                self.stored = stored;
                stored.len()
            }
            codec => {
                let unpacked = codec.unpack(stored, self.limit, &mut self.inflated);
                unpacked.map_err(|kind| before.error(kind))?;
                self.inflated.len()
            }
        };
        self.position = 0;
        let item = u64::from(self.schema.table().min_size(*self.schema.root()));
        self.count = u64::try_from(count)
            .ok()
            .filter(|&items| match item {
                0 => items <= u64::from(EMPTY_ITEM_LIMIT),
                _ => items.saturating_mul(item) <= size as u64,
            })
            .ok_or_else(|| before.error(ErrorKind::ItemCount { count }))?;
        Ok(())
    }
}

const DEFAULT_LIMIT: usize = 64 << 20;

fn read_metadata<'a>(input: &mut primitive::Reader<'a>) -> Result<Vec<(&'a str, &'a [u8])>, Error> {
    let mut metadata = Vec::new();
    loop {
        let count = input.read_long()?;
        if count == 0 {
            return Ok(metadata);
        }
        let size = if count < 0 { Some(input.read_long()?) } else { None };
        let start = input.offset();
        for _ in 0..count.unsigned_abs() {
            metadata.push((input.read_str()?, input.read_bytes()?));
        }
        let taken = i64::try_from(input.offset() - start).unwrap_or(i64::MAX);
        if let Some(off) = size.map(|size| taken.saturating_sub(size)).filter(|&off| off != 0) {
            return Err(input.error(ErrorKind::BlockSize { off }));
        }
    }
}
