//! Datums as trees, read by apache-avro, and where two of them part.

use std::{collections::HashMap, fmt::Write as _};

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter,
};

use crate::fresh::Fresh;

/// Reads datums; remembers the schemas it has parsed.
#[derive(Default)]
pub(crate) struct Reader {
    parsed: HashMap<String, Schema>,
}

impl Reader {
    /// The datum as a tree, and a check that its bytes are the one usual way to write that tree, so
    /// that equal trees mean equal bytes.
    pub(crate) fn read(&mut self, schema: &str, datum: &[u8]) -> Result<Value, String> {
        if !self.parsed.contains_key(schema) {
            let json = serde_json::from_str(schema).map_err(|error| error.to_string())?;
            let parsed = Schema::parse(&bare(&json)).map_err(|error| error.to_string())?;
            self.parsed.insert(schema.to_owned(), parsed);
        }
        let parsed = &self.parsed[schema];
        let mut rest = datum;
        let value = GenericDatumReader::builder(parsed)
            .build()
            .and_then(|reader| reader.read_value(&mut rest))
            .map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} bytes are left over", rest.len()));
        }
        // A map has no order.
        if !holds_map(&value) {
            let again = GenericDatumWriter::builder(parsed)
                .build()
                .and_then(|writer| writer.write_value_to_vec(value.clone()))
                .map_err(|error| error.to_string())?;
            if again != datum {
                return Err("the bytes are not the usual way to write the value".to_owned());
            }
        }
        Ok(value)
    }
}

/// The schema as far as it decides the bytes, with names that every parser takes: Debezium's
/// namespaces may hold what the specification forbids, and apache-avro would turn logical types
/// into values of its own.
fn bare(schema: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match schema {
        Json::String(name) => Json::String(legal(name)),
        Json::Array(branches) => branches.iter().map(bare).collect(),
        Json::Object(object) => {
            let kept = object.iter().filter_map(|(key, value)| {
                let value = match key.as_str() {
                    "type" | "items" | "values" | "fields" => bare(value),
                    "name" | "namespace" => Json::String(legal(value.as_str()?)),
                    "size" | "symbols" => value.clone(),
                    _ => return None,
                };
                Some((key.clone(), value))
            });
            Json::Object(kept.collect())
        }
        other => other.clone(),
    }
}

fn legal(name: &str) -> String {
    let segment = |segment: &str| {
        let mut legal = String::new();
        for character in segment.chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '_' => legal.push(character),
                '0'..='9' if !legal.is_empty() => legal.push(character),
                other => write!(legal, "_u{:x}", u32::from(other)).unwrap(),
            }
        }
        legal
    };
    name.split('.').map(segment).collect::<Vec<_>>().join(".")
}

fn holds_map(value: &Value) -> bool {
    match value {
        Value::Map(_) => true,
        Value::Union(_, value) => holds_map(value),
        Value::Array(items) => items.iter().any(holds_map),
        Value::Record(fields) => fields.iter().any(|(_, value)| holds_map(value)),
        _ => false,
    }
}

/// What may differ between two runs.
pub(crate) struct Unstable<'m> {
    /// Paths of fields, such as `source.lsn`.
    pub(crate) paths: &'m [String],
    /// Values that the run itself has made up.
    pub(crate) fresh: &'m Fresh,
}

/// The path and the two values where the trees part first.
pub(crate) fn difference(ours: &Value, theirs: &Value, unstable: &Unstable<'_>) -> Option<String> {
    descend(&mut String::new(), ours, theirs, unstable)
}

fn descend(
    path: &mut String,
    ours: &Value,
    theirs: &Value,
    unstable: &Unstable<'_>,
) -> Option<String> {
    let differ = || Some(format!("{path}: {} instead of {}", short(ours), short(theirs)));
    match (ours, theirs) {
        (Value::Union(ours_at, ours_in), Value::Union(theirs_at, theirs_in)) => {
            if ours_at == theirs_at {
                descend(path, ours_in, theirs_in, unstable)
            } else {
                differ()
            }
        }
        (Value::Record(ours), Value::Record(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|((name, ours), (_, theirs))| {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                let difference = descend(path, ours, theirs, unstable);
                path.truncate(length);
                difference
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).enumerate().find_map(|(index, (ours, theirs))| {
                let length = path.len();
                write!(path, "[{index}]").unwrap();
                let difference = descend(path, ours, theirs, unstable);
                path.truncate(length);
                difference
            })
        }
        (Value::Map(ours), Value::Map(theirs)) if ours.len() == theirs.len() => {
            theirs.iter().find_map(|(key, theirs)| match ours.get(key) {
                Some(ours) => descend(path, ours, theirs, unstable),
                None => Some(format!("{path}: the key {key:?} is missing")),
            })
        }
        // NaN is no number's equal, but here it is NaN's.
        (Value::Float(a), Value::Float(b)) if a.to_bits() == b.to_bits() => None,
        (Value::Double(a), Value::Double(b)) if a.to_bits() == b.to_bits() => None,
        _ if ours == theirs => None,
        _ if unstable.paths.iter().any(|unstable| unstable == path) && alike(ours, theirs) => None,
        _ if unstable.fresh.made_both(ours, theirs) => None,
        _ => differ(),
    }
}

/// Hands out all paths where the trees part, and the two values. Fields go by their names, elements
/// of arrays have no places; decimals with a scale of their own are one value.
pub(crate) fn all_differences(
    ours: &Value,
    theirs: &Value,
    unstable: &Unstable<'_>,
    found: &mut dyn FnMut(&str, &Value, &Value),
) {
    collect(String::new(), ours, theirs, unstable, found);
}

fn collect(
    path: String,
    ours: &Value,
    theirs: &Value,
    unstable: &Unstable<'_>,
    found: &mut dyn FnMut(&str, &Value, &Value),
) {
    match (ours, theirs) {
        (Value::Union(_, ours), theirs) => collect(path, ours, theirs, unstable, found),
        (ours, Value::Union(_, theirs)) => collect(path, ours, theirs, unstable, found),
        (Value::Record(ours), Value::Record(theirs)) if !matches!(&theirs[..], [(scale, _), _] if scale == "scale") => {
            for (name, theirs) in theirs {
                let Some((_, ours)) = ours.iter().find(|(other, _)| other == name) else {
                    continue;
                };
                let dot = if path.is_empty() { "" } else { "." };
                collect(format!("{path}{dot}{name}"), ours, theirs, unstable, found);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (ours, theirs) in ours.iter().zip(theirs) {
                collect(format!("{path}[]"), ours, theirs, unstable, found);
            }
        }
        _ => {
            if descend(&mut path.clone(), ours, theirs, unstable).is_some() {
                found(&path, ours, theirs);
            }
        }
    }
}

/// Whether two unstable values are of one kind; texts must agree but for their numbers.
fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Int(_), Value::Int(_)) | (Value::Long(_), Value::Long(_)) => true,
        (Value::String(ours), Value::String(theirs)) => {
            let shape = |text: &str| {
                let parts = text.split(|c: char| c.is_ascii_digit());
                parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
            };
            shape(ours) == shape(theirs)
        }
        _ => false,
    }
}

pub(crate) fn short(value: &Value) -> String {
    let text = match value {
        Value::Union(_, value) => return short(value),
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Bytes(value) => value.iter().fold("0x".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        }),
        other => format!("{other:?}"),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}
