//! Headers of Kafka records.

use super::{Frame, Framing};
use crate::Error;

/// Which half of a Kafka record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a record has a key and a value")]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// A header to add to a Kafka record.
///
/// ```
/// use avro_wire::{Framing, Part, SchemaRef};
///
/// let header = Framing::ConfluentHeader.header(Part::Key, SchemaRef::Guid([9; 16]))?.unwrap();
/// assert_eq!(header.name(), "__key_schema_id");
/// assert_eq!(header.value()[..3], [1, 9, 9]);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    name: &'static str,
    value: [u8; 17],
    length: usize,
}

impl Header {
    pub(super) fn new(name: &'static str, parts: &[&[u8]]) -> Self {
        let (mut value, mut length) = ([0; 17], 0);
        let bytes = parts.iter().flat_map(|part| part.iter());
        for (place, byte) in value.iter_mut().zip(bytes) {
            *place = *byte;
            length += 1;
        }
        Self { name, value, length }
    }

    /// The name of the header.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The bytes of the header.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.value.get(..self.length).unwrap_or_default()
    }
}

impl Part {
    pub(super) const fn confluent_header(self) -> &'static str {
        match self {
            Self::Key => "__key_schema_id",
            Self::Value => "__value_schema_id",
        }
    }
}

/// The header has the form of a prefix with nothing behind it.
pub(super) fn read_confluent<'a>(header: &[u8], message: &'a [u8]) -> Result<Frame<'a>, Error> {
    let frame = Framing::ConfluentPrefix.split(header)?;
    match frame.datum.len() {
        0 => Ok(Frame::new(frame.schema, message)),
        count => {
            let offset = header.len() - count;
            Err(Error::at(crate::ErrorKind::TrailingBytes { count }, offset))
        }
    }
}
