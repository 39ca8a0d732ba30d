//! How numbers lie in pages: runs and packed bits (Parquet's "RLE/bit-packing hybrid").

use super::thrift::varint;

/// Values repeated so often are a run of their own.
const RUN: usize = 8;

/// The bits that numbers up to `most` take.
pub(super) const fn width(most: u32) -> u32 {
    u32::BITS - most.leading_zeros()
}

/// Writes numbers of `width` bits each: what repeats as a count and the number, the rest packed.
pub(super) fn hybrid<T: Copy + PartialEq + Into<u32>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    // What has yet to be packed, and where the run begins that is looked at.
    let (mut packed, mut at) = (0, 0);
    while let Some((first, rest)) = values.get(at..).and_then(<[T]>::split_first) {
        let run = 1 + rest.iter().take_while(|value| *value == first).count();
        // Only the last of the packed groups may be cut short, so others are filled from the run.
        let filling = (at - packed).wrapping_neg() % 8;
        if run >= filling + RUN {
            pack(values.get(packed..at + filling).unwrap_or_default(), width, out);
            self::run((*first).into(), run - filling, width, out);
            packed = at + run;
        }
        at += run;
    }
    pack(values.get(packed..).unwrap_or_default(), width, out);
}

/// The same number so often.
pub(super) fn run(number: u32, times: usize, width: u32, out: &mut Vec<u8>) {
    varint((times as u64) << 1, out);
    out.extend(number.to_le_bytes().iter().take(width.div_ceil(8) as usize));
}

/// Groups of eight, of which the last is filled with zeros.
fn pack<T: Copy + Into<u32>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    // Up to 31 bits wait for the next value of up to 32.
    let (mut bits, mut held) = (0_u64, 0);
    for value in values {
        let value: u32 = (*value).into();
        bits |= u64::from(value) << held;
        held += width;
        if held >= 32 {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= 32;
            held -= 32;
        }
    }
    out.extend(bits.to_le_bytes().iter().take(held.div_ceil(8) as usize));
    out.resize(end, 0);
}

/// Truths, eight to a byte.
pub(super) fn truths(values: &[u64], out: &mut Vec<u8>) {
    for eight in values.chunks(8) {
        out.push(eight.iter().rev().fold(0, |byte, value| byte << 1 | u8::from(*value != 0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader after the format's description, for the bits of [`hybrid`].
    fn read(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (number, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let number = number.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(number, header >> 1));
            } else {
                let groups = header >> 1;
                let (packed, rest) = bytes.split_at(groups * width as usize);
                bytes = rest;
                for value in 0..groups * 8 {
                    let bit = |bit: usize| u32::from(packed[bit / 8] >> (bit % 8) & 1);
                    let width = width as usize;
                    values.push((0..width).map(|b| bit(value * width + b) << b).sum());
                }
                values.truncate(count);
            }
        }
        assert!(bytes.is_empty(), "{bytes:?}");
        values
    }

    #[test]
    fn whatever_is_written_comes_back() {
        let mut seed = 1_u32;
        let mut dice = |limit: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % limit
        };
        for bits in 0..=20 {
            for _ in 0..200 {
                let mut values: Vec<u32> = Vec::new();
                for _ in 0..dice(12) {
                    let value = dice(1 << bits);
                    let times = if dice(3) == 0 { dice(40) } else { dice(3) };
                    values.extend(std::iter::repeat_n(value, times as usize));
                }
                let mut out = Vec::new();
                hybrid(&values, bits, &mut out);
                assert_eq!(read(&out, bits, values.len()), values, "{bits} bits");
            }
        }
    }

    #[test]
    fn runs_and_packed_groups_are_as_the_format_describes_them() {
        let mut out = Vec::new();
        // The example of the format's own description: 0 to 7 in three bits.
        hybrid(&[0_u32, 1, 2, 3, 4, 5, 6, 7], 3, &mut out);
        assert_eq!(out, [3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        out.clear();
        hybrid(&[4_u8; 100], 3, &mut out);
        assert_eq!(out, [200, 1, 4]);
        out.clear();
        truths(&[1, 0, 1, 1, 0, 0, 0, 0, 1], &mut out);
        assert_eq!(out, [0b1101, 1]);
        assert_eq!([0, 1, 2, 255, 256].map(width), [0, 1, 2, 8, 9]);
    }
}
