//! Random schemas and values against the `apache-avro` crate, both ways, and container files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::{Resolution, RowCodec, Schema};
use proptest::prelude::*;
use support::Tree;

/// A schema before its types have names.
#[derive(Debug, Clone)]
enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(usize),
    Array(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Record(Vec<Self>),
}

fn leaf() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Null),
        Just(Shape::Boolean),
        Just(Shape::Int),
        Just(Shape::Long),
        Just(Shape::Float),
        Just(Shape::Double),
        Just(Shape::Bytes),
        Just(Shape::String),
        (1..20_usize).prop_map(Shape::Fixed),
        (1..12_usize).prop_map(Shape::Enum),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    leaf().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| Shape::Array(item.into())),
            inner.clone().prop_map(|item| Shape::Map(item.into())),
            prop::collection::vec(inner.clone(), 1..5).prop_map(union),
            prop::collection::vec(inner, 0..6).prop_map(Shape::Record),
        ]
    })
}

/// Leaves out what Avro forbids in a union, and what cannot be told apart without names.
fn union(branches: Vec<Shape>) -> Shape {
    let mut taken = Vec::new();
    let mut kept = Vec::new();
    for branch in branches {
        let class = match branch {
            Shape::Union(_) => continue,
            Shape::Null => 0,
            Shape::Boolean => 1,
            Shape::Int => 2,
            Shape::Long => 3,
            Shape::Float => 4,
            Shape::Double => 5,
            Shape::Bytes | Shape::Fixed(_) => 6,
            Shape::String | Shape::Enum(_) => 7,
            Shape::Array(_) => 8,
            Shape::Map(_) | Shape::Record(_) => 9,
        };
        if !taken.contains(&class) {
            taken.push(class);
            kept.push(branch);
        }
    }
    if kept.is_empty() { Shape::Null } else { Shape::Union(kept) }
}

impl Shape {
    fn json(&self, names: &mut usize) -> String {
        *names += 1;
        let name = format!("ns{}.T{names}", *names % 3);
        match self {
            Self::Null => r#""null""#.into(),
            Self::Boolean => r#""boolean""#.into(),
            Self::Int => r#""int""#.into(),
            Self::Long => r#"{"type":"long","connect.version":1}"#.into(),
            Self::Float => r#""float""#.into(),
            Self::Double => r#""double""#.into(),
            Self::Bytes => r#""bytes""#.into(),
            Self::String => r#""string""#.into(),
            Self::Fixed(size) => {
                format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#)
            }
            Self::Enum(count) => {
                let symbols: Vec<_> = (0..*count).map(|n| format!(r#""S{n}""#)).collect();
                let symbols = symbols.join(",");
                format!(r#"{{"type":"enum","name":"{name}","symbols":[{symbols}]}}"#)
            }
            Self::Array(item) => {
                format!(r#"{{"type":"array","items":{}}}"#, item.json(names))
            }
            Self::Map(item) => format!(r#"{{"type":"map","values":{}}}"#, item.json(names)),
            Self::Union(branches) => {
                let branches: Vec<_> = branches.iter().map(|branch| branch.json(names)).collect();
                format!("[{}]", branches.join(","))
            }
            Self::Record(fields) => {
                let fields = fields.iter().enumerate().map(|(n, field)| {
                    format!(r#"{{"name":"f{n}","type":{},"doc":"d"}}"#, field.json(names))
                });
                let fields = fields.collect::<Vec<_>>().join(",");
                format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
            }
        }
    }

    fn value(&self) -> BoxedStrategy<Tree> {
        match self {
            Self::Null => Just(Tree::Null).boxed(),
            Self::Boolean => any::<bool>().prop_map(Tree::Boolean).boxed(),
            Self::Int => any::<i32>().prop_map(Tree::Int).boxed(),
            Self::Long => {
                // Small numbers too, so that varints of every length come up.
                (any::<i64>(), 0..64_u32).prop_map(|(n, bits)| Tree::Long(n >> bits)).boxed()
            }
            Self::Float => prop::num::f32::NORMAL.prop_map(Tree::Float).boxed(),
            Self::Double => prop::num::f64::NORMAL.prop_map(Tree::Double).boxed(),
            Self::Bytes => prop::collection::vec(any::<u8>(), 0..90).prop_map(Tree::Bytes).boxed(),
            Self::String => ".{0,30}".prop_map(Tree::String).boxed(),
            Self::Fixed(size) => {
                prop::collection::vec(any::<u8>(), *size).prop_map(Tree::Bytes).boxed()
            }
            Self::Enum(count) => (0..*count).prop_map(|n| Tree::String(format!("S{n}"))).boxed(),
            Self::Array(item) => {
                prop::collection::vec(item.value(), 0..4).prop_map(Tree::List).boxed()
            }
            Self::Map(item) => prop::collection::btree_map("[a-z]{1,3}", item.value(), 0..3)
                .prop_map(|entries| Tree::Map(entries.into_iter().collect()))
                .boxed(),
            Self::Union(branches) => {
                let branches: Vec<_> = branches.iter().map(Self::value).collect();
                prop::strategy::Union::new(branches).boxed()
            }
            Self::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(Self::value).collect();
                let named = |(n, value)| (format!("f{n}"), value);
                fields
                    .prop_map(move |values| {
                        Tree::Map(values.into_iter().enumerate().map(named).collect())
                    })
                    .boxed()
            }
        }
    }
}

/// The other crate keeps maps in hash tables: their order is lost.
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

fn schema_and_values() -> impl Strategy<Value = (String, Vec<Tree>)> {
    shape().prop_flat_map(|shape| {
        let json = shape.json(&mut 0);
        prop::collection::vec(shape.value(), 1..4).prop_map(move |values| (json.clone(), values))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn datums_and_fingerprints_agree((json, values) in schema_and_values()) {
        let ours = Schema::parse(&json).unwrap();
        let theirs = apache_avro::Schema::parse_str(&json).unwrap();
        prop_assert_eq!(ours.canonical_form(), theirs.canonical_form());
        prop_assert_eq!(
            ours.fingerprint().to_le_bytes().to_vec(),
            theirs.fingerprint::<Rabin>().bytes
        );
        prop_assert_eq!(avro_wire::compatibility::problems(&ours, &ours), []);
        let resolution = Resolution::new(&ours, &ours).unwrap();
        let rows = RowCodec::new(&ours).ok();
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();
        let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
        for tree in values {
            let mut datum = Vec::new();
            avro_wire::encode(&tree, &ours, &mut datum).unwrap();
            prop_assert_eq!(&resolution.decode::<Tree>(&datum).unwrap(), &tree);
            if let Some(rows) = &rows {
                let (mut row, mut again) = (Vec::new(), Vec::new());
                rows.read(&datum, &mut row).unwrap();
                rows.write(&row, &mut again).unwrap();
                prop_assert_eq!(&again, &datum);
            }
            prop_assert_eq!(ours.skip(&datum).unwrap(), datum.len());
            let back: Tree = avro_wire::decode(&datum, &ours).unwrap();
            prop_assert_eq!(&back, &tree);

            let value = reader.read_value(&mut &*datum).unwrap();
            let their_datum = writer.write_value_to_vec(value).unwrap();
            let back: Tree = avro_wire::decode(&their_datum, &ours).unwrap();
            prop_assert_eq!(sorted(back), sorted(tree));
        }
    }

    #[test]
    fn any_bytes_give_a_value_or_a_data_error(
        (json, values) in schema_and_values(),
        noise in prop::collection::vec(any::<u8>(), 0..60),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let schema = Schema::parse(&json).unwrap();
        let mut damaged = Vec::new();
        avro_wire::encode(&values[0], &schema, &mut damaged).unwrap();
        for (index, byte) in flips {
            if !damaged.is_empty() {
                let position = index.index(damaged.len());
                damaged[position] = byte;
            }
        }
        let resolution = Resolution::new(&schema, &schema).unwrap();
        let rows = RowCodec::new(&schema).ok();
        for input in [noise, damaged] {
            let decoded = avro_wire::decode::<Tree>(&input, &schema);
            let resolved = resolution.decode::<Tree>(&input);
            prop_assert_eq!(resolved.is_ok(), decoded.is_ok());
            if let Some(rows) = &rows {
                // Rows leave what is in arrays, maps and unions unchecked.
                let read = rows.read(&input, &mut Vec::new());
                prop_assert!(read.is_ok() || decoded.is_err(), "{:?}", read);
            }
            match decoded {
                Ok(tree) => {
                    let mut out = Vec::new();
                    avro_wire::encode(&tree, &schema, &mut out).unwrap();
                    prop_assert_eq!(schema.skip(&input).unwrap(), input.len());
                }
                Err(error) => {
                    prop_assert!(error.kind().is_data(), "{}", error);
                    prop_assert!(error.offset().is_some_and(|offset| offset <= input.len()));
                }
            }
        }
    }
}

#[cfg(feature = "ocf")]
mod container {
    use super::*;
    use avro_wire::ErrorKind;
    use avro_wire::ocf::{Codec, Reader, Writer};

    fn write(json: &str, values: &[Tree], codec: Codec) -> Vec<u8> {
        let schema = Schema::parse(json).unwrap();
        let mut file = Vec::new();
        let mut writer = Writer::new(&schema, codec, *b"0123456789abcdef")
            .with_metadata("made.by", b"a test")
            .with_metadata("avro.codec", b"none");
        writer.header(&mut file);
        let mut datum = Vec::new();
        for value in values {
            datum.clear();
            avro_wire::encode(value, &schema, &mut datum).unwrap();
            writer.append(&datum, &mut file).unwrap();
            assert!(writer.buffered() < 64_000);
        }
        writer.finish(&mut file).unwrap();
        file
    }

    fn read(file: &[u8]) -> Vec<Tree> {
        let mut reader = Reader::new(file).unwrap();
        let schema = reader.schema().clone();
        let mut values = Vec::new();
        while let Some(datum) = reader.next().unwrap() {
            values.push(avro_wire::decode(datum, &schema).unwrap());
        }
        values
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

        #[test]
        fn files_are_read_by_either_side((json, values) in schema_and_values()) {
            let theirs = apache_avro::Schema::parse_str(&json).unwrap();
            for &codec in Codec::ALL {
                let file = write(&json, &values, codec);
                prop_assert_eq!(&read(&file), &values);

                let reader = apache_avro::Reader::new(&*file).unwrap();
                prop_assert_eq!(reader.user_metadata().get("made.by").unwrap(), b"a test");
                let read_by_them: Vec<_> = reader.map(Result::unwrap).collect();
                let their_codec = codec_of_theirs(codec);
                let mut writer =
                    apache_avro::Writer::with_codec(&theirs, Vec::new(), their_codec).unwrap();
                writer.extend(read_by_them).unwrap();
                let back = read(&writer.into_inner().unwrap());
                prop_assert_eq!(
                    back.into_iter().map(sorted).collect::<Vec<_>>(),
                    values.iter().cloned().map(sorted).collect::<Vec<_>>()
                );
            }
        }
    }

    fn codec_of_theirs(codec: Codec) -> apache_avro::Codec {
        let name = codec.name();
        let theirs = name.parse().unwrap();
        assert_eq!(<&str>::from(theirs), name);
        theirs
    }

    fn long_file(codec: Codec) -> (Vec<u8>, Vec<Tree>) {
        let values: Vec<_> = (0..20_000).map(|n| Tree::String(format!("value {n}"))).collect();
        (write(r#""string""#, &values, codec), values)
    }

    #[test]
    fn files_have_several_blocks_and_are_the_same_every_time() {
        for &codec in Codec::ALL {
            let (file, values) = long_file(codec);
            assert_eq!(file, long_file(codec).0);
            let markers = file.windows(16).filter(|window| window == b"0123456789abcdef").count();
            assert!(markers > 4, "{markers}");
            assert_eq!(read(&file), values);
            assert_eq!(apache_avro::Reader::new(&*file).unwrap().count(), values.len());
        }
    }

    #[test]
    fn an_empty_file_has_a_header() {
        let file = write(r#""string""#, &[], Codec::Deflate);
        assert_eq!(read(&file), []);
        let reader = Reader::new(&file).unwrap();
        assert_eq!(reader.metadata("made.by"), Some(&b"a test"[..]));
        assert_eq!(reader.codec(), Codec::Deflate);
    }

    #[test]
    fn damaged_files_give_typed_errors() {
        let drain = |file: &[u8], limit: usize| {
            let mut reader = Reader::new(file)?.with_block_limit(limit);
            while reader.next()?.is_some() {}
            Ok::<_, avro_wire::Error>(())
        };
        let values = [Tree::String("a".into()), Tree::String("b".repeat(300))];
        for &codec in Codec::ALL {
            let file = write(r#""string""#, &values, codec);
            let header = write(r#""string""#, &[], codec).len();
            drain(&file, 1 << 20).unwrap();
            for end in (0..file.len()).filter(|&end| end != header) {
                assert!(drain(&file[..end], 1 << 20).is_err(), "{end}");
            }
            let mut damaged = file.clone();
            *damaged.last_mut().unwrap() ^= 1;
            let error = drain(&damaged, 1 << 20).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SyncMismatch);
            for position in 0..file.len() {
                for bit in 0..8 {
                    let mut damaged = file.clone();
                    damaged[position] ^= 1 << bit;
                    let _ = drain(&damaged, 1 << 20);
                }
            }
        }
        for &codec in Codec::ALL {
            let file = write(r#""string""#, &values, codec);
            let limited = drain(&file, 100).map_err(|error| error.kind());
            // What is not compressed is in memory already.
            let expected = match codec {
                Codec::Null => Ok(()),
                _ => Err(ErrorKind::SizeLimit { limit: 100 }),
            };
            assert_eq!(limited, expected, "{codec:?}");
        }
        assert_eq!(drain(b"PAR1", 1).unwrap_err().kind(), ErrorKind::NotContainer);
    }
}
