//! What goes wrong while the program runs, whose fault it is, and what to do about it.

use std::{error::Error as StdError, fmt};

type Cause = Box<dyn StdError + Send + Sync>;

/// A failure of the program: what was being done, why it failed, and what helps.
#[derive(Debug)]
pub struct Error {
    part: Part,
    what: String,
    advice: Option<String>,
    retryable: bool,
    cause: Option<Cause>,
}

/// The part of the system that failed. It decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The command line or a configuration file (exit code 2).
    Config,
    /// Postgres: connection, slot, publication or rows (exit code 3).
    Postgres,
    /// Kafka: connection, topics or delivery (exit code 4).
    Kafka,
    /// The schema registry (exit code 5).
    Registry,
    /// The object store (exit code 6).
    Store,
    /// Data that no record or object can be made of (exit code 7).
    Data,
    /// An embedded service that could not be started (exit code 8).
    Embedded,
    /// The story of the demo did not come out as promised (exit code 9).
    Story,
    /// The user interrupted a run that had an end (exit code 130).
    Interrupted,
}

impl Part {
    /// The process exit code that stands for this part.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Config => 2,
            Self::Postgres => 3,
            Self::Kafka => 4,
            Self::Registry => 5,
            Self::Store => 6,
            Self::Data => 7,
            Self::Embedded => 8,
            Self::Story => 9,
            Self::Interrupted => 130,
        }
    }
}

impl Error {
    /// A failure of `part` while doing `what`.
    #[must_use]
    pub fn new(part: Part, what: impl Into<String>) -> Self {
        Self { part, what: what.into(), advice: None, retryable: false, cause: None }
    }

    /// All mistakes of a configuration at once.
    #[must_use]
    pub fn config(problems: &[String]) -> Self {
        let what = match problems {
            [one] => format!("configuration: {one}"),
            many => {
                let list: Vec<String> = many.iter().map(|p| format!("\n  - {p}")).collect();
                format!("configuration: {} mistakes{}", many.len(), list.concat())
            }
        };
        Self::new(Part::Config, what)
    }

    /// Says in front where it happened.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Says whether the same step may succeed later without anybody changing anything.
    #[must_use]
    pub const fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// The part of the system that failed.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// Whether a later attempt may succeed as things are.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// What the user can do, when there is something.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The whole chain of causes in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let line = error.to_string();
            // A wrapper that only repeats what it wraps would say everything twice.
            if !text.ends_with(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            cause = error.source();
        }
        text
    }

    /// The whole chain of causes in one line, with the advice at the end.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = self.chain();
        if let Some(advice) = &self.advice {
            text.push_str("\n  help: ");
            text.push_str(advice);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_the_chain_and_the_advice() {
        let io = std::io::Error::other("disk full");
        let error = Error::new(Part::Store, "cannot write the object")
            .with_cause(io)
            .with_advice("free some space");
        assert_eq!(error.report(), "cannot write the object: disk full\n  help: free some space");
        assert_eq!(error.part().exit_code(), 6);
    }

    #[test]
    fn all_mistakes_of_a_configuration_are_listed() {
        let error = Error::config(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(error.to_string(), "configuration: 2 mistakes\n  - a\n  - b");
    }
}
