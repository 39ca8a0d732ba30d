//! Schema texts: names, references, defaults, logical types, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

use avro_wire::{ErrorKind, Kind, Logical, Schema, decode};

fn refused(text: &str) -> ErrorKind {
    let error = Schema::parse(text).unwrap_err();
    assert!(error.kind().is_schema(), "{error}");
    error.kind()
}

#[test]
fn names_are_as_lenient_as_those_of_java() {
    for name in ["0pg.1.2-3.Value", "a b.V", "_x1", "Größe", "x..y"] {
        let text = format!(r#"{{"type":"fixed","name":"{name}","size":1}}"#);
        assert_eq!(Schema::parse(&text).unwrap().name(), Some(name));
    }
    for name in ["", "1a", "a.1a", "a.", "a-b", "a b", "int", "a.b-c"] {
        let text = format!(r#"{{"type":"fixed","name":"{name}","size":1}}"#);
        assert_eq!(refused(&text), ErrorKind::InvalidName, "{name}");
    }
    let field = r#"{"type":"record","name":"R","fields":[{"name":"col-dash","type":"int"}]}"#;
    assert_eq!(refused(field), ErrorKind::InvalidName);
}

#[test]
fn malformed_schemas_are_refused_by_kind() {
    for (text, kind) in [
        ("", ErrorKind::Json),
        ("{\"type\":\n\"int\"", ErrorKind::Json),
        ("1", ErrorKind::InvalidAttribute),
        ("{}", ErrorKind::InvalidAttribute),
        (r#""unknown""#, ErrorKind::UnknownType),
        (r#"{"type":"array"}"#, ErrorKind::InvalidAttribute),
        (r#"{"type":"fixed","name":"F","size":-1}"#, ErrorKind::InvalidAttribute),
        (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, ErrorKind::Duplicate),
        (r#"["int","int"]"#, ErrorKind::InvalidUnion),
        (r#"["null","null"]"#, ErrorKind::InvalidUnion),
        (r#"["int",["null"]]"#, ErrorKind::InvalidUnion),
        (
            r#"{"type":"record","name":"R","fields":[
                {"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            ErrorKind::Duplicate,
        ),
        (
            r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]"#,
            ErrorKind::Duplicate,
        ),
    ] {
        assert_eq!(refused(text), kind, "{text}");
    }
    let error = Schema::parse("{\"type\":\n \"int\",}").unwrap_err();
    assert_eq!(error.offset(), Some(16));
}

#[test]
fn references_are_resolved_by_name() {
    let inner = Schema::parse(
        r#"{"type":"record","name":"a.Inner","fields":[
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]},"default":"B"},
            {"name":"next","type":["null","Inner"],"default":null}]}"#,
    )
    .unwrap();
    let middle = Schema::parse_with(
        r#"{"type":"record","name":"a.Middle","fields":[{"name":"inner","type":"Inner"}]}"#,
        std::slice::from_ref(&inner),
    )
    .unwrap();
    // A diamond: both references bring `a.Kind`.
    let outer = Schema::parse_with(
        r#"{"type":"record","name":"Outer","namespace":"b","fields":[
            {"name":"middle","type":"a.Middle"},{"name":"kind","type":"a.Kind"}]}"#,
        &[middle, inner],
    )
    .unwrap();
    let value = serde_json::json!({
        "middle": {"inner": {"next": {"kind": "A", "next": null}}}, "kind": "A"
    });
    let mut out = Vec::new();
    avro_wire::encode(&value, &outer, &mut out).unwrap();
    assert_eq!(out, [2, 2, 0, 0, 0]);
    let back: serde_json::Value = decode(&out, &outer).unwrap();
    assert_eq!(back["middle"]["inner"]["kind"], "B");
    assert_eq!(
        outer.canonical_form(),
        r#"{"name":"b.Outer","type":"record","fields":[{"name":"middle","type":{"name":"a.Middle","type":"record","fields":[{"name":"inner","type":{"name":"a.Inner","type":"record","fields":[{"name":"kind","type":{"name":"a.Kind","type":"enum","symbols":["A","B"]}},{"name":"next","type":["null","a.Inner"]}]}}]}},{"name":"kind","type":"a.Kind"}]}"#
    );
    let error = Schema::parse(outer.as_str()).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::UnknownType, Some("a.Middle")));
    assert_eq!(error.field(), Some("middle"));
}

#[test]
fn defaults_are_kept_and_compiled() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"R","fields":[
            {"name":"blob","type":"bytes","default":"\u0001\u00ff"},
            {"name":"list","type":{"type":"array","items":"int"},"default":[1,2]},
            {"name":"map","type":{"type":"map","values":"boolean"},"default":{"a":true}},
            {"name":"either","type":["string","null"],"default":"x"},
            {"name":"late","type":["null","double"],"default":1.5},
            {"name":"nan","type":"float","default":"NaN"},
            {"name":"wrong","type":"int","default":"one"},
            {"name":"none","type":"int"}]}"#,
    )
    .unwrap();
    let expected: [Option<&[u8]>; 8] = [
        Some(b"\x04\x01\xff"),
        Some(b"\x04\x02\x04\x00"),
        Some(b"\x02\x02a\x01\x00"),
        Some(b"\x00\x02x"),
        Some(b"\x02\x00\x00\x00\x00\x00\x00\xf8\x3f"),
        Some(b"\x00\x00\xc0\x7f"),
        None,
        None,
    ];
    let found: Vec<_> = schema.root_type().fields().map(|field| field.default_datum()).collect();
    assert_eq!(found, expected);
    let texts: Vec<_> = schema.root_type().fields().map(|field| field.default()).collect();
    assert_eq!(texts[6].as_deref(), Some("\"one\""));
    assert_eq!(texts[7], None);
}

#[test]
fn logical_types_are_known_where_they_belong() {
    for (text, logical) in [
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#,
            Some(Logical::Decimal { precision: 5, scale: 2 }),
        ),
        (r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2046}"#, None),
        (r#"{"type":"string","logicalType":"uuid"}"#, Some(Logical::Uuid)),
        (r#"{"type":"long","logicalType":"timestamp-micros"}"#, Some(Logical::TimestampMicros)),
        (r#"{"type":"int","logicalType":"timestamp-micros"}"#, None),
        (r#"{"type":"long","logicalType":"of-my-own"}"#, None),
    ] {
        assert_eq!(Schema::parse(text).unwrap().root_type().logical(), logical, "{text}");
    }
}

#[test]
fn views_show_the_whole_schema() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"R","fields":[
            {"name":"m","type":{"type":"map","values":["null","int","string"]}},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
            {"name":"f","type":{"type":"fixed","name":"x.F","size":3}}]}"#,
    )
    .unwrap();
    let fields: Vec<_> = schema.root_type().fields().map(|f| f.field_type()).collect();
    let branches = fields[0].items().unwrap().branches().map(avro_wire::TypeView::kind);
    assert_eq!(branches.collect::<Vec<_>>(), [Kind::Null, Kind::Int, Kind::String]);
    assert_eq!(fields[1].symbols().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!((fields[2].name(), fields[2].size()), (Some("x.F"), Some(3)));
}

#[test]
fn schemas_are_shared_between_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Schema>();
    check::<avro_wire::Error>();
    check::<avro_wire::FieldReader>();
}

#[cfg(feature = "digest")]
#[test]
fn long_fingerprints_are_those_of_other_programs() {
    // By Python's hashlib from the canonical form.
    let text = r#"{"type":"fixed","name":"md5","namespace":"a.b","size":16,"doc":"d"}"#;
    let schema = Schema::parse(text).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&schema.md5()), "65179cf180f16843beeff1a655c8c232");
    assert_eq!(
        hex(&schema.sha256()),
        "2891900d1901456d195f462f6902e5e4451184cf0432d925ea794ab67c588fa9"
    );
}
