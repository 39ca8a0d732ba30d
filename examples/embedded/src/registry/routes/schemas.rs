//! Schemas by id and by GUID, contexts, and what the server says of itself.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::{Answer, Refusal, Text};
use super::super::record::{Content, Reference};
use super::super::state::{self, Deleted, Entry, Registered, Sent};
use super::super::subject::{DEFAULT_CONTEXT, Subject, parse_context};
use super::asked::Asked;
use super::{Result, Shop};

/// A schema as answers have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u32>,
    pub(super) guid: Uuid,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) references: Vec<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule_set: Option<Value>,
    pub(super) schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_id: Option<u32>,
}

impl From<&Registered> for SchemaAnswer {
    fn from(schema: &Registered) -> Self {
        let content = schema.content.clone();
        Self {
            subject: None,
            version: None,
            id: None,
            guid: schema.guid,
            references: content.references,
            metadata: content.metadata,
            rule_set: content.rule_set,
            schema: content.schema,
            max_id: None,
        }
    }
}

impl From<&Sent> for SchemaAnswer {
    fn from(sent: &Sent) -> Self {
        let Content { schema, references, metadata, rule_set } = sent.content.clone();
        let (subject, version, id, max_id) = (None, None, None, None);
        Self {
            subject,
            version,
            id,
            guid: sent.guid,
            references,
            metadata,
            rule_set,
            schema,
            max_id,
        }
    }
}

impl From<Entry> for SchemaAnswer {
    fn from(entry: Entry) -> Self {
        Self {
            subject: Some(entry.subject.to_string()),
            version: Some(entry.version),
            id: Some(entry.id),
            ..Self::from(&*entry.schema)
        }
    }
}

fn id_of(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Refusal::plain(404, "HTTP 404 Not Found"))
}

/// The context whose id is meant: that of `subject`. One in no context can be in any, if it has
/// the schema there.
fn context_of(state: &state::State, id: u32, asked: &Asked) -> String {
    let Some(text) = asked.text("subject") else { return asked.home.clone() };
    let subject = asked.subject(text);
    let has = |subject: &Subject| {
        subject.name.is_empty()
            || state.versions_or_none(subject, Deleted::Shown).iter().any(|entry| entry.id == id)
    };
    if subject.context != DEFAULT_CONTEXT || has(&subject) {
        return subject.context;
    }
    let elsewhere = state.contexts().into_iter().find(|context| {
        has(&Subject { context: (*context).to_owned(), name: subject.name.clone() })
    });
    elsewhere.unwrap_or(DEFAULT_CONTEXT).to_owned()
}

pub(super) async fn by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Answer<SchemaAnswer>> {
    let id = id_of(&id)?;
    let find = |state: &state::State| {
        let context = context_of(state, id, &asked);
        let mut answer = SchemaAnswer::from(&**state.schema(&context, id)?);
        if asked.is("fetchMaxId") {
            answer.max_id = state.context(&context).map(|context| context.last);
        }
        Ok(Answer(answer))
    };
    shared.read(find).await
}

pub(super) async fn text_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Text> {
    let id = id_of(&id)?;
    let find = |state: &state::State| {
        let schema = state.schema(&context_of(state, id, &asked), id)?;
        Ok(Text(Arc::from(&*schema.content.schema)))
    };
    shared.read(find).await
}

/// What has a schema, of one subject if that is asked for.
fn uses(state: &state::State, id: u32, asked: &Asked) -> Result<Vec<(Subject, u32)>> {
    let context = context_of(state, id, asked);
    let mut uses = state.uses(&context, id, asked.deleted())?;
    if let Some(subject) = asked.text("subject") {
        let name = asked.subject(subject).name;
        uses.retain(|(subject, _)| name.is_empty() || subject.name == name);
    }
    Ok(uses)
}

pub(super) async fn subjects_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Answer<Vec<String>>> {
    let id = id_of(&id)?;
    let uses = shared.read(|state| uses(state, id, &asked)).await?;
    let mut subjects: Vec<_> = uses.into_iter().map(|(subject, _)| subject.to_string()).collect();
    subjects.dedup();
    Ok(Answer(asked.page(subjects)))
}

pub(super) async fn versions_by_id(
    State(shared): Shop,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Answer<Vec<Value>>> {
    let id = id_of(&id)?;
    let uses = shared.read(|state| uses(state, id, &asked)).await?;
    let uses = uses
        .into_iter()
        .map(|(subject, version)| json!({"subject": subject.to_string(), "version": version}));
    Ok(Answer(asked.page(uses)))
}

fn guid_of(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Refusal::id_not_found(text))
}

pub(super) async fn by_guid(
    State(shared): Shop,
    Path(guid): Path<String>,
) -> Result<Answer<SchemaAnswer>> {
    let guid = guid_of(&guid)?;
    let find = |state: &state::State| {
        let found = state.by_guid(guid).first().copied();
        let (context, id) = found.ok_or_else(|| Refusal::id_not_found(guid))?;
        Ok(Answer(SchemaAnswer::from(&**state.schema(context, id)?)))
    };
    shared.read(find).await
}

pub(super) async fn ids_by_guid(
    State(shared): Shop,
    Path(guid): Path<String>,
) -> Result<Answer<Vec<Value>>> {
    let guid = guid_of(&guid)?;
    let find = |state: &state::State| {
        let ids = state.by_guid(guid);
        if ids.is_empty() {
            return Err(Refusal::id_not_found(guid));
        }
        let ids = ids.iter().map(|(context, id)| json!({"context": context, "id": id}));
        Ok(Answer(ids.collect()))
    };
    shared.read(find).await
}

/// Every version of every subject.
pub(super) async fn schemas(
    State(shared): Shop,
    asked: Asked,
) -> Result<Answer<Vec<SchemaAnswer>>> {
    let find = |state: &state::State| {
        let prefix = asked.text("subjectPrefix").unwrap_or(":*:");
        let deleted = asked.deleted();
        let mut answers = Vec::new();
        // A subject is shown when one of its versions is.
        for subject in state.subjects(prefix, Deleted::Shown) {
            let mut entries = state.versions_or_none(&subject, deleted);
            if asked.is("latestOnly") {
                entries = entries.pop().into_iter().collect();
            }
            answers.extend(entries.into_iter().map(SchemaAnswer::from));
        }
        Ok(Answer(asked.page(answers)))
    };
    shared.read(find).await
}

pub(super) async fn contexts(State(shared): Shop, asked: Asked) -> Result<Answer<Vec<String>>> {
    let prefix = asked.text("contextPrefix").unwrap_or_default();
    let find = |state: &state::State| {
        let contexts = state.contexts().into_iter().filter(|context| context.starts_with(prefix));
        Ok(Answer(asked.page(contexts.map(str::to_owned))))
    };
    shared.read(find).await
}

pub(super) async fn delete_context(
    State(shared): Shop,
    Path(context): Path<String>,
) -> Result<axum::http::StatusCode> {
    let context = parse_context(&context);
    shared.change(move |state| state.delete_context(&context)).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

pub(super) async fn server_id() -> Answer<Value> {
    let clusters = json!({"kafka-cluster": "", "schema-registry-cluster": "embedded"});
    Answer(json!({"id": "", "scope": {"path": [], "clusters": clusters}}))
}

pub(super) async fn server_version() -> Answer<Value> {
    Answer(json!({"version": env!("CARGO_PKG_VERSION"), "commitId": ""}))
}
