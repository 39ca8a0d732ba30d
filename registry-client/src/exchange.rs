//! From a question to an answer: replicas, retries, deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::auth::Authorization;
use crate::breaker::Breaker;
use crate::cache::after;
use crate::config::Config;
use crate::endpoint::{Endpoint, Path};
use crate::error::{Error, ErrorKind};
use crate::retry::{Backoff, parse_retry_after};
use crate::secret::Secret;
use crate::transport::{Method, Request, Response, Transport};

/// Asks until there is an answer, a final refusal, no retry left or no time left.
#[derive(Debug)]
pub(crate) struct Exchange {
    transport: Arc<dyn Transport>,
    replicas: Vec<Replica>,
    authorization: Option<Authorization>,
    headers: Vec<(Box<str>, Secret)>,
    /// Index of the replica that answered last.
    current: AtomicUsize,
    permits: Semaphore,
    backoff: Backoff,
    timeout: Duration,
    deadline: Duration,
    retries: u32,
    max_response_bytes: usize,
}

#[derive(Debug)]
struct Replica {
    endpoint: Endpoint,
    breaker: Breaker,
}

/// What to send.
#[derive(Debug)]
pub(crate) struct Question {
    method: Method,
    path: Path,
    body: Option<Bytes>,
    /// A 404 may come from a replica that has not heard of it yet.
    expected: bool,
}

impl Question {
    pub(crate) fn new(method: Method, path: Path) -> Self {
        Self { method, path, body: None, expected: false }
    }

    pub(crate) fn get(path: Path) -> Self {
        Self::new(Method::Get, path)
    }

    pub(crate) fn post(path: Path, body: impl Into<Bytes>) -> Self {
        Self::new(Method::Post, path).with_body(body)
    }

    pub(crate) fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The thing must exist: this program made it a moment ago.
    pub(crate) fn expected(mut self, expected: bool) -> Self {
        self.expected = expected;
        self
    }
}

impl Exchange {
    pub(crate) fn new(config: &Config, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let mut replicas = Vec::new();
        for endpoint in config.endpoints.clone()? {
            replicas.push(Replica {
                endpoint: endpoint.in_context(&config.context)?,
                breaker: Breaker::new(
                    config.breaker_failures,
                    config.breaker_pause,
                    config.breaker_max_pause,
                ),
            });
        }
        let authorization = config
            .credentials
            .clone()
            .map(|credentials| Authorization::new(credentials, config, &transport))
            .transpose()?;
        Ok(Self {
            transport,
            replicas,
            authorization,
            headers: config.headers.clone()?,
            current: AtomicUsize::new(0),
            permits: Semaphore::new(config.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            backoff: Backoff::new(config.retry_wait, config.retry_max_wait),
            timeout: config.timeout,
            deadline: config.deadline,
            retries: config.retries,
            max_response_bytes: config.max_response_bytes,
        })
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.replicas.iter().map(|replica| &replica.endpoint)
    }

    /// The answer to `question`, from its JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, question: &Question) -> Result<T, Error> {
        self.ask(question, |body| serde_json::from_slice(body).map_err(not_json)).await
    }

    /// The answer to `question`, as `read` makes it of the body.
    pub(crate) async fn ask<T>(
        &self,
        question: &Question,
        read: impl Fn(&Bytes) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let deadline = after(self.deadline);
        let mut retry = 0;
        let mut before = None;
        loop {
            let error = match self.round(question, deadline).await {
                Ok((url, response)) => {
                    return read(response.body()).map_err(|error| {
                        explain(error, &response).at(&url, Some(response.status()))
                    });
                }
                // What made the registry be left alone says more than that it is.
                Err(error) if error.kind() == ErrorKind::CircuitOpen => {
                    return Err(before.unwrap_or(error));
                }
                Err(error) => error,
            };
            let may_pass =
                error.is_retryable() || (question.expected && error.kind() == ErrorKind::NotFound);
            if !may_pass || retry >= self.retries {
                return Err(error);
            }
            let delay = self.backoff.delay(retry, error.retry_after());
            if after(delay) >= deadline {
                return Err(error);
            }
            sleep(delay).await;
            before = Some(error);
            retry += 1;
        }
    }

    /// Asks the replica that answered last, then the others while they do not work.
    async fn round(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<(String, Response), Error> {
        // A failure to get one is no failure of a replica.
        let mut credential = self.credential(deadline).await?;
        let first = self.current.load(Ordering::Relaxed);
        let count = self.replicas.len();
        let mut outcome = None;
        let mut pause = Duration::MAX;
        for offset in 0..count {
            let index = (first + offset) % count;
            let Some(Replica { endpoint, breaker }) = self.replicas.get(index) else { break };
            let admission = match breaker.admit() {
                Ok(admission) => admission,
                Err(left) => {
                    pause = pause.min(left);
                    continue;
                }
            };
            let url = endpoint.join(&question.path);
            let used = credential.as_ref().or_else(|| endpoint.authorization());
            let mut answer = self.attempt(question, &url, used, deadline).await;
            if let (Err(error), Some(authorization), Some(refused)) =
                (&answer, &self.authorization, &credential)
                && error.status() == Some(401)
                && authorization.reject(refused)
            {
                credential = self.credential(deadline).await?;
                answer = self.attempt(question, &url, credential.as_ref(), deadline).await;
            }
            let error = match answer {
                Ok(response) => {
                    admission.succeeded();
                    self.current.store(index, Ordering::Relaxed);
                    return Ok((url, response));
                }
                Err(error) => error.at(&url, None),
            };
            let replica_failed = match error.kind() {
                ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::Server => true,
                ErrorKind::Busy => error.status() != Some(425),
                _ => false,
            };
            if !replica_failed {
                // Any other refusal is an answer.
                match error.status() {
                    Some(_) => admission.succeeded(),
                    None => drop(admission),
                }
                self.current.store(index, Ordering::Relaxed);
                return Err(error);
            }
            admission.failed();
            outcome = Some(error);
        }
        Err(outcome.unwrap_or_else(|| {
            let url = self.replicas.get(first).map(|replica| replica.endpoint.join(&question.path));
            let error = Error::build(ErrorKind::CircuitOpen).with_retry_after(Some(pause));
            Error::from(error).at(&url.unwrap_or_default(), None)
        }))
    }

    /// One request.
    async fn attempt(
        &self,
        question: &Question,
        url: &str,
        credential: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let _permit =
            timeout_at(deadline, self.permits.acquire()).await.map_err(|_| timed_out())?;
        let limit = deadline.min(after(self.timeout));
        let request = self.request(question, url, credential);
        let response =
            timeout_at(limit, self.transport.send(request)).await.map_err(|_| timed_out())??;
        match response.status() {
            200..=299 => Ok(response),
            _ => Err(refusal(&response)),
        }
    }

    /// The `Authorization` value for all replicas, if there is one.
    async fn credential(&self, deadline: Instant) -> Result<Option<Secret>, Error> {
        let Some(authorization) = &self.authorization else { return Ok(None) };
        timeout_at(deadline, authorization.header()).await.map_err(|_| timed_out())?.map(Some)
    }

    fn request(&self, question: &Question, url: &str, credential: Option<&Secret>) -> Request {
        let mut request = Request::new(question.method, url, self.max_response_bytes)
            .with_header("accept", Secret::new(ACCEPT))
            .with_body(question.body.clone());
        // Confluent's registry reads one of the names, Apicurio's the other.
        for name in ["confluent-accept-unknown-properties", "x-confluent-accept-unknown-properties"]
        {
            request = request.with_header(name, Secret::new("true"));
        }
        request = request.with_header("confluent-client-version", Secret::new(CLIENT_VERSION));
        if question.body.is_some() {
            request = request.with_header("content-type", Secret::new(CONTENT_TYPE));
        }
        for (name, value) in &self.headers {
            request = request.with_header(name, value.clone());
        }
        if let Some(value) = credential {
            request = request.with_header("authorization", value.clone());
        }
        request
    }
}

pub(crate) fn not_json(error: serde_json::Error) -> Error {
    Error::build(ErrorKind::Response).with_detail(NOT_AS_PROMISED).with_source(error).into()
}

/// Says what the body is when it is not what a registry answers.
fn explain(error: Error, response: &Response) -> Error {
    let html = response.content_type().is_some_and(|value| value.contains("html"))
        || response.body().trim_ascii_start().starts_with(b"<");
    if error.kind() != ErrorKind::Response || !html {
        return error;
    }
    Error::build(ErrorKind::Response)
        .with_detail("a page instead of JSON: is this the URL of a registry?")
        .with_source(error)
        .into()
}

pub(crate) fn timed_out() -> Error {
    Error::build(ErrorKind::Timeout).into()
}

/// The typed form of an answer that is not 2xx.
fn refusal(response: &Response) -> Error {
    let status = response.status();
    let said: WireError = serde_json::from_slice(response.body()).unwrap_or_default();
    let kind = match status {
        404 => ErrorKind::NotFound,
        // Registration answers with the status as the code; 409xx are also other conflicts.
        409 if matches!(said.error_code, None | Some(409 | 40901)) => ErrorKind::Incompatible,
        422 => ErrorKind::Invalid,
        401 | 403 | 407 => ErrorKind::Unauthorized,
        408 | 425 | 429 => ErrorKind::Busy,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Refused,
    };
    let mut error = Error::build(kind)
        .with_status(status)
        .with_code(said.error_code)
        .with_message(said.message)
        .with_retry_after(retry_after(response));
    if matches!(status, 300..=399) {
        error = error.with_detail("redirects are not followed");
    }
    error.into()
}

pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    response.retry_after().and_then(|value| parse_retry_after(value, SystemTime::now()))
}

/// Body of a refusal. Proxies answer other things, so nothing is required.
#[derive(Default, Deserialize)]
struct WireError {
    #[serde(default)]
    error_code: Option<i32>,
    #[serde(default)]
    message: Option<Box<str>>,
}

const NOT_AS_PROMISED: &str = "not the JSON that the protocol promises";
const CLIENT_VERSION: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, \
    application/vnd.schemaregistry+json; q=0.9, application/json; q=0.5";
