//! Options of the outbox transformation.

use regex::Regex;

/// The outbox pattern's routing, as Debezium's `EventRouter` does it: rows inserted into a table
/// become events in topics that the rows themselves name.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need all of it"))]
pub struct Outbox {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) payload: String,
    pub(crate) timestamp: Option<String>,
    pub(crate) route_by: String,
    pub(crate) pattern: Regex,
    pub(crate) replacement: String,
    pub(crate) additional: Vec<Placed>,
    pub(crate) expand_json: bool,
    pub(crate) tombstone_on_empty: bool,
}

/// A column that goes along with the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need all of it"))]
pub(crate) struct Placed {
    pub(crate) column: String,
    /// Into the headers; otherwise beside the payload.
    pub(crate) header: bool,
    pub(crate) name: String,
}

impl PartialEq for Outbox {
    fn eq(&self, other: &Self) -> bool {
        let names =
            |o: &Self| [&o.id, &o.key, &o.payload, &o.route_by, &o.replacement].map(String::clone);
        names(self) == names(other)
            && self.timestamp == other.timestamp
            && self.pattern.as_str() == other.pattern.as_str()
            && self.additional == other.additional
            && self.expand_json == other.expand_json
            && self.tombstone_on_empty == other.tombstone_on_empty
    }
}

impl Outbox {
    /// Takes a setting of the transformation. `None` when its value is not understood, otherwise
    /// whether there is such a setting.
    pub(crate) fn set(&mut self, setting: &str, value: &str) -> Option<bool> {
        let flag = || match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match setting {
            "table.field.event.id" => value.clone_into(&mut self.id),
            "table.field.event.key" => value.clone_into(&mut self.key),
            "table.field.event.payload" => value.clone_into(&mut self.payload),
            "table.field.event.timestamp" => {
                self.timestamp = Some(value.to_owned()).filter(|value| !value.is_empty());
            }
            "route.by.field" => value.clone_into(&mut self.route_by),
            "route.topic.regex" => {
                self.pattern = crate::route::whole(&value.replace("(?<", "(?P<"))?;
            }
            "route.topic.replacement" => self.replacement = crate::route::expansion(value),
            "table.expand.json.payload" => self.expand_json = flag()?,
            "route.tombstone.on.empty.payload" => self.tombstone_on_empty = flag()?,
            "table.fields.additional.placement" => {
                self.additional = value
                    .split(',')
                    .map(str::trim)
                    .filter(|entry| !entry.is_empty())
                    .map(placed)
                    .collect::<Option<_>>()?;
            }
            "type"
            | "predicate"
            | "negate"
            | "table.op.invalid.behavior"
            | "table.field.event.type" => {}
            _ => return Some(false),
        }
        Some(true)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        #[allow(clippy::expect_used, reason = "a constant pattern")]
        let pattern = Regex::new("^(?P<routedByValue>.*)$").expect("a valid pattern");
        Self {
            id: "id".to_owned(),
            key: "aggregateid".to_owned(),
            payload: "payload".to_owned(),
            timestamp: None,
            route_by: "aggregatetype".to_owned(),
            pattern,
            replacement: "outbox.event.${routedByValue}".to_owned(),
            additional: Vec::new(),
            expand_json: false,
            tombstone_on_empty: false,
        }
    }
}

/// `column:header`, `column:envelope`, each with an optional `:alias`.
fn placed(entry: &str) -> Option<Placed> {
    let mut parts = entry.split(':').map(str::trim);
    let column = parts.next().filter(|column| !column.is_empty())?.to_owned();
    let header = match parts.next()? {
        "header" => true,
        "envelope" => false,
        _ => return None,
    };
    let name = parts.next().map_or_else(|| column.clone(), str::to_owned);
    parts.next().is_none().then_some(Placed { column, header, name })
}
