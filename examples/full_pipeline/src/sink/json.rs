//! Avro datums to JSON text, as Connect's `JsonConverter` without schemas writes them: nulls stay,
//! bytes are base64, logical types are the numbers under them, decimals are the base64 of their
//! unscaled value. The walk over the schema is compiled once.

mod text;

use std::collections::HashMap;

use avro_wire::{Kind, Schema, TypeView, primitive::Reader};

use self::text::{Name, float, is_plain, plain};
pub(super) use self::text::{base64, string};
use super::walk::{DEPTH, EMPTY_ITEMS, block};
use crate::error::{Error, Part};

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
    Record(Vec<(Name, usize)>),
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
                    fields.push((Name::new(text), self.add(field.field_type(), named)));
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
            .and_then(|()| reader.finish().map_err(Malformed::from));
        written.map_err(|malformed| {
            out.truncate(start);
            malformed.into()
        })
    }

    fn value(
        &self,
        node: usize,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed(None))?;
        match self.nodes.get(node).ok_or(Malformed(None))? {
            Node::Record(fields) => {
                if fields.is_empty() {
                    out.push(b'{');
                }
                for (name, field) in fields {
                    name.write(out);
                    let (mut place, mut node) = (*field, self.nodes.get(*field));
                    if let Some(Node::Option(null, inner)) = node {
                        match reader.read_long()? {
                            branch if branch == *null => {
                                out.extend_from_slice(b"null");
                                continue;
                            }
                            0 | 1 => (place, node) = (*inner, self.nodes.get(*inner)),
                            _ => return Err(Malformed(None)),
                        }
                    }
                    if !scalar(node.ok_or(Malformed(None))?, reader, out)? {
                        self.value(place, reader, out, depth)?;
                    }
                }
                out.push(b'}');
            }
            Node::Option(null, inner) => match reader.read_long()? {
                branch if branch == *null => out.extend_from_slice(b"null"),
                0 | 1 => self.value(*inner, reader, out, depth)?,
                _ => return Err(Malformed(None)),
            },
            Node::Union(branches) => self.union(branches, reader, out, depth)?,
            Node::Array(items) => {
                out.push(b'[');
                self.items(reader, out, |reader, out| self.value(*items, reader, out, depth))?;
                out.push(b']');
            }
            Node::Map(items) => {
                out.push(b'{');
                self.items(reader, out, |reader, out| {
                    string_of(reader, out)?;
                    out.push(b':');
                    self.value(*items, reader, out, depth)
                })?;
                out.push(b'}');
            }
            other => {
                scalar(other, reader, out)?;
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
    ) -> Result<(), Malformed> {
        let chosen = reader.read_long()?;
        let chosen = usize::try_from(chosen).map_err(|_| Malformed(None))?;
        let (_, node) = branches.get(chosen).ok_or(Malformed(None))?;
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
        mut item: impl FnMut(&mut Reader<'d>, &mut Vec<u8>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut first = true;
        loop {
            let count = block(reader, EMPTY_ITEMS)?.ok_or(Malformed(None))?;
            if count == 0 {
                return Ok(());
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

/// Appends a value that has no others in it; false when it has.
#[inline]
fn scalar(node: &Node, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<bool, Malformed> {
    match node {
        Node::String => string_of(reader, out)?,
        Node::Int => plain(&reader.read_int()?, out),
        Node::Long => plain(&reader.read_long()?, out),
        Node::Null => out.extend_from_slice(b"null"),
        Node::Boolean => {
            let truth = reader.read_boolean()?;
            out.extend_from_slice(if truth { b"true" } else { b"false" });
        }
        Node::Float => {
            let value = reader.read_float()?;
            if is_plain(value.into()) {
                plain(&value, out);
            } else {
                float(value.is_finite().then(|| format!("{value:e}")), value.into(), out);
            }
        }
        Node::Double => {
            let value = reader.read_double()?;
            if is_plain(value) {
                plain(&value, out);
            } else {
                float(value.is_finite().then(|| format!("{value:e}")), value, out);
            }
        }
        Node::Bytes => base64(reader.read_bytes()?, out),
        Node::Fixed(size) => base64(reader.read_fixed(*size)?, out),
        Node::Enum(symbols) => {
            let index = reader.read_int()?;
            let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
            out.extend_from_slice(symbol.ok_or(Malformed(None))?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Appends a string of a datum.
#[inline]
fn string_of(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let bytes = reader.read_bytes()?;
    if text::quoted(bytes, out) { Ok(()) } else { Err(Malformed(None)) }
}

/// Why there is no JSON; small, since it is handed up from every value.
struct Malformed(Option<avro_wire::Error>);

impl From<avro_wire::Error> for Malformed {
    fn from(error: avro_wire::Error) -> Self {
        Self(Some(error))
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        let error = Self::new(Part::Data, "the bytes are not a datum of their schema");
        match malformed.0 {
            Some(cause) => error.with_cause(cause),
            None => error,
        }
    }
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
    fn any_text_is_the_same_when_it_is_read() {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"t","type":"string"},
            {"name":"a_name_that_is_longer_than_what_is_copied_as_one","type":"string"}]}"#;
        let plan = JsonPlan::new(&Schema::parse(schema).unwrap());
        let (mut datum, mut out) = (Vec::new(), Vec::new());
        for len in 0..70 {
            for at in 0..=len {
                for odd in ["", "\"", "\\", "\u{0}", "\u{1f}", "\u{7f}", " ", "é", "\u{80}", "😀"]
                {
                    let texts =
                        [format!("{}{odd}{}", "a".repeat(at), "!".repeat(len - at)), odd.repeat(3)];
                    datum.clear();
                    out.clear();
                    texts.iter().for_each(|text| {
                        avro_wire::primitive::write_string(text, &mut datum);
                    });
                    plan.write(&datum, &mut out).unwrap();
                    let read: std::collections::BTreeMap<String, String> =
                        serde_json::from_slice(&out).unwrap();
                    let expected = [
                        ("a_name_that_is_longer_than_what_is_copied_as_one", &texts[1]),
                        ("t", &texts[0]),
                    ];
                    assert!(read.iter().map(|(k, v)| (k.as_str(), v)).eq(expected), "{read:?}");
                }
            }
        }
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
