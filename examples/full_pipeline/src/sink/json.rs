//! Avro datums to JSON text, as Connect's `JsonConverter` without schemas writes them: nulls stay,
//! bytes are base64, logical types are the numbers under them, decimals are the base64 of their
//! unscaled value. The walk over the schema is compiled once.

use std::collections::HashMap;

use avro_wire::{Kind, Schema, TypeView, primitive::Reader};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::error::{Error, Part};

/// Records in records that are followed; what is deeper is an error, not a stack overflow.
const DEPTH: usize = 64;
/// Items without bytes, such as nulls, that one block may hold.
const EMPTY_ITEMS: usize = 1 << 16;

/// A schema's way to JSON.
#[derive(Debug)]
pub(super) struct JsonPlan {
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    String,
    /// The symbols in quotes.
    Enum(Vec<Vec<u8>>),
    Array(usize),
    Map(usize),
    /// The text before each field, with its name, and the field's node.
    Record(Vec<(Vec<u8>, usize)>),
    /// Which branch is null, and the node of the other.
    Option(i64, usize),
    /// The name of each branch in quotes, and its node: Connect makes a struct of the branches.
    Union(Vec<(Vec<u8>, usize)>),
}

impl JsonPlan {
    /// Compiles the walk.
    pub(super) fn new(schema: &Schema) -> Self {
        let mut plan = Self { nodes: Vec::new() };
        plan.add(schema.root_type(), &mut HashMap::new());
        plan
    }

    fn add<'s>(&mut self, view: TypeView<'s>, named: &mut HashMap<&'s str, usize>) -> usize {
        if let Some(known) = view.name().and_then(|name| named.get(name)) {
            return *known;
        }
        let index = self.nodes.len();
        self.nodes.push(Node::Null);
        if let Some(name) = view.name() {
            named.insert(name, index);
        }
        let node = match view.kind() {
            Kind::Null => Node::Null,
            Kind::Boolean => Node::Boolean,
            Kind::Int => Node::Int,
            Kind::Long => Node::Long,
            Kind::Float => Node::Float,
            Kind::Double => Node::Double,
            Kind::Bytes => Node::Bytes,
            Kind::String => Node::String,
            Kind::Fixed => Node::Fixed(view.size().unwrap_or(0) as usize),
            Kind::Enum => Node::Enum(view.symbols().map(quoted).collect()),
            Kind::Array | Kind::Map => {
                let items = view.items().map_or(index, |items| self.add(items, named));
                if view.kind() == Kind::Map { Node::Map(items) } else { Node::Array(items) }
            }
            Kind::Record => {
                let mut before = b'{';
                let mut fields = Vec::new();
                for field in view.fields() {
                    let mut text = vec![before];
                    string(field.name(), &mut text);
                    text.push(b':');
                    fields.push((text, self.add(field.field_type(), named)));
                    before = b',';
                }
                Node::Record(fields)
            }
            Kind::Union => {
                let branches: Vec<TypeView<'s>> = view.branches().collect();
                let null = branches.iter().position(|branch| branch.kind() == Kind::Null);
                match (branches.as_slice(), null) {
                    ([_, inner], Some(0)) => Node::Option(0, self.add(*inner, named)),
                    ([inner, _], Some(1)) => Node::Option(1, self.add(*inner, named)),
                    _ => Node::Union(
                        branches
                            .into_iter()
                            .map(|branch| (quoted(branch_name(branch)), self.add(branch, named)))
                            .collect(),
                    ),
                }
            }
        };
        if let Some(slot) = self.nodes.get_mut(index) {
            *slot = node;
        }
        index
    }

    /// Appends the JSON of `datum`; on an error `out` keeps its length.
    pub(super) fn write(&self, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        let mut reader = Reader::new(datum);
        let written = self
            .value(0, &mut reader, out, DEPTH)
            .and_then(|()| reader.finish().map_err(|error| malformed().with_cause(error)));
        written.inspect_err(|_| out.truncate(start))
    }

    fn value(
        &self,
        node: usize,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or_else(malformed)?;
        let failed = |error: avro_wire::Error| malformed().with_cause(error);
        match self.nodes.get(node).ok_or_else(malformed)? {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Boolean => {
                let truth = reader.read_boolean().map_err(failed)?;
                out.extend_from_slice(if truth { b"true" } else { b"false" });
            }
            Node::Int => integer(reader.read_int().map_err(failed)?.into(), out),
            Node::Long => integer(reader.read_long().map_err(failed)?, out),
            Node::Float => {
                let value = reader.read_float().map_err(failed)?;
                float(value.is_finite().then(|| format!("{value:e}")), value.into(), out);
            }
            Node::Double => {
                let value = reader.read_double().map_err(failed)?;
                float(value.is_finite().then(|| format!("{value:e}")), value, out);
            }
            Node::Bytes => base64(reader.read_bytes().map_err(failed)?, out),
            Node::Fixed(size) => base64(reader.read_fixed(*size).map_err(failed)?, out),
            Node::String => string(reader.read_str().map_err(failed)?, out),
            Node::Enum(symbols) => {
                let index = reader.read_int().map_err(failed)?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                out.extend_from_slice(symbol.ok_or_else(malformed)?);
            }
            Node::Record(fields) => {
                if fields.is_empty() {
                    out.push(b'{');
                }
                for (name, field) in fields {
                    out.extend_from_slice(name);
                    self.value(*field, reader, out, depth)?;
                }
                out.push(b'}');
            }
            Node::Option(null, inner) => {
                if reader.read_long().map_err(failed)? == *null {
                    out.extend_from_slice(b"null");
                } else {
                    self.value(*inner, reader, out, depth)?;
                }
            }
            Node::Union(branches) => self.union(branches, reader, out, depth)?,
            Node::Array(items) => {
                out.push(b'[');
                self.items(reader, out, |reader, out| self.value(*items, reader, out, depth))?;
                out.push(b']');
            }
            Node::Map(items) => {
                out.push(b'{');
                self.items(reader, out, |reader, out| {
                    string(reader.read_str().map_err(failed)?, out);
                    out.push(b':');
                    self.value(*items, reader, out, depth)
                })?;
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn union(
        &self,
        branches: &[(Vec<u8>, usize)],
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Error> {
        let chosen = reader.read_long().map_err(|error| malformed().with_cause(error))?;
        let chosen = usize::try_from(chosen).map_err(|_| malformed())?;
        let (_, node) = branches.get(chosen).ok_or_else(malformed)?;
        if matches!(self.nodes.get(*node), Some(Node::Null)) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let mut before = b'{';
        for (index, (name, branch)) in branches.iter().enumerate() {
            if matches!(self.nodes.get(*branch), Some(Node::Null)) {
                continue;
            }
            out.push(before);
            out.extend_from_slice(name);
            out.push(b':');
            if index == chosen {
                self.value(*node, reader, out, depth)?;
            } else {
                out.extend_from_slice(b"null");
            }
            before = b',';
        }
        out.push(b'}');
        Ok(())
    }

    fn items<'d>(
        &self,
        reader: &mut Reader<'d>,
        out: &mut Vec<u8>,
        mut item: impl FnMut(&mut Reader<'d>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |error: avro_wire::Error| malformed().with_cause(error);
        let mut first = true;
        loop {
            let mut count = reader.read_long().map_err(failed)?;
            if count < 0 {
                // The block's size in bytes comes between.
                reader.read_long().map_err(failed)?;
                count = count.checked_neg().ok_or_else(malformed)?;
            }
            if count == 0 {
                return Ok(());
            }
            // Only items without bytes can be more than the bytes that are left.
            let most = reader.rest().len().saturating_add(EMPTY_ITEMS);
            if usize::try_from(count).map_or(true, |count| count > most) {
                return Err(malformed());
            }
            for _ in 0..count {
                if !first {
                    out.push(b',');
                }
                first = false;
                item(reader, out)?;
            }
        }
    }
}

#[cold]
fn malformed() -> Error {
    Error::new(Part::Data, "the bytes are not a datum of their schema")
}

/// What Connect calls the field of a branch.
fn branch_name(branch: TypeView<'_>) -> &str {
    branch.name().unwrap_or_else(|| match branch.kind() {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Bytes => "bytes",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Map => "map",
        Kind::Fixed | Kind::Enum | Kind::Record | Kind::Union => "",
    })
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    string(text, &mut out);
    out
}

fn integer(value: i64, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _written = serde_json::to_writer(out, &value);
}

/// Bytes in base64.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(place) = out.get_mut(start..) {
        // The place is as large as the text.
        let _len = STANDARD.encode_slice(bytes, place);
    }
    out.push(b'"');
}

/// Text in quotes. Characters beyond ASCII stay as they are.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = escaped.split_first() else { break };
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => 0,
        };
        if short == 0 {
            out.extend_from_slice(format!("\\u{byte:04X}").as_bytes());
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A number as Java prints it: plain from a thousandth to ten millions, else with an exponent.
/// `shortest` is `d.ddde±x`, `None` for what is no number, which JSON has as text.
fn float(shortest: Option<String>, value: f64, out: &mut Vec<u8>) {
    let Some(shortest) = shortest else {
        let name = match value {
            f64::INFINITY => "\"Infinity\"",
            f64::NEG_INFINITY => "\"-Infinity\"",
            _ => "\"NaN\"",
        };
        out.extend_from_slice(name.as_bytes());
        return;
    };
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if unsigned != "0" && !(-3..7).contains(&exponent) {
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        out.extend_from_slice(format!("{whole}.{fraction}E{exponent}").as_bytes());
        return;
    }
    let digits = || whole.bytes().chain(fraction.bytes());
    match usize::try_from(exponent) {
        Ok(shift) => {
            let mut digits = digits();
            out.extend((0..=shift).map(|_| digits.next().unwrap_or(b'0')));
            out.push(b'.');
            let before = out.len();
            out.extend(digits);
            if out.len() == before {
                out.push(b'0');
            }
        }
        Err(_) => {
            out.extend_from_slice(b"0.");
            let zeros = exponent.unsigned_abs().saturating_sub(1);
            out.extend((0..zeros).map(|_| b'0'));
            out.extend(digits());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(schema: &str, datum: &[u8]) -> String {
        let mut out = Vec::new();
        JsonPlan::new(&Schema::parse(schema).unwrap()).write(datum, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_printed_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (-12.5, "-12.5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e-3, "0.00125"),
            (1e-3, "0.001"),
            (9.9e-4, "9.9E-4"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157E308"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            let mut datum = Vec::new();
            avro_wire::primitive::write_double(value, &mut datum);
            assert_eq!(json(r#""double""#, &datum), text);
        }
        let mut datum = Vec::new();
        avro_wire::primitive::write_float(3.3, &mut datum);
        assert_eq!(json(r#""float""#, &datum), "3.3");
    }

    #[test]
    fn a_record_of_everything() {
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"i","type":"int"},
            {"name":"b","type":"bytes"},
            {"name":"s","type":["null","string"]},
            {"name":"n","type":["string","null"]},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"]}},
            {"name":"a","type":{"type":"array","items":"long"}},
            {"name":"m","type":{"type":"map","values":"boolean"}},
            {"name":"u","type":["null","int","string"]},
            {"name":"next","type":["null","R"]}]}"#;
        // The array comes in two blocks, the second with its size.
        let datum =
            b"\x03\x04\xff\x00\x02\x0c\"\\\n\x01\xc3\xa9\x02\x02\x04\x02\x04\x01\x02\x06\x00\
            \x02\x02k\x01\x00\x04\x02z\x00";
        assert_eq!(
            json(schema, datum),
            "{\"i\":-2,\"b\":\"/wA=\",\"s\":\"\\\"\\\\\\n\\u0001é\",\"n\":null,\"e\":\"y\",\
             \"a\":[1,2,3],\"m\":{\"k\":true},\"u\":{\"int\":null,\"string\":\"z\"},\"next\":null}"
        );
    }

    #[test]
    fn what_is_no_datum_is_an_error_and_leaves_nothing() {
        let schema = Schema::parse(
            r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]},
                {"name":"a","type":{"type":"array","items":"null"}}]}"#,
        )
        .unwrap();
        let plan = JsonPlan::new(&schema);
        let mut out = b"before".to_vec();
        let billions = b"\x00\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00";
        for datum in [&[2; 500][..], b"", b"\x00", b"\x09", b"\x00\x00\x00", billions] {
            assert!(plan.write(datum, &mut out).is_err(), "{datum:?}");
            assert_eq!(out, b"before");
        }
    }
}
