//! The replication connection, and the plain session that goes with it (feature `tokio`).
//!
//! [`Config`] says where to, [`Client`] is one connection, [`Stream`] follows a slot, and a
//! [`Follower`] goes on following it on the next connection when one is lost. One spawned
//! task owns the socket of a stream: it reads ahead up to a number of bytes, hands out [`Batch`]es
//! of undecoded frames, and keeps the server informed by a timer of its own, so that a slow
//! consumer never costs the connection. It needs a running tokio runtime with IO and time enabled.
//!
//! A stream tells the server two positions: what was received, by itself, and what is safe, only as
//! far as [`Stream::acknowledge`] was called. The server keeps its log from there on. So that an
//! idle stream does not hold it back, acknowledge the `end` of keepalives too while no transaction
//! is open and nothing is on its way.

mod auth;
mod batch;
mod config;
mod connect;
mod connection;
mod copy_out;
mod error;
mod follow;
mod passfile;
mod quote;
mod session;
mod slot;
mod socket;
mod status;
mod stream;
mod tls;
mod worker;

pub use batch::{Batch, Frames};
pub use config::{Config, Login, SslMode, TargetSessionAttrs};
pub use copy_out::CopyOut;
pub use error::{Error, ErrorKind, SqlState};
pub use follow::{Backoff, Followed, Follower};
pub use quote::{quote_identifier, quote_literal};
pub use session::{Client, Row};
pub use slot::{CreatedSlot, SlotOptions, SnapshotAction, SystemId};
pub use status::SlotStatus;
pub use stream::{Acknowledger, Stream, StreamOptions};
