//! A scenario as it lies in its folder.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::value::RawValue;

/// The table that says how far the source has come: a row is added after each script.
pub(crate) const MARKER: &str = "zz_marker";

pub(crate) struct Scenario {
    /// Text of `connector.properties`.
    pub(crate) properties: String,
    pub(crate) setup: String,
    pub(crate) streams: Vec<String>,
    /// How long Debezium was left running after each script, and after the last one.
    pub(crate) phase: Duration,
    pub(crate) settle: Duration,
    pub(crate) records: Vec<Golden>,
    pub(crate) schemas: HashMap<String, GoldenSchema>,
}

/// A record as Debezium emitted it.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) topic: String,
    #[serde(default)]
    pub(crate) headers: Vec<GoldenHeader>,
    key_schema: Option<String>,
    value_schema: Option<String>,
    value: Option<Box<RawValue>>,
    key_avro_hex: Option<String>,
    value_avro_hex: Option<String>,
    key_avro_error: Option<String>,
    value_avro_error: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct GoldenHeader {
    pub(crate) key: String,
    pub(crate) value: serde_json::Value,
}

#[derive(Deserialize)]
pub(crate) struct GoldenSchema {
    id: String,
    /// The registered text, character by character.
    avro: Option<Box<RawValue>>,
}

/// Key or value of a record.
pub(crate) enum Expected<'s> {
    /// Nothing: no key, or a tombstone.
    Nothing,
    /// A datum with the text of its schema.
    Datum { schema: &'s str, bytes: Vec<u8> },
    /// Debezium's converter could not write it.
    Unknown { why: &'s str },
}

impl Scenario {
    /// The scenarios in a folder, in the order of their names.
    pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("records.jsonl").is_file())
            .collect();
        folders.sort();
        folders
    }

    pub(crate) fn read(folder: &Path) -> Self {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
        };
        let streams = (1..)
            .map(|n| format!("stream{n}.sql"))
            .take_while(|name| folder.join(name).is_file())
            .map(|name| text(&name))
            .collect();
        let schemas: Vec<GoldenSchema> = lines(&text("schemas.jsonl"));
        let waits = fs::read_to_string(folder.join("harness.properties")).unwrap_or_default();
        let wait = |key| {
            let millis = waits.lines().find_map(|line| line.trim().strip_prefix(key));
            Duration::from_millis(millis.map_or(0, |millis| millis.parse().unwrap()))
        };
        Self {
            phase: wait("phase.ms="),
            settle: wait("settle.ms="),
            properties: text("connector.properties"),
            setup: text("setup.sql"),
            streams,
            records: lines(&text("records.jsonl")),
            schemas: schemas.into_iter().map(|schema| (schema.id.clone(), schema)).collect(),
        }
    }

    /// The properties by key, without the comments.
    pub(crate) fn options(&self) -> BTreeMap<&str, &str> {
        self.properties
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect()
    }

    /// Whether the SQL calls one of these functions, whose results no two runs share.
    pub(crate) fn calls(&self, functions: &[&str]) -> bool {
        let mut scripts = std::iter::once(&self.setup).chain(&self.streams);
        scripts.any(|script| {
            let script = script.to_lowercase();
            functions.iter().any(|function| script.contains(function))
        })
    }

    /// Whether Debezium's converter failed at a schema, for the names in it.
    pub(crate) fn cannot_be_registered(&self) -> bool {
        let mut records = self.records.iter();
        records.any(|record| matches!(self.value(record), Expected::Unknown { .. }))
    }

    pub(crate) fn key<'s>(&'s self, record: &'s Golden) -> Expected<'s> {
        let Golden { key_schema, key_avro_hex, key_avro_error, .. } = record;
        self.expected(key_schema.as_deref(), key_avro_hex.as_deref(), key_avro_error.as_deref())
    }

    pub(crate) fn value<'s>(&'s self, record: &'s Golden) -> Expected<'s> {
        let Golden { value_schema, value_avro_hex, value_avro_error, .. } = record;
        // A null that still names a schema is a tombstone to everybody but the converter.
        if record.value.as_ref().is_none_or(|value| value.get() == "null") {
            return Expected::Nothing;
        }
        let (schema, hex) = (value_schema.as_deref(), value_avro_hex.as_deref());
        self.expected(schema, hex, value_avro_error.as_deref())
    }

    fn expected<'s>(
        &'s self,
        schema: Option<&str>,
        hex: Option<&str>,
        error: Option<&'s str>,
    ) -> Expected<'s> {
        match (hex, error) {
            (Some(hex), _) => {
                let schema = &self.schemas[schema.expect("a datum has a schema")];
                let schema = schema.avro.as_deref().expect("a schema in use has a text").get();
                // Without the five bytes of the frame: the id is another registry's.
                Expected::Datum { schema, bytes: unhex(&hex[10..]) }
            }
            (None, Some(why)) => Expected::Unknown { why },
            (None, None) => Expected::Nothing,
        }
    }
}

impl Golden {
    /// The operation and the place of the row, where the value tells them.
    pub(crate) fn label(&self) -> String {
        let value: serde_json::Value = self
            .value
            .as_deref()
            .and_then(|value| serde_json::from_str(value.get()).ok())
            .unwrap_or_default();
        let op = value.get("op").or_else(|| value.get("__op")).and_then(|op| op.as_str());
        op.map_or(String::new(), |op| format!(" ({op})"))
    }
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}
