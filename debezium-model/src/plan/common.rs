//! The values that most columns have, in few steps from the bytes of the column to the datum. What
//! is unusual, and what is wrong, takes the way through [`convert`](crate::value::convert).

use avro_wire::primitive::{write_bytes, write_long};

use crate::kind::{Decimal, Kind, TimeUnit};
use crate::plan::digits::push_word;
use crate::value::{
    Raw, fewest_bytes, is_uuid, small_decimal, small_integer, usual_micros, usual_utc, utf8,
};

/// Appends the branch of a union, if there is one, and the value; or nothing, if the value is not
/// as most are.
#[inline]
pub(super) fn write(
    kind: &Kind,
    branch: Option<u8>,
    raw: Raw<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    match kind {
        Kind::Bool => head(branch, u8::from(boolean(raw)?), out),
        Kind::Int64 => long(branch, integer::<8>(raw, i64::from_be_bytes)?, out),
        Kind::Int32 => {
            let value = integer::<4>(raw, |bytes| i32::from_be_bytes(bytes).into())?;
            long(branch, i32::try_from(value).ok()?.into(), out);
        }
        Kind::Int16 => {
            let value = integer::<2>(raw, |bytes| i16::from_be_bytes(bytes).into())?;
            long(branch, i16::try_from(value).ok()?.into(), out);
        }
        Kind::Numeric(Decimal::Fixed(_, scale)) => {
            let (bytes, count) = fewest_bytes(small_decimal(raw, *scale)?);
            head(branch, u8::try_from(2 * count).ok()?, out);
            push_word(u64::from_le_bytes(bytes), count, out);
        }
        Kind::Timestamp(TimeUnit::Micros) => long(branch, usual_micros(raw)?, out),
        Kind::Timestamp(TimeUnit::Millis | TimeUnit::Connect) => {
            long(branch, usual_micros(raw)?.div_euclid(1000), out);
        }
        Kind::TimestampTz(6) => {
            let iso = usual_utc(raw)?.iso();
            head(branch, ISO_LENGTH, out);
            out.extend_from_slice(&iso);
        }
        Kind::Text(_) | Kind::Name | Kind::Enum(_) => {
            let (Raw::Text(bytes) | Raw::Binary(bytes)) = raw;
            text(branch, bytes, out)?;
        }
        Kind::Versioned(_) => match raw {
            Raw::Text(bytes) | Raw::Binary([1, bytes @ ..]) => text(branch, bytes, out)?,
            Raw::Binary(_) => return None,
        },
        Kind::Uuid => match raw {
            Raw::Text(bytes) if is_uuid(bytes) => text(branch, bytes, out)?,
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

#[inline]
fn boolean(raw: Raw<'_>) -> Option<bool> {
    match raw {
        Raw::Text(b"t") | Raw::Binary([1]) => Some(true),
        Raw::Text(b"f") | Raw::Binary([0]) => Some(false),
        _ => None,
    }
}

#[inline]
fn integer<const N: usize>(raw: Raw<'_>, from_bytes: impl FnOnce([u8; N]) -> i64) -> Option<i64> {
    match raw {
        Raw::Text(text) => small_integer(text),
        Raw::Binary(bytes) => bytes.try_into().ok().map(from_bytes),
    }
}

/// The length of a moment in ISO 8601 with all its digits, as a zigzag long.
const ISO_LENGTH: u8 = 2 * 27;

/// The branch and one byte more.
#[inline]
fn head(branch: Option<u8>, byte: u8, out: &mut Vec<u8>) {
    match branch {
        Some(branch) => out.extend_from_slice(&[branch, byte]),
        None => out.push(byte),
    }
}

/// Branch and number are put together before they are written, where they fit eight bytes.
#[inline]
fn long(branch: Option<u8>, value: i64, out: &mut Vec<u8>) {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    if zigzag >= 1 << 28 {
        if let Some(branch) = branch {
            out.push(branch);
        }
        return write_long(value, out);
    }
    // Four groups of seven bits, a byte each; all but the last have their highest bit set.
    let pairs = (zigzag & 0x3fff) | (zigzag & 0x0fff_c000) << 2;
    let groups = (pairs & 0x007f_007f) | (pairs & 0x3f80_3f80) << 1;
    let length = (70 - (zigzag | 1).leading_zeros()) / 7;
    let bytes = groups | 0x8080_8080 & ((1 << (8 * length - 8)) - 1);
    match branch {
        Some(branch) => {
            push_word(bytes << 8 | u64::from(branch), length as usize + 1, out);
        }
        None => push_word(bytes, length as usize, out),
    }
}

#[inline]
fn text(branch: Option<u8>, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let bytes = utf8(bytes).ok()?;
    match u8::try_from(bytes.len()) {
        Ok(length @ ..64) => {
            head(branch, 2 * length, out);
            out.extend_from_slice(bytes);
        }
        _ => {
            if let Some(branch) = branch {
                out.push(branch);
            }
            write_bytes(bytes, out);
        }
    }
    Some(())
}
