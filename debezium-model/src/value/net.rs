//! Network addresses, hardware addresses and UUIDs: text as it is, binary printed as the server
//! prints it.

use std::fmt::Write as _;

use super::{Raw, ascii, fixed};
use crate::error::ErrorKind;

pub(super) fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

pub(crate) fn push_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
}

pub(super) fn uuid<'a>(raw: Raw<'a>, out: &'a mut Vec<u8>) -> Result<&'a [u8], ErrorKind> {
    match raw {
        Raw::Text(text) => {
            if is_uuid(text) {
                Ok(text)
            } else {
                Err(ErrorKind::MalformedText)
            }
        }
        Raw::Binary(bytes) => {
            let bytes: [u8; 16] = fixed(bytes)?;
            out.clear();
            for (index, word) in bytes.as_chunks::<2>().0.iter().enumerate() {
                if matches!(index, 2..=5) {
                    out.push(b'-');
                }
                out.extend_from_slice(&hex_digits(u16::from_be_bytes(*word)));
            }
            Ok(out)
        }
    }
}

#[inline]
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else { return false };
    // A count takes many bytes at once, where a search for the first that is wrong cannot.
    let digits = text.iter().map(|c| u8::from(c.is_ascii_hexdigit())).sum::<u8>();
    let [_, _, _, _, _, _, _, _, a, _, _, _, _, b, _, _, _, _, c, _, _, _, _, d, ..] = text;
    digits == 32 && [*a, *b, *c, *d] == [b'-'; 4]
}

/// Four digits, worked out side by side in the bytes of a number.
fn hex_digits(word: u16) -> [u8; 4] {
    let word = u32::from(word);
    let nibbles = word >> 12 | (word & 0xf00) | (word & 0xf0) << 12 | (word & 0xf) << 24;
    // What is above nine gets a bit to multiply by.
    let letters = (nibbles + 0x0606_0606) >> 4 & 0x0101_0101;
    let digits = nibbles + 0x3030_3030 + letters * u32::from(b'a' - b'0' - 10);
    digits.to_le_bytes()
}

/// `macaddr` and `macaddr8`: pairs of digits between colons.
pub(super) fn mac<'a>(raw: Raw<'a>, out: &'a mut String) -> Result<&'a str, ErrorKind> {
    match raw {
        Raw::Text(text) => {
            let shape = matches!(text.len(), 17 | 23)
                && text.iter().enumerate().all(|(index, &c)| match index % 3 {
                    2 => c == b':',
                    _ => nibble(c).is_some(),
                });
            if shape { ascii(text) } else { Err(ErrorKind::MalformedText) }
        }
        Raw::Binary(bytes) => {
            if !matches!(bytes.len(), 6 | 8) {
                return Err(ErrorKind::MalformedBinary);
            }
            out.clear();
            for (index, byte) in bytes.iter().enumerate() {
                if index > 0 {
                    out.push(':');
                }
                push_hex(&[*byte], out);
            }
            Ok(out)
        }
    }
}

/// `inet` and `cidr`: family, mask bits, a flag nobody reads, length and address
/// (`network_send` in the server sources). An `inet` with a full mask prints without it.
pub(super) fn address<'a>(
    raw: Raw<'a>,
    always_mask: bool,
    out: &'a mut String,
) -> Result<&'a str, ErrorKind> {
    let bytes = match raw {
        Raw::Text(text) => {
            let shape = !text.is_empty()
                && text.iter().all(|c| c.is_ascii_hexdigit() || matches!(c, b'.' | b':' | b'/'));
            return if shape { ascii(text) } else { Err(ErrorKind::MalformedText) };
        }
        Raw::Binary(bytes) => bytes,
    };
    let (&[family, bits, _, length], address) =
        bytes.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
    out.clear();
    let full = match (family, length) {
        (2, 4) => {
            let [a, b, c, d] = fixed::<4>(address)?;
            print(out, format_args!("{a}.{b}.{c}.{d}"));
            32
        }
        (3, 16) => {
            let (words, _) = address.as_chunks::<2>();
            let mut parts = [0; 8];
            if address.len() != 16 {
                return Err(ErrorKind::MalformedBinary);
            }
            for (part, word) in parts.iter_mut().zip(words) {
                *part = u16::from_be_bytes(*word);
            }
            ipv6(parts, out);
            128
        }
        _ => return Err(ErrorKind::MalformedBinary),
    };
    if bits > full {
        return Err(ErrorKind::MalformedBinary);
    }
    if always_mask || bits < full {
        print(out, format_args!("/{bits}"));
    }
    Ok(out)
}

/// Shortest form with the first longest run of zeros left out, and the last four bytes in dots
/// where the server does so: mapped addresses, and those that begin with six zero words.
fn ipv6(parts: [u16; 8], out: &mut String) {
    let mut best = (0, 0);
    let mut run = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        run = match (*part, run.1) {
            (0, 0) => (index, 1),
            (0, length) => (run.0, length + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    if best.1 < 2 {
        // Nowhere: one zero word is printed.
        best = (parts.len() + 1, 0);
    }
    let [.., p5, p6, p7] = parts;
    let dotted = best.0 == 0 && (best.1 == 6 || (best.1 == 5 && p5 == 0xffff));
    for (index, part) in parts.iter().enumerate() {
        if (best.0..best.0 + best.1).contains(&index) {
            if index == best.0 {
                out.push(':');
            }
            continue;
        }
        if index > 0 {
            out.push(':');
        }
        if index == 6 && dotted {
            break;
        }
        print(out, format_args!("{part:x}"));
    }
    if dotted {
        let ([a, b], [c, d]) = (p6.to_be_bytes(), p7.to_be_bytes());
        print(out, format_args!("{a}.{b}.{c}.{d}"));
    } else if best.0 + best.1 == parts.len() {
        out.push(':');
    }
}

/// Writing to a string cannot fail.
fn print(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::{Raw, address, hex_digits, uuid};

    #[test]
    fn hexadecimal_digits() {
        for word in 0..=u16::MAX {
            assert_eq!(hex_digits(word), *format!("{word:04x}").as_bytes());
        }
    }

    #[test]
    fn the_shape_of_a_uuid() {
        let text = *b"a0eebc99-9C0b-4ef8-bb6d-6bb9bd380a11";
        let mut out = Vec::new();
        assert_eq!(uuid(Raw::Text(&text), &mut out), Ok(&text[..]));
        for at in 0..text.len() {
            for byte in [b'-', b'g', b'0', 0x80] {
                let mut other = text;
                other[at] = byte;
                let fits = match text[at] {
                    b'-' => byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                };
                assert_eq!(uuid(Raw::Text(&other), &mut out).is_ok(), fits, "{at} {byte}");
            }
        }
        assert!(uuid(Raw::Text(&text[1..]), &mut out).is_err());
    }

    #[test]
    fn addresses_as_the_server_prints_them() {
        let v6 = |bits: u8, words: [u16; 8]| {
            let mut bytes = vec![3, bits, 0, 16];
            words.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
            bytes
        };
        for (bytes, cidr, expected) in [
            (vec![2, 32, 0, 4, 192, 168, 0, 1], false, "192.168.0.1"),
            (vec![2, 8, 0, 4, 10, 0, 0, 0], false, "10.0.0.0/8"),
            (vec![2, 32, 1, 4, 10, 0, 0, 1], true, "10.0.0.1/32"),
            (v6(128, [0, 0, 0, 0, 0, 0, 0, 1]), false, "::1"),
            (v6(128, [0; 8]), false, "::"),
            (v6(32, [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), false, "2001:db8::/32"),
            (v6(128, [0, 0, 0, 0, 0, 0xffff, 0x0102, 0x0304]), false, "::ffff:1.2.3.4"),
            (v6(128, [0, 0, 0, 0, 0, 0, 0x0102, 0x0304]), false, "::1.2.3.4"),
            (v6(128, [0, 0, 0, 0, 0, 0, 0, 5]), false, "::5"),
            (v6(128, [1, 0, 0, 2, 0, 0, 0, 3]), false, "1:0:0:2::3"),
            (v6(128, [1, 2, 3, 4, 5, 6, 7, 0]), false, "1:2:3:4:5:6:7:0"),
        ] {
            let mut out = String::new();
            assert_eq!(address(Raw::Binary(&bytes), cidr, &mut out).unwrap(), expected);
        }
    }
}
