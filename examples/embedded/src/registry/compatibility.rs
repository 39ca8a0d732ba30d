//! Whether data written with one Avro schema can be read with another.
//!
//! The rules are those of "Schema Resolution" in the Avro specification, as the Java library
//! checks them for registries: logical types and documentation do not count, and named types
//! match by their name without the namespace, or by an alias of the reader.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::avro::{Field, Name, Node, NodeId, Primitive, Tree};

/// What a new version of a subject has to be able to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompatibilityLevel {
    /// Anything may follow.
    None,
    /// The new schema reads what the last one wrote.
    #[default]
    Backward,
    /// The new schema reads what any earlier one wrote.
    BackwardTransitive,
    /// The last schema reads what the new one writes.
    Forward,
    /// Every earlier schema reads what the new one writes.
    ForwardTransitive,
    /// `Backward` and `Forward`.
    Full,
    /// `BackwardTransitive` and `ForwardTransitive`.
    FullTransitive,
}

impl CompatibilityLevel {
    /// All levels.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The name that the protocol uses, such as `BACKWARD_TRANSITIVE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    fn new_reads_old(self) -> bool {
        !matches!(self, Self::None | Self::Forward | Self::ForwardTransitive)
    }

    fn old_reads_new(self) -> bool {
        !matches!(self, Self::None | Self::Backward | Self::BackwardTransitive)
    }

    /// Why `new` must not follow `earlier` (oldest first); empty when it may.
    pub(super) fn objections(self, new: &Tree, earlier: &[&Tree]) -> Vec<String> {
        let considered = if self.is_transitive() { earlier.len() } else { 1 };
        let mut objections = Vec::new();
        for old in earlier.iter().rev().take(considered) {
            if self.new_reads_old() {
                objections.extend(explain("new schema", new, "an earlier one", old));
            }
            if self.old_reads_new() {
                objections.extend(explain("an earlier schema", old, "the new one", new));
            }
        }
        objections
    }
}

impl fmt::Display for CompatibilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CompatibilityLevel {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownLevel)
    }
}

/// A text that is not the name of a [`CompatibilityLevel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a compatibility level")]
#[non_exhaustive]
pub struct UnknownLevel;

fn explain(who: &str, reader: &Tree, whose: &str, writer: &Tree) -> Vec<String> {
    let problems = problems(reader, writer);
    problems
        .iter()
        .map(|problem| format!("the {who} cannot read data of {whose}: {problem}"))
        .collect()
}

/// Why data of `writer` cannot be read with `reader`; empty when it can.
pub(super) fn problems(reader: &Tree, writer: &Tree) -> Vec<Problem> {
    let mut check = Check { reader, writer, known: HashMap::new(), depth: 0 };
    check.read(reader.root(), writer.root())
}

/// One reason against compatibility.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Names of fields and numbers of branches, innermost first.
    path: Vec<String>,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Type { reader: String, writer: String },
    Name { reader: String, writer: String },
    FixedSize { reader: i32, writer: i32 },
    Symbols(Vec<String>),
    NoDefault(String),
    NoBranch(String),
    TooLarge,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.path.iter().rev() {
            write!(f, "/{step}")?;
        }
        if self.path.is_empty() {
            f.write_str("/")?;
        }
        match &self.reason {
            Reason::Type { reader, writer } => write!(f, ": {reader} cannot hold {writer}"),
            Reason::Name { reader, writer } => write!(f, ": {reader} is not called {writer}"),
            Reason::FixedSize { reader, writer } => {
                write!(f, ": fixed of {reader} bytes cannot hold {writer} bytes")
            }
            Reason::Symbols(symbols) => {
                write!(f, ": enum without default lacks {}", symbols.join(", "))
            }
            Reason::NoDefault(field) => write!(f, ": field {field} is new and has no default"),
            Reason::NoBranch(writer) => write!(f, ": no branch of the union can hold {writer}"),
            Reason::TooLarge => f.write_str(": too large to check"),
        }
    }
}

struct Check<'a> {
    reader: &'a Tree,
    writer: &'a Tree,
    /// Which pairs of types are compatible. A pair that is being looked at is taken as
    /// compatible: a recursive type is, unless a reason is found elsewhere.
    known: HashMap<(NodeId, NodeId), bool>,
    depth: usize,
}

impl Check<'_> {
    /// Problems of a pair that was seen before are not repeated in full: types can use each other
    /// so often that the list would have no end.
    fn read(&mut self, reader: NodeId, writer: NodeId) -> Vec<Problem> {
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

    fn compare(&mut self, reader_id: NodeId, writer_id: NodeId) -> Vec<Problem> {
        let (reader_tree, writer_tree) = (self.reader, self.writer);
        match (reader_tree.node(reader_id), writer_tree.node(writer_id)) {
            // Whatever the writer chose must be readable.
            (_, Node::Union(branches)) => {
                let mut problems = Vec::new();
                for branch in branches {
                    problems.extend(self.read(reader_id, *branch));
                    if problems.len() >= MAX_PROBLEMS {
                        break;
                    }
                }
                problems
            }
            (Node::Union(branches), _) => self.choose(branches, writer_id),
            (Node::Primitive(reader), Node::Primitive(writer)) if promotes(*writer, *reader) => {
                Vec::new()
            }
            (Node::Array(reader), Node::Array(writer)) => at("items", self.read(*reader, *writer)),
            (Node::Map(reader), Node::Map(writer)) => at("values", self.read(*reader, *writer)),
            (Node::Fixed(reader, reader_size), Node::Fixed(writer, writer_size)) => {
                let mut problems = names(reader, writer);
                if reader_size != writer_size {
                    let (reader, writer) = (*reader_size, *writer_size);
                    problems.extend(one(Reason::FixedSize { reader, writer }));
                }
                problems
            }
            (Node::Enum(reader, symbols, default), Node::Enum(writer, written, _)) => {
                let mut problems = names(reader, writer);
                let lacking: Vec<_> =
                    written.iter().filter(|symbol| !symbols.contains(symbol)).cloned().collect();
                if default.is_none() && !lacking.is_empty() {
                    problems.extend(one(Reason::Symbols(lacking)));
                }
                problems
            }
            (Node::Record(reader, fields), Node::Record(writer, written)) => {
                let mut problems = names(reader, writer);
                for field in fields {
                    problems.extend(at(&field.name, self.field(field, written)));
                }
                problems
            }
            _ => self.mismatch(reader_id, writer_id),
        }
    }

    /// A reader's union needs one branch that fits. When none does, the reasons of the one that
    /// was meant say more than that.
    fn choose(&mut self, branches: &[NodeId], writer: NodeId) -> Vec<Problem> {
        let mut meant = None;
        for branch in branches {
            let problems = self.read(*branch, writer);
            if problems.is_empty() {
                return problems;
            }
            let alike = match (self.reader.node(*branch), self.writer.node(writer)) {
                (Node::Array(_), Node::Array(_)) | (Node::Map(_), Node::Map(_)) => true,
                (Node::Record(reader, _), Node::Record(writer, _))
                | (Node::Enum(reader, ..), Node::Enum(writer, ..))
                | (Node::Fixed(reader, _), Node::Fixed(writer, _)) => {
                    names(reader, writer).is_empty()
                }
                _ => false,
            };
            if alike {
                meant = Some(problems);
            }
        }
        meant.unwrap_or_else(|| one(Reason::NoBranch(self.writer.describe(writer))))
    }

    fn mismatch(&self, reader: NodeId, writer: NodeId) -> Vec<Problem> {
        one(Reason::Type {
            reader: self.reader.describe(reader),
            writer: self.writer.describe(writer),
        })
    }

    fn field(&mut self, field: &Field, written: &[Field]) -> Vec<Problem> {
        let source = written
            .iter()
            .find(|writer| writer.name == field.name)
            .or_else(|| written.iter().find(|writer| field.aliases.contains(&writer.name)));
        if let Some(source) = source {
            return self.read(field.node, source.node);
        }
        if field.has_default { Vec::new() } else { one(Reason::NoDefault(field.name.clone())) }
    }
}

/// Same type, or a promotion (Avro specification, "Schema Resolution").
fn promotes(from: Primitive, to: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    from == to
        || matches!(
            (from, to),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}

fn names(reader: &Name, writer: &Name) -> Vec<Problem> {
    if reader.simple() == writer.simple() || reader.aliases.contains(&writer.full) {
        Vec::new()
    } else {
        one(Reason::Name { reader: reader.full.clone(), writer: writer.full.clone() })
    }
}

fn one(reason: Reason) -> Vec<Problem> {
    vec![Problem { path: Vec::new(), reason }]
}

fn at(step: impl ToString, mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.path.push(step.to_string());
    }
    problems
}

/// Small texts can define long chains and dense webs of types; neither the stack nor the memory
/// is endless.
const MAX_DEPTH: usize = 256;
const MAX_PAIRS: usize = 100_000;
const MAX_PROBLEMS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn tree(schema: &Value) -> Result<Tree, super::super::avro::Invalid> {
        Tree::parse(&schema.to_string(), &[])
    }

    /// Random histories with the verdicts of Confluent's own checker; `testdata/registry/README.md`
    /// says how they were made.
    #[test]
    fn verdicts_are_confluents() {
        let lines = include_str!("../../testdata/registry/confluent.jsonl");
        let (mut verdicts, mut refusals) = ([0; 2], 0);
        for line in lines.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let old: Result<Vec<Tree>, _> =
                case["old"].as_array().unwrap().iter().map(tree).collect();
            let new = tree(&case["new"]);
            let Some(allowed) = case["allowed"].as_array() else {
                assert!(old.is_err() || new.is_err(), "{line}");
                refusals += 1;
                continue;
            };
            let (old, new) = (old.expect(line), new.expect(line));
            let old: Vec<&Tree> = old.iter().collect();
            for level in CompatibilityLevel::ALL {
                let expected = allowed.iter().any(|name| name == level.as_str());
                let objections = level.objections(&new, &old);
                assert_eq!(objections.is_empty(), expected, "{level}: {objections:#?}\n{line}");
                verdicts[usize::from(expected)] += 1;
            }
        }
        assert!(verdicts[0] > 500 && verdicts[1] > 500 && refusals > 10, "{verdicts:?} {refusals}");
    }

    #[test]
    fn recursive_types_end() {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"v","type":"VALUE"},
            {"name":"next","type":["null","L"]}]}"#;
        let int = Tree::parse(&list.replace("VALUE", "int"), &[]).unwrap();
        let long = Tree::parse(&list.replace("VALUE", "long"), &[]).unwrap();
        assert!(problems(&long, &int).is_empty());
        let found = problems(&int, &long);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "/v: int cannot hold long");
    }

    #[test]
    fn the_reasons_of_the_branch_that_was_meant_are_told() {
        let envelope = |price: &str| {
            let row = format!(
                r#"{{"type":"record","name":"Value","fields":[{{"name":"price","type":"{price}"}}]}}"#
            );
            let text = format!(
                r#"{{"type":"record","name":"Envelope","fields":[
                    {{"name":"before","type":["null",{row}]}},
                    {{"name":"after","type":["null","Value"]}}]}}"#
            );
            Tree::parse(&text, &[]).unwrap()
        };
        let found: Vec<_> = problems(&envelope("int"), &envelope("string"))
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "/before/price: int cannot hold string",
                "/after: record Value cannot hold record Value",
            ]
        );
    }

    /// Two cycles of coprime lengths make a chain of pairs as long as their product.
    #[test]
    fn long_chains_of_types_do_not_overflow_the_stack() {
        let cycle = |length: usize| {
            let start = "\"n0.N\"".to_owned();
            let text = (0..length).rev().fold(start, |inner, i| {
                format!(
                    r#"{{"type":"record","name":"n{i}.N","fields":[{{"name":"f","type":{inner}}}]}}"#
                )
            });
            Tree::parse(&text, &[]).unwrap()
        };
        assert!(problems(&cycle(13), &cycle(17)).is_empty());
        let found = problems(&cycle(37), &cycle(38));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().ends_with(": too large to check"));
    }

    #[test]
    fn webs_of_types_do_not_exhaust_memory_or_time() {
        let web = |leaf: &str| {
            let mut text = format!(
                r#"[{{"type":"record","name":"T0","fields":[{{"name":"f","type":"{leaf}"}}]}}"#
            );
            for i in 1..2_000 {
                let uses = i - 1;
                text += &format!(
                    r#",{{"type":"record","name":"T{i}","fields":[
                        {{"name":"f","type":"T{uses}"}},{{"name":"g","type":"T{uses}"}}]}}"#
                );
            }
            Tree::parse(&(text + "]"), &[]).unwrap()
        };
        let found = problems(&web("int"), &web("string"));
        assert!(!found.is_empty() && found.len() <= MAX_PROBLEMS);
    }
}
