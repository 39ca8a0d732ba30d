//! Every message that Debezium wrote, read into the consumer types and written back: the same text,
//! with and without its schema, and the same bytes.
//!
//! Over `testdata`; `VECTORS_DIR=<folder>` takes the scenario folders of another place as well,
//! each with the `records.jsonl` and `schemas.jsonl` of a run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of a test"
)]
#![cfg(feature = "avro")]

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use debezium_model::{
    Envelope, Flattened, Heartbeat, HeartbeatKey, MessageEvent, MessageKey, Notification,
    NotificationKey, Op, TableEvent, TransactionEvent, TransactionKey, WithSchema, from_json,
};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A row in JSON: the columns in their order, each as it stands there.
#[derive(Debug)]
struct Columns(Vec<(String, Box<RawValue>)>);

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Row)
    }
}

/// A row in Avro, whatever its columns are.
#[derive(Debug, PartialEq)]
enum Tree {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Record(Vec<(String, Self)>),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i32(*value),
            Self::Long(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f32(*value),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(items) => items.serialize(serializer),
            Self::Record(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

macro_rules! visits {
    ($($method:ident($type:ty) => $variant:ident)*) => {
        $(
            fn $method<E>(self, value: $type) -> Result<Tree, E> {
                Ok(Tree::$variant(value.to_owned()))
            }
        )*
    };
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            visits! {
                visit_bool(bool) => Boolean
                visit_i32(i32) => Int
                visit_i64(i64) => Long
                visit_f32(f32) => Float
                visit_f64(f64) => Double
                visit_str(&str) => Text
                visit_bytes(&[u8]) => Bytes
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Tree::Record(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A key or a value, as far as it is there.
#[derive(Default)]
struct Side {
    /// Name of the schema, which says what is in it.
    name: String,
    /// Texts of the schema for the two converters.
    connect: Option<String>,
    avro: Option<String>,
    json: Option<String>,
    datum: Option<Vec<u8>>,
}

/// How many of each kind went both ways.
type Counts = BTreeMap<&'static str, usize>;

impl Side {
    fn check(&self, context: &str, counts: &mut Counts) {
        let (_, kind) = self.name.rsplit_once('.').unwrap_or_default();
        let common = self.name.starts_with("io.debezium.connector.");
        match kind {
            "Envelope" => {
                self.text::<Envelope<Columns>>(context, counts, "envelopes in JSON");
                self.bytes::<Envelope<Tree>>(context, counts, "envelopes in Avro");
                self.event(context);
            }
            "Value" => {
                self.text::<Flattened<Columns>>(context, counts, "flattened rows in JSON");
                self.bytes::<Flattened<Tree>>(context, counts, "flattened rows in Avro");
            }
            "MessageValue" if common => self.both::<MessageEvent>(context, counts, "messages"),
            "MessageKey" if common => self.both::<MessageKey>(context, counts, "message keys"),
            "TransactionMetadataValue" if common => {
                self.both::<TransactionEvent>(context, counts, "transactions");
            }
            "TransactionMetadataKey" if common => {
                self.both::<TransactionKey>(context, counts, "transaction keys");
            }
            "Heartbeat" if common => self.both::<Heartbeat>(context, counts, "heartbeats"),
            "ServerNameKey" if common => {
                self.both::<HeartbeatKey>(context, counts, "heartbeat keys");
            }
            "Notification" if common => {
                // Maps keep the order of the record here.
                self.text::<Notification<Columns>>(context, counts, "notifications");
                self.bytes::<Notification<Tree>>(context, counts, "notifications");
            }
            "NotificationKey" if common => {
                self.both::<NotificationKey>(context, counts, "notification keys");
            }
            // An outbox's event and key are of its own kind, and so is a key of a table.
            _ => {
                let bare = self.json.as_ref().is_some_and(|json| !json.starts_with('{'));
                if bare {
                    self.text::<Box<RawValue>>(context, counts, "keys and events in JSON");
                } else {
                    self.text::<Columns>(context, counts, "keys and events in JSON");
                }
                self.bytes::<Tree>(context, counts, "keys and events in Avro");
            }
        }
    }

    fn both<T>(&self, context: &str, counts: &mut Counts, kind: &'static str)
    where
        T: Serialize + DeserializeOwned,
    {
        self.text::<T>(context, counts, kind);
        self.bytes::<T>(context, counts, kind);
    }

    fn text<T>(&self, context: &str, counts: &mut Counts, kind: &'static str)
    where
        T: Serialize + DeserializeOwned,
    {
        let Some(json) = &self.json else { return };
        let read: T = from_json(json.as_bytes()).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        assert_eq!(&serde_json::to_string(&read).unwrap(), json, "{context}");
        *counts.entry(kind).or_default() += 1;
        let Some(connect) = &self.connect else { return };
        let whole = format!("{{\"schema\":{connect},\"payload\":{json}}}");
        let read: T = from_json(whole.as_bytes()).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        assert_eq!(&serde_json::to_string(&read).unwrap(), json, "{context}");
        let read: WithSchema<T, Box<RawValue>> = serde_json::from_str(&whole).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), whole, "{context}");
        *counts.entry("with their schema").or_default() += 1;
    }

    fn bytes<T>(&self, context: &str, counts: &mut Counts, kind: &'static str)
    where
        T: Serialize + DeserializeOwned,
    {
        let (Some(avro), Some(datum)) = (&self.avro, &self.datum) else { return };
        let schema = avro_wire::Schema::parse(avro).unwrap();
        let read: T =
            avro_wire::decode(datum, &schema).unwrap_or_else(|e| panic!("{context}: {e}"));
        let mut written = Vec::new();
        avro_wire::encode(&read, &schema, &mut written)
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(&written, datum, "{context}");
        *counts.entry(kind).or_default() += 1;
    }

    /// The event again by the way of [`TableEvent`].
    fn event(&self, context: &str) {
        let Some(json) = &self.json else { return };
        let event = TableEvent::<Columns>::from_json(Some(json.as_bytes())).unwrap();
        let envelope = event.envelope().unwrap();
        assert_eq!(&serde_json::to_string(envelope).unwrap(), json, "{context}");
        let truncated = matches!(event, TableEvent::Truncated(_));
        assert_eq!(truncated, envelope.op == Op::Truncate, "{context}");
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What follows the schema id.
fn datum(hex: Option<&str>) -> Option<Vec<u8>> {
    hex.map(|hex| unhex(&hex[10..]))
}

/// The name of a Connect schema, or of an Avro one, where those have the same.
fn schema_name(connect: Option<&str>, avro: Option<&str>) -> String {
    let parse = |text: Option<&str>| {
        text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
            .unwrap_or_default()
    };
    let (connect, avro) = (parse(connect), parse(avro));
    let name = connect.get("name").or_else(|| avro.get("connect.name"));
    name.and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn own_testdata() {
    #[derive(Deserialize)]
    struct Scenario {
        schemas: Vec<Schema>,
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    struct Schema {
        id: String,
        avro: Option<String>,
        connect_json: Option<String>,
    }
    #[derive(Deserialize)]
    struct Record {
        key_schema: Option<String>,
        value_schema: Option<String>,
        key: Option<String>,
        value: Option<String>,
        key_json: Option<String>,
        value_json: Option<String>,
    }
    #[derive(Deserialize)]
    struct Stream {
        kind: String,
        key: String,
        value: String,
        key_json: String,
        value_json: String,
        key_avro: Option<String>,
        value_avro: Option<String>,
        key_connect: Option<String>,
        value_connect: Option<String>,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut counts = Counts::new();
    for path in files(&folder.join("scenarios")) {
        let scenario: Scenario =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (at, record) in scenario.records.iter().enumerate() {
            let context = format!("{}, record {at}", path.display());
            let side = |id: &Option<String>, hex: &Option<String>, json: &Option<String>| {
                let schema = scenario.schemas.iter().find(|schema| Some(&schema.id) == id.as_ref());
                let Some(schema) = schema else { return Side::default() };
                let (connect, avro) = (schema.connect_json.clone(), schema.avro.clone());
                let name = schema_name(connect.as_deref(), avro.as_deref());
                let json = json.clone().filter(|json| json != "null");
                Side { name, connect, avro, json, datum: datum(hex.as_deref()) }
            };
            side(&record.key_schema, &record.key, &record.key_json).check(&context, &mut counts);
            side(&record.value_schema, &record.value, &record.value_json)
                .check(&context, &mut counts);
        }
    }
    let streams = std::fs::read_to_string(folder.join("streams.json")).unwrap();
    let streams: Vec<Stream> = serde_json::from_str(&streams).unwrap();
    // Each kind has one schema, which stands with the first record of the kind.
    let mut schemas = BTreeMap::<String, [(Option<String>, Option<String>); 2]>::new();
    for (at, stream) in streams.into_iter().enumerate() {
        let context = format!("streams.json, record {at}");
        let known = schemas.entry(stream.kind).or_insert([
            (stream.key_connect, stream.key_avro),
            (stream.value_connect, stream.value_avro),
        ]);
        let texts = [(stream.key, stream.key_json), (stream.value, stream.value_json)];
        for ((connect, avro), (hex, json)) in known.clone().into_iter().zip(texts) {
            let name = schema_name(connect.as_deref(), avro.as_deref());
            assert!(!name.is_empty(), "{context}");
            let side = Side { name, connect, avro, json: Some(json), datum: datum(Some(&hex)) };
            side.check(&context, &mut counts);
        }
    }
    assert!(counts["envelopes in Avro"] >= 250, "{counts:?}");
    assert!(counts["envelopes in JSON"] >= 10, "{counts:?}");
    assert!(counts["flattened rows in Avro"] >= 10, "{counts:?}");
    assert!(counts["transactions"] >= 10 && counts["messages"] >= 4, "{counts:?}");
}

/// A record and its schemas as the scenario folders have them.
mod vectors {
    use super::{Counts, Path, Side, datum, files, schema_name};
    use serde::Deserialize;
    use serde_json::value::RawValue;

    #[derive(Deserialize)]
    struct Schema {
        id: String,
        avro: Option<Box<RawValue>>,
        connect_json: Option<Box<RawValue>>,
    }

    #[derive(Deserialize)]
    struct Record {
        key_schema: Option<String>,
        value_schema: Option<String>,
        key: Option<Box<RawValue>>,
        value: Option<Box<RawValue>>,
        key_avro_hex: Option<String>,
        value_avro_hex: Option<String>,
    }

    fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks the scenarios of a folder; gives the number of records.
    pub(super) fn check(folder: &Path, counts: &mut Counts) -> usize {
        let mut records = 0;
        for scenario in files(folder) {
            if !scenario.join("records.jsonl").is_file() {
                continue;
            }
            let schemas: Vec<Schema> = lines(&scenario.join("schemas.jsonl"));
            let side = |id: &Option<String>, json: &Option<Box<RawValue>>, hex: &Option<String>| {
                let schema = schemas.iter().find(|schema| Some(&schema.id) == id.as_ref());
                let text =
                    |raw: &Option<Box<RawValue>>| raw.as_ref().map(|raw| raw.get().to_owned());
                let (connect, avro) = schema.map_or((None, None), |schema| {
                    (text(&schema.connect_json), text(&schema.avro))
                });
                let name = schema_name(connect.as_deref(), avro.as_deref());
                let json = text(json).filter(|json| json != "null");
                Side { name, connect, avro, json, datum: datum(hex.as_deref()) }
            };
            for (at, record) in lines::<Record>(&scenario.join("records.jsonl")).iter().enumerate()
            {
                let context = format!("{}, record {at}", scenario.display());
                let key = side(&record.key_schema, &record.key, &record.key_avro_hex);
                key.check(&context, counts);
                if record.value.is_none() {
                    let tombstone = debezium_model::TableEvent::<super::Columns>::from_json(None);
                    assert!(tombstone.unwrap().envelope().is_none(), "{context}");
                    *counts.entry("tombstones").or_default() += 1;
                }
                let value = side(&record.value_schema, &record.value, &record.value_avro_hex);
                value.check(&context, counts);
                records += 1;
            }
        }
        records
    }
}

#[test]
fn vectors_of_another_folder() {
    // Nothing to do without: the folder is not part of the crate.
    let Some(folder) = std::env::var_os("VECTORS_DIR") else { return };
    let mut counts = Counts::new();
    let records = vectors::check(Path::new(&folder), &mut counts);
    assert!(records > 0, "{} holds no scenario", Path::new(&folder).display());
    println!("{records} records: {counts:?}");
}
