//! The calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cache::{Cache, after};
use crate::config::Config;
use crate::endpoint::{Endpoint, Path};
use crate::error::{Error, ErrorKind};
use crate::model::{
    Compatibility, NewSchema, Registered, SchemaId, Version, WireCompatibility, WireError, WireId,
    WireRegistered,
};
use crate::retry::{Backoff, parse_retry_after};
use crate::secret::Secret;
use crate::subject::Subject;
use crate::transport::{Method, Request, Response, Transport};

/// A client of one registry. Cloning is cheap and shares the caches and connections: make one
/// per registry and program.
///
/// Every call may fail with any [`ErrorKind`], after the configured retries of the kinds that
/// may pass. Needs a tokio runtime with its clock enabled.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Arc<dyn Transport>,
    endpoints: Vec<Endpoint>,
    authorization: Option<Secret>,
    /// Index of the endpoint that answered last.
    current: AtomicUsize,
    permits: Semaphore,
    backoff: Backoff,
    timeout: Duration,
    deadline: Duration,
    retries: u32,
    max_response_bytes: usize,
    by_id: Cache<SchemaId, Arc<Registered>>,
    latest: Cache<Subject, Arc<Registered>>,
    registered: Cache<(Subject, NewSchema), SchemaId>,
}

impl Client {
    /// A client over HTTP. Sends nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the configuration cannot be used.
    #[cfg(feature = "reqwest")]
    pub fn new(config: Config) -> Result<Self, Error> {
        let transport = crate::http::HttpTransport::new(config.connect_timeout)?;
        Self::with_transport(config, Arc::new(transport))
    }

    /// A client over another transport.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the configuration cannot be used.
    pub fn with_transport(config: Config, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let capacity = config.capacity();
        Ok(Self {
            shared: Arc::new(Shared {
                transport,
                endpoints: config.endpoints?,
                authorization: config.authorization.transpose()?,
                current: AtomicUsize::new(0),
                permits: Semaphore::new(config.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
                backoff: Backoff::new(config.retry_wait, config.retry_max_wait),
                timeout: config.timeout,
                deadline: config.deadline,
                retries: config.retries,
                max_response_bytes: config.max_response_bytes,
                by_id: Cache::new(capacity, None, config.missing_ttl),
                latest: Cache::new(capacity, Some(config.latest_ttl), Duration::ZERO),
                registered: Cache::new(capacity, None, Duration::ZERO),
            }),
        })
    }

    /// The schema with this id. Kept until displaced by others, because ids never change their
    /// meaning; callers that ask for one id at the same time share one request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, and as the [`Client`] says.
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<Registered>, Error> {
        let fetch = || async move {
            let path = Path::new().fixed("schemas").fixed("ids").display(id);
            self.registered(&path, None, Some(id)).await
        };
        self.shared.by_id.get_or_fetch(&id, fetch).await
    }

    /// The schema with this id if [`schema`](Self::schema) has already brought it. Does not
    /// wait, send or allocate: this is the call to make for every record.
    #[must_use]
    pub fn try_get(&self, id: SchemaId) -> Option<Arc<Registered>> {
        self.shared.by_id.get(&id)
    }

    /// The newest version of `subject`, kept for [`Config::with_latest_ttl`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject, and as the [`Client`] says.
    pub async fn latest(&self, subject: &Subject) -> Result<Arc<Registered>, Error> {
        let fetch = || self.version(subject, Version::LATEST);
        self.shared.latest.get_or_fetch(subject, fetch).await
    }

    /// One version of `subject`. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject or version, and as the [`Client`]
    /// says.
    pub async fn version(
        &self,
        subject: &Subject,
        version: Version,
    ) -> Result<Arc<Registered>, Error> {
        let path = subject_path(subject)?.fixed("versions").display(version);
        self.registered(&path, None, None).await
    }

    /// Registers `schema` as a version of `subject`, unless it is one already. The answer is
    /// kept, so registering the same again costs nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`] when the earlier versions forbid it,
    /// [`ErrorKind::Invalid`] when it is no schema, and as the [`Client`] says.
    pub async fn register(&self, subject: &Subject, schema: &NewSchema) -> Result<SchemaId, Error> {
        let key = (subject.clone(), schema.clone());
        if let Some(id) = self.shared.registered.get(&key) {
            return Ok(id);
        }
        let fetch = || async {
            let path = subject_path(subject)?.fixed("versions");
            let body = Some(schema.to_body()?.into());
            let answer: WireId = self.call(Method::Post, &path, body).await?;
            let id = SchemaId::new(answer.id);
            self.shared.latest.forget(subject);
            self.shared.by_id.forget_missing(&id);
            Ok(id)
        };
        self.shared.registered.get_or_fetch(&key, fetch).await
    }

    /// Finds `schema` among the versions of `subject` without registering it. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not among them, and as the [`Client`] says.
    pub async fn lookup(
        &self,
        subject: &Subject,
        schema: &NewSchema,
    ) -> Result<Arc<Registered>, Error> {
        self.registered(&subject_path(subject)?, Some(schema.to_body()?.into()), None).await
    }

    /// The versions of `subject`, ascending. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject, and as the [`Client`] says.
    pub async fn versions(&self, subject: &Subject) -> Result<Vec<Version>, Error> {
        let path = subject_path(subject)?.fixed("versions");
        let numbers: Vec<u32> = self.call(Method::Get, &path, None).await?;
        Ok(numbers.into_iter().map(Version::new).collect())
    }

    /// Asks whether `schema` may follow version `with` of `subject`. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject or version,
    /// [`ErrorKind::Invalid`] when it is no schema, and as the [`Client`] says.
    pub async fn is_compatible(
        &self,
        subject: &Subject,
        with: Version,
        schema: &NewSchema,
    ) -> Result<Compatibility, Error> {
        let path = Path::new()
            .fixed("compatibility")
            .fixed("subjects")
            .encoded(subject.as_str())?
            .fixed("versions")
            .display(with)
            .query("verbose=true");
        let body = Some(schema.to_body()?.into());
        let answer: WireCompatibility = self.call(Method::Post, &path, body).await?;
        Ok(answer.into())
    }

    /// All subjects. Not kept.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn subjects(&self) -> Result<Vec<Subject>, Error> {
        let names: Vec<Box<str>> =
            self.call(Method::Get, &Path::new().fixed("subjects"), None).await?;
        Ok(names.iter().map(|name| Subject::new(name)).collect())
    }

    /// A call whose answer is a registered schema.
    async fn registered(
        &self,
        path: &Path,
        body: Option<Bytes>,
        id: Option<SchemaId>,
    ) -> Result<Arc<Registered>, Error> {
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let answer: WireRegistered = self.call(method, path, body).await?;
        answer.into_registered(id).map(Arc::new).ok_or_else(|| {
            Error::build(ErrorKind::Response).with_detail("the answer has no id").into()
        })
    }

    /// Sends until there is an answer, a final refusal, no retry left or no time left.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        body: Option<Bytes>,
    ) -> Result<T, Error> {
        let shared = &*self.shared;
        let deadline = after(shared.deadline);
        let mut retry = 0;
        loop {
            let error = match shared.round(method, path, body.as_ref(), deadline).await {
                Ok(answer) => return answer,
                Err(error) => error,
            };
            if !error.is_retryable() || retry >= shared.retries {
                return Err(error);
            }
            let delay = shared.backoff.delay(retry, error.retry_after());
            if after(delay) >= deadline {
                return Err(error);
            }
            sleep(delay).await;
            retry += 1;
        }
    }
}

impl Shared {
    /// Asks the endpoint that answered last, then the others while they do not work. The outer
    /// error is a refusal or a failure, the inner one an answer that is not as promised.
    async fn round<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        body: Option<&Bytes>,
        deadline: Instant,
    ) -> Result<Result<T, Error>, Error> {
        let first = self.current.load(Ordering::Relaxed);
        let count = self.endpoints.len();
        let mut outcome = Err(Error::config("there is no URL"));
        for offset in 0..count {
            let index = (first + offset) % count;
            let Some(endpoint) = self.endpoints.get(index) else { break };
            let url = endpoint.join(path);
            outcome = self
                .attempt(method, endpoint, &url, body, deadline)
                .await
                .map(|body| {
                    serde_json::from_slice(&body).map_err(|e| {
                        Error::from(Error::build(ErrorKind::Response).with_source(e)).at(&url)
                    })
                })
                .map_err(|error| error.at(&url));
            match &outcome {
                // A registry that is busy is not helped by asking its replicas.
                Err(error) if error.is_retryable() && error.kind() != ErrorKind::Busy => {}
                _ => {
                    self.current.store(index, Ordering::Relaxed);
                    break;
                }
            }
        }
        outcome
    }

    /// One request; the body of a successful answer.
    async fn attempt(
        &self,
        method: Method,
        endpoint: &Endpoint,
        url: &str,
        body: Option<&Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, Error> {
        let timed_out = || Error::from(Error::build(ErrorKind::Timeout));
        let mut request = Request::new(method, url, self.max_response_bytes)
            .with_header("accept", Secret::new(ACCEPT))
            .with_body(body.cloned());
        if body.is_some() {
            request = request.with_header("content-type", Secret::new(CONTENT_TYPE));
        }
        if let Some(value) = self.authorization.as_ref().or_else(|| endpoint.authorization()) {
            request = request.with_header("authorization", value.clone());
        }
        let permit = timeout_at(deadline, self.permits.acquire()).await.map_err(|_| timed_out())?;
        let limit = deadline.min(after(self.timeout));
        let response =
            timeout_at(limit, self.transport.send(request)).await.map_err(|_| timed_out())??;
        drop(permit);
        match response.status() {
            200..=299 => Ok(response.body().clone()),
            _ => Err(refusal(&response)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.shared.endpoints)
            .field("transport", &self.shared.transport)
            .finish_non_exhaustive()
    }
}

fn subject_path(subject: &Subject) -> Result<Path, Error> {
    Path::new().fixed("subjects").encoded(subject.as_str())
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
    let retry_after =
        response.retry_after().and_then(|value| parse_retry_after(value, SystemTime::now()));
    Error::build(kind)
        .with_status(status)
        .with_code(said.error_code)
        .with_message(said.message)
        .with_retry_after(retry_after)
        .into()
}

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, \
    application/vnd.schemaregistry+json; q=0.9, application/json; q=0.5";
