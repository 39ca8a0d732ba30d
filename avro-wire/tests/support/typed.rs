//! Random schemas with every type and logical type, and their values as `apache-avro` has them.

use apache_avro::types::Value;
use apache_avro::{BigDecimal, Days, Decimal, Duration, Millis, Months, Uuid};
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

pub(crate) fn schema_and_value() -> impl Strategy<Value = (String, Value)> {
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
