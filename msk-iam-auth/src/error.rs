use std::fmt;
use std::sync::Arc;

/// Why there is no signature, or why the broker's answer is not a yes. See [`Error::kind`].
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    retryable: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of failure, by whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not the name of a region. Holds what was given.
    Region(String),
    /// The broker's host does not say its region. Holds the host. Name the region instead.
    NoRegionInHost(String),
    /// A host that cannot be signed: empty, or with spaces or control characters.
    Host,
    /// A lifetime that is not 1 second to 7 days.
    Lifetime,
    /// The access key or its secret is empty, or a part of the credentials holds a control
    /// character, such as the line break at the end of a file.
    InvalidCredentials,
    /// A source of credentials has none. Holds the name of what is missing.
    MissingCredentials(&'static str),
    /// Not a name that STS accepts for the session of a role: 2 to 64 letters, digits and `_+=,.@-`.
    SessionName,
    /// The credentials expire within a second, or have expired.
    CredentialsExpired,
    /// The clock is before 1970 or after 9999.
    Clock,
    /// The broker answered nothing, which is how it says no.
    EmptyReply,
    /// The broker's answer is not a JSON object.
    ReplySyntax {
        /// Byte where it went wrong.
        offset: usize,
    },
    /// The broker speaks another version of the mechanism.
    ReplyVersion,
    /// The exchange of messages is over, or the broker spoke first.
    OutOfOrder,
    /// A token that is no presigned URL in base64url.
    TokenSyntax,
    /// A token without one of its parameters, or with a value that cannot be. Holds the name.
    TokenParameter(&'static str),
    /// No credentials have been loaded yet.
    NotLoaded,
    /// The source of credentials failed; [`source`](std::error::Error::source) says how.
    Provider,
    /// The source of credentials took too long.
    Timeout,
}

impl Error {
    #[cold]
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind, retryable: false, source: None }
    }

    #[cfg(feature = "default-credentials")]
    #[cold]
    pub(crate) fn caused(
        kind: ErrorKind,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, retryable: false, source: Some(Arc::new(source)) }
    }

    /// A failure of a source of credentials that the caller brought along.
    #[cold]
    pub fn provider(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::Provider, retryable: false, source: Some(Arc::from(source.into())) }
    }

    /// Says that another attempt may succeed.
    #[must_use]
    pub const fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether another attempt may succeed without any change: only for failures of a source of
    /// credentials that says so, and for slow ones.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.retryable || matches!(self.kind, ErrorKind::Timeout)
    }

    /// Byte of the broker's answer where it went wrong.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self.kind {
            ErrorKind::ReplySyntax { offset } => Some(offset),
            _ => None,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = &**source;
            source
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Region(name) => write!(f, "not an AWS region: {name:?}"),
            ErrorKind::NoRegionInHost(host) => {
                write!(f, "the host {host:?} does not name a region")
            }
            ErrorKind::Host => f.write_str("the host cannot be signed"),
            ErrorKind::Lifetime => f.write_str("the lifetime is not 1 second to 7 days"),
            ErrorKind::InvalidCredentials => {
                f.write_str("the credentials are empty or hold a control character")
            }
            ErrorKind::MissingCredentials(what) => write!(f, "no credentials: {what} is missing"),
            ErrorKind::SessionName => f.write_str("not a name for the session of a role"),
            ErrorKind::CredentialsExpired => f.write_str("the credentials have expired"),
            ErrorKind::Clock => f.write_str("the clock is outside the years 1970 to 9999"),
            ErrorKind::EmptyReply => f.write_str("the broker refused with an empty answer"),
            ErrorKind::ReplySyntax { offset } => {
                write!(f, "the broker's answer is no JSON object, at byte {offset}")
            }
            ErrorKind::OutOfOrder => f.write_str("no message of the broker was expected"),
            ErrorKind::TokenSyntax => f.write_str("the token is no presigned URL in base64url"),
            ErrorKind::TokenParameter(name) => {
                write!(f, "the token's parameter {name} is missing or wrong")
            }
            ErrorKind::ReplyVersion => f.write_str("the broker answered in another version"),
            ErrorKind::NotLoaded => f.write_str("no credentials have been loaded yet"),
            ErrorKind::Provider => f.write_str("the source of credentials failed"),
            ErrorKind::Timeout => f.write_str("the source of credentials took too long"),
        }
    }
}
