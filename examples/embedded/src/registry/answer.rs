//! Answers as the protocol has them.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A successful answer with a JSON body.
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// A successful answer that is JSON already.
pub(super) struct Text(pub(super) Arc<str>);

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, MEDIA_TYPE)], self.0.to_string()).into_response()
    }
}

/// A refusal: HTTP status, the protocol's code, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: u32,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u32,
    message: &'a str,
}

impl Refusal {
    /// Codes of five digits begin with their status.
    fn new(code: u32, message: String) -> Self {
        let status = if code > 999 { code / 100 } else { code };
        Self { status: u16::try_from(status).unwrap_or(500), code, message }
    }

    pub(super) fn plain(status: u16, message: &str) -> Self {
        Self { status, code: status.into(), message: message.to_owned() }
    }

    pub(super) fn fault(status: u16) -> Self {
        let code = if status == 500 { 50001 } else { status.into() };
        Self { status, code, message: "fault on request".to_owned() }
    }

    pub(super) fn subject_not_found(subject: &str) -> Self {
        Self::new(40401, format!("subject {subject:?} does not exist"))
    }

    pub(super) fn version_not_found(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("version {version} does not exist"))
    }

    pub(super) fn schema_not_found() -> Self {
        Self::new(40403, "the schema does not exist".to_owned())
    }

    pub(super) fn subject_soft_deleted(subject: &str) -> Self {
        Self::new(40404, format!("subject {subject:?} is deleted already: delete permanently"))
    }

    pub(super) fn subject_not_soft_deleted(subject: &str) -> Self {
        Self::new(40405, format!("subject {subject:?} must first be deleted without permanent"))
    }

    pub(super) fn version_soft_deleted(version: u32) -> Self {
        Self::new(40406, format!("version {version} is deleted already: delete permanently"))
    }

    pub(super) fn version_not_soft_deleted(version: u32) -> Self {
        Self::new(40407, format!("version {version} must first be deleted without permanent"))
    }

    pub(super) fn level_not_configured(subject: &str) -> Self {
        Self::new(40408, format!("subject {subject:?} has no compatibility level of its own"))
    }

    pub(super) fn mode_not_configured(subject: &str) -> Self {
        Self::new(40409, format!("subject {subject:?} has no mode of its own"))
    }

    pub(super) fn incompatible(subject: &str, level: &str, objections: &[String]) -> Self {
        let why = objections.join("; ");
        Self::new(409, format!("incompatible with subject {subject:?} under {level}: {why}"))
    }

    pub(super) fn invalid_schema(why: impl std::fmt::Display) -> Self {
        Self::new(42201, format!("invalid schema: {why}"))
    }

    pub(super) fn invalid_version(text: &str) -> Self {
        Self::new(42202, format!("{text:?} is no version: a number from 1, or latest"))
    }

    pub(super) fn invalid_level() -> Self {
        Self::new(42203, "no such compatibility level".to_owned())
    }

    pub(super) fn invalid_mode() -> Self {
        Self::new(42204, "no such mode".to_owned())
    }

    pub(super) fn not_permitted(subject: &str) -> Self {
        Self::new(42205, format!("subject {subject:?} is read-only"))
    }

    pub(super) fn referenced(subject: &str, version: u32) -> Self {
        Self::new(42206, format!("schemas refer to version {version} of {subject:?}"))
    }

    pub(super) fn invalid_subject() -> Self {
        Self::new(42208, "the subject has control characters or is reserved".to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, &Body { error_code: self.code, message: &self.message })
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
