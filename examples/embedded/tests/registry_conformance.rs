//! What any registry with Confluent's API must answer: `testdata/registry/conformance.json`, sent
//! to the embedded one, or by `REGISTRY_URL` (without a `/` at its end) to another. That one should
//! be a throwaway: subjects stay behind, and for a moment the global level and mode change.
#![cfg(feature = "registry")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "registry-storage")]
use embedded_services::registry::Storage;
use embedded_services::registry::{Config, Registry};
use serde_json::Value;

/// Values that steps name with `$`: what a case keeps by `=name` and compares later.
type Kept = BTreeMap<String, Value>;

#[tokio::test]
async fn the_registry_answers_as_expected() {
    match std::env::var("REGISTRY_URL") {
        Ok(url) => answers_as_expected(&url).await,
        Err(_) => {
            let own = Registry::start(Config::new()).await.unwrap();
            answers_as_expected(&own.url()).await;
        }
    }
}

#[cfg(feature = "registry-storage")]
#[tokio::test]
async fn a_registry_in_a_file_answers_as_expected() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::File(dir.path().join("registry"));
    let own = Registry::start(Config::new().with_storage(storage)).await.unwrap();
    answers_as_expected(&own.url()).await;
}

#[cfg(all(feature = "registry-storage", feature = "postgres"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_in_postgres_answers_as_expected() {
    use embedded_services::postgres::{self, Postgres};

    let server = Postgres::start(postgres::Config::new()).unwrap();
    let database = pgoutput::client::Config::parse(&server.url("postgres")).unwrap();
    let storage = Storage::Postgres(Box::new(database));
    let own = Registry::start(Config::new().with_storage(storage)).await.unwrap();
    answers_as_expected(&own.url()).await;
}

async fn answers_as_expected(url: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../testdata/registry/conformance.json")).unwrap();
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 1_000_000_000;

    let (mut steps, mut differences) = (0, Vec::new());
    for (index, case) in cases.iter().enumerate() {
        let mut kept = Kept::from([
            ("s".to_owned(), format!("suite-{run}-{index}").into()),
            ("c".to_owned(), format!("suite{run}").into()),
            ("big".to_owned(), Value::from(1_000_000_000 + run as u64)),
        ]);
        for step in case["steps"].as_array().unwrap() {
            steps += 1;
            if let Err(found) = take(&http, url, step, &mut kept).await {
                let name = case["name"].as_str().unwrap();
                let request = step["request"].as_str().unwrap();
                differences.push(format!("| {name} | `{request}` | {found} |"));
            }
        }
    }
    println!("{} of {steps} steps as expected", steps - differences.len());
    assert!(steps > 200);
    assert!(
        differences.is_empty(),
        "{} of {steps} steps differ:\n| case | request | difference |\n|---|---|---|\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Sends the request of a step; tells how the answer differs.
async fn take(
    http: &reqwest::Client,
    url: &str,
    step: &Value,
    kept: &mut Kept,
) -> Result<(), String> {
    let (method, path) = step["request"].as_str().unwrap().split_once(' ').unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = http.request(method, format!("{url}{}", fill_text(path, kept)));
    if let Some(send) = step.get("send") {
        request = request
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(fill(send, kept).to_string());
    }
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|error| error.to_string())?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);

    let told = format!("{status} {}", body["error_code"]);
    if step["status"] != status {
        return Err(format!("status {told}, not {}", step["status"]));
    }
    if let Some(code) = step.get("code")
        && body["error_code"] != *code
    {
        return Err(format!("code {told}, not {code}"));
    }
    if step.get("code").is_some() && body["message"].as_str().is_none_or(str::is_empty) {
        return Err("no message".to_owned());
    }
    if let Some(message) = step.get("message") {
        let message = fill(message, kept);
        if body["message"] != message {
            return Err(format!("message {}, not {message}", body["message"]));
        }
    }
    match step.get("body") {
        Some(shape) => compare(shape, &body, kept).map_err(|what| format!("body: {what}")),
        None => Ok(()),
    }
}

/// Members that the shape does not name may be there.
fn compare(shape: &Value, found: &Value, kept: &mut Kept) -> Result<(), String> {
    let other = || Err(format!("{found}, not {shape}"));
    match (shape, found) {
        (Value::Object(members), Value::Object(object)) => {
            members.iter().try_for_each(|(key, shape)| match object.get(key) {
                Some(found) => compare(shape, found, kept).map_err(|what| format!("{key}: {what}")),
                None => Err(format!("no {key}")),
            })
        }
        (Value::Array(shapes), Value::Array(items)) if shapes.len() == items.len() => {
            shapes.iter().zip(items).try_for_each(|(shape, item)| compare(shape, item, kept))
        }
        (Value::String(text), _) => {
            let is = match &**text {
                "<any>" => true,
                "<int>" => found.is_u64(),
                "<text>" => found.as_str().is_some_and(|text| !text.is_empty()),
                "<list>" => found.as_array().is_some_and(|items| !items.is_empty()),
                _ => {
                    if let Some(name) = text.strip_prefix('=') {
                        kept.insert(name.to_owned(), found.clone());
                        !found.is_null()
                    } else if let Some(item) = text.strip_prefix("<has>") {
                        let item = fill_text(item, kept);
                        found.as_array().is_some_and(|all| all.iter().any(|i| *i == item))
                    } else if let Some(item) = text.strip_prefix("<lacks>") {
                        let item = fill_text(item, kept);
                        found.as_array().is_some_and(|all| all.iter().all(|i| *i != item))
                    } else if let Some(json) = text.strip_prefix("<json>") {
                        let json: Value = serde_json::from_str(&fill_text(json, kept)).unwrap();
                        let found = found.as_str().unwrap_or_default();
                        serde_json::from_str::<Value>(found).is_ok_and(|found| found == json)
                    } else {
                        fill(shape, kept) == *found
                    }
                }
            };
            if is { Ok(()) } else { other() }
        }
        _ if shape == found => Ok(()),
        _ => other(),
    }
}

/// Puts values in the place of their names; a text that is one name takes the value as it is.
fn fill(value: &Value, kept: &Kept) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$').and_then(|name| kept.get(name)) {
            Some(value) => value.clone(),
            None => fill_text(text, kept).into(),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, kept)).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), fill(value, kept))).collect()
        }
        scalar => scalar.clone(),
    }
}

fn fill_text(text: &str, kept: &Kept) -> String {
    let mut names: Vec<_> = kept.keys().collect();
    // The longest first: `$id2` is not `$id` and a 2.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.into_iter().fold(text.to_owned(), |text, name| {
        let value = match &kept[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.replace(&format!("${name}"), &value)
    })
}
