//! Kafka clients: one way to configure them, topics made explicitly.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    config::ClientSettings,
    error::{Error, Part},
    iam::{Login, LoginContext},
};

/// How long the first contact with a broker may take.
const FIRST_CONTACT: Duration = Duration::from_secs(10);

/// Sends a client's log line on; a lost connection is repeated every second and stays quiet.
pub(crate) fn log_client(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!("kafka client: {facility}: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::debug!("kafka client: {facility}: {message}");
        }
        _ => tracing::trace!("kafka client: {facility}: {message}"),
    }
}

/// A client configuration with what every client of the program has, before the user's own
/// properties, which [`finish`] adds last so that they win.
#[must_use]
pub(crate) fn base(settings: &ClientSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "full-pipeline")
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "5000");
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Adds what the login needs, and the user's properties.
pub(crate) fn finish(config: &mut ClientConfig, settings: &ClientSettings, login: &Login) {
    login.configure(config);
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
}

/// A client that could not be made: nearly always a property that librdkafka does not know.
pub(crate) fn creation_error(error: KafkaError) -> Error {
    Error::new(Part::Config, "cannot set up the Kafka client")
        .with_cause(error)
        .with_advice("check the properties given with -X and producer./consumer. keys")
}

/// Makes sure that a broker answers.
///
/// # Errors
///
/// Nobody answered within ten seconds.
pub(crate) async fn reach(settings: &ClientSettings, login: &Login) -> Result<(), Error> {
    let config = base(settings);
    let (settings, login) = (settings.clone(), login.clone());
    run_blocking(move || {
        let brokers = &settings.brokers;
        let consumer = consumer(config, &settings, &login)?;
        consumer.fetch_metadata(None, FIRST_CONTACT).map(|_| ()).map_err(|error| {
            Error::new(Part::Kafka, format!("cannot reach Kafka at {brokers}"))
                .with_cause(error)
                .with_retryable(true)
                .with_advice("start the broker, or give its address with --brokers host:port")
        })
    })
    .await
}

/// A consumer for questions, ready to ask them. Blocks for a moment: the token callback is an event
/// of the client's own queue, and nothing is answered before somebody has polled it.
///
/// # Errors
///
/// librdkafka refuses the properties.
pub(crate) fn consumer(
    mut config: ClientConfig,
    settings: &ClientSettings,
    login: &Login,
) -> Result<BaseConsumer<LoginContext>, Error> {
    finish(&mut config, settings, login);
    let consumer: BaseConsumer<LoginContext> =
        config.create_with_context(LoginContext::new(login.clone())).map_err(creation_error)?;
    if settings.iam {
        consumer.poll(Duration::from_millis(100));
    }
    Ok(consumer)
}

/// Creates topics that do not exist yet.
///
/// # Errors
///
/// The broker refuses, or does not answer.
pub(crate) async fn create_topics(
    settings: &ClientSettings,
    login: &Login,
    topics: &[(&str, bool)],
) -> Result<(), Error> {
    if settings.iam {
        return expect_topics(settings, login, topics).await;
    }
    let mut config = base(settings);
    finish(&mut config, settings, login);
    let admin: AdminClient<LoginContext> =
        config.create_with_context(LoginContext::new(login.clone())).map_err(creation_error)?;
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, compacted)| {
            let topic = NewTopic::new(name, 1, TopicReplication::Fixed(-1));
            if *compacted { topic.set("cleanup.policy", "compact") } else { topic }
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(FIRST_CONTACT));
    let failed = |cause: KafkaError| {
        Error::new(Part::Kafka, "cannot create topics").with_cause(cause).with_retryable(true)
    };
    let results = admin.create_topics(&new, &options).await.map_err(failed)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(Error::new(Part::Kafka, format!("cannot create the topic {topic}"))
                    .with_cause(KafkaError::AdminOp(code))
                    .with_advice("create it yourself or allow CreateTopic to this user"));
            }
        }
    }
    Ok(())
}

/// Waits until topics are there. The client library's administrative client never serves the queue
/// that tokens come through, so with IAM the broker makes the topics (`auto.create.topics.enable`)
/// or somebody has made them before.
async fn expect_topics(
    settings: &ClientSettings,
    login: &Login,
    topics: &[(&str, bool)],
) -> Result<(), Error> {
    let mut config = base(settings);
    config.set("allow.auto.create.topics", "true");
    let (settings, login) = (settings.clone(), login.clone());
    let topics: Vec<(String, bool)> =
        topics.iter().map(|(name, compacted)| ((*name).to_owned(), *compacted)).collect();
    run_blocking(move || {
        let consumer = consumer(config, &settings, &login)?;
        for (topic, compacted) in &topics {
            let deadline = Instant::now() + FIRST_CONTACT;
            loop {
                let metadata =
                    consumer.fetch_metadata(Some(topic), FIRST_CONTACT).map_err(|error| {
                        Error::new(Part::Kafka, format!("cannot ask for the topic {topic}"))
                            .with_cause(error)
                            .with_retryable(true)
                    })?;
                if metadata.topics().iter().any(|found| !found.partitions().is_empty()) {
                    break;
                }
                if Instant::now() > deadline {
                    let policy = if *compacted { " with cleanup.policy=compact" } else { "" };
                    return Err(Error::new(Part::Kafka, format!("there is no topic {topic}"))
                        .with_advice(format!(
                            "create it{policy}, or let the broker do it (auto.create.topics.enable)"
                        )));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    })
    .await
}

/// Runs a blocking call of librdkafka off the async threads.
pub(crate) async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(join) => Err(Error::new(Part::Kafka, "a Kafka call was cut off").with_cause(join)),
    }
}
