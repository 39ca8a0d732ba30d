//! A schema registry with Confluent's REST API for Avro.
//!
//! Served at `/` and under `/apis/ccompat/v6`, `/v7` and `/v8`: registration, lookup by content,
//! id, GUID and version, deletion (soft and permanent), compatibility checks at all seven levels,
//! settings and modes of subjects, contexts and the registry, references, contexts. Metadata and
//! rules are kept and given back, not carried out. Other schema languages are not there.
//!
//! Contents are kept in memory, or in a file or a Postgres database (feature `registry-storage`).

mod answer;
mod change;
mod content;
mod faults;
#[cfg(test)]
mod oracle_tests;
mod record;
mod routes;
mod shared;
mod state;
mod storage;
mod subject;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use avro_wire::compatibility::Level as CompatibilityLevel;
pub use faults::Faults;
use shared::Shared;
pub use storage::Storage;

/// How to run a [`Registry`].
#[derive(Clone, Debug)]
pub struct Config {
    listen: SocketAddr,
    level: CompatibilityLevel,
    fault: (u32, u16),
    storage: Storage,
    user: Option<User>,
}

/// Who may ask.
#[derive(Clone)]
struct User {
    /// What stands behind `Basic` in the header.
    credentials: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// A registry on a free port of the loopback address, in memory, open to all, with level
    /// [`Backward`](CompatibilityLevel::Backward).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            level: CompatibilityLevel::Backward,
            fault: (0, 500),
            storage: Storage::Memory,
            user: None,
        }
    }

    /// Where to listen; port 0 is any free one.
    #[must_use]
    pub const fn with_listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The compatibility level of subjects that have none of their own.
    #[must_use]
    pub const fn with_compatibility(mut self, level: CompatibilityLevel) -> Self {
        self.level = level;
        self
    }

    /// Answers the first `requests` with HTTP `status`, as [`Faults::status`] does.
    #[must_use]
    pub const fn with_fault(mut self, requests: u32, status: u16) -> Self {
        self.fault = (requests, status);
        self
    }

    /// Where contents are kept.
    #[must_use]
    pub fn with_storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Lets in only who gives this name and password (HTTP basic authentication). The health
    /// check stays open.
    #[must_use]
    pub fn with_basic_auth(mut self, user: &str, password: &str) -> Self {
        use base64::Engine as _;

        let credentials =
            base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.user = Some(User { credentials });
        self
    }
}

/// A running registry. Dropping it stops it.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<io::Result<()>>>,
}

/// Why a [`Registry`] did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error {
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("cannot listen at {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot open what is stored")]
    Storage { source: storage::StorageError },
}

impl Error {
    /// Whether it is the storage that cannot be used, not the address.
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self.cause, Cause::Storage { .. })
    }
}

impl Registry {
    /// Listens, and answers from now on. Needs a tokio runtime, which must live as long.
    ///
    /// # Errors
    /// When the address cannot be bound, or the storage not be opened or read.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let listen = config.listen;
        let failed = |source| Error { cause: Cause::Listen { address: listen, source } };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (requests, status) = config.fault;
        let shared = Shared::open(config.level, config.storage, config.user)
            .await
            .map_err(|source| Error { cause: Cause::Storage { source } })?;
        shared.faults.status(requests, status);
        let follower = shared.follow();
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = faults::Gate::new(listener, shared.faults.clone());
        let server =
            axum::serve(gate, routes::router(Arc::clone(&shared))).with_graceful_shutdown(async {
                // A dropped sender is an order to stop, too.
                let _ = stopped.await;
            });
        let task = tokio::spawn(async move {
            let ended = server.into_future().await;
            if let Some(follower) = follower {
                follower.abort();
            }
            ended
        });
        Ok(Self { address, shared, stop: Some(stop), task: Some(task) })
    }

    /// Base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next `requests`, whatever they are, with HTTP `status` and does nothing else
    /// with them. Replaces an earlier order; 0 withdraws it. The health check is not affected.
    pub fn fail_next(&self, requests: u32, status: u16) {
        self.shared.faults.status(requests, status);
    }

    /// The handle to order faults by; it stays good while the registry runs.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// Stops listening, finishes the requests at hand and returns when that is done.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(mut task) = self.task.take()
            && timeout(Duration::from_secs(5), &mut task).await.is_err()
        {
            task.abort();
        }
    }
}
