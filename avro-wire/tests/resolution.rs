//! Data of one schema read with another.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use avro_wire::{ErrorKind, Resolution, Schema};
use support::Tree;

fn resolution(writer: &str, reader: &str) -> Result<Resolution, avro_wire::Error> {
    Resolution::new(&Schema::parse(writer).unwrap(), &Schema::parse(reader).unwrap())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// What the reader sees of `value`; every cut-off datum must be an error.
fn read(writer: &str, reader: &str, value: &Tree) -> Result<Tree, ErrorKind> {
    let resolution = resolution(writer, reader).map_err(|error| error.kind())?;
    let schema = Schema::parse(writer).unwrap();
    let mut datum = Vec::new();
    avro_wire::encode(value, &schema, &mut datum).unwrap();
    for end in 0..datum.len() {
        assert!(resolution.decode::<Tree>(&datum[..end]).is_err(), "{end}");
    }
    resolution.decode(&datum).map_err(|error| {
        assert!(error.offset().is_some(), "{error}");
        error.kind()
    })
}

fn map(entries: &[(&str, Tree)]) -> Tree {
    Tree::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

#[test]
fn numbers_widen_and_nothing_else_does() {
    let values = [
        ("int", Tree::Int(-3)),
        ("long", Tree::Long(1 << 40)),
        ("float", Tree::Float(0.5)),
        ("double", Tree::Double(0.25)),
        ("string", Tree::String("é".into())),
        ("bytes", Tree::Bytes(b"b".to_vec())),
        ("boolean", Tree::Boolean(true)),
        ("null", Tree::Null),
    ];
    for (from, value) in &values {
        for (to, _) in &values {
            let found = read(&format!("\"{from}\""), &format!("\"{to}\""), value);
            let expected = match (*from, *to) {
                (a, b) if a == b => Ok(value.clone()),
                ("int", "long") => Ok(Tree::Long(-3)),
                ("int", "float") => Ok(Tree::Float(-3.0)),
                ("int", "double") => Ok(Tree::Double(-3.0)),
                ("long", "float") => Ok(Tree::Float(1_099_511_627_776.0)),
                ("long", "double") => Ok(Tree::Double(1_099_511_627_776.0)),
                ("float", "double") => Ok(Tree::Double(0.5)),
                ("string", "bytes") => Ok(Tree::Bytes("é".into())),
                ("bytes", "string") => Ok(Tree::String("b".into())),
                _ => Err(ErrorKind::Unresolvable),
            };
            assert_eq!(found, expected, "{from} {to}");
            let schema = |inner: &str| format!(r#"{{"type":"array","items":["null","{inner}"]}}"#);
            if *from != "null" && *to != "null" {
                let list = Tree::List(vec![value.clone(), Tree::Null]);
                let found = read(&schema(from), &schema(to), &list);
                assert_eq!(found, expected.map(|v| Tree::List(vec![v, Tree::Null])), "{from} {to}");
            }
        }
    }
    assert_eq!(
        read(r#""bytes""#, r#""string""#, &Tree::Bytes(vec![0xff])),
        Err(ErrorKind::InvalidUtf8)
    );
}

#[test]
fn fields_are_matched_dropped_defaulted_and_reordered() {
    let writer = record(
        r#"{"name":"a","type":"int"},{"name":"gone","type":{"type":"map","values":"string"}},
           {"name":"b","type":"string"},{"name":"old","type":["null","long"]}"#,
    );
    let value = map(&[
        ("a", Tree::Int(1)),
        ("gone", map(&[("k", Tree::String("v".into()))])),
        ("b", Tree::String("x".into())),
        ("old", Tree::Long(9)),
    ]);
    let reader = record(
        r#"{"name":"first","type":["string","null"],"default":"f"},{"name":"a","type":"long"},
           {"name":"b","type":"string"},{"name":"new","type":["null","double"],"aliases":["old"]},
           {"name":"last","type":{"type":"array","items":"int"},"default":[1,2]}"#,
    );
    let expected = map(&[
        ("first", Tree::String("f".into())),
        ("a", Tree::Long(1)),
        ("b", Tree::String("x".into())),
        ("new", Tree::Double(9.0)),
        ("last", Tree::List(vec![Tree::Int(1), Tree::Int(2)])),
    ]);
    assert_eq!(read(&writer, &reader, &value), Ok(expected));

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Row<'a> {
        first: Option<&'a str>,
        a: i64,
        b: &'a str,
        new: Option<f64>,
        last: Vec<i32>,
    }
    let mut datum = Vec::new();
    avro_wire::encode(&value, &Schema::parse(&writer).unwrap(), &mut datum).unwrap();
    let row = Row { first: Some("f"), a: 1, b: "x", new: Some(9.0), last: vec![1, 2] };
    let ordered = resolution(&writer, &reader).unwrap();
    assert_eq!(ordered.decode::<Row<'_>>(&datum).unwrap(), row);
    type Columns<'a> = (Option<&'a str>, i64, &'a str, Option<f64>, Vec<i32>);
    assert_eq!(ordered.decode::<Columns<'_>>(&datum).unwrap().2, "x");

    let reader = record(
        r#"{"name":"b","type":"string"},{"name":"new","type":["null","double"],"aliases":["old"]},
           {"name":"a","type":"long"},{"name":"first","type":["string","null"],"default":"f"},
           {"name":"last","type":{"type":"array","items":"int"},"default":[1,2]}"#,
    );
    let reordered = resolution(&writer, &reader).unwrap();
    assert_eq!(reordered.decode::<Row<'_>>(&datum).unwrap(), row);

    let needy = record(r#"{"name":"a","type":"int"},{"name":"c","type":"int"}"#);
    let error = resolution(&writer, &needy).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::Unresolvable, Some("c")));
    let other = record(r#"{"name":"a","type":"string"}"#);
    let error = resolution(&writer, &other).unwrap_err();
    assert_eq!((error.field(), error.detail()), (Some("a"), Some("int")));
}

#[test]
fn names_symbols_and_sizes() {
    let symbols = |name: &str, rest: &str| format!(r#"{{"type":"enum","name":"{name}",{rest}}}"#);
    let writer = symbols("a.E", r#""symbols":["A","B","C"]"#);
    let reader = symbols("b.E", r#""symbols":["C","A"],"default":"A""#);
    for (written, expected) in [("A", "A"), ("B", "A"), ("C", "C")] {
        let found = read(&writer, &reader, &Tree::String(written.into()));
        assert_eq!(found, Ok(Tree::String(expected.into())));
    }
    let strict = symbols("E", r#""symbols":["C","A"]"#);
    assert_eq!(read(&writer, &strict, &Tree::String("C".into())), Ok(Tree::String("C".into())));
    let found = read(&writer, &strict, &Tree::String("B".into()));
    assert_eq!(found, Err(ErrorKind::Unresolvable));
    assert!(resolution(&writer, &symbols("F", r#""symbols":["A"]"#)).is_err());
    let alias = symbols("F", r#""symbols":["A","B","C"],"aliases":["a.E"]"#);
    assert_eq!(read(&writer, &alias, &Tree::String("B".into())), Ok(Tree::String("B".into())));

    let fixed = |size: u8| format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#);
    assert!(resolution(&fixed(2), &fixed(3)).is_err());
    assert_eq!(read(&fixed(2), &fixed(2), &Tree::Bytes(vec![1, 2])), Ok(Tree::Bytes(vec![1, 2])));
}

#[test]
fn unions_meet_unions_and_plain_types() {
    let one = |value: &Tree, writer: &str, reader: &str| read(writer, reader, value);
    let (int, null) = (Tree::Int(1), Tree::Null);
    assert_eq!(one(&int, r#""int""#, r#"["null","int"]"#), Ok(Tree::Int(1)));
    assert_eq!(one(&int, r#""int""#, r#"["null","string","double","int"]"#), Ok(Tree::Int(1)));
    assert_eq!(one(&int, r#""int""#, r#"["double","long"]"#), Ok(Tree::Double(1.0)));
    assert_eq!(one(&null, r#""null""#, r#"["int","null"]"#), Ok(Tree::Null));
    assert_eq!(one(&int, r#"["null","int"]"#, r#""long""#), Ok(Tree::Long(1)));
    assert_eq!(one(&null, r#"["null","int"]"#, r#""long""#), Err(ErrorKind::Unresolvable));
    assert_eq!(one(&null, r#"["null","int"]"#, r#"["long","null"]"#), Ok(Tree::Null));
    assert_eq!(one(&int, r#"["null","int"]"#, r#"["string","long","null"]"#), Ok(Tree::Long(1)));
    let text = Tree::String("t".into());
    assert_eq!(one(&int, r#"["string","int","null"]"#, r#"["null","int"]"#), Ok(Tree::Int(1)));
    let found = one(&text, r#"["string","int","null"]"#, r#"["null","int"]"#);
    assert_eq!(found, Err(ErrorKind::Unresolvable));
    assert!(resolution(r#"["string","boolean"]"#, r#""int""#).is_err());

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Either {
        Null,
        Long(i64),
        String(String),
    }
    for (writer, datum, expected) in [
        (r#""int""#, &[4][..], Either::Long(2)),
        (r#""null""#, &[], Either::Null),
        (r#"["int","string","null"]"#, &[2, 2, b'x'], Either::String("x".into())),
        (r#"["int","string","null"]"#, &[0, 4], Either::Long(2)),
        (r#"["null","int"]"#, &[2, 4], Either::Long(2)),
        (r#"["null","int"]"#, &[0], Either::Null),
    ] {
        let resolution = resolution(writer, r#"["null","long","string"]"#).unwrap();
        assert_eq!(resolution.decode::<Either>(datum).unwrap(), expected, "{writer}");
        let optional = resolution.decode::<Option<Either>>(datum).unwrap();
        assert_eq!(optional, (expected != Either::Null).then_some(expected));
    }
}

#[test]
fn recursive_types_resolve_and_broken_parts_fail_only_when_met() {
    let list = |value: &str| {
        record(&format!(r#"{{"name":"v","type":{value}}},{{"name":"next","type":["null","R"]}}"#))
    };
    let value =
        map(&[("v", Tree::Int(1)), ("next", map(&[("v", Tree::Int(2)), ("next", Tree::Null)]))]);
    let expected =
        map(&[("v", Tree::Long(1)), ("next", map(&[("v", Tree::Long(2)), ("next", Tree::Null)]))]);
    assert_eq!(read(&list(r#""int""#), &list(r#""long""#), &value), Ok(expected));
    assert!(resolution(&list(r#""int""#), &list(r#""string""#)).is_err());

    // The inner record leads back to the outer one, which turns out to be broken.
    let web = |last: &str| {
        format!(
            r#"{{"type":"record","name":"T","fields":[{{"name":"r","type":["null",
            {{"type":"record","name":"R","fields":[{{"name":"s","type":["null",
                {{"type":"record","name":"S","fields":[{{"name":"back","type":["null","R"]}}]}}]}},
                {{"name":"last","type":"{last}"}}]}}]}},
            {{"name":"s","type":["null","S"]}}]}}"#
        )
    };
    let (writer, reader) = (web("int"), web("string"));
    let broken = resolution(&writer, &reader).unwrap();
    assert!(broken.decode::<Tree>(&[0, 0]).is_ok());
    assert!(broken.decode::<Tree>(&[0, 2, 0]).is_ok());
    for datum in [&[2, 0, 2, 0][..], &[0, 2, 2, 0, 2]] {
        let error = broken.decode::<Tree>(datum).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unresolvable);
    }
    // What nobody looks at is stepped over all the same.
    #[derive(serde::Deserialize)]
    struct Nothing {}
    broken.decode::<Nothing>(&[2, 0, 2, 0]).unwrap();

    let cycle = |length: usize| {
        (0..length).rev().fold("\"n0.N\"".to_owned(), |inner, i| {
            format!(
                r#"{{"type":"record","name":"n{i}.N","fields":[
                    {{"name":"f","type":["null",{inner}]}}]}}"#
            )
        })
    };
    assert!(resolution(&cycle(7), &cycle(11)).is_ok());
    let error = resolution(&cycle(37), &cycle(38)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DepthLimit);
}
