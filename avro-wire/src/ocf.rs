//! Object container files: many datums of one schema in a file (Avro 1.12, "Object Container
//! Files"). Feature `ocf`.
//!
//! The writer takes datums that are encoded already and copies them into blocks; it never decodes.
//! Codecs beside null and deflate have a feature each: `snappy`, `zstandard` and `bzip2`.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `Obj`, 1 |
//! | metadata | map of bytes: `avro.schema`, `avro.codec`, and what the writer adds |
//! | sync marker | 16 bytes |
//! | each block | count (long), size in bytes (long), datums (compressed), sync marker |
//!
//! ```
//! use avro_wire::ocf::{Codec, Reader, Writer};
//! use avro_wire::Schema;
//!
//! let schema = Schema::parse(r#""string""#)?;
//! let mut file = Vec::new();
//! let mut writer = Writer::new(&schema, Codec::Deflate, [7; 16]);
//! writer.header(&mut file);
//! writer.append(b"\x04hi", &mut file)?;
//! writer.append(b"\x06you", &mut file)?;
//! writer.finish(&mut file)?;
//!
//! let mut reader = Reader::new(&file)?;
//! assert_eq!(reader.next()?, Some(&b"\x04hi"[..]));
//! assert_eq!(reader.next()?, Some(&b"\x06you"[..]));
//! assert_eq!(reader.next()?, None);
//! # Ok::<(), avro_wire::Error>(())
//! ```

mod codec;
mod read;
mod write;

pub use self::codec::Codec;
pub use self::read::Reader;
pub use self::write::Writer;

const MAGIC: [u8; 4] = *b"Obj\x01";
const SCHEMA_KEY: &str = "avro.schema";
const CODEC_KEY: &str = "avro.codec";
