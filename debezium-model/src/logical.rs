//! Debezium's logical types that are more than a number or a text.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A decimal whose scale comes with the value, `io.debezium.data.VariableScaleDecimal`. The bytes
/// are whatever the format has: base64 text in JSON, bytes in Avro.
///
/// ```
/// use debezium_model::{VariableScaleDecimal, decimal_text, from_json};
///
/// let value: VariableScaleDecimal<String> = from_json(br#"{"scale":1,"value":"9Q=="}"#)?;
/// assert_eq!((value.scale, value.value.as_str()), (1, "9Q=="));
/// assert_eq!(decimal_text(&[0xf5], 1), Some("-1.1".to_owned()));
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VariableScaleDecimal<B> {
    /// Digits after the point.
    pub scale: i32,
    /// Big-endian two's complement of the number without its point.
    pub value: B,
}

/// A point, `io.debezium.data.geometry.Point`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Point<B> {
    /// The first coordinate.
    pub x: f64,
    /// The second coordinate.
    pub y: f64,
    /// The same as well-known binary.
    pub wkb: Option<B>,
    /// Identifies the reference system.
    pub srid: Option<i32>,
}

/// The text of a decimal from its big-endian two's complement and its scale, digits after the
/// point as many as the scale says. `None` for more than 16 bytes, which no 128-bit number holds,
/// and for scales that are negative or beyond 1000.
#[must_use]
pub fn decimal_text(unscaled: &[u8], scale: i32) -> Option<String> {
    let scale = usize::try_from(scale).ok().filter(|scale| *scale <= 1000)?;
    if unscaled.len() > 16 {
        return None;
    }
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    let number = unscaled.iter().fold(start, |number, byte| number << 8 | i128::from(*byte));
    let mut digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if number < 0 {
        digits.insert(0, '-');
    }
    Some(digits)
}

/// The bits of an `io.debezium.data.Bits`, least significant first: its bytes are little-endian
/// and lack what is zero at the end.
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

/// The moment of a number since 1970, in units of which so many make a second: 1000 for
/// `io.debezium.time.Timestamp`, a million for `MicroTimestamp`, a thousand million for
/// `NanoTimestamp`. `None` for no units at all, and for moments the system's clock cannot tell.
///
/// ```
/// use debezium_model::moment;
/// use std::time::{Duration, SystemTime};
///
/// let before = moment(-1_500, 1000).unwrap();
/// assert_eq!(SystemTime::UNIX_EPOCH.duration_since(before)?, Duration::from_millis(1500));
/// # Ok::<(), std::time::SystemTimeError>(())
/// ```
#[must_use]
pub fn moment(value: i64, per_second: u32) -> Option<SystemTime> {
    let units = i64::from(per_second);
    let seconds = value.checked_div_euclid(units)?;
    let rest = u64::try_from(value.checked_rem_euclid(units)?).ok()?;
    let nanos = Duration::from_nanos(rest.checked_mul(1_000_000_000)? / u64::from(per_second));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    start.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::{decimal_text, moment};

    #[test]
    fn decimals() {
        for (bytes, scale, text) in [
            (&[][..], 0, "0"),
            (&[0x00, 0x96], 2, "1.50"),
            (&[0xff], 2, "-0.01"),
            (&[0x01, 0x86, 0x9f], 2, "999.99"),
            (&[0x80], 0, "-128"),
        ] {
            assert_eq!(decimal_text(bytes, scale).as_deref(), Some(text));
        }
        let least = [&[0x80][..], &[0; 15]].concat();
        assert_eq!(decimal_text(&least, 0).unwrap(), i128::MIN.to_string());
        assert_eq!(decimal_text(&[1; 17], 0), None);
        assert_eq!(decimal_text(&[1], -1), None);
    }

    #[test]
    fn moments_at_the_edges() {
        assert_eq!(moment(1, 0), None);
        let late = moment(1_700_000_000_123_456, 1_000_000).unwrap();
        let since = late.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_nanos(), 1_700_000_000_123_456_000);
    }
}
