//! One HTTP exchange, so that the client does not depend on who carries it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Error;
use crate::secret::Secret;

/// Carries one request to a registry and brings its answer back.
///
/// An implementation neither retries nor keeps time: the client drops the future when the time
/// is over. Any status is an `Ok` answer; `Err` means that there was none.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends `request` and reads the answer, at most
    /// [`max_response_bytes`](Request::max_response_bytes) of its body.
    ///
    /// # Errors
    /// [`Error::transport`] when no answer came, [`Error::response_too_large`] when it was too
    /// large.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

/// The verbs that registries use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Read.
    Get,
    /// Register, look up, check.
    Post,
    /// Change a setting.
    Put,
    /// Delete.
    Delete,
}

impl Method {
    /// The verb as HTTP writes it, such as `GET`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request for a [`Transport`] to carry.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: Box<str>,
    headers: Vec<(Box<str>, Secret)>,
    body: Option<Bytes>,
    max_response_bytes: usize,
}

impl Request {
    pub(crate) fn new(method: Method, url: &str, max_response_bytes: usize) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: None, max_response_bytes }
    }

    pub(crate) fn with_header(mut self, name: &str, value: Secret) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    pub(crate) fn with_body(mut self, body: Option<Bytes>) -> Self {
        self.body = body;
        self
    }

    /// The verb.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Absolute URL, percent-encoded, without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Header lines as lower-case name and value. Values include credentials: do not log them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, value.expose()))
    }

    /// Value of the header `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// What to send, when the verb has a body; its `content-type` is among the headers.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// How many bytes of body an answer may have.
    #[must_use]
    pub fn max_response_bytes(&self) -> usize {
        self.max_response_bytes
    }
}

/// An answer brought back by a [`Transport`].
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    retry_after: Option<Box<str>>,
    content_type: Option<Box<str>>,
    body: Bytes,
}

impl Response {
    /// An answer with HTTP `status` and `body`.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, retry_after: None, content_type: None, body: body.into() }
    }

    /// Adds the value of the `Retry-After` header: seconds, or a date as HTTP writes it.
    #[must_use]
    pub fn with_retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.into());
        self
    }

    /// Adds the value of the `Content-Type` header, which is only used to explain failures.
    #[must_use]
    pub fn with_content_type(mut self, value: &str) -> Self {
        self.content_type = Some(value.into());
        self
    }

    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Value of the `Retry-After` header.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.retry_after.as_deref()
    }

    /// Value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}
