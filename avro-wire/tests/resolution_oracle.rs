//! Random schemas and allowed changes to them: data of the one read as data of the other, against
//! what the rules of the specification say and against the `apache-avro` crate.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::{Resolution, Schema};
use proptest::prelude::*;
use support::Tree;

/// A type as the writer has it and as the reader has it.
#[derive(Debug, Clone)]
enum Change {
    /// Numbers that widen, strings and bytes; also the same on both sides.
    Leaf(&'static str, &'static str),
    Fixed(usize),
    /// Symbols of the writer; how many of them the reader has. The first stands for the others.
    Enum(usize, usize),
    Array(Box<Self>),
    Map(Box<Self>),
    /// Null first or not, on each side; `None` where that side has no union.
    Option(Option<bool>, Option<bool>, Box<Self>),
    /// The fields of both sides; whether the reader has them backwards.
    Record(Vec<(Field, Self)>, bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Kept,
    Dropped,
    /// The reader has another name for it, with the writer's as alias.
    Renamed,
    /// Only the reader has it, with a default.
    Added,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Writer,
    Reader,
}

fn leaf() -> impl Strategy<Value = Change> {
    let pairs = vec![
        ("null", "null"),
        ("boolean", "boolean"),
        ("int", "int"),
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "long"),
        ("long", "float"),
        ("long", "double"),
        ("float", "float"),
        ("float", "double"),
        ("double", "double"),
        ("string", "string"),
        ("string", "bytes"),
        ("bytes", "bytes"),
        ("bytes", "string"),
    ];
    prop_oneof![
        6 => prop::sample::select(pairs).prop_map(|(from, to)| Change::Leaf(from, to)),
        1 => (1..9_usize).prop_map(Change::Fixed),
        1 => (1..6_usize, 1..6_usize).prop_map(|(all, kept)| Change::Enum(all, kept.min(all))),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    leaf().prop_recursive(4, 32, 5, |inner| {
        let option = (any::<(bool, bool)>(), 0..3_usize, inner.clone())
            .prop_filter("a union holds no union and null once", |(_, _, inner)| {
                !matches!(inner, Change::Option(..) | Change::Leaf("null", _))
            })
            .prop_map(|((a, b), sides, inner)| {
                let (writer, reader) =
                    [(Some(a), Some(b)), (None, Some(b)), (Some(a), None)][sides];
                Change::Option(writer, reader, inner.into())
            });
        let field = prop::sample::select(vec![
            Field::Kept,
            Field::Kept,
            Field::Dropped,
            Field::Renamed,
            Field::Added,
        ]);
        prop_oneof![
            inner.clone().prop_map(|item| Change::Array(item.into())),
            inner.clone().prop_map(|item| Change::Map(item.into())),
            option,
            (prop::collection::vec((field, inner), 0..6), any::<bool>())
                .prop_map(|(fields, backwards)| Change::Record(fields, backwards)),
        ]
    })
}

impl Change {
    /// Names are counted alike on both sides.
    fn json(&self, side: Side, names: &mut usize) -> String {
        *names += 1;
        let name = format!("ns.T{names}");
        match self {
            Self::Leaf(from, to) => format!("\"{}\"", if side == Side::Writer { from } else { to }),
            Self::Fixed(size) => format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#),
            Self::Enum(all, kept) => {
                let count = if side == Side::Writer { *all } else { *kept };
                let symbols: Vec<_> = (0..count).map(|n| format!("\"S{n}\"")).collect();
                let symbols = symbols.join(",");
                format!(r#"{{"type":"enum","name":"{name}","symbols":[{symbols}],"default":"S0"}}"#)
            }
            Self::Array(item) => {
                format!(r#"{{"type":"array","items":{}}}"#, item.json(side, names))
            }
            Self::Map(item) => format!(r#"{{"type":"map","values":{}}}"#, item.json(side, names)),
            Self::Option(writer, reader, inner) => {
                let inner = inner.json(side, names);
                match if side == Side::Writer { writer } else { reader } {
                    Some(true) => format!(r#"["null",{inner}]"#),
                    Some(false) => format!(r#"[{inner},"null"]"#),
                    None => inner,
                }
            }
            Self::Record(fields, backwards) => {
                let mut texts = Vec::new();
                for (n, (field, change)) in fields.iter().enumerate() {
                    let json = change.json(side, names);
                    texts.extend(match (field, side) {
                        (Field::Dropped, Side::Reader) | (Field::Added, Side::Writer) => None,
                        (Field::Added, Side::Reader) => {
                            // The default shows that a default was taken; its type does not matter.
                            Some(format!(
                                r#"{{"name":"f{n}","type":["int","null"],"default":{n}}}"#
                            ))
                        }
                        (Field::Renamed, Side::Reader) => {
                            Some(format!(r#"{{"name":"g{n}","aliases":["f{n}"],"type":{json}}}"#))
                        }
                        _ => Some(format!(r#"{{"name":"f{n}","type":{json}}}"#)),
                    });
                }
                if *backwards && side == Side::Reader {
                    texts.reverse();
                }
                format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, texts.join(","))
            }
        }
    }

    /// A value of the writer, one that the reader has a place for.
    fn value(&self) -> BoxedStrategy<Tree> {
        match self {
            Self::Leaf(from, _) => match *from {
                "null" => Just(Tree::Null).boxed(),
                "boolean" => any::<bool>().prop_map(Tree::Boolean).boxed(),
                "int" => any::<i32>().prop_map(Tree::Int).boxed(),
                "long" => (any::<i64>(), 0..64_u32).prop_map(|(n, b)| Tree::Long(n >> b)).boxed(),
                "float" => prop::num::f32::NORMAL.prop_map(Tree::Float).boxed(),
                "double" => prop::num::f64::NORMAL.prop_map(Tree::Double).boxed(),
                "string" => ".{0,20}".prop_map(Tree::String).boxed(),
                _ => ".{0,20}".prop_map(|text| Tree::Bytes(text.into_bytes())).boxed(),
            },
            Self::Fixed(size) => {
                prop::collection::vec(any::<u8>(), *size).prop_map(Tree::Bytes).boxed()
            }
            Self::Enum(all, _) => (0..*all).prop_map(|n| Tree::String(format!("S{n}"))).boxed(),
            Self::Array(item) => {
                prop::collection::vec(item.value(), 0..4).prop_map(Tree::List).boxed()
            }
            Self::Map(item) => prop::collection::btree_map("[a-z]{1,3}", item.value(), 0..3)
                .prop_map(|entries| Tree::Map(entries.into_iter().collect()))
                .boxed(),
            Self::Option(Some(_), Some(_), inner) => {
                prop_oneof![Just(Tree::Null), inner.value()].boxed()
            }
            Self::Option(_, _, inner) => inner.value(),
            Self::Record(fields, _) => {
                let written = fields.iter().enumerate().filter(|(_, (f, _))| *f != Field::Added);
                let values: Vec<_> = written
                    .map(|(n, (_, change))| change.value().prop_map(move |v| (format!("f{n}"), v)))
                    .collect();
                values.prop_map(Tree::Map).boxed()
            }
        }
    }

    /// What the rules say that the reader sees.
    #[allow(clippy::cast_precision_loss, reason = "the specification allows it")]
    fn expected(&self, value: &Tree) -> Tree {
        match (self, value) {
            (Self::Leaf(_, to), value) => match (value, *to) {
                (Tree::Int(n), "long") => Tree::Long((*n).into()),
                (Tree::Int(n), "float") => Tree::Float(*n as f32),
                (Tree::Int(n), "double") => Tree::Double((*n).into()),
                (Tree::Long(n), "float") => Tree::Float(*n as f32),
                (Tree::Long(n), "double") => Tree::Double(*n as f64),
                (Tree::Float(n), "double") => Tree::Double((*n).into()),
                (Tree::String(text), "bytes") => Tree::Bytes(text.clone().into_bytes()),
                (Tree::Bytes(bytes), "string") => {
                    Tree::String(String::from_utf8(bytes.clone()).unwrap())
                }
                _ => value.clone(),
            },
            (Self::Enum(_, kept), Tree::String(symbol)) => {
                let known = (0..*kept).any(|n| *symbol == format!("S{n}"));
                Tree::String(if known { symbol.clone() } else { "S0".to_owned() })
            }
            (Self::Array(item), Tree::List(items)) => {
                Tree::List(items.iter().map(|value| item.expected(value)).collect())
            }
            (Self::Map(item), Tree::Map(entries)) => Tree::Map(
                entries.iter().map(|(key, value)| (key.clone(), item.expected(value))).collect(),
            ),
            (Self::Option(..), Tree::Null) => Tree::Null,
            (Self::Option(_, _, inner), value) => inner.expected(value),
            (Self::Record(fields, _), Tree::Map(entries)) => {
                let seen = fields.iter().enumerate().filter_map(|(n, (field, change))| {
                    let written = entries.iter().find(|(name, _)| *name == format!("f{n}"));
                    match field {
                        Field::Dropped => None,
                        Field::Added => {
                            Some((format!("f{n}"), Tree::Int(i32::try_from(n).unwrap())))
                        }
                        Field::Kept => Some((format!("f{n}"), change.expected(&written?.1))),
                        Field::Renamed => Some((format!("g{n}"), change.expected(&written?.1))),
                    }
                });
                sorted(Tree::Map(seen.collect()))
            }
            _ => value.clone(),
        }
    }

    /// Whether a datum can be met by something that apache-avro does not do.
    fn beyond_apache(&self) -> bool {
        match self {
            // It knows no aliases of fields.
            Self::Record(fields, _) => fields.iter().any(|(field, change)| {
                *field == Field::Renamed || (*field == Field::Kept && change.beyond_apache())
            }),
            Self::Array(inner) | Self::Map(inner) | Self::Option(_, _, inner) => {
                inner.beyond_apache()
            }
            _ => false,
        }
    }
}

/// A record comes in the order of the writer, and the other crate keeps maps in hash tables.
fn sorted(tree: Tree) -> Tree {
    match tree {
        Tree::List(items) => Tree::List(items.into_iter().map(sorted).collect()),
        Tree::Map(entries) => {
            let mut entries: Vec<_> = entries.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Tree::Map(entries)
        }
        other => other,
    }
}

fn change_and_values() -> impl Strategy<Value = (Change, Vec<Tree>)> {
    change().prop_flat_map(|change| {
        let values = prop::collection::vec(change.value(), 1..4);
        values.prop_map(move |values| (change.clone(), values))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn allowed_changes_resolve_by_the_rules_and_as_in_apache_avro(
        (change, values) in change_and_values(),
    ) {
        let writer_json = change.json(Side::Writer, &mut 0);
        let reader_json = change.json(Side::Reader, &mut 0);
        let writer = Schema::parse(&writer_json).unwrap();
        let reader = Schema::parse(&reader_json).unwrap();
        let resolution = Resolution::new(&writer, &reader).unwrap();
        let their_writer = apache_avro::Schema::parse_str(&writer_json).unwrap();
        let their_reader = apache_avro::Schema::parse_str(&reader_json).unwrap();
        let decoder =
            GenericDatumReader::builder(&their_writer).reader_schema(&their_reader).build().unwrap();
        let encoder = GenericDatumWriter::builder(&their_reader).build().unwrap();
        for value in values {
            let mut datum = Vec::new();
            avro_wire::encode(&value, &writer, &mut datum).unwrap();
            let found = sorted(resolution.decode::<Tree>(&datum).unwrap());
            prop_assert_eq!(&found, &sorted(change.expected(&value)), "{} {}", writer_json, reader_json);
            for end in 0..datum.len() {
                prop_assert!(resolution.decode::<Tree>(&datum[..end]).is_err());
            }

            let theirs = decoder.read_value(&mut &*datum);
            match theirs.and_then(|value| encoder.write_value_to_vec(value)) {
                Ok(again) => {
                    let theirs: Tree = avro_wire::decode(&again, &reader).unwrap();
                    prop_assert_eq!(sorted(theirs), found, "{} {}", writer_json, reader_json);
                }
                Err(error) => {
                    prop_assert!(change.beyond_apache(), "{}: {} {} {:?}", error, writer_json, reader_json, value);
                }
            }
        }
    }
}
