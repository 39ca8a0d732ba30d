//! Arrays: text in braces, or dimensions and length-prefixed elements.

use super::{Raw, utf8};
use crate::error::ErrorKind;

/// An element of the outermost dimension; its value may be in a buffer, its elements are where they
/// were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ArrayItem<'b, 'a> {
    Null,
    Value(Raw<'b>),
    /// An inner array; Debezium maps one dimension only.
    Nested(Elements<'a>),
}

/// The elements of an array, read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elements<'a> {
    /// What follows the opening brace or the last element; `true` before the first element.
    Text(&'a [u8], bool),
    /// The rest, how many elements are left, and the lengths of the inner arrays that they are, if
    /// any: the dimensions after the first, eight bytes each.
    Binary(&'a [u8], usize, &'a [u8]),
}

impl<'a> Elements<'a> {
    pub(crate) fn new(raw: Raw<'a>) -> Result<Self, ErrorKind> {
        match raw {
            Raw::Text(text) => {
                // Arrays that do not start at 1 tell their bounds: [0:1]={a,b}.
                let text = match text.first() {
                    Some(b'[') => {
                        let end = text.iter().position(|byte| *byte == b'=');
                        let end = end.ok_or(ErrorKind::MalformedText)?;
                        text.get(end + 1..).unwrap_or_default()
                    }
                    _ => text,
                };
                let inner = text.strip_prefix(b"{").ok_or(ErrorKind::MalformedText)?;
                Ok(Self::Text(inner, true))
            }
            Raw::Binary(bytes) => {
                // Dimensions, a flag for nulls, the element type; each dimension has a length
                // and a lower bound (`array_send`).
                let (header, rest) =
                    bytes.split_first_chunk::<12>().ok_or(ErrorKind::MalformedBinary)?;
                let [d0, d1, d2, d3, ..] = *header;
                let dimensions = i32::from_be_bytes([d0, d1, d2, d3]);
                if !(0..=6).contains(&dimensions) {
                    return Err(ErrorKind::MalformedBinary);
                }
                let bounds = usize::try_from(dimensions).unwrap_or(0) * 8;
                let (bounds, elements) =
                    rest.split_at_checked(bounds).ok_or(ErrorKind::MalformedBinary)?;
                let Some((count, inner)) = dimension(bounds)? else {
                    return if elements.is_empty() {
                        Ok(Self::Binary(elements, 0, bounds))
                    } else {
                        Err(ErrorKind::MalformedBinary)
                    };
                };
                // Each element takes at least its length; so the count is backed by bytes.
                let total = product(inner)?.checked_mul(count);
                let backed = total.is_some_and(|total| total <= elements.len() / 4);
                if !backed || (total == Some(0) && !(elements.is_empty() && inner.is_empty())) {
                    return Err(ErrorKind::MalformedBinary);
                }
                Ok(Self::Binary(elements, count, inner))
            }
        }
    }

    /// The next element; quoted text is unescaped into `buffer`.
    pub(crate) fn next<'b>(
        &mut self,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<ArrayItem<'b, 'a>>, ErrorKind>
    where
        'a: 'b,
    {
        match self {
            Self::Text(rest, first) => {
                let was_first = std::mem::replace(first, false);
                let text = *rest;
                if was_first && text == b"}" {
                    return Ok(None);
                }
                let text = match (was_first, text) {
                    (true, text) => text,
                    (false, b"}") => return Ok(None),
                    (false, [b',', text @ ..]) => text,
                    _ => return Err(ErrorKind::MalformedText),
                };
                let (item, tail) = match text.first() {
                    Some(b'{') => {
                        let tail = skip_nested(text)?;
                        let inner = text.get(1..text.len() - tail.len()).unwrap_or_default();
                        (ArrayItem::Nested(Self::Text(inner, true)), tail)
                    }
                    Some(b'"') => {
                        let tail = unescape(text, buffer)?;
                        (ArrayItem::Value(Raw::Text(buffer)), tail)
                    }
                    _ => {
                        let (value, tail) = unquoted(text)?;
                        if value.eq_ignore_ascii_case(b"null") {
                            (ArrayItem::Null, tail)
                        } else {
                            (ArrayItem::Value(Raw::Text(value)), tail)
                        }
                    }
                };
                *rest = tail;
                Ok(Some(item))
            }
            Self::Binary(rest, left, bounds) => {
                let Some(next) = left.checked_sub(1) else {
                    return if rest.is_empty() {
                        Ok(None)
                    } else {
                        Err(ErrorKind::MalformedBinary)
                    };
                };
                *left = next;
                if let Some((count, inner)) = dimension(bounds)? {
                    let tail = skip_elements(rest, product(bounds)?)?;
                    let length = rest.len() - tail.len();
                    let elements = rest.get(..length).unwrap_or_default();
                    *rest = tail;
                    return Ok(Some(ArrayItem::Nested(Self::Binary(elements, count, inner))));
                }
                let (length, tail) =
                    rest.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
                let length = i32::from_be_bytes(*length);
                if length == -1 {
                    *rest = tail;
                    return Ok(Some(ArrayItem::Null));
                }
                let length = usize::try_from(length).map_err(|_| ErrorKind::MalformedBinary)?;
                let (value, tail) =
                    tail.split_at_checked(length).ok_or(ErrorKind::MalformedBinary)?;
                *rest = tail;
                Ok(Some(ArrayItem::Value(Raw::Binary(value))))
            }
        }
    }
}

/// The length of the first dimension, and the dimensions in it.
fn dimension(bounds: &[u8]) -> Result<Option<(usize, &[u8])>, ErrorKind> {
    let Some(([l0, l1, l2, l3, ..], inner)) = bounds.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let length = usize::try_from(i32::from_be_bytes([*l0, *l1, *l2, *l3]))
        .map_err(|_| ErrorKind::MalformedBinary)?;
    Ok(Some((length, inner)))
}

/// How many elements an array of these dimensions has; one without dimensions is an element.
fn product(mut bounds: &[u8]) -> Result<usize, ErrorKind> {
    let mut total = 1_usize;
    while let Some((length, inner)) = dimension(bounds)? {
        total = total.checked_mul(length).ok_or(ErrorKind::MalformedBinary)?;
        bounds = inner;
    }
    Ok(total)
}

/// What follows a number of elements.
fn skip_elements(mut rest: &[u8], count: usize) -> Result<&[u8], ErrorKind> {
    for _ in 0..count {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(ErrorKind::MalformedBinary)?;
        let length = match i32::from_be_bytes(*length) {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| ErrorKind::MalformedBinary)?,
        };
        rest = tail.get(length..).ok_or(ErrorKind::MalformedBinary)?;
    }
    Ok(rest)
}

/// Copies a string in double quotes without them; a backslash protects the next byte.
pub(super) fn unescape<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Result<&'t [u8], ErrorKind> {
    out.clear();
    let mut rest = text.strip_prefix(b"\"").ok_or(ErrorKind::MalformedText)?;
    loop {
        rest = match rest {
            [b'"', tail @ ..] => {
                utf8(out)?;
                return Ok(tail);
            }
            [b'\\', byte, tail @ ..] | [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return Err(ErrorKind::MalformedText),
        };
    }
}

/// An element without quotes, which ends at a comma or brace.
fn unquoted(text: &[u8]) -> Result<(&[u8], &[u8]), ErrorKind> {
    let special = |byte: &u8| matches!(byte, b',' | b'}' | b'{' | b'"' | b'\\');
    let end = text.iter().position(special).ok_or(ErrorKind::MalformedText)?;
    match text.split_at_checked(end) {
        Some((value @ [_, ..], tail @ [b',' | b'}', ..])) => Ok((value, tail)),
        _ => Err(ErrorKind::MalformedText),
    }
}

/// What follows an inner array. Braces are counted, so depth costs nothing.
fn skip_nested(text: &[u8]) -> Result<&[u8], ErrorKind> {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        rest = match rest {
            [b'{', tail @ ..] => {
                depth += 1;
                tail
            }
            [b'}', tail @ ..] => {
                depth -= 1;
                if depth == 0 {
                    return Ok(tail);
                }
                tail
            }
            [b'"', ..] => skip_quoted(rest)?,
            [_, tail @ ..] => tail,
            [] => return Err(ErrorKind::MalformedText),
        };
    }
}

fn skip_quoted(text: &[u8]) -> Result<&[u8], ErrorKind> {
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', _, tail @ ..] | [_, tail @ ..] => tail,
            [] => return Err(ErrorKind::MalformedText),
        };
    }
}
