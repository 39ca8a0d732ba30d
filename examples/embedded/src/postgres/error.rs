use std::{fmt, io, sync::Arc, time::Duration};

/// Why a throwaway cluster could not be had.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    log: Option<String>,
    source: Option<Arc<io::Error>>,
}

/// What went wrong, for code that acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No server binaries were found in the usual places, and none could be fetched. Holds the
    /// major version asked for, when one was.
    NotFound {
        /// The major version that [`Config::with_version`](super::Config::with_version) named.
        version: Option<u32>,
    },
    /// The process runs as root and the machine has neither a `postgres` nor a `nobody` account
    /// to run the server as.
    NoAccount,
    /// A setting that cannot stand in `postgresql.conf`: an odd name, or a value with a line break.
    InvalidSetting {
        /// The name the caller gave.
        name: String,
    },
    /// `initdb` ended with an error.
    Initdb,
    /// The server ended before it accepted connections.
    Exited,
    /// The server did not accept connections in time.
    NotReady {
        /// How long it was given.
        after: Duration,
    },
    /// The server did not stop in time.
    NotStopped {
        /// How long it was given.
        after: Duration,
    },
    /// The server is down, as after a crash, and what was asked needs it running.
    Down,
    /// Only a standby can be promoted.
    NotStandby,
    /// A program is needed that the server's package lacks, and so does every other installed or
    /// cached one of the same version or a newer one.
    NoProgram {
        /// The program, such as `pg_basebackup`.
        name: &'static str,
        /// The server's major version.
        version: u32,
    },
    /// `pg_basebackup` ended with an error.
    Backup,
    /// The test certificates could not be made.
    Certificate,
    /// A file, a socket or a program could not be used.
    Io {
        /// What was being done, as a short phrase.
        doing: &'static str,
    },
}

impl Error {
    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The last lines that `initdb`, the server or the fetching program wrote, when there are any.
    #[must_use]
    pub fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    #[cold]
    pub(super) const fn new(kind: ErrorKind) -> Self {
        Self { kind, log: None, source: None }
    }

    #[cold]
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            kind: ErrorKind::Io { doing },
            log: None,
            source: Some(Arc::new(error)),
        }
    }

    pub(super) fn with_log(mut self, log: String) -> Self {
        if !log.trim().is_empty() {
            self.log = Some(log);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::NotFound { version } => {
                f.write_str("no PostgreSQL server programs found")?;
                let package = version.map_or_else(
                    || "postgresql".to_owned(),
                    |major| {
                        // The version belongs to the sentence as well as to the package's name.
                        format!("postgresql-{major}")
                    },
                );
                if let Some(major) = version {
                    write!(f, " for version {major}")?;
                }
                write!(
                    f,
                    ": install the Debian package `{package}` (or your system's own), set PG_BIN \
                     to the folder that holds `initdb` and `postgres`, or use a server that runs \
                     already with --postgres-url"
                )?;
            }
            ErrorKind::NoAccount => f.write_str(
                "the server cannot run as root and there is no account `postgres` or `nobody`",
            )?,
            ErrorKind::InvalidSetting { name } => {
                write!(f, "setting {name:?} cannot be written to postgresql.conf")?;
            }
            ErrorKind::Initdb => f.write_str("initdb failed")?,
            ErrorKind::Exited => f.write_str("the server ended while starting")?,
            ErrorKind::NotReady { after } => {
                write!(f, "the server did not accept connections within {after:?}")?;
            }
            ErrorKind::NotStopped { after } => {
                write!(f, "the server did not stop within {after:?}")?;
            }
            ErrorKind::Down => f.write_str("the server is down")?,
            ErrorKind::NotStandby => f.write_str("the server is no standby")?,
            ErrorKind::NoProgram { name, version } => {
                write!(f, "no {name} of version {version} or newer is installed or cached")?;
            }
            ErrorKind::Backup => f.write_str("pg_basebackup failed")?,
            ErrorKind::Certificate => f.write_str("could not make the test certificates")?,
            ErrorKind::Io { doing } => write!(f, "{doing} failed")?,
        }
        match self.log.as_deref().and_then(|log| log.trim().lines().next_back()) {
            Some(last) => write!(f, "; last line of its log: {last}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
