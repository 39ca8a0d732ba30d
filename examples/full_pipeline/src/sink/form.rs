//! What the files of an object are made of: records in blocks, blocks one behind another.

use std::io::Write as _;

use avro_wire::{Schema, ocf, primitive};
use flate2::{Compression, write::GzEncoder};

#[cfg(feature = "parquet")]
use super::parquet::{self, Way};
use super::{content::Budget, json, schema::Known};
use crate::error::{Error, Part};

/// The default of Java's `DataFileWriter`, which Confluent's sink leaves as it is.
const AVRO_BLOCK: usize = 64_000;
/// Text is compressed by so much at a time, each a member of its own (RFC 1952, 2.2): an open
/// compressor would hold as much memory as the text.
const TEXT_BLOCK: usize = 256 << 10;

/// A record's key or value as its converter reads it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    /// A datum and its schema.
    Avro(&'a Known, &'a [u8]),
    /// Text.
    Text(&'a str),
    /// Bytes without a meaning.
    Bytes(&'a [u8]),
}

/// A format with its settings, the same for every file of the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Object container files with this codec.
    Avro(ocf::Codec),
    /// One JSON text a line, compressed by gzip with a level if there is one.
    Json(Option<u32>),
    /// The bytes with a separator behind each record.
    Bytes { separator: Vec<u8>, gzip: Option<u32> },
    /// Parquet files.
    #[cfg(feature = "parquet")]
    Parquet(parquet::Settings),
}

impl Format {
    /// What names of files end with.
    pub(crate) fn extension(&self, bytes: &str) -> String {
        match self {
            Self::Avro(_) => ".avro".to_owned(),
            Self::Json(None) => ".json".to_owned(),
            Self::Json(Some(_)) => ".json.gz".to_owned(),
            Self::Bytes { gzip: None, .. } => bytes.to_owned(),
            Self::Bytes { gzip: Some(_), .. } => format!("{bytes}.gz"),
            #[cfg(feature = "parquet")]
            Self::Parquet(settings) => settings.codec.extension().to_owned(),
        }
    }

    /// Appends the record to `out` as a block holds it, unless it is [copied](Self::copies), and
    /// gives what it adds to the size of the block.
    pub(super) fn record(&self, item: Item<'_>, out: &mut Vec<u8>) -> Result<usize, Error> {
        match (self, item) {
            (Self::Avro(_), Item::Avro(_, datum)) => return Ok(datum.len()),
            (Self::Avro(_), Item::Text(text)) => primitive::write_string(text, out),
            (Self::Avro(_), Item::Bytes(bytes)) => primitive::write_bytes(bytes, out),
            #[cfg(feature = "parquet")]
            (Self::Parquet(settings), item) => {
                match item {
                    Item::Avro(_, datum) => return way(*settings, item)?.check(datum),
                    // Behind the branch of their union.
                    Item::Text(text) => {
                        primitive::write_long(1, out);
                        primitive::write_string(text, out);
                    }
                    Item::Bytes(bytes) => {
                        primitive::write_long(1, out);
                        primitive::write_bytes(bytes, out);
                    }
                }
                return way(*settings, item)?.check(out);
            }
            (Self::Json(_), item) => {
                match item {
                    Item::Avro(known, datum) => known.json().write(datum, out)?,
                    Item::Text(text) => json::string(text, out),
                    Item::Bytes(bytes) => json::base64(bytes, out),
                }
                out.push(b'\n');
            }
            (Self::Bytes { separator, .. }, Item::Text(text)) => {
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(separator);
            }
            (Self::Bytes { separator, .. }, Item::Bytes(bytes)) => {
                out.extend_from_slice(bytes);
                out.extend_from_slice(separator);
            }
            (Self::Bytes { .. }, Item::Avro(..)) => {
                return Err(Error::new(Part::Data, "Avro cannot be written as plain bytes")
                    .with_advice("set the converter to ByteArrayConverter"));
            }
        }
        Ok(out.len())
    }

    /// The record where it goes into a block as it came.
    pub(super) const fn copies<'a>(&self, item: Item<'a>) -> Option<&'a [u8]> {
        match (self, item) {
            (Self::Avro(_), Item::Avro(_, datum)) => Some(datum),
            #[cfg(feature = "parquet")]
            (Self::Parquet(_), Item::Avro(_, datum)) => Some(datum),
            _ => None,
        }
    }

    /// A file's own state, and what it begins with.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(unused_variables, reason = "only row groups need it")
    )]
    pub(super) fn begin(
        &self,
        item: Item<'_>,
        sync: [u8; 16],
        budget: &Budget,
        out: &mut Vec<u8>,
    ) -> Result<Blocks, Error> {
        Ok(match self {
            Self::Avro(codec) => {
                let schema = match item {
                    Item::Avro(known, _) => known.schema().clone(),
                    Item::Text(_) => primitive_schema("\"string\""),
                    Item::Bytes(_) => primitive_schema("\"bytes\""),
                };
                ocf::Writer::new(&schema, *codec, sync).header(out);
                Blocks::Avro { schema, codec: *codec, sync, lengths: Vec::new(), count: 0 }
            }
            Self::Json(gzip) | Self::Bytes { gzip, .. } => Blocks::Text { gzip: *gzip },
            #[cfg(feature = "parquet")]
            Self::Parquet(settings) => {
                let way = way(*settings, item)?;
                Blocks::Parquet(parquet::Open::begin(&way, *settings, budget.workbench(), out)?)
            }
        })
    }
}

/// How records become columns.
#[cfg(feature = "parquet")]
fn way(settings: parquet::Settings, item: Item<'_>) -> Result<Way, Error> {
    match item {
        Item::Avro(known, _) => Ok(known.parquet(settings.keys).clone()),
        Item::Text(_) if settings.keys => Ok(Way::text_keys()),
        Item::Bytes(_) if settings.keys => Ok(Way::bytes_keys()),
        Item::Text(_) | Item::Bytes(_) => {
            Err(Error::new(Part::Data, "Parquet has no place for values that are no records")
                .with_advice("set the converter to AvroConverter"))
        }
    }
}

/// A schema of one word, which always parses.
fn primitive_schema(word: &str) -> Schema {
    match Schema::parse(word) {
        Ok(schema) => schema,
        Err(error) => unreachable!("{word}: {error}"),
    }
}

/// How the blocks of one file are closed.
#[derive(Debug)]
pub(super) enum Blocks {
    Avro {
        schema: Schema,
        codec: ocf::Codec,
        sync: [u8; 16],
        /// Of the datums in the block, where they are compressed.
        lengths: Vec<u32>,
        count: i64,
    },
    Text {
        gzip: Option<u32>,
    },
    #[cfg(feature = "parquet")]
    Parquet(parquet::Open),
}

impl Blocks {
    /// The size a block is closed at.
    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Avro { .. } => AVRO_BLOCK,
            Self::Text { .. } => TEXT_BLOCK,
            #[cfg(feature = "parquet")]
            Self::Parquet(open) => open.row_group(),
        }
    }

    /// Notes a record of this many bytes in the block begun, to whose size it adds `cost`.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(unused_variables, reason = "only row groups need it")
    )]
    pub(super) fn note(&mut self, len: usize, cost: usize) {
        match self {
            Self::Avro { codec, lengths, count, .. } => {
                *count += 1;
                if *codec != ocf::Codec::Null {
                    lengths.push(u32::try_from(len).unwrap_or(u32::MAX));
                }
            }
            Self::Text { .. } => {}
            #[cfg(feature = "parquet")]
            Self::Parquet(open) => open.note(cost),
        }
    }

    /// Whether the block begun, which has `len` bytes, is to be closed.
    pub(super) const fn is_full(&self, len: usize) -> bool {
        match self {
            Self::Avro { .. } | Self::Text { .. } => len >= self.size(),
            #[cfg(feature = "parquet")]
            Self::Parquet(open) => open.is_full(),
        }
    }

    /// Turns the bytes of a block into what the file holds.
    pub(super) fn close(
        &mut self,
        block: Vec<u8>,
        mut push: impl FnMut(Vec<u8>),
    ) -> Result<(), Error> {
        match self {
            Self::Avro { codec: ocf::Codec::Null, sync, count, .. } => {
                let mut head = Vec::with_capacity(20);
                primitive::write_long(std::mem::take(count), &mut head);
                primitive::write_long(block.len().try_into().unwrap_or(i64::MAX), &mut head);
                push(head);
                push(block);
                push(sync.to_vec());
            }
            Self::Avro { schema, codec, sync, lengths, count } => {
                *count = 0;
                let mut writer = ocf::Writer::new(schema, *codec, *sync);
                let mut packed = Vec::new();
                let mut rest = block.as_slice();
                for len in lengths.drain(..) {
                    let (datum, after) = rest.split_at_checked(len as usize).unwrap_or((rest, &[]));
                    writer.append(datum, &mut packed).map_err(refused)?;
                    rest = after;
                }
                writer.finish(&mut packed).map_err(refused)?;
                push(packed);
            }
            Self::Text { gzip: None } => push(block),
            Self::Text { gzip: Some(level) } => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(*level));
                let packed =
                    encoder.write_all(&block).and_then(|()| encoder.finish()).map_err(refused)?;
                push(packed);
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(open) => open.close_group(&block, push)?,
        }
        Ok(())
    }

    /// What the file ends with, behind its last block.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Avro { .. } | Self::Text { .. } => None,
            #[cfg(feature = "parquet")]
            Self::Parquet(open) => Some(open.footer()),
        }
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Part::Data, "cannot compress a block").with_cause(error)
}
