//! A bag of connector properties: read from a file, secrets filled in, taken key by key, and what
//! nobody took reported with the nearest key that exists.

use std::{collections::BTreeMap, fs, path::Path};

/// Connector properties as they are being read; every mistake is collected, none stops the reading.
#[derive(Debug, Default)]
pub struct Properties {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Properties {
    /// Reads connector JSON (`{"name":…,"config":{…}}` or the plain object) or a `.properties`
    /// file. A file that cannot be read or parsed is a problem of the result.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return Self::failed(format!("cannot read {}: {error}", path.display()));
            }
        };
        let parsed = if text.trim_start().starts_with('{') {
            parse_json(&text)
        } else {
            Ok(parse_java_properties(&text))
        };
        match parsed {
            Ok(values) => Self::from_values(values),
            Err(problem) => Self::failed(format!("{}: {problem}", path.display())),
        }
    }

    /// Properties given directly.
    #[must_use]
    pub fn from_values(values: BTreeMap<String, String>) -> Self {
        let mut problems = Vec::new();
        let values = values
            .into_iter()
            .map(|(key, value)| match fill_secrets(&value) {
                Ok(filled) => (key, filled),
                Err(problem) => {
                    problems.push(format!("{key}: {problem}"));
                    (key, value)
                }
            })
            .collect();
        Self { values, problems }
    }

    fn failed(problem: String) -> Self {
        Self { values: BTreeMap::new(), problems: vec![problem] }
    }

    /// Takes the value of the first of these keys that is present; the others are taken too, so
    /// that an old and a new name of one setting never count as unknown.
    pub fn take(&mut self, keys: &[&str]) -> Option<String> {
        let mut found = None;
        for key in keys {
            if let Some(value) = self.values.remove(*key) {
                found.get_or_insert(value);
            }
        }
        found
    }

    /// Looks at a value and leaves it for somebody else to take.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Takes a value that must be there.
    pub fn required(&mut self, keys: &[&str], why: &str) -> String {
        self.take(keys).unwrap_or_else(|| {
            let name = keys.first().copied().unwrap_or_default();
            self.problem(format!("{name} is missing: {why}"));
            String::new()
        })
    }

    /// Takes a value of a type that reads itself from text.
    pub fn parsed<T: std::str::FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        let value = self.take(&[key])?;
        let parsed = value.trim().parse().ok();
        if parsed.is_none() {
            self.problem(format!("{key}: {value:?} is not {expected}"));
        }
        parsed
    }

    /// Takes `true` or `false`.
    pub fn truth(&mut self, key: &str) -> Option<bool> {
        let value = self.take(&[key])?;
        let truth = match value.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        if truth.is_none() {
            self.problem(format!("{key}: {value:?} is neither true nor false"));
        }
        truth
    }

    /// Takes every key that starts with `prefix`, without the prefix.
    pub fn take_prefixed(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let keys: Vec<String> =
            self.values.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        keys.into_iter()
            .filter_map(|key| {
                let value = self.values.remove(&key)?;
                Some((key.strip_prefix(prefix)?.to_owned(), value))
            })
            .collect()
    }

    /// What is left to be taken.
    pub fn rest(&mut self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.values)
    }

    /// Notes a mistake.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The mistakes noted so far.
    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// Says that `key` means nothing here, with the nearest of the `known` keys.
#[must_use]
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(key.len()) / 2);
    match nearest {
        Some((_, candidate)) => format!("{key} is not a known key; did you mean {candidate}?"),
        None => format!("{key} is not a known key"),
    }
}

/// Edit distance, with a missing tail counted lightly: `schema.include` is near
/// `schema.include.list`.
fn distance(a: &str, b: &str) -> usize {
    if b.starts_with(a) || a.starts_with(b) {
        return 1;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

fn parse_json(text: &str) -> Result<BTreeMap<String, String>, String> {
    let root: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let object = match root.get("config") {
        Some(config) => config.as_object(),
        None => root.as_object(),
    }
    .ok_or("the configuration is not a JSON object")?;
    let mut values: BTreeMap<String, String> = object
        .iter()
        .map(|(key, value)| {
            let value = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (key.clone(), value)
        })
        .collect();
    if let Some(name) = root.get("name").and_then(serde_json::Value::as_str) {
        values.entry("name".to_owned()).or_insert_with(|| name.to_owned());
    }
    Ok(values)
}

fn parse_java_properties(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(|line| {
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            (key.trim().to_owned(), value.trim().replace("\\\\", "\\"))
        })
        .collect()
}

/// Replaces `${env:NAME}` and `${file:/path:key}`.
fn fill_secrets(value: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((reference, tail)) = after.split_once('}') else { break };
        filled.push_str(before);
        if let Some(name) = reference.strip_prefix("env:") {
            let secret = std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?;
            filled.push_str(&secret);
        } else if let Some((path, key)) =
            reference.strip_prefix("file:").and_then(|file| file.rsplit_once(':'))
        {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("cannot read the secrets file {path}: {error}"))?;
            let secret = parse_java_properties(&text)
                .remove(key)
                .ok_or_else(|| format!("the secrets file {path} has no key {key}"))?;
            filled.push_str(&secret);
        } else {
            // Not ours: a literal such as a pattern that happens to hold `${…}`.
            filled.push_str("${");
            filled.push_str(reference);
            filled.push('}');
        }
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_json_is_read_with_or_without_its_envelope() {
        let wrapped = parse_json(r#"{"name":"s","config":{"flush.size":100,"a":"b"}}"#).unwrap();
        assert_eq!(wrapped["flush.size"], "100");
        assert_eq!(wrapped["name"], "s");
        assert_eq!(parse_json(r#"{"a":"b"}"#).unwrap()["a"], "b");
        assert!(parse_json("[1]").is_err());
    }

    #[test]
    fn the_nearest_key_is_named() {
        let known = ["schema.include.list", "table.include.list", "slot.name"];
        assert_eq!(
            unknown_key("schema.include", &known),
            "schema.include is not a known key; did you mean schema.include.list?"
        );
        assert_eq!(
            unknown_key("slotname", &known),
            "slotname is not a known key; did you mean slot.name?"
        );
        assert_eq!(unknown_key("zzzzzzzz", &known), "zzzzzzzz is not a known key");
    }

    #[test]
    fn secrets_come_from_a_file_or_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.properties");
        fs::write(&path, "password=pa=ss\n").unwrap();
        let value = format!("x${{file:{}:password}}y", path.display());
        assert_eq!(fill_secrets(&value).unwrap(), "xpa=ssy");
        assert_eq!(fill_secrets("a${b}c").unwrap(), "a${b}c");
        assert!(fill_secrets("${env:SURELY_NOT_SET_ANYWHERE}").is_err());
    }

    #[test]
    fn old_and_new_names_of_one_setting_are_both_taken() {
        let values = [("topic.prefix", "new"), ("database.server.name", "old")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut properties = Properties::from_values(values.into());
        assert_eq!(
            properties.take(&["topic.prefix", "database.server.name"]).as_deref(),
            Some("new")
        );
        assert!(properties.rest().is_empty());
    }
}
