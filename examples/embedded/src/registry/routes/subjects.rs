//! Subjects, their versions, and what fits them.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::super::answer::{Answer, Refusal, Text};
use super::super::state::{self, Deleted, Selector};
use super::asked::{Asked, Body, SchemaBody};
use super::schemas::SchemaAnswer;
use super::{Result, Shop};
use crate::registry::shared::Shared;

pub(super) async fn subjects(State(shared): Shop, asked: Asked) -> Result<Answer<Vec<String>>> {
    let find = |state: &state::State| {
        let everywhere = format!(":{}:", asked.home);
        let default = if asked.home == "." { ":*:" } else { &everywhere };
        let prefix = asked.text("subjectPrefix").unwrap_or(default);
        let prefix = match asked.home.as_str() {
            "." => prefix.to_owned(),
            _ if prefix.starts_with(":.") => prefix.to_owned(),
            _ => format!("{everywhere}{prefix}"),
        };
        let subjects = state.subjects(&prefix, asked.deleted());
        let mut names: Vec<_> = subjects.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Ok(Answer(asked.page(names)))
    };
    shared.read(find).await
}

pub(super) async fn lookup(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
    Body(body): Body<SchemaBody>,
) -> Result<Answer<SchemaAnswer>> {
    let find = |state: &state::State| {
        let subject = asked.resolve(&subject, state);
        let sent = body.check(state, &subject, &asked)?;
        Ok(Answer(state.lookup(&subject, &sent, asked.deleted())?.into()))
    };
    shared.read(find).await
}

pub(super) async fn delete_subject(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Vec<u32>>> {
    let plan = move |state: &state::State| {
        state.delete_subject(&asked.resolve(&subject, state), asked.deletion())
    };
    shared.change(plan).await.map(Answer)
}

pub(super) async fn versions(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Vec<i64>>> {
    let find = |state: &state::State| {
        let negative = asked.is("deletedAsNegative");
        let deleted = if negative { Deleted::Shown } else { asked.deleted() };
        let entries = state.versions(&asked.resolve(&subject, state), deleted)?;
        let versions = entries.iter().map(|entry| {
            let version = i64::from(entry.version);
            if negative && entry.deleted { -version } else { version }
        });
        Ok(Answer(asked.page(versions)))
    };
    shared.read(find).await
}

pub(super) async fn register(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
    Body(body): Body<SchemaBody>,
) -> Result<Answer<SchemaAnswer>> {
    let plan = move |state: &state::State| {
        let subject = asked.resolve(&subject, state);
        let sent = body.check(state, &subject, &asked)?;
        let (place, changes) = state.register(&subject, &sent, body.given())?;
        // An earlier spelling of the same content is what stays registered.
        let earlier = state.schema(&subject.context, place.id).ok();
        let mut answer = match earlier {
            Some(schema) => SchemaAnswer::from(&**schema),
            None => SchemaAnswer::from(&sent),
        };
        answer.id = Some(place.id);
        answer.version = Some(place.version);
        Ok((answer, changes))
    };
    shared.change(plan).await.map(Answer)
}

pub(super) async fn version(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
) -> Result<Answer<SchemaAnswer>> {
    let which: Selector = version.parse()?;
    let find = |state: &state::State| {
        let subject = asked.resolve(&subject, state);
        Ok(Answer(state.entry(&subject, which, asked.deleted())?.into()))
    };
    shared.read(find).await
}

pub(super) async fn version_text(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
) -> Result<Text> {
    let which: Selector = version.parse()?;
    let find = |state: &state::State| {
        let entry = state.entry(&asked.resolve(&subject, state), which, asked.deleted())?;
        Ok(Text(Arc::from(&*entry.schema.content.schema)))
    };
    shared.read(find).await
}

/// The newest version whose metadata has the properties that are asked for.
pub(super) async fn by_metadata(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<SchemaAnswer>> {
    let find = |state: &state::State| {
        let entries = state.versions(&asked.resolve(&subject, state), asked.deleted())?;
        let wanted: Vec<_> = asked.all("key").zip(asked.all("value")).collect();
        let has = |metadata: Option<&Value>| {
            let properties = metadata.and_then(|metadata| metadata.get("properties"));
            wanted
                .iter()
                .all(|(key, value)| properties.and_then(|p| p.get(*key)?.as_str()) == Some(*value))
        };
        let found = entries.into_iter().rfind(|e| has(e.schema.content.metadata.as_ref()));
        Ok(Answer(found.ok_or_else(Refusal::schema_not_found)?.into()))
    };
    shared.read(find).await
}

pub(super) async fn referenced_by(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
) -> Result<Answer<Vec<u32>>> {
    let which: Selector = version.parse()?;
    let find = |state: &state::State| {
        let entry = state.entry(&asked.resolve(&subject, state), which, Deleted::Shown)?;
        Ok(Answer(asked.page(state.referenced_by(&entry.subject, entry.version))))
    };
    shared.read(find).await
}

pub(super) async fn delete_version(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
) -> Result<Answer<u32>> {
    let which: Selector = version.parse()?;
    let plan = move |state: &state::State| {
        state.delete_version(&asked.resolve(&subject, state), which, asked.deletion())
    };
    shared.change(plan).await.map(Answer)
}

pub(super) async fn compatible_with_all(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
    Body(body): Body<SchemaBody>,
) -> Result<Answer<Value>> {
    compatible(&shared, &subject, None, &asked, &body).await
}

pub(super) async fn compatible_with(
    State(shared): Shop,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
    Body(body): Body<SchemaBody>,
) -> Result<Answer<Value>> {
    compatible(&shared, &subject, Some(version.parse()?), &asked, &body).await
}

async fn compatible(
    shared: &Shared,
    subject: &str,
    which: Option<Selector>,
    asked: &Asked,
    body: &SchemaBody,
) -> Result<Answer<Value>> {
    let judge = |state: &state::State| {
        let subject = asked.resolve(subject, state);
        let sent = body.check(state, &subject, asked)?;
        let live = state.versions_or_none(&subject, Deleted::Hidden);
        let earlier = match which {
            None => live,
            // The first schema of a subject has nothing to be compatible with.
            Some(Selector::Latest) => live.into_iter().next_back().into_iter().collect(),
            Some(which) => vec![state.entry(&subject, which, Deleted::Hidden)?],
        };
        state.objections(&subject, &sent, &earlier)
    };
    let objections = shared.read(judge).await?;
    let is_compatible = objections.is_empty();
    Ok(Answer(if asked.is("verbose") {
        json!({"is_compatible": is_compatible, "messages": objections})
    } else {
        json!({"is_compatible": is_compatible})
    }))
}
