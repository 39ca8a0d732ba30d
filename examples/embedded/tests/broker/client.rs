//! Brokers and clients for the tests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use embedded_services::broker::{Broker, Config};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::FutureProducer;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

/// Longest any single step may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Stand {
    pub(crate) broker: Broker,
    pub(crate) dir: TempDir,
    /// What every client has to be told besides the address.
    pub(crate) settings: Vec<(&'static str, String)>,
}

pub(crate) async fn stand() -> Stand {
    stand_with(|config| config).await
}

/// A stand around a broker that has been started.
pub(crate) const fn around(broker: Broker, dir: TempDir) -> Stand {
    Stand { broker, dir, settings: Vec::new() }
}

pub(crate) async fn stand_with(options: impl FnOnce(Config) -> Config) -> Stand {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(options(Config::new(dir.path()))).await.unwrap();
    around(broker, dir)
}

impl Stand {
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap());
        config.extend(self.settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        config
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    pub(crate) async fn topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let made = self.admin().create_topics(&[topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok(name.to_owned())]);
    }

    pub(crate) fn producer(&self) -> FutureProducer {
        self.client().set("linger.ms", "1").create().unwrap()
    }

    /// A consumer that reads the given partitions of a topic from their start.
    pub(crate) fn reader(&self, topic: &str, partitions: i32) -> BaseConsumer {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }

    /// Stops the broker and starts a new one on the same directory.
    pub(crate) async fn restart(self) -> Self {
        let Self { broker, dir, settings } = self;
        broker.shutdown().await.unwrap();
        let broker = Broker::start(Config::new(dir.path())).await.unwrap();
        Self { broker, dir, settings }
    }

    pub(crate) fn read_all(&self, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
        read(&self.reader(topic, partitions), count)
    }
}

/// Polls until `count` messages have come.
pub(crate) fn read(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let end = Instant::now() + DEADLINE;
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        assert!(Instant::now() < end, "{} of {count} messages", messages.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.unwrap().detach());
        }
    }
    messages
}

/// Polls until `done` says so.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn text(message: &OwnedMessage) -> String {
    String::from_utf8(message.payload().unwrap().to_vec()).unwrap()
}

/// Offsets seen in each partition.
pub(crate) fn offsets(messages: &[OwnedMessage]) -> BTreeMap<i32, Vec<i64>> {
    let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for message in messages {
        offsets.entry(message.partition()).or_default().push(message.offset());
    }
    offsets
}
