//! Where JSON goes, and how strings look in it.

use alloc::vec::Vec;
use core::fmt::{self, Write};

/// UTF-8 into a buffer of bytes.
pub(super) struct Bytes<'o>(pub(super) &'o mut Vec<u8>);

impl Write for Bytes<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Pieces of a few KiB into a writer, whose error is kept.
#[cfg(feature = "std")]
pub(super) struct Chunks<'o> {
    out: &'o mut dyn std::io::Write,
    chunk: Vec<u8>,
    error: Option<std::io::Error>,
}

#[cfg(feature = "std")]
const CHUNK: usize = 8 << 10;

#[cfg(feature = "std")]
impl<'o> Chunks<'o> {
    pub(super) fn new(out: &'o mut dyn std::io::Write) -> Self {
        Self { out, chunk: Vec::new(), error: None }
    }

    /// Writes what is left, or gives the error that stopped it.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.write_all(&self.chunk),
        }
    }
}

#[cfg(feature = "std")]
impl Write for Chunks<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.chunk.extend_from_slice(text.as_bytes());
        if self.chunk.len() < CHUNK {
            return Ok(());
        }
        let result = self.out.write_all(&self.chunk);
        self.chunk.clear();
        result.map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

/// For text that has nothing to escape.
pub(super) fn write_quoted(out: &mut impl Write, text: impl fmt::Display) -> fmt::Result {
    write!(out, "\"{text}\"")
}

pub(super) fn write_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_str("\"")?;
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_escaped) {
        // What is escaped is one byte, so both ends are those of characters.
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.write_str(plain)?;
        let mut tail = tail.chars();
        if let Some(character) = tail.next() {
            write_escape(out, character)?;
        }
        rest = tail.as_str();
    }
    out.write_str(rest)?;
    out.write_str("\"")
}

/// Each byte as the code point of its number: ISO 8859-1.
pub(super) fn write_latin1(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    out.write_str("\"")?;
    for &byte in bytes {
        if is_escaped(byte) {
            write_escape(out, char::from(byte))?;
        } else {
            out.write_char(char::from(byte))?;
        }
    }
    out.write_str("\"")
}

pub(super) fn write_base64(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    out.write_str("\"")?;
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| chunk.get(index).map_or(0, |&byte| u32::from(byte));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (position, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            out.write_char(if position > chunk.len() { '=' } else { sextet(group >> shift) })?;
        }
    }
    out.write_str("\"")
}

/// The character of the lowest six bits (RFC 4648, section 4).
fn sextet(bits: u32) -> char {
    let index = (bits & 0x3f) as usize;
    ALPHABET.get(index).map_or('=', |&character| char::from(character))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

fn write_escape(out: &mut impl Write, character: char) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        other => write!(out, "\\u{:04x}", u32::from(other)),
    }
}
