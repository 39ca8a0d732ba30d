//! Faults of a running broker and registry, ordered over HTTP: for tests in other processes and
//! other languages.
//!
//! Each order is a `POST` without a body and is answered with 204; a missing or malformed parameter
//! with 400, an unknown order with 404. What the orders mean is said by
//! [`broker::Fault`] and [`registry::Faults`].
//!
//! | path | parameters |
//! |---|---|
//! | `/broker/delay`, `/broker/throttle`, `/broker/slow-fsync` | `ms` |
//! | `/broker/cut-after` | `bytes` |
//! | `/broker/refuse`, `/broker/not-leader`, `/broker/disk-full`, `/broker/clear` | |
//! | `/registry/status` | `requests`, `status` |
//! | `/registry/delay` | `requests`, `ms` |
//! | `/registry/cut` | `requests` |
//! | `/registry/refuse`, `/registry/clear` | |
//!
//! ```
//! use embedded_services::{broker, control::Control, registry};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (broker, registry) = (broker::Faults::default(), registry::Faults::default());
//!     let control = Control::start("127.0.0.1:0".parse()?, broker, registry).await?;
//!     // curl -X POST "$URL/broker/delay?ms=200"
//!     assert!(control.url().starts_with("http://127.0.0.1:"));
//!     Ok(())
//! }
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, post};
use axum::{Router, serve};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::broker::{self, Fault};
use crate::registry;

/// Takes orders for faults. Dropping it ends that; faults that were ordered go on.
///
/// It asks nobody who they are: whoever reaches the address may order.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Control {
    /// Listens on `address`, where port 0 takes any free one. Needs a tokio runtime, which must
    /// live as long.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        broker: broker::Faults,
        registry: registry::Faults,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .nest("/broker", broker_routes(broker))
            .nest("/registry", registry_routes(registry));
        let task = tokio::spawn(serve(listener, router).into_future());
        Ok(Self { address, task })
    }

    /// Base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Time {
    ms: u64,
}

impl Time {
    const fn duration(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

#[derive(Deserialize)]
struct Bytes {
    bytes: u64,
}

#[derive(Deserialize)]
struct Requests {
    requests: u32,
}

#[derive(Deserialize)]
struct Answered {
    requests: u32,
    status: u16,
}

#[derive(Deserialize)]
struct Delayed {
    requests: u32,
    ms: u64,
}

fn broker_routes(faults: broker::Faults) -> Router {
    Router::new()
        .route("/delay", timed(Fault::Delay))
        .route("/throttle", timed(Fault::Throttle))
        .route("/slow-fsync", timed(Fault::SlowFsync))
        .route("/refuse", plain(Fault::Refuse))
        .route("/not-leader", plain(Fault::NotLeader))
        .route("/disk-full", plain(Fault::DiskFull))
        .route(
            "/cut-after",
            post(async |State(faults): State<broker::Faults>, Query(cut): Query<Bytes>| {
                faults.set(Fault::CutAfter(cut.bytes));
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/clear",
            post(async |State(faults): State<broker::Faults>| {
                faults.clear();
                StatusCode::NO_CONTENT
            }),
        )
        .with_state(faults)
}

fn timed(fault: fn(Duration) -> Fault) -> MethodRouter<broker::Faults> {
    post(async move |State(faults): State<broker::Faults>, Query(time): Query<Time>| {
        faults.set(fault(time.duration()));
        StatusCode::NO_CONTENT
    })
}

fn plain(fault: Fault) -> MethodRouter<broker::Faults> {
    post(async move |State(faults): State<broker::Faults>| {
        faults.set(fault);
        StatusCode::NO_CONTENT
    })
}

fn registry_routes(faults: registry::Faults) -> Router {
    Router::new()
        .route(
            "/status",
            post(async |State(faults): State<registry::Faults>, Query(order): Query<Answered>| {
                // Others cannot be sent as the answer to a request.
                if !(200..=599).contains(&order.status) {
                    return StatusCode::BAD_REQUEST;
                }
                faults.status(order.requests, order.status);
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/delay",
            post(async |State(faults): State<registry::Faults>, Query(order): Query<Delayed>| {
                faults.delay(order.requests, Duration::from_millis(order.ms));
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/cut",
            post(async |State(faults): State<registry::Faults>, Query(order): Query<Requests>| {
                faults.cut(order.requests);
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/refuse",
            post(async |State(faults): State<registry::Faults>| {
                faults.refuse(true);
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/clear",
            post(async |State(faults): State<registry::Faults>| {
                faults.clear();
                StatusCode::NO_CONTENT
            }),
        )
        .with_state(faults)
}
