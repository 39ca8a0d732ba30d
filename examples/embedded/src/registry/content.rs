//! What is registered: Avro schemas, checked as strictly as Confluent's registry does, and what
//! makes two of them the same one.
//!
//! `avro_wire` parses and judges compatibility. It lets pass what does no harm to data: this adds
//! that defaults fit their types, and writes each schema in one spelling.

use std::collections::HashSet;
use std::fmt::Write as _;

use avro_wire::compatibility::{Level, problems};
use avro_wire::{Kind, Schema, TypeView};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Why a text is no schema to register.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("{0}")]
    Schema(#[from] avro_wire::Error),
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("\"{0}\" is missing or of the wrong type")]
    Attribute(&'static str),
    #[error("\"{0}\" is not a name")]
    Name(String),
    #[error("enum default \"{0}\" is not one of the symbols")]
    EnumDefault(String),
    #[error("the default of field \"{0}\" does not fit its type")]
    Default(String),
}

/// A checked schema with its one spelling.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) schema: Schema,
    /// JSON without white space, attributes in alphabetical order, names in full. Defaults,
    /// aliases, logical types, documentation and unknown attributes are kept.
    pub(super) canonical: String,
}

/// Checks `text`, which may use the types that `references` define.
pub(super) fn check(text: &str, references: &[Schema]) -> Result<Checked, Invalid> {
    let schema = Schema::parse_with(text, references)?;
    // The depth was bounded just now.
    let mut json = serde_json::Deserializer::from_str(text);
    json.disable_recursion_limit();
    let json = Value::deserialize(&mut json)?;
    let mut names = HashSet::new();
    for reference in references {
        collect_names(reference.root_type(), &mut names);
    }
    let mut writer = Writer { names, out: String::with_capacity(text.len()) };
    writer.schema(&json, "")?;
    check_defaults(schema.root_type(), &mut HashSet::new(), &mut Vec::new())?;
    Ok(Checked { schema, canonical: writer.out })
}

/// Why `new` must not follow `earlier`, oldest first, under `level`; empty when it may.
pub(super) fn objections(level: Level, new: &Schema, earlier: &[&Schema]) -> Vec<String> {
    let (mut reads, mut is_read) = (true, true);
    match level {
        Level::None => return Vec::new(),
        Level::Backward | Level::BackwardTransitive => is_read = false,
        Level::Forward | Level::ForwardTransitive => reads = false,
        Level::Full | Level::FullTransitive => {}
    }
    let considered = if level.is_transitive() { earlier.len() } else { 1 };
    let mut objections = Vec::new();
    for old in earlier.iter().rev().take(considered) {
        let mut explain = |who, reader, whose, writer| {
            objections.extend(
                problems(reader, writer)
                    .iter()
                    .map(|problem| format!("the {who} cannot read data of {whose}: {problem}")),
            );
        };
        if reads {
            explain("new schema", new, "an earlier one", old);
        }
        if is_read {
            explain("an earlier schema", old, "the new one", new);
        }
    }
    objections
}

fn collect_names(view: TypeView<'_>, names: &mut HashSet<String>) {
    if view.name().is_some_and(|name| !names.insert(name.to_owned())) {
        return;
    }
    inner_types(view).for_each(|inner| collect_names(inner, names));
}

fn inner_types(view: TypeView<'_>) -> impl Iterator<Item = TypeView<'_>> {
    let fields = view.fields().map(|field| field.field_type());
    view.items().into_iter().chain(view.branches()).chain(fields)
}

/// `open` are the records around this type, which a default cannot be made of yet.
fn check_defaults(
    view: TypeView<'_>,
    seen: &mut HashSet<String>,
    open: &mut Vec<String>,
) -> Result<(), Invalid> {
    if view.name().is_some_and(|name| !seen.insert(name.to_owned())) {
        return Ok(());
    }
    if view.kind() != Kind::Record {
        return inner_types(view).try_for_each(|inner| check_defaults(inner, seen, open));
    }
    open.push(view.name().unwrap_or_default().to_owned());
    for field in view.fields() {
        check_defaults(field.field_type(), seen, open)?;
        if let Some(text) = field.default() {
            let mut json = serde_json::Deserializer::from_str(&text);
            json.disable_recursion_limit();
            if !fits(field.field_type(), &Value::deserialize(&mut json)?, open) {
                return Err(Invalid::Default(field.name().to_owned()));
            }
        }
    }
    open.pop();
    Ok(())
}

/// The rules of Java's library up to 1.11: a default of a union is one of its first branch.
fn fits(view: TypeView<'_>, value: &Value, open: &[String]) -> bool {
    match view.kind() {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        Kind::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Kind::Long => value.as_i64().is_some(),
        Kind::Float | Kind::Double => {
            // JSON has no way to write the others, such as NaN, as numbers.
            value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok())
        }
        Kind::String | Kind::Bytes | Kind::Fixed | Kind::Enum => value.is_string(),
        Kind::Array => {
            let Some(items) = value.as_array() else { return false };
            view.items().is_some_and(|item| items.iter().all(|value| fits(item, value, open)))
        }
        Kind::Map => {
            let Some(items) = value.as_object() else { return false };
            view.items().is_some_and(|item| items.values().all(|value| fits(item, value, open)))
        }
        Kind::Union => view.branches().next().is_some_and(|first| fits(first, value, open)),
        Kind::Record if open.iter().any(|name| Some(&**name) == view.name()) => false,
        Kind::Record => value.as_object().is_some_and(|given| {
            view.fields().all(|field| match given.get(field.name()) {
                Some(value) => fits(field.field_type(), value, open),
                None => field.default().is_some(),
            })
        }),
    }
}

/// Writes the one spelling of a schema that parses.
struct Writer {
    /// Full names that are defined.
    names: HashSet<String>,
    out: String,
}

impl Writer {
    fn schema(&mut self, json: &Value, namespace: &str) -> Result<(), Invalid> {
        match json {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                self.list(branches, |this, branch| this.schema(branch, namespace))?
            }
            Value::Object(attributes) => self.object(attributes, namespace)?,
            // It would not have parsed.
            _ => return Err(Invalid::Attribute("type")),
        }
        Ok(())
    }

    fn by_name(&mut self, name: &str, namespace: &str) {
        let full = qualify(name, namespace);
        if !is_primitive(name) && self.names.contains(&full) {
            self.string(&full);
        } else {
            self.string(name);
        }
    }

    fn object(&mut self, json: &Map<String, Value>, namespace: &str) -> Result<(), Invalid> {
        let kind = json.get("type").and_then(Value::as_str).ok_or(Invalid::Attribute("type"))?;
        let named = matches!(kind, "record" | "error" | "enum" | "fixed");
        if json.len() == 1 && !named {
            self.by_name(kind, namespace);
            return Ok(());
        }
        let mut inner = namespace.to_owned();
        let mut full = String::new();
        if named {
            let name = json.get("name").and_then(Value::as_str).unwrap_or_default();
            let given = json.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
            full = qualify(name, given);
            inner = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
            self.names.insert(full.clone());
        }
        if kind == "enum"
            && let Some(default) = json.get("default").and_then(Value::as_str)
        {
            let symbols = json.get("symbols").and_then(Value::as_array);
            if !symbols.is_some_and(|symbols| symbols.iter().any(|s| s == default)) {
                return Err(Invalid::EnumDefault(default.to_owned()));
            }
        }
        // Java's sizes have a sign.
        if kind == "fixed" && json.get("size").and_then(Value::as_i64) > Some(i32::MAX.into()) {
            return Err(Invalid::Attribute("size"));
        }
        let mut first = true;
        for (key, value) in sorted(json) {
            let is_type = matches!((kind, &**key), ("array", "items") | ("map", "values"));
            match &**key {
                "namespace" if named => continue,
                "aliases" if named && value.as_array().is_some_and(Vec::is_empty) => continue,
                _ => {}
            }
            self.key(key, &mut first);
            match &**key {
                "type" if !named && !matches!(kind, "array" | "map") => {
                    self.by_name(kind, namespace);
                }
                "name" if named => self.string(&full),
                "aliases" if named => self.aliases(value, &inner)?,
                "fields" if matches!(kind, "record" | "error") => {
                    let fields = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    self.list(fields, |this, field| this.field(field, &inner))?;
                }
                _ if is_type => self.schema(value, namespace)?,
                _ => write_sorted(value, &mut self.out),
            }
        }
        if named && inner.is_empty() && !namespace.is_empty() {
            self.key("namespace", &mut first);
            self.string("");
        }
        self.out.push('}');
        Ok(())
    }

    fn field(&mut self, field: &Value, namespace: &str) -> Result<(), Invalid> {
        let field = field.as_object().ok_or(Invalid::Attribute("fields"))?;
        let order = field.get("order").and_then(Value::as_str).unwrap_or("ignore");
        if !["ascending", "descending", "ignore"].iter().any(|o| o.eq_ignore_ascii_case(order)) {
            return Err(Invalid::Attribute("order"));
        }
        let mut first = true;
        for (key, value) in sorted(field) {
            match &**key {
                // What Java takes for granted and does not write.
                "order" if value == "ascending" => continue,
                "aliases" if value.as_array().is_some_and(Vec::is_empty) => continue,
                _ => self.key(key, &mut first),
            }
            match &**key {
                "type" => self.schema(value, namespace)?,
                _ => write_sorted(value, &mut self.out),
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn aliases(&mut self, value: &Value, namespace: &str) -> Result<(), Invalid> {
        let aliases = value.as_array().map(Vec::as_slice).unwrap_or_default();
        self.list(aliases, |this, alias| {
            let full = qualify(alias.as_str().unwrap_or_default(), namespace);
            let simple = full.rsplit_once('.').map_or(&*full, |(_, simple)| simple);
            let mut letters = simple.chars();
            let starts = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
            if !starts || !letters.all(|c| c.is_alphanumeric() || c == '_') {
                return Err(Invalid::Name(simple.to_owned()));
            }
            this.string(&full);
            Ok(())
        })
    }

    fn key(&mut self, key: &str, first: &mut bool) {
        self.out.push(if *first { '{' } else { ',' });
        *first = false;
        self.string(key);
        self.out.push(':');
    }

    fn list<'a>(
        &mut self,
        items: &'a [Value],
        mut write: impl FnMut(&mut Self, &'a Value) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, item)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn string(&mut self, text: &str) {
        write_string(text, &mut self.out);
    }
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

/// Full name: a name with a dot has its namespace already, and a leading dot means none.
fn qualify(name: &str, namespace: &str) -> String {
    match name.strip_prefix('.') {
        Some(bare) if !bare.contains('.') => bare.to_owned(),
        _ if namespace.is_empty() || name.contains('.') => name.to_owned(),
        _ => format!("{namespace}.{name}"),
    }
}

fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members
}

/// Any JSON in one spelling.
pub(super) fn write_sorted(json: &Value, out: &mut String) {
    match json {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write_sorted(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Object(members) => {
            for (index, (key, value)) in sorted(members).into_iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                write_string(key, out);
                out.push(':');
                write_sorted(value, out);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Value::String(text) => write_string(text, out),
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    // Writing to a String cannot fail, and a str is always JSON.
    let _ = serde_json::to_string(text).map(|json| out.push_str(&json));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        check(text, &[]).unwrap().canonical
    }

    /// What Confluent's parser refuses is refused, and nothing else; `testdata/registry/README.md`
    /// says how the cases were made.
    #[test]
    fn refusals_are_confluents() {
        let (mut taken, mut refused) = (0, 0);
        for line in include_str!("../../testdata/registry/confluent.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let schemas = case["old"].as_array().unwrap().iter().chain([&case["new"]]);
            let error = schemas.map(|schema| check(&schema.to_string(), &[])).find_map(Result::err);
            assert_eq!(error.is_some(), case["allowed"].is_null(), "{error:?}\n{line}");
            if error.is_some() { refused += 1 } else { taken += 1 }
        }
        assert!(taken > 100 && refused > 10, "{taken} {refused}");
    }

    /// The one spelling is a schema again, and the same one.
    #[test]
    fn spellings_of_a_schema_are_one() {
        for line in include_str!("../../testdata/registry/confluent.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let Ok(checked) = check(&case["new"].to_string(), &[]) else { continue };
            let again = check(&checked.canonical, &[]).expect(line);
            assert_eq!(again.canonical, checked.canonical);
            assert_eq!(again.schema.fingerprint(), checked.schema.fingerprint(), "{line}");
        }
        assert_eq!(canonical(r#"{"type":"int"}"#), "\"int\"");
        assert_eq!(
            canonical(
                r#"{"type":"record","namespace":"n","name":"R","fields":[{"type":
                {"type":"enum","symbols":["A"],"name":"E"},"name":"a","order":"ascending"},
                {"name":"b","type":["null","E"],"default":null}]}"#
            ),
            r#"{"fields":[{"name":"a","type":{"name":"n.E","symbols":["A"],"type":"enum"}},{"default":null,"name":"b","type":["null","n.E"]}],"name":"n.R","type":"record"}"#
        );
    }
}
