//! A datum to a row.

use alloc::vec::Vec;

use super::RowCodec;
use super::compile::Step;
use crate::skip::Walk;
use crate::table::Node;
use crate::{Error, Scalar};

#[inline]
pub(super) fn read<'a>(
    codec: &'a RowCodec,
    datum: &'a [u8],
    row: &mut Vec<Scalar<'a>>,
) -> Result<(), Error> {
    row.clear();
    row.reserve(codec.columns.len());
    let mut walk = Walk::new(codec.schema.table(), datum);
    if let Err(error) = run(&codec.steps, &mut walk, row) {
        return Err(codec.in_column(error.or_offset(walk.reader.offset()), row.len()));
    }
    if codec.whole { walk.reader.finish() } else { Ok(()) }
}

fn run<'a>(
    steps: &'a [Step],
    walk: &mut Walk<'a, 'a>,
    row: &mut Vec<Scalar<'a>>,
) -> Result<(), Error> {
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        match step {
            Step::Value(node) => push(walk, node, row)?,
            Step::Optional { null_first, node } => {
                if walk.is_some(*null_first)? {
                    push(walk, node, row)?;
                } else {
                    row.push(Scalar::Null);
                }
            }
            Step::Skip(node) => walk.skip_inline(node)?,
            Step::SkipOptional { null_first, node } => {
                if walk.is_some(*null_first)? {
                    walk.skip_inline(node)?;
                }
            }
            Step::Raw(node) => {
                let before = walk.reader.rest();
                walk.skip(node)?;
                let length = before.len() - walk.reader.rest().len();
                row.push(Scalar::Bytes(before.get(..length).unwrap_or_default()));
            }
            Step::Group { null_first, wanted, steps: inside, columns } => {
                let is_some = walk.is_some(*null_first)?;
                if *wanted {
                    row.push(if is_some { Scalar::Boolean(true) } else { Scalar::Null });
                }
                if !is_some {
                    let rest = steps.as_slice().get(*inside as usize..).unwrap_or_default();
                    steps = rest.iter();
                    row.resize(row.len() + *columns as usize, Scalar::Null);
                }
            }
        }
    }
    Ok(())
}

#[inline(always)]
fn push<'a>(walk: &mut Walk<'a, 'a>, node: &Node, row: &mut Vec<Scalar<'a>>) -> Result<(), Error> {
    let reader = &mut walk.reader;
    match *node {
        Node::Long => row.push(Scalar::Long(reader.read_long()?)),
        Node::String => row.push(Scalar::String(reader.read_str()?)),
        Node::Int => row.push(Scalar::Int(reader.read_int()?)),
        Node::Bytes => row.push(Scalar::Bytes(reader.read_bytes()?)),
        Node::Boolean => row.push(Scalar::Boolean(reader.read_boolean()?)),
        Node::Float => row.push(Scalar::Float(reader.read_float()?)),
        Node::Double => row.push(Scalar::Double(reader.read_double()?)),
        Node::Fixed(size) => row.push(Scalar::Bytes(reader.read_fixed(size as usize)?)),
        Node::Enum(index) => row.push(Scalar::String(walk.symbol(index)?)),
        // All others have other steps.
        _ => row.push(Scalar::Null),
    }
    Ok(())
}
