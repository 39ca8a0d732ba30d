//! Datums of one schema written as datums of another, as Connect projects a record to the schema of
//! its file: fields by their names, missing ones as their default or null, numbers widened, what the
//! file does not know left out. The way is compiled once.

use std::collections::HashMap;

use avro_wire::{
    Kind, Schema, TypeView,
    primitive::{self, Reader},
};

use super::walk::{DEPTH, EMPTY_ITEMS, block};
use crate::error::{Error, Part};

/// The way from one schema to another.
#[derive(Debug)]
pub(super) struct Projection {
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    /// The same bytes.
    Copy(Flat),
    /// An int as a long has the same bytes.
    Widen {
        from: Flat,
        to: Flat,
    },
    Fixed(usize),
    /// The file's index of each symbol.
    Enum(Vec<i32>),
    Array(usize),
    Map(usize),
    Record {
        written: Vec<usize>,
        out: Vec<Out>,
        in_order: bool,
    },
    /// For each branch that may come, what becomes of it.
    Union(Vec<Target>),
    /// Into this branch of the file's union.
    Branch(i64, usize),
}

/// Types without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flat {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

#[derive(Debug)]
enum Out {
    /// The record's field at this place.
    Field(usize),
    /// A field that the record lacks.
    Default(Vec<u8>),
}

#[derive(Debug)]
enum Target {
    Node(usize),
    /// A null where the file has none.
    Default(Vec<u8>),
    /// The file has no place for it.
    Nothing,
}

impl Projection {
    /// Compiles the way; `None` if there is none.
    pub(super) fn new(record: &Schema, file: &Schema) -> Option<Self> {
        let mut projection = Self { nodes: Vec::new() };
        projection.add(record.root_type(), file.root_type(), None, &mut HashMap::new())?;
        Some(projection)
    }

    /// Appends `datum` as the file has it; on an error `out` keeps its length.
    pub(super) fn write(&self, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        let mut reader = Reader::new(datum);
        let written = self
            .value(0, &mut reader, out, DEPTH)
            .and_then(|()| reader.finish().map_err(|error| malformed().with_cause(error)));
        written.inspect_err(|_| out.truncate(start))
    }

    fn add<'s>(
        &mut self,
        record: TypeView<'s>,
        file: TypeView<'s>,
        default: Option<&[u8]>,
        known: &mut HashMap<(&'s str, &'s str), usize>,
    ) -> Option<usize> {
        let names = record.name().zip(file.name());
        if let Some(index) = names.and_then(|names| known.get(&names)) {
            return Some(*index);
        }
        let index = self.nodes.len();
        self.nodes.push(Node::Copy(Flat::Null));
        if let Some(names) = names {
            known.insert(names, index);
        }
        let node = match (record.kind(), file.kind()) {
            (Kind::Union, _) => {
                let mut targets = Vec::new();
                for branch in record.branches() {
                    targets.push(match (branch.kind(), default) {
                        (Kind::Null, Some(default)) if !nullable(file) => {
                            Target::Default(default.to_vec())
                        }
                        _ => self
                            .add(branch, file, None, known)
                            .map_or(Target::Nothing, Target::Node),
                    });
                }
                let possible = |target: &Target| !matches!(target, Target::Nothing);
                if !targets.iter().any(possible) {
                    return None;
                }
                Node::Union(targets)
            }
            (_, Kind::Union) => {
                let branches: Vec<TypeView<'s>> = file.branches().collect();
                let same = |branch: &TypeView<'_>| {
                    branch.kind() == record.kind() && branch.name() == record.name()
                };
                let place = branches.iter().position(same).or_else(|| {
                    branches.iter().position(|branch| widens(record.kind(), branch.kind()))
                })?;
                let inner = self.add(record, *branches.get(place)?, None, known)?;
                Node::Branch(i64::try_from(place).ok()?, inner)
            }
            (Kind::Record, Kind::Record) => self.record(record, file, known)?,
            (Kind::Array, Kind::Array) => {
                Node::Array(self.add(record.items()?, file.items()?, None, known)?)
            }
            (Kind::Map, Kind::Map) => {
                Node::Map(self.add(record.items()?, file.items()?, None, known)?)
            }
            (Kind::Enum, Kind::Enum) => {
                let place = |symbol| {
                    let place = file.symbols().position(|other| other == symbol)?;
                    i32::try_from(place).ok()
                };
                Node::Enum(record.symbols().map(place).collect::<Option<_>>()?)
            }
            (Kind::Fixed, Kind::Fixed) if record.size() == file.size() => {
                Node::Fixed(usize::try_from(record.size()?).ok()?)
            }
            (from, to) if from == to => Node::Copy(flat(from)?),
            (from, to) if widens(from, to) => Node::Widen { from: flat(from)?, to: flat(to)? },
            _ => return None,
        };
        *self.nodes.get_mut(index)? = node;
        Some(index)
    }

    fn record<'s>(
        &mut self,
        record: TypeView<'s>,
        file: TypeView<'s>,
        known: &mut HashMap<(&'s str, &'s str), usize>,
    ) -> Option<Node> {
        let mut written = Vec::new();
        let mut places = HashMap::new();
        for (place, field) in record.fields().enumerate() {
            let node = match file.fields().find(|other| other.name() == field.name()) {
                Some(other) => {
                    places.insert(field.name(), place);
                    let default = other.default_datum();
                    self.add(field.field_type(), other.field_type(), default, known)
                }
                // What is left out has to be read all the same.
                None => {
                    let view = field.field_type();
                    self.add(view, view, None, &mut HashMap::new())
                }
            };
            written.push(node?);
        }
        let mut out = Vec::new();
        for field in file.fields() {
            out.push(match (places.get(field.name()), field.default_datum()) {
                (Some(place), _) => Out::Field(*place),
                (None, Some(default)) => Out::Default(default.to_vec()),
                (None, None) => Out::Default(null(field.field_type())?),
            });
        }
        let of_record = out.iter().filter_map(|out| match out {
            Out::Field(place) => Some(*place),
            Out::Default(_) => None,
        });
        let in_order = of_record.eq(0..written.len());
        Some(Node::Record { written, out, in_order })
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
            Node::Copy(flat) => copy(*flat, *flat, reader, out).map_err(failed)?,
            Node::Widen { from, to } => copy(*from, *to, reader, out).map_err(failed)?,
            Node::Fixed(size) => out.extend_from_slice(reader.read_fixed(*size).map_err(failed)?),
            Node::Enum(symbols) => {
                let index = reader.read_int().map_err(failed)?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                primitive::write_int(*symbol.ok_or_else(malformed)?, out);
            }
            Node::Array(item) => {
                self.items(reader, out, |reader, out| self.value(*item, reader, out, depth))?;
            }
            Node::Map(item) => self.items(reader, out, |reader, out| {
                primitive::write_string(reader.read_str().map_err(failed)?, out);
                self.value(*item, reader, out, depth)
            })?,
            Node::Union(targets) => {
                let index = reader.read_long().map_err(failed)?;
                let target = usize::try_from(index).ok().and_then(|index| targets.get(index));
                match target.ok_or_else(malformed)? {
                    Target::Node(node) => self.value(*node, reader, out, depth)?,
                    Target::Default(default) => out.extend_from_slice(default),
                    Target::Nothing => {
                        return Err(Error::new(
                            Part::Data,
                            "a value has no place in the schema of its file",
                        ));
                    }
                }
            }
            Node::Branch(index, inner) => {
                primitive::write_long(*index, out);
                self.value(*inner, reader, out, depth)?;
            }
            Node::Record { written, out: fields, in_order: true } => {
                for field in fields {
                    match field {
                        Out::Field(place) => {
                            let node = *written.get(*place).ok_or_else(malformed)?;
                            self.value(node, reader, out, depth)?;
                        }
                        Out::Default(default) => out.extend_from_slice(default),
                    }
                }
            }
            Node::Record { written, out: fields, in_order: false } => {
                let mut read = Vec::new();
                let mut ends = Vec::with_capacity(written.len());
                for node in written {
                    let start = read.len();
                    self.value(*node, reader, &mut read, depth)?;
                    ends.push(start..read.len());
                }
                for field in fields {
                    out.extend_from_slice(match field {
                        Out::Field(place) => {
                            let range = ends.get(*place).cloned();
                            range.and_then(|range| read.get(range)).ok_or_else(malformed)?
                        }
                        Out::Default(default) => default,
                    });
                }
            }
        }
        Ok(())
    }

    fn items<'d>(
        &self,
        reader: &mut Reader<'d>,
        out: &mut Vec<u8>,
        mut item: impl FnMut(&mut Reader<'d>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            let count = block(reader, EMPTY_ITEMS)
                .map_err(|error| malformed().with_cause(error))?
                .ok_or_else(malformed)?;
            primitive::write_long(i64::try_from(count).map_err(|_| malformed())?, out);
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item(reader, out)?;
            }
        }
    }
}

const fn flat(kind: Kind) -> Option<Flat> {
    Some(match kind {
        Kind::Null => Flat::Null,
        Kind::Boolean => Flat::Boolean,
        Kind::Int => Flat::Int,
        Kind::Long => Flat::Long,
        Kind::Float => Flat::Float,
        Kind::Double => Flat::Double,
        Kind::Bytes => Flat::Bytes,
        Kind::String => Flat::String,
        _ => return None,
    })
}

/// Whether a number of the first type becomes one of the second: Connect's order of numbers.
const fn widens(from: Kind, to: Kind) -> bool {
    matches!(
        (from, to),
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Double)
    )
}

fn nullable(view: TypeView<'_>) -> bool {
    view.kind() == Kind::Null || view.branches().any(|branch| branch.kind() == Kind::Null)
}

/// Null, if the type has it.
fn null(view: TypeView<'_>) -> Option<Vec<u8>> {
    if view.kind() == Kind::Null {
        return Some(Vec::new());
    }
    let place = view.branches().position(|branch| branch.kind() == Kind::Null)?;
    let mut datum = Vec::new();
    primitive::write_long(i64::try_from(place).ok()?, &mut datum);
    Some(datum)
}

#[allow(clippy::cast_precision_loss, reason = "Java's conversions round too")]
fn copy(
    from: Flat,
    to: Flat,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), avro_wire::Error> {
    match (from, to) {
        (Flat::Null, _) => {}
        (Flat::Boolean, _) => primitive::write_boolean(reader.read_boolean()?, out),
        (Flat::Bytes | Flat::String, _) => primitive::write_bytes(reader.read_bytes()?, out),
        (Flat::Int, Flat::Float) => primitive::write_float(reader.read_int()? as f32, out),
        (Flat::Int, Flat::Double) => primitive::write_double(reader.read_int()?.into(), out),
        (Flat::Int, _) => primitive::write_int(reader.read_int()?, out),
        (Flat::Long, Flat::Float) => primitive::write_float(reader.read_long()? as f32, out),
        (Flat::Long, Flat::Double) => primitive::write_double(reader.read_long()? as f64, out),
        (Flat::Long, _) => primitive::write_long(reader.read_long()?, out),
        (Flat::Float, Flat::Double) => primitive::write_double(reader.read_float()?.into(), out),
        (Flat::Float, _) => primitive::write_float(reader.read_float()?, out),
        (Flat::Double, _) => primitive::write_double(reader.read_double()?, out),
    }
    Ok(())
}

#[cold]
fn malformed() -> Error {
    Error::new(Part::Data, "the bytes are not a datum of their schema")
}

#[cfg(test)]
mod tests {
    use apache_avro::{
        reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter,
    };

    use super::*;

    /// Each pair: what the record has, what the file has, values of the record.
    const PAIRS: [(&str, &str); 4] = [
        // Fields in another order, one more, one less, widened, behind a default or null.
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},
                {"name":"gone","type":{"type":"array","items":"string"}},
                {"name":"b","type":"string"},{"name":"c","type":"float"}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"c","type":"double"},
                {"name":"b","type":["null","string"],"default":null},
                {"name":"a","type":"long"},{"name":"new","type":"string","default":"x"},
                {"name":"none","type":["null","int"],"default":null}]}"#,
        ),
        // The same order, which is streamed.
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"]},
                {"name":"b","type":{"type":"map","values":"int"}}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","double"]},
                {"name":"more","type":"int","default":7},
                {"name":"b","type":{"type":"map","values":"long"}}]}"#,
        ),
        // Records in records, by name twice, and an enum with more symbols.
        (
            r#"{"type":"record","name":"R","fields":[
                {"name":"x","type":["null",{"type":"record","name":"In","fields":[
                    {"name":"n","type":"int"},
                    {"name":"e","type":{"type":"enum","name":"E","symbols":["B","C"]}}]}]},
                {"name":"y","type":["null","In"]}]}"#,
            r#"{"type":"record","name":"R","fields":[
                {"name":"x","type":["null",{"type":"record","name":"In","fields":[
                    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
                    {"name":"n","type":"long"}]}]},
                {"name":"y","type":["null","In"]}]}"#,
        ),
        // Bytes, fixed, booleans, arrays of options.
        (
            r#"{"type":"record","name":"R","fields":[{"name":"b","type":"bytes"},
                {"name":"f","type":{"type":"fixed","name":"F","size":3}},
                {"name":"t","type":"boolean"},{"name":"z","type":"double"},
                {"name":"o","type":{"type":"array","items":["null","long"]}}]}"#,
            r#"{"type":"record","name":"R","fields":[
                {"name":"o","type":{"type":"array","items":["null","long"]}},
                {"name":"z","type":"double"},{"name":"t","type":"boolean"},
                {"name":"f","type":{"type":"fixed","name":"F","size":3}},
                {"name":"b","type":"bytes"}]}"#,
        ),
    ];

    fn values(pair: usize) -> Vec<Value> {
        let record = |fields: Vec<(&str, Value)>| {
            Value::Record(fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
        };
        let some = |value| Value::Union(1, Box::new(value));
        let none = || Value::Union(0, Box::new(Value::Null));
        match pair {
            0 => vec![record(vec![
                ("a", Value::Int(-5)),
                ("gone", Value::Array(vec![Value::String("p".into()), Value::String("q".into())])),
                ("b", Value::String("é".into())),
                ("c", Value::Float(0.5)),
            ])],
            1 => {
                let map = [("k".to_owned(), Value::Int(3))].into_iter().collect();
                vec![
                    record(vec![("a", none()), ("b", Value::Map(map))]),
                    record(vec![("a", some(Value::Int(9))), ("b", Value::Map(HashMap::default()))]),
                ]
            }
            2 => {
                let inner = |index, symbol: &str| {
                    some(record(vec![
                        ("n", Value::Int(1)),
                        ("e", Value::Enum(index, symbol.into())),
                    ]))
                };
                vec![
                    record(vec![("x", inner(0, "B")), ("y", inner(1, "C"))]),
                    record(vec![("x", none()), ("y", none())]),
                ]
            }
            _ => vec![record(vec![
                ("b", Value::Bytes(vec![0, 255])),
                ("f", Value::Fixed(3, vec![1, 2, 3])),
                ("t", Value::Boolean(true)),
                ("z", Value::Double(-0.0)),
                ("o", Value::Array(vec![none(), some(Value::Long(i64::MIN))])),
            ])],
        }
    }

    #[test]
    fn a_projected_datum_is_what_resolution_finds_in_the_old_one() {
        for (index, (record, file)) in PAIRS.into_iter().enumerate() {
            let way =
                Projection::new(&Schema::parse(record).unwrap(), &Schema::parse(file).unwrap());
            let way = way.unwrap();
            let record = apache_avro::Schema::parse_str(record).unwrap();
            let file = apache_avro::Schema::parse_str(file).unwrap();
            for value in values(index) {
                let writer = GenericDatumWriter::builder(&record).build().unwrap();
                let datum = writer.write_value_to_vec(value).unwrap();
                let mut projected = vec![7];
                way.write(&datum, &mut projected).unwrap();
                let oracle = GenericDatumReader::builder(&record).reader_schema(&file).build();
                let expected = oracle.unwrap().read_value(&mut datum.as_slice()).unwrap();
                let mut rest = &projected[1..];
                let plain = GenericDatumReader::builder(&file).build().unwrap();
                assert_eq!(plain.read_value(&mut rest).unwrap(), expected);
                assert!(rest.is_empty());
                // Cut anywhere it is an error, and nothing is written.
                for end in 0..datum.len() {
                    let mut out = vec![7];
                    assert!(way.write(&datum[..end], &mut out).is_err());
                    assert_eq!(out, [7]);
                }
            }
        }
    }

    #[test]
    fn a_null_becomes_the_default_of_a_field_that_has_no_null() {
        let record = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null","int"],"default":null}]}"#;
        let file = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"int","default":42}]}"#;
        let way = Projection::new(&Schema::parse(record).unwrap(), &Schema::parse(file).unwrap());
        let mut out = Vec::new();
        way.as_ref().unwrap().write(&[0], &mut out).unwrap();
        way.unwrap().write(&[2, 10], &mut out).unwrap();
        assert_eq!(out, [84, 10]);
    }

    #[test]
    fn there_is_no_way_where_connect_has_none() {
        let no = |record: &str, file: &str| {
            let parse = |kind: &str| {
                let text = format!(
                    r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#
                );
                Schema::parse(&text).unwrap()
            };
            assert!(Projection::new(&parse(record), &parse(file)).is_none(), "{record} {file}");
        };
        no(r#""long""#, r#""int""#);
        no(r#""string""#, r#""bytes""#);
        no(r#""int""#, r#"["null","string"]"#);
        no(r#"{"type":"fixed","name":"F","size":3}"#, r#"{"type":"fixed","name":"F","size":4}"#);
        let empty = Schema::parse(r#"{"type":"record","name":"R","fields":[]}"#).unwrap();
        let required = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
        assert!(Projection::new(&empty, &Schema::parse(required).unwrap()).is_none());
    }
}
