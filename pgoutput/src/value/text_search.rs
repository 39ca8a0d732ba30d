//! The binary forms of `tsvector` and `tsquery`, into the text the server prints for them.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use crate::{Error, ErrorKind, Oid, cursor::Cursor};

/// `i32` count, for each a name closed by zero, a `u16` count of positions and the positions: the
/// weight in the upper two bits.
pub(super) fn vector(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let count = cursor.length()?;
    let mut out = String::new();
    for n in 0..count {
        if n > 0 {
            out.push(' ');
        }
        quote(cursor.name()?, &mut out);
        for position in 0..cursor.u16()? {
            out.push(if position > 0 { ',' } else { ':' });
            let entry = cursor.u16()?;
            push(&mut out, format_args!("{}", entry & 0x3FFF));
            match entry >> 14 {
                3 => out.push('A'),
                2 => out.push('B'),
                1 => out.push('C'),
                _ => {}
            }
        }
    }
    Ok(out)
}

fn quote(text: &str, out: &mut String) {
    out.push('\'');
    for char in text.chars() {
        if matches!(char, '\'' | '\\') {
            out.push(char);
        }
        out.push(char);
    }
    out.push('\'');
}

fn push(out: &mut String, text: core::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// One item of a query: an operator stands before its right operand, and that before the left.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    /// Weights as bits, whether it is a prefix, and the word.
    Word(u8, bool, &'a str),
    Not,
    /// And where the left operand stands.
    Binary(Operator, usize),
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    And,
    Or,
    /// With its distance.
    Phrase(u16),
}

impl Operator {
    const fn binds(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Phrase(_) => 3,
        }
    }
}

/// `i32` count of items, and the items.
pub(super) fn query(cursor: &mut Cursor<'_>, id: Oid) -> Result<String, Error> {
    let at = *cursor;
    let count = cursor.length()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(cursor, id)?);
    }
    if items.is_empty() {
        return Ok(String::new());
    }
    join(&mut items).ok_or_else(|| at.fail(ErrorKind::InvalidValue(id)))?;
    Ok(print(&items))
}

fn item<'a>(cursor: &mut Cursor<'a>, id: Oid) -> Result<Item<'a>, Error> {
    Ok(match cursor.u8()? {
        1 => Item::Word(cursor.u8()?, cursor.u8()? != 0, cursor.name()?),
        2 => match cursor.u8()? {
            1 => Item::Not,
            2 => Item::Binary(Operator::And, 0),
            3 => Item::Binary(Operator::Or, 0),
            4 => Item::Binary(Operator::Phrase(cursor.u16()?), 0),
            _ => return Err(cursor.fail_before(ErrorKind::InvalidValue(id))),
        },
        _ => return Err(cursor.fail_before(ErrorKind::InvalidValue(id))),
    })
}

/// Finds the left operands; nothing if the items are no single tree.
fn join(items: &mut [Item<'_>]) -> Option<()> {
    // Trees without a parent so far, the one that stands first on top.
    let mut roots = Vec::new();
    for (at, item) in items.iter_mut().enumerate().rev() {
        match item {
            Item::Word(..) => {}
            Item::Not => {
                roots.pop()?;
            }
            Item::Binary(_, left) => {
                roots.pop()?;
                *left = roots.pop()?;
            }
        }
        roots.push(at);
    }
    (roots.len() == 1).then_some(())
}

/// What is left to print. No recursion: a long query is a deep tree.
enum Step {
    /// The tree here, inside of something that binds so much, and whether right of a phrase.
    Tree(usize, u8, bool),
    Text(&'static str),
    Distance(u16),
}

/// In parentheses goes what binds less than what is around it.
fn print(items: &[Item<'_>]) -> String {
    let mut out = String::new();
    let mut steps = Vec::from([Step::Tree(0, 0, false)]);
    while let Some(step) = steps.pop() {
        let (at, around, right_of_phrase) = match step {
            Step::Tree(at, around, right_of_phrase) => (at, around, right_of_phrase),
            Step::Text(text) => {
                out.push_str(text);
                continue;
            }
            Step::Distance(distance) => {
                push(&mut out, format_args!(" <{distance}> "));
                continue;
            }
        };
        match items.get(at) {
            None => {}
            Some(Item::Word(weights, prefix, word)) => {
                print_word(*weights, *prefix, word, &mut out)
            }
            Some(Item::Not) => {
                out.push('!');
                steps.push(Step::Tree(at + 1, 4, false));
            }
            Some(Item::Binary(operator, left)) => {
                let binds = operator.binds();
                let is_phrase = matches!(operator, Operator::Phrase(_));
                if binds < around || (is_phrase && right_of_phrase) {
                    out.push_str("( ");
                    steps.push(Step::Text(" )"));
                }
                steps.push(Step::Tree(at + 1, binds, is_phrase));
                steps.push(match operator {
                    Operator::And => Step::Text(" & "),
                    Operator::Or => Step::Text(" | "),
                    Operator::Phrase(1) => Step::Text(" <-> "),
                    Operator::Phrase(distance) => Step::Distance(*distance),
                });
                steps.push(Step::Tree(*left, binds, false));
            }
        }
    }
    out
}

fn print_word(weights: u8, prefix: bool, word: &str, out: &mut String) {
    quote(word, out);
    if weights != 0 || prefix {
        out.push(':');
    }
    if prefix {
        out.push('*');
    }
    for (bit, letter) in [(8, 'A'), (4, 'B'), (2, 'C'), (1, 'D')] {
        if weights & bit != 0 {
            out.push(letter);
        }
    }
}
