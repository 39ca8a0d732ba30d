//! What stands for a value that the server did not send.

use avro_wire::primitive::{write_int, write_long, write_string};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::row::{PRESENT, write_scalar};
use crate::json::push_quoted_text;
use crate::kind::{Days, Kind};
use crate::mapping::{BinaryMode, HstoreMode};
use crate::value::Scalar;

/// Appends the datum that stands for an unavailable value of a kind, if it has one: text and
/// bytes have the placeholder itself, arrays of numbers its bytes as numbers, arrays of UUIDs its
/// name-based UUID. When `exact`, bytes have it in the form that they are written in, and arrays
/// have none that would pass for values of their type.
pub(super) fn placeholder(kind: &Kind, bytes: &[u8], exact: bool, out: &mut Vec<u8>) -> bool {
    let text: &str = &String::from_utf8_lossy(bytes);
    match kind {
        Kind::Text(_) | Kind::Versioned(_) | Kind::Opaque(_) | Kind::BitText => {
            write_string(text, out)
        }
        Kind::Bytea(BinaryMode::Bytes) | Kind::Unknown(BinaryMode::Bytes) => {
            write_scalar(&Scalar::Bytes(bytes), out);
        }
        Kind::Bytea(BinaryMode::Hex) if !exact => write_string(text, out),
        Kind::Bytea(_) if !exact => return false,
        Kind::Bytea(BinaryMode::Base64) => write_string(&STANDARD.encode(bytes), out),
        Kind::Bytea(BinaryMode::Base64UrlSafe) => write_string(&URL_SAFE.encode(bytes), out),
        Kind::Bytea(BinaryMode::Hex) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_string(&hex, out);
        }
        Kind::Hstore(HstoreMode::Json) => {
            let mut json = String::from("{");
            push_quoted_text(text, &mut json);
            json.push(':');
            push_quoted_text(text, &mut json);
            json.push('}');
            write_string(&json, out);
        }
        Kind::Hstore(HstoreMode::Map) => {
            write_long(1, out);
            write_string(text, out);
            out.push(PRESENT);
            write_string(text, out);
            write_long(0, out);
        }
        Kind::Array(element, _) => match **element {
            Kind::Text(_) => {
                write_long(1, out);
                out.push(PRESENT);
                write_string(text, out);
                write_long(0, out);
            }
            Kind::Bytea(BinaryMode::Bytes) => {
                write_long(1, out);
                out.push(PRESENT);
                write_scalar(&Scalar::Bytes(bytes), out);
                write_long(0, out);
            }
            Kind::Uuid if !exact => {
                write_long(1, out);
                out.push(PRESENT);
                write_string(&name_uuid(bytes), out);
                write_long(0, out);
            }
            Kind::Int32 | Kind::Int64 | Kind::Date(Days::Debezium | Days::Connect) if !exact => {
                if let Some(count) = i32::try_from(bytes.len()).ok().filter(|count| *count > 0) {
                    write_int(count, out);
                }
                for byte in bytes {
                    out.push(PRESENT);
                    write_int(i32::from(*byte), out);
                }
                write_long(0, out);
            }
            _ => return false,
        },
        _ => return false,
    }
    true
}

/// A UUID of version 3, without name space: the MD5 digest with the version's bits.
fn name_uuid(name: &[u8]) -> String {
    let mut digest = md5(name);
    for (index, byte) in digest.iter_mut().enumerate() {
        match index {
            6 => *byte = *byte & 0x0f | 0x30,
            8 => *byte = *byte & 0x3f | 0x80,
            _ => {}
        }
    }
    let mut out = String::new();
    for (index, byte) in digest.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// RFC 1321. Once per table, on a few bytes.
fn md5(message: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.as_chunks::<64>().0 {
        let words = block.as_chunks::<4>().0;
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_u8 {
            let i = usize::from(step);
            let (mix, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), 5 * i + 1),
                2 => (b ^ c ^ d, 3 * i + 5),
                _ => (c ^ (b | !d), 7 * i),
            };
            let word = words.get(word % 16).map_or(0, |word| u32::from_le_bytes(*word));
            let shift = SHIFTS.get(i / 16).and_then(|row| row.get(i % 4)).copied().unwrap_or(0);
            let sum = a.wrapping_add(mix).wrapping_add(sine(step)).wrapping_add(word);
            (a, b, c, d) = (d, b.wrapping_add(sum.rotate_left(shift)), b, c);
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d]) {
            *old = old.wrapping_add(new);
        }
    }
    let mut digest = [0; 16];
    for (target, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *target = word.to_le_bytes();
    }
    digest
}

/// The whole part of `2^32 * |sin(step + 1)|`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is at least 0 and less than 2^32"
)]
fn sine(step: u8) -> u32 {
    ((f64::from(step) + 1.0).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::{md5, name_uuid};

    #[test]
    fn digests_of_the_rfc() {
        let hex = |text: &str| {
            md5(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(hex(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(
            hex("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a"
        );
    }

    #[test]
    fn the_uuid_debezium_gives() {
        assert_eq!(
            name_uuid(b"__debezium_unavailable_value"),
            "b68a35a7-17ad-35b3-af2a-ae46edb4545a"
        );
    }
}
