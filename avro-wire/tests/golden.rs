//! Messages of Debezium through Confluent's Avro converter, decoded, compared with the JSON
//! payload of the same record, and encoded to the same bytes again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]
#![allow(clippy::print_stdout, reason = "one line a scenario")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use avro_wire::json::{self, Form};
use avro_wire::logical::{Date, Decimal, Time, Timestamp};
use avro_wire::{Error, Framing, Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use serde_json::value::RawValue;
use support::{Tree, from_hex};

#[derive(serde::Deserialize)]
struct SchemaLine<'a> {
    id: String,
    avro_id: Option<u32>,
    #[serde(borrow)]
    avro: Option<&'a RawValue>,
    #[serde(borrow)]
    avro_enhanced: Option<&'a RawValue>,
    #[serde(borrow)]
    avro_no_meta: Option<&'a RawValue>,
}

#[derive(Clone)]
struct Message {
    schema: Schema,
    id: u32,
    bytes: Vec<u8>,
    payload: Value,
}

fn scenarios() -> Vec<PathBuf> {
    let root = std::env::var("VECTORS_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/debezium").to_owned());
    let mut found: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("schemas.jsonl").is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no scenario");
    found
}

/// The messages of a scenario, and how many schemas it has.
fn load(scenario: &Path) -> (Vec<Message>, usize) {
    let text = fs::read_to_string(scenario.join("schemas.jsonl")).unwrap();
    let mut schemas = HashMap::new();
    let mut parsed = 0;
    for line in text.lines() {
        let line: SchemaLine<'_> = serde_json::from_str(line).unwrap();
        let main = line.avro.map(|text| text.get());
        for text in [line.avro, line.avro_enhanced, line.avro_no_meta].into_iter().flatten() {
            let schema = Schema::parse(text.get())
                .unwrap_or_else(|error| panic!("{}: {error}\n{text}", line.id));
            assert_eq!(schema.as_str(), text.get());
            // The canonical form has no way to leave a namespace for the null namespace.
            if !text.get().contains(r#""namespace":"""#) {
                let again = Schema::parse(&schema.canonical_form()).unwrap();
                assert_eq!(again.fingerprint(), schema.fingerprint());
            }
            parsed += 1;
            if Some(text.get()) == main {
                schemas.insert(line.id.clone(), (schema, line.avro_id.unwrap()));
            }
        }
    }
    let mut messages = Vec::new();
    for line in fs::read_to_string(scenario.join("records.jsonl")).unwrap().lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        for side in ["key", "value"] {
            let Some(hex) = record[format!("{side}_avro_hex")].as_str().map(from_hex) else {
                continue;
            };
            let (schema, id) = schemas[record[format!("{side}_schema")].as_str().unwrap()].clone();
            messages.push(Message { schema, id, bytes: hex, payload: record[side].take() });
        }
    }
    (messages, parsed)
}

fn datum(message: &Message) -> &[u8] {
    let frame = Framing::CONFLUENT.split(&message.bytes).unwrap();
    assert_eq!(frame.schema, SchemaRef::Id(message.id));
    frame.datum
}

/// Whether `tree` is what Connect's JSON writes as `json`.
#[allow(clippy::cast_possible_truncation, reason = "JSON text of a float is rounded to a float")]
fn same(tree: &Tree, json: &Value) -> bool {
    let special = |value: f64, text: &str| match text {
        "NaN" => value.is_nan(),
        "Infinity" => value == f64::INFINITY,
        "-Infinity" => value == f64::NEG_INFINITY,
        _ => false,
    };
    match (tree, json) {
        (Tree::Null, Value::Null) => true,
        (Tree::Boolean(a), Value::Bool(b)) => a == b,
        (Tree::Int(a), Value::Number(b)) => Some(i64::from(*a)) == b.as_i64(),
        (Tree::Long(a), Value::Number(b)) => Some(*a) == b.as_i64(),
        (Tree::Float(a), Value::Number(b)) => *a == b.as_f64().unwrap() as f32,
        (Tree::Double(a), Value::Number(b)) => *a == b.as_f64().unwrap(),
        (Tree::Float(a), Value::String(b)) => special((*a).into(), b),
        (Tree::Double(a), Value::String(b)) => special(*a, b),
        (Tree::Bytes(a), Value::String(b)) => BASE64.encode(a) == *b,
        (Tree::String(a), Value::String(b)) => a == b,
        (Tree::List(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Tree::Map(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|json| same(a, json)))
        }
        _ => false,
    }
}

/// `serde_json::Value` has neither bytes nor NaN and the infinities.
fn fits_json(tree: &Tree) -> bool {
    match tree {
        Tree::Bytes(_) => false,
        Tree::Float(value) => value.is_finite(),
        Tree::Double(value) => value.is_finite(),
        Tree::List(items) => items.iter().all(fits_json),
        Tree::Map(entries) => entries.iter().all(|(_, item)| fits_json(item)),
        _ => true,
    }
}

#[test]
fn golden_messages_decode_to_their_payload_and_encode_to_the_same_bytes() {
    for scenario in scenarios() {
        let (messages, schemas) = load(&scenario);
        let mut out = Vec::new();
        for message in &messages {
            let datum = datum(message);
            let tree: Tree = avro_wire::decode(datum, &message.schema).unwrap();
            assert!(same(&tree, &message.payload), "{tree:?}\n{}", message.payload);
            assert_eq!(message.schema.skip(datum).unwrap(), datum.len());

            out.clear();
            Framing::CONFLUENT.write_header(SchemaRef::Id(message.id), &mut out).unwrap();
            avro_wire::encode(&tree, &message.schema, &mut out).unwrap();
            assert_eq!(out, message.bytes);

            if fits_json(&tree) {
                // Its maps are sorted, so this also puts the fields back into order.
                let json: Value = avro_wire::decode(datum, &message.schema).unwrap();
                out.truncate(5);
                avro_wire::encode(&json, &message.schema, &mut out).unwrap();
                let again: Tree = avro_wire::decode(&out[5..], &message.schema).unwrap();
                assert!(same(&again, &message.payload), "{json}");
            }
        }
        assert!(!messages.is_empty());
        let name = scenario.file_name().unwrap().display();
        println!("{name}: {schemas} schemas, {} messages: ok", messages.len());
    }
}

/// Whether `plain` shows what Connect's JSON writes as `json`, which has decimals in Base64, and
/// dates and times as numbers.
#[allow(clippy::cast_possible_truncation, reason = "JSON text of a float is rounded to a float")]
fn shows(plain: &Value, json: &Value) -> bool {
    match (plain, json) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| shows(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| shows(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a != b => {
            a.as_f64().map(|a| a as f32) == b.as_f64().map(|b| b as f32)
        }
        (Value::String(a), Value::Number(b)) => {
            let number = b.as_i64();
            if let Ok(date) = a.parse::<Date>() {
                Some(i64::from(date.to_days())) == number
            } else if let Ok(time) = a.parse::<Time>() {
                [time.to_micros(), time.to_millis().into()].map(Some).contains(&number)
            } else {
                let moment: Timestamp = a.parse().unwrap();
                [moment.to_millis(), moment.to_micros()].contains(&number)
            }
        }
        (Value::String(a), Value::String(b)) if a != b => {
            let decimal: Decimal<'_> = a.parse().unwrap();
            decimal == Decimal::new(&BASE64.decode(b).unwrap(), decimal.scale())
        }
        _ => plain == json,
    }
}

/// Changes one scalar of `json`, the one at `position`; `None` when there are not so many.
fn tampered(json: &Value, position: &mut usize) -> Option<Value> {
    match json {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(other) = tampered(item, position) {
                    let mut items = items.clone();
                    items[index] = other;
                    return Some(items.into());
                }
            }
            None
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                if let Some(other) = tampered(item, position) {
                    let mut entries = entries.clone();
                    entries[key] = other;
                    return Some(entries.into());
                }
            }
            None
        }
        _ if *position > 0 => {
            *position -= 1;
            None
        }
        Value::Null => Some(0.into()),
        Value::Bool(value) => Some((!value).into()),
        Value::Number(number) => Some(match number.as_i64() {
            Some(number) => (number ^ 1).into(),
            None => (number.as_f64().unwrap() * 1.01 + 1.0).into(),
        }),
        Value::String(text) => Some(format!("{text}x").into()),
    }
}

#[test]
fn a_payload_that_differs_in_one_scalar_or_field_is_noticed() {
    let (messages, _) = load(&scenarios()[0]);
    let mut changed = 0;
    for message in &messages {
        let tree: Tree = avro_wire::decode(datum(message), &message.schema).unwrap();
        for position in 0.. {
            let Some(other) = tampered(&message.payload, &mut { position }) else { break };
            assert!(!same(&tree, &other), "{other}");
            changed += 1;
        }
        let mut more = message.payload.clone();
        more["one more"] = Value::Null;
        assert!(!same(&tree, &more));
        let mut fewer = message.payload.clone();
        let first = fewer.as_object().unwrap().keys().next().unwrap().clone();
        fewer.as_object_mut().unwrap().remove(&first);
        assert!(!same(&tree, &fewer));
    }
    assert!(changed > messages.len(), "{changed}");
}

#[test]
fn golden_messages_as_plain_json_show_their_payload() {
    for scenario in scenarios() {
        for message in load(&scenario).0 {
            let plain = json::to_string(datum(&message), &message.schema, Form::Plain).unwrap();
            let plain: Value = serde_json::from_str(&plain).unwrap();
            assert!(shows(&plain, &message.payload), "{plain}\n{}", message.payload);
            let avro = json::to_string(datum(&message), &message.schema, Form::Avro).unwrap();
            serde_json::from_str::<Value>(&avro).unwrap();
        }
    }
}

#[test]
fn a_field_is_read_without_the_rest() {
    let (messages, _) = load(&scenarios()[0]);
    let mut read = 0;
    for message in messages {
        let Some(reader) = message.schema.field_reader("source.schema") else { continue };
        let expected = message.payload["source"]["schema"].as_str().unwrap();
        let found = reader.read(datum(&message)).unwrap();
        assert_eq!(found, avro_wire::Scalar::String(expected));
        let op = message.schema.field_reader("op").unwrap();
        let expected = message.payload["op"].as_str().unwrap();
        assert_eq!(op.read(datum(&message)).unwrap(), avro_wire::Scalar::String(expected));
        read += 1;
    }
    assert!(read > 0);
}

#[test]
fn cut_and_damaged_messages_give_errors_or_values_but_never_panic() {
    for scenario in scenarios() {
        let (messages, _) = load(&scenario);
        // One message of each schema, as the messages of one schema are much alike.
        let mut seen = Vec::new();
        for message in messages {
            if seen.contains(&message.schema.fingerprint()) {
                continue;
            }
            seen.push(message.schema.fingerprint());
            let whole = datum(&message);
            // Every place for all but the few very long ones.
            for end in (0..whole.len()).step_by(1 + whole.len() / 4096) {
                let error: Error =
                    avro_wire::decode::<Tree>(&whole[..end], &message.schema).unwrap_err();
                assert!(error.kind().is_data(), "{error}");
                assert!(error.offset().unwrap() <= end);
                assert!(message.schema.skip(&whole[..end]).is_err());
            }
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            let mut damaged = whole.to_vec();
            for round in 0..400 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let position = usize::try_from(random >> 32).unwrap() % whole.len();
                damaged[position] = random.to_le_bytes()[round % 4];
                if let Ok(tree) = avro_wire::decode::<Tree>(&damaged, &message.schema) {
                    let mut out = Vec::new();
                    avro_wire::encode(&tree, &message.schema, &mut out).unwrap();
                }
                let _ = message.schema.skip(&damaged);
                if round % 3 == 0 {
                    damaged.copy_from_slice(whole);
                }
            }
        }
    }
}
