//! Numbers with digits after the point.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::digits::{from_digits, is_negative, shortest, to_digits};
use crate::{Error, ErrorKind, primitive};

/// A decimal: a whole number of any length, and how many of its digits are after the point.
///
/// The number is what `bytes` or `fixed` hold, big-endian two's complement, and can be had as it
/// is ([`Decimal::unscaled`]); the scale is that of the schema, or with a `big-decimal` its own.
/// Two decimals are equal when they are the same number at the same scale, however many bytes
/// they take.
///
/// ```
/// use avro_wire::logical::Decimal;
///
/// let price = Decimal::new(b"\x04\xd2", 2);
/// assert_eq!(price.to_string(), "12.34");
/// assert_eq!(price.to_i128(), Some(1234));
/// assert_eq!(Decimal::parse("-0.5", 2)?.unscaled(), [0xce]);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decimal<'a> {
    unscaled: Cow<'a, [u8]>,
    scale: i32,
}

/// The most digits that text may ask for, those of the longest `numeric` of PostgreSQL.
const DIGIT_LIMIT: usize = 147_455;

impl<'a> Decimal<'a> {
    /// The number in `unscaled`, divided by 10 to the `scale`. No bytes are 0.
    #[must_use]
    pub const fn new(unscaled: &'a [u8], scale: i32) -> Self {
        Self { unscaled: Cow::Borrowed(unscaled), scale }
    }

    /// `unscaled` divided by 10 to the `scale`.
    #[must_use]
    pub fn from_i128(unscaled: i128, scale: i32) -> Decimal<'static> {
        let bytes = shortest(&unscaled.to_be_bytes()).to_vec();
        Decimal { unscaled: Cow::Owned(bytes), scale }
    }

    /// The number in `text`, brought to `scale` without rounding. An exponent is allowed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidText`] with the offset in `text`; [`ErrorKind::NumberRange`] when
    /// digits would be lost, or beyond 147,455 of them.
    pub fn parse(text: &str, scale: i32) -> Result<Decimal<'static>, Error> {
        let parsed = Parsed::new(text)?;
        parsed.into_decimal(scale)
    }

    /// Reads a `big-decimal`: the number as `bytes`, then its scale as `int`, which is what the
    /// `bytes` of the datum hold (Avro 1.12, "Decimal").
    ///
    /// # Errors
    /// Those of [`ErrorKind::is_data`].
    pub fn decode_big(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = primitive::Reader::new(bytes);
        let unscaled = reader.read_bytes()?;
        let scale = reader.read_int()?;
        reader.finish()?;
        Ok(Self::new(unscaled, scale))
    }

    /// Appends what the `bytes` of a `big-decimal` hold; see [`Decimal::decode_big`].
    pub fn encode_big(&self, out: &mut Vec<u8>) {
        primitive::write_bytes(&self.unscaled, out);
        primitive::write_int(self.scale, out);
    }

    /// The whole number, big-endian two's complement.
    #[must_use]
    pub fn unscaled(&self) -> &[u8] {
        &self.unscaled
    }

    /// Digits after the point; below zero, zeros before it.
    #[must_use]
    pub const fn scale(&self) -> i32 {
        self.scale
    }

    /// The whole number, if it fits.
    #[must_use]
    pub fn to_i128(&self) -> Option<i128> {
        let number = shortest(&self.unscaled);
        let start = 16_usize.checked_sub(number.len())?;
        let mut bytes = if is_negative(number) { [0xff; 16] } else { [0; 16] };
        bytes.get_mut(start..)?.copy_from_slice(number);
        Some(i128::from_be_bytes(bytes))
    }

    /// How many digits the whole number has, which the precision of the schema bounds; 1 for 0.
    #[must_use]
    pub fn precision(&self) -> usize {
        to_digits(&self.unscaled).1.len()
    }

    /// Appends the whole number in just `size` bytes, as a `fixed` wants it.
    ///
    /// # Errors
    /// [`ErrorKind::NumberRange`] when it needs more.
    pub fn write_fixed(&self, size: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let number = shortest(&self.unscaled);
        let room = size.checked_sub(number.len());
        let room = room.ok_or_else(|| Error::new(ErrorKind::NumberRange))?;
        out.resize(out.len() + room, if is_negative(number) { 0xff } else { 0 });
        out.extend_from_slice(number);
        Ok(())
    }

    /// The same number with another scale.
    ///
    /// # Errors
    /// As [`Decimal::parse`].
    pub fn with_scale(&self, scale: i32) -> Result<Decimal<'static>, Error> {
        let (negative, digits) = to_digits(&self.unscaled);
        let parsed = Parsed { negative, digits, scale: i64::from(self.scale) };
        parsed.into_decimal(scale)
    }
}

/// The scale is the number of digits after the point, and below zero with an exponent.
impl FromStr for Decimal<'static> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = Parsed::new(text)?;
        let scale = i32::try_from(parsed.scale);
        let scale = scale.map_err(|_| Error::new(ErrorKind::NumberRange))?;
        parsed.into_decimal(scale)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        let number = |decimal: &Self| {
            let number = shortest(&decimal.unscaled);
            if number == [0] { Vec::new() } else { number.to_vec() }
        };
        self.scale == other.scale && number(self) == number(other)
    }
}

impl Eq for Decimal<'_> {}

/// All digits, with as many after the point as the scale says: `1.50`. With more than six zeros
/// behind the point, or a scale below zero, an exponent instead: `1.5E-9`. That is what Java's
/// `BigDecimal.toString` gives, and it keeps a scale of a few bytes from becoming text of
/// gigabytes. The alternate form, `{:#}`, never has an exponent (`toPlainString`); use it where
/// the scale comes from the schema. Takes time by the square of the length.
impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, digits) = to_digits(&self.unscaled);
        let scale = i64::from(self.scale);
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        if negative {
            f.write_str("-")?;
        }
        // Digits in front of the point; also the exponent of the first one, plus one.
        let whole = count - scale;
        if !f.alternate() && (scale < 0 || whole < -5) {
            let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
            let point = if rest.is_empty() { "" } else { "." };
            return write!(f, "{first}{point}{rest}E{:+}", whole - 1);
        }
        let zeros =
            |f: &mut fmt::Formatter<'_>, count: i64| (0..count).try_for_each(|_| f.write_str("0"));
        if scale <= 0 {
            f.write_str(&digits)?;
            return if digits == "0" { Ok(()) } else { zeros(f, -scale) };
        }
        match usize::try_from(whole).ok().filter(|&whole| whole > 0) {
            Some(whole) => {
                let (whole, rest) = digits.split_at_checked(whole).unwrap_or((&digits, ""));
                write!(f, "{whole}.{rest}")
            }
            None => {
                f.write_str("0.")?;
                zeros(f, -whole)?;
                f.write_str(&digits)
            }
        }
    }
}

/// Text taken apart: `digits` divided by 10 to the `scale`.
struct Parsed {
    negative: bool,
    digits: String,
    scale: i64,
}

impl Parsed {
    fn new(text: &str) -> Result<Self, Error> {
        let invalid =
            |rest: &str| Error::at(ErrorKind::InvalidText, text.len().saturating_sub(rest.len()));
        let rest = text.strip_prefix('-');
        let negative = rest.is_some();
        let rest = rest.or_else(|| text.strip_prefix('+')).unwrap_or(text);
        let (whole, rest) = split_digits(rest);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid(rest));
        }
        let mut exponent = 0;
        match rest.strip_prefix(['e', 'E']) {
            Some(power) => exponent = power.parse::<i32>().map_err(|_| invalid(power))?,
            None if !rest.is_empty() => return Err(invalid(rest)),
            None => {}
        }
        let digits = whole.len() + fraction.len();
        let fraction_length = i64::try_from(fraction.len());
        let Ok(scale) = fraction_length.map(|length| length - i64::from(exponent)) else {
            return Err(Error::new(ErrorKind::NumberRange));
        };
        if digits > DIGIT_LIMIT {
            return Err(Error::new(ErrorKind::NumberRange));
        }
        Ok(Self { negative, digits: [whole, fraction].concat(), scale })
    }

    fn into_decimal(mut self, scale: i32) -> Result<Decimal<'static>, Error> {
        let significant = self.digits.trim_start_matches('0').len();
        let more = i64::from(scale) - self.scale;
        let lost = || Error::new(ErrorKind::NumberRange);
        if significant == 0 {
            self.digits.clear();
        } else if let Ok(zeros) = u64::try_from(more) {
            let zeros = usize::try_from(zeros).ok();
            let zeros = zeros.filter(|zeros| zeros.saturating_add(significant) <= DIGIT_LIMIT);
            let zeros = zeros.ok_or_else(lost)?;
            self.digits.extend(core::iter::repeat_n('0', zeros));
        } else {
            let fewer = usize::try_from(more.unsigned_abs()).ok();
            let keep = fewer.and_then(|fewer| self.digits.len().checked_sub(fewer));
            let (kept, cut) =
                keep.and_then(|keep| self.digits.split_at_checked(keep)).ok_or_else(lost)?;
            if cut.bytes().any(|digit| digit != b'0') {
                return Err(lost());
            }
            self.digits.truncate(kept.len());
        }
        let mut unscaled = Vec::new();
        from_digits(self.negative, self.digits.as_bytes(), &mut unscaled);
        Ok(Decimal { unscaled: Cow::Owned(unscaled), scale })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}
