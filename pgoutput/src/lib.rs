// The README's second example needs the feature, and a README has no hidden lines.
#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "PostgreSQL logical replication: pgoutput messages decoded without a copy."
)]
//!
//! # Where to look first
//!
//! [`Decoder`] turns the bytes of one message into a [`Message`]; a row in it is a [`Tuple`], whose
//! [`columns`](Tuple::columns) are read as you ask for them. [`Relations`] remembers the tables.
//!
//! # Layout of what the server sends
//!
//! | bytes | meaning |
//! |---|---|
//! | `d`, `i32` length | the CopyData message around everything below; the length counts itself |
//! | `w`, 24 bytes | XLogData: start, end, send time; then exactly one pgoutput message |
//! | `k`, 17 bytes | keepalive: end of WAL, send time, whether a reply is wanted |
//!
//! [`replication::Frame`] reads the last two, the `client` module (feature `tokio`) all of them.
//!
//! The formats are those of the PostgreSQL documentation, chapters "Message Formats", "Streaming
//! Replication Protocol" and "Logical Replication Message Formats".
//!
//! # Coming from pglogrepl or a tokio-postgres fork
//!
//! There is no typed stream of rows. The client gives batches of undecoded frames, acknowledges
//! only what you tell it to, and the decoder borrows from the batch.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod assembly;
#[cfg(feature = "tokio")]
pub mod client;
pub mod copy;
mod cursor;
mod decode;
mod encode;
mod error;
mod lsn;
mod message;
mod relation;
pub mod replication;
mod text;
mod time;
mod transaction;
mod tuple;
#[cfg(feature = "postgres-types")]
pub mod value;

pub use decode::{Decoder, ProtocolVersion, Streaming};
pub use encode::TupleBuf;
pub use error::{Error, ErrorKind};
pub use lsn::{Lsn, Oid, ParseLsnError, Xid};
pub use message::{
    Delete, Insert, Logical, Message, Oids, Origin, Relation, RelationColumn, RelationColumns,
    ReplicaIdentity, Truncate, TypeName, Update,
};
pub use relation::{Observed, OwnedColumn, OwnedRelation, Relations};
pub use text::{StrColumn, StrColumns};
pub use time::PgTime;
pub use transaction::{
    Begin, BeginPrepare, Commit, CommitPrepared, Prepare, RollbackPrepared, StreamAbort,
    StreamCommit, StreamStart,
};
pub use tuple::{Column, Columns, OldTuple, Tuple};
