//! A registry in memory, for tests.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::endpoint::percent_decode;
use crate::error::Error;
use crate::id::Guid;
use crate::transport::{Method, Request, Response, Transport};

/// A registry without a network: a [`Transport`] that keeps what is registered with it, answers
/// with the codes of a real one, counts the requests and fails when it is told to.
///
/// It knows schemas by id, GUID, content, subject and version, deletes softly and permanently,
/// and takes every schema for compatible. Settings, modes and contexts it does not know. Clones
/// are the same registry.
///
/// ```
/// use std::sync::Arc;
/// use registry_client::{Client, Config, MockRegistry, NewSchema, Subject};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), registry_client::Error> {
///     let registry = MockRegistry::new();
///     let config = Config::new("http://mock");
///     let client = Client::with_transport(config, Arc::new(registry.clone()))?;
///     let id = client.register(&Subject::new("s"), &NewSchema::new("\"long\"")).await?;
///     registry.fail(1, 503);
///     assert_eq!(client.schema(id).await?.schema(), "\"long\"");
///     assert_eq!(registry.requests(), 3);
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MockRegistry(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By id, which is one more than the index.
    schemas: Vec<Value>,
    subjects: BTreeMap<String, Vec<Entry>>,
    requests: usize,
    failures: usize,
    status: u16,
}

#[derive(Debug)]
struct Entry {
    version: usize,
    id: usize,
    deleted: bool,
}

/// What a refusal says: status, code, words.
type Refusal = (u16, u32, &'static str);

const NO_SUBJECT: Refusal = (404, 40401, "Subject not found.");
const NO_VERSION: Refusal = (404, 40402, "Version not found.");
const NO_SCHEMA: Refusal = (404, 40403, "Schema not found");
const SOFT_DELETED: Refusal = (404, 40404, "Subject was soft deleted.");
const NOT_SOFT_DELETED: Refusal = (404, 40405, "Subject was not deleted first.");
const VERSION_SOFT_DELETED: Refusal = (404, 40406, "Version was soft deleted.");
const VERSION_NOT_SOFT_DELETED: Refusal = (404, 40407, "Version was not deleted first.");
const NO_PATH: Refusal = (404, 404, "HTTP 404 Not Found");
const BAD_SCHEMA: Refusal = (422, 42201, "Invalid schema");
const BAD_VERSION: Refusal = (422, 42202, "The specified version is not valid.");

impl MockRegistry {
    /// A registry that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests have come, with those that failed.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Answers the next `requests` with `status` and nothing else; with status 0 they get no
    /// answer at all.
    pub fn fail(&self, requests: usize, status: u16) {
        let mut state = self.lock();
        state.failures = requests;
        state.status = status;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for MockRegistry {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let mut state = self.lock();
        state.requests += 1;
        if state.failures > 0 {
            state.failures -= 1;
            return match state.status {
                0 => Err(Error::transport("the mock registry was told to fail")),
                status => Ok(Response::new(status, "")),
            };
        }
        Ok(match state.answer(&request) {
            Ok(value) => Response::new(200, value.to_string()),
            Err((status, code, words)) => {
                let body = json!({ "error_code": code, "message": words });
                Response::new(status, body.to_string())
            }
        })
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Result<Value, Refusal> {
        let after_host = request.url().splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = after_host.split_once('?').unwrap_or((after_host, ""));
        let asked = |parameter: &str| query.split('&').any(|pair| pair == parameter);
        let (deleted, permanent) = (asked("deleted=true"), asked("permanent=true"));
        let segments: Vec<String> = path
            .split('/')
            .filter_map(percent_decode)
            .skip_while(|segment| !ROOTS.contains(&&**segment))
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let body = || {
            let bytes = request.body().ok_or(BAD_SCHEMA)?;
            serde_json::from_slice::<Value>(bytes).map_err(|_| BAD_SCHEMA)
        };
        match (request.method(), &*segments) {
            (Method::Get, ["schemas", "types"]) => Ok(json!(["JSON", "PROTOBUF", "AVRO"])),
            (Method::Get, ["schemas", "ids", id]) => {
                let index = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
                index.and_then(|index| self.schemas.get(index)).cloned().ok_or(NO_SCHEMA)
            }
            (Method::Get, ["schemas", "guids", guid]) => {
                let found = self.schemas.iter().find(|schema| schema["guid"] == *guid);
                found.cloned().ok_or(NO_SCHEMA)
            }
            (Method::Get, ["schemas", "guids", guid, "ids"]) => {
                let found = self.schemas.iter().position(|schema| schema["guid"] == *guid);
                let index = found.ok_or(NO_SCHEMA)?;
                Ok(json!([{ "context": ".", "id": index + 1 }]))
            }
            (Method::Get, ["subjects"]) => Ok(self.names(deleted)),
            (Method::Post, ["subjects", subject]) => {
                self.look_up(subject, &content(body()?)?, deleted)
            }
            (Method::Delete, ["subjects", subject]) => self.delete(subject, None, permanent),
            (Method::Get, ["subjects", subject, "versions"]) => {
                let live = self.entries(subject, deleted)?;
                Ok(live.map(|entry| json!(entry.version)).collect())
            }
            (Method::Post, ["subjects", subject, "versions"]) => {
                self.register(subject, content(body()?)?)
            }
            (Method::Get, ["subjects", subject, "versions", version]) => {
                let wanted = parse_version(version)?;
                let mut live = self.entries(subject, deleted)?;
                let found = match wanted {
                    Some(version) => live.find(|entry| entry.version == version),
                    None => live.last(),
                };
                Ok(self.describe(subject, found.ok_or(NO_VERSION)?))
            }
            (Method::Delete, ["subjects", subject, "versions", version]) => {
                let wanted = parse_version(version)?;
                self.delete(subject, Some(wanted), permanent)
            }
            (Method::Post, ["compatibility", "subjects", _, "versions", ..]) => {
                content(body()?)?;
                Ok(json!({ "is_compatible": true }))
            }
            _ => Err(NO_PATH),
        }
    }

    fn names(&self, deleted: bool) -> Value {
        let live = |entries: &&Vec<Entry>| deleted || entries.iter().any(|entry| !entry.deleted);
        let named = self.subjects.iter().filter(|(_, entries)| live(entries));
        named.map(|(name, _)| json!(name)).collect()
    }

    /// The versions of `subject` in order, of which there must be one.
    fn entries(
        &self,
        subject: &str,
        deleted: bool,
    ) -> Result<impl Iterator<Item = &Entry>, Refusal> {
        let entries = self.subjects.get(subject).ok_or(NO_SUBJECT)?;
        if !deleted && entries.iter().all(|entry| entry.deleted) {
            return Err(NO_SUBJECT);
        }
        Ok(entries.iter().filter(move |entry| deleted || !entry.deleted))
    }

    fn describe(&self, subject: &str, entry: &Entry) -> Value {
        let schema = self.schemas.get(entry.id - 1).cloned().unwrap_or_default();
        let schema = with(schema, "subject", json!(subject));
        let schema = with(schema, "version", json!(entry.version));
        with(schema, "id", json!(entry.id))
    }

    fn id_of(&self, content: &Value) -> Option<usize> {
        self.schemas.iter().position(|known| known == content).map(|index| index + 1)
    }

    fn look_up(&self, subject: &str, content: &Value, deleted: bool) -> Result<Value, Refusal> {
        let mut live = self.entries(subject, deleted)?;
        let id = self.id_of(content).ok_or(NO_SCHEMA)?;
        let entry = live.find(|entry| entry.id == id).ok_or(NO_SCHEMA)?;
        Ok(self.describe(subject, entry))
    }

    fn register(&mut self, subject: &str, content: Value) -> Result<Value, Refusal> {
        let id = self.id_of(&content).unwrap_or_else(|| {
            self.schemas.push(content);
            self.schemas.len()
        });
        let entries = self.subjects.entry(subject.to_owned()).or_default();
        if !entries.iter().any(|entry| entry.id == id && !entry.deleted) {
            let version = entries.last().map_or(1, |entry| entry.version + 1);
            entries.push(Entry { version, id, deleted: false });
        }
        let mut live = self.entries(subject, false)?;
        let entry = live.find(|entry| entry.id == id).ok_or(NO_SCHEMA)?;
        Ok(self.describe(subject, entry))
    }

    /// Deletes one version (`Some(None)`: the latest) or all of them.
    fn delete(
        &mut self,
        subject: &str,
        version: Option<Option<usize>>,
        permanent: bool,
    ) -> Result<Value, Refusal> {
        let entries = self.subjects.get_mut(subject).ok_or(NO_SUBJECT)?;
        let latest = entries.iter().rfind(|entry| entry.deleted == permanent);
        let latest = latest.map(|entry| entry.version);
        let meant = |entry: &Entry| match version {
            None => true,
            Some(None) => Some(entry.version) == latest,
            Some(Some(version)) => entry.version == version,
        };
        let found: Vec<&mut Entry> = entries.iter_mut().filter(|entry| meant(entry)).collect();
        let refusal = match (version.is_some(), permanent) {
            _ if found.is_empty() => Some(NO_VERSION),
            (true, true) if found.iter().any(|entry| !entry.deleted) => {
                Some(VERSION_NOT_SOFT_DELETED)
            }
            (false, true) if found.iter().any(|entry| !entry.deleted) => Some(NOT_SOFT_DELETED),
            (true, false) if found.iter().all(|entry| entry.deleted) => Some(VERSION_SOFT_DELETED),
            (false, false) if found.iter().all(|entry| entry.deleted) => Some(SOFT_DELETED),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let mut gone = Vec::new();
        for entry in found {
            if permanent || !entry.deleted {
                gone.push(entry.version);
            }
            entry.deleted = true;
        }
        if permanent {
            entries.retain(|entry| !gone.contains(&entry.version));
        }
        if entries.is_empty() {
            self.subjects.remove(subject);
        }
        Ok(match version {
            Some(_) => json!(gone.first()),
            None => json!(gone),
        })
    }
}

/// What makes a schema the same as another.
fn content(body: Value) -> Result<Value, Refusal> {
    let Value::Object(mut fields) = body else { return Err(BAD_SCHEMA) };
    let text = fields.get("schema").and_then(Value::as_str).ok_or(BAD_SCHEMA)?;
    let avro = fields.get("schemaType").is_none_or(|language| language == "AVRO");
    if avro && serde_json::from_str::<Value>(text).is_err() {
        return Err(BAD_SCHEMA);
    }
    fields.retain(|name, value| CONTENT.contains(&&**name) && !value.is_null());
    if avro {
        fields.remove("schemaType");
    }
    let content = Value::Object(fields);
    let text = content.to_string();
    let mut guid = [0; 16];
    for (index, half) in guid.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (index, &text).hash(&mut hasher);
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    Ok(with(content, "guid", json!(Guid::new(guid).to_string())))
}

/// The object with one field more.
fn with(mut object: Value, name: &str, field: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), field);
    }
    object
}

fn parse_version(text: &str) -> Result<Option<usize>, Refusal> {
    match text {
        "latest" | "-1" => Ok(None),
        number => {
            let number = number.parse().ok().filter(|number| *number > 0);
            number.map(Some).ok_or(BAD_VERSION)
        }
    }
}

const ROOTS: [&str; 3] = ["subjects", "schemas", "compatibility"];
const CONTENT: [&str; 5] = ["schema", "schemaType", "references", "metadata", "ruleSet"];
