//! The REST API: paths to calls of the store.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Text};
use super::faults;
use super::store::{Deleted, Deletion, Entry, Mode, Reference, Schema, Selector};
use super::{CompatibilityLevel, Shared};

/// The whole service: the API at the root and where Apicurio has it, and a health check.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = api();
    Router::new()
        .merge(api.clone())
        .nest("/apis/ccompat/v6", api.clone())
        .nest("/apis/ccompat/v7", api)
        .fallback(async || Refusal::plain(404, "no such path"))
        .method_not_allowed_fallback(async || Refusal::plain(405, "method not allowed"))
        .layer(from_fn_with_state(Arc::clone(&shared), fault))
        .route("/health", get(async || Answer(json!({"status": "up"}))))
        .with_state(shared)
}

type Shop = State<Arc<Shared>>;
type Result<T> = std::result::Result<Answer<T>, Refusal>;

fn api() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async || Answer(json!({}))))
        .route("/contexts", get(async || Answer([":.:"])))
        .route("/schemas/types", get(async || Answer(["AVRO"])))
        .route("/schemas/ids/{id}", get(schema_by_id))
        .route("/schemas/ids/{id}/schema", get(schema_text_by_id))
        .route("/schemas/ids/{id}/subjects", get(subjects_by_id))
        .route("/schemas/ids/{id}/versions", get(versions_by_id))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(referenced_by))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible_with))
        .route("/config", get(global_level).put(set_global_level).delete(reset_global_level))
        .route("/config/{subject}", get(level).put(set_level).delete(clear_level))
        .route("/mode", get(global_mode).put(set_global_mode))
        .route("/mode/{subject}", get(mode).put(set_mode).delete(clear_mode))
}

/// Lets a request meet what is ordered.
async fn fault(State(shared): Shop, request: Request, next: Next) -> Response {
    let met = shared.faults.meet();
    if let Some(delay) = met.delay {
        tokio::time::sleep(delay).await;
    }
    let response = match met.status {
        Some(status) => Refusal::fault(status).into_response(),
        None => next.run(request).await,
    };
    if met.cut { faults::cut(response).await } else { response }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Options {
    deleted: bool,
    deleted_only: bool,
    permanent: bool,
    verbose: bool,
    default_to_global: bool,
    subject_prefix: String,
    offset: usize,
    limit: Option<i64>,
}

impl Options {
    fn deleted(&self) -> Deleted {
        match (self.deleted_only, self.deleted) {
            (true, _) => Deleted::Only,
            (false, true) => Deleted::Shown,
            (false, false) => Deleted::Hidden,
        }
    }

    fn deletion(&self) -> Deletion {
        if self.permanent { Deletion::Permanent } else { Deletion::Soft }
    }

    /// The asked-for part of a list; a negative limit is none.
    fn page<T>(&self, items: Vec<T>) -> Vec<T> {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok());
        items.into_iter().skip(self.offset).take(limit.unwrap_or(usize::MAX)).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaBody {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Serialize)]
struct SchemaAnswer {
    #[serde(flatten)]
    place: Option<Place>,
    schema: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
}

#[derive(Serialize)]
struct Place {
    subject: String,
    version: u32,
    id: u32,
}

impl From<Entry> for SchemaAnswer {
    fn from(entry: Entry) -> Self {
        let place = Place { subject: entry.subject, version: entry.version, id: entry.id };
        let Schema { text, references, .. } = entry.schema;
        Self { place: Some(place), schema: text.to_string(), references }
    }
}

fn body<T: DeserializeOwned>(bytes: &Bytes) -> std::result::Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|_| Refusal::plain(400, "the body is not as expected"))
}

fn schema_of(shared: &Shared, bytes: &Bytes) -> std::result::Result<Schema, Refusal> {
    let SchemaBody { schema, schema_type, references } = body(bytes)?;
    if schema_type.is_some_and(|kind| kind != "AVRO") {
        return Err(Refusal::invalid_schema("only AVRO is supported"));
    }
    let text = schema.unwrap_or_default();
    shared.store().parse(&text, references.unwrap_or_default())
}

fn id_of(text: &str) -> std::result::Result<u32, Refusal> {
    text.parse().map_err(|_| Refusal::plain(404, "an id is a number"))
}

async fn schema_by_id(State(shared): Shop, Path(id): Path<String>) -> Result<SchemaAnswer> {
    let Schema { text, references, .. } = shared.store().schema(id_of(&id)?)?.clone();
    Ok(Answer(SchemaAnswer { place: None, schema: text.to_string(), references }))
}

async fn schema_text_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
) -> std::result::Result<Text, Refusal> {
    Ok(Text(Arc::clone(&shared.store().schema(id_of(&id)?)?.text)))
}

async fn subjects_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    Query(options): Query<Options>,
) -> Result<Vec<String>> {
    let store = shared.store();
    let uses = store.uses(id_of(&id)?, options.deleted())?;
    let mut subjects: Vec<_> = uses.into_iter().map(|(subject, _)| subject.to_owned()).collect();
    subjects.dedup();
    Ok(Answer(options.page(subjects)))
}

async fn versions_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    Query(options): Query<Options>,
) -> Result<Vec<Value>> {
    let store = shared.store();
    let uses = store.uses(id_of(&id)?, options.deleted())?;
    let uses =
        uses.into_iter().map(|(subject, version)| json!({"subject": subject, "version": version}));
    Ok(Answer(options.page(uses.collect())))
}

async fn subjects(State(shared): Shop, Query(options): Query<Options>) -> Answer<Vec<String>> {
    let store = shared.store();
    let names = store.subjects(&options.subject_prefix, options.deleted());
    Answer(options.page(names.into_iter().map(str::to_owned).collect()))
}

async fn lookup(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    bytes: Bytes,
) -> Result<SchemaAnswer> {
    let schema = schema_of(&shared, &bytes)?;
    Ok(Answer(shared.store().lookup(&subject, &schema, options.deleted())?.into()))
}

async fn delete_subject(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Result<Vec<u32>> {
    shared.store().delete_subject(&subject, options.deletion()).map(Answer)
}

async fn versions(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Result<Vec<u32>> {
    let versions = shared.store().versions(&subject, options.deleted())?;
    Ok(Answer(options.page(versions)))
}

async fn register(State(shared): Shop, Path(subject): Path<String>, bytes: Bytes) -> Result<Value> {
    let schema = schema_of(&shared, &bytes)?;
    let id = shared.store().register(&subject, schema)?;
    Ok(Answer(json!({"id": id})))
}

async fn version(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Result<SchemaAnswer> {
    let entry = shared.store().entry(&subject, version.parse()?, options.deleted())?;
    Ok(Answer(entry.into()))
}

async fn version_text(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> std::result::Result<Text, Refusal> {
    Ok(Text(shared.store().entry(&subject, version.parse()?, options.deleted())?.schema.text))
}

async fn referenced_by(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
) -> Result<Vec<u32>> {
    shared.store().referenced_by(&subject, version.parse()?).map(Answer)
}

async fn delete_version(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Result<u32> {
    shared.store().delete_version(&subject, version.parse()?, options.deletion()).map(Answer)
}

async fn compatible_with_all(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    bytes: Bytes,
) -> Result<Value> {
    compatible(&shared, &subject, None, &options, &bytes)
}

async fn compatible_with(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
    bytes: Bytes,
) -> Result<Value> {
    let which: Selector = version.parse()?;
    compatible(&shared, &subject, Some(which), &options, &bytes)
}

fn compatible(
    shared: &Shared,
    subject: &str,
    which: Option<Selector>,
    options: &Options,
    bytes: &Bytes,
) -> Result<Value> {
    let schema = schema_of(shared, bytes)?;
    let objections = shared.store().objections(subject, which, &schema)?;
    let is_compatible = objections.is_empty();
    Ok(Answer(if options.verbose {
        json!({"is_compatible": is_compatible, "messages": objections})
    } else {
        json!({"is_compatible": is_compatible})
    }))
}

fn show_level(level: CompatibilityLevel) -> Answer<Value> {
    Answer(json!({"compatibilityLevel": level.as_str()}))
}

#[derive(Deserialize)]
struct LevelBody {
    compatibility: Option<String>,
}

fn put_level(shared: &Shared, subject: Option<&str>, bytes: &Bytes) -> Result<Value> {
    let LevelBody { compatibility } = body(bytes)?;
    let level: CompatibilityLevel =
        compatibility.unwrap_or_default().parse().map_err(|_| Refusal::invalid_level())?;
    shared.store().set_level(subject, level);
    Ok(Answer(json!({"compatibility": level.as_str()})))
}

async fn global_level(State(shared): Shop) -> Answer<Value> {
    show_level(shared.store().global_level())
}

async fn set_global_level(State(shared): Shop, bytes: Bytes) -> Result<Value> {
    put_level(&shared, None, &bytes)
}

async fn reset_global_level(State(shared): Shop) -> Answer<Value> {
    let mut store = shared.store();
    let former = store.global_level();
    store.set_level(None, shared.initial_level);
    show_level(former)
}

async fn level(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Result<Value> {
    let store = shared.store();
    if options.default_to_global {
        return Ok(show_level(store.level(&subject)));
    }
    store.own_level(&subject).map(show_level)
}

async fn set_level(
    State(shared): Shop,
    Path(subject): Path<String>,
    bytes: Bytes,
) -> Result<Value> {
    put_level(&shared, Some(&subject), &bytes)
}

async fn clear_level(State(shared): Shop, Path(subject): Path<String>) -> Result<Value> {
    shared.store().clear_level(&subject).map(show_level)
}

fn show_mode(mode: Mode) -> Answer<Value> {
    Answer(json!({"mode": mode.as_str()}))
}

#[derive(Deserialize)]
struct ModeBody {
    mode: Option<String>,
}

fn put_mode(shared: &Shared, subject: Option<&str>, bytes: &Bytes) -> Result<Value> {
    let ModeBody { mode } = body(bytes)?;
    let mode: Mode = mode.unwrap_or_default().parse()?;
    shared.store().set_mode(subject, mode);
    Ok(show_mode(mode))
}

async fn global_mode(State(shared): Shop) -> Answer<Value> {
    show_mode(shared.store().global_mode())
}

async fn set_global_mode(State(shared): Shop, bytes: Bytes) -> Result<Value> {
    put_mode(&shared, None, &bytes)
}

async fn mode(
    State(shared): Shop,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Result<Value> {
    let store = shared.store();
    if options.default_to_global {
        return Ok(show_mode(store.mode(&subject)));
    }
    store.own_mode(&subject).map(show_mode)
}

async fn set_mode(State(shared): Shop, Path(subject): Path<String>, bytes: Bytes) -> Result<Value> {
    put_mode(&shared, Some(&subject), &bytes)
}

async fn clear_mode(State(shared): Shop, Path(subject): Path<String>) -> Result<Value> {
    shared.store().clear_mode(&subject).map(show_mode)
}
