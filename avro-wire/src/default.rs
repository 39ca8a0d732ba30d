//! Default values of fields, from their JSON form to a datum.

use alloc::vec::Vec;

use serde_json::Value;

use crate::primitive;
use crate::table::{Node, Table};

/// Appends `json` as a datum of `node`. `None` when it does not fit.
pub(crate) fn encode_default(
    table: &Table,
    node: Node,
    json: &Value,
    depth: u8,
    out: &mut Vec<u8>,
) -> Option<()> {
    match (node, json) {
        (Node::Null, Value::Null) => {}
        (Node::Boolean, Value::Bool(value)) => primitive::write_boolean(*value, out),
        (Node::Int, Value::Number(n)) => primitive::write_int(n.as_i64()?.try_into().ok()?, out),
        (Node::Long, Value::Number(n)) => primitive::write_long(n.as_i64()?, out),
        (Node::Float | Node::Double, _) => float(node, json, out)?,
        (Node::String, Value::String(text)) => primitive::write_string(text, out),
        (Node::Bytes, Value::String(text)) => primitive::write_bytes(&latin1(text)?, out),
        (Node::Fixed(size), Value::String(text)) => {
            let bytes = latin1(text)?;
            if bytes.len() != size as usize {
                return None;
            }
            out.extend_from_slice(&bytes);
        }
        (Node::Enum(index), Value::String(symbol)) => {
            let position = table.enumeration(index).position(symbol)?;
            primitive::write_long(position.try_into().ok()?, out);
        }
        (Node::Array(item), Value::Array(values)) => {
            if !values.is_empty() {
                primitive::write_length(values.len(), out);
            }
            for value in values {
                encode_default(table, table.node(item), value, depth.checked_sub(1)?, out)?;
            }
            out.push(0);
        }
        (Node::Map(item), Value::Object(values)) => {
            if !values.is_empty() {
                primitive::write_length(values.len(), out);
            }
            for (key, value) in values {
                primitive::write_string(key, out);
                encode_default(table, table.node(item), value, depth.checked_sub(1)?, out)?;
            }
            out.push(0);
        }
        (Node::Record(index), Value::Object(values)) => {
            for field in &table.record(index).fields {
                match (values.get(&*field.name), &field.default) {
                    (Some(value), _) => {
                        encode_default(table, field.node, value, depth.checked_sub(1)?, out)?;
                    }
                    (None, Some(default)) => out.extend_from_slice(default.datum.as_ref()?),
                    (None, None) => return None,
                }
            }
        }
        (Node::Option { null_first, inner }, _) => {
            // The specification up to 1.11 lets a default be of the first branch only; later
            // it may be of any.
            let is_null = json.is_null();
            out.push(if is_null == null_first { 0 } else { 2 });
            if !is_null {
                encode_default(table, table.node(inner), json, depth, out)?;
            }
        }
        (Node::Union(index), _) => {
            let start = out.len();
            for (branch, position) in table.branches(index).iter().zip(0..) {
                primitive::write_int(position, out);
                if encode_default(table, branch.node, json, depth, out).is_some() {
                    return Some(());
                }
                out.truncate(start);
            }
            return None;
        }
        _ => return None,
    }
    Some(())
}

#[allow(clippy::cast_possible_truncation, reason = "a default is rounded to its type, as in Java")]
fn float(node: Node, json: &Value, out: &mut Vec<u8>) -> Option<()> {
    let value = match json {
        Value::Number(number) => number.as_f64()?,
        // JSON has no such numbers; Java and Connect write them as text.
        Value::String(text) => match &**text {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return None,
        },
        _ => return None,
    };
    match node {
        Node::Float => primitive::write_float(value as f32, out),
        _ => primitive::write_double(value, out),
    }
    Some(())
}

/// Bytes stand in JSON as the characters U+0000 to U+00FF.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}
