//! From a topic to a subject, with the help of the registry where that is wanted.

use std::fmt;
use std::sync::Arc;

use crate::client::Client;
use crate::error::Error;
use crate::subject::{Part, Subject, SubjectNaming};

/// How a serializer finds the subject of a record's schema. It does so once for a topic and a
/// schema, not for each record.
#[derive(Clone)]
#[non_exhaustive]
pub enum SubjectStrategy {
    /// By rule.
    Naming(SubjectNaming),
    /// The registry knows which subject is associated with the topic (Confluent's since 8.2).
    Associated {
        /// Id of the Kafka cluster the topic is in; without it any cluster.
        kafka_cluster: Option<Box<str>>,
        /// What to do when the registry knows none; `None`: fail.
        fallback: Option<SubjectNaming>,
    },
    /// A function of the program; see [`SubjectStrategy::custom`].
    Custom(Arc<NameSubject>),
}

/// Names the subject of the `part` of records in a topic by the record's full name.
type NameSubject = dyn Fn(&str, Part, Option<&str>) -> Option<Subject> + Send + Sync;

impl SubjectStrategy {
    /// Asks `name` with the topic, the part, and the full name of the schema if it has one.
    /// `None` is a failure.
    ///
    /// ```
    /// use registry_client::{Subject, SubjectStrategy};
    ///
    /// let by_team = SubjectStrategy::custom(|topic, _, record| {
    ///     let (team, _) = topic.split_once('.')?;
    ///     Some(Subject::new(&format!("{team}/{}", record?)))
    /// });
    /// ```
    #[must_use]
    pub fn custom(
        name: impl Fn(&str, Part, Option<&str>) -> Option<Subject> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom(Arc::new(name))
    }

    /// The subject for the `part` of records in `topic` whose schema is called `record`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when there is none, and as the
    /// [`Client`] says when the registry is asked.
    pub async fn subject(
        &self,
        client: &Client,
        topic: &str,
        part: Part,
        record: Option<&str>,
    ) -> Result<Subject, Error> {
        match self {
            Self::Naming(naming) => naming.subject(topic, part, record),
            Self::Associated { kafka_cluster, fallback } => {
                match (
                    client.associated_subject(topic, part, kafka_cluster.as_deref()).await?,
                    fallback,
                ) {
                    (Some(subject), _) => Ok(subject),
                    (None, Some(naming)) => naming.subject(topic, part, record),
                    (None, None) => {
                        Err(Error::config("the registry associates no subject with the topic"))
                    }
                }
            }
            Self::Custom(name) => name(topic, part, record)
                .ok_or_else(|| Error::config("the custom strategy names no subject")),
        }
    }
}

impl Default for SubjectStrategy {
    fn default() -> Self {
        Self::Naming(SubjectNaming::TopicName)
    }
}

impl From<SubjectNaming> for SubjectStrategy {
    fn from(naming: SubjectNaming) -> Self {
        Self::Naming(naming)
    }
}

impl fmt::Debug for SubjectStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Naming(naming) => naming.fmt(f),
            Self::Associated { kafka_cluster, fallback } => f
                .debug_struct("Associated")
                .field("kafka_cluster", kafka_cluster)
                .field("fallback", fallback)
                .finish(),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}
