//! Two's complement of any length, to decimal digits and back.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// The largest power of ten in 64 bits. Its highest bit is set, which [`divide`] needs.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: usize = 19;

/// `floor((2^128 - 1) / CHUNK) - 2^64`.
#[allow(clippy::cast_possible_truncation, reason = "taking the low half is the subtraction")]
const RECIPROCAL: u64 = (u128::MAX / CHUNK as u128) as u64;

/// Whether the number is negative, and the digits of its absolute value, without leading zeros
/// ("0" for zero). Takes time by the square of the length.
pub(crate) fn to_digits(unscaled: &[u8]) -> (bool, String) {
    let negative = is_negative(unscaled);
    let mut limbs = to_limbs(unscaled, negative);
    let mut chunks = Vec::new();
    while !limbs.is_empty() {
        let mut rest = 0;
        for limb in limbs.iter_mut().rev() {
            (*limb, rest) = divide(rest, *limb);
        }
        chunks.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut digits = String::with_capacity(chunks.len().max(1) * CHUNK_DIGITS);
    let mut chunks = chunks.into_iter().rev();
    // Writing into a `String` cannot fail.
    let _ = write!(digits, "{}", chunks.next().unwrap_or(0));
    for chunk in chunks {
        let _ = write!(digits, "{chunk:019}");
    }
    (negative, digits)
}

/// The shortest two's complement of the number with these digits (ASCII, any number of them).
pub(crate) fn from_digits(negative: bool, digits: &[u8], out: &mut Vec<u8>) {
    let mut limbs: Vec<u64> = Vec::with_capacity(digits.len() / CHUNK_DIGITS + 1);
    let (first, chunks) = digits.split_at(digits.len() % CHUNK_DIGITS);
    for chunk in core::iter::once(first).chain(chunks.chunks(CHUNK_DIGITS)) {
        let value = chunk.iter().fold(0, |sum, &digit| sum * 10 + u64::from(digit & 0x0f));
        let mut carry = value;
        for limb in &mut limbs {
            let product = u128::from(*limb) * u128::from(CHUNK) + u128::from(carry);
            (*limb, carry) = (low(product), high(product));
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    if negative {
        negate(&mut limbs);
    }
    let mut bytes: Vec<u8> = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    // A byte for the sign, which is taken off again where it says nothing.
    bytes.insert(0, if negative && limbs.iter().any(|&limb| limb > 0) { 0xff } else { 0 });
    out.extend_from_slice(shortest(&bytes));
}

/// The number without the bytes in front that only repeat its sign.
pub(crate) fn shortest(unscaled: &[u8]) -> &[u8] {
    let mut rest = unscaled;
    while let [first, tail @ ..] = rest
        && let Some(&second) = tail.first()
        && matches!((first, second >= 0x80), (0, false) | (0xff, true))
    {
        rest = tail;
    }
    rest
}

pub(crate) fn is_negative(unscaled: &[u8]) -> bool {
    unscaled.first().is_some_and(|&byte| byte >= 0x80)
}

/// The absolute value, lowest limb first, without zeros at the end.
fn to_limbs(unscaled: &[u8], negative: bool) -> Vec<u64> {
    let fill = if negative { 0xff } else { 0 };
    let limb = |chunk: &[u8]| {
        let mut bytes = [fill; 8];
        for (byte, &from) in bytes.iter_mut().rev().zip(chunk.iter().rev()) {
            *byte = from;
        }
        u64::from_be_bytes(bytes)
    };
    let mut limbs: Vec<u64> = unscaled.rchunks(8).map(limb).collect();
    if negative {
        negate(&mut limbs);
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    limbs
}

fn negate(limbs: &mut [u64]) {
    let mut carry = true;
    for limb in limbs {
        (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
    }
}

/// Divides `high * 2^64 + low` by [`CHUNK`], where `high` is below it: quotient and remainder.
/// By a multiplication with the reciprocal (Möller and Granlund, "Improved division by invariant
/// integers", algorithm 4), since a division of 128 bits takes ten times as long.
const fn divide(high_limb: u64, low_limb: u64) -> (u64, u64) {
    let whole = ((high_limb as u128) << 64) | low_limb as u128;
    let estimate = (RECIPROCAL as u128 * high_limb as u128).wrapping_add(whole);
    let mut quotient = high(estimate).wrapping_add(1);
    let mut rest = low_limb.wrapping_sub(quotient.wrapping_mul(CHUNK));
    if rest > low(estimate) {
        quotient = quotient.wrapping_sub(1);
        rest = rest.wrapping_add(CHUNK);
    }
    if rest >= CHUNK {
        quotient = quotient.wrapping_add(1);
        rest -= CHUNK;
    }
    (quotient, rest)
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is what is asked for")]
const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_is_that_of_128_bits() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let edges = [0, 1, 2, CHUNK - 1, CHUNK, u64::MAX, u64::MAX - 1, 1 << 63];
        let check = |high: u64, low: u64| {
            let high = high % CHUNK;
            let whole = (u128::from(high) << 64) | u128::from(low);
            let (quotient, rest) = divide(high, low);
            assert_eq!(u128::from(quotient), whole / u128::from(CHUNK));
            assert_eq!(u128::from(rest), whole % u128::from(CHUNK));
        };
        for high in edges {
            edges.iter().for_each(|&low| check(high, low));
        }
        (0..20_000).for_each(|_| check(next(), next()));
    }

    #[test]
    fn numbers_of_128_bits_agree_with_the_language() {
        let mut numbers = alloc::vec![0_i128, i128::MIN, i128::MAX];
        for shift in 0..127 {
            let power = 1_i128 << shift;
            numbers.extend([power, power - 1, -power, -power - 1, power / 3, -(power / 7)]);
        }
        for number in numbers {
            let text = alloc::format!("{}", number.unsigned_abs());
            let (negative, digits) = to_digits(&number.to_be_bytes());
            assert_eq!((negative, digits.as_str()), (number < 0, text.as_str()));
            let mut bytes = Vec::new();
            from_digits(number < 0, text.as_bytes(), &mut bytes);
            assert_eq!(bytes, shortest(&number.to_be_bytes()), "{number}");
        }
    }
}
