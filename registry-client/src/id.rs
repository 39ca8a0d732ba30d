//! The numbers and names a registry gives to schemas.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::error::Error;

/// The number a registry gives to a schema's content; it stands in front of every datum. Never
/// reused for another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(u32);

impl SchemaId {
    /// The id with this number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SchemaId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// The UUID a registry derives from a schema's content, the same in every registry and context.
/// Confluent's registry has them since 8.0; they travel in record headers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// The GUID with these bytes, big-endian, as they stand in a record header.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, big-endian.
    #[must_use]
    pub const fn get(self) -> [u8; 16] {
        self.0
    }
}

/// Writes the 36 lower-case characters that paths and answers have.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// Reads 32 hexadecimal digits of either case, with or without the four hyphens.
impl FromStr for Guid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::config("a GUID has 32 hexadecimal digits");
        let hyphens_fit = match text.len() {
            32 => !text.contains('-'),
            36 => text
                .bytes()
                .enumerate()
                .all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23)),
            _ => false,
        };
        if !hyphens_fit {
            return Err(bad());
        }
        let mut digits =
            text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
        let mut guid = [0; 16];
        for byte in &mut guid {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(bad());
            };
            *byte = u8::try_from(high * 16 + low).map_err(|_| bad())?;
        }
        Ok(Self(guid))
    }
}

/// A version within a subject: 1 or more, or the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(Option<u32>);

impl Version {
    /// Whatever version is the newest when the registry answers.
    pub const LATEST: Self = Self(None);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(Some(number))
    }

    /// The number; `None` for [`LATEST`](Self::LATEST).
    #[must_use]
    pub const fn get(self) -> Option<u32> {
        self.0
    }

    /// Registries write the latest version as -1.
    pub(crate) fn from_wire(number: i64) -> Self {
        u32::try_from(number).map_or(Self::LATEST, Self::new)
    }

    pub(crate) fn to_wire(self) -> i64 {
        self.0.map_or(-1, i64::from)
    }
}

/// Writes the number, or `latest`, as paths have it.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("latest"),
        }
    }
}

/// Reads a number, `latest` or `-1`.
impl FromStr for Version {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text {
            "latest" | "-1" => Ok(Self::LATEST),
            number => number.parse().map(Self::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_read_back_and_nothing_else_is_one() {
        let text = "8f2c2d1e-00ff-4abc-9def-0123456789ab";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.to_string(), text);
        assert_eq!(guid.get()[..4], [0x8f, 0x2c, 0x2d, 0x1e]);
        assert_eq!(text.replace('-', "").to_uppercase().parse::<Guid>().unwrap(), guid);
        assert_eq!(Guid::new(guid.get()), guid);
        for bad in [
            "",
            "8f2c2d1e",
            "8f2c2d1e-00ff-4abc-9def-0123456789ag",
            "8f2c2d1e00ff-4abc-9def-0123456789ab-",
            "8f2c2d1e-00ff-4abc-9def-0123456789a-",
            "--------------------------------",
            "8f2c2d1é00ff4abc9def0123456789a",
        ] {
            assert!(bad.parse::<Guid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_read_both_words_for_the_latest() {
        assert_eq!("latest".parse(), Ok(Version::LATEST));
        assert_eq!("-1".parse(), Ok(Version::LATEST));
        assert_eq!("7".parse(), Ok(Version::new(7)));
        assert!("-2".parse::<Version>().is_err());
        for version in [Version::LATEST, Version::new(3)] {
            assert_eq!(Version::from_wire(version.to_wire()), version);
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }
}
