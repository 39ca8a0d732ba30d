//! Answers as the protocol has them. Codes and messages are those of Confluent's registry, since
//! clients look at the ones and people search for the others.

use std::fmt::Display;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
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

    /// Whether something was not there, which another instance may have added by now.
    pub(super) fn is_missing(&self) -> bool {
        self.status == 404
    }

    pub(super) fn subject_not_found(subject: impl Display) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn version_not_found(version: impl Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    pub(super) fn schema_not_found() -> Self {
        Self::new(40403, "Schema not found".to_owned())
    }

    pub(super) fn id_not_found(id: impl Display) -> Self {
        Self::new(40403, format!("Schema {id} not found"))
    }

    pub(super) fn subject_soft_deleted(subject: impl Display) -> Self {
        let message = format!(
            "Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
        );
        Self::new(40404, message)
    }

    pub(super) fn subject_not_soft_deleted(subject: impl Display) -> Self {
        let message =
            format!("Subject '{subject}' was not deleted first before being permanently deleted");
        Self::new(40405, message)
    }

    pub(super) fn version_soft_deleted(subject: impl Display, version: u32) -> Self {
        let message = format!(
            "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete \
             permanently"
        );
        Self::new(40406, message)
    }

    pub(super) fn version_not_soft_deleted(subject: impl Display, version: u32) -> Self {
        let message = format!(
            "Subject '{subject}' Version {version} was not deleted first before being permanently \
             deleted"
        );
        Self::new(40407, message)
    }

    pub(super) fn level_not_configured(subject: impl Display) -> Self {
        let message =
            format!("Subject '{subject}' does not have subject-level compatibility configured");
        Self::new(40408, message)
    }

    pub(super) fn mode_not_configured(subject: impl Display) -> Self {
        Self::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub(super) fn incompatible(subject: impl Display, level: &str, objections: &[String]) -> Self {
        let why = objections.join("; ");
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \
             \"{subject}\", details: [{why}; compatibility: {level}]"
        );
        Self::new(409, message)
    }

    pub(super) fn invalid_schema(why: impl Display) -> Self {
        Self::new(42201, format!("Invalid schema: {why}"))
    }

    pub(super) fn invalid_version(text: &str) -> Self {
        let message = format!(
            "The specified version '{text}' is not a valid version id. Allowed values are between \
             [1, 2^31-1] and the string \"latest\""
        );
        Self::new(42202, message)
    }

    pub(super) fn invalid_level() -> Self {
        let message = "Invalid compatibility level. Valid values are none, backward, forward, \
                       full, backward_transitive, forward_transitive, and full_transitive";
        Self::new(42203, message.to_owned())
    }

    pub(super) fn invalid_mode() -> Self {
        let message = "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, \
                       IMPORT, and FORWARD";
        Self::new(42204, message.to_owned())
    }

    pub(super) fn not_permitted(message: String) -> Self {
        Self::new(42205, message)
    }

    pub(super) fn referenced(subject: impl Display, version: u32) -> Self {
        let message = format!(
            "One or more references exist to the schema \
             {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
        );
        Self::new(42206, message)
    }

    pub(super) fn id_does_not_match(message: String) -> Self {
        Self::new(42207, message)
    }

    pub(super) fn invalid_subject(subject: impl Display) -> Self {
        Self::new(42208, format!("The specified subject '{subject}' is not a valid subject."))
    }

    pub(super) fn too_large() -> Self {
        Self::new(42209, "The schema is too large".to_owned())
    }

    pub(super) fn context_not_empty(context: &str) -> Self {
        Self::new(42211, format!("The specified context '{context}' is not empty."))
    }

    pub(super) fn storage(error: impl Display) -> Self {
        Self::new(50001, format!("Error in the backend data store: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json(status, &Body { error_code: self.code, message: &self.message });
        if status == StatusCode::UNAUTHORIZED {
            return ([(WWW_AUTHENTICATE, "Basic realm=\"schema-registry\"")], body).into_response();
        }
        body
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
