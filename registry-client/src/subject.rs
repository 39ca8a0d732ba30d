//! Subjects, and how they are named after topics and records.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;

/// The name under which a registry keeps the versions of a schema, such as `orders-value`.
///
/// Any text: it is percent-encoded when it goes into a URL. A subject of another context is
/// written `:.context:name`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Subject {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl Subject {
    /// The subject called `name` in `context`: `:.context:name`, or only `name` in the default
    /// context.
    ///
    /// ```
    /// use registry_client::{Context, Subject};
    ///
    /// let subject = Subject::in_context(&Context::new("staging"), "orders-value");
    /// assert_eq!(subject.as_str(), ":.staging:orders-value");
    /// assert_eq!(subject.name(), "orders-value");
    /// ```
    #[must_use]
    pub fn in_context(context: &Context, name: &str) -> Self {
        if context.is_default() {
            Self::new(name)
        } else {
            Self(format!(":{context}:{name}").into())
        }
    }

    /// The context it is in.
    #[must_use]
    pub fn context(&self) -> Context {
        self.split().map_or(Context::DEFAULT, |(context, _)| Context::new(context))
    }

    /// The name without the context.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split().map_or(&self.0, |(_, name)| name)
    }

    fn split(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(':').filter(|rest| rest.starts_with('.'))?.split_once(':')
    }
}

/// A part of a registry with subjects and ids of its own. Cheap to clone.
///
/// Written with a dot in front; the default one is only the dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(Option<Arc<str>>);

impl Context {
    /// The context of subjects that name none.
    pub const DEFAULT: Self = Self(None);

    /// The context called `name`, which may be written as `staging`, `.staging` or `:.staging:`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name = name.strip_prefix(':').unwrap_or(name);
        let name = name.strip_suffix(':').unwrap_or(name);
        let name = name.strip_prefix('.').unwrap_or(name);
        Self((!name.is_empty()).then(|| format!(".{name}").into()))
    }

    /// The name as paths have it, with its dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(".")
    }

    /// Whether this is the context of subjects that name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

/// Writes the name with its dot.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which part of a Kafka record a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a Kafka record has a key and a value, no more")]
pub enum Part {
    /// The record's key.
    Key,
    /// The record's value.
    Value,
}

/// How the subject of a record's schema is named.
///
/// ```
/// use registry_client::{Part, SubjectNaming};
///
/// # fn main() -> Result<(), registry_client::Error> {
/// let naming: SubjectNaming = "io.confluent.kafka.serializers.subject.TopicNameStrategy".parse()?;
/// assert_eq!(naming.subject("orders", Part::Value, None)?.as_str(), "orders-value");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubjectNaming {
    /// `<topic>-key` or `<topic>-value`: one schema history per topic. The default.
    #[default]
    TopicName,
    /// `<full name of the record>`: one schema history per record type, wherever it is used.
    RecordName,
    /// `<topic>-<full name of the record>`: one schema history per record type and topic.
    TopicRecordName,
}

impl SubjectNaming {
    /// The subject for the `part` of records in `topic` whose schema is called `record` (full
    /// name, with its namespace).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the strategy needs a record name and
    /// there is none.
    pub fn subject(self, topic: &str, part: Part, record: Option<&str>) -> Result<Subject, Error> {
        let record = || {
            record.ok_or_else(|| Error::config("the subject naming strategy needs a record name"))
        };
        let name = match (self, part) {
            (Self::TopicName, Part::Key) => format!("{topic}-key"),
            (Self::TopicName, Part::Value) => format!("{topic}-value"),
            (Self::RecordName, _) => record()?.to_owned(),
            (Self::TopicRecordName, _) => format!("{topic}-{}", record()?),
        };
        Ok(Subject::new(&name))
    }
}

/// Reads the Java class names that `key.subject.name.strategy` and `value.subject.name.strategy`
/// take, with or without their package.
impl FromStr for SubjectNaming {
    type Err = Error;

    fn from_str(class: &str) -> Result<Self, Error> {
        match class.rsplit_once('.').map_or(class, |(_, name)| name) {
            "TopicNameStrategy" => Ok(Self::TopicName),
            "RecordNameStrategy" => Ok(Self::RecordName),
            "TopicRecordNameStrategy" => Ok(Self::TopicRecordName),
            _ => Err(Error::config("unknown subject naming strategy")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_part_of_the_name() {
        for name in ["x", ".x", ":.x:"] {
            let context = Context::new(name);
            assert_eq!((context.as_str(), context.is_default()), (".x", false));
            let subject = Subject::in_context(&context, "a:b");
            assert_eq!(subject.as_str(), ":.x:a:b");
            assert_eq!((subject.context(), subject.name()), (context, "a:b"));
        }
        for name in ["", ".", ":.:"] {
            assert_eq!(Context::new(name), Context::DEFAULT);
        }
        assert_eq!(Subject::in_context(&Context::DEFAULT, "s").as_str(), "s");
        for plain in ["s", ":s", ":.s", "a:.b:c", ""] {
            let subject = Subject::new(plain);
            assert!(subject.context().is_default());
            assert_eq!(subject.name(), plain);
        }
    }

    #[test]
    fn strategies_name_as_the_java_ones() {
        let name = |class: &str, part| {
            let naming: SubjectNaming = class.parse().unwrap();
            naming.subject("t", part, Some("ns.Row")).unwrap().to_string()
        };
        assert_eq!(name("TopicNameStrategy", Part::Key), "t-key");
        assert_eq!(name("TopicNameStrategy", Part::Value), "t-value");
        let package = "io.confluent.kafka.serializers.subject";
        assert_eq!(name(&format!("{package}.RecordNameStrategy"), Part::Key), "ns.Row");
        assert_eq!(name(&format!("{package}.TopicRecordNameStrategy"), Part::Value), "t-ns.Row");
    }

    #[test]
    fn missing_record_and_unknown_strategy_are_errors() {
        assert!(SubjectNaming::RecordName.subject("t", Part::Key, None).is_err());
        assert!(SubjectNaming::TopicRecordName.subject("t", Part::Key, None).is_err());
        assert!("com.example.Mine".parse::<SubjectNaming>().is_err());
    }
}
