//! Whether data of one schema can be read with another, as a schema registry asks it.
//!
//! The rules are those of Avro 1.12, "Schema Resolution", as Confluent's registry applies them: a
//! schema is refused also for what only some datums would show, such as a symbol that the reader
//! lacks.
//!
//! ```
//! use avro_wire::Schema;
//! use avro_wire::compatibility::{Level, problems};
//!
//! let old = Schema::parse(r#"{"type":"record","name":"R","fields":[
//!     {"name":"id","type":"int"}]}"#)?;
//! let new = Schema::parse(r#"{"type":"record","name":"R","fields":[
//!     {"name":"id","type":"long"},{"name":"note","type":"string"}]}"#)?;
//! let found = problems(&new, &old);
//! assert_eq!(found[0].to_string(), "/note: field is new and has no default");
//! assert!(!Level::Backward.allows(&new, &[&old]));
//! assert!(Level::None.allows(&new, &[&old]));
//! # Ok::<(), avro_wire::Error>(())
//! ```

mod check;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::{Error, ErrorKind, Schema};

/// How a new version of a schema must go with the earlier ones. The names are the registry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the registry's levels are a closed set")]
pub enum Level {
    /// Anything goes.
    None,
    /// The new version reads data of the last one.
    Backward,
    /// The new version reads data of all.
    BackwardTransitive,
    /// The last version reads data of the new one.
    Forward,
    /// All versions read data of the new one.
    ForwardTransitive,
    /// Both ways with the last version.
    Full,
    /// Both ways with all versions.
    FullTransitive,
}

impl Level {
    /// All levels.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The name in the registry's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether all earlier versions count, not only the last.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// Whether `new` may follow `earlier`, oldest first.
    #[must_use]
    pub fn allows(self, new: &Schema, earlier: &[&Schema]) -> bool {
        let considered = if self.is_transitive() { earlier.len() } else { 1 };
        let reads = !matches!(self, Self::None | Self::Forward | Self::ForwardTransitive);
        let is_read = !matches!(self, Self::None | Self::Backward | Self::BackwardTransitive);
        earlier.iter().rev().take(considered).all(|old| {
            (!reads || problems(new, old).is_empty()) && (!is_read || problems(old, new).is_empty())
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::named(ErrorKind::UnknownVariant, name))
    }
}

/// One reason why data cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Names of fields, `items` and `values`, innermost first.
    path: Vec<String>,
    reason: Reason,
}

/// What is wrong in a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The reader's type cannot hold the writer's.
    Type {
        /// Sort and name of the reader's type.
        reader: String,
        /// Sort and name of the writer's type.
        writer: String,
    },
    /// Neither name nor alias of the reader is the name of the writer.
    Name {
        /// The reader's full name.
        reader: String,
        /// The writer's full name.
        writer: String,
    },
    /// Two fixed are of different sizes.
    FixedSize {
        /// The reader's size in bytes.
        reader: u32,
        /// The writer's size in bytes.
        writer: u32,
    },
    /// The reader's enum has no default and lacks these symbols.
    Symbols(Vec<String>),
    /// The field is the reader's alone and has no default.
    NoDefault,
    /// No branch of the reader's union takes this type of the writer.
    NoBranch(String),
    /// The types nest and use each other too much to be compared.
    TooLarge,
}

impl Problem {
    /// Where it is, as `/field/items/field`; `/` for the outermost type.
    #[must_use]
    pub fn path(&self) -> String {
        if self.path.is_empty() {
            return "/".into();
        }
        self.path.iter().rev().flat_map(|step| ["/", step]).collect()
    }

    /// What is wrong there.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path())?;
        match &self.reason {
            Reason::Type { reader, writer } => write!(f, "{reader} cannot hold {writer}"),
            Reason::Name { reader, writer } => write!(f, "{reader} is not called {writer}"),
            Reason::FixedSize { reader, writer } => {
                write!(f, "fixed of {reader} bytes cannot hold {writer} bytes")
            }
            Reason::Symbols(symbols) => {
                write!(f, "enum without default lacks {}", symbols.join(", "))
            }
            Reason::NoDefault => f.write_str("field is new and has no default"),
            Reason::NoBranch(writer) => write!(f, "no branch of the union can hold {writer}"),
            Reason::TooLarge => f.write_str("too large to check"),
        }
    }
}

/// Why data of `writer` cannot be read with `reader`; empty when it can. At most 32 are listed.
#[must_use]
pub fn problems(reader: &Schema, writer: &Schema) -> Vec<Problem> {
    check::check(reader, writer)
}
