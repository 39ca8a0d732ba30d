use alloc::{borrow::Cow, vec::Vec};
use core::fmt;

use crate::{Error, ErrorKind, Oid, cursor::Cursor};

const NUMERIC: Oid = Oid::new(1700);

/// A decimal number of any size, exactly as the server has it, with its scale.
///
/// Text form (`Display`) as in the server: `-12.340`, `NaN`, `Infinity`. Equal are numbers of equal
/// value *and* scale.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Numeric<'a> {
    sign: Sign,
    /// The power of 10000 of the first digit.
    weight: i16,
    scale: u16,
    /// Digits of base 10000, two bytes each, without zeros at either end.
    digits: Cow<'a, [u8]>,
}

/// What a [`Numeric`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the server's five")]
pub enum Sign {
    /// Zero or more.
    Positive,
    /// Less than zero.
    Negative,
    /// Not a number.
    NaN,
    /// Above all numbers.
    Infinity,
    /// Below all numbers.
    NegativeInfinity,
}

impl<'a> Numeric<'a> {
    /// `i16` count of digits, `i16` weight, `u16` sign, `u16` scale, and the digits.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let at = *cursor;
        let invalid = || at.fail(ErrorKind::InvalidValue(NUMERIC));
        let count = cursor.u16()?;
        let weight = cursor.i16()?;
        let sign = match cursor.u16()? {
            0 => Sign::Positive,
            0x4000 => Sign::Negative,
            0xC000 => Sign::NaN,
            0xD000 => Sign::Infinity,
            0xF000 => Sign::NegativeInfinity,
            _ => return Err(invalid()),
        };
        let scale = cursor.u16()?;
        let digits = cursor.bytes(usize::from(count) * 2)?;
        let (pairs, _) = digits.as_chunks::<2>();
        let in_range = pairs.iter().all(|pair| u16::from_be_bytes(*pair) < 10_000);
        let finite = matches!(sign, Sign::Positive | Sign::Negative);
        if !in_range || scale > 0x3FFF || (!finite && count > 0) {
            return Err(invalid());
        }
        if !finite {
            return Ok(Self::special(sign));
        }
        Self::new(sign, i32::from(weight), scale, Cow::Borrowed(digits)).ok_or_else(invalid)
    }

    pub(super) fn parse(text: &str) -> Option<Numeric<'static>> {
        let special = match text {
            "NaN" => Some(Sign::NaN),
            "Infinity" => Some(Sign::Infinity),
            "-Infinity" => Some(Sign::NegativeInfinity),
            _ => None,
        };
        if let Some(sign) = special {
            return Some(Numeric::special(sign));
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (Sign::Negative, rest),
            None => (Sign::Positive, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let scale = u16::try_from(fraction.len()).ok().filter(|scale| *scale <= 0x3FFF)?;
        let whole = whole.trim_start_matches('0').as_bytes();
        let mut out = Vec::with_capacity((whole.len() / 4 + fraction.len() / 4 + 2) * 2);
        let mut push = |group: &[u8]| {
            // The last group of a fraction is filled up with zeros.
            let digit = (0..4).fold(0, |digit: u16, place| {
                digit * 10 + u16::from(group.get(place).map_or(0, |byte| byte - b'0'))
            });
            out.extend_from_slice(&digit.to_be_bytes());
        };
        let (first, rest) = whole.split_at(whole.len() % 4);
        if !first.is_empty() {
            let mut filled = [b'0'; 4];
            let free = 4 - first.len();
            filled.iter_mut().skip(free).zip(first).for_each(|(to, from)| *to = *from);
            push(&filled);
        }
        rest.chunks(4).for_each(&mut push);
        let weight = i32::try_from(whole.len().div_ceil(4)).ok()? - 1;
        fraction.as_bytes().chunks(4).for_each(&mut push);
        Numeric::new(sign, weight, scale, Cow::Owned(out))
    }

    const fn special(sign: Sign) -> Self {
        Self { sign, weight: 0, scale: 0, digits: Cow::Borrowed(&[]) }
    }

    /// Brings the digits into their one form: no zeros at the ends, and zero is positive.
    fn new(sign: Sign, weight: i32, scale: u16, digits: Cow<'a, [u8]>) -> Option<Self> {
        let zero = |pair: &&[u8; 2]| **pair == [0, 0];
        let (pairs, _) = digits.as_chunks::<2>();
        let leading = pairs.iter().take_while(zero).count();
        let trailing = pairs.iter().rev().take_while(zero).count();
        if leading == pairs.len() {
            let digits = Cow::Borrowed(&[][..]);
            return Some(Self { sign: Sign::Positive, weight: 0, scale, digits });
        }
        let kept = leading * 2..digits.len() - trailing * 2;
        let weight = i16::try_from(weight - i32::try_from(leading).ok()?).ok()?;
        let digits = match digits {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(kept)?),
            Cow::Owned(mut bytes) => {
                bytes.truncate(kept.end);
                bytes.drain(..kept.start);
                Cow::Owned(bytes)
            }
        };
        Some(Self { sign, weight, scale, digits })
    }

    /// What it is.
    #[must_use]
    pub const fn sign(&self) -> Sign {
        self.sign
    }

    /// The number of decimals, also of those that are zero.
    #[must_use]
    pub const fn scale(&self) -> u16 {
        self.scale
    }

    /// Whether it is a number.
    #[must_use]
    pub const fn is_finite(&self) -> bool {
        matches!(self.sign, Sign::Positive | Sign::Negative)
    }

    /// The number without its decimal point: `12.340` is 12340, at a [`scale`](Self::scale) of 3.
    /// None if it does not fit, and for what is no number.
    #[must_use]
    pub fn unscaled(&self) -> Option<i128> {
        if !self.is_finite() {
            return None;
        }
        let mut value = 0_i128;
        // The power of ten that the last digit read stands for.
        let mut place = (i32::from(self.weight) + 1) * 4;
        for digit in self.base_10000() {
            place -= 4;
            value = value.checked_mul(10_000)?.checked_add(i128::from(digit))?;
        }
        let shift = place + i32::from(self.scale);
        let by = |shift: u32| 10_i128.checked_pow(shift);
        let value = match u32::try_from(shift) {
            _ if value == 0 => 0,
            Ok(shift) => value.checked_mul(by(shift)?)?,
            // Only zeros stand behind the scale.
            Err(_) => value.checked_div(by(shift.unsigned_abs())?)?,
        };
        Some(if self.sign == Sign::Negative { -value } else { value })
    }

    /// The same number, owning its digits.
    #[must_use]
    pub fn into_owned(self) -> Numeric<'static> {
        let Self { sign, weight, scale, digits } = self;
        Numeric { sign, weight, scale, digits: Cow::Owned(digits.into_owned()) }
    }

    fn base_10000(&self) -> impl Iterator<Item = u16> {
        let (pairs, _) = self.digits.as_chunks::<2>();
        pairs.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// The digit of this power of 10000.
    fn digit(&self, power: i32) -> u16 {
        let index = usize::try_from(i32::from(self.weight) - power);
        let (pairs, _) = self.digits.as_chunks::<2>();
        index.ok().and_then(|index| pairs.get(index)).map_or(0, |pair| u16::from_be_bytes(*pair))
    }
}

impl fmt::Display for Numeric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sign {
            Sign::Positive => {}
            Sign::Negative => f.write_str("-")?,
            Sign::NaN => return f.write_str("NaN"),
            Sign::Infinity => return f.write_str("Infinity"),
            Sign::NegativeInfinity => return f.write_str("-Infinity"),
        }
        let first = i32::from(self.weight).max(0);
        write!(f, "{}", self.digit(first))?;
        for power in (0..first).rev() {
            write!(f, "{:04}", self.digit(power))?;
        }
        let mut left = usize::from(self.scale);
        if left > 0 {
            f.write_str(".")?;
        }
        let mut power = -1;
        while left > 0 {
            let digit = self.digit(power);
            match left {
                1 => write!(f, "{}", digit / 1000)?,
                2 => write!(f, "{:02}", digit / 100)?,
                3 => write!(f, "{:03}", digit / 10)?,
                _ => write!(f, "{digit:04}")?,
            }
            left = left.saturating_sub(4);
            power -= 1;
        }
        Ok(())
    }
}

impl fmt::Debug for Numeric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numeric({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_back() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "9999.9999",
            "-0.00001",
            "123456789012345.6789",
            "0.1000",
            "1000000000000",
            "NaN",
            "Infinity",
            "-Infinity",
            "5.0000000000000001",
        ] {
            let number = Numeric::parse(text).unwrap();
            assert_eq!(number.to_string(), text);
        }
        for text in ["", "-", ".", "1e5", "+1", "1.2.3", " 1", "nan", "1_0", "٣"] {
            assert!(Numeric::parse(text).is_none(), "{text}");
        }
        assert_eq!(Numeric::parse("-0.0"), Numeric::parse("0.0"));
        assert_eq!(Numeric::parse("007.5").unwrap().to_string(), "7.5");
    }

    #[test]
    fn unscaled() {
        let unscaled = |text| Numeric::parse(text).unwrap().unscaled();
        assert_eq!(unscaled("12.340"), Some(12_340));
        assert_eq!(unscaled("-0.00001"), Some(-1));
        assert_eq!(unscaled("1000000000000"), Some(1_000_000_000_000));
        assert_eq!(unscaled("0.000"), Some(0));
        assert_eq!(unscaled("7.12345"), Some(712_345));
        assert_eq!(unscaled("99999999999999999999999999999999999999999"), None);
        assert_eq!(unscaled("NaN"), None);
    }

    #[test]
    fn the_largest_and_the_impossible() {
        // One digit at the highest place: 131,072 of them before the point.
        let bytes = [0, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 9];
        let number = Numeric::read(&mut Cursor::new(&bytes)).unwrap();
        assert_eq!(number.to_string().len(), 32_767 * 4 + 1);
        for bytes in [
            [0, 1, 0, 0, 0, 1, 0, 0, 0, 9],
            [0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
            [0, 1, 0, 0, 0, 0, 0x40, 0, 0, 1],
            [0, 1, 0, 0, 0xC0, 0, 0, 0, 0, 1],
        ] {
            let error = Numeric::read(&mut Cursor::new(&bytes)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue(NUMERIC));
        }
    }
}
