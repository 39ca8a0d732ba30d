//! Exact decimals.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::binary::Binary;

/// A decimal whose scale comes with the value, `io.debezium.data.VariableScaleDecimal`: a
/// `numeric` without declared scale.
///
/// ```
/// use debezium_model::{VariableScaleDecimal, from_json};
///
/// let value: VariableScaleDecimal = from_json(br#"{"scale":1,"value":"9Q=="}"#)?;
/// assert_eq!(value.to_string(), "-1.1");
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VariableScaleDecimal<B = Binary> {
    /// Digits after the point.
    pub scale: i32,
    /// Big-endian two's complement of the number without its point.
    pub value: B,
}

/// A decimal whose scale is that of the schema, `org.apache.kafka.connect.data.Decimal`: a
/// `numeric(p, SCALE)`, or `money`.
///
/// ```
/// use debezium_model::{Decimal, from_json};
///
/// let price: Decimal<2> = from_json(br#""AJY=""#)?;
/// assert_eq!(price.to_string(), "1.50");
/// assert_eq!(price.unscaled(), Some(150));
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decimal<const SCALE: i32>(Binary);

impl<const SCALE: i32> Decimal<SCALE> {
    /// Big-endian two's complement of the number without its point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The number without its point; `None` where 128 bits are not enough.
    #[must_use]
    pub fn unscaled(&self) -> Option<i128> {
        unscaled(self.as_bytes())
    }
}

impl VariableScaleDecimal {
    /// The number without its point; `None` where 128 bits are not enough.
    #[must_use]
    pub fn unscaled(&self) -> Option<i128> {
        unscaled(self.value.as_slice())
    }
}

/// As [`decimal_text`]; what has no text there is shown as the number times a power of ten.
impl<const SCALE: i32> fmt::Display for Decimal<SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self.as_bytes(), SCALE, f)
    }
}

/// As [`decimal_text`]; what has no text there is shown as the number times a power of ten.
impl<B: AsRef<[u8]>> fmt::Display for VariableScaleDecimal<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self.value.as_ref(), self.scale, f)
    }
}

fn display(bytes: &[u8], scale: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match decimal_text(bytes, scale) {
        Some(text) => f.write_str(&text),
        None => write!(f, "{}E{}", digits(bytes), -i64::from(scale)),
    }
}

fn unscaled(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    if bytes.len() > 16 {
        return None;
    }
    Some(bytes.iter().fold(start, |number, byte| number << 8 | i128::from(*byte)))
}

/// Most digits after the point that any `numeric` has.
const MAX_SCALE: i32 = 16_383;

/// The text of a decimal from its big-endian two's complement and its scale, digits after the
/// point as many as the scale says. `None` for scales that are negative or beyond 16,383, the
/// most that PostgreSQL has.
///
/// ```
/// assert_eq!(debezium_model::decimal_text(&[0xf5], 1), Some("-1.1".to_owned()));
/// ```
#[must_use]
pub fn decimal_text(unscaled: &[u8], scale: i32) -> Option<String> {
    let scale = usize::try_from(scale).ok().filter(|_| scale <= MAX_SCALE)?;
    let text = digits(unscaled);
    let (sign, number) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let mut out = format!("{sign}{number:0>width$}", width = scale + 1);
    if scale > 0 {
        out.insert(out.len() - scale, '.');
    }
    Some(out)
}

/// The decimal digits of a number in big-endian two's complement, with its sign.
fn digits(bytes: &[u8]) -> String {
    if let Some(number) = unscaled(bytes) {
        return number.to_string();
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    // The magnitude in bytes: all bits turned, and one more.
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Nineteen digits at a time come out at the end, and what is left is divided again.
    const GROUP: u128 = 10_000_000_000_000_000_000;
    let mut words: Vec<u64> = magnitude
        .rchunks(8)
        .rev()
        .map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        .collect();
    let mut groups = Vec::new();
    while !words.is_empty() {
        let mut rest = 0_u128;
        for word in &mut words {
            let number = rest << 64 | u128::from(*word);
            *word = u64::try_from(number / GROUP).unwrap_or(u64::MAX);
            rest = number % GROUP;
        }
        groups.push(rest);
        let zeros = words.iter().take_while(|word| **word == 0).count();
        words.drain(..zeros);
    }
    let mut out = String::from(if negative { "-" } else { "" });
    for (place, group) in groups.iter().rev().enumerate() {
        out.push_str(&if place == 0 { group.to_string() } else { format!("{group:019}") });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::decimal_text;

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
        assert_eq!(decimal_text(&[1], -1), None);
    }

    #[test]
    fn numbers_beyond_128_bits() {
        // 2^160 and its negative.
        let power = [&[1][..], &[0; 20]].concat();
        let text = "1461501637330902918203684832716283019655932542976";
        assert_eq!(decimal_text(&power, 0).as_deref(), Some(text));
        let negative = [&[0xff][..], &[0; 20]].concat();
        assert_eq!(decimal_text(&negative, 0), Some(format!("-{text}")));
        let (whole, fraction) = text.split_at(text.len() - 3);
        assert_eq!(decimal_text(&power, 3), Some(format!("{whole}.{fraction}")));
        // The longest that PostgreSQL has, of nines.
        assert_eq!(decimal_text(&[0x7f; 61_235], 16_383).unwrap().len(), 147_470);
    }
}
