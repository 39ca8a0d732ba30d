//! What Connect's Avro converter makes of a schema, as far as anything is decided by it: names that
//! tell what a number means, and what `schema.compatibility` compares.

use std::collections::{BTreeMap, HashMap};

use avro_wire::Schema;
use s3_partitioner::{ConnectSchema, ConnectType};
use serde_json::{Map, Value};

/// Records in records that are followed. A record that lies in itself is cut off there.
const DEPTH: usize = 64;

const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// The converter's names for what Connect has no type for.
const ENUM: &str = "io.confluent.connect.avro.Enum";
const FIXED_SIZE: &str = "connect.fixed.size";
const UNION: &str = "io.confluent.connect.avro.Union";
const MAP_ENTRY: &str = "io.confluent.connect.avro.MapEntry";
/// A record that had no name in Connect.
const NAMELESS: &str = "ConnectDefault";

/// What a number of Connect's own logical types is handed around as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Just a number, whatever Debezium means by it.
    Plain,
    DateOrTime,
    Timestamp,
}

/// A schema's JSON with its names resolved.
#[derive(Debug)]
pub(super) struct Connect<'j> {
    root: Type<'j>,
    named: HashMap<String, Type<'j>>,
}

/// A type, and the namespace that names in it belong to.
#[derive(Debug, Clone, Copy)]
struct Type<'j> {
    json: &'j Value,
    space: &'j str,
}

/// The JSON of a schema, which has been parsed before.
pub(super) fn json(schema: &Schema) -> Value {
    serde_json::from_str(schema.as_str()).unwrap_or(Value::Null)
}

impl<'j> Connect<'j> {
    /// Looks through the JSON of a schema.
    pub(super) fn new(json: &'j Value) -> Self {
        let root = Type { json, space: "" };
        let mut named = HashMap::new();
        collect(root, &mut named, DEPTH);
        Self { root, named }
    }

    /// The name of the schema of the field at a path, and what its number is to Connect.
    pub(super) fn meaning(&self, path: &str) -> (Option<String>, Meaning) {
        let mut at = self.root;
        for name in path.split('.') {
            let Some(field) = self.present(at).and_then(|record| self.field(record, name)) else {
                return (None, Meaning::Plain);
            };
            at = field;
        }
        let Some(at) = self.present(at) else { return (None, Meaning::Plain) };
        let name = logical(at.json).map(str::to_owned);
        let name = name.or_else(|| text(at.json, "connect.name").map(str::to_owned));
        let meaning = match name.as_deref() {
            Some(DATE | TIME) => Meaning::DateOrTime,
            Some(TIMESTAMP) => Meaning::Timestamp,
            _ => Meaning::Plain,
        };
        (name, meaning)
    }

    /// The schema that records are compared by. The version is the registry's, which counts where
    /// the schema gives none itself.
    pub(super) fn schema(&self, version: Option<i32>) -> ConnectSchema {
        let schema = self.convert(self.root, None, DEPTH);
        let own =
            self.present(self.root).and_then(|root| root.json.get("connect.version")?.as_i64());
        match own.and_then(|own| i32::try_from(own).ok()).or(version) {
            Some(version) => schema.with_version(version),
            None => schema,
        }
    }

    /// The type itself, where it is a name or may be null.
    fn present(&self, at: Type<'j>) -> Option<Type<'j>> {
        match at.json {
            Value::Array(branches) => {
                let mut others = branches.iter().filter(|branch| kind(branch) != Some("null"));
                match (others.next(), others.next()) {
                    (Some(only), None) => self.present(Type { json: only, ..at }),
                    _ => None,
                }
            }
            Value::String(name) if !is_primitive(name) => {
                self.named.get(&full_name(name, at.space)).copied()
            }
            Value::Object(object) => match object.get("type") {
                // `{"type": {"type": …}}` is the inner type.
                Some(inner @ (Value::Object(_) | Value::Array(_))) => {
                    self.present(Type { json: inner, ..at })
                }
                _ => Some(at),
            },
            _ => Some(at),
        }
    }

    fn field(&self, record: Type<'j>, name: &str) -> Option<Type<'j>> {
        let space = inner_space(record);
        let fields = record.json.get("fields")?.as_array()?;
        let field = fields.iter().find(|field| text(field, "name") == Some(name))?;
        Some(Type { json: field.get("type")?, space })
    }

    fn convert(&self, at: Type<'j>, default: Option<&Value>, depth: usize) -> ConnectSchema {
        let Some(depth) = depth.checked_sub(1) else {
            return ConnectSchema::new(ConnectType::Struct);
        };
        if let Value::Array(branches) = at.json {
            let null = branches.iter().any(|branch| kind(branch) == Some("null"));
            let others: Vec<&Value> =
                branches.iter().filter(|branch| kind(branch) != Some("null")).collect();
            let schema = match others.as_slice() {
                [only] => self.convert(Type { json: only, ..at }, default, depth),
                _ => self.union(&others, at, depth),
            };
            return if null { schema.optional() } else { schema };
        }
        let Some(at) = self.present(at) else { return ConnectSchema::new(ConnectType::Struct) };
        let json = at.json;
        let mut schema = match kind(json).unwrap_or_default() {
            "boolean" => ConnectSchema::new(ConnectType::Boolean),
            "int" => ConnectSchema::new(match text(json, "connect.type") {
                Some("int8") => ConnectType::Int8,
                Some("int16") => ConnectType::Int16,
                _ => ConnectType::Int32,
            }),
            "long" => ConnectSchema::new(ConnectType::Int64),
            "float" => ConnectSchema::new(ConnectType::Float32),
            "double" => ConnectSchema::new(ConnectType::Float64),
            "string" => ConnectSchema::new(ConnectType::String),
            "bytes" => ConnectSchema::new(ConnectType::Bytes),
            "fixed" => {
                let size = json.get("size").map(Value::to_string).unwrap_or_default();
                ConnectSchema::new(ConnectType::Bytes).with_parameter(FIXED_SIZE, &size)
            }
            "enum" => {
                let mut schema = ConnectSchema::new(ConnectType::String)
                    .with_parameter(ENUM, &own_name(at).unwrap_or_default());
                for symbol in strings(json, "symbols") {
                    schema = schema.with_parameter(&format!("{ENUM}.{symbol}"), symbol);
                }
                schema
            }
            "array" => self.array(at, depth),
            "map" => ConnectSchema::new(ConnectType::Map)
                .with_key(ConnectSchema::new(ConnectType::String))
                .with_element(self.part(at, "values", depth)),
            _ => {
                let space = inner_space(at);
                let mut schema = ConnectSchema::new(ConnectType::Struct);
                for field in json.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    let (Some(name), Some(json)) = (text(field, "name"), field.get("type")) else {
                        continue;
                    };
                    let inner = Type { json, space };
                    schema =
                        schema.with_field(name, self.convert(inner, field.get("default"), depth));
                }
                schema
            }
        };
        let parameters = json.get("connect.parameters").and_then(Value::as_object);
        let mut all: BTreeMap<String, String> = parameters.map(plain).unwrap_or_default();
        if logical(json) == Some(DECIMAL) {
            let number = |key: &str| json.get(key).map(Value::to_string);
            all.entry("scale".to_owned())
                .or_insert_with(|| number("scale").unwrap_or_else(|| "0".to_owned()));
            if let Some(precision) = number("precision").filter(|digits| digits != "64") {
                all.entry("connect.decimal.precision".to_owned()).or_insert(precision);
            }
        }
        for (key, value) in &all {
            schema = schema.with_parameter(key, value);
        }
        let name = text(json, "connect.name").or_else(|| logical(json)).map(str::to_owned);
        if let Some(name) = name.or_else(|| own_name(at)).filter(|name| name != NAMELESS) {
            schema = schema.with_name(&name);
        }
        if let Some(doc) = text(json, "connect.doc") {
            schema = schema.with_doc(doc);
        }
        let default = json.get("connect.default").or(default).filter(|value| !value.is_null());
        match default {
            Some(default) => schema.with_default(&default.to_string()),
            None => schema,
        }
    }

    /// A map whose keys are no strings is an array of entries.
    fn array(&self, at: Type<'j>, depth: usize) -> ConnectSchema {
        let json = at.json.get("items").unwrap_or(&Value::Null);
        let inner = Type { json, ..at };
        let item = self.present(inner).filter(|item| kind(item.json) == Some("record"));
        if let Some(entry) = item.filter(|item| own_name(*item).as_deref() == Some(MAP_ENTRY)) {
            let part = |name| {
                let part = self.field(entry, name);
                part.map_or(ConnectSchema::new(ConnectType::String), |part| {
                    self.convert(part, None, depth)
                })
            };
            return ConnectSchema::new(ConnectType::Map)
                .with_key(part("key"))
                .with_element(part("value"));
        }
        ConnectSchema::new(ConnectType::Array).with_element(self.convert(inner, None, depth))
    }

    fn part(&self, at: Type<'j>, key: &str, depth: usize) -> ConnectSchema {
        let json = at.json.get(key).unwrap_or(&Value::Null);
        self.convert(Type { json, ..at }, None, depth)
    }

    /// A struct of the branches, of which one is not null.
    fn union(&self, branches: &[&'j Value], at: Type<'j>, depth: usize) -> ConnectSchema {
        let mut schema = ConnectSchema::new(ConnectType::Struct).with_name(UNION);
        for json in branches {
            let branch = Type { json, ..at };
            let named = self.present(branch).and_then(own_name);
            let name = named.unwrap_or_else(|| kind(json).unwrap_or_default().to_owned());
            let last = name.rsplit('.').next().unwrap_or_default();
            schema = schema.with_field(last, self.convert(branch, None, depth).optional());
        }
        schema
    }
}

fn collect<'j>(at: Type<'j>, named: &mut HashMap<String, Type<'j>>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match at.json {
        Value::Array(branches) => {
            for json in branches {
                collect(Type { json, ..at }, named, depth);
            }
        }
        Value::Object(object) => {
            if let Some(name) = own_name(at) {
                named.insert(name, at);
            }
            let space = inner_space(at);
            for key in ["items", "values", "type"] {
                if let Some(json) = object.get(key) {
                    collect(Type { json, space }, named, depth);
                }
            }
            for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                if let Some(json) = field.get("type") {
                    collect(Type { json, space }, named, depth);
                }
            }
        }
        _ => {}
    }
}

/// The full name of a record, enum or fixed.
fn own_name(at: Type<'_>) -> Option<String> {
    match kind(at.json)? {
        "record" | "error" | "enum" | "fixed" => {
            let space = text(at.json, "namespace").unwrap_or(at.space);
            Some(full_name(text(at.json, "name")?, space))
        }
        _ => None,
    }
}

/// The namespace of names in a type.
fn inner_space<'j>(at: Type<'j>) -> &'j str {
    let Some(name) = text(at.json, "name") else { return at.space };
    match name.rsplit_once('.') {
        Some((space, _)) => space,
        None => text(at.json, "namespace").unwrap_or(at.space),
    }
}

fn full_name(name: &str, space: &str) -> String {
    if space.is_empty() || name.contains('.') { name.to_owned() } else { format!("{space}.{name}") }
}

/// What sort of type it is: a word, or the word behind `type`.
fn kind(json: &Value) -> Option<&str> {
    json.as_str().or_else(|| text(json, "type"))
}

fn text<'j>(json: &'j Value, key: &str) -> Option<&'j str> {
    json.get(key)?.as_str()
}

fn strings<'j>(json: &'j Value, key: &str) -> impl Iterator<Item = &'j str> {
    json.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn plain(object: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// The logical types that the converter turns into Connect's.
fn logical(json: &Value) -> Option<&'static str> {
    match (kind(json)?, text(json, "logicalType")?) {
        ("int", "date") => Some(DATE),
        ("int", "time-millis") => Some(TIME),
        ("long", "timestamp-millis") => Some(TIMESTAMP),
        ("bytes", "decimal") => Some(DECIMAL),
        _ => None,
    }
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

#[cfg(test)]
mod tests {
    use s3_partitioner::{Compatibility, SchemaChange};

    use super::*;

    fn parse(text: &str) -> Value {
        json(&Schema::parse(text).unwrap())
    }

    #[test]
    fn numbers_mean_what_their_schemas_are_called() {
        let text = r#"{"type":"record","name":"Envelope","namespace":"shop","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
                {"name":"at","type":{"type":"long","connect.version":1,
                    "connect.name":"io.debezium.time.MicroTimestamp"}},
                {"name":"day","type":["null",{"type":"int","logicalType":"date"}]},
                {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"n","type":"long"}]}]},
            {"name":"after","type":["null","Value"]}]}"#;
        let json = parse(text);
        let connect = Connect::new(&json);
        let micro = Some("io.debezium.time.MicroTimestamp".to_owned());
        assert_eq!(connect.meaning("before.at"), (micro.clone(), Meaning::Plain));
        assert_eq!(connect.meaning("after.at"), (micro, Meaning::Plain));
        assert_eq!(connect.meaning("after.day"), (Some(DATE.to_owned()), Meaning::DateOrTime));
        assert_eq!(connect.meaning("after.ts"), (Some(TIMESTAMP.to_owned()), Meaning::Timestamp));
        assert_eq!(connect.meaning("after.n"), (None, Meaning::Plain));
        assert_eq!(connect.meaning("after.gone"), (None, Meaning::Plain));
    }

    /// What the vectors of the partitioner say of Connect's schemas, said of the Avro they come from.
    #[test]
    fn versions_of_a_schema_are_compared_as_connects() {
        let row = |fields: &str| {
            parse(&format!(
                r#"{{"type":"record","name":"Row","namespace":"a.b","fields":[{fields}]}}"#
            ))
        };
        let change = |mode, record: (&Value, i32), file: (&Value, i32)| -> Option<SchemaChange> {
            let connect = |(json, version)| Connect::new(json).schema(Some(version));
            Compatibility::change(mode, &connect(record), &connect(file)).unwrap()
        };
        use Compatibility::{Backward, Forward};
        let old = row(r#"{"name":"a","type":"int"}"#);
        let optional = row(
            r#"{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}"#,
        );
        let required = row(r#"{"name":"a","type":"int"},{"name":"b","type":"string"}"#);
        let default =
            row(r#"{"name":"a","type":"int"},{"name":"b","type":"string","default":"x"}"#);
        let wide = row(r#"{"name":"a","type":"long"}"#);
        assert_eq!(change(Backward, (&old, 1), (&optional, 2)), None);
        assert_eq!(change(Backward, (&optional, 2), (&old, 1)), Some(SchemaChange::Version));
        assert_eq!(change(Forward, (&optional, 2), (&old, 1)), None);
        assert_eq!(change(Forward, (&old, 1), (&optional, 2)), Some(SchemaChange::Version));
        let missing = Some(SchemaChange::MissingRequiredField);
        assert_eq!(change(Backward, (&old, 1), (&required, 2)), missing);
        assert_eq!(change(Backward, (&old, 1), (&default, 2)), None);
        assert_eq!(change(Backward, (&old, 1), (&wide, 2)), None);
        assert_eq!(change(Forward, (&wide, 2), (&old, 1)), Some(SchemaChange::Type));
        let may_be_null = row(r#"{"name":"a","type":["null","int"],"default":null}"#);
        assert_eq!(change(Forward, (&may_be_null, 2), (&old, 1)), Some(SchemaChange::Optionality));
        let other = parse(r#"{"type":"record","name":"Row","namespace":"c","fields":[]}"#);
        assert_eq!(change(Backward, (&old, 1), (&other, 1)), Some(SchemaChange::Name));
        let few = row(r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}"#);
        let many = row(r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}}"#);
        assert_eq!(change(Backward, (&few, 1), (&many, 2)), None);
        assert_eq!(change(Forward, (&many, 2), (&few, 1)), Some(SchemaChange::Parameters));
    }

    #[test]
    fn a_schemas_own_version_counts_before_the_registrys() {
        let text = r#"{"type":"record","name":"R","connect.version":5,"fields":[]}"#;
        let (own, none) = (parse(text), parse(r#"{"type":"record","name":"R","fields":[]}"#));
        let schema = |json, version| Connect::new(json).schema(version);
        assert_eq!(schema(&own, Some(1)), schema(&none, Some(5)));
        assert_ne!(schema(&none, None), schema(&none, Some(5)));
    }

    #[test]
    fn a_record_that_lies_in_itself_is_cut_off() {
        let text = r#"{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}"#;
        let json = parse(text);
        let schema = Connect::new(&json).schema(Some(1));
        assert_eq!(schema, Connect::new(&json).schema(Some(1)));
    }
}
