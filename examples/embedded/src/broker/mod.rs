//! A Kafka-protocol broker for one machine.
//!
//! It speaks to unchanged Kafka clients, keeps every record batch byte for byte in files and is
//! small enough to be read in an afternoon.
//!
//! ```
//! use embedded_services::broker::{Broker, Config};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let dir = tempfile::tempdir()?;
//!     let broker = Broker::start(Config::new(dir.path()).with_auto_create_topics()).await?;
//!     assert!(broker.bootstrap().starts_with("127.0.0.1:"));
//!     broker.shutdown().await?;
//!     Ok(())
//! }
//! ```
//!
//! Served: topics, idempotent produce, fetch with long polling, offsets by time, consumer groups of
//! the classic kind with either rebalance protocol, committed offsets, transactions, SASL, TLS. Not served:
//! replication, quotas, access control.
//!
//! A request goes from `connection` through `wire`, which checks and decodes it, to a function of
//! `api`; those work on `partition` and its `log`, on `topics` and on the coordinators of `group`
//! and `txn`.

mod api;
mod batch;
mod config;
mod connection;
mod decode;
mod error;
mod faults;
mod group;
mod journal;
mod log;
mod node;
mod partition;
mod persist;
mod producers;
mod records;
mod sasl;
mod server;
mod settings;
mod shape;
mod stable;
#[cfg(feature = "broker-tls")]
mod tls;
mod topics;
mod txn;
mod wire;

pub use config::Config;
pub use decode::{Decoded, Undecodable, decode_request};
pub use error::{Error, ErrorKind};
pub use faults::{Fault, Faults};
pub use sasl::{Login, Plain, Rejected, Verifier, bearer_token};
pub use server::Broker;
