//! UUIDs as bytes and as text.

use core::fmt;
use core::str::FromStr;

use crate::{Error, ErrorKind};

/// A UUID: 16 bytes in a `fixed`, 36 characters in a `string`.
///
/// ```
/// use avro_wire::logical::Uuid;
///
/// let uuid: Uuid = "00112233-4455-6677-8899-AABBCCDDEEFF".parse()?;
/// assert_eq!(uuid.to_bytes()[..3], [0x00, 0x11, 0x22]);
/// assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The UUID of these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, in the order in which they are written.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Takes the form with four hyphens (RFC 9562, section 4), in either case.
impl FromStr for Uuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 16];
        let mut nibbles = 0;
        for (position, character) in text.char_indices() {
            let invalid = || Error::at(ErrorKind::InvalidText, position);
            if HYPHENS.contains(&position) {
                if character != '-' {
                    return Err(invalid());
                }
                continue;
            }
            let nibble = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let byte = bytes.get_mut(nibbles / 2).ok_or_else(invalid)?;
            *byte = (*byte << 4) | nibble.ok_or_else(invalid)?;
            nibbles += 1;
        }
        if nibbles == 32 {
            Ok(Self(bytes))
        } else {
            Err(Error::at(ErrorKind::InvalidText, text.len()))
        }
    }
}

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
