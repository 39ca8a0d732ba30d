//! Names of subjects, and the contexts that separate them.

use std::fmt;

use super::answer::Refusal;

/// The context of subjects that name none.
pub(super) const DEFAULT_CONTEXT: &str = ".";

/// A subject within its context. Written `name` in the default context and `:.context:name` in
/// others; with an empty name it stands for the whole context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject {
    /// Begins with a dot.
    pub(super) context: String,
    pub(super) name: String,
}

impl Subject {
    /// Reads a subject as a path has it; what it says of its context goes before `context`, the
    /// one that the path began with.
    pub(super) fn parse(text: &str, context: &str) -> Self {
        let Some(qualified) = text.strip_prefix(':').filter(|rest| rest.starts_with('.')) else {
            return Self { context: context.to_owned(), name: text.to_owned() };
        };
        let (context, name) = qualified.split_once(':').unwrap_or((qualified, ""));
        Self { context: context.to_owned(), name: name.to_owned() }
    }

    /// Where the settings of the subject are looked up after its own.
    pub(super) fn context_scope(&self) -> String {
        format!(":{}:", self.context)
    }

    /// Whether something can be registered under the name.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let reserved = matches!(&*self.name, "" | "__GLOBAL" | "__EMPTY");
        if reserved || self.context.chars().chain(self.name.chars()).any(char::is_control) {
            return Err(Refusal::invalid_subject(self));
        }
        Ok(())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.context == DEFAULT_CONTEXT && !self.name.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, ":{}:{}", self.context, self.name)
        }
    }
}

/// A context as paths have it: with or without its dot and colons.
pub(super) fn parse_context(text: &str) -> String {
    let bare = text.trim_matches(':');
    if bare.starts_with('.') { bare.to_owned() } else { format!(".{bare}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_as_they_are_written() {
        for (text, context, name) in [
            ("a", ".", "a"),
            (":a", ".", ":a"),
            ("a:b", ".", "a:b"),
            (":.c:a", ".c", "a"),
            (":.c:a:b", ".c", "a:b"),
            (":.c:", ".c", ""),
        ] {
            let subject = Subject::parse(text, DEFAULT_CONTEXT);
            assert_eq!((&*subject.context, &*subject.name), (context, name));
            assert_eq!(subject.to_string(), text);
        }
        assert_eq!(Subject::parse("a", ".c").to_string(), ":.c:a");
        assert_eq!(Subject::parse(":.:a", ".c").to_string(), "a");
        for text in ["c", ".c", ":.c:"] {
            assert_eq!(parse_context(text), ".c");
        }
        assert_eq!(parse_context("."), DEFAULT_CONTEXT);
    }
}
