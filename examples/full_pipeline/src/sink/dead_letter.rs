//! The topic for records that fit no object, with the headers that Connect's own reporter adds.

use std::time::Duration;

use rdkafka::{
    Message,
    message::{BorrowedHeaders, BorrowedMessage, Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use crate::{
    config::SinkConfig,
    error::{Error, Part},
    iam::{Login, LoginContext},
    kafka,
};

/// How long a record may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bad records to their topic.
pub(super) struct DeadLetters {
    topic: String,
    connector: String,
    with_headers: bool,
    producer: FutureProducer<LoginContext>,
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl DeadLetters {
    /// Makes the topic if it is not there; `None` if none is configured.
    pub(super) async fn open(config: &SinkConfig, login: &Login) -> Result<Option<Self>, Error> {
        let Some(topic) = config.bad_records.topic.clone() else { return Ok(None) };
        kafka::create_topics(&config.kafka, login, &[(&topic, false)]).await?;
        let mut client = kafka::base(&config.kafka);
        client.set("enable.idempotence", "true").set("acks", "all");
        kafka::finish(&mut client, &config.kafka, login);
        let producer = client
            .create_with_context(LoginContext::new(login.clone()))
            .map_err(kafka::creation_error)?;
        Ok(Some(Self {
            topic,
            connector: config.name.clone(),
            with_headers: config.bad_records.with_headers,
            producer,
        }))
    }

    /// Sends a copy of the record and returns once Kafka has it, so that no offset behind it is
    /// committed before.
    pub(super) async fn send(
        &self,
        message: &BorrowedMessage<'_>,
        error: &Error,
    ) -> Result<(), Error> {
        let mut headers = message.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
        if self.with_headers {
            for (name, value) in self.context(message, error) {
                let key = format!("__connect.errors.{name}");
                headers = headers.insert(Header { key: &key, value: Some(&value) });
            }
        }
        let mut record = FutureRecord::to(&self.topic).headers(headers);
        if let Some(timestamp) = message.timestamp().to_millis() {
            record = record.timestamp(timestamp);
        }
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if let Some(value) = message.payload() {
            record = record.payload(value);
        }
        self.producer.send(record, PATIENCE).await.map(drop).map_err(|(cause, _)| {
            Error::new(Part::Kafka, format!("cannot write to the topic {}", self.topic))
                .with_cause(cause)
                .with_retryable(true)
        })
    }

    fn context(
        &self,
        message: &BorrowedMessage<'_>,
        error: &Error,
    ) -> [(&'static str, String); 10] {
        [
            ("topic", message.topic().to_owned()),
            ("partition", message.partition().to_string()),
            ("offset", message.offset().to_string()),
            ("connector.name", self.connector.clone()),
            ("task.id", "0".to_owned()),
            ("stage", "TASK_PUT".to_owned()),
            ("class.name", "org.apache.kafka.connect.sink.SinkTask".to_owned()),
            ("exception.class.name", java_class(error).to_owned()),
            ("exception.message", error.chain()),
            ("exception.stacktrace", error.report()),
        ]
    }
}

/// What the connector would have thrown.
fn java_class(error: &Error) -> &'static str {
    placing(error)
        .and_then(s3_partitioner::Error::java_class)
        .unwrap_or("org.apache.kafka.connect.errors.DataException")
}

/// The reason why a record has no place, if that is what is wrong with it.
pub(super) fn placing(error: &Error) -> Option<&s3_partitioner::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
