//! Container files and JSON that Python's fastavro reads, and the reverse.
#![cfg(feature = "ocf")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use std::fs;
use std::process::Command;

use avro_wire::Schema;
use avro_wire::json::{self, Form};
use avro_wire::ocf::{Codec, Reader, Writer};
use base64::Engine as _;
use serde_json::{Value, json as value};
use support::Tree;

const SCHEMA: &str = r#"{"type":"record","name":"Row","namespace":"a.b","fields":[
    {"name":"id","type":"long"},{"name":"small","type":"int"},
    {"name":"note","type":["null","string"],"default":null},
    {"name":"raw","type":"bytes"},{"name":"ok","type":"boolean"},
    {"name":"rate","type":"double"},{"name":"half","type":"float"},
    {"name":"hash","type":{"type":"fixed","name":"Hash","size":3}},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["ON","OFF"]}},
    {"name":"tags","type":{"type":"array","items":["null","string","long"]}},
    {"name":"marks","type":{"type":"map","values":"int"}},
    {"name":"inner","type":["null",{"type":"record","name":"Inner","fields":[
        {"name":"next","type":["null","Inner"]},{"name":"v","type":"int"}]}]}]}"#;

fn rows() -> Vec<Tree> {
    let map = |entries: Vec<(&str, Tree)>| {
        Tree::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let row = |n: i32| {
        let text = || Tree::String(format!("größer {n}"));
        map(vec![
            ("id", Tree::Long(i64::from(n) * 3_000_000_000 - 7)),
            ("small", Tree::Int(-n)),
            ("note", if n % 2 == 0 { Tree::Null } else { text() }),
            ("raw", Tree::Bytes(n.to_be_bytes().to_vec())),
            ("ok", Tree::Boolean(n % 3 == 0)),
            ("rate", Tree::Double(f64::from(n) / 4.0)),
            ("half", Tree::Float(0.5)),
            ("hash", Tree::Bytes(vec![1, 0, 0xff])),
            ("state", Tree::String(if n % 2 == 0 { "ON" } else { "OFF" }.into())),
            ("tags", Tree::List(vec![Tree::Null, text(), Tree::Long(i64::from(n))])),
            ("marks", map(vec![("k", Tree::Int(n))])),
            (
                "inner",
                map(vec![
                    ("next", map(vec![("next", Tree::Null), ("v", Tree::Int(1))])),
                    ("v", Tree::Int(2)),
                ]),
            ),
        ])
    };
    (0..3_000).map(row).collect()
}

fn to_json(tree: &Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Boolean(value) => value!(value),
        Tree::Int(value) => value!(value),
        Tree::Long(value) => value!(value),
        Tree::Float(value) => value!(value),
        Tree::Double(value) => value!(value),
        Tree::Bytes(value) => {
            value!({"base64": base64::engine::general_purpose::STANDARD.encode(value)})
        }
        Tree::String(value) => value!(value),
        Tree::List(items) => items.iter().map(to_json).collect(),
        Tree::Map(entries) => {
            Value::Object(entries.iter().map(|(k, v)| (k.clone(), to_json(v))).collect())
        }
    }
}

/// Python with fastavro, if it is there.
fn python() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let present = Command::new(&python).args(["-c", PACKAGES]).output();
    if present.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    embedded_services::skip("fastavro", "python3 with fastavro[snappy,zstandard] is not here");
    None
}

fn container(schema: &Schema, rows: &[Tree], codec: Codec) -> Vec<u8> {
    let (mut file, mut datum) = (Vec::new(), Vec::new());
    let mut writer = Writer::new(schema, codec, *b"0123456789abcdef");
    writer.header(&mut file);
    for row in rows {
        datum.clear();
        avro_wire::encode(row, schema, &mut datum).unwrap();
        writer.append(&datum, &mut file).unwrap();
    }
    writer.finish(&mut file).unwrap();
    file
}

/// Fails where a package is missing that fastavro needs for one of the codecs.
const PACKAGES: &str = "import fastavro, io
for codec in ['null', 'deflate', 'snappy', 'zstandard', 'bzip2']:
    fastavro.writer(io.BytesIO(), 'int', [1], codec=codec)";

#[test]
fn fastavro_reads_our_files_and_we_read_its() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (schema, rows) = (Schema::parse(SCHEMA).unwrap(), rows());
    let json: Value = rows.iter().map(to_json).collect();
    fs::write(path("rows.json"), json.to_string()).unwrap();
    for &codec in Codec::ALL {
        let file = container(&schema, &rows, codec);
        fs::write(path("ours.avro"), &file).unwrap();

        let output = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/container_peer.py"))
            .args([path("ours.avro"), path("rows.json"), path("theirs.avro")])
            .arg(codec.name())
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{codec:?}: {message:.2000}");

        let theirs = fs::read(path("theirs.avro")).unwrap();
        let mut reader = Reader::new(&theirs).unwrap();
        assert_eq!(reader.codec(), codec);
        let written = reader.schema().clone();
        let mut count = 0;
        while let Some(datum) = reader.next().unwrap() {
            assert_eq!(avro_wire::decode::<Tree>(datum, &written).unwrap(), rows[count]);
            count += 1;
        }
        assert_eq!(count, rows.len());
    }
}

#[test]
fn fastavro_reads_our_json_and_writes_the_same() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (schema, rows) = (Schema::parse(SCHEMA).unwrap(), rows());
    let mut lines = Vec::new();
    for row in &rows {
        let mut datum = Vec::new();
        avro_wire::encode(row, &schema, &mut datum).unwrap();
        json::encode(&datum, &schema, Form::Avro, &mut lines).unwrap();
        lines.push(b'\n');
    }
    fs::write(path("rows.avro"), container(&schema, &rows, Codec::Null)).unwrap();
    fs::write(path("rows.json"), lines).unwrap();
    let output = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/json_peer.py"))
        .args([path("rows.avro"), path("rows.json")])
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message:.2000}");
}
