//! The values of `apache-avro`, to and from datums, against that crate's own reader and writer.
#![cfg(feature = "apache-avro")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{BigDecimal, Days, Decimal, Duration, Millis, Months, Uuid};
use avro_wire::apache::{self, Value};
use avro_wire::{ErrorKind, Schema};
use proptest::prelude::*;

/// A schema, where `@` stands for a name of its own, and the values it has.
type Case = (String, BoxedStrategy<Value>);

fn leaf(index: usize) -> Case {
    let logical = |of: &str, name: &str| format!(r#"{{"type":"{of}","logicalType":"{name}"}}"#);
    let named =
        |size: usize, rest: &str| format!(r#"{{"type":"fixed","name":"@","size":{size}{rest}}}"#);
    let decimal = r#","logicalType":"decimal","precision":9,"scale":2"#;
    let long = || (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift);
    let bytes = |sizes| prop::collection::vec(any::<u8>(), sizes);
    let number = || bytes(1..60_usize).prop_map(Decimal::from);
    let uuid = || any::<[u8; 16]>().prop_map(|value| Value::Uuid(Uuid::from_bytes(value)));
    match index {
        0 => (r#""null""#.into(), Just(Value::Null).boxed()),
        1 => (r#""boolean""#.into(), any::<bool>().prop_map(Value::Boolean).boxed()),
        2 => (r#""int""#.into(), any::<i32>().prop_map(Value::Int).boxed()),
        3 => (r#""long""#.into(), long().prop_map(Value::Long).boxed()),
        4 => (r#""float""#.into(), prop::num::f32::NORMAL.prop_map(Value::Float).boxed()),
        5 => (r#""double""#.into(), prop::num::f64::NORMAL.prop_map(Value::Double).boxed()),
        6 => (r#""bytes""#.into(), bytes(0..80).prop_map(Value::Bytes).boxed()),
        7 => (r#""string""#.into(), ".{0,20}".prop_map(Value::String).boxed()),
        8 => (named(7, ""), bytes(7..8).prop_map(|value| Value::Fixed(7, value)).boxed()),
        9 => (
            r#"{"type":"enum","name":"@","symbols":["A","B","C"]}"#.into(),
            (0..3_u32)
                .prop_map(|index| Value::Enum(index, ["A", "B", "C"][index as usize].into()))
                .boxed(),
        ),
        10 => (logical("int", "date"), any::<i32>().prop_map(Value::Date).boxed()),
        11 => (logical("int", "time-millis"), any::<i32>().prop_map(Value::TimeMillis).boxed()),
        12 => (logical("long", "time-micros"), long().prop_map(Value::TimeMicros).boxed()),
        13 => {
            (logical("long", "timestamp-millis"), long().prop_map(Value::TimestampMillis).boxed())
        }
        14 => {
            (logical("long", "timestamp-micros"), long().prop_map(Value::TimestampMicros).boxed())
        }
        15 => (logical("long", "timestamp-nanos"), long().prop_map(Value::TimestampNanos).boxed()),
        16 => (
            logical("long", "local-timestamp-millis"),
            long().prop_map(Value::LocalTimestampMillis).boxed(),
        ),
        17 => (
            logical("long", "local-timestamp-micros"),
            long().prop_map(Value::LocalTimestampMicros).boxed(),
        ),
        18 => (
            logical("long", "local-timestamp-nanos"),
            long().prop_map(Value::LocalTimestampNanos).boxed(),
        ),
        19 => {
            (format!(r#"{{"type":"bytes"{decimal}}}"#), number().prop_map(Value::Decimal).boxed())
        }
        20 => (
            named(9, decimal),
            bytes(9..10).prop_map(|value| Value::Decimal(Decimal::from(value))).boxed(),
        ),
        21 => (logical("string", "uuid"), uuid().boxed()),
        22 => (named(16, r#","logicalType":"uuid""#), uuid().boxed()),
        23 => (
            named(12, r#","logicalType":"duration""#),
            any::<(u32, u32, u32)>()
                .prop_map(|(months, days, millis)| {
                    Value::Duration(Duration::new(
                        Months::new(months),
                        Days::new(days),
                        Millis::new(millis),
                    ))
                })
                .boxed(),
        ),
        _ => (
            logical("bytes", "big-decimal"),
            (number(), -40..40_i64)
                .prop_map(|(value, scale)| Value::BigDecimal(BigDecimal::new(value.into(), scale)))
                .boxed(),
        ),
    }
}

/// The shape of a schema; `Union` holds indices of leaves that differ in kind.
#[derive(Debug, Clone)]
enum Shape {
    Leaf(usize),
    Array(Box<Self>),
    Map(Box<Self>),
    Option(Box<Self>, bool),
    Union(Vec<usize>),
    Record(Vec<Self>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let union = prop::sample::subsequence(vec![0, 1, 2, 15, 4, 5, 19, 21, 8, 9, 23], 1..8);
    let leaf = prop_oneof![
        8 => (0..25_usize).prop_map(Shape::Leaf),
        1 => union.prop_shuffle().prop_map(Shape::Union),
    ];
    leaf.prop_recursive(3, 30, 4, |inner| {
        let option = inner.clone().prop_filter("no union or null in a union", |inner| {
            !matches!(inner, Shape::Option(..) | Shape::Union(_) | Shape::Leaf(0))
        });
        prop_oneof![
            inner.clone().prop_map(|item| Shape::Array(item.into())),
            inner.clone().prop_map(|item| Shape::Map(item.into())),
            (option, any::<bool>()).prop_map(|(item, first)| Shape::Option(item.into(), first)),
            prop::collection::vec(inner, 0..5).prop_map(Shape::Record),
        ]
    })
}

impl Shape {
    fn case(&self) -> Case {
        match self {
            Self::Leaf(index) => leaf(*index),
            Self::Array(item) => {
                let (json, value) = item.case();
                let values = prop::collection::vec(value, 0..4).prop_map(Value::Array);
                (format!(r#"{{"type":"array","items":{json}}}"#), values.boxed())
            }
            Self::Map(item) => {
                let (json, value) = item.case();
                let entries = prop::collection::hash_map("[a-z]{1,3}", value, 0..4);
                let values = entries.prop_map(Value::Map);
                (format!(r#"{{"type":"map","values":{json}}}"#), values.boxed())
            }
            Self::Option(item, null_first) => {
                let (json, value) = item.case();
                let null = u32::from(!*null_first);
                let json = if *null_first {
                    format!(r#"["null",{json}]"#)
                } else {
                    format!(r#"[{json},"null"]"#)
                };
                let value = prop::option::of(value).prop_map(move |value| match value {
                    None => Value::Union(null, Box::new(Value::Null)),
                    Some(value) => Value::Union(1 - null, Box::new(value)),
                });
                (json, value.boxed())
            }
            Self::Union(indices) => {
                let (json, values): (Vec<_>, Vec<_>) =
                    indices.iter().map(|&index| leaf(index)).unzip();
                let values = (0_u32..).zip(values).map(|(position, value)| {
                    value.prop_map(move |value| Value::Union(position, Box::new(value))).boxed()
                });
                (
                    format!("[{}]", json.join(",")),
                    prop::strategy::Union::new(values.collect::<Vec<_>>()).boxed(),
                )
            }
            Self::Record(fields) => {
                let (json, values): (Vec<_>, Vec<_>) = fields.iter().map(Self::case).unzip();
                let json: Vec<_> = json
                    .iter()
                    .enumerate()
                    .map(|(n, json)| format!(r#"{{"name":"f{n}","type":{json}}}"#))
                    .collect();
                let name = |(n, value)| (format!("f{n}"), value);
                let values = values.prop_map(move |values| {
                    Value::Record(values.into_iter().enumerate().map(name).collect())
                });
                (
                    format!(r#"{{"type":"record","name":"@","fields":[{}]}}"#, json.join(",")),
                    values.boxed(),
                )
            }
        }
    }
}

fn schema_and_value() -> impl Strategy<Value = (String, Value)> {
    shape().prop_flat_map(|shape| {
        let (json, value) = shape.case();
        let mut parts = json.split('@');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (n, part) in parts.enumerate() {
            text.push_str(&format!("n{}.T{n}", n % 2));
            text.push_str(part);
        }
        (Just(text), value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn values_and_bytes_are_those_of_the_other_crate((json, value) in schema_and_value()) {
        let schema = Schema::parse(&json).unwrap();
        let theirs = apache_avro::Schema::parse_str(&json).unwrap();
        let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();

        let their_datum = writer.write_value_to_vec(value.clone()).unwrap();
        let mut datum = Vec::new();
        apache::encode(&value, &schema, &mut datum).unwrap();
        prop_assert_eq!(datum.len(), their_datum.len());
        // Maps have no order.
        if !json.contains("values") {
            prop_assert_eq!(&datum, &their_datum);
        }
        for datum in [&datum, &their_datum] {
            prop_assert_eq!(&apache::decode(datum, &schema).unwrap(), &value);
            prop_assert_eq!(&reader.read_value(&mut &**datum).unwrap(), &value);
        }
    }

    #[test]
    fn any_bytes_give_a_value_that_can_be_written(
        (json, value) in schema_and_value(),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let schema = Schema::parse(&json).unwrap();
        let mut damaged = Vec::new();
        apache::encode(&value, &schema, &mut damaged).unwrap();
        if !damaged.is_empty() {
            let at = flip.0.index(damaged.len());
            damaged[at] = flip.1;
        }
        for input in [noise, damaged] {
            match apache::decode(&input, &schema) {
                Ok(value) => {
                    let mut out = Vec::new();
                    apache::encode(&value, &schema, &mut out).unwrap();
                    prop_assert_eq!(apache::decode(&out, &schema).unwrap(), value);
                }
                Err(error) => {
                    prop_assert!(error.kind().is_data(), "{}", error);
                    prop_assert!(error.offset().is_some_and(|offset| offset <= input.len()));
                }
            }
        }
    }
}

fn encode(json: &str, value: &Value) -> Result<Vec<u8>, avro_wire::Error> {
    let mut out = b"kept".to_vec();
    let result = apache::encode(value, &Schema::parse(json).unwrap(), &mut out);
    assert_eq!(out[..4], *b"kept");
    assert!(result.is_ok() || out.len() == 4);
    result.map(|()| out.split_off(4))
}

#[test]
fn values_without_their_branch_find_one() {
    let union = r#"["null","long","string",{"type":"fixed","name":"F","size":2},
        {"type":"record","name":"A","fields":[{"name":"a","type":"int"}]},
        {"type":"record","name":"B","fields":[{"name":"b","type":"int"}]}]"#;
    let record = |name: &str| Value::Record(vec![(name.into(), Value::Int(1))]);
    for (value, bytes) in [
        (Value::Null, &b"\0"[..]),
        (Value::Int(2), b"\x02\x04"),
        (Value::TimestampMicros(2), b"\x02\x04"),
        (Value::String("s".into()), b"\x04\x02s"),
        (Value::Fixed(2, b"xy".to_vec()), b"\x06xy"),
        (record("a"), b"\x08\x02"),
        (record("b"), b"\x0a\x02"),
    ] {
        assert_eq!(encode(union, &value).unwrap(), bytes, "{value:?}");
    }
    for value in [Value::Boolean(true), record("c"), Value::Fixed(3, b"xyz".to_vec())] {
        assert_eq!(encode(union, &value).unwrap_err().kind(), ErrorKind::TypeMismatch);
    }
    let both = encode(r#"["long","int"]"#, &Value::Int(1)).unwrap();
    assert_eq!(both, b"\x02\x02");
}

#[test]
fn fields_go_by_name_alias_and_default() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},
        {"name":"b","type":"string","aliases":["c"]},{"name":"d","type":"int","default":3}]}"#;
    let (a, c) = (("a".to_owned(), Value::Int(1)), ("c".to_owned(), Value::String("x".into())));
    let turned = Value::Record(vec![c.clone(), a.clone()]);
    assert_eq!(encode(schema, &turned).unwrap(), b"\x02\x02x\x06");
    let map = Value::Map(HashMap::from([c, a.clone()]));
    assert_eq!(encode(schema, &map).unwrap(), b"\x02\x02x\x06");
    let error = encode(schema, &Value::Record(vec![a.clone()])).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::MissingField, Some("b")));
    let other = Value::Record(vec![a, ("x".into(), Value::Null)]);
    let error = encode(schema, &other).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::UnknownField, Some("x")));
    let wrong = Value::Record(vec![("a".into(), Value::Null)]);
    let error = encode(schema, &wrong).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::TypeMismatch, Some("a")));
}

#[test]
fn decimals_fit_a_fixed_or_are_refused() {
    let schema = r#"{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4}"#;
    let decimal = |bytes: &[u8]| encode(schema, &Value::Decimal(Decimal::from(bytes)));
    for (number, bytes) in [
        (&b"\x05"[..], b"\x00\x05"),
        (b"\xfb", b"\xff\xfb"),
        (b"\x00\x00\x7f\x01", b"\x7f\x01"),
        (b"\xff\xff\x80\x01", b"\x80\x01"),
    ] {
        assert_eq!(decimal(number).unwrap(), bytes);
    }
    for number in [&b"\x00\x80\x00"[..], b"\xff\x7f\x00", b"\x01\x00\x00"] {
        assert_eq!(decimal(number).unwrap_err().kind(), ErrorKind::NumberRange);
    }
    let bytes = r#"{"type":"bytes","logicalType":"decimal","precision":4}"#;
    let zero = apache::decode(b"\0", &Schema::parse(bytes).unwrap()).unwrap();
    assert_eq!(encode(bytes, &zero).unwrap(), b"\x02\0");
}

#[test]
fn deep_values_stop() {
    let schema = r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#;
    let mut value = Value::Record(vec![("n".into(), Value::Null)]);
    for _ in 0..80 {
        value = Value::Record(vec![("n".into(), value)]);
    }
    assert_eq!(encode(schema, &value).unwrap_err().kind(), ErrorKind::DepthLimit);
}
