//! Text that holds texts: quoting as in arrays, ranges, composites and hstore.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::Dimension;

const MAX_DIMENSIONS: usize = 6;

/// Takes a text apart from its front.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    rest: &'a str,
    length: usize,
}

impl<'a> Parts<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, length: text.len() }
    }

    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn offset(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    pub(super) fn skip(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    pub(super) fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let char = chars.next()?;
        self.rest = chars.as_str();
        Some(char)
    }

    /// A text in double quotes; a backslash or a doubled quote stands for the next character.
    pub(super) fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let inside = self.rest.strip_prefix('"')?;
        let mut out = String::new();
        let mut from = 0;
        let mut chars = inside.char_indices();
        while let Some((at, char)) = chars.next() {
            let escaped = match char {
                '\\' => true,
                '"' if chars.as_str().starts_with('"') => true,
                '"' => {
                    let last = inside.get(from..at)?;
                    self.rest = chars.as_str();
                    if out.is_empty() && from == 0 {
                        return Some(Cow::Borrowed(last));
                    }
                    out.push_str(last);
                    return Some(Cow::Owned(out));
                }
                _ => false,
            };
            if escaped {
                out.push_str(inside.get(from..at)?);
                // The character itself begins the next stretch.
                from = chars.next()?.0;
            }
        }
        None
    }

    /// A field of a composite or a bound of a range, up to one of `ends`; nothing at all is NULL.
    pub(super) fn field(&mut self, ends: &[char]) -> Option<Option<Cow<'a, str>>> {
        if self.rest.starts_with('"') {
            return self.quoted().map(Some);
        }
        let at = self.rest.find(ends)?;
        let (field, rest) = self.rest.split_at(at);
        if field.contains(['"', '\\', '(']) {
            return None;
        }
        self.rest = rest;
        Some(if field.is_empty() { None } else { Some(Cow::Borrowed(field)) })
    }
}

/// The elements of an array, and its shape.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    parts: Parts<'a>,
    delimiter: char,
    /// As said in front, `[0:1]={...}`.
    said: Vec<Dimension>,
    /// How many there are at each depth where a level was closed.
    shape: Vec<Option<u32>>,
    /// How many were seen so far at each open level.
    open: Vec<u32>,
    /// Whether there was an element, so that no level can be added any more.
    touched: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// An element or a brace that opens, or right behind one also a brace that closes.
    Item {
        first: bool,
    },
    /// A delimiter or a brace that closes.
    Behind,
    Done,
}

/// An element, none for NULL, and where it stands.
type Element<'a> = (Option<Cow<'a, str>>, usize);

impl<'a> Elements<'a> {
    pub(super) fn new(text: &'a str, delimiter: char) -> Option<Self> {
        let mut parts = Parts::new(text);
        let mut said = Vec::new();
        while parts.skip("[").is_some() {
            let (bounds, rest) = parts.rest.split_once(']')?;
            let (lower, upper) = bounds.split_once(':')?;
            let (lower_bound, upper) = (lower.parse::<i32>().ok()?, upper.parse::<i32>().ok()?);
            let len = i64::from(upper) - i64::from(lower_bound) + 1;
            said.push(Dimension { len: u32::try_from(len).ok()?, lower_bound });
            parts.rest = rest;
        }
        if !said.is_empty() {
            parts.skip("=")?;
        }
        parts.skip("{")?;
        Some(Self {
            parts,
            delimiter,
            said,
            shape: Vec::from([None]),
            open: Vec::from([0]),
            touched: false,
            state: State::Item { first: true },
        })
    }

    /// The next element, none at the end; nothing for a malformed array.
    pub(super) fn next_element(&mut self) -> Option<Option<Element<'a>>> {
        loop {
            match self.state {
                State::Done => return self.parts.is_empty().then_some(None),
                State::Behind => {
                    let char = self.parts.take()?;
                    if char == self.delimiter {
                        self.state = State::Item { first: false };
                    } else if char == '}' {
                        self.close()?;
                    } else {
                        return None;
                    }
                }
                State::Item { first } => {
                    if self.parts.rest.starts_with('{') {
                        self.parts.take();
                        self.open_level()?;
                    } else if first && self.parts.rest == "}" && self.open.len() == 1 {
                        self.parts.take();
                        self.state = State::Done;
                    } else {
                        return self.element().map(Some);
                    }
                }
            }
        }
    }

    fn open_level(&mut self) -> Option<()> {
        self.count()?;
        self.open.push(0);
        if self.open.len() > self.shape.len() {
            if self.touched || self.open.len() > MAX_DIMENSIONS {
                return None;
            }
            self.shape.push(None);
        }
        self.state = State::Item { first: true };
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let count = self.open.pop()?;
        let known = self.shape.get_mut(self.open.len())?;
        if known.is_some_and(|known| known != count) {
            return None;
        }
        *known = Some(count);
        self.state = if self.open.is_empty() { State::Done } else { State::Behind };
        Some(())
    }

    fn count(&mut self) -> Option<()> {
        let last = self.open.last_mut()?;
        *last = last.checked_add(1)?;
        Some(())
    }

    fn element(&mut self) -> Option<Element<'a>> {
        // Elements stand at the innermost level only.
        if self.open.len() != self.shape.len() {
            return None;
        }
        self.count()?;
        self.touched = true;
        self.state = State::Behind;
        let offset = self.parts.offset();
        if self.parts.rest.starts_with('"') {
            return Some((Some(self.parts.quoted()?), offset));
        }
        let ends = [self.delimiter, '{', '}', '"', '\\'];
        let at = self.parts.rest.find(ends)?;
        let (element, rest) = self.parts.rest.split_at(at);
        self.parts.rest = rest;
        match element {
            "" => None,
            "NULL" => Some((None, offset)),
            element => Some((Some(Cow::Borrowed(element)), offset)),
        }
    }

    /// The shape of an array that was read to its end.
    pub(super) fn dimensions(self, elements: usize) -> Option<Vec<Dimension>> {
        if elements == 0 {
            return self.said.is_empty().then(Vec::new);
        }
        let found = self.shape.into_iter().collect::<Option<Vec<u32>>>()?;
        if self.said.is_empty() {
            return Some(found.into_iter().map(|len| Dimension { len, lower_bound: 1 }).collect());
        }
        let same = self.said.iter().map(|dimension| dimension.len).eq(found);
        same.then_some(self.said)
    }
}
