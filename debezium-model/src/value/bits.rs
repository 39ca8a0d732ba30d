//! `bit` and `bit varying`: text of zeros and ones, or a count of bits and bytes from the left.

use super::Raw;
use crate::error::ErrorKind;

pub(super) fn boolean(raw: Raw<'_>) -> Result<bool, ErrorKind> {
    match raw {
        Raw::Text(b"1") | Raw::Binary([0, 0, 0, 1, 0x80]) => Ok(true),
        Raw::Text(b"0") | Raw::Binary([0, 0, 0, 1, 0]) => Ok(false),
        Raw::Text(_) => Err(ErrorKind::MalformedText),
        Raw::Binary(_) => Err(ErrorKind::MalformedBinary),
    }
}

/// The zeros and ones.
pub(super) fn text<'a>(raw: Raw<'a>, out: &'a mut String) -> Result<&'a str, ErrorKind> {
    match raw {
        Raw::Text(text) if text.iter().all(|bit| matches!(bit, b'0' | b'1')) => {
            std::str::from_utf8(text).map_err(|_| ErrorKind::MalformedText)
        }
        Raw::Text(_) => Err(ErrorKind::MalformedText),
        Raw::Binary(bytes) => {
            let (count, bytes) = counted(bytes)?;
            out.clear();
            let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
            out.extend(bits.take(count).map(|bit| char::from(b'0' + bit)));
            Ok(out)
        }
    }
}

/// How many bits there are, and the bytes they are in.
fn counted(bytes: &[u8]) -> Result<(usize, &[u8]), ErrorKind> {
    let (count, bytes) = bytes.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
    let count =
        usize::try_from(i32::from_be_bytes(*count)).map_err(|_| ErrorKind::MalformedBinary)?;
    if bytes.len() != count.div_ceil(8) {
        return Err(ErrorKind::MalformedBinary);
    }
    Ok((count, bytes))
}

/// The bits as a number, in little-endian bytes without zero bytes at the end.
pub(super) fn little_endian<'a>(raw: Raw<'_>, out: &'a mut Vec<u8>) -> Result<&'a [u8], ErrorKind> {
    out.clear();
    match raw {
        Raw::Text(text) => {
            for chunk in text.rchunks(8) {
                let mut byte = 0;
                for bit in chunk {
                    byte = byte << 1
                        | match bit {
                            b'0' => 0,
                            b'1' => 1,
                            _ => return Err(ErrorKind::MalformedText),
                        };
                }
                out.push(byte);
            }
        }
        Raw::Binary(bytes) => {
            let (count, bytes) = counted(bytes)?;
            // The last byte is filled from the left, so everything moves right by its free bits.
            let free = (8 - count % 8) % 8;
            let mut carried = 0_u16;
            for (index, &byte) in bytes.iter().rev().enumerate() {
                let wide = u16::from(byte);
                if index == 0 {
                    carried = wide >> free;
                } else {
                    let joined = carried | wide << (8 - free);
                    let [low, high] = joined.to_le_bytes();
                    out.push(low);
                    carried = high.into();
                }
            }
            if count > 0 {
                let [low, _] = carried.to_le_bytes();
                out.push(low);
            }
        }
    }
    while out.last() == Some(&0) {
        out.pop();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Raw, little_endian};

    #[test]
    fn both_forms_of_every_length() {
        let mut state = 1_u64;
        for length in 0..80_u32 {
            let mut text = Vec::new();
            let mut binary = length.to_be_bytes().to_vec();
            for index in 0..length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let bit = state >> 63;
                text.push(if bit == 1 { b'1' } else { b'0' });
                if index % 8 == 0 {
                    binary.push(0);
                }
                if bit == 1 {
                    *binary.last_mut().unwrap() |= 0x80 >> (index % 8);
                }
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let from_text = little_endian(Raw::Text(&text), &mut a).unwrap();
            let from_binary = little_endian(Raw::Binary(&binary), &mut b).unwrap();
            let mut printed = String::new();
            let again = super::text(Raw::Binary(&binary), &mut printed).unwrap();
            assert_eq!(again.as_bytes(), text);
            assert_eq!(from_text, from_binary, "{length}");
            let number = from_text.iter().rev().fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
            let expected = text.iter().fold(0_u128, |n, bit| n << 1 | u128::from(*bit == b'1'));
            assert_eq!(number, expected);
        }
    }
}
