//! `hstore`: `"key"=>"value", "other"=>NULL`, or a count and length-prefixed pairs.

use super::array::unescape;
use super::{Raw, utf8_str};
use crate::error::ErrorKind;
use crate::json::push_quoted_text;

/// The pairs, read one after the other: a key, then its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pairs<'a> {
    /// The rest; `true` before the first pair.
    Text(&'a [u8], bool),
    /// The rest and how many pairs are left.
    Binary(&'a [u8], usize),
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(raw: Raw<'a>) -> Result<Self, ErrorKind> {
        match raw {
            Raw::Text(text) => Ok(Self::Text(text, true)),
            Raw::Binary(bytes) => {
                let (count, rest) =
                    bytes.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
                let count = usize::try_from(i32::from_be_bytes(*count))
                    .map_err(|_| ErrorKind::MalformedBinary)?;
                // A pair takes at least two lengths, so the count is backed by bytes.
                if count > rest.len() / 8 {
                    return Err(ErrorKind::MalformedBinary);
                }
                Ok(Self::Binary(rest, count))
            }
        }
    }

    pub(crate) fn next_key<'b>(
        &mut self,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<&'b str>, ErrorKind>
    where
        'a: 'b,
    {
        match self {
            Self::Text(rest, first) => {
                if rest.is_empty() {
                    return Ok(None);
                }
                let text = if std::mem::replace(first, false) {
                    *rest
                } else {
                    rest.strip_prefix(b", ").ok_or(ErrorKind::MalformedText)?
                };
                let tail = unescape(text, buffer)?;
                *rest = tail.strip_prefix(b"=>").ok_or(ErrorKind::MalformedText)?;
                utf8_str(buffer).map(Some)
            }
            Self::Binary(rest, left) => {
                let Some(next) = left.checked_sub(1) else {
                    return if rest.is_empty() {
                        Ok(None)
                    } else {
                        Err(ErrorKind::MalformedBinary)
                    };
                };
                *left = next;
                let key = prefixed(rest)?.ok_or(ErrorKind::MalformedBinary)?;
                utf8_str(key).map(Some)
            }
        }
    }

    pub(crate) fn value<'b>(
        &mut self,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<&'b str>, ErrorKind>
    where
        'a: 'b,
    {
        match self {
            Self::Text(rest, _) => {
                if let Some(tail) = rest.strip_prefix(b"NULL") {
                    *rest = tail;
                    return Ok(None);
                }
                *rest = unescape(rest, buffer)?;
                utf8_str(buffer).map(Some)
            }
            Self::Binary(rest, _) => prefixed(rest)?.map(utf8_str).transpose(),
        }
    }

    pub(crate) fn count(mut self, buffer: &mut Vec<u8>) -> Result<usize, ErrorKind> {
        let mut count = 0;
        while self.next_key(buffer)?.is_some() {
            self.value(buffer)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Bytes after their length; a length of -1 is null.
fn prefixed<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ErrorKind> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
    let length = i32::from_be_bytes(*length);
    if length == -1 {
        *rest = tail;
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| ErrorKind::MalformedBinary)?;
    let (value, tail) = tail.split_at_checked(length).ok_or(ErrorKind::MalformedBinary)?;
    *rest = tail;
    Ok(Some(value))
}

/// As a JSON object of text and null.
pub(super) fn json<'s>(
    raw: Raw<'_>,
    buffer: &mut Vec<u8>,
    out: &'s mut String,
) -> Result<&'s str, ErrorKind> {
    let mut pairs = Pairs::new(raw)?;
    out.clear();
    out.push('{');
    while let Some(key) = pairs.next_key(buffer)? {
        if out.len() > 1 {
            out.push(',');
        }
        push_quoted_text(key, out);
        out.push(':');
        match pairs.value(buffer)? {
            Some(value) => push_quoted_text(value, out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}
