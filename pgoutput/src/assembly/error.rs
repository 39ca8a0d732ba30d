use alloc::sync::Arc;

use thiserror::Error as ThisError;

use super::SpoolError;
use crate::Xid;

/// Why messages could not be put together.
#[derive(Debug, Clone, ThisError)]
#[error("{kind}")]
pub struct Error {
    kind: ErrorKind,
    #[source]
    source: Option<Arc<dyn core::error::Error + Send + Sync>>,
}

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A message that could not be decoded.
    #[error("bad message: {0}")]
    Message(crate::Error),
    /// A message of this letter cannot stand here, such as a row outside of any transaction.
    #[error("message {0:#04x} out of place")]
    Unexpected(u8),
    /// The pieces of this transaction did not come, or not from its first on.
    #[error("transaction {0} is not known")]
    UnknownTransaction(Xid),
    /// This transaction began twice.
    #[error("transaction {0} began already")]
    Repeated(Xid),
    /// The messages of a transaction that was completed were not all taken.
    #[error("messages of the last transaction are left")]
    Unfinished,
    /// The spool failed; the source says how.
    #[error("the spool failed")]
    Spool,
    /// The spool does not give back what was put into it.
    #[error("the spool lost or changed bytes")]
    Corrupt,
}

impl Error {
    #[cold]
    pub(super) const fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    #[cold]
    pub(super) fn spool(error: SpoolError) -> Self {
        Self { kind: ErrorKind::Spool, source: Some(Arc::from(error)) }
    }

    /// What was wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<crate::Error> for Error {
    #[cold]
    fn from(error: crate::Error) -> Self {
        Self::new(ErrorKind::Message(error))
    }
}
