use std::{error::Error as StdError, fmt, io, sync::Arc};

use bytes::{Buf, Bytes};
use thiserror::Error as ThisError;

/// Why the connection could not do what was asked.
#[derive(Debug, Clone, ThisError)]
#[error("{inner}")]
pub struct Error {
    inner: Box<Inner>,
    #[source]
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    sqlstate: Option<SqlState>,
    detail: Option<String>,
    hint: Option<String>,
}

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing, malformed, or contradicts another. Nothing was sent.
    #[error("configuration")]
    Config,
    /// The server cannot be reached: name, address, port, or nobody listens.
    #[error("cannot connect")]
    Connect,
    /// The server has no TLS, or its certificate is not accepted.
    #[error("tls")]
    Tls,
    /// The server does not let this user in: SQLSTATE class 28, or no password to answer with.
    #[error("authentication")]
    Auth,
    /// The server refused a command.
    #[error("server error {sqlstate}")]
    #[non_exhaustive]
    Server {
        /// The reason, in the server's table of codes.
        sqlstate: SqlState,
    },
    /// The server sent something that is not the protocol.
    #[error("protocol")]
    Protocol,
    /// Somebody else follows the slot, or the server has not noticed yet that he is gone.
    #[error("slot in use")]
    SlotInUse,
    /// The server has given the slot up (`pg_replication_slots.invalidation_reason`); it must be
    /// made anew, and what came between is lost to it.
    #[error("slot invalidated")]
    SlotInvalidated,
    /// The log that the slot needs was removed, as after `max_slot_wal_keep_size`; what is to be
    /// done is the same.
    #[error("wal removed")]
    WalRemoved,
    /// Another database cluster than before, or one that took another course after a failover.
    #[error("wrong server")]
    WrongServer,
    /// This server's version lacks what was asked for.
    #[error("unsupported")]
    Unsupported,
    /// The server was silent for too long.
    #[error("timeout")]
    Timeout,
    /// The server closed the connection or ended the stream.
    #[error("closed")]
    Closed,
    /// The connection broke.
    #[error("connection lost")]
    Io,
}

impl Error {
    #[cold]
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        let inner = Inner { kind, message, sqlstate: None, detail: None, hint: None };
        Self { inner: Box::new(inner), source: None }
    }

    pub(super) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    pub(super) fn with_boxed_source(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.source = Some(Arc::from(source));
        self
    }

    /// A failure to read or write on an established connection.
    #[cold]
    pub(super) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::closed().with_source(error),
            _ => Self::new(ErrorKind::Io, "the connection broke").with_source(error),
        }
    }

    #[cold]
    pub(super) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the server closed the connection")
    }

    #[cold]
    pub(super) fn protocol(message: &'static str) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    #[cold]
    pub(super) fn unexpected(tag: u8) -> Self {
        Self::new(
            ErrorKind::Protocol,
            format!("unexpected message '{}' from the server", char::from(tag).escape_default()),
        )
    }

    /// The body of an ErrorResponse: fields of one letter and a text, closed by a zero byte.
    #[cold]
    pub(super) fn response(mut body: Bytes) -> Self {
        let mut sqlstate = SqlState(*b"XX000");
        let (mut message, mut detail, mut hint) = (String::new(), None, None);
        while body.has_remaining() {
            let field = body.get_u8();
            if field == 0 {
                break;
            }
            let end = body.iter().position(|&byte| byte == 0).unwrap_or(body.len());
            let text = body.split_to(end);
            body.advance(body.len().min(1));
            let owned = || String::from_utf8_lossy(&text).into_owned();
            match field {
                b'C' => sqlstate = SqlState::from_bytes(&text).unwrap_or(sqlstate),
                b'M' => message = owned(),
                b'D' => detail = Some(owned()),
                b'H' => hint = Some(owned()),
                _ => {}
            }
        }
        let kind =
            if sqlstate.class() == "28" { ErrorKind::Auth } else { ErrorKind::Server { sqlstate } };
        let inner = Inner { kind, message, sqlstate: Some(sqlstate), detail, hint };
        Self { inner: Box::new(inner), source: None }
    }

    /// The same failure, known more precisely.
    pub(super) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The server's code, such as `42704`, if it was the server that refused.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.inner.sqlstate.as_ref().map(SqlState::as_str)
    }

    /// What went wrong, in the server's words if it was the server that refused.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// More about it, in the server's words. May hold values of rows.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// What to do about it, in the server's words.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Whether the same attempt may succeed later, on a new connection.
    ///
    /// True for what depends on the network or on the server's present state: unreachable, broken,
    /// silent, shutting down, starting up, out of connections, or the slot still in use.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.inner.kind {
            ErrorKind::Connect
            | ErrorKind::Timeout
            | ErrorKind::Closed
            | ErrorKind::Io
            | ErrorKind::SlotInUse => true,
            ErrorKind::Server { sqlstate } => {
                // Connection exceptions, insufficient resources, operator intervention.
                matches!(sqlstate.class(), "08" | "53" | "57")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.sqlstate) {
            (ErrorKind::Auth, Some(sqlstate)) => write!(f, "authentication ({sqlstate})")?,
            (kind, _) => write!(f, "{kind}")?,
        }
        write!(f, ": {}", self.message)
    }
}

/// Five characters that say why the server refused: PostgreSQL documentation, "Error Codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let code = <[u8; 5]>::try_from(bytes).ok()?;
        code.iter().all(u8::is_ascii_alphanumeric).then_some(Self(code))
    }

    /// All five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("XX000")
    }

    fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or("XX")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_response() {
        let body = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0Hask\0\0";
        let error = Error::response(Bytes::from_static(body));
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert_eq!(error.sqlstate(), Some("28P01"));
        assert_eq!(error.hint(), Some("ask"));
        assert_eq!(error.to_string(), "authentication (28P01): password authentication failed");
        assert!(!error.is_retryable());
    }

    #[test]
    fn survives_a_malformed_response() {
        for length in 0..12 {
            let body = Bytes::copy_from_slice(&b"C57P01\0Mbye!"[..length]);
            assert!(Error::response(body).sqlstate().is_some());
        }
        assert!(Error::response(Bytes::from_static(b"C57P01\0Mbye")).is_retryable());
    }
}
