//! The serializer pair: from values to messages that say by which schema they were written, and
//! back.

mod decoder;
mod deserializer;
mod properties;
mod references;
mod serializer;

pub use decoder::AvroDecoder;
pub use deserializer::{AvroDeserializer, AvroReader};
pub use properties::SerdeProperties;
pub use serializer::{AvroSerializer, AvroWriter, SchemaChoice, Strictness};

use crate::error::{Error, ErrorKind};
use crate::subject::Part;

impl From<Part> for avro_wire::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Key => Self::Key,
            Part::Value => Self::Value,
        }
    }
}

fn codec(kind: ErrorKind, error: avro_wire::Error) -> Error {
    Error::build(kind).with_source(error).into()
}
