//! Datums into blocks.

use super::{CODEC_KEY, Codec, MAGIC, SCHEMA_KEY};
use crate::{Error, Schema, primitive};

/// Writes a container file piece by piece into buffers that the caller empties.
///
/// It holds one block, so its memory is bounded by 64,000 bytes and the largest datum. Two writers
/// given the same schema, codec, marker and datums write the same bytes.
#[derive(Debug, Clone)]
pub struct Writer {
    schema: Schema,
    codec: Codec,
    sync: [u8; 16],
    metadata: Vec<(String, Vec<u8>)>,
    block: Vec<u8>,
    /// Where `block` is compressed to.
    packed: Vec<u8>,
    count: usize,
}

impl Writer {
    /// A writer of datums of `schema`. `sync` separates the blocks of the file: sixteen bytes
    /// that are unlikely in the data, different for each file.
    #[must_use]
    pub fn new(schema: &Schema, codec: Codec, sync: [u8; 16]) -> Self {
        Self {
            schema: schema.clone(),
            codec,
            sync,
            metadata: Vec::new(),
            block: Vec::new(),
            packed: Vec::new(),
            count: 0,
        }
    }

    /// Adds an entry to the metadata of the file. Keys that start with `avro.` belong to the
    /// format; the writer's own entries win over them.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &[u8]) -> Self {
        if key != SCHEMA_KEY && key != CODEC_KEY {
            self.metadata.push((key.to_owned(), value.to_vec()));
        }
        self
    }

    /// Appends the header, which must come first in the file.
    ///
    /// The schema is written as its text. If it leans on references, write one that does not:
    /// readers of the file have nothing else.
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        primitive::write_length(2 + self.metadata.len(), out);
        entry(SCHEMA_KEY, self.schema.as_str().as_bytes(), out);
        entry(CODEC_KEY, self.codec.name().as_bytes(), out);
        for (key, value) in &self.metadata {
            entry(key, value, out);
        }
        out.push(0);
        out.extend_from_slice(&self.sync);
    }

    /// Takes one datum (without any framing) into the block, and appends the block to `out` once
    /// it holds 64,000 bytes. Mostly `out` stays as it is.
    ///
    /// The datum is taken on trust: what is not a datum of the schema makes the file unreadable
    /// from there on.
    ///
    /// # Errors
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) if the compressor fails, which it does not on memory buffers.
    pub fn append(&mut self, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.block.extend_from_slice(datum);
        self.count += 1;
        if self.block.len() >= BLOCK_SIZE { self.flush(out) } else { Ok(()) }
    }

    /// Appends the block begun, if there is one. The writer can go on behind it.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let stored = self.codec.pack(&self.block, &mut self.packed)?;
        primitive::write_length(self.count, out);
        primitive::write_bytes(stored, out);
        out.extend_from_slice(&self.sync);
        self.block.clear();
        self.count = 0;
        Ok(())
    }

    /// Appends what is left. A file may end here; it has no trailer.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.flush(out)
    }

    /// Bytes of datums that are in the block begun, before compression.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.block.len()
    }
}

/// The default of Java's `DataFileWriter`.
const BLOCK_SIZE: usize = 64_000;

fn entry(key: &str, value: &[u8], out: &mut Vec<u8>) {
    primitive::write_string(key, out);
    primitive::write_bytes(value, out);
}
