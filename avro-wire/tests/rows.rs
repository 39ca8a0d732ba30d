//! Flat rows against the golden messages and against damaged ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use std::fs;

use avro_wire::{ErrorKind, RowCodec, Scalar, Schema};
use support::from_hex;

/// The messages of all scenarios: schema and datum.
fn messages() -> Vec<(Schema, Vec<u8>)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/debezium");
    let mut messages = Vec::new();
    for scenario in fs::read_dir(root).unwrap() {
        let lines = |name: &str| {
            let text = fs::read_to_string(scenario.as_ref().unwrap().path().join(name)).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .collect::<Vec<_>>()
        };
        let schemas = lines("schemas.jsonl");
        for record in lines("records.jsonl") {
            for side in ["key", "value"] {
                let Some(hex) = record[format!("{side}_avro_hex")].as_str() else { continue };
                let id = &record[format!("{side}_schema")];
                let schema = schemas.iter().find(|schema| schema["id"] == *id).unwrap();
                let schema = Schema::parse(&schema["avro"].to_string()).unwrap();
                messages.push((schema, from_hex(hex)[5..].to_vec()));
            }
        }
    }
    assert!(messages.len() > 20, "{}", messages.len());
    messages
}

#[test]
fn golden_messages_are_read_and_written_again() {
    for (schema, datum) in messages() {
        let codec = RowCodec::new(&schema).unwrap();
        let (mut row, mut out) = (Vec::new(), Vec::new());
        codec.read(&datum, &mut row).unwrap();
        assert_eq!(row.len(), codec.columns().len());
        codec.write(&row, &mut out).unwrap();
        assert_eq!(out, datum);
        // Each column alone is the same, and the same as by the field reader.
        for (column, name) in codec.columns().enumerate() {
            let one = RowCodec::project(&schema, &[name]).unwrap();
            let mut found = Vec::new();
            one.read(&datum, &mut found).unwrap();
            assert_eq!(found, [row[column]], "{name}");
            if let Some(reader) = schema.field_reader(name) {
                assert_eq!(reader.read(&datum).unwrap(), row[column], "{name}");
            }
            assert_eq!(one.write(&found, &mut out).unwrap_err().kind(), ErrorKind::TypeMismatch);
        }
        for end in (0..datum.len()).step_by(1 + datum.len() / 500) {
            let error = codec.read(&datum[..end], &mut row).unwrap_err();
            assert!(error.kind().is_data() && error.offset().is_some(), "{error}");
        }
        let long = [&*datum, &[0]].concat();
        let mut row = Vec::new();
        let error = codec.read(&long, &mut row).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TrailingBytes { count: 1 });
    }
}

#[test]
fn a_projection_keeps_the_order_of_the_schema_and_its_groups() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null",{"type":"record","name":"A","fields":[
                {"name":"x","type":"int"},{"name":"y","type":["string","null"]},
                {"name":"z","type":{"type":"array","items":"int"}}]}]},
            {"name":"b","type":"A"},
            {"name":"again","type":["null","R"]},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["P","Q"]}}]}"#,
    )
    .unwrap();
    let codec = RowCodec::new(&schema).unwrap();
    let names: Vec<_> = codec.columns().collect();
    assert_eq!(names, ["a", "a.x", "a.y", "a.z", "b.x", "b.y", "b.z", "again", "e"]);
    let with_a = b"\x02\x02\x00\x02s\x00\x04\x02\x02\x02\x00\x00\x02";
    let without = b"\x00\x04\x02\x02\x02\x00\x00\x02";
    for (datum, x, y) in
        [(&with_a[..], Scalar::Int(1), Scalar::String("s")), (without, Scalar::Null, Scalar::Null)]
    {
        let project = RowCodec::project(&schema, &["e", "a.y", "b.x", "a.x"]).unwrap();
        assert_eq!(project.columns().collect::<Vec<_>>(), ["a.x", "a.y", "b.x", "e"]);
        let mut row = Vec::new();
        project.read(datum, &mut row).unwrap();
        assert_eq!(row, [x, y, Scalar::Int(2), Scalar::String("Q")]);
        let (mut whole, mut out) = (Vec::new(), Vec::new());
        codec.read(datum, &mut whole).unwrap();
        codec.write(&whole, &mut out).unwrap();
        assert_eq!(out, datum);
        // Behind the last column there may be anything.
        let mut row = Vec::new();
        let first = RowCodec::project(&schema, &["a.x"]).unwrap();
        first.read(&datum[..datum.len() - 3], &mut row).unwrap();
        assert_eq!(row, [x]);
    }
    let error = RowCodec::project(&schema, &["a.q"]).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::UnknownField, Some("a.q")));

    let mut row = Vec::new();
    codec.read(without, &mut row).unwrap();
    let mut out = vec![9];
    let error = codec.write(&row[1..], &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LengthMismatch { expected: 9, actual: 8 });
    for (column, wrong) in [
        (0, Scalar::Boolean(false)),
        (1, Scalar::Int(1)),
        (4, Scalar::Null),
        (4, Scalar::Long(1 << 40)),
        (6, Scalar::Int(0)),
        (8, Scalar::String("R")),
    ] {
        let mut row = row.clone();
        row[column] = wrong;
        let error = codec.write(&row, &mut out).unwrap_err();
        assert!(error.kind().is_value(), "{error}");
        assert_eq!(error.field(), Some(names[column]));
        assert_eq!(out, [9]);
    }
}
