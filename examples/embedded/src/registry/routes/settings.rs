//! Settings and modes of subjects, contexts and the registry.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Refusal};
use super::super::change::scope;
use super::super::shared::Shared;
use super::super::state::{self, Mode};
use super::super::subject::{DEFAULT_CONTEXT, Subject};
use super::asked::{Asked, Body};
use super::{Result, Shop};

type Settings = Map<String, Value>;

/// Settings as they are shown: the level has another name than when it is set.
fn show(mut config: Settings) -> Answer<Settings> {
    if let Some(level) = config.remove("compatibility") {
        config.insert("compatibilityLevel".to_owned(), level);
    }
    Answer(config)
}

/// What a path without a subject is about: the registry, or the context it began with.
fn whole(asked: &Asked) -> Option<Subject> {
    (asked.home != DEFAULT_CONTEXT)
        .then(|| Subject { context: asked.home.clone(), name: String::new() })
}

pub(super) async fn global_config(State(shared): Shop, asked: Asked) -> Result<Answer<Settings>> {
    let find = |state: &state::State| {
        let own = state.config(&scope(whole(&asked).as_ref()));
        Ok(show(own.or_else(|| state.config("")).unwrap_or_default()))
    };
    shared.read(find).await
}

pub(super) async fn config(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Settings>> {
    let subject = asked.subject(&subject);
    let find = |state: &state::State| {
        let mut own = state.config(&subject.to_string());
        if asked.is("defaultToGlobal") {
            let mut whole = state.config("").unwrap_or_default();
            whole.extend(state.config(&subject.context_scope()).unwrap_or_default());
            whole.extend(own.unwrap_or_default());
            own = Some(whole);
        }
        own.map(show).ok_or_else(|| Refusal::level_not_configured(&subject))
    };
    shared.read(find).await
}

async fn put_config(
    shared: &Arc<Shared>,
    subject: Option<Subject>,
    sent: Settings,
) -> Result<Answer<Settings>> {
    let plan = move |state: &state::State| state.set_config(subject.as_ref(), &sent);
    shared.change(plan).await.map(Answer)
}

pub(super) async fn set_global_config(
    State(shared): Shop,
    asked: Asked,
    Body(sent): Body<Settings>,
) -> Result<Answer<Settings>> {
    put_config(&shared, whole(&asked), sent).await
}

pub(super) async fn set_config(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
    Body(sent): Body<Settings>,
) -> Result<Answer<Settings>> {
    put_config(&shared, Some(asked.subject(&subject)), sent).await
}

async fn delete_config(shared: &Arc<Shared>, subject: Option<Subject>) -> Result<Answer<Settings>> {
    shared.change(move |state| state.clear_config(subject.as_ref())).await.map(show)
}

pub(super) async fn clear_global_config(
    State(shared): Shop,
    asked: Asked,
) -> Result<Answer<Settings>> {
    delete_config(&shared, whole(&asked)).await
}

pub(super) async fn clear_config(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Settings>> {
    delete_config(&shared, Some(asked.subject(&subject))).await
}

fn show_mode(mode: Mode) -> Answer<Value> {
    Answer(json!({"mode": mode.as_str()}))
}

#[derive(Debug, Deserialize)]
pub(super) struct ModeBody {
    mode: Option<String>,
}

pub(super) async fn global_mode(State(shared): Shop, asked: Asked) -> Result<Answer<Value>> {
    let find = |state: &state::State| {
        let own = state.own_mode(&scope(whole(&asked).as_ref()));
        Ok(show_mode(own.or_else(|| state.own_mode("")).unwrap_or_default()))
    };
    shared.read(find).await
}

pub(super) async fn mode(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Value>> {
    let subject = asked.subject(&subject);
    let find = |state: &state::State| {
        if asked.is("defaultToGlobal") {
            return Ok(show_mode(state.mode(&subject)));
        }
        let own = state.own_mode(&subject.to_string());
        own.map(show_mode).ok_or_else(|| Refusal::mode_not_configured(&subject))
    };
    shared.read(find).await
}

async fn put_mode(
    shared: &Arc<Shared>,
    subject: Option<Subject>,
    asked: &Asked,
    body: ModeBody,
) -> Result<Answer<Value>> {
    let mode: Mode = body.mode.unwrap_or_default().parse()?;
    let force = asked.is("force");
    shared.change(move |state| state.set_mode(subject.as_ref(), mode, force)).await?;
    Ok(show_mode(mode))
}

pub(super) async fn set_global_mode(
    State(shared): Shop,
    asked: Asked,
    Body(body): Body<ModeBody>,
) -> Result<Answer<Value>> {
    put_mode(&shared, whole(&asked), &asked, body).await
}

pub(super) async fn set_mode(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
    Body(body): Body<ModeBody>,
) -> Result<Answer<Value>> {
    put_mode(&shared, Some(asked.subject(&subject)), &asked, body).await
}

async fn delete_mode(
    shared: &Arc<Shared>,
    subject: Option<Subject>,
    asked: &Asked,
) -> Result<Answer<Value>> {
    let recursive = asked.is("recursive");
    let plan = move |state: &state::State| state.clear_mode(subject.as_ref(), recursive);
    shared.change(plan).await.map(show_mode)
}

pub(super) async fn clear_global_mode(State(shared): Shop, asked: Asked) -> Result<Answer<Value>> {
    delete_mode(&shared, whole(&asked), &asked).await
}

pub(super) async fn clear_mode(
    State(shared): Shop,
    Path(subject): Path<String>,
    asked: Asked,
) -> Result<Answer<Value>> {
    delete_mode(&shared, Some(asked.subject(&subject)), &asked).await
}
