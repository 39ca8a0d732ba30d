#![doc = include_str!("../README.md")]
//!
//! # Layout of an Avro datum
//!
//! | type | bytes |
//! |---|---|
//! | null | none |
//! | boolean | 1 byte, 0 or 1 |
//! | int, long | zigzag, then 7 bits a byte, lowest first, 1 to 10 bytes |
//! | float, double | 4 or 8 bytes, little-endian IEEE 754 |
//! | bytes, string | length as a long, then the bytes (string: UTF-8) |
//! | fixed | its bytes |
//! | enum | index of the symbol as an int |
//! | union | index of the branch as an int, then the value |
//! | array, map | blocks: count as a long (negative: a byte size follows), items; 0 ends |
//! | record | its fields in the order of the schema |
//!
//! # Types to meet first
//!
//! [`Schema`] is parsed once and shared; [`encode`] and [`decode`] are the way in and out for any
//! serde type; [`Framing`] takes off and puts on the header of the schema registry.
//!
//! # Coming from the Java serializer
//!
//! `GenericDatumWriter` and `GenericDatumReader` are [`encode`] and [`decode`]; the first five
//! bytes of `KafkaAvroSerializer` are [`Framing::CONFLUENT`]; `ResolvingDecoder` is [`Resolution`]; `Schema.Parser` is
//! [`Schema::parse`], with `addTypes` as [`Schema::parse_with`]; `DataFileWriter` is the `Writer`
//! of the module `ocf`; `JsonEncoder` is [`json::encode`] in [`json::Form::Avro`];
//! `DecimalConversion` and its like are the types of [`logical`]. The bytes are the same.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "apache-avro")]
pub mod apache;
mod canonical;
pub mod compatibility;
mod decode;
mod default;
mod encode;
mod error;
mod field;
mod framing;
pub mod json;
pub mod logical;
#[cfg(feature = "ocf")]
pub mod ocf;
mod parse;
pub mod primitive;
mod resolve;
mod row;
mod schema;
mod skip;
mod table;
mod view;

pub use decode::decode;
pub use encode::encode;
pub use error::{Error, ErrorKind};
pub use field::{FieldReader, Scalar};
pub use framing::{
    ApicurioHeaders, Compression, ContentId, Frame, Framing, GlobalId, Header, IdSpace, Part,
    SchemaRef,
};
pub use logical::Logical;
pub use resolve::Resolution;
pub use row::{RowCodec, recycle};
pub use schema::Schema;
pub use view::{FieldView, Kind, TypeView};
