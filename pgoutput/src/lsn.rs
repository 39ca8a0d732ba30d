use core::{fmt, num::ParseIntError, str::FromStr};

use thiserror::Error as ThisError;

/// A position in the write-ahead log: a byte count from its beginning.
///
/// Text form as in the server: two hexadecimal halves, `16/B374D848`. Zero means "none".
///
/// ```
/// let lsn: pgoutput::Lsn = "16/B374D848".parse()?;
/// assert_eq!(lsn.get(), 0x16_B374_D848);
/// assert_eq!(lsn.to_string(), "16/B374D848");
/// # Ok::<_, pgoutput::ParseLsnError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// No position at all.
    pub const ZERO: Self = Self(0);

    /// A position from its byte count.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The byte count.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Self((u64::from(half(high)?) << 32) | u64::from(half(low)?)))
    }
}

fn half(text: &str) -> Result<u32, ParseLsnError> {
    // from_str_radix would take a sign, the server does not.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ParseLsnError);
    }
    u32::from_str_radix(text, 16).map_err(|_| ParseLsnError)
}

/// The text is not two hexadecimal numbers of at most 8 digits around a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[error("not a log sequence number")]
#[non_exhaustive]
pub struct ParseLsnError;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            #[doc = concat!("Wraps ", $what, ".")]
            #[must_use]
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

number! {
    /// An object identifier of the system catalog: of a table or a type.
    Oid, "an object identifier"
}
number! {
    /// A transaction id, 32 bits as on the wire: it wraps around, so the order of two of them says
    /// nothing about which came first.
    Xid, "a transaction id"
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_form() {
        for (text, value) in [
            ("0/0", 0),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
            ("0/1", 1),
            ("FFFFFFFF/1", 0xFFFF_FFFF_0000_0001),
        ] {
            assert_eq!(text.parse(), Ok(Lsn::new(value)));
            assert_eq!(Lsn::new(value).to_string(), text);
        }
        assert_eq!("16/b374d848".parse(), Ok(Lsn::new(0x16_B374_D848)));
        for bad in ["", "/", "1/", "/1", "+1/1", "1/-1", "123456789/0", "1/2/3", "x/1", "10"] {
            assert_eq!(bad.parse::<Lsn>(), Err(ParseLsnError), "{bad}");
        }
    }
}
