//! Avro schemas by the names of their fields, and where two of them part.

use std::collections::HashMap;

use apache_avro::types::Value as Datum;
use serde_json::Value;

/// A schema with its named types.
pub(crate) struct SchemaTree {
    root: Value,
    named: HashMap<String, Value>,
}

/// A place where two schemas part.
pub(crate) struct Parting {
    /// Names of fields with dots between them, and `[]` for the elements of an array.
    pub(crate) path: String,
    pub(crate) how: String,
    /// Values there cannot be compared.
    pub(crate) of_type: bool,
}

/// A field of a record.
pub(crate) struct Field<'s>(&'s Value);

impl Field<'_> {
    /// Whether the field has a default, and this is it.
    pub(crate) fn has_default(&self, datum: &Datum) -> bool {
        let default = &self.0["default"];
        match datum {
            Datum::Boolean(value) => default.as_bool() == Some(*value),
            Datum::Int(value) => default.as_i64() == Some((*value).into()),
            Datum::Long(value) => default.as_i64() == Some(*value),
            Datum::Float(value) => default.as_f64() == Some(f64::from(*value)),
            Datum::Double(value) => default.as_f64() == Some(*value),
            Datum::String(value) => default.as_str() == Some(value),
            // A character for each byte.
            Datum::Bytes(value) => default
                .as_str()
                .is_some_and(|text| text.chars().eq(value.iter().map(|byte| char::from(*byte)))),
            _ => false,
        }
    }
}

impl SchemaTree {
    pub(crate) fn parse(text: &str) -> Self {
        let root: Value = serde_json::from_str(text).unwrap();
        let mut named = HashMap::new();
        collect(&root, "", &mut named);
        Self { root, named }
    }

    /// The short name of the whole.
    pub(crate) fn name(&self) -> &str {
        self.root["name"].as_str().unwrap_or_default()
    }

    /// The field at a path.
    pub(crate) fn field(&self, path: &str) -> Option<Field<'_>> {
        let (mut at, mut found) = (&self.root, None);
        for name in path.split('.') {
            if name.contains("[]") {
                return None;
            }
            let fields = self.resolved(value_branch(at).0).get("fields")?.as_array()?;
            let field = fields.iter().find(|field| field["name"] == name)?;
            (at, found) = (&field["type"], Some(Field(field)));
        }
        found
    }

    /// Whether the path leads to the elements of an array of dates or times.
    pub(crate) fn is_in_moments(&self, path: &str) -> bool {
        let field = path.strip_suffix("[]").and_then(|path| self.field(path));
        let items = field.map(|field| &value_branch(&field.0["type"]).0["items"]);
        let name = items.and_then(|items| value_branch(items).0["connect.name"].as_str());
        name.is_some_and(|name| {
            name.starts_with("io.debezium.time.")
                || name.starts_with("org.apache.kafka.connect.data.T")
        })
    }

    /// The definition behind a name.
    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        schema.as_str().and_then(|name| self.named.get(name)).unwrap_or(schema)
    }
}

/// By short and by full name; no short name is used twice in these.
fn collect(schema: &Value, namespace: &str, named: &mut HashMap<String, Value>) {
    match schema {
        Value::Array(branches) => {
            branches.iter().for_each(|branch| collect(branch, namespace, named));
        }
        Value::Object(object) => {
            let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
            if let (Some(name), Some(fields)) = (object.get("name"), object.get("fields")) {
                let name = name.as_str().unwrap();
                named.insert(name.to_owned(), schema.clone());
                named.insert(format!("{namespace}.{name}"), schema.clone());
                for field in fields.as_array().unwrap() {
                    collect(&field["type"], namespace, named);
                }
            }
            for key in ["type", "items", "values"] {
                if let Some(inner) = object.get(key) {
                    collect(inner, namespace, named);
                }
            }
        }
        _ => {}
    }
}

/// What is not null, and whether null is allowed beside it.
fn value_branch(value: &Value) -> (&Value, bool) {
    match value {
        Value::Array(branches) => {
            let mut branches = branches.iter();
            (branches.find(|branch| branch.as_str() != Some("null")).unwrap_or(value), true)
        }
        value => (value, false),
    }
}

/// All places where the schemas part.
pub(crate) fn differences(ours: &SchemaTree, theirs: &SchemaTree) -> Vec<Parting> {
    let mut found = Vec::new();
    descend("", (ours, &ours.root), (theirs, &theirs.root), &mut found);
    found
}

fn descend(
    path: &str,
    (ours, our_value): (&SchemaTree, &Value),
    (theirs, their_value): (&SchemaTree, &Value),
    found: &mut Vec<Parting>,
) {
    let mut add = |path: &str, how: &str, of_type| {
        found.push(Parting { path: path.to_owned(), how: how.to_owned(), of_type });
    };
    let ((our_value, our_null), (their_value, their_null)) =
        (value_branch(our_value), value_branch(their_value));
    match (our_null, their_null) {
        (true, false) => add(path, "optional instead of required", false),
        (false, true) => add(path, "required instead of optional", false),
        _ => {}
    }
    let (our_value, their_value) = (ours.resolved(our_value), theirs.resolved(their_value));
    let fields = |value: &Value| value.get("fields").and_then(Value::as_array).cloned();
    if let (Some(our_fields), Some(their_fields)) = (fields(our_value), fields(their_value)) {
        let dot = if path.is_empty() { "" } else { "." };
        let path_of = |field: &Value| format!("{path}{dot}{}", field["name"].as_str().unwrap());
        let has =
            |fields: &[Value], name: &Value| fields.iter().any(|field| field["name"] == *name);
        for field in our_fields.iter().filter(|field| !has(&their_fields, &field["name"])) {
            add(&path_of(field), "is new", false);
        }
        for field in &their_fields {
            let path = path_of(field);
            let Some(ours_field) = our_fields.iter().find(|o| o["name"] == field["name"]) else {
                found.push(Parting { path, how: "missing".to_owned(), of_type: false });
                continue;
            };
            descend(&path, (ours, &ours_field["type"]), (theirs, &field["type"]), found);
        }
        return;
    }
    if let (Some(our_items), Some(their_items)) = (our_value.get("items"), their_value.get("items"))
    {
        descend(&format!("{path}[]"), (ours, our_items), (theirs, their_items), found);
    } else if without_default(our_value) != without_default(their_value) {
        add(path, &format!("{our_value} instead of {their_value}"), true);
    }
}

/// A default goes with the column's being required, and is compared in the values.
fn without_default(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(object) = &mut schema {
        object.remove("connect.default");
        let bare = object.len() == 1;
        if let Some(plain) = object.get("type").filter(|_| bare) {
            return plain.clone();
        }
    }
    schema
}
