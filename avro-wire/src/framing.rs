//! Headers that say by which schema a datum was written.

use alloc::vec::Vec;

use crate::{Error, ErrorKind};

/// The form of the header in front of a datum.
///
/// | framing | bytes |
/// |---|---|
/// | [`Framing::CONFLUENT`] | `00`, schema id as a big-endian 32-bit number, datum |
///
/// ```
/// use avro_wire::{Framing, SchemaRef};
///
/// let mut message = Vec::new();
/// Framing::CONFLUENT.write_header(SchemaRef::Id(7), &mut message)?;
/// message.extend_from_slice(b"datum");
///
/// let frame = Framing::CONFLUENT.split(&message)?;
/// assert_eq!(frame.schema, SchemaRef::Id(7));
/// assert_eq!(frame.datum, b"datum");
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// See [`Framing::CONFLUENT`].
    Confluent,
}

/// A message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Which schema the datum was written by.
    pub schema: SchemaRef,
    /// The Avro datum, without header.
    pub datum: &'a [u8],
}

/// A name of a schema inside a header. What it means depends on the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SchemaRef {
    /// The 32-bit id of Confluent's registry and of those that speak its protocol.
    Id(u32),
}

impl Framing {
    /// Confluent's first format, also the default of Apicurio's `ccompat` API.
    pub const CONFLUENT: Self = Self::Confluent;

    /// Splits `message` into header and datum.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`] when the header is cut off, [`ErrorKind::UnknownMagic`] when
    /// the message is of another framing.
    #[inline]
    pub fn split<'a>(&self, message: &'a [u8]) -> Result<Frame<'a>, Error> {
        match self {
            Self::Confluent => {
                if let Some(([0, id @ ..], datum)) = message.split_first_chunk::<5>() {
                    Ok(Frame { schema: SchemaRef::Id(u32::from_be_bytes(*id)), datum })
                } else {
                    Err(confluent_error(message))
                }
            }
        }
    }

    /// Appends the header for `schema` to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedReference`] when this framing cannot carry that kind of
    /// reference; [`Framing::CONFLUENT`] carries every [`SchemaRef::Id`].
    #[inline]
    pub fn write_header(&self, schema: SchemaRef, out: &mut Vec<u8>) -> Result<(), Error> {
        match (self, schema) {
            (Self::Confluent, SchemaRef::Id(id)) => {
                let [a, b, c, d] = id.to_be_bytes();
                out.extend_from_slice(&[0, a, b, c, d]);
                Ok(())
            }
        }
    }
}

#[cold]
fn confluent_error(message: &[u8]) -> Error {
    match message.first() {
        Some(&byte) if byte != 0 => Error::at(ErrorKind::UnknownMagic { byte }, 0),
        _ => Error::at(
            ErrorKind::UnexpectedEnd { missing: 5_u64.saturating_sub(message.len() as u64) },
            message.len(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_foreign_messages_are_refused() {
        for length in 0..5 {
            let error = Framing::CONFLUENT.split(&[0; 5][..length]).unwrap_err();
            let missing = 5 - length as u64;
            assert_eq!(error.kind(), ErrorKind::UnexpectedEnd { missing });
        }
        let error = Framing::CONFLUENT.split(&[3, 0, 0, 0, 1, 2]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownMagic { byte: 3 });
        let frame = Framing::CONFLUENT.split(&[0, 0xff, 0, 0, 1]).unwrap();
        assert_eq!((frame.schema, frame.datum), (SchemaRef::Id(0xff00_0001), &[][..]));
    }
}
