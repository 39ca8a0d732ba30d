//! Text in JSON, from bytes to bytes.

use crate::json::control;
use crate::plan::digits::push_word;

/// Appends text in quotes, as [`push_quoted`](crate::json::push_quoted) does, eight bytes at a
/// time. Whether all of it is ASCII comes with that.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) -> bool {
    // One write for the quotes, too, where there is room for them in a word.
    if text.len() <= 6 {
        let word = low_bytes(text);
        if is_plain(word | SPACES << (8 * text.len())) {
            let closed = word | QUOTE << (8 * text.len());
            push_word(closed << 8 | QUOTE, text.len() + 2, out);
            return word & HIGHEST_BITS == 0;
        }
    }
    let mut seen = 0;
    out.push(b'"');
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        seen |= word;
        quote_word(word, 8, out);
    }
    if !rest.is_empty() {
        let word = match text.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => low_bytes(rest),
        };
        seen |= word;
        quote_word(word | SPACES << (8 * rest.len()), rest.len(), out);
    }
    out.push(b'"');
    seen & HIGHEST_BITS == 0
}

/// Up to eight bytes as a number, the first one lowest. What is read twice is the same both times.
#[inline]
fn low_bytes(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (bytes.len() - 4));
    }
    match *bytes {
        [] => 0,
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, ..] => u32::from_le_bytes([a, b, c, 0]).into(),
    }
}

const QUOTE: u64 = b'"' as u64;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST_BITS: u64 = ONES << 7;
const SPACES: u64 = ONES * b' ' as u64;

/// The first bytes of a word.
#[inline]
fn quote_word(word: u64, count: usize, out: &mut Vec<u8>) {
    if is_plain(word) {
        push_word(word, count, out);
    } else {
        escape_word(word, count, out);
    }
}

/// Whether no byte needs an escape.
#[inline]
const fn is_plain(word: u64) -> bool {
    (quotes_in(word) | controls_in(word)) & HIGHEST_BITS == 0
}

/// Has the highest bit of a byte set, if it or one below it is a quote or a backslash; and not
/// set in any byte up to the first of those.
#[inline]
const fn quotes_in(word: u64) -> u64 {
    let quotes = word ^ (ONES * QUOTE);
    let backslashes = word ^ (ONES * b'\\' as u64);
    quotes.wrapping_sub(ONES) & !quotes | backslashes.wrapping_sub(ONES) & !backslashes
}

/// The same for control characters.
#[inline]
const fn controls_in(word: u64) -> u64 {
    word.wrapping_sub(SPACES) & !word
}

/// Puts the escapes together in a place of their own, without a jump that depends on the text:
/// those in quoted JSON cannot be foreseen.
#[inline(never)]
fn escape_word(word: u64, count: usize, out: &mut Vec<u8>) {
    if controls_in(word) & HIGHEST_BITS != 0 {
        return word.to_le_bytes().iter().take(count).for_each(|byte| escape_byte(*byte, out));
    }
    let mut escaped = [0; 17];
    let mut length = 0;
    for byte in word.to_le_bytes() {
        if let Some([first, second]) = escaped.get_mut(length..).and_then(<[u8]>::first_chunk_mut) {
            let is_escaped = byte == b'"' || byte == b'\\';
            *first = if is_escaped { b'\\' } else { byte };
            *second = byte;
            length += 1 + usize::from(is_escaped);
        }
    }
    // Bytes behind the text are spaces, which are themselves.
    let end = out.len() + length - (8 - count);
    out.extend_from_slice(&escaped);
    out.truncate(end);
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b' '.. => out.push(byte),
        _ => out.extend_from_slice(control(byte).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;
    use crate::json::push_quoted;

    #[test]
    fn text_is_escaped_at_every_place() {
        for c in (0..=0x7f_u8).map(char::from).chain(['é', '\u{1f600}']) {
            for (before, after) in (0..12).flat_map(|a| (0..12).map(move |b| (a, b))) {
                let text = format!("{}{c}{}", "a".repeat(before), "z".repeat(after));
                let (mut bytes, mut single) = (Vec::new(), String::new());
                assert_eq!(quote(text.as_bytes(), &mut bytes), text.is_ascii());
                push_quoted(text.chars(), &mut single);
                assert_eq!(bytes, single.as_bytes());
            }
        }
    }

    #[test]
    fn several_escapes_and_none() {
        for text in ["", "\"\\\"\\\"\\\"\\\"\\", "\n\"a\\\u{1f}é\"", "{\"a\": [1, \"\\n\"]}"] {
            let (mut bytes, mut single) = (Vec::new(), String::new());
            quote(text.as_bytes(), &mut bytes);
            push_quoted(text.chars(), &mut single);
            assert_eq!(bytes, single.as_bytes());
        }
    }
}
