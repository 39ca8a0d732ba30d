//! `numeric` and `money`.
//!
//! Every form becomes decimal digits first. Text already is; the binary form of `numeric`, groups
//! of four digits, is printed into a reused buffer. Up to 38 digits the way to two's complement
//! goes through one 128-bit number, above through limbs.

use super::{Raw, Scalar, ValueScratch, ascii, fixed};
use crate::error::ErrorKind;
use crate::kind::Decimal;

/// A finite number: sign and digits on both sides of the point.
#[derive(Clone, Copy)]
struct Digits<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

/// `exact` keeps zeros at the end of a number without declared scale, and the server's words for
/// what is no number.
pub(super) fn numeric<'a>(
    mode: Decimal,
    raw: Raw<'a>,
    exact: bool,
    scratch: &'a mut ValueScratch,
) -> Result<Scalar<'a>, ErrorKind> {
    if let Decimal::Fixed(_, scale) = mode
        && let Some(unscaled) = small_decimal(raw, scale)
    {
        scratch.bytes.clear();
        minimal(unscaled, &mut scratch.bytes);
        return Ok(Scalar::Bytes(&scratch.bytes));
    }
    let text = match raw {
        Raw::Text(text) => text,
        Raw::Binary(bytes) => {
            print_numeric(bytes, &mut scratch.digits)?;
            &scratch.digits
        }
    };
    let special = match text {
        b"NaN" => Some((f64::NAN, "NAN", "NaN")),
        b"Infinity" => Some((f64::INFINITY, "POSITIVE_INFINITY", "Infinity")),
        b"-Infinity" => Some((f64::NEG_INFINITY, "NEGATIVE_INFINITY", "-Infinity")),
        _ => None,
    };
    match (special, mode) {
        (Some((value, ..)), Decimal::Double) => Ok(Scalar::Double(value)),
        (Some((_, _, name)), Decimal::Text(_)) if exact => Ok(Scalar::Text(name)),
        (Some((_, name, _)), Decimal::Text(_)) => Ok(Scalar::Text(name)),
        (Some(_), _) => Ok(Scalar::Null),
        (None, _) => {
            let digits = Digits::parse(text)?;
            digits.map(mode, exact, &mut scratch.text, &mut scratch.limbs, &mut scratch.bytes)
        }
    }
}

/// The number times 10^scale, where that has at most 18 digits and nothing has to be cut or
/// looked at twice: nearly every number of a column with a declared scale.
#[inline]
pub(crate) fn small_decimal(raw: Raw<'_>, scale: usize) -> Option<i64> {
    let (negative, magnitude, zeros) = match raw {
        Raw::Text(text) => {
            let (negative, text) = match text {
                [b'-', rest @ ..] => (true, rest),
                _ => (false, text),
            };
            if text.len() > MOST_DIGITS {
                return None;
            }
            let (mut magnitude, mut point) = (0, None);
            for (at, byte) in text.iter().enumerate() {
                match byte {
                    b'0'..=b'9' => magnitude = magnitude * 10 + i64::from(byte - b'0'),
                    b'.' if point.is_none() => point = Some(at),
                    _ => return None,
                }
            }
            let fraction = point.map_or(0, |point| text.len() - point - 1);
            let zeros = scale.checked_sub(fraction)?;
            let digits = text.len() - usize::from(point.is_some());
            if digits == 0 || digits + zeros > MOST_DIGITS {
                return None;
            }
            (negative, magnitude, i32::try_from(zeros).ok()?)
        }
        Raw::Binary(bytes) => {
            let numeric = Numeric::read(bytes).ok()?;
            if numeric.scale != scale || numeric.groups.len() > 4 {
                return None;
            }
            let negative = match numeric.sign {
                Numeric::PLUS => false,
                Numeric::MINUS => true,
                _ => return None,
            };
            let mut magnitude = 0;
            for group in numeric.groups {
                let group = u16::from_be_bytes(*group);
                if group > 9999 {
                    return None;
                }
                magnitude = magnitude * 10_000 + i64::from(group);
            }
            let groups = i32::try_from(numeric.groups.len()).ok()?;
            let zeros = 4 * (numeric.weight + 1 - groups) + i32::try_from(scale).ok()?;
            if 4 * groups + zeros > 18 {
                return None;
            }
            (negative, magnitude, zeros)
        }
    };
    let power = *POWERS.get(usize::try_from(zeros.unsigned_abs()).ok()?)?;
    let magnitude = if zeros >= 0 {
        magnitude * power
    } else if magnitude % power == 0 {
        magnitude / power
    } else {
        return None;
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Digits that 64 bits always have room for.
const MOST_DIGITS: usize = 18;

/// Powers of ten.
const POWERS: [i64; MOST_DIGITS + 1] = {
    let mut powers = [1; MOST_DIGITS + 1];
    let mut at = 1;
    #[allow(clippy::indexing_slicing, reason = "a constant, so it is checked once")]
    while at <= MOST_DIGITS {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Binary `money` is a whole number of the smallest unit, text has the currency's decoration.
/// Two fraction digits either way, as nearly every `lc_monetary` says.
pub(super) fn money<'a>(
    mode: Decimal,
    raw: Raw<'a>,
    exact: bool,
    scratch: &'a mut ValueScratch,
) -> Result<Scalar<'a>, ErrorKind> {
    let cents = match raw {
        Raw::Text(text) => cents(text)?,
        Raw::Binary(bytes) => i64::from_be_bytes(fixed(bytes)?).into(),
    };
    scratch.digits.clear();
    let mut magnitude = cents.unsigned_abs();
    while magnitude > 0 || scratch.digits.len() < 3 {
        scratch.digits.push(b'0' + u8::try_from(magnitude % 10).unwrap_or(0));
        magnitude /= 10;
    }
    scratch.digits.reverse();
    let split = scratch.digits.len() - 2;
    let (whole, fraction) =
        scratch.digits.split_at_checked(split).ok_or(ErrorKind::MalformedText)?;
    let mut digits = Digits { negative: cents < 0, whole, fraction };
    if let Decimal::Fixed(_, scale) | Decimal::Text(Some(scale)) = mode {
        // Fewer digits than the currency has: cut, the only case where information goes.
        if !exact {
            digits.fraction = fraction.get(..scale.min(2)).unwrap_or(fraction);
        }
    }
    digits.map(mode, exact, &mut scratch.text, &mut scratch.limbs, &mut scratch.bytes)
}

/// The digits of text such as `-$1,234.56`, `$-1.00` or `(1.00)`, in hundredths.
fn cents(text: &[u8]) -> Result<i128, ErrorKind> {
    let mut value = 0_i128;
    let mut negative = false;
    let mut seen = false;
    // Digits after the last point or comma; a currency without a fraction has three or none.
    let mut since_mark = None;
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                let next = value.checked_mul(10).and_then(|v| v.checked_add((byte - b'0').into()));
                value = next.ok_or(ErrorKind::OutOfRange)?;
                seen = true;
                since_mark = since_mark.map(|count| count + 1);
            }
            b'.' | b',' => since_mark = Some(0_u32),
            b'-' | b'(' => negative = true,
            _ => {}
        }
    }
    if !seen {
        return Err(ErrorKind::MalformedText);
    }
    if since_mark != Some(2) {
        value = value.checked_mul(100).ok_or(ErrorKind::OutOfRange)?;
    }
    if i64::try_from(value).is_err() && value != -i128::from(i64::MIN) {
        return Err(ErrorKind::OutOfRange);
    }
    Ok(if negative { -value } else { value })
}

impl<'a> Digits<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, ErrorKind> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
            Some(point) => {
                let (whole, rest) = text.split_at_checked(point).unwrap_or((text, b""));
                (whole, rest.get(1..).unwrap_or_default())
            }
            None => (text, [].as_slice()),
        };
        let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return Err(ErrorKind::MalformedText);
        }
        Ok(Self { negative, whole, fraction })
    }

    fn map<'s>(
        self,
        mode: Decimal,
        exact: bool,
        text: &'s mut String,
        limbs: &mut Vec<u64>,
        bytes: &'s mut Vec<u8>,
    ) -> Result<Scalar<'s>, ErrorKind> {
        match mode {
            Decimal::Fixed(_, scale) => {
                let digits = self.trimmed(scale)?;
                digits.unscaled(scale, limbs, bytes);
                Ok(Scalar::Bytes(bytes))
            }
            Decimal::Variable => {
                let digits = if exact { self } else { self.without_zeros() };
                let scale = digits.fraction.len();
                digits.unscaled(scale, limbs, bytes);
                let scale = i32::try_from(scale).map_err(|_| ErrorKind::OutOfRange)?;
                Ok(Scalar::VariableDecimal { scale, unscaled: bytes })
            }
            Decimal::Double => {
                self.print(None, text)?;
                let value = text.parse().map_err(|_| ErrorKind::MalformedText)?;
                Ok(Scalar::Double(value))
            }
            Decimal::Text(scale) => {
                let digits = match scale {
                    Some(scale) => self.trimmed(scale)?,
                    None => self,
                };
                digits.print(scale, text)?;
                Ok(Scalar::Text(text))
            }
        }
    }

    /// At most `scale` fraction digits, if the rest is zeros.
    fn trimmed(mut self, scale: usize) -> Result<Self, ErrorKind> {
        if let Some((kept, rest)) = self.fraction.split_at_checked(scale) {
            if rest.iter().any(|digit| *digit != b'0') {
                return Err(ErrorKind::OutOfRange);
            }
            self.fraction = kept;
        }
        Ok(self)
    }

    fn without_zeros(mut self) -> Self {
        while let [rest @ .., b'0'] = self.fraction {
            self.fraction = rest;
        }
        self
    }

    fn zeros_to(self, scale: usize) -> usize {
        scale.saturating_sub(self.fraction.len())
    }

    fn print(self, scale: Option<usize>, out: &mut String) -> Result<(), ErrorKind> {
        out.clear();
        if self.negative {
            out.push('-');
        }
        out.push_str(if self.whole.is_empty() { "0" } else { ascii(self.whole)? });
        let zeros = scale.map_or(0, |scale| self.zeros_to(scale));
        if !self.fraction.is_empty() || zeros > 0 {
            out.push('.');
            out.push_str(ascii(self.fraction)?);
            (0..zeros).for_each(|_| out.push('0'));
        }
        Ok(())
    }

    /// The number times 10^scale, in the fewest bytes of big-endian two's complement.
    fn unscaled(self, scale: usize, limbs: &mut Vec<u64>, out: &mut Vec<u8>) {
        out.clear();
        let zeros = self.zeros_to(scale);
        let digits = self.whole.iter().chain(self.fraction).copied();
        if self.whole.len() + self.fraction.len() + zeros <= MOST_DIGITS {
            let magnitude = digits.fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
            let magnitude = (0..zeros).fold(magnitude, |value, _| value * 10);
            return minimal(if self.negative { -magnitude } else { magnitude }, out);
        }
        if self.whole.len() + self.fraction.len() + zeros <= 38 {
            let digits = digits.chain(std::iter::repeat_n(b'0', zeros));
            let magnitude =
                digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
            let value = if self.negative { -magnitude } else { magnitude };
            let bytes = value.to_be_bytes();
            out.extend_from_slice(bytes.get(redundant(&bytes)..).unwrap_or(&bytes));
            return;
        }
        limbs.clear();
        let mut chunk = 0_u64;
        let mut power = 1_u64;
        for digit in digits.chain(std::iter::repeat_n(b'0', zeros)) {
            chunk = chunk * 10 + u64::from(digit - b'0');
            power *= 10;
            if power == 1_000_000_000_000_000_000 {
                multiply_add(limbs, power, chunk);
                (chunk, power) = (0, 1);
            }
        }
        multiply_add(limbs, power, chunk);
        // One limb of zeros so that the sign has room.
        limbs.push(0);
        if self.negative {
            let mut carry = true;
            for limb in limbs.iter_mut() {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        for limb in limbs.iter().rev() {
            out.extend_from_slice(&limb.to_be_bytes());
        }
        out.drain(..redundant(out));
    }
}

/// `limbs * factor + addend`, least limb first.
fn multiply_add(limbs: &mut Vec<u64>, factor: u64, addend: u64) {
    let mut carry = addend;
    for limb in limbs.iter_mut() {
        let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
        *limb = low(product);
        carry = low(product >> u64::BITS);
    }
    if carry > 0 {
        limbs.push(carry);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn low(value: u128) -> u64 {
    value as u64
}

/// How many bytes at the front only repeat the sign.
fn redundant(bytes: &[u8]) -> usize {
    let rest = bytes.iter().skip(1);
    bytes
        .iter()
        .zip(rest)
        .take_while(|(first, second)| match first {
            0 => **second < 0x80,
            0xff => **second >= 0x80,
            _ => false,
        })
        .count()
}

fn minimal(value: i64, out: &mut Vec<u8>) {
    let (bytes, count) = fewest_bytes(value);
    out.extend_from_slice(bytes.get(..count).unwrap_or(&bytes));
}

/// Big-endian two's complement in as few bytes as it takes, which are the first ones.
#[inline]
pub(crate) fn fewest_bytes(value: i64) -> ([u8; 8], usize) {
    // All bits after the first that are the same as it.
    let repeated = (value ^ (value >> 63)).leading_zeros() - 1;
    let left_out = repeated / 8;
    ((value << (8 * left_out)).to_be_bytes(), 8 - left_out as usize)
}

/// The binary form: count of groups, weight of the first, sign, digits after the point, and the
/// groups of four digits (`numeric_send`).
struct Numeric<'a> {
    groups: &'a [[u8; 2]],
    weight: i32,
    sign: u16,
    scale: usize,
}

impl<'a> Numeric<'a> {
    const PLUS: u16 = 0;
    const MINUS: u16 = 0x4000;

    #[inline]
    fn read(bytes: &'a [u8]) -> Result<Self, ErrorKind> {
        let (header, groups) = bytes.split_first_chunk::<8>().ok_or(ErrorKind::MalformedBinary)?;
        let (groups, rest) = groups.as_chunks::<2>();
        let [c0, c1, w0, w1, s0, s1, d0, d1] = *header;
        let scale = usize::from(u16::from_be_bytes([d0, d1]));
        let count = usize::from(u16::from_be_bytes([c0, c1]));
        if !rest.is_empty() || groups.len() != count || scale > 0x3fff {
            return Err(ErrorKind::MalformedBinary);
        }
        let weight = i16::from_be_bytes([w0, w1]).into();
        Ok(Self { groups, weight, sign: u16::from_be_bytes([s0, s1]), scale })
    }
}

/// Prints the binary form as the server prints the value.
fn print_numeric(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    let Numeric { groups, weight, sign, scale } = Numeric::read(bytes)?;
    out.clear();
    match sign {
        Numeric::PLUS => {}
        Numeric::MINUS => out.push(b'-'),
        0xc000 => out.extend_from_slice(b"NaN"),
        0xd000 => out.extend_from_slice(b"Infinity"),
        0xf000 => out.extend_from_slice(b"-Infinity"),
        _ => return Err(ErrorKind::MalformedBinary),
    }
    if out.len() > 1 {
        return Ok(());
    }
    // Group `index` has weight `weight - index`; missing ones are zero.
    let group = |at: i32| -> Result<u16, ErrorKind> {
        let index = usize::try_from(weight - at).ok();
        let value = index.and_then(|index| groups.get(index)).map_or(0, |g| u16::from_be_bytes(*g));
        if value > 9999 { Err(ErrorKind::MalformedBinary) } else { Ok(value) }
    };
    if weight < 0 {
        out.push(b'0');
    }
    let start = out.len();
    for at in (0..=weight).rev() {
        push_group(group(at)?, out);
    }
    // The first group prints without zeros in front.
    let zeros = out.iter().skip(start).take_while(|digit| **digit == b'0').count();
    let zeros = zeros.min(out.len().saturating_sub(start + 1));
    out.drain(start..start + zeros);
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut at = -1;
        while out.len() < end {
            push_group(group(at)?, out);
            at -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn push_group(value: u16, out: &mut Vec<u8>) {
    for power in [1000, 100, 10, 1] {
        out.push(b'0' + u8::try_from(value / power % 10).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Raw, Scalar, ValueScratch, numeric, print_numeric};

    fn unscaled(text: &str, scale: usize) -> Vec<u8> {
        let mut scratch = ValueScratch::default();
        let mode = Decimal::Fixed(None, scale);
        match numeric(mode, Raw::Text(text.as_bytes()), false, &mut scratch).unwrap() {
            Scalar::Bytes(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn small_and_large_numbers_agree() {
        for value in [0_i128, 1, -1, 127, 128, -128, -129, 255, 256, i128::MAX / 10, i128::MIN / 10]
        {
            let bytes = unscaled(&value.to_string(), 0);
            let sign = if bytes[0] >= 0x80 { -1_i128 } else { 0 };
            let back = bytes.iter().fold(sign, |n, byte| n << 8 | i128::from(*byte));
            assert_eq!(back, value);
            // Zeros in front force the way through limbs.
            let (minus, digits) = match value < 0 {
                true => ("-", value.to_string()[1..].to_owned()),
                false => ("", value.to_string()),
            };
            assert_eq!(unscaled(&format!("{minus}{digits:0>60}"), 0), bytes, "{value}");
        }
        assert_eq!(unscaled("1.50", 2), [0, 150]);
        assert_eq!(unscaled("-999.99", 2), [0xfe, 0x79, 0x61]);
    }

    #[test]
    fn binary_prints_as_the_server_does() {
        let print = |count: u16, weight: i16, sign: u16, scale: u16, groups: &[u16]| {
            let mut bytes = Vec::new();
            bytes.extend(count.to_be_bytes());
            bytes.extend(weight.to_be_bytes());
            bytes.extend(sign.to_be_bytes());
            bytes.extend(scale.to_be_bytes());
            groups.iter().for_each(|group| bytes.extend(group.to_be_bytes()));
            let mut out = Vec::new();
            print_numeric(&bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(print(0, 0, 0, 0, &[]).unwrap(), "0");
        assert_eq!(print(0, 0, 0, 2, &[]).unwrap(), "0.00");
        assert_eq!(print(1, 0, 0x4000, 0, &[5]).unwrap(), "-5");
        assert_eq!(print(2, 0, 0, 2, &[1, 5000]).unwrap(), "1.50");
        assert_eq!(print(1, -1, 0x4000, 3, &[10]).unwrap(), "-0.001");
        assert_eq!(print(1, -2, 0, 6, &[100]).unwrap(), "0.000001");
        assert_eq!(print(1, 2, 0, 0, &[12]).unwrap(), "1200000000");
        assert_eq!(print(0, 0, 0xc000, 0, &[]).unwrap(), "NaN");
        assert_eq!(print(0, 0, 0xf000, 32, &[]).unwrap(), "-Infinity");
        assert!(print(1, 0, 0, 0, &[]).is_err());
        assert!(print(1, 0, 0, 0, &[10_000]).is_err());
        assert!(print(0, 0, 0x1234, 0, &[]).is_err());
    }
}
