//! The records of a run against those of Debezium.

use apache_avro::types::Value;

use crate::{
    fresh::Fresh,
    pipeline::{Received, Record},
    scenario::{Expected, Golden, Scenario},
    tree::{Reader, Unstable, difference},
};

/// What was compared and found the same.
pub(crate) struct Compared {
    pub(crate) records: usize,
    /// What could not be compared.
    pub(crate) notes: Vec<String>,
}

/// The connector's headers; the last differs in every run.
const RUN_ID: &str = "__debezium.context.runId";

/// Schema id and datum of a framed message.
pub(crate) fn split(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (header, datum) = bytes.split_first_chunk::<5>()?;
    let [0, id @ ..] = *header else { return None };
    Some((u32::from_be_bytes(id), datum))
}

/// Compares topic by topic, in order; the error is the first difference.
pub(crate) fn compare(scenario: &Scenario, received: &Received) -> Result<Compared, String> {
    let mut comparison = Comparison {
        scenario,
        received,
        reader: Reader::default(),
        fresh: Fresh::new(scenario, received.began, received.ended),
        added: added_fields(scenario, "fields"),
        added_headers: added_fields(scenario, "headers"),
        notes: Vec::new(),
    };
    let mut topics: Vec<&str> = Vec::new();
    for record in &scenario.records {
        if !topics.contains(&record.topic.as_str()) {
            topics.push(&record.topic);
        }
    }
    let mut records = 0;
    for topic in &topics {
        let golden: Vec<&Golden> =
            scenario.records.iter().filter(|record| record.topic == *topic).collect();
        records += comparison.topic(topic, &golden)?;
    }
    for (topic, extra) in &received.topics {
        if !topics.contains(&topic.as_str()) && !extra.is_empty() {
            return Err(format!("{topic}: {} records in a topic that should not be", extra.len()));
        }
    }
    comparison.one_run()?;
    comparison.sequences()?;
    Ok(Compared { records, notes: comparison.notes })
}

struct Comparison<'s> {
    scenario: &'s Scenario,
    received: &'s Received,
    reader: Reader,
    fresh: Fresh,
    /// Unstable fields that flattening adds to the rows.
    added: Vec<String>,
    /// The same among headers.
    added_headers: Vec<String>,
    notes: Vec<String>,
}

impl Comparison<'_> {
    fn topic(&mut self, topic: &str, golden: &[&Golden]) -> Result<usize, String> {
        let ours: &[Record] = self
            .received
            .topics
            .iter()
            .find(|(name, _)| name == topic)
            .map_or(&[], |(_, records)| records);
        if ours.is_empty() {
            return Err(format!("{topic}: no records instead of {}", golden.len()));
        }
        for (index, (ours, golden)) in ours.iter().zip(golden).enumerate() {
            self.record(ours, golden)
                .map_err(|what| format!("{topic}[{index}]{}: {what}", golden.label()))?;
        }
        // How many heartbeats there are, and rows of their query, is a matter of time.
        let compared = ours.len().min(golden.len());
        if beats(self.scenario, topic) && compared > 0 {
            return Ok(compared);
        }
        if ours.len() != golden.len() {
            return Err(format!("{topic}: {} records instead of {}", ours.len(), golden.len()));
        }
        Ok(golden.len())
    }

    fn record(&mut self, ours: &Record, golden: &Golden) -> Result<(), String> {
        let key = self.scenario.key(golden);
        self.side(ours.key.as_deref(), &key).map_err(|what| format!("key: {what}"))?;
        let value = self.scenario.value(golden);
        self.side(ours.value.as_deref(), &value).map_err(|what| format!("value: {what}"))?;
        self.headers(ours, golden)
    }

    fn side(&mut self, ours: Option<&[u8]>, theirs: &Expected<'_>) -> Result<(), String> {
        match (ours, theirs) {
            (None, Expected::Nothing) => Ok(()),
            (Some(_), Expected::Nothing) => Err("a datum instead of nothing".to_owned()),
            (None, Expected::Datum { .. }) => Err("nothing instead of a datum".to_owned()),
            (_, Expected::Unknown { why }) => {
                self.note(format!("not compared where Debezium's converter failed: {why}"));
                Ok(())
            }
            (Some(ours), Expected::Datum { schema, bytes }) => {
                let (id, datum) = split(ours).ok_or("no framed message")?;
                let registered = &self.received.schemas[&id];
                if registered != schema {
                    return Err(format!("schema {}", parting(registered, schema)));
                }
                let mut ours = self
                    .reader
                    .read(registered, datum)
                    .map_err(|error| format!("ours: {error}"))?;
                let mut theirs =
                    self.reader.read(schema, bytes).map_err(|error| format!("golden: {error}"))?;
                forget_addresses(&mut ours);
                forget_addresses(&mut theirs);
                let paths = unstable(schema, &self.added);
                let unstable = Unstable { paths: &paths, fresh: &self.fresh };
                difference(&ours, &theirs, &unstable).map_or(Ok(()), Err)?;
                if times_agree(&theirs) && !times_agree(&ours) {
                    return Err("ts_ms, ts_us and ts_ns are not one time".to_owned());
                }
                Ok(())
            }
        }
    }

    /// Text exactly, structs as JSON, in order.
    fn headers(&self, ours: &Record, golden: &Golden) -> Result<(), String> {
        let mut ours = ours.headers.iter();
        for theirs in &golden.headers {
            let Some((key, value)) = ours.next().filter(|(key, _)| *key == theirs.key) else {
                return Err(format!("the header {} is missing", theirs.key));
            };
            let value = value.as_deref();
            let same = match (&theirs.value, value) {
                (serde_json::Value::Null, value) => value.is_none(),
                (_, None) => false,
                _ if key == RUN_ID || self.added_headers.contains(key) => value != Some(b""),
                (serde_json::Value::String(text), Some(value)) => text.as_bytes() == value,
                (other, Some(value)) => serde_json::from_slice::<serde_json::Value>(value)
                    .is_ok_and(|value| value == *other),
            };
            if !same {
                let value = value.map_or_else(|| "null".into(), String::from_utf8_lossy);
                return Err(format!("the header {key} is {value} instead of {}", theirs.value));
            }
        }
        match ours.next() {
            Some((key, _)) => Err(format!("the header {key} is too much")),
            None => Ok(()),
        }
    }

    /// One start of the source has one id.
    fn one_run(&self) -> Result<(), String> {
        let records = self.received.topics.iter().flat_map(|(_, records)| records);
        let mut ids = records
            .flat_map(|record| &record.headers)
            .filter(|(key, _)| key == RUN_ID)
            .map(|(_, value)| value);
        let first = ids.next();
        if ids.any(|id| Some(id) != first) {
            return Err(format!("the header {RUN_ID} changes within a run"));
        }
        Ok(())
    }

    /// `source.sequence` starts with the end of the transaction before, which on a quiet server is
    /// where the next one begins, so that some changes stand right at it.
    fn sequences(&mut self) -> Result<(), String> {
        let mut theirs = 0;
        for golden in &self.scenario.records {
            if let Expected::Datum { schema, bytes } = self.scenario.value(golden) {
                let value = self.reader.read(schema, &bytes)?;
                theirs += usize::from(follows_directly(&value));
            }
        }
        let mut ours = 0;
        let records = self.received.topics.iter().flat_map(|(_, records)| records);
        for (id, datum) in records.filter_map(|record| split(record.value.as_deref()?)) {
            let value = self.reader.read(&self.received.schemas[&id], datum)?;
            ours += usize::from(follows_directly(&value));
        }
        // Now and then something else is written in between.
        if theirs > 2 && ours == 0 {
            return Err(format!(
                "source.sequence never begins where the transaction before ended, {theirs} times \
                 in Debezium's records"
            ));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Where Debezium counts the messages of a transaction it prints an object, with an address that
/// differs in every run, as does the place it gets in the list.
pub(crate) fn forget_addresses(value: &mut Value) {
    let Value::Record(fields) = value else { return };
    let counts = fields.iter_mut().find(|(name, _)| name == "data_collections");
    let Some((_, Value::Union(_, counts))) = counts else { return };
    let Value::Array(counts) = &mut **counts else { return };
    let mut moved = Vec::new();
    counts.retain_mut(|count| {
        let Value::Union(_, count) = count else { return true };
        let Value::Record(fields) = &mut **count else { return true };
        let Some((_, Value::String(name))) = fields.first_mut() else { return true };
        let Some((class, address)) = name.split_once('@') else { return true };
        if address.is_empty() || !address.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return true;
        }
        *name = format!("{class}@");
        moved.push(Value::Union(1, Box::new(Value::Record(fields.clone()))));
        false
    });
    counts.append(&mut moved);
}

/// Whether the topic gets records as time goes by.
pub(crate) fn beats(scenario: &Scenario, topic: &str) -> bool {
    let options = scenario.options();
    if options.get("heartbeat.interval.ms").is_none_or(|millis| *millis == "0") {
        return false;
    }
    let prefix = options.get("topic.heartbeat.prefix").unwrap_or(&"__debezium-heartbeat");
    let delimiter = options.get("topic.delimiter").unwrap_or(&".");
    let table = topic.rsplit(delimiter).next().unwrap_or_default();
    let query = options.get("heartbeat.action.query").copied().unwrap_or_default();
    topic.starts_with(prefix) || query.split_whitespace().any(|word| word == table)
}

/// The paths of a value that differ between runs, by what its schema says it is.
pub(crate) fn unstable(schema: &str, added: &[String]) -> Vec<String> {
    const TIMES: [&str; 3] = ["ts_ms", "ts_us", "ts_ns"];
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let mut paths: Vec<String> = match schema["name"].as_str().unwrap_or_default() {
        "Envelope" | "MessageValue" => {
            let source = ["lsn", "txId", "sequence"].iter().chain(&TIMES);
            let source = source.map(|field| format!("source.{field}"));
            let times = TIMES.iter().map(|field| (*field).to_owned());
            source.chain(times).chain(["transaction.id".to_owned()]).collect()
        }
        "Heartbeat" => vec!["ts_ms".to_owned()],
        "Notification" => vec!["timestamp".to_owned()],
        "TransactionMetadataKey" => vec!["id".to_owned()],
        "TransactionMetadataValue" => vec!["id".to_owned(), "ts_ms".to_owned()],
        _ => Vec::new(),
    };
    paths.extend_from_slice(added);
    paths
}

/// The fields that `transforms.*.add.fields` adds (or the headers of `add.headers`) and that differ between runs, by the names they
/// get: `source.ts_ms` becomes `__source_ts_ms`, `ts_ms:event_ts` becomes `__event_ts`.
pub(crate) fn added_fields(scenario: &Scenario, to: &str) -> Vec<String> {
    let options = scenario.options();
    let lists = options.iter().filter_map(|(key, list)| {
        let transform = key.strip_suffix(&format!(".add.{to}"))?;
        let prefix = options.get(format!("{transform}.add.{to}.prefix").as_str());
        Some((prefix.copied().unwrap_or("__"), *list))
    });
    lists
        .flat_map(|(prefix, list)| list.split(',').map(move |field| (prefix, field.trim())))
        .filter_map(|(prefix, field)| {
            let (path, name) = match field.split_once(':') {
                Some((path, name)) => (path, name.to_owned()),
                None => (field, field.replace('.', "_")),
            };
            let last = path.rsplit('.').next()?;
            let differs = last.starts_with("ts_")
                || ["lsn", "txId", "sequence"].contains(&last)
                || path == "transaction.id";
            differs.then(|| format!("{prefix}{name}"))
        })
        .collect()
}

fn field<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    match (value, path) {
        (Value::Union(_, value), _) => field(value, path),
        (value, []) => Some(value),
        (Value::Record(fields), [first, rest @ ..]) => {
            let (_, value) = fields.iter().find(|(name, _)| name == first)?;
            field(value, rest)
        }
        _ => None,
    }
}

/// Whether the three times of the event and of its source are each the same, cut to their unit.
fn times_agree(value: &Value) -> bool {
    let agree = |path: &[&str]| {
        let time = |name| match field(value, &[path, &[name]].concat()) {
            Some(Value::Long(time)) => Some(*time),
            _ => None,
        };
        match (time("ts_ms"), time("ts_us"), time("ts_ns")) {
            (Some(ms), Some(us), Some(ns)) => {
                us.div_euclid(1000) == ms && ns.div_euclid(1000) == us
            }
            _ => true,
        }
    };
    agree(&[]) && agree(&["source"])
}

/// Whether the change stands where `source.sequence` says that the transaction before ended.
fn follows_directly(value: &Value) -> bool {
    let Some(Value::String(sequence)) = field(value, &["source", "sequence"]) else { return false };
    let sequence: Vec<Option<String>> = serde_json::from_str(sequence).unwrap_or_default();
    matches!(&sequence[..], [Some(last), Some(this)] if last == this)
}

/// Where two texts part.
fn parting(ours: &str, theirs: &str) -> String {
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(60);
    let cut = |text: &str| text.chars().skip(from).take(160).collect::<String>();
    format!("at {same}: …{} instead of …{}", cut(ours), cut(theirs))
}
