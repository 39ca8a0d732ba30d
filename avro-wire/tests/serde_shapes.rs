//! How serde's shapes meet Avro's types, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

use std::collections::BTreeMap;

use avro_wire::{ErrorKind, Schema, decode, encode};
use serde::{Deserialize, Serialize};

fn schema(text: &str) -> Schema {
    Schema::parse(text).unwrap()
}

fn bytes<T: Serialize>(value: &T, schema: &Schema) -> Vec<u8> {
    let mut out = vec![0xee];
    encode(value, schema, &mut out).unwrap();
    assert_eq!(out[0], 0xee);
    out.split_off(1)
}

fn refused<T: Serialize>(value: &T, schema: &Schema) -> ErrorKind {
    let mut out = vec![0xee];
    let error = encode(value, schema, &mut out).unwrap_err();
    assert_eq!(out, [0xee], "the buffer keeps its length");
    error.kind()
}

const POINT: &str = r#"{"type":"record","name":"a.Point","fields":[
    {"name":"x","type":"int"},
    {"name":"y","type":"int","default":7},
    {"name":"label","type":["null","string"]}]}"#;

#[test]
fn struct_fields_go_by_name_in_any_order() {
    #[derive(Serialize)]
    struct Shuffled {
        label: Option<&'static str>,
        y: i32,
        x: i32,
    }
    #[derive(Serialize)]
    struct MiddleFirst {
        x: i32,
        label: &'static str,
        y: i32,
    }
    let schema = schema(POINT);
    let shuffled = Shuffled { label: Some("p"), y: 2, x: 1 };
    assert_eq!(bytes(&shuffled, &schema), b"\x02\x04\x02\x02p");
    assert_eq!(bytes(&MiddleFirst { x: 1, label: "p", y: 2 }, &schema), b"\x02\x04\x02\x02p");
    // Twice, because the second time goes by remembered addresses.
    assert_eq!(bytes(&shuffled, &schema), b"\x02\x04\x02\x02p");
    let map = BTreeMap::from([("label", None), ("x", Some(1)), ("y", Some(2))]);
    assert_eq!(bytes(&map, &schema), b"\x02\x04\x00");
    assert_eq!(bytes(&(1, 2, "p"), &schema), b"\x02\x04\x02\x02p");
}

#[test]
fn fields_left_out_get_their_default_or_null_or_an_error() {
    #[derive(Serialize)]
    struct X {
        x: i32,
    }
    #[derive(Serialize)]
    struct Y {
        y: i32,
    }
    #[derive(Serialize)]
    struct Extra {
        x: i32,
        z: i32,
    }
    let schema = schema(POINT);
    assert_eq!(bytes(&X { x: 1 }, &schema), b"\x02\x0e\x00");
    assert_eq!(refused(&Y { y: 1 }, &schema), ErrorKind::MissingField);
    assert_eq!(refused(&Extra { x: 1, z: 1 }, &schema), ErrorKind::UnknownField);
    let mut out = Vec::new();
    let error = encode(&BTreeMap::from([("x", "text")]), &schema, &mut out).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::TypeMismatch, Some("x")));
}

#[test]
fn decoding_matches_fields_by_name_and_steps_over_others() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Same<'a> {
        x: i32,
        y: i64,
        label: Option<&'a str>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Other {
        label: Option<String>,
        x: u8,
        #[serde(default)]
        absent: bool,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        x: i32,
    }
    let schema = schema(POINT);
    let datum = b"\x02\x04\x02\x02p";
    for _ in 0..2 {
        let same: Same<'_> = decode(datum, &schema).unwrap();
        assert_eq!(same, Same { x: 1, y: 2, label: Some("p") });
        let other: Other = decode(datum, &schema).unwrap();
        assert_eq!(other, Other { label: Some("p".into()), x: 1, absent: false });
    }
    assert_eq!(decode::<(i32, i32)>(datum, &schema).unwrap(), (1, 2));
    let error = decode::<Strict>(datum, &schema).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::UnknownField, Some("y")));
    let error = decode::<Other>(b"\xff\x7f\x04\x00", &schema).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::NumberRange, Some("x")));
}

#[test]
fn options_find_null_at_either_side() {
    for (text, some, none) in [
        (r#"["null","long"]"#, &b"\x02\x06"[..], &b"\x00"[..]),
        (r#"["long","null"]"#, b"\x00\x06", b"\x02"),
        (r#"["string","long","null"]"#, b"\x02\x06", b"\x04"),
    ] {
        let schema = schema(text);
        assert_eq!(bytes(&Some(3_i64), &schema), some);
        assert_eq!(bytes(&3_i64, &schema), some);
        assert_eq!(bytes(&None::<i64>, &schema), none);
        assert_eq!(bytes(&(), &schema), none);
        assert_eq!(decode::<Option<i64>>(some, &schema).unwrap(), Some(3));
        assert_eq!(decode::<Option<i64>>(none, &schema).unwrap(), None);
        assert_eq!(decode::<i64>(some, &schema).unwrap(), 3);
        let error = decode::<Option<i64>>(b"\x06", &schema).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BranchOutOfRange { index: 3 });
        assert_eq!(error.offset(), Some(0));
    }
}

#[test]
fn unions_go_by_type_or_by_the_name_of_the_variant() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Any {
        Null,
        Long(i64),
        String(String),
        Point {
            x: i32,
            y: i32,
            label: Option<String>,
        },
        #[serde(rename = "a.Id")]
        Id([u8; 2]),
    }
    let schema = schema(&format!(
        r#"["null","long","string",{POINT},{{"type":"fixed","name":"a.Id","size":2}}]"#
    ));
    for (value, datum) in [
        (Any::Null, &b"\x00"[..]),
        (Any::Long(3), b"\x02\x06"),
        (Any::String("s".into()), b"\x04\x02s"),
        (Any::Point { x: 1, y: 2, label: None }, b"\x06\x02\x04\x00"),
        (Any::Id([8, 9]), b"\x08\x08\x09"),
    ] {
        assert_eq!(bytes(&value, &schema), datum);
        assert_eq!(decode::<Any>(datum, &schema).unwrap(), value);
        assert_eq!(bytes(&Some(&value), &schema), datum);
        let back: Option<Any> = decode(datum, &schema).unwrap();
        assert_eq!(back, (value != Any::Null).then_some(value));
    }
    assert_eq!(bytes(&5_u8, &schema), b"\x02\x0a");
    assert_eq!(bytes(&"s", &schema), b"\x04\x02s");
    assert_eq!(refused(&true, &schema), ErrorKind::TypeMismatch);
    assert_eq!(refused(&0.5, &schema), ErrorKind::TypeMismatch);
}

#[test]
fn enums_go_by_symbol() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Suit {
        Hearts,
        Clubs,
        Joker,
    }
    let schema = schema(r#"["null",{"type":"enum","name":"S","symbols":["Clubs","Hearts"]}]"#);
    assert_eq!(bytes(&Suit::Hearts, &schema), b"\x02\x02");
    assert_eq!(bytes(&Some(Suit::Clubs), &schema), b"\x02\x00");
    assert_eq!(bytes(&"Hearts", &schema), b"\x02\x02");
    assert_eq!(refused(&Suit::Joker, &schema), ErrorKind::UnknownVariant);
    assert_eq!(decode::<Suit>(b"\x02\x02", &schema).unwrap(), Suit::Hearts);
    assert_eq!(decode::<Option<Suit>>(b"\x02\x00", &schema).unwrap(), Some(Suit::Clubs));
    assert_eq!(decode::<String>(b"\x02\x00", &schema).unwrap(), "Clubs");
    let kind = decode::<Suit>(b"\x02\x04", &schema).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::SymbolOutOfRange { index: 2 });
}

#[test]
fn bytes_and_fixed_take_sequences_of_numbers_too() {
    let blob = schema(r#""bytes""#);
    assert_eq!(bytes(&vec![1_u8, 255], &blob), b"\x04\x01\xff");
    assert_eq!(decode::<Vec<u8>>(b"\x04\x01\xff", &blob).unwrap(), [1, 255]);
    assert_eq!(decode::<&[u8]>(b"\x04\x01\xff", &blob).unwrap(), [1, 255]);
    assert_eq!(refused(&vec![1, 256], &blob), ErrorKind::NumberRange);
    assert_eq!(refused(&"text", &blob), ErrorKind::TypeMismatch);
    let fixed = schema(r#"{"type":"fixed","name":"F","size":2}"#);
    assert_eq!(bytes(&[1_u8, 255], &fixed), b"\x01\xff");
    assert_eq!(decode::<[u8; 2]>(b"\x01\xff", &fixed).unwrap(), [1, 255]);
    let kind = refused(&[1_u8], &fixed);
    assert_eq!(kind, ErrorKind::LengthMismatch { expected: 2, actual: 1 });
}

#[test]
fn arrays_come_in_blocks_of_either_form() {
    struct Unsized(Vec<i32>);
    impl Serialize for Unsized {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq as _;
            let mut items = serializer.serialize_seq(None)?;
            self.0.iter().try_for_each(|item| items.serialize_element(item))?;
            items.end()
        }
    }
    let schema = schema(r#"{"type":"array","items":"int"}"#);
    assert_eq!(bytes(&[1, 2], &schema), b"\x04\x02\x04\x00");
    assert_eq!(bytes(&Unsized(vec![1, 2]), &schema), b"\x04\x02\x04\x00");
    assert_eq!(bytes(&Unsized(Vec::new()), &schema), b"\x00");
    assert_eq!(bytes(&[0; 0], &schema), b"\x00");
    // Two blocks, the second with its size in bytes.
    let datum = b"\x02\x02\x03\x04\x04\x06\x00";
    assert_eq!(decode::<Vec<i32>>(datum, &schema).unwrap(), [1, 2, 3]);
    assert_eq!(schema.skip(datum).unwrap(), datum.len());
    assert_eq!(decode::<[i32; 3]>(datum, &schema).unwrap(), [1, 2, 3]);
    let kind = decode::<(i32, i32)>(datum, &schema).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::LengthMismatch { expected: 2, actual: 3 });
    // i64::MIN items, and a negative block size.
    let smallest = [&[0xff; 9][..], &[0x01, 0x00]].concat();
    let kind = decode::<Vec<i32>>(&smallest, &schema).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ItemCount { count: i64::MIN });
    let kind = decode::<Vec<i32>>(b"\x01\x01\x02", &schema).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::NegativeLength { length: -1 });
}

#[test]
fn items_without_bytes_are_counted_over_the_whole_datum() {
    let nulls = schema(r#"{"type":"array","items":"null"}"#);
    assert_eq!(decode::<Vec<()>>(b"\x06\x00", &nulls).unwrap().len(), 3);
    let mut datum = Vec::new();
    avro_wire::primitive::write_long(4097, &mut datum);
    let kind = decode::<Vec<()>>(&datum, &nulls).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ItemCount { count: 4097 });
    // Blocks of 1,000: the fifth is one too many.
    let mut datum = Vec::new();
    (0..5).for_each(|_| avro_wire::primitive::write_long(1000, &mut datum));
    datum.push(0);
    let error = decode::<Vec<()>>(&datum, &nulls).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::ItemCount { count: 1000 }, Some(8)));
    assert!(nulls.skip(&datum).is_err());
    // Twice as many empty records at each of 40 levels.
    let bomb =
        (0..40).fold(r#"{"type":"record","name":"E","fields":[]}"#.to_owned(), |inner, n| {
            let name = if n == 0 { "E".to_owned() } else { format!("R{}", n - 1) };
            format!(
                r#"{{"type":"record","name":"R{n}","fields":[
                {{"name":"a","type":{inner}}},{{"name":"b","type":"{name}"}}]}}"#,
            )
        });
    let bomb = schema(&bomb);
    assert_eq!(bomb.skip(&[]).unwrap(), 0);
    let kind = decode::<serde_json::Value>(&[], &bomb).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ItemCount { count: 1 });
}

#[test]
fn numbers_go_where_they_fit() {
    assert_eq!(refused(&(1_i64 << 31), &schema(r#""int""#)), ErrorKind::NumberRange);
    assert_eq!(refused(&u64::MAX, &schema(r#""long""#)), ErrorKind::NumberRange);
    assert_eq!(refused(&i64::MAX, &schema(r#""double""#)), ErrorKind::NumberRange);
    assert_eq!(bytes(&1, &schema(r#""double""#)), 1_f64.to_le_bytes());
    assert_eq!(bytes(&0.1_f64, &schema(r#""float""#)), 0.1_f32.to_le_bytes());
    assert_eq!(decode::<f64>(&0.5_f32.to_le_bytes(), &schema(r#""float""#)).unwrap(), 0.5);
    assert_eq!(decode::<u64>(b"\x02", &schema(r#""int""#)).unwrap(), 1);
    assert!(decode::<u64>(b"\x01", &schema(r#""int""#)).is_err());
}

#[test]
fn depth_is_bounded_in_data_and_in_schemas() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List {
        next: Option<Box<Self>>,
    }
    let list = schema(
        r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#,
    );
    let nested = |depth: usize| {
        (1..depth).fold(List { next: None }, |inner, _| List { next: Some(Box::new(inner)) })
    };
    let datum = bytes(&nested(64), &list);
    assert_eq!(datum, [&[2; 63][..], &[0]].concat());
    assert_eq!(decode::<List>(&datum, &list).unwrap(), nested(64));
    assert_eq!(refused(&nested(65), &list), ErrorKind::DepthLimit);
    for length in [64, 100_000] {
        let datum = [&vec![2; length][..], &[0]].concat();
        assert_eq!(decode::<List>(&datum, &list).unwrap_err().kind(), ErrorKind::DepthLimit);
        assert_eq!(list.skip(&datum).unwrap_err().kind(), ErrorKind::DepthLimit);
    }
    let arrays = |depth: usize| {
        let open = r#"{"type":"array","items":"#.repeat(depth);
        format!(r#"{open}"int"{}"#, "}".repeat(depth))
    };
    Schema::parse(&arrays(64)).unwrap();
    for depth in [65, 100_000] {
        assert_eq!(Schema::parse(&arrays(depth)).unwrap_err().kind(), ErrorKind::DepthLimit);
    }
    let records = (0..64).fold(r#""int""#.to_owned(), |s, n| {
        format!(
            r#"{{"type":"record","name":"R{n}","fields":[{{"name":"f","type":["null",{s}]}}]}}"#
        )
    });
    Schema::parse(&records).unwrap();
    // A record that always holds itself has no datum; the walk ends at the limit.
    let endless = schema(r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#);
    assert_eq!(endless.skip(&[]).unwrap_err().kind(), ErrorKind::DepthLimit);
}

#[test]
fn trailing_bytes_are_an_error() {
    let error = decode::<i32>(b"\x02\x02", &schema(r#""int""#)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TrailingBytes { count: 1 });
    assert_eq!(error.offset(), Some(1));
}

#[test]
fn a_visitor_that_leaves_fields_is_an_error() {
    /// Says that it has both fields, and takes one.
    #[derive(Debug)]
    struct Half;
    impl<'de> Deserialize<'de> for Half {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct First;
            impl<'de> serde::de::Visitor<'de> for First {
                type Value = Half;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a record")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut a: A,
                ) -> Result<Half, A::Error> {
                    a.next_element::<i32>().map(|_| Half)
                }
            }
            deserializer.deserialize_struct("Half", &["a", "b"], First)
        }
    }
    let fields = r#"[{"name":"a","type":"int"},{"name":"b","type":"null"}]"#;
    let half = format!(r#"{{"type":"record","name":"Half","fields":{fields}}}"#);
    let kind = decode::<Half>(b"\x02", &schema(&half)).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Value);
    let list = schema(&format!(r#"{{"type":"array","items":{half}}}"#));
    let kind = decode::<Vec<Half>>(b"\x04\x02\x02\x00", &list).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Value);
    // A tuple goes by position and may be shorter.
    assert_eq!(decode::<(i32,)>(b"\x02", &schema(&half)).unwrap(), (1,));
}
