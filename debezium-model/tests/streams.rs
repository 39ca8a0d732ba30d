//! Records that belong to no table, against those of Debezium itself; `testdata/README.md` tells
//! how they were made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]
#![cfg(feature = "avro")]

use std::collections::HashMap;

use debezium_model::{
    ConnectSchema, ErrorKind, EventStream, Heartbeat, HeartbeatKey, JsonWriter, Mapping,
    MessageEvent, MessageKey, Notification, NotificationKey, SchemaIds, Scratch, SourceBlock,
    TransactionBlock, TransactionBound, TransactionEvent, TransactionKey, from_json,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    kind: String,
    topic: String,
    properties: HashMap<String, String>,
    key: String,
    value: String,
    key_json: String,
    value_json: String,
    key_avro: Option<String>,
    value_avro: Option<String>,
    key_connect: Option<String>,
    value_connect: Option<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn encode(stream: &EventStream, golden: &Golden) -> (String, String) {
    let json: Value = serde_json::from_str(&golden.value_json).unwrap();
    let id = |hex: &str| u32::from_str_radix(&hex[2..10], 16).unwrap();
    let ids = SchemaIds::new(Some(id(&golden.key)), id(&golden.value));
    let mut scratch = Scratch::new();
    let number = |value: &Value| value.as_i64().unwrap();
    let (key, value) = match golden.kind.as_str() {
        "heartbeat" => stream.heartbeat(number(&json["ts_ms"]), ids, &mut scratch),
        "transaction" => {
            let tables: Option<Vec<(&str, i64)>> =
                json["data_collections"].as_array().map(|list| {
                    // In another order than Debezium's, which has to come back.
                    list.iter()
                        .rev()
                        .map(|item| {
                            (
                                item["data_collection"].as_str().unwrap(),
                                number(&item["event_count"]),
                            )
                        })
                        .collect()
                });
            let bound = match &tables {
                Some(tables) => TransactionBound::End(tables),
                None => TransactionBound::Begin,
            };
            let id = json["id"].as_str().unwrap();
            stream.transaction(bound, id, number(&json["ts_ms"]), ids, &mut scratch)
        }
        "notification" => {
            let of = |name: &str| json[name].as_str().unwrap();
            // By name, and the connector's, which is added last, at the end.
            let data = json["additional_data"].as_object().unwrap();
            let mut data: Vec<(&str, &str)> =
                data.iter().map(|(name, text)| (name.as_str(), text.as_str().unwrap())).collect();
            data.sort_by_key(|(name, _)| (*name == "connector_name", *name));
            let at = number(&json["timestamp"]);
            let (kind, aggregate) = (of("type"), of("aggregate_type"));
            let notification = Notification::new(of("id"), kind, aggregate, Some(data), at);
            stream.notification(&notification, ids, &mut scratch)
        }
        _ => {
            let from = &json["source"];
            let lsn = number(&from["lsn"]).cast_unsigned();
            let mut source = SourceBlock::new("golden", lsn, number(&from["ts_us"]));
            source.tx_id = from["txId"].as_u64().map(|id| id.try_into().unwrap());
            let sequence: [Option<String>; 2] =
                serde_json::from_str(from["sequence"].as_str().unwrap()).unwrap();
            source.last_commit_lsn = sequence[0].as_ref().map(|lsn| lsn.parse().unwrap());
            source.processed_ns = number(&json["ts_ms"]) * 1_000_000;
            let place = &json["transaction"];
            if place.is_object() {
                source.transaction = Some(TransactionBlock::new(
                    place["id"].as_str().unwrap(),
                    number(&place["total_order"]),
                    number(&place["data_collection_order"]),
                ));
            }
            let message = &json["message"];
            let content = base64_decode(message["content"].as_str().unwrap());
            let prefix = message["prefix"].as_str().unwrap();
            stream.message(prefix, &content, &source, ids, &mut scratch)
        }
    }
    .unwrap();
    (hex(key), hex(value))
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// Through the consumer's type and back to the same text, from JSON and from Avro.
fn read_back(stream: &EventStream, golden: &Golden) {
    fn check<T: DeserializeOwned + Serialize>(text: &str, schema: &ConnectSchema, hex: &str) {
        let whole: Value = serde_json::from_str(text).unwrap();
        let event: T = from_json(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), whole);
        let schema = avro_wire::Schema::parse(&schema.to_avro()).unwrap();
        let bytes = unhex(&hex[10..]);
        let event: T = avro_wire::decode(&bytes, &schema).unwrap();
        let mut again = Vec::new();
        avro_wire::encode(&event, &schema, &mut again).unwrap();
        assert_eq!(again, bytes);
    }
    let key = (golden.key_json.as_str(), stream.key_schema(), golden.key.as_str());
    let value = (golden.value_json.as_str(), stream.value_schema(), golden.value.as_str());
    match golden.kind.as_str() {
        "heartbeat" => {
            check::<HeartbeatKey>(key.0, key.1, key.2);
            check::<Heartbeat>(value.0, value.1, value.2);
        }
        "transaction" => {
            check::<TransactionKey>(key.0, key.1, key.2);
            check::<TransactionEvent>(value.0, value.1, value.2);
        }
        "notification" => {
            check::<NotificationKey>(key.0, key.1, key.2);
            let event: Notification = from_json(value.0.as_bytes()).unwrap();
            let whole: Value = serde_json::from_str(value.0).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), whole);
        }
        _ => {
            check::<MessageKey>(key.0, key.1, key.2);
            let event: MessageEvent = from_json(value.0.as_bytes()).unwrap();
            let whole: Value = serde_json::from_str(value.0).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), whole);
        }
    }
}

#[test]
fn byte_for_byte() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/streams.json");
    let all: Vec<Golden> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut kinds = HashMap::new();
    for golden in &all {
        let properties =
            golden.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let found = Mapping::from_properties(properties).unwrap();
        let prefix = found.topic_prefix.unwrap();
        let stream = match golden.kind.as_str() {
            "heartbeat" => EventStream::heartbeats(&prefix, &found.mapping),
            "transaction" => EventStream::transactions(&prefix, &found.mapping),
            "notification" => {
                let topic = &golden.properties["notification.sink.topic.name"];
                EventStream::notifications(topic, &prefix, &found.mapping)
            }
            _ => EventStream::messages(&prefix, &found.mapping),
        };
        assert_eq!(stream.topic(), golden.topic);
        let (key, value) = (stream.key_schema(), stream.value_schema());
        for (ours, theirs) in [
            (key.to_avro(), &golden.key_avro),
            (value.to_avro(), &golden.value_avro),
            (key.to_connect_json(), &golden.key_connect),
            (value.to_connect_json(), &golden.value_connect),
        ] {
            assert!(theirs.as_ref().is_none_or(|theirs| *theirs == ours), "{ours}");
        }
        let (key, value) = encode(&stream, golden);
        assert_eq!((&key, &value), (&golden.key, &golden.value), "{}", golden.topic);
        for (schema, hex, expected) in [
            (stream.key_schema(), &golden.key, &golden.key_json),
            (stream.value_schema(), &golden.value, &golden.value_json),
        ] {
            let mut text = Vec::new();
            JsonWriter::new(schema, false).write(&unhex(&hex[10..]), &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            if golden.kind == "notification" {
                // The converters pass the map through hash maps of different sizes.
                let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(parsed(&text), parsed(expected));
            } else {
                assert_eq!(&text, expected);
            }
        }
        read_back(&stream, golden);
        *kinds.entry(golden.kind.as_str()).or_insert(0) += 1;
    }
    assert!(kinds["heartbeat"] >= 3 && kinds["transaction"] >= 10 && kinds["message"] >= 2);
    assert!(kinds["notification"] >= 9);
}

#[test]
fn streams_refuse_what_is_not_theirs() {
    let stream = EventStream::messages("p", &Mapping::default());
    let mut scratch = Scratch::new();
    let error = stream.heartbeat(1, SchemaIds::new(Some(1), 2), &mut scratch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongStream);
    let source = SourceBlock::new("d", 1, 1);
    let ids = SchemaIds::new(None, 2);
    let error = stream.message("p", b"", &source, ids, &mut scratch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingKeyId);
}
