//! Headers that say by which schema a datum was written.

mod apicurio;
mod compression;
mod header;
mod id;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use self::apicurio::ApicurioHeaders;
pub use self::compression::Compression;
pub use self::header::{Header, Part};
pub use self::id::{ContentId, GlobalId, IdSpace, SchemaRef};
use crate::{Error, ErrorKind};

/// The form of the header in front of a datum, or beside it in the headers of the Kafka record.
///
/// | framing | bytes |
/// |---|---|
/// | [`Framing::Confluent`] | `00`, schema id as a big-endian 32-bit number, datum |
/// | [`Framing::ConfluentGuid`] | `01`, 16 bytes of UUID, datum |
/// | [`Framing::ConfluentPrefix`] | one of the two; the first byte says which |
/// | [`Framing::ConfluentHeader`] | record header `__key_schema_id` or `__value_schema_id` with one of the two, and the datum alone; without the header as [`Framing::ConfluentPrefix`] |
/// | [`Framing::Apicurio4`] | `00`, 4 bytes of id, datum |
/// | [`Framing::Apicurio8`] | `00`, 8 bytes of id, datum |
/// | [`Framing::ApicurioOptimistic`] | as the 4-byte form, or, where those are zero, the 8-byte form |
/// | [`Framing::ApicurioHeader`] | record headers `apicurio.value.globalId`, …, and the datum alone; see [`ApicurioHeaders`] |
/// | [`Framing::Glue`] | `03`, `00` (none) or `05` (zlib), 16 bytes of UUID, datum, perhaps compressed |
/// | [`Framing::GlueZlib`] | the same; it differs in that it writes `05` |
/// | [`Framing::SingleObject`] | `C3 01`, CRC-64-AVRO as a little-endian 64-bit number, datum |
///
/// Several of them start with the same byte, and no byte tells them apart: the reader has to know
/// which one it is about to see. [`Framing::possible`] lists what a message could be.
/// A record without a value (a tombstone) has no framing at all.
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
    /// Confluent's first format, also the default of Apicurio's `ccompat` API.
    Confluent,
    /// Confluent's second format in front of the datum.
    ConfluentGuid,
    /// Either of Confluent's formats in front of the datum. Writes the one for the reference.
    ConfluentPrefix,
    /// Confluent's formats in a record header; reads the prefix when there is no header.
    ConfluentHeader,
    /// The default of Apicurio 3, whose ids are content ids unless configured otherwise.
    Apicurio4(IdSpace),
    /// Apicurio's older format, whose ids are global ids unless configured otherwise.
    Apicurio8(IdSpace),
    /// Reads both, as Apicurio's optimistic handler does; writes four bytes where the id fits.
    ///
    /// An id of four bytes that is zero is taken for the start of eight, which is safe, because
    /// Apicurio counts from one; ids beyond 32 bits must not be read this way.
    ApicurioOptimistic(IdSpace),
    /// Apicurio's record headers.
    ApicurioHeader(IdSpace),
    /// AWS Glue; writes uncompressed.
    Glue,
    /// AWS Glue; writes compressed with zlib, which needs the feature `zlib`.
    GlueZlib,
    /// Avro's single-object encoding (Avro 1.12, "Single-object encoding").
    SingleObject,
}

/// A message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Which schema the datum was written by.
    pub schema: SchemaRef,
    /// How `datum` is compressed; only AWS Glue does that. See [`Frame::inflate`].
    pub compression: Compression,
    /// The Avro datum, without header.
    pub datum: &'a [u8],
}

impl Framing {
    /// Confluent's first format.
    pub const CONFLUENT: Self = Self::Confluent;
    /// Confluent's second format, in front of the datum.
    pub const CONFLUENT_GUID: Self = Self::ConfluentGuid;
    /// Apicurio's own serializers as they come: four bytes, content ids.
    pub const APICURIO: Self = Self::Apicurio4(IdSpace::Content);
    /// AWS Glue.
    pub const GLUE: Self = Self::Glue;

    /// Splits `message` into header and datum.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEnd`] when the header is cut off, [`ErrorKind::UnknownMagic`] when
    /// the message is of another framing, [`ErrorKind::InvalidId`] for a negative id,
    /// [`ErrorKind::UnknownCompression`], and [`ErrorKind::NoReference`] for
    /// [`Framing::ApicurioHeader`], which has nothing in the message.
    #[inline]
    pub fn split<'a>(&self, message: &'a [u8]) -> Result<Frame<'a>, Error> {
        match self {
            Self::Confluent => {
                if let Some(([0, id @ ..], datum)) = message.split_first_chunk::<5>() {
                    Ok(Frame::new(SchemaRef::Id(u32::from_be_bytes(*id)), datum))
                } else {
                    Err(not_found(message, &[0], 5))
                }
            }
            _ => self.split_other(message),
        }
    }

    fn split_other<'a>(self, message: &'a [u8]) -> Result<Frame<'a>, Error> {
        match (self, message) {
            (Self::Confluent, _) => self.split(message),
            (Self::ConfluentPrefix | Self::ConfluentHeader, [0, ..]) => {
                Self::Confluent.split(message)
            }
            (Self::ConfluentGuid | Self::ConfluentPrefix | Self::ConfluentHeader, _) => {
                if let Some(([1, guid @ ..], datum)) = message.split_first_chunk::<17>() {
                    Ok(Frame::new(SchemaRef::Guid(*guid), datum))
                } else {
                    Err(not_found(message, &[1], 17))
                }
            }
            (Self::Apicurio4(space), _) => match message.split_first_chunk::<5>() {
                Some(([0, id @ ..], datum)) => {
                    Ok(Frame::new(space.reference(u32::from_be_bytes(*id).into()), datum))
                }
                _ => Err(not_found(message, &[0], 5)),
            },
            (Self::ApicurioOptimistic(space), _)
                if !matches!(message, [0, 0, 0, 0, 0, _, _, _, _, ..]) =>
            {
                Self::Apicurio4(space).split(message)
            }
            (Self::Apicurio8(space) | Self::ApicurioOptimistic(space), _) => {
                match message.split_first_chunk::<9>() {
                    Some(([0, id @ ..], datum)) => Ok(Frame::new(space.read(*id, 1)?, datum)),
                    _ => Err(not_found(message, &[0], 9)),
                }
            }
            (Self::ApicurioHeader(_), _) => Err(Error::new(ErrorKind::NoReference)),
            (Self::Glue | Self::GlueZlib, _) => match message.split_first_chunk::<18>() {
                Some(([3, compression, guid @ ..], datum)) => Ok(Frame {
                    schema: SchemaRef::Guid(*guid),
                    compression: Compression::from_byte(*compression)?,
                    datum,
                }),
                _ => Err(not_found(message, &[3], 18)),
            },
            (Self::SingleObject, _) => match message.split_first_chunk::<10>() {
                Some(([0xc3, 1, hash @ ..], datum)) => {
                    Ok(Frame::new(SchemaRef::Fingerprint(u64::from_le_bytes(*hash)), datum))
                }
                _ => Err(not_found(message, &[0xc3, 1], 10)),
            },
        }
    }

    /// Splits the key or value of a Kafka record, with the headers of that record. Framings that
    /// do not use headers ignore them. Of headers with the same name the last one counts, as for
    /// Kafka's own `lastHeader`.
    ///
    /// ```
    /// use avro_wire::{Framing, Part, SchemaRef};
    ///
    /// let headers = [("__value_schema_id", &b"\x00\x00\x00\x00\x07"[..])];
    /// let frame = Framing::ConfluentHeader.split_record(Part::Value, headers, b"datum")?;
    /// assert_eq!((frame.schema, frame.datum), (SchemaRef::Id(7), &b"datum"[..]));
    /// # Ok::<(), avro_wire::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Framing::split`]; a header that is there but broken is an error, not a reason to look
    /// at the prefix. [`ErrorKind::NoReference`] when Apicurio's headers hold no id.
    pub fn split_record<'a, 'h>(
        &self,
        part: Part,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        message: &'a [u8],
    ) -> Result<Frame<'a>, Error> {
        match self {
            Self::ConfluentHeader => {
                let name = part.confluent_header();
                match headers.into_iter().filter(|(found, _)| *found == name).last() {
                    Some((_, value)) => header::read_confluent(value, message),
                    None => self.split(message),
                }
            }
            Self::ApicurioHeader(space) => {
                let reference = ApicurioHeaders::read(part, headers)?.reference(*space);
                let schema = reference.ok_or_else(|| Error::new(ErrorKind::NoReference))?;
                Ok(Frame::new(schema, message))
            }
            _ => self.split(message),
        }
    }

    /// Appends the header for `schema` to `out`; behind it belongs the datum. For the framings in
    /// record headers this appends nothing: see [`Framing::header`].
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedReference`] when this framing cannot carry that kind of reference or
    /// an id so large. `out` is then as it was.
    #[inline]
    pub fn write_header(&self, schema: SchemaRef, out: &mut Vec<u8>) -> Result<(), Error> {
        match (self, schema) {
            (Self::Confluent, SchemaRef::Id(id)) => {
                let [a, b, c, d] = id.to_be_bytes();
                out.extend_from_slice(&[0, a, b, c, d]);
                Ok(())
            }
            _ => self.write_other(schema, out),
        }
    }

    fn write_other(self, schema: SchemaRef, out: &mut Vec<u8>) -> Result<(), Error> {
        match (self, schema) {
            (Self::ConfluentPrefix, SchemaRef::Id(_)) => {
                return Self::Confluent.write_header(schema, out);
            }
            (Self::ConfluentGuid | Self::ConfluentPrefix, SchemaRef::Guid(guid)) => {
                out.push(1);
                out.extend_from_slice(&guid);
            }
            (Self::ConfluentHeader | Self::ApicurioHeader(_), _) => {
                self.header(Part::Value, schema)?;
            }
            (Self::Apicurio4(space), _) => {
                let id = space.id(schema)?;
                let id = u32::try_from(id).map_err(|_| unsupported())?;
                out.push(0);
                out.extend_from_slice(&id.to_be_bytes());
            }
            (Self::Apicurio8(space), _) => {
                let id = space.id(schema)?;
                out.push(0);
                out.extend_from_slice(&id.to_be_bytes());
            }
            (Self::ApicurioOptimistic(space), _) => {
                // Neither a zero nor an id beyond 32 bits would be read back as it was.
                match space.id(schema)? {
                    0 => return Err(unsupported()),
                    _ => return Self::Apicurio4(space).write_header(schema, out),
                }
            }
            (Self::Glue | Self::GlueZlib, SchemaRef::Guid(guid)) => {
                let compression =
                    if self == Self::Glue { Compression::None } else { Compression::Zlib };
                out.extend_from_slice(&[3, compression.byte()]);
                out.extend_from_slice(&guid);
            }
            (Self::SingleObject, SchemaRef::Fingerprint(hash)) => {
                out.extend_from_slice(&[0xc3, 1]);
                out.extend_from_slice(&hash.to_le_bytes());
            }
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    /// Appends header and datum, compressing the datum where the framing says so.
    ///
    /// # Errors
    /// As [`Framing::write_header`], and [`ErrorKind::UnknownCompression`] for
    /// [`Framing::GlueZlib`] without the feature `zlib`.
    pub fn write(&self, schema: SchemaRef, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        self.write_header(schema, out)?;
        if *self == Self::GlueZlib {
            return compression::deflate(datum, out).inspect_err(|_| out.truncate(start));
        }
        out.extend_from_slice(datum);
        Ok(())
    }

    /// The record header that carries `schema`; `None` for framings that stand in the message.
    ///
    /// # Errors
    /// As [`Framing::write_header`].
    pub fn header(&self, part: Part, schema: SchemaRef) -> Result<Option<Header>, Error> {
        match (self, schema) {
            (Self::ConfluentHeader, SchemaRef::Id(id)) => {
                Ok(Some(Header::new(part.confluent_header(), &[&[0], &id.to_be_bytes()])))
            }
            (Self::ConfluentHeader, SchemaRef::Guid(guid)) => {
                Ok(Some(Header::new(part.confluent_header(), &[&[1], &guid])))
            }
            (Self::ApicurioHeader(space), _) => {
                let id = space.id(schema)?.to_be_bytes();
                Ok(Some(Header::new(apicurio::id_header(part, *space), &[&id])))
            }
            (Self::ConfluentHeader, _) => Err(unsupported()),
            _ => Ok(None),
        }
    }

    /// Every framing in front of a datum that `message` could be, for a program that must ask or
    /// tell somebody. Mostly there are several, so this decides nothing: `00` starts four of them,
    /// and a bare datum may look like any of them.
    #[must_use]
    pub fn possible(message: &[u8]) -> Vec<Self> {
        use IdSpace::{Content, Global};
        let all = [
            Self::Confluent,
            Self::ConfluentGuid,
            Self::Apicurio4(Content),
            Self::Apicurio4(Global),
            Self::Apicurio8(Content),
            Self::Apicurio8(Global),
            Self::Glue,
            Self::SingleObject,
        ];
        all.into_iter().filter(|framing| framing.split(message).is_ok()).collect()
    }
}

impl<'a> Frame<'a> {
    #[inline]
    const fn new(schema: SchemaRef, datum: &'a [u8]) -> Self {
        Self { schema, compression: Compression::None, datum }
    }

    /// The datum as it was before it was compressed: itself where it was not, else inflated into
    /// `scratch`, whose old content is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Inflate`] when it is broken, [`ErrorKind::SizeLimit`] when it is larger than
    /// `limit` bytes, and [`ErrorKind::UnknownCompression`] for zlib without the feature `zlib`.
    pub fn inflate<'b>(&self, limit: usize, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error>
    where
        'a: 'b,
    {
        match self.compression {
            Compression::None => Ok(self.datum),
            Compression::Zlib => compression::inflate(self.datum, limit, scratch),
        }
    }
}

#[cold]
fn unsupported() -> Error {
    Error::new(ErrorKind::UnsupportedReference)
}

/// Why `message` does not start with `magic` and have a header of `length` bytes.
#[cold]
fn not_found(message: &[u8], magic: &[u8], length: usize) -> Error {
    let wrong = magic.iter().zip(message).position(|(expected, found)| expected != found);
    match wrong.and_then(|offset| Some((offset, *message.get(offset)?))) {
        Some((offset, byte)) => Error::at(ErrorKind::UnknownMagic { byte }, offset),
        None => Error::at(
            ErrorKind::UnexpectedEnd { missing: length.saturating_sub(message.len()) as u64 },
            message.len(),
        ),
    }
}
