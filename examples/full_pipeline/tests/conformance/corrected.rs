//! The same scenarios with `fidelity=correct`: what differs from Debezium's records is what the
//! table of [`EXPECTED`] says, and nothing else.

use std::collections::BTreeSet;

use apache_avro::types::Value;

use crate::{
    compare::{self, split},
    expected::EXPECTED,
    fresh::Fresh,
    pipeline::{Received, Record},
    scenario::{Expected, Golden, Scenario},
    schema_tree::{self, SchemaTree},
    tree::{self, Reader, Unstable},
};

/// Everything that differs, each once: the topic without its prefix, the place, and how. Places
/// are `records` for their number, and `key`, `value` (of an envelope) or `row` (of a flattened
/// one) with the path of a field, behind `schema` where it is not only the value that differs.
pub(crate) fn differences(
    scenario: &Scenario,
    received: &Received,
) -> Result<BTreeSet<String>, String> {
    let mut comparison = Comparison {
        scenario,
        received,
        reader: Reader::default(),
        fresh: Fresh::new(scenario, received.began, received.ended),
        added: compare::added_fields(scenario, "fields"),
        found: BTreeSet::new(),
    };
    let golden = scenario.records.iter().map(|record| record.topic.as_str());
    let ours = received.topics.iter().map(|(topic, _)| topic.as_str());
    for topic in golden.chain(ours).collect::<BTreeSet<_>>() {
        comparison.topic(topic)?;
    }
    Ok(comparison.found)
}

struct Comparison<'s> {
    scenario: &'s Scenario,
    received: &'s Received,
    reader: Reader,
    fresh: Fresh,
    added: Vec<String>,
    found: BTreeSet<String>,
}

impl Comparison<'_> {
    fn add(&mut self, topic: &str, place: &str, how: &str) {
        let prefix = self.scenario.options()["topic.prefix"];
        let topic = topic.strip_prefix(prefix).unwrap_or(topic).trim_start_matches('.');
        self.found.insert(format!("{topic} {place}: {how}"));
    }

    fn topic(&mut self, topic: &str) -> Result<(), String> {
        let (scenario, received) = (self.scenario, self.received);
        let golden: Vec<&Golden> =
            scenario.records.iter().filter(|record| record.topic == topic).collect();
        let ours = received.topics.iter().find(|(name, _)| name == topic);
        let ours: &[Record] = ours.map_or(&[], |(_, records)| records);
        let beats = compare::beats(scenario, topic) && !ours.is_empty();
        if ours.len() != golden.len() && !beats {
            let how = if ours.is_empty() && golden.iter().all(|golden| golden.label() == " (r)") {
                "none of those that a snapshot reads twice".to_owned()
            } else {
                format!("{} instead of {}", ours.len(), golden.len())
            };
            self.add(topic, "records", &how);
            return Ok(());
        }
        for (ours, theirs) in ours.iter().zip(&golden) {
            self.side(topic, "key", ours.key.as_deref(), &scenario.key(theirs), &golden)?;
            self.side(topic, "value", ours.value.as_deref(), &scenario.value(theirs), &golden)?;
        }
        Ok(())
    }

    fn side(
        &mut self,
        topic: &str,
        side: &str,
        ours: Option<&[u8]>,
        theirs: &Expected<'_>,
        all: &[&Golden],
    ) -> Result<(), String> {
        let (ours, schema, bytes) = match (ours, theirs) {
            (Some(ours), Expected::Datum { schema, bytes }) => (ours, *schema, bytes),
            (None, Expected::Nothing) | (_, Expected::Unknown { .. }) => return Ok(()),
            (ours, _) => {
                self.add(topic, side, if ours.is_some() { "is there" } else { "is missing" });
                return Ok(());
            }
        };
        let (id, datum) = split(ours).ok_or("no framed message")?;
        let registered = &self.received.schemas[&id];
        let golden = SchemaTree::parse(schema);
        let side = if golden.name() == "Value" { "row" } else { side };
        let mut other_types = Vec::new();
        for mut parting in schema_tree::differences(&SchemaTree::parse(registered), &golden) {
            // What a streamed record of Debezium lacks, too.
            if parting.how == "missing" && side == "value" {
                let values = all.iter().map(|golden| self.scenario.value(golden));
                let lacks = |expected: Expected<'_>| match expected {
                    Expected::Datum { schema, .. } => {
                        SchemaTree::parse(schema).field(&parting.path).is_none()
                    }
                    _ => false,
                };
                if values.into_iter().any(lacks) {
                    parting.how.push_str(" as while streaming");
                }
            }
            if parting.of_type {
                other_types.push(parting.path.clone());
            }
            let dot = if parting.path.is_empty() { "" } else { "." };
            self.add(topic, &format!("schema {side}{dot}{}", parting.path), &parting.how);
        }
        let mut ours = self.reader.read(registered, datum)?;
        let mut theirs = self.reader.read(schema, bytes)?;
        compare::forget_addresses(&mut ours);
        compare::forget_addresses(&mut theirs);
        let paths = compare::unstable(schema, &self.added);
        let unstable = Unstable { paths: &paths, fresh: &self.fresh };
        let mut found = Vec::new();
        tree::all_differences(&ours, &theirs, &unstable, &mut |path, ours, theirs| {
            // Values of other types are others.
            if !other_types.iter().any(|other| path.starts_with(other)) {
                let default = golden.field(path).is_some_and(|field| field.has_default(theirs));
                let how = match how(ours, theirs, default) {
                    how if golden.is_in_moments(path) => format!("the moment in {how}"),
                    how => how,
                };
                found.push((format!("{side}.{path}"), how));
            }
        });
        for (place, how) in found {
            self.add(topic, &place, &how);
        }
        Ok(())
    }
}

/// How two values differ, in words where there are some.
fn how(ours: &Value, theirs: &Value, default: bool) -> String {
    const PLACEHOLDER: &str = "__debezium_unavailable_value";
    let known = match (ours, theirs) {
        (Value::Null, _) if default => Some("null instead of the default"),
        (Value::Null, theirs) if is_zero(theirs) => Some("null instead of zero"),
        (Value::String(ours), Value::String(theirs)) => {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let zeros = theirs.strip_prefix(ours.as_str()).and_then(|rest| rest.strip_prefix('.'));
            match theirs.split_once(':') {
                Some((number, place))
                    if number.len() + place.len() + 1 == theirs.len()
                        && digits(number)
                        && digits(place)
                        && digits(ours) =>
                {
                    Some("the number of the transaction alone")
                }
                _ if zeros.is_some_and(|z| z.len() > 1000 && z.bytes().all(|b| b == b'0')) => {
                    Some("the same number without thousands of zeros")
                }
                _ if ours == "infinity" || ours == "-infinity" => None,
                _ if ours.starts_with('-') && !theirs.starts_with('-') && ours.ends_with('Z') => {
                    return format!("before the common era instead of {theirs}");
                }
                _ if ours.len() >= 56 && ours.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    return format!("a hash instead of {theirs}");
                }
                _ => None,
            }
        }
        (Value::Record(ours), Value::Record(theirs)) if same_number(ours, theirs) => {
            Some("the same number with its zeros")
        }
        // 1 January of the year 1.
        (Value::Int(ours), Value::Int(theirs)) if *ours < -719_162 && *theirs >= -719_162 => {
            if *ours != i32::MIN {
                return format!("before the common era instead of {theirs}");
            }
            None
        }
        _ => None,
    };
    if let Some(known) = known {
        return known.to_owned();
    }
    let codes: Vec<Value> = PLACEHOLDER.bytes().map(|byte| Value::Int(byte.into())).collect();
    let plain = |value: &Value| match value {
        Value::Union(_, value) => (**value).clone(),
        value => value.clone(),
    };
    let placeholder = match theirs {
        Value::String(text) => text.contains(PLACEHOLDER),
        Value::Bytes(bytes) => bytes == PLACEHOLDER.as_bytes(),
        Value::Array(items) => {
            let items: Vec<Value> = items.iter().map(plain).collect();
            let widened = codes.iter().map(|code| match code {
                Value::Int(code) => Value::Long((*code).into()),
                other => other.clone(),
            });
            // The name-based UUID of the placeholder.
            let uuid = Value::String("b68a35a7-17ad-35b3-af2a-ae46edb4545a".to_owned());
            items == codes || items == widened.collect::<Vec<_>>() || items == [uuid]
        }
        _ => false,
    };
    if placeholder {
        let ours = if *ours == Value::Null { "null" } else { "a value" };
        return format!("{ours} instead of the placeholder");
    }
    let infinite = match ours {
        Value::Int(days) => [i32::MIN, i32::MAX].contains(days),
        Value::Long(units) => [i64::MIN, i64::MAX].contains(units),
        Value::String(text) => text == "infinity" || text == "-infinity",
        _ => false,
    };
    let ours = if infinite { "infinity".to_owned() } else { tree::short(ours) };
    format!("{ours} instead of {}", tree::short(theirs))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Boolean(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Long(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Double(value) => *value == 0.0,
        Value::Bytes(bytes) => bytes.iter().all(|byte| *byte == 0),
        Value::String(text) => text.is_empty() || text == "0" || text.starts_with("1970-01-01"),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether two decimals with a scale of their own are one number.
fn same_number(ours: &[(String, Value)], theirs: &[(String, Value)]) -> bool {
    let parts = |fields: &[(String, Value)]| match fields {
        [(_, Value::Int(scale)), (_, Value::Bytes(bytes))] if bytes.len() <= 12 => {
            let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
            let start = if negative { -1_i128 } else { 0 };
            let number = bytes.iter().fold(start, |n, byte| n << 8 | i128::from(*byte));
            Some((u32::try_from(*scale).ok()?, number))
        }
        _ => None,
    };
    let (Some((ours_scale, ours)), Some((theirs_scale, theirs))) = (parts(ours), parts(theirs))
    else {
        return false;
    };
    ours_scale.checked_sub(theirs_scale).is_some_and(|more| ours == theirs * 10_i128.pow(more))
}

/// The source stopped, for a reason that names a column.
pub(crate) fn stopped(report: &str) -> String {
    let column = report.split_once(", column ").map_or(report, |(_, rest)| rest);
    format!("source stops at {}", column.trim())
}

/// What of a scenario's differences the table does not explain, and what it promises in vain.
pub(crate) fn unexpected(name: &str, found: &BTreeSet<String>) -> Vec<String> {
    let explained = |difference: &String| EXPECTED.iter().any(|row| row.explains(difference));
    let unexplained = found.iter().filter(|difference| !explained(difference));
    let mut wrong: Vec<String> = unexplained.map(|what| format!("{name}: {what}")).collect();
    for row in EXPECTED.iter().filter(|row| row.is_shown_by(name)) {
        if !found.iter().any(|difference| row.explains(difference)) {
            wrong.push(format!("{name}: does not show: {}", row.defect));
        }
    }
    wrong
}
