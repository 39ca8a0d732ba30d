//! The values of `apache-avro`, to and from datums, against that crate's own reader and writer.
#![cfg(feature = "apache-avro")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

#[path = "support/typed.rs"]
mod typed;

use std::collections::HashMap;

use apache_avro::Decimal;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::apache::{self, Value};
use avro_wire::{ErrorKind, Schema};
use proptest::prelude::*;
use typed::schema_and_value;

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
