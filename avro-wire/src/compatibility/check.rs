//! The comparison itself.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Problem, Reason};
use crate::Schema;
use crate::table::{Field, Node, Record, Table};

pub(super) fn check(reader: &Schema, writer: &Schema) -> Vec<Problem> {
    let tables = (reader.table(), writer.table());
    let mut check = Check { reader: tables.0, writer: tables.1, known: BTreeMap::new(), depth: 0 };
    check.read(Some(reader.slot()), Some(writer.slot()))
}

/// A slot, or the null of an option, which has none.
type Place = Option<u32>;

struct Check<'a> {
    reader: &'a Table,
    writer: &'a Table,
    /// Which pairs of types are compatible. A pair that is being looked at is taken as
    /// compatible: a recursive type is, unless a reason is found elsewhere.
    known: BTreeMap<(Place, Place), bool>,
    depth: usize,
}

impl<'a> Check<'a> {
    /// Problems of a pair that was seen before are not repeated in full: types can use each other
    /// so often that the list would have no end.
    fn read(&mut self, reader: Place, writer: Place) -> Vec<Problem> {
        match self.known.get(&(reader, writer)) {
            Some(true) => return Vec::new(),
            Some(false) => return self.mismatch(reader, writer),
            None if self.depth == MAX_DEPTH || self.known.len() == MAX_PAIRS => {
                return one(Reason::TooLarge);
            }
            None => {}
        }
        self.depth += 1;
        self.known.insert((reader, writer), true);
        let mut problems = self.compare(reader, writer);
        problems.truncate(MAX_PROBLEMS);
        self.known.insert((reader, writer), problems.is_empty());
        self.depth -= 1;
        problems
    }

    fn compare(&mut self, reader: Place, writer: Place) -> Vec<Problem> {
        if let Some(branches) = branches(self.writer, writer) {
            // Whatever the writer chose must be readable.
            let mut problems = Vec::new();
            for branch in branches {
                problems.extend(self.read(reader, branch));
                if problems.len() >= MAX_PROBLEMS {
                    break;
                }
            }
            return problems;
        }
        if let Some(branches) = branches(self.reader, reader) {
            return self.choose(&branches, writer);
        }
        match (node(self.reader, reader), node(self.writer, writer)) {
            (Node::Array(read), Node::Array(written)) => {
                at("items", self.read(Some(read), Some(written)))
            }
            (Node::Map(read), Node::Map(written)) => {
                at("values", self.read(Some(read), Some(written)))
            }
            (Node::Fixed(read), Node::Fixed(written)) => {
                let mut problems = self.names(reader, writer);
                if read != written {
                    problems.extend(one(Reason::FixedSize { reader: read, writer: written }));
                }
                problems
            }
            (Node::Enum(read), Node::Enum(written)) => {
                let mut problems = self.names(reader, writer);
                let target = self.reader.enumeration(read);
                let lacking: Vec<_> = self
                    .writer
                    .enumeration(written)
                    .symbols
                    .iter()
                    .filter(|symbol| target.position(symbol).is_none())
                    .cloned()
                    .collect();
                if target.default.is_none() && !lacking.is_empty() {
                    problems.extend(one(Reason::Symbols(lacking)));
                }
                problems
            }
            (Node::Record(read), Node::Record(written)) => {
                let mut problems = self.names(reader, writer);
                let (read, written) = (self.reader.record(read), self.writer.record(written));
                for (index, field) in read.fields.iter().enumerate() {
                    problems.extend(at(&field.name, self.field(read, index, field, written)));
                }
                problems
            }
            (to, from) if to == from || promotes(from, to) => Vec::new(),
            _ => self.mismatch(reader, writer),
        }
    }

    fn field(
        &mut self,
        read: &'a Record,
        index: usize,
        field: &'a Field,
        written: &'a Record,
    ) -> Vec<Problem> {
        let mut aliases = read.aliases.iter().filter(|(of, _)| *of == index);
        let source = written
            .position(&field.name)
            .or_else(|| aliases.find_map(|(_, alias)| written.position(alias)));
        match source.and_then(|source| written.fields.get(source)) {
            Some(source) => self.read(Some(field.slot), Some(source.slot)),
            None if field.default.is_some() => Vec::new(),
            None => one(Reason::NoDefault),
        }
    }

    /// A reader's union needs one branch that fits. When none does, the reasons of the one that
    /// was meant say more than that.
    fn choose(&mut self, branches: &[Place], writer: Place) -> Vec<Problem> {
        let mut meant = None;
        for &branch in branches {
            let problems = self.read(branch, writer);
            if problems.is_empty() {
                return problems;
            }
            let alike = match (node(self.reader, branch), node(self.writer, writer)) {
                (Node::Array(_), Node::Array(_)) | (Node::Map(_), Node::Map(_)) => true,
                (Node::Record(_), Node::Record(_))
                | (Node::Enum(_), Node::Enum(_))
                | (Node::Fixed(_), Node::Fixed(_)) => self.names(branch, writer).is_empty(),
                _ => false,
            };
            if alike {
                meant = Some(problems);
            }
        }
        meant.unwrap_or_else(|| one(Reason::NoBranch(describe(self.writer, writer))))
    }

    fn names(&self, reader: Place, writer: Place) -> Vec<Problem> {
        let (read, written) = (name(self.reader, reader), name(self.writer, writer));
        let last = |name: &'a str| name.rsplit_once('.').map_or(name, |(_, last)| last);
        let slot = reader.and_then(|slot| self.reader.slots.get(slot as usize));
        if last(read) == last(written)
            || slot.is_some_and(|slot| slot.aliases.iter().any(|alias| alias == written))
        {
            return Vec::new();
        }
        one(Reason::Name { reader: read.to_owned(), writer: written.to_owned() })
    }

    fn mismatch(&self, reader: Place, writer: Place) -> Vec<Problem> {
        let (reader, writer) = (describe(self.reader, reader), describe(self.writer, writer));
        one(Reason::Type { reader, writer })
    }
}

fn node(table: &Table, place: Place) -> Node {
    place.map_or(Node::Null, |slot| table.node(slot))
}

fn name(table: &Table, place: Place) -> &str {
    place.map_or("null", |slot| table.type_name(slot))
}

fn describe(table: &Table, place: Place) -> String {
    let kind = match node(table, place) {
        Node::Record(_) => "record ",
        Node::Enum(_) => "enum ",
        Node::Fixed(_) => "fixed ",
        _ => "",
    };
    format!("{kind}{}", name(table, place))
}

fn branches(table: &Table, place: Place) -> Option<Vec<Place>> {
    match node(table, place) {
        Node::Option { null_first: true, inner } => Some([None, Some(inner)].into()),
        Node::Option { null_first: false, inner } => Some([Some(inner), None].into()),
        Node::Union(index) => {
            Some(table.branches(index).iter().map(|branch| Some(branch.slot)).collect())
        }
        _ => None,
    }
}

const fn promotes(from: Node, to: Node) -> bool {
    matches!(
        (from, to),
        (Node::Int, Node::Long | Node::Float | Node::Double)
            | (Node::Long, Node::Float | Node::Double)
            | (Node::Float, Node::Double)
            | (Node::String, Node::Bytes)
            | (Node::Bytes, Node::String)
    )
}

fn one(reason: Reason) -> Vec<Problem> {
    [Problem { path: Vec::new(), reason }].into()
}

fn at(step: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.path.push(step.to_owned());
    }
    problems
}

/// Small texts can define long chains and dense webs of types; neither the stack nor the memory
/// is endless.
const MAX_DEPTH: usize = 256;
const MAX_PAIRS: usize = 100_000;
pub(super) const MAX_PROBLEMS: usize = 32;
