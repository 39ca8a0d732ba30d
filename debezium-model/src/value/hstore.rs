//! `hstore`: `"key"=>"value", "other"=>NULL`, or a count and length-prefixed pairs.

use std::cmp::Reverse;

use super::array::unescape;
use super::{Raw, utf8_str};
use crate::error::ErrorKind;
use crate::java_hash::{buckets, hash};
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

    /// The pairs from one on, by the bytes that are left at its beginning.
    fn from(raw: Raw<'a>, left: usize) -> Self {
        let (Raw::Text(all) | Raw::Binary(all)) = raw;
        let rest = all.len().checked_sub(left).and_then(|start| all.get(start..));
        let rest = rest.unwrap_or_default();
        match raw {
            Raw::Text(_) => Self::Text(rest, left == all.len()),
            Raw::Binary(_) => Self::Binary(rest, 1),
        }
    }

    fn left(&self) -> usize {
        let (Self::Text(rest, _) | Self::Binary(rest, _)) = self;
        rest.len()
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
}

/// The pairs in the order of the Java hash map that they pass through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ordered {
    /// Hash of the key, and the bytes that are left where the pair begins.
    pairs: Vec<(u32, usize)>,
}

impl Ordered {
    /// Finds the order and gives the number of pairs.
    pub(crate) fn sort(&mut self, raw: Raw<'_>, buffer: &mut Vec<u8>) -> Result<usize, ErrorKind> {
        self.pairs.clear();
        let mut pairs = Pairs::new(raw)?;
        loop {
            let left = pairs.left();
            let Some(key) = pairs.next_key(buffer)? else { break };
            self.pairs.push((hash(key), left));
            pairs.value(buffer)?;
        }
        let mask = buckets(self.pairs.len()) - 1;
        self.pairs.sort_unstable_by_key(|(hash, left)| (hash & mask, Reverse(*left)));
        Ok(self.pairs.len())
    }

    /// The pairs of the value that was sorted, each as the first of [`Pairs`].
    pub(crate) fn pairs<'a>(&self, raw: Raw<'a>) -> impl Iterator<Item = Pairs<'a>> {
        self.pairs.iter().map(move |(_, left)| Pairs::from(raw, *left))
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
    ordered: &mut Ordered,
    buffer: &mut Vec<u8>,
    out: &'s mut String,
) -> Result<&'s str, ErrorKind> {
    ordered.sort(raw, buffer)?;
    out.clear();
    out.push('{');
    for mut pairs in ordered.pairs(raw) {
        let Some(key) = pairs.next_key(buffer)? else { break };
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
