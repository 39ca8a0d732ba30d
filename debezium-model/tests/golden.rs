//! Schemas and records against those of Debezium itself; `testdata/README.md` tells how they were
//! made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]
#![cfg(feature = "avro")]

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use debezium_model::{
    AvroStyle, Before, Change, ColumnDef, ConnectSchema, ConnectType, HeaderValue, JsonWriter,
    Mapping, SchemaIds, Scratch, Snapshot, SourceBlock, Table, TableId, TransactionBlock,
};
use pgoutput::Column;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Scenario {
    properties: Vec<(String, String)>,
    steps: Vec<Step>,
    schemas: Vec<Schema>,
    records: Vec<Golden>,
}

#[derive(Deserialize)]
struct Step {
    tables: HashMap<String, Vec<CatalogColumn>>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct CatalogColumn {
    name: String,
    oid: u32,
    #[serde(rename = "type")]
    type_name: String,
    typmod: i32,
    notnull: bool,
    default: Option<String>,
    key: Option<usize>,
    labels: Option<Vec<String>>,
    element: Option<(u32, String)>,
    base: Option<(u32, String, i32)>,
}

#[derive(Deserialize)]
struct Message {
    op: String,
    table: String,
    before_kind: Option<String>,
    before: Option<Vec<Vec<String>>>,
    after: Option<Vec<Vec<String>>>,
    before_binary: Option<Vec<Vec<String>>>,
    after_binary: Option<Vec<Vec<String>>>,
}

#[derive(Deserialize)]
struct Schema {
    id: String,
    /// None where the converter refuses the schema's names.
    avro: Option<String>,
    /// The text with `connect.meta.data=false`.
    avro_no_meta: Option<String>,
    connect_json: Option<String>,
}

#[derive(Deserialize)]
struct Golden {
    topic: String,
    key_schema: Option<String>,
    value_schema: Option<String>,
    key: Option<String>,
    value: Option<String>,
    source: Option<SourceFacts>,
    ts_ns: Option<i64>,
    transaction: Option<TransactionFacts>,
    flat: Option<HashMap<String, Value>>,
    /// The exact text of Connect's JSON converter.
    key_json: Option<String>,
    value_json: Option<String>,
    /// Present in scenarios with headers, without those about the connector.
    headers: Option<Vec<GoldenHeader>>,
    /// The key as JSON, where headers may refer to it.
    key_value: Option<Value>,
}

#[derive(Deserialize)]
struct GoldenHeader {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct SourceFacts {
    lsn: u64,
    #[serde(rename = "txId")]
    tx_id: u32,
    ts_us: i64,
    sequence: String,
    snapshot: String,
}

#[derive(Deserialize)]
struct TransactionFacts {
    id: String,
    total_order: i64,
    data_collection_order: i64,
}

impl CatalogColumn {
    fn def(&self) -> ColumnDef {
        let mut def =
            ColumnDef::new(&self.name, self.oid, &self.type_name).with_typmod(self.typmod);
        if self.notnull {
            def = def.with_not_null();
        }
        if let Some(default) = &self.default {
            def = def.with_default_expression(default);
        }
        if let Some(position) = self.key {
            def = def.with_key_position(position);
        }
        if let Some(labels) = &self.labels {
            def = def.with_enum_labels(labels);
        }
        if let Some((oid, name)) = &self.element {
            def = def.with_element_type(*oid, name);
        }
        if let Some((oid, name, typmod)) = &self.base {
            def = def.with_base_type(*oid, name, *typmod);
        }
        def
    }
}

impl Golden {
    fn source(&self) -> SourceBlock<'_> {
        let mut block = SourceBlock::new("golden", 0, 0);
        if let Some(facts) = &self.source {
            assert_eq!(facts.snapshot, "false");
            let sequence: [Option<String>; 2] = serde_json::from_str(&facts.sequence).unwrap();
            block = SourceBlock::new("golden", facts.lsn, facts.ts_us);
            block.tx_id = Some(facts.tx_id);
            block.last_commit_lsn = sequence[0].as_ref().map(|lsn| lsn.parse().unwrap());
            block.snapshot = Snapshot::False;
            block.processed_ns = self.ts_ns.unwrap();
        }
        if let Some(t) = &self.transaction {
            let place = TransactionBlock::new(&t.id, t.total_order, t.data_collection_order);
            block.transaction = Some(place);
        }
        if let Some(flat) = &self.flat {
            let number = |name: &str| flat.get(name).and_then(Value::as_i64).unwrap_or(0);
            block.lsn = number("__lsn").try_into().unwrap();
            block.ts_us = number("__source_ts_ms") * 1000;
            block.processed_ns = number("__event_ts") * 1_000_000;
        }
        block
    }

    /// The schema ids the record itself was written with.
    fn ids(&self) -> SchemaIds {
        let id =
            |hex: &Option<String>| hex.as_ref().map(|hex| u32::from_str_radix(&hex[2..10], 16));
        SchemaIds::new(
            Some(id(&self.key).transpose().unwrap().unwrap_or(0)),
            id(&self.value).transpose().unwrap().unwrap_or(0),
        )
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of the columns, to borrow from.
fn bytes(row: &[Vec<String>]) -> Vec<(char, Vec<u8>)> {
    row.iter()
        .map(|column| match column[0].as_str() {
            "t" => ('t', column[1].clone().into_bytes()),
            "b" => ('b', unhex(&column[1])),
            other => (other.chars().next().unwrap(), Vec::new()),
        })
        .collect()
}

fn columns(row: &[(char, Vec<u8>)]) -> Vec<Column<'_>> {
    row.iter()
        .map(|(kind, bytes)| match kind {
            'n' => Column::Null,
            'u' => Column::Unchanged,
            't' => Column::Text(bytes),
            'b' => Column::Binary(bytes),
            other => panic!("column kind {other}"),
        })
        .collect()
}

/// Key and value of a record, and its headers, with keys in them in hexadecimal.
type Encoded = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, String)>);

/// The records a message makes.
fn encode(table: &Table, message: &Message, binary: bool, golden: &Golden) -> Vec<Encoded> {
    let (before, after) = if binary {
        (&message.before_binary, &message.after_binary)
    } else {
        (&message.before, &message.after)
    };
    let mut before = before.as_deref().map(bytes);
    let mut after = after.as_deref().map(bytes);
    if binary {
        // Types without a binary reading are asked for in text.
        let text = [(&mut before, &message.before), (&mut after, &message.after)];
        for (row, text) in text {
            if let (Some(row), Some(text)) = (row, text.as_deref().map(bytes)) {
                for ((column, text), mapped) in row.iter_mut().zip(text).zip(table.columns()) {
                    if !mapped.reads_binary() {
                        *column = text;
                    }
                }
            }
        }
    }
    let before = before.as_deref().map(columns);
    let after = after.as_deref().map(columns);
    let old = before.as_deref().map(|columns| match message.before_kind.as_deref() {
        Some("K") => Before::Key(columns),
        _ => Before::Full(columns),
    });
    let change = match message.op.as_str() {
        "c" => Change::insert(after.as_deref().unwrap()),
        "u" => Change::update(old, after.as_deref().unwrap()),
        "d" => Change::delete(old.unwrap()),
        _ => Change::truncate(),
    };
    let mut records = Vec::new();
    let mut scratch = Scratch::new();
    table
        .plan()
        .encode(&change, &golden.source(), golden.ids(), &mut scratch, &mut |record| {
            let headers = record.headers.iter().map(|header| {
                let value = match header.value {
                    HeaderValue::Text(text) => text.to_owned(),
                    HeaderValue::Long(number) => number.to_string(),
                    HeaderValue::Key(key) => hex(key),
                    _ => "null".to_owned(),
                };
                (header.name.to_owned(), value)
            });
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            records.push((owned(record.key), owned(record.value), headers.collect()));
            ControlFlow::Continue(())
        })
        .unwrap();
    records
}

/// Where two hexadecimal texts part, for messages.
fn difference(a: &str, b: &str) -> String {
    let at = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count() / 2 * 2;
    let cut = |text: &str| text[at..].chars().take(80).collect::<String>();
    format!("at byte {}: {} instead of {}", at / 2, cut(a), cut(b))
}

fn compare_json(message: &[u8], schema: &ConnectSchema, expected: &str, context: &str) {
    let print = |schemas| {
        let mut text = Vec::new();
        JsonWriter::new(schema, schemas).write(&message[5..], &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(print(false), expected, "{context}");
    let text = schema.to_connect_json();
    let whole = format!("{{\"schema\":{text},\"payload\":{expected}}}");
    assert_eq!(print(true), whole, "{context}");
    let other = JsonWriter::new(&ConnectSchema::new(ConnectType::Boolean), false);
    let mut text = b"before".to_vec();
    assert!(other.write(&message[5..], &mut text).is_err());
    assert_eq!(text, b"before");
}

/// A key in a header is that of the other record of the same change, whose bytes are known.
fn compare_headers(
    ours: &[(String, String)],
    theirs: &[GoldenHeader],
    records: &[&Golden],
    context: &str,
) {
    let names = |header: &GoldenHeader| header.key.clone();
    assert_eq!(
        ours.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        theirs.iter().map(names).collect::<Vec<_>>(),
        "{context}"
    );
    for ((name, ours), theirs) in ours.iter().zip(theirs) {
        match &theirs.value {
            Value::String(text) => assert_eq!(ours, text, "{context}, header {name}"),
            key => {
                let same = |record: &&&Golden| record.key_value.as_ref() == Some(key);
                let record = records.iter().find(same).expect("a record with that key");
                assert_eq!(Some(ours), record.key.as_ref(), "{context}, header {name}");
            }
        }
    }
}

/// Compares everything; gives the number of schemas and records compared.
fn run(path: &Path) -> (usize, usize) {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let scenario: Scenario = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let properties = scenario.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let found = Mapping::from_properties(properties).unwrap();
    let prefix = found.topic_prefix.unwrap();
    let schemas: HashMap<&str, &Schema> =
        scenario.schemas.iter().map(|schema| (schema.id.as_str(), schema)).collect();
    let mut golden = scenario.records.iter();
    let mut compared = std::collections::HashSet::new();
    let mut count = 0;
    for message in scenario.steps.iter().flat_map(|step| {
        step.messages.iter().map(move |message| (message, &step.tables[&message.table]))
    }) {
        let (message, catalog) = message;
        let (schema, table) = message.table.split_once('.').unwrap();
        let defs = catalog.iter().map(CatalogColumn::def).collect();
        let table = Table::new(&prefix, TableId::new(schema, table), defs, &found.mapping).unwrap();
        let Some(first) = golden.clone().next() else {
            assert!(encode(&table, message, false, &scenario.records[0]).is_empty());
            continue;
        };
        let records = encode(&table, message, false, first).len();
        for at in 0..records {
            let expected = golden.next().unwrap();
            let context = format!("{name}, {} of {}, record {at}", message.op, message.table);
            assert_eq!(table.topic(), expected.topic, "{context}");
            let value = expected.value_schema.as_deref().and_then(|id| schemas.get(id));
            if let Some(schema) = value {
                let refused = table.check_avro_names().is_err();
                assert_eq!(refused, schema.avro.is_none(), "{context}");
            }
            let sides = [
                (&expected.key_schema, table.key_schema()),
                (&expected.value_schema, Some(table.value_schema())),
            ];
            for (id, schema) in sides {
                let Some(expected) = id.as_deref().and_then(|id| schemas.get(id)) else { continue };
                let schema = schema.unwrap();
                if let Some(avro) = &expected.avro {
                    assert_eq!(&schema.to_avro(), avro, "{context}");
                }
                if let Some(avro) = &expected.avro_no_meta {
                    let ours = schema.to_avro_style(AvroStyle::WithoutMetadata);
                    assert_eq!(&ours, avro, "{context}");
                }
                if let Some(json) = &expected.connect_json {
                    assert_eq!(&schema.to_connect_json(), json, "{context}");
                }
                compared.insert(&expected.id);
            }
            for binary in [false, true] {
                let context = format!("{context}, binary {binary}");
                let (key, value, headers) =
                    encode(&table, message, binary, expected).swap_remove(at);
                if let Some(expected) = &expected.headers {
                    let all: Vec<_> = scenario.records.iter().collect();
                    compare_headers(&headers, expected, &all, &context);
                }
                let json = [
                    (&key, table.key_schema(), &expected.key_json),
                    (&value, Some(table.value_schema()), &expected.value_json),
                ];
                for (ours, schema, theirs) in json {
                    if let (Some(ours), Some(schema), Some(theirs)) = (ours, schema, theirs) {
                        compare_json(ours, schema, theirs, &context);
                    }
                }
                let sides = [
                    (key, &expected.key, &expected.key_schema),
                    (value, &expected.value, &expected.value_schema),
                ];
                for (ours, theirs, id) in sides {
                    let refused = id.as_deref().and_then(|id| schemas.get(id));
                    if refused.is_some_and(|schema| schema.avro.is_none()) {
                        continue;
                    }
                    let ours = ours.as_deref().map(hex);
                    if &ours != theirs {
                        let (ours, theirs) =
                            (ours.unwrap_or_default(), theirs.clone().unwrap_or_default());
                        panic!("{context}: {}", difference(&ours, &theirs));
                    }
                }
            }
            count += 1;
        }
    }
    assert!(golden.next().is_none(), "{name}: records are missing");
    (compared.len(), count)
}

#[test]
fn every_scenario_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut total = (0, 0);
    let mut failures = Vec::new();
    for path in &paths {
        match std::panic::catch_unwind(|| run(path)) {
            Ok((schemas, records)) => total = (total.0 + schemas, total.1 + records),
            Err(_) => failures.push(path.file_stem().unwrap().to_owned()),
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
    assert!(total.0 >= 131 && total.1 >= 375, "only {total:?} schemas and records compared");
}
