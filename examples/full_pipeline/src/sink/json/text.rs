//! Values without others in them, as JSON has them.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Texts up to this length are copied as if they were as long, which takes no call.
const SHORT: usize = 32;

/// The name of a field and what is around it.
#[derive(Debug)]
pub(super) struct Name {
    text: Vec<u8>,
    short: Option<[u8; SHORT]>,
}

impl Name {
    pub(super) fn new(text: Vec<u8>) -> Self {
        let mut filled = text.clone();
        filled.resize(SHORT.max(text.len()), 0);
        Self { short: filled.try_into().ok(), text }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.short {
            Some(short) => copy(short, self.text.len(), out),
            None => out.extend_from_slice(&self.text),
        }
    }
}

/// Appends the first `len` bytes.
#[inline]
fn copy(bytes: &[u8; SHORT], len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// A number as everybody prints it.
pub(super) fn plain(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing a number to a Vec cannot fail.
    let _written = serde_json::to_writer(out, value);
}

/// Whether everybody prints this number as Java does.
pub(super) fn is_plain(value: f64) -> bool {
    (1e-3..1e7).contains(&value.abs()) || value == 0.0
}

/// Bytes in base64.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(place) = out.get_mut(start..) {
        // The place is as large as the text.
        let _len = STANDARD.encode_slice(bytes, place);
    }
    out.push(b'"');
}

/// Text in quotes. Characters beyond ASCII stay as they are.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    quoted(text.as_bytes(), out);
}

/// As [`string`], of bytes that are no text yet; false when they are none.
#[inline]
pub(super) fn quoted(text: &[u8], out: &mut Vec<u8>) -> bool {
    const TOPS: u64 = ONES << 7;
    // Room for a word more than there is, which is cut off again.
    out.reserve(text.len() + 16);
    out.push(b'"');
    let mut rest = text;
    let mut all = 0;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*word);
        let end = out.len();
        out.extend_from_slice(word);
        let mask = escapes(bytes);
        if mask == 0 {
            all |= bytes;
            rest = after;
            continue;
        }
        let at = (mask.trailing_zeros() / 8) as usize;
        out.truncate(end + at);
        let Some((byte, after)) = rest.get(at..).and_then(<[u8]>::split_first) else { break };
        // What is behind the byte comes again.
        all |= bytes & !(u64::MAX << (8 * at));
        escape(*byte, out);
        rest = after;
    }
    for byte in rest {
        all |= u64::from(*byte);
        if *byte < 0x20 || matches!(*byte, b'"' | b'\\') {
            escape(*byte, out);
        } else {
            out.push(*byte);
        }
    }
    out.push(b'"');
    all & TOPS == 0 || std::str::from_utf8(text).is_ok()
}

const ONES: u64 = u64::MAX / 0xff;

/// The top bit of the first byte that JSON does not take as it is, and perhaps of bytes behind it.
#[inline]
const fn escapes(bytes: u64) -> u64 {
    const TOPS: u64 = ONES << 7;
    // Bytes below what is subtracted; bytes beyond ASCII are never among them.
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    (bytes.wrapping_sub(ONES * 0x20) & !bytes
        | quote.wrapping_sub(ONES) & !quote
        | backslash.wrapping_sub(ONES) & !backslash)
        & TOPS
}

#[inline]
fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(format!("\\u{byte:04X}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A number as Java prints it: plain from a thousandth to ten millions, else with an exponent.
/// `shortest` is `d.ddde±x`, `None` for what is no number, which JSON has as text.
pub(super) fn float(shortest: Option<String>, value: f64, out: &mut Vec<u8>) {
    let Some(shortest) = shortest else {
        let name = match value {
            f64::INFINITY => "\"Infinity\"",
            f64::NEG_INFINITY => "\"-Infinity\"",
            _ => "\"NaN\"",
        };
        out.extend_from_slice(name.as_bytes());
        return;
    };
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if unsigned != "0" && !(-3..7).contains(&exponent) {
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        out.extend_from_slice(format!("{whole}.{fraction}E{exponent}").as_bytes());
        return;
    }
    let digits = || whole.bytes().chain(fraction.bytes());
    match usize::try_from(exponent) {
        Ok(shift) => {
            let mut digits = digits();
            out.extend((0..=shift).map(|_| digits.next().unwrap_or(b'0')));
            out.push(b'.');
            let before = out.len();
            out.extend(digits);
            if out.len() == before {
                out.push(b'0');
            }
        }
        Err(_) => {
            out.extend_from_slice(b"0.");
            let zeros = exponent.unsigned_abs().saturating_sub(1);
            out.extend((0..zeros).map(|_| b'0'));
            out.extend(digits());
        }
    }
}
