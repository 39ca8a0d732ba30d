//! A schema to a list of steps.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Column;
use crate::table::{DEPTH_LIMIT, Node, Table};
use crate::{Error, ErrorKind, Schema};

/// One thing to do with the next bytes. Each column has one step, in its order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A column of this type.
    Value(Node),
    /// A column that may be null.
    Optional { null_first: bool, node: Node },
    /// A column with the bytes of this type.
    Raw(Node),
    /// Bytes of this type that no column wants.
    Skip(Node),
    /// The same, for what may be null.
    SkipOptional { null_first: bool, node: Node },
    /// The start of an optional record. Where it is null, the next `steps` do not happen, and the
    /// next `columns` are null. Whether it is, is itself a column, if that is wanted.
    Group { null_first: bool, wanted: bool, steps: u32, columns: u32 },
}

pub(super) struct Compiled {
    pub(super) columns: Box<[Column]>,
    pub(super) steps: Box<[Step]>,
}

pub(super) fn compile(schema: &Schema, wanted: Option<&[&str]>) -> Result<Compiled, Error> {
    let Node::Record(record) = *schema.root() else {
        return Err(Error::new(ErrorKind::TypeMismatch));
    };
    let table = schema.table();
    let mut compiler = Compiler {
        table,
        wanted,
        inside: Vec::new(),
        columns: Vec::new(),
        steps: Vec::new(),
        records: 0,
    };
    compiler.record(record, "")?;
    let Compiler { columns, mut steps, .. } = compiler;
    for name in wanted.unwrap_or_default() {
        if !columns.iter().any(|column| column.name == **name) {
            return Err(Error::named(ErrorKind::UnknownField, name));
        }
    }
    if wanted.is_some() {
        // Skips at the end are of no use; those that a group counts must stay.
        let mut keep = 0;
        for (index, step) in steps.iter().enumerate() {
            keep = match *step {
                Step::Skip(_) | Step::SkipOptional { .. } => keep,
                Step::Group { steps, .. } => index + 1 + steps as usize,
                _ => keep.max(index + 1),
            };
        }
        steps.truncate(keep);
    }
    Ok(Compiled { columns: columns.into(), steps: steps.into() })
}

struct Compiler<'a> {
    table: &'a Table,
    wanted: Option<&'a [&'a str]>,
    /// The records around.
    inside: Vec<u32>,
    columns: Vec<Column>,
    steps: Vec<Step>,
    /// Records made flat so far.
    records: usize,
}

impl Compiler<'_> {
    fn record(&mut self, index: u32, prefix: &str) -> Result<(), Error> {
        self.inside.push(index);
        self.records += 1;
        for field in &self.table.record(index).fields {
            let name = match prefix {
                "" => (*field.name).to_owned(),
                _ => format!("{prefix}.{}", field.name),
            };
            self.field(field.node, field.slot, name)?;
        }
        self.inside.pop();
        Ok(())
    }

    fn field(&mut self, node: Node, slot: u32, name: String) -> Result<(), Error> {
        let optional = match node {
            Node::Option { null_first, inner } => Some((null_first, self.table.node(inner))),
            _ => None,
        };
        match (optional, optional.map_or(node, |(_, node)| node)) {
            (_, Node::Record(index)) if self.is_flat(index) && self.is_wanted_in(&name) => {
                let Some((null_first, _)) = optional else { return self.record(index, &name) };
                let wanted = self.is_wanted(&name);
                let group = self.steps.len();
                self.steps.push(Step::Skip(node));
                if wanted {
                    self.columns.push(Column { name: name.clone(), slot });
                }
                let columns = self.columns.len();
                self.record(index, &name)?;
                let steps = to_u32(self.steps.len() - group - 1)?;
                let columns = to_u32(self.columns.len() - columns)?;
                if let Some(step) = self.steps.get_mut(group) {
                    *step = Step::Group { null_first, wanted, steps, columns };
                }
                return Ok(());
            }
            _ if !self.is_wanted(&name) => {
                self.steps.push(match optional {
                    Some((null_first, node)) => Step::SkipOptional { null_first, node },
                    None => Step::Skip(node),
                });
                return Ok(());
            }
            (_, Node::Record(_) | Node::Array(_) | Node::Map(_) | Node::Union(_)) => {
                self.steps.push(Step::Raw(node));
            }
            (Some((null_first, node)), _) => self.steps.push(Step::Optional { null_first, node }),
            (None, node) => self.steps.push(Step::Value(node)),
        }
        self.columns.push(Column { name, slot });
        Ok(())
    }

    /// Whether the record is not around itself, nor so deep that it had better not be flat.
    fn is_flat(&self, index: u32) -> bool {
        !self.inside.contains(&index)
            && self.inside.len() < usize::from(DEPTH_LIMIT)
            && self.columns.len().max(self.records) < MAX_COLUMNS
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.is_none_or(|wanted| wanted.contains(&name))
    }

    /// Whether the record `name` or something in it is wanted.
    fn is_wanted_in(&self, name: &str) -> bool {
        self.wanted.is_none_or(|wanted| {
            let inside = |w: &str| w.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            wanted.iter().any(|w| *w == name || inside(w))
        })
    }
}

/// Records that use each other often are much larger flat than their schema is.
const MAX_COLUMNS: usize = 10_000;

fn to_u32(number: usize) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::new(ErrorKind::DepthLimit))
}
