//! Runs the conformance cases of `testdata/`, or of the folder in `VECTORS_DIR`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed lookup is a failed case"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    Compatibility, ConnectSchema, ConnectType, Error, ErrorKind, Fields, NullValues, Paths, Record,
    Rotate, Rotation, RotationConfig, SchemaChange, SchemaKey, Settings, Shape, TimestampExtractor,
    Value,
};
use serde_json::{Value as Json, json};

#[test]
fn time_partition() {
    run("time_partition", partition);
}

#[test]
fn field_partition() {
    run("field_partition", partition);
}

#[test]
fn object_key() {
    run("object_key", partition);
}

#[test]
fn timestamp_extract() {
    run("timestamp_extract", extract);
}

#[test]
fn next_rotation() {
    run("next_rotation", next);
}

#[test]
fn schema_compat() {
    run("schema_compat", compat);
}

#[test]
fn rotation() {
    run("rotation", rotate);
}

/// Compares what each case gives with what it expects, and prints a score.
fn run(file: &str, case: fn(&Json) -> Json) {
    let folder = std::env::var_os("VECTORS_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata"), PathBuf::from);
    let path = folder.join(format!("{file}.jsonl"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if std::env::var_os("VECTORS_DIR").is_some() => {
            say(&format!("{file}: not in {}, skipped", folder.display()));
            return;
        }
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let (mut passed, mut total, mut failures) = (0, 0, Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let input: Json = serde_json::from_str(line).unwrap();
        let mut expected = input["expect"].clone();
        expected.as_object_mut().unwrap().remove("java_time_prints");
        let actual = case(&input);
        total += 1;
        if actual == expected {
            passed += 1;
            continue;
        }
        let tags = input["differs_on"].as_array().into_iter().flatten();
        let portable = !tags.filter_map(Json::as_str).any(|tag| tag.starts_with("jdk"));
        say(&format!(
            "{file} {}{}: expected {expected}, got {actual}",
            input["id"],
            if portable { "" } else { " (depends on the Java release)" }
        ));
        if portable {
            failures.push(input["id"].to_string());
        }
    }
    say(&format!("{file}: {passed}/{total}"));
    assert!(total > 0, "{file} has no cases");
    assert!(failures.is_empty(), "{file}: failed {failures:?}");
}

/// Prints a line also when the test passes, whose output the harness keeps to itself.
fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").unwrap();
}

fn partition(case: &Json) -> Json {
    let record = Decoded::new(&case["record"]);
    let attempt = || {
        let settings = settings(&case["config"])?;
        let record = record.record(case["topic"].as_str().unwrap());
        let mut encoded = String::new();
        settings.partitioner().encode(&record, at(&case["now"]), &mut encoded)?;
        assert_eq!(settings.paths().encode(&record, at(&case["now"]))?, encoded);
        let mut key = String::new();
        settings.namer().object(&encoded, &record, settings.extension(), &mut key);
        Ok(json!({"encoded_partition": encoded, "object_key": key}))
    };
    attempt().unwrap_or_else(|error| failure(&error))
}

fn extract(case: &Json) -> Json {
    let record = Decoded::new(&case["record"]);
    let config = &case["config"];
    let field = config["timestamp.field"].as_str().unwrap_or("timestamp").to_owned();
    let attempt = || {
        // The configuration itself may be what is refused.
        settings(config)?;
        let extractor = match config["timestamp.extractor"].as_str() {
            Some("Record") => TimestampExtractor::Record,
            Some("RecordField") => TimestampExtractor::RecordField(field.clone()),
            _ => TimestampExtractor::Wallclock,
        };
        let time = extractor.extract(&record.record("orders"), at(&case["now"]))?;
        Ok(json!({ "timestamp": time }))
    };
    attempt().unwrap_or_else(|error| failure(&error))
}

fn next(case: &Json) -> Json {
    let config = RotationConfig::new(1)
        .unwrap()
        .with_schedule_ms(
            case["rotate_schedule_interval_ms"].as_i64().unwrap(),
            case["timezone"].as_str().unwrap(),
        )
        .unwrap();
    let next = config.next_scheduled(at(&case["now"])).unwrap();
    json!({"next": ms(next)})
}

fn compat(case: &Json) -> Json {
    let mode = Compatibility::from_name(case["mode"].as_str().unwrap());
    match mode.change(&connect(&case["record_schema"]), &connect(&case["file_schema"])) {
        Ok(change) => json!({"rotate": change.is_some(), "reason": change.map(reason)}),
        Err(error) => failure(&error),
    }
}

/// Plays the sink: one topic partition, stubbed storage.
fn rotate(case: &Json) -> Json {
    let settings = settings(&case["config"]).unwrap();
    let has_dlq = case["dlq"].as_bool().unwrap();
    let topic = case["topic"].as_str().unwrap();
    let mut sink = Sink {
        rotation: Rotation::new(settings.rotation().clone()),
        paths: settings.paths(),
        written: BTreeMap::new(),
        files: Vec::new(),
        offset: None,
        topic: topic.to_owned(),
        settings,
    };
    let mut schemas: Vec<Json> = Vec::new();
    let (mut commits, mut dlq) = (Vec::new(), Vec::new());
    for (step, put) in case["steps"].as_array().unwrap().iter().enumerate() {
        let now = at(&put["at"]);
        sink.offset = None;
        for input in put["records"].as_array().unwrap() {
            let offset = &input["offset"];
            match sink.put(input, step, now, &mut schemas) {
                Ok(true) => {}
                Ok(false) if has_dlq => dlq.push(offset.clone()),
                Ok(false) => return stopped("connect"),
                // The connector's dead-letter topic takes these two classes only.
                Err(error)
                    if has_dlq && matches!(class(&error), "partition" | "schema_projector") =>
                {
                    dlq.push(offset.clone());
                }
                Err(error) => return stopped(class(&error)),
            }
        }
        if sink.rotation.due(now) {
            sink.close(step, now);
        }
        commits.push(json!(sink.offset));
    }
    let open = sink.rotation.open_files();
    let still_open: Vec<Json> = open
        .map(|f| json!({"encoded_partition": f.encoded(), "offsets": sink.written[f.encoded()]}))
        .collect();
    json!({"files": sink.files, "commits": commits, "dlq": dlq, "still_open": still_open})
}

struct Sink {
    settings: Settings,
    topic: String,
    rotation: Rotation,
    paths: Paths,
    written: BTreeMap<String, Vec<i64>>,
    files: Vec<Json>,
    offset: Option<i64>,
}

impl Sink {
    /// `Ok(false)` if the record cannot be written.
    fn put(
        &mut self,
        input: &Json,
        step: usize,
        now: SystemTime,
        schemas: &mut Vec<Json>,
    ) -> Result<bool, Error> {
        let decoded = Decoded::new(input);
        let topic = self.topic.clone();
        let record = decoded.record(&topic);
        if record.value.shape() == Shape::Null && self.settings.null_values() != NullValues::Write {
            return Ok(false);
        }
        let schema = intern(&input["schema"], schemas);
        let mode = self.settings.compatibility();
        loop {
            let compare = |record: SchemaKey, file: SchemaKey| {
                let by_key =
                    |key: SchemaKey| connect(&schemas[usize::try_from(key.get()).unwrap()]);
                mode.change(&by_key(record), &by_key(file))
            };
            match self.rotation.place_with(&mut self.paths, &record, schema, now, compare)? {
                Rotate::Before => self.close(step, now),
                decision => {
                    if input["unwritable"].as_bool() == Some(true) {
                        self.rotation.rejected();
                        return Ok(false);
                    }
                    let encoded = self.rotation.file().unwrap().encoded().to_owned();
                    self.written.entry(encoded).or_default().push(record.offset);
                    if decision == Rotate::After {
                        self.close(step, now);
                    }
                    return Ok(true);
                }
            }
        }
    }

    fn close(&mut self, step: usize, now: SystemTime) {
        for file in self.rotation.open_files() {
            let mut key = String::new();
            self.settings.namer().file(&self.topic, 0, file, self.settings.extension(), &mut key);
            let offsets = self.written.remove(file.encoded()).unwrap();
            assert_eq!(offsets[0], file.start_offset());
            assert_eq!(offsets.len(), usize::try_from(file.records()).unwrap());
            self.files.push(json!({"step": step, "key": key, "offsets": offsets}));
        }
        self.offset = self.rotation.last_offset().map(|last| last + 1);
        self.rotation.closed(now);
    }
}

fn stopped(class: &str) -> Json {
    json!({"error": class, "files": [], "commits": [], "dlq": []})
}

/// Schemas that are equal as JSON are one schema.
fn intern(schema: &Json, known: &mut Vec<Json>) -> SchemaKey {
    if schema.is_null() {
        return SchemaKey::NONE;
    }
    let index = known.iter().position(|other| other == schema).unwrap_or_else(|| {
        known.push(schema.clone());
        known.len() - 1
    });
    SchemaKey::new(index as u64)
}

fn settings(config: &Json) -> Result<Settings, Error> {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    let mut properties: BTreeMap<String, String> = config
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| {
            let key = match key.as_str() {
                "partitioner" => "partitioner.class",
                "format" => "format.class",
                other => other,
            };
            (key.to_owned(), text(value))
        })
        .collect();
    // The cases leave out what has nothing to do with their subject.
    properties.entry("flush.size".to_owned()).or_insert_with(|| "1".to_owned());
    Settings::from_properties(properties.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn failure(error: &Error) -> Json {
    json!({"error": class(error)})
}

/// The Java exception that the connector fails with.
fn class(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ZeroDuration => "arithmetic",
        ErrorKind::ZeroPadWidth | ErrorKind::TimestampText(_) => "illegal_argument",
        ErrorKind::NotStruct | ErrorKind::UnsupportedType(_) | ErrorKind::NoTimestamp => {
            "partition"
        }
        ErrorKind::MissingField(_) => "data",
        ErrorKind::MissingParent(_) => "null_pointer",
        ErrorKind::LogicalType(_) => "class_cast",
        ErrorKind::SchemaVersion => "schema_projector",
        _ => "config",
    }
}

const fn reason(change: SchemaChange) -> &'static str {
    match change {
        SchemaChange::Schema => "DIFFERENT_SCHEMA",
        SchemaChange::Type => "DIFFERENT_TYPE",
        SchemaChange::Name => "DIFFERENT_NAME",
        SchemaChange::Parameters => "DIFFERENT_PARAMS",
        SchemaChange::Optionality => "INCOMPATIBLE_OPTIONALITY",
        SchemaChange::MissingRequiredField => "MISSING_REQUIRED_FIELD",
        SchemaChange::Version => "DIFFERENT_VERSION",
        _ => "?",
    }
}

fn at(time: &Json) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(time.as_u64().unwrap_or(0))
}

fn ms(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn connect(schema: &Json) -> ConnectSchema {
    let kind = match schema["type"].as_str().unwrap() {
        "int8" => ConnectType::Int8,
        "int16" => ConnectType::Int16,
        "int32" => ConnectType::Int32,
        "int64" => ConnectType::Int64,
        "float32" => ConnectType::Float32,
        "float64" => ConnectType::Float64,
        "boolean" => ConnectType::Boolean,
        "string" => ConnectType::String,
        "bytes" => ConnectType::Bytes,
        "array" => ConnectType::Array,
        "map" => ConnectType::Map,
        "struct" => ConnectType::Struct,
        other => panic!("unknown type {other}"),
    };
    let mut out = ConnectSchema::new(kind);
    if schema["optional"].as_bool() == Some(true) {
        out = out.optional();
    }
    if let Some(name) = schema["name"].as_str() {
        out = out.with_name(name);
    }
    if let Some(version) = schema["version"].as_i64() {
        out = out.with_version(i32::try_from(version).unwrap());
    }
    if let Some(doc) = schema["doc"].as_str() {
        out = out.with_doc(doc);
    }
    if !schema["default"].is_null() {
        out = out.with_default(&schema["default"].to_string());
    }
    for (key, value) in schema["parameters"].as_object().into_iter().flatten() {
        out = out.with_parameter(key, value.as_str().unwrap());
    }
    for field in schema["fields"].as_array().into_iter().flatten() {
        out = out.with_field(field["name"].as_str().unwrap(), connect(&field["schema"]));
    }
    if schema["key_schema"].is_object() {
        out = out.with_key(connect(&schema["key_schema"]));
    }
    if schema["value_schema"].is_object() {
        out = out.with_element(connect(&schema["value_schema"]));
    }
    out
}

/// A record as the cases write it down: JSON with a Connect schema, or without one.
#[derive(Debug)]
struct Decoded<'a> {
    input: &'a Json,
}

impl<'a> Decoded<'a> {
    const fn new(input: &'a Json) -> Self {
        Self { input }
    }

    fn record<'r>(&'r self, topic: &'r str) -> Record<'r> {
        let partition = i32::try_from(self.input["partition"].as_i64().unwrap()).unwrap();
        let record =
            Record::new(topic, partition, self.input["offset"].as_i64().unwrap()).with_value(self);
        match self.input["timestamp"].as_i64() {
            Some(timestamp) => record.with_timestamp_ms(timestamp),
            None => record,
        }
    }
}

impl Fields for Decoded<'_> {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        let mut value = &self.input["value"];
        let mut schema = &self.input["schema"];
        for name in path.split('.') {
            if schema.is_null() {
                value = value.get(name)?;
                continue;
            }
            let fields = schema["fields"].as_array()?;
            schema = &fields.iter().find(|field| field["name"] == name)?["schema"];
            if !value.is_null() {
                value = &value[name];
            }
            if value.is_null() {
                value = &schema["default"];
            }
        }
        Some(leaf(value, schema))
    }

    fn shape(&self) -> Shape {
        match (&self.input["value"], &self.input["schema"]) {
            (Json::Null, _) => Shape::Null,
            (Json::Object(_), Json::Null) => Shape::Map,
            (Json::Object(_), schema) if schema["type"] == "struct" => Shape::Struct,
            _ => Shape::Other,
        }
    }

    fn schema_name(&self) -> Option<&str> {
        self.input["schema"]["name"].as_str()
    }
}

fn leaf<'a>(value: &'a Json, schema: &'a Json) -> Value<'a> {
    let int = || value.as_i64().unwrap();
    let logical =
        schema["name"].as_str().and_then(|n| n.strip_prefix("org.apache.kafka.connect.data."));
    match (value, schema["type"].as_str(), logical) {
        (Json::Null, ..) => Value::Null,
        (_, _, Some("Timestamp")) => Value::Timestamp(int()),
        (_, _, Some("Date" | "Time")) => Value::DateOrTime(i32::try_from(int()).unwrap()),
        (_, Some("int8"), _) => Value::Int8(i8::try_from(int()).unwrap()),
        (_, Some("int16"), _) => Value::Int16(i16::try_from(int()).unwrap()),
        (_, Some("int32"), _) => Value::Int32(i32::try_from(int()).unwrap()),
        (_, Some("int64"), _) => Value::Int64(int()),
        (_, Some("float32" | "float64"), _) => Value::Float64(value.as_f64().unwrap()),
        (Json::Bool(b), Some("boolean") | None, _) => Value::Boolean(*b),
        (Json::String(text), Some("string") | None, _) => Value::String(text),
        (Json::Number(n), None, _) if n.is_i64() => Value::Int64(int()),
        (Json::Number(n), None, _) => Value::Float64(n.as_f64().unwrap()),
        _ => Value::Composite,
    }
}
