//! Whole transactions, in the order of their commits, out of a stream of protocol 2 to 4.
//!
//! From protocol 2 on the server may send transactions in pieces before it knows how they end, many
//! at a time, and from protocol 3 on when they are prepared. The [`Assembler`] keeps the pieces in a
//! [`Spool`] and gives out what protocol 1 would have brought: [`Begin`](crate::Message::Begin), the
//! changes that were not rolled back, [`Commit`](crate::Message::Commit); one transaction after the other.
//! Ordinary transactions go through without being kept.
//!
//! ```
//! use pgoutput::{Message, ProtocolVersion, Streaming, assembly::{Assembler, MemorySpool}};
//!
//! let mut assembler =
//!     Assembler::new(ProtocolVersion::V2, Streaming::On, MemorySpool::new(1 << 20));
//! let mut letters = String::new();
//! for message in [
//!     &b"S\0\0\0\x07\x01"[..],                                       // a piece of transaction 7:
//!     b"I\0\0\0\x07\0\0\0\x01N\0\0",                                 // a row of its own,
//!     b"I\0\0\0\x08\0\0\0\x01N\0\0",                                 // one behind a savepoint
//!     b"E",
//!     b"A\0\0\0\x07\0\0\0\x08",                                      // that is rolled back
//!     b"c\0\0\0\x07\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0A\0\0\0\0\0\0\0\0",
//! ] {
//!     let mut next = assembler.push(message)?;
//!     while let Some(message) = next {
//!         letters.push(char::from(message.letter()));
//!         next = assembler.next_message()?;
//!     }
//! }
//! assert_eq!(letters, "BIC");
//! # Ok::<_, pgoutput::assembly::Error>(())
//! ```

mod assembler;
mod error;
#[cfg(feature = "std")]
mod file;
mod memory;
mod spool;

pub use assembler::Assembler;
pub use error::{Error, ErrorKind};
#[cfg(feature = "std")]
pub use file::FileSpool;
pub use memory::{MemorySpool, SpoolFull};
pub use spool::Spool;
use spool::SpoolError;
