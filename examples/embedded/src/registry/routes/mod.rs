//! The REST API: paths to calls of the state.

mod asked;
mod schemas;
mod settings;
mod subjects;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::uri::PathAndQuery;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::answer::{Answer, Refusal};
use super::faults;
use super::shared::Shared;
use super::subject::parse_context;
use asked::Home;

type Shop = State<Arc<Shared>>;
type Result<T> = std::result::Result<T, Refusal>;

/// The whole service: the API at the root and where Apicurio has it, and a health check.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/", get(async || Answer(json!({}))))
        .route("/contexts", get(schemas::contexts))
        .route("/contexts/{context}", axum::routing::delete(schemas::delete_context))
        .route("/v1/metadata/id", get(schemas::server_id))
        .route("/v1/metadata/version", get(schemas::server_version))
        .route("/schemas", get(schemas::schemas))
        .route("/schemas/types", get(async || Answer(["AVRO"])))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects_by_id))
        .route("/schemas/ids/{id}/versions", get(schemas::versions_by_id))
        .route("/schemas/guids/{guid}", get(schemas::by_guid))
        .route("/schemas/guids/{guid}/ids", get(schemas::ids_by_guid))
        .route("/subjects", get(subjects::subjects))
        .route("/subjects/{subject}", post(subjects::lookup).delete(subjects::delete_subject))
        .route("/subjects/{subject}/metadata", get(subjects::by_metadata))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::version_text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/compatibility/subjects/{subject}/versions", post(subjects::compatible_with_all))
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(subjects::compatible_with),
        )
        .route(
            "/config",
            get(settings::global_config)
                .put(settings::set_global_config)
                .delete(settings::clear_global_config),
        )
        .route(
            "/config/{subject}",
            get(settings::config).put(settings::set_config).delete(settings::clear_config),
        )
        .route(
            "/mode",
            get(settings::global_mode)
                .put(settings::set_global_mode)
                .delete(settings::clear_global_mode),
        )
        .route(
            "/mode/{subject}",
            get(settings::mode).put(settings::set_mode).delete(settings::clear_mode),
        )
        .fallback(async || Refusal::plain(404, "HTTP 404 Not Found"))
        .method_not_allowed_fallback(async || Refusal::plain(405, "HTTP 405 Method Not Allowed"))
        .layer(from_fn_with_state(Arc::clone(&shared), fault))
        .layer(from_fn_with_state(Arc::clone(&shared), admit))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared);
    // Around the whole router, because its routes are chosen by the path that is left.
    let api = Router::new().fallback_service(api).layer(from_fn(shorten));
    Router::new()
        .route("/health", get(async || Answer(json!({"status": "up"}))))
        .fallback_service(api)
}

/// Takes `/apis/ccompat/v7` and `/contexts/{context}` off a path that goes on after them.
async fn shorten(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let mut rest = path;
    for base in ["/apis/ccompat/v6", "/apis/ccompat/v7", "/apis/ccompat/v8"] {
        if let Some(stripped) = path.strip_prefix(base)
            && (stripped.is_empty() || stripped.starts_with('/'))
        {
            rest = stripped;
        }
    }
    let mut home = Home::default();
    if let Some((context, deeper)) =
        rest.strip_prefix("/contexts/").and_then(|inner| inner.split_once('/'))
    {
        let Some(context) = asked::decode(context) else {
            return Refusal::plain(400, "the context is not UTF-8").into_response();
        };
        home = Home(parse_context(&context));
        rest = rest.get(rest.len() - deeper.len() - 1..).unwrap_or("/");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let rest = if rest.is_empty() { "/" } else { rest };
    if rest != path {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let Ok(path) = PathAndQuery::try_from(format!("{rest}{query}")) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        *request.uri_mut() = Uri::from(path);
    }
    request.extensions_mut().insert(home);
    next.run(request).await
}

/// Lets in who may come in.
async fn admit(State(shared): Shop, request: Request, next: Next) -> Response {
    let Some(user) = &shared.user else { return next.run(request).await };
    let given = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let given = given
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .map(|(_, credentials)| credentials.trim());
    // Digests are compared: the time that takes tells nothing about the password.
    let digest = |text: &str| -> [u8; 32] { Sha256::digest(text).into() };
    if given.is_some_and(|given| digest(given) == digest(&user.credentials)) {
        next.run(request).await
    } else {
        Refusal::plain(401, "Unauthorized").into_response()
    }
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

const MAX_BODY_BYTES: usize = 4 << 20;
