//! A schema registry with Confluent's REST API, in memory, for Avro.
//!
//! Served at `/`, `/apis/ccompat/v6` and `/apis/ccompat/v7`: registration, lookup by content, id
//! and version, deletion (soft and permanent), compatibility checks at all seven levels, levels
//! and modes per subject, references. Contexts, metadata, rules and other schema languages are
//! not there, and nothing outlives the process.

mod answer;
mod content;
mod faults;
mod routes;
mod store;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use avro_wire::compatibility::Level as CompatibilityLevel;
pub use faults::Faults;
use store::Store;

/// How to run a [`Registry`].
#[derive(Clone, Debug)]
pub struct Config {
    listen: SocketAddr,
    level: CompatibilityLevel,
    fault: (u32, u16),
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// A registry on a free port of the loopback address, with level
    /// [`Backward`](CompatibilityLevel::Backward).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            level: CompatibilityLevel::Backward,
            fault: (0, 500),
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
#[error("cannot listen at {address}")]
pub struct Error {
    address: SocketAddr,
    source: io::Error,
}

impl Registry {
    /// Listens, and answers from now on. Needs a tokio runtime, which must live as long.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let failed = |source| Error { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(config.level)),
            faults: Faults::default(),
            initial_level: config.level,
        });
        let (requests, status) = config.fault;
        shared.faults.status(requests, status);
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = faults::Gate::new(listener, shared.faults.clone());
        let server =
            axum::serve(gate, routes::router(Arc::clone(&shared))).with_graceful_shutdown(async {
                // A dropped sender is an order to stop, too.
                let _ = stopped.await;
            });
        let task = tokio::spawn(server.into_future());
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

struct Shared {
    store: Mutex<Store>,
    faults: Faults,
    initial_level: CompatibilityLevel,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        // Changes are made after everything that can fail.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("initial_level", &self.initial_level).finish_non_exhaustive()
    }
}
