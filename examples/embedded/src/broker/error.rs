use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the broker did not start.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}{}", self.location())]
pub struct Error {
    kind: ErrorKind,
    path: Option<PathBuf>,
    #[source]
    source: Option<Arc<io::Error>>,
}

/// What went wrong, for a caller who wants to act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The listen address could not be bound.
    #[error("cannot listen")]
    Listen,
    /// A file or directory below the data directory could not be read or written.
    #[error("cannot use the data directory")]
    Storage,
    /// A file of the data directory holds something this broker never writes.
    #[error("the data directory holds a damaged file")]
    Damaged,
    /// The certificates or the key given for TLS cannot be used.
    #[error("cannot use the certificate")]
    Certificate,
    /// The operating system refused to start the broker's threads.
    #[error("cannot start threads")]
    Runtime,
}

impl Error {
    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file or directory concerned, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn io(kind: ErrorKind, source: io::Error) -> Self {
        Self { kind, path: None, source: Some(Arc::new(source)) }
    }

    pub(super) fn storage(path: &Path, source: io::Error) -> Self {
        let kind = if source.kind() == io::ErrorKind::InvalidData {
            ErrorKind::Damaged
        } else {
            ErrorKind::Storage
        };
        Self { kind, path: Some(path.to_owned()), source: Some(Arc::new(source)) }
    }

    pub(super) const fn bare(kind: ErrorKind) -> Self {
        Self { kind, path: None, source: None }
    }

    fn location(&self) -> String {
        self.path.as_ref().map(|path| format!(": {}", path.display())).unwrap_or_default()
    }
}
