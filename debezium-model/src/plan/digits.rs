//! Decimal digits, eight at a time; by hand, because there are many in every record.

/// Appends a whole number.
#[inline]
pub(in crate::plan) fn push_decimal(value: u64, out: &mut Vec<u8>) {
    if value < EIGHT {
        push_short(value, out);
    } else if value < EIGHT * EIGHT {
        let digits = sixteen(value);
        let zeros = (digits ^ u128::from(ZEROS)).trailing_zeros() / 8;
        push_words(digits >> (8 * zeros), 16 - zeros as usize, out);
    } else {
        push_short(value / (EIGHT * EIGHT), out);
        push_words(sixteen(value % (EIGHT * EIGHT)), 16, out);
    }
}

/// At most eight digits.
#[inline]
fn push_short(value: u64, out: &mut Vec<u8>) {
    let digits = eight(value);
    let zeros = (digits ^ ZEROS).trailing_zeros().min(56) / 8;
    push_word(digits >> (8 * zeros), 8 - zeros as usize, out);
}

const EIGHT: u64 = 100_000_000;

/// The digits of a number below 10^16.
#[inline]
fn sixteen(value: u64) -> u128 {
    u128::from(eight(value / EIGHT)) | u128::from(eight(value % EIGHT)) << 64
}

#[inline]
fn push_words(words: u128, count: usize, out: &mut Vec<u8>) {
    let end = out.len() + count;
    out.extend_from_slice(&words.to_le_bytes());
    out.truncate(end);
}

/// Eight bytes at once, of which the first ones stay.
#[inline]
pub(in crate::plan) fn push_word(word: u64, count: usize, out: &mut Vec<u8>) {
    let end = out.len() + count;
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(end);
}

/// The digits of a number below 10^8, a byte each and the first one lowest; the number is halved into numbers of four, two and one digits, all
/// of a size at once.
#[inline]
const fn eight(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    // Multiplications instead of divisions by 100 and 10, exact for such small numbers.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - 10 * tens) << 8) | ZEROS
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::push_decimal;

    #[test]
    fn numbers_of_every_length() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power / 4 * 7]);
        for value in around.chain(0..20_000).chain([u64::MAX, 1_700_000_000_234_567_891]) {
            let mut out = b"x".to_vec();
            push_decimal(value, &mut out);
            assert_eq!(out, format!("x{value}").as_bytes());
        }
        // Every half and every quarter.
        for value in 0..10_000 {
            let mut out = Vec::new();
            push_decimal(value * 10_000 + 9_999 - value, &mut out);
            assert_eq!(out, (value * 10_000 + 9_999 - value).to_string().as_bytes());
        }
    }
}
