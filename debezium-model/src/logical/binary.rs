//! Bytes, and bit strings in them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Bytes as a column of type `bytea` has them: text in base64 in JSON, bytes in Avro.
///
/// With a `binary.handling.mode` other than `bytes` such a column is text, a `String`.
///
/// ```
/// use debezium_model::{Binary, from_json};
///
/// let bytes: Binary = from_json(br#""3q2+7w==""#)?;
/// assert_eq!(bytes.as_slice(), [0xde, 0xad, 0xbe, 0xef]);
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binary(Vec<u8>);

impl Binary {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Binary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes, or text in base64")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(bytes.to_vec()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Binary, E> {
                STANDARD.decode(text).map(Binary).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Binary, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Binary(bytes))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Bytes)
        } else {
            deserializer.deserialize_bytes(Bytes)
        }
    }
}

/// A bit string, `io.debezium.data.Bits`.
///
/// ```
/// use debezium_model::{Bits, from_json};
///
/// // B'100000000001'
/// let bits: Bits = from_json(br#""AQg=""#)?;
/// assert!(bits.get(0) && !bits.get(1) && bits.get(11) && !bits.get(99));
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bits(Binary);

impl Bits {
    /// A bit by its place from the right, which is 0 for the last one; none is set beyond the
    /// first one that is, because zeros in front do not come along.
    #[must_use]
    pub fn get(&self, place: usize) -> bool {
        self.0.0.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// The bits from the right, in whole bytes.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        bits(&self.0.0)
    }
}

/// The bits of the bytes of an `io.debezium.data.Bits`, least significant first: the bytes are
/// little-endian and lack what is zero at the end.
///
/// ```
/// use debezium_model::bits;
///
/// let set: Vec<usize> = bits(&[1, 8]).enumerate().filter(|bit| bit.1).map(|bit| bit.0).collect();
/// assert_eq!(set, [0, 11]);
/// ```
pub fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> + '_ {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
}
