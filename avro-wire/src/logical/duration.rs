//! Months, days and milliseconds.

use core::fmt;

/// An amount of time in a `fixed` of 12 bytes: three little-endian numbers without a sign (Avro
/// 1.12, "Duration"). They do not carry over: a month has no set number of days, nor a day of
/// milliseconds.
///
/// ```
/// use avro_wire::logical::Duration;
///
/// let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 0x70, 0x17, 0, 0];
/// let duration = Duration::from_bytes(bytes);
/// assert_eq!(duration, Duration::new(1, 2, 6000));
/// assert_eq!(duration.to_bytes(), bytes);
/// assert_eq!(duration.to_string(), "P1M2DT6S");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Duration {
    months: u32,
    days: u32,
    millis: u32,
}

impl Duration {
    /// So many months, days and milliseconds.
    #[must_use]
    pub const fn new(months: u32, days: u32, millis: u32) -> Self {
        Self { months, days, millis }
    }

    /// From the bytes of the `fixed`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            months: u32::from_le_bytes([a, b, c, d]),
            days: u32::from_le_bytes([e, f, g, h]),
            millis: u32::from_le_bytes([i, j, k, l]),
        }
    }

    /// The bytes of the `fixed`.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 12] {
        let [a, b, c, d] = self.months.to_le_bytes();
        let [e, f, g, h] = self.days.to_le_bytes();
        let [i, j, k, l] = self.millis.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Months.
    #[must_use]
    pub const fn months(self) -> u32 {
        self.months
    }

    /// Days beside the months.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.days
    }

    /// Milliseconds beside the days.
    #[must_use]
    pub const fn millis(self) -> u32 {
        self.millis
    }
}

/// In the form of ISO 8601: `P1M2DT3.004S`, and `PT0S` for nothing.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        if self.months > 0 {
            write!(f, "{}M", self.months)?;
        }
        if self.days > 0 {
            write!(f, "{}D", self.days)?;
        }
        let (seconds, rest) = (self.millis / 1000, self.millis % 1000);
        if rest > 0 {
            write!(f, "T{seconds}.{rest:03}S")
        } else if seconds > 0 || (self.months == 0 && self.days == 0) {
            write!(f, "T{seconds}S")
        } else {
            Ok(())
        }
    }
}
