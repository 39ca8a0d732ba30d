//! A row to a datum.

use alloc::vec::Vec;

use super::RowCodec;
use super::compile::Step;
use crate::table::{Node, Table};
use crate::{Error, ErrorKind, Scalar, primitive};

pub(super) fn write(codec: &RowCodec, row: &[Scalar<'_>], out: &mut Vec<u8>) -> Result<(), Error> {
    if !codec.whole {
        return Err(Error::new(ErrorKind::TypeMismatch));
    }
    if row.len() != codec.columns.len() {
        let (expected, actual) = (codec.columns.len(), row.len());
        return Err(Error::new(ErrorKind::LengthMismatch { expected, actual }));
    }
    let mut cells = row.iter();
    run(codec, &mut cells, out).map_err(|error| codec.in_column(error, row.len() - cells.len() - 1))
}

fn run<'a>(
    codec: &RowCodec,
    cells: &mut core::slice::Iter<'a, Scalar<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let table = codec.schema.table();
    let mut steps = codec.steps.iter();
    while let Some(step) = steps.next() {
        // The row has one for each step, as both were counted.
        let Some(cell) = cells.next() else { return Err(mismatch()) };
        match (step, cell) {
            (Step::Value(node), cell) => write_scalar(table, node, cell, out)?,
            (Step::Optional { null_first, .. }, Scalar::Null) => out.push(index(*null_first, true)),
            (Step::Optional { null_first, node }, cell) => {
                out.push(index(*null_first, false));
                write_scalar(table, node, cell, out)?;
            }
            (Step::Raw(_), Scalar::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Step::Group { null_first, .. }, Scalar::Boolean(true)) => {
                out.push(index(*null_first, false));
            }
            (Step::Group { null_first, steps: inside, columns, .. }, Scalar::Null) => {
                out.push(index(*null_first, true));
                steps = steps.as_slice().get(*inside as usize..).unwrap_or_default().iter();
                for _ in 0..*columns {
                    if cells.next() != Some(&Scalar::Null) {
                        return Err(mismatch());
                    }
                }
            }
            _ => return Err(mismatch()),
        }
    }
    Ok(())
}

/// The index of a branch of an option, as a datum.
#[inline]
const fn index(null_first: bool, null: bool) -> u8 {
    if null_first == null { 0 } else { 2 }
}

/// The two types that most columns have, without a call.
#[inline(always)]
fn write_scalar(
    table: &Table,
    node: &Node,
    cell: &Scalar<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match (node, cell) {
        (Node::Long, Scalar::Long(value)) => primitive::write_long(*value, out),
        (Node::String, Scalar::String(value)) => primitive::write_string(value, out),
        _ => return write_other(table, node, *cell, out),
    }
    Ok(())
}

#[inline(never)]
fn write_other(
    table: &Table,
    node: &Node,
    cell: Scalar<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match (*node, cell) {
        (Node::Int | Node::Long, Scalar::Int(value)) => primitive::write_int(value, out),
        (Node::Bytes, Scalar::Bytes(value)) => primitive::write_bytes(value, out),
        (Node::Boolean, Scalar::Boolean(value)) => primitive::write_boolean(value, out),
        (Node::Float, Scalar::Float(value)) => primitive::write_float(value, out),
        (Node::Double, Scalar::Double(value)) => primitive::write_double(value, out),
        (Node::Null, Scalar::Null) => {}
        (Node::Int, Scalar::Long(value)) => {
            let value = i32::try_from(value).map_err(|_| Error::new(ErrorKind::NumberRange))?;
            primitive::write_int(value, out);
        }
        (Node::Fixed(size), Scalar::Bytes(value)) => {
            let expected = size as usize;
            if value.len() != expected {
                let actual = value.len();
                return Err(Error::new(ErrorKind::LengthMismatch { expected, actual }));
            }
            out.extend_from_slice(value);
        }
        (Node::Enum(index), Scalar::String(symbol)) => {
            let position = table.enumeration(index).position(symbol);
            let position =
                position.ok_or_else(|| Error::named(ErrorKind::UnknownVariant, symbol))?;
            primitive::write_length(position, out);
        }
        _ => return Err(mismatch()),
    }
    Ok(())
}

#[cold]
fn mismatch() -> Error {
    Error::new(ErrorKind::TypeMismatch)
}
