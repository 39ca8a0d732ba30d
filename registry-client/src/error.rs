//! What can go wrong, told apart by whose fault it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A failed call.
///
/// Cheap to clone: every caller that waited for one request gets the same failure. Neither
/// `Display` nor `Debug` ever shows credentials, schema text or subject names outside the URL.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    status: Option<u16>,
    code: Option<i32>,
    message: Option<Box<str>>,
    detail: Option<&'static str>,
    url: Option<Box<str>>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry has no such subject, version, schema or path (HTTP 404); [`Error::missing`]
    /// says which.
    NotFound,
    /// The registry refuses the schema because the subject's earlier versions forbid it
    /// (HTTP 409 with code 409 or 40901).
    Incompatible,
    /// The registry cannot accept what was sent (HTTP 422, codes 422xx): not a schema, not a
    /// version, mode does not permit it.
    Invalid,
    /// The credentials are absent, wrong or not sufficient (HTTP 401, 403, 407).
    Unauthorized,
    /// The registry asks to come back later (HTTP 408, 425, 429).
    Busy,
    /// The registry failed (HTTP 5xx).
    Server,
    /// The registry gave another refusal (any other status that is not 2xx).
    Refused,
    /// The answer is not what the protocol promises: no JSON, another shape, or larger than the
    /// limit.
    Response,
    /// No answer: connection refused or broken, name not resolved, TLS failed.
    Transport,
    /// No answer in time.
    Timeout,
    /// Nothing was sent, because the registry has failed several times in a row; see
    /// [`Config::with_circuit_breaker`](crate::Config::with_circuit_breaker).
    CircuitOpen,
    /// The registry's schema cannot be used: no Avro, broken, references that lead nowhere
    /// (feature `avro`).
    Schema,
    /// A message or datum is not what its schema says (feature `avro`).
    Undecodable,
    /// A value does not fit its schema (feature `avro`).
    Unencodable,
    /// The configuration, or an argument of the call, cannot be used. Nothing was sent.
    Config,
}

/// What a [`NotFound`](ErrorKind::NotFound) answer says is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// The subject (codes 40401 and 40404: deleted).
    Subject,
    /// The version of the subject (codes 40402 and 40406: deleted).
    Version,
    /// The schema, by id or by content (code 40403).
    Schema,
    /// A setting or mode of the subject's own (codes 40408 and 40409).
    Setting,
    /// Anything else; without a [`code`](Error::code) most often a wrong base URL.
    Other,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Which thing does not exist, when [`kind`](Self::kind) is
    /// [`NotFound`](ErrorKind::NotFound).
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        (self.0.kind == ErrorKind::NotFound).then_some(match self.0.code {
            Some(40401 | 40404) => Missing::Subject,
            Some(40402 | 40406) => Missing::Version,
            Some(40403) => Missing::Schema,
            Some(40408 | 40409) => Missing::Setting,
            _ => Missing::Other,
        })
    }

    /// HTTP status of the answer, when there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// `error_code` of the answer's body, when it had one. Unknown codes are kept as they are.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.0.code
    }

    /// The registry's own words (`message` of the answer's body).
    #[must_use]
    pub fn registry_message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// URL of the request, without credentials.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// Whether the same call may succeed later without a change on this side. The client has
    /// then already retried as often as it was configured to.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Busy
            | ErrorKind::Transport
            | ErrorKind::Timeout
            | ErrorKind::CircuitOpen => true,
            ErrorKind::Server => matches!(self.0.status, Some(500 | 502 | 503 | 504)),
            _ => false,
        }
    }

    /// A failure to reach the registry, for implementors of [`Transport`](crate::Transport).
    #[must_use]
    pub fn transport(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::build(ErrorKind::Transport).with_source(source).into()
    }

    /// There is no token and none is to be expected, for implementors of
    /// [`ProvideToken`](crate::ProvideToken).
    #[must_use]
    pub fn no_token(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::build(ErrorKind::Unauthorized).with_detail("no token").with_source(source).into()
    }

    /// An answer larger than [`Request::max_response_bytes`](crate::Request::max_response_bytes),
    /// for implementors of [`Transport`](crate::Transport).
    #[must_use]
    pub fn response_too_large() -> Self {
        Self::build(ErrorKind::Response).with_detail("larger than the limit").into()
    }

    pub(crate) fn config(detail: &'static str) -> Self {
        Self::build(ErrorKind::Config).with_detail(detail).into()
    }

    /// The answer is JSON, but lacks what the protocol promises.
    pub(crate) fn response(detail: &'static str) -> Self {
        Self::build(ErrorKind::Response).with_detail(detail).into()
    }

    /// What the registry asked to be left alone for (`Retry-After`), or what is left of the
    /// pause of [`ErrorKind::CircuitOpen`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The same failure of an answer, knowing its status.
    #[cfg(feature = "reqwest")]
    pub(crate) fn answered(self, status: u16) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) if inner.kind == ErrorKind::Response => {
                Self(Arc::new(Inner { status: Some(status), ..inner }))
            }
            Ok(inner) => Self(Arc::new(inner)),
            Err(shared) => Self(shared),
        }
    }

    /// The same failure, knowing where it happened, and by the answer with which status.
    pub(crate) fn at(self, url: &str, status: Option<u16>) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(mut inner) => {
                inner.url.get_or_insert_with(|| url.into());
                inner.status = inner.status.or(status);
                Self(Arc::new(inner))
            }
            Err(shared) => Self(shared),
        }
    }

    pub(crate) fn build(kind: ErrorKind) -> Builder {
        Builder(Inner {
            kind,
            status: None,
            code: None,
            message: None,
            detail: None,
            url: None,
            retry_after: None,
            source: None,
        })
    }
}

/// Collects what is known about a failure before it is frozen.
pub(crate) struct Builder(Inner);

impl Builder {
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_code(mut self, code: Option<i32>) -> Self {
        self.0.code = code;
        self
    }

    pub(crate) fn with_message(mut self, message: Option<Box<str>>) -> Self {
        self.0.message = message;
        self
    }

    pub(crate) fn with_detail(mut self, detail: &'static str) -> Self {
        self.0.detail = Some(detail);
        self
    }

    pub(crate) fn with_retry_after(mut self, delay: Option<Duration>) -> Self {
        self.0.retry_after = delay;
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl From<Builder> for Error {
    #[cold]
    fn from(builder: Builder) -> Self {
        Self(Arc::new(builder.0))
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found in the schema registry",
            Self::Incompatible => "schema is incompatible with an earlier version",
            Self::Invalid => "the schema registry rejects the request as invalid",
            Self::Unauthorized => "not authorized by the schema registry",
            Self::Busy => "the schema registry is busy",
            Self::Server => "the schema registry failed",
            Self::Refused => "the schema registry refused the request",
            Self::Response => "unusable answer from the schema registry",
            Self::Transport => "cannot reach the schema registry",
            Self::Timeout => "no answer from the schema registry in time",
            Self::CircuitOpen => "the schema registry is left alone after failures in a row",
            Self::Schema => "unusable schema",
            Self::Undecodable => "the message does not fit its schema",
            Self::Unencodable => "the value does not fit its schema",
            Self::Config => "unusable schema registry configuration",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "{}", inner.kind)?;
        match (inner.status, inner.code) {
            (Some(status), Some(code)) if i32::from(status) != code => {
                write!(f, " (status {status}, code {code})")?;
            }
            (Some(status), _) => write!(f, " (status {status})")?,
            (None, _) => {}
        }
        if let Some(detail) = inner.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(url) = &inner.url {
            write!(f, " at {url}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("status", &inner.status)
            .field("code", &inner.code)
            .field("message", &inner.message)
            .field("detail", &inner.detail)
            .field("url", &inner.url)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_are_shareable() {
        fn check<T: Send + Sync + Clone + fmt::Debug>() {}
        check::<Error>();
        check::<ErrorKind>();
        check::<crate::Client>();
        check::<crate::Config>();
        check::<crate::Registered>();
        assert!(size_of::<Error>() <= 24);
    }
}
