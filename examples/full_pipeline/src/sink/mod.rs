//! The sink: a member of a consumer group that copies Avro records into objects.
//!
//! Objects appear exactly once: see the `partition` module for the three steps.

mod consumer;
mod object;
mod partition;
mod store;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use avro_wire::Schema;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use registry_client::{Client as Registry, SchemaId};
use s3_partitioner::CommitPlan;
use tokio::sync::mpsc;

use self::{
    consumer::Context,
    partition::{Commit, Incoming, Known, Partition, Shared},
};
use crate::{
    config::{NullValues, SinkConfig},
    error::{Error, Part},
    iam::Login,
    kafka,
    metrics::Metrics,
    registry,
    shutdown::Shutdown,
    source::Patience,
};

/// How often the wall clock is looked at when nothing arrives.
const TICK: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(10);

/// The running sink.
#[derive(Debug)]
pub struct Sink {
    config: SinkConfig,
    login: Login,
    registry: Registry,
    store: Arc<dyn object_store::ObjectStore>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    close_now: mpsc::Receiver<()>,
}

/// Asks a running sink to close its objects at once.
#[derive(Debug, Clone)]
pub struct CloseNow(mpsc::Sender<()>);

impl CloseNow {
    /// Asks; the objects appear soon after.
    pub async fn ask(&self) {
        // A sink that has ended has closed its objects already.
        let _ended = self.0.send(()).await;
    }
}

impl Sink {
    /// Looks at everything the sink needs — store, registry, broker — and prepares it.
    ///
    /// # Errors
    ///
    /// The first thing that is missing, with what to do about it.
    pub async fn prepare(
        config: SinkConfig,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Result<(Self, CloseNow), Error> {
        let store = store::open(&config).await?;
        let registry = registry::reach(&config.registry_url).await?;
        let login = Login::new(&config.kafka).await?;
        kafka::reach(&config.kafka, &login).await?;
        match config.null_values {
            NullValues::Ignore => {
                tracing::info!("tombstones are passed over (behavior.on.null.values=ignore)");
            }
            NullValues::Fail => {
                tracing::info!("a tombstone stops the sink (behavior.on.null.values=fail)");
            }
        }
        let (sender, close_now) = mpsc::channel(1);
        let sink = Self { config, login, registry, store, metrics, shutdown, close_now };
        Ok((sink, CloseNow(sender)))
    }

    /// Runs until shutdown, then closes what is open.
    ///
    /// # Errors
    ///
    /// What cannot pass by itself; with [`Patience::None`] any failure.
    pub async fn run(&mut self, patience: Patience) -> Result<(), Error> {
        let mut pause = Duration::from_millis(200);
        loop {
            let started = SystemTime::now();
            let error = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if patience == Patience::None || !error.is_retryable() {
                return Err(error);
            }
            if started.elapsed().is_ok_and(|ran| ran > Duration::from_secs(30)) {
                pause = Duration::from_millis(200);
            }
            tracing::warn!("{}; trying again in {} ms", error.report(), pause.as_millis());
            self.metrics.reconnects.add(1);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        let consumer = consumer::join(&self.config, &self.login)?;
        let mut session = Session {
            shared: Shared {
                store: self.store.clone(),
                settings: self.config.settings.clone(),
                codec: self.config.codec,
                part_size: self.config.part_size,
                metrics: self.metrics.clone(),
                schemas: HashMap::new(),
            },
            config: &self.config,
            registry: &self.registry,
            consumer: &consumer,
            partitions: HashMap::new(),
            rewound: HashSet::new(),
            lost: Vec::new(),
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.requested() => break,
                _ = tick.tick() => {
                    session.forget_revoked().await;
                    session.read_again()?;
                    session.poll().await?;
                }
                Some(()) = self.close_now.recv() => session.close_all("asked for").await?,
                message = consumer.recv() => match message {
                    Ok(message) => session.message(&message).await?,
                    // Topics appear when the source starts; until then there is nothing to read.
                    Err(KafkaError::MessageConsumption(
                        rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition
                        | rdkafka::error::RDKafkaErrorCode::PartitionEOF,
                    )) => {}
                    Err(error) => {
                        return Err(Error::new(Part::Kafka, "cannot read from Kafka")
                            .with_cause(error)
                            .with_retryable(true));
                    }
                },
            }
        }
        session.forget_revoked().await;
        session.close_all("shutdown").await
    }
}

/// What belongs to one membership in the group.
struct Session<'s> {
    shared: Shared,
    config: &'s SinkConfig,
    registry: &'s Registry,
    consumer: &'s StreamConsumer<Context>,
    /// By topic and number; looked up by borrowed names, since it happens for every record.
    partitions: HashMap<String, BTreeMap<i32, Partition>>,
    /// Partitions that were put back to their committed offset and go on from whatever comes next.
    rewound: HashSet<(String, i32)>,
    /// Partitions whose open objects were given up, with the offset to read again from.
    lost: Vec<(String, i32, i64)>,
}

/// Commits for one partition through the consumer.
struct Committer<'s> {
    consumer: &'s StreamConsumer<Context>,
    topic: &'s str,
    partition: i32,
}

impl Commit for Committer<'_> {
    fn commit(&self, offset: i64, metadata: &str) -> Result<(), Error> {
        let list = consumer::position(self.topic, self.partition, offset, metadata)?;
        let acknowledged =
            tokio::task::block_in_place(|| self.consumer.commit(&list, CommitMode::Sync));
        acknowledged.map_err(|error| {
            Error::new(
                Part::Kafka,
                format!("the broker refused offset {offset} of {}/{}", self.topic, self.partition),
            )
            .with_cause(error)
            .with_retryable(true)
        })
    }
}

impl Session<'_> {
    async fn message(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        self.forget_revoked().await;
        let now = SystemTime::now();
        let (topic, number, offset) = (message.topic(), message.partition(), message.offset());
        if self.lost.iter().any(|(lost, at, _)| (lost.as_str(), *at) == (topic, number)) {
            // It comes again once the consumer is back where the lost objects began.
            return self.read_again();
        }
        if self.partition(topic, number).is_none() && !self.adopt(topic, number, offset)? {
            return Ok(());
        }
        self.shared.metrics.sink_records.add(1);
        let Some(value) = message.payload() else {
            self.shared.metrics.sink_tombstones.add(1);
            return match self.config.null_values {
                NullValues::Ignore => Ok(()),
                NullValues::Fail => Err(Error::new(
                    Part::Data,
                    format!("{topic}/{number} offset {offset} is a tombstone"),
                )
                .with_advice("set behavior.on.null.values=ignore")),
            };
        };
        let id = partition::schema_id(value).map_err(|error| {
            Error::new(
                Part::Data,
                format!("{topic}/{number} offset {offset} has no schema id in front"),
            )
            .with_cause(error)
            .with_advice("the topic must hold Avro as Confluent's serializers frame it")
        })?;
        self.learn_schema(id).await?;
        let incoming = Incoming { offset, timestamp_ms: message.timestamp().to_millis(), value };
        let commit = Committer { consumer: self.consumer, topic, partition: number };
        let Some(partition) = self.partitions.get_mut(topic).and_then(|all| all.get_mut(&number))
        else {
            return Ok(());
        };
        let written = partition.write(incoming, &self.shared, &commit, now).await;
        self.settle(topic, number, written).await
    }

    fn partition(&self, topic: &str, number: i32) -> Option<&Partition> {
        self.partitions.get(topic)?.get(&number)
    }

    /// Starts a partition from what the group has committed. Gives false when the consumer was put
    /// back to that offset and this message will come again.
    fn adopt(&mut self, topic: &str, number: i32, offset: i64) -> Result<bool, Error> {
        let plan = match self.committed(topic, number)? {
            Some((at, metadata)) => CommitPlan::recover(at, &metadata).map_err(|error| {
                Error::new(
                    Part::Kafka,
                    format!("somebody else commits offsets of {topic}/{number} in this group"),
                )
                .with_cause(error)
                .with_advice("give the sink a group of its own: another name in its configuration")
            })?,
            None => CommitPlan::new(offset),
        };
        // Records between the committed offset and this one may be gone by retention or compaction;
        // having asked for them once is enough.
        if plan.resume() < offset && self.rewound.insert((topic.to_owned(), number)) {
            self.seek(topic, number, plan.resume())?;
            return Ok(false);
        }
        self.rewound.remove(&(topic.to_owned(), number));
        self.partitions
            .entry(topic.to_owned())
            .or_default()
            .insert(number, Partition::new(topic, number, plan, &self.shared));
        Ok(true)
    }

    /// The group's committed offset and its metadata.
    fn committed(&self, topic: &str, number: i32) -> Result<Option<(i64, String)>, Error> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, number);
        let found = tokio::task::block_in_place(|| self.consumer.committed_offsets(wanted, ANSWER))
            .map_err(|error| kafka_failed("reading committed offsets", error))?;
        Ok(found.find_partition(topic, number).and_then(|found| match found.offset() {
            Offset::Offset(at) => Some((at, found.metadata().to_owned())),
            _ => None,
        }))
    }

    fn seek(&self, topic: &str, number: i32, offset: i64) -> Result<(), Error> {
        tokio::task::block_in_place(|| {
            self.consumer.seek(topic, number, Offset::Offset(offset), ANSWER)
        })
        .map_err(|error| kafka_failed("going back to the committed offset", error))
    }

    async fn learn_schema(&mut self, id: u32) -> Result<(), Error> {
        if self.shared.schemas.contains_key(&id) {
            return Ok(());
        }
        let registered = self.registry.schema(SchemaId::new(id)).await.map_err(|error| {
            Error::new(Part::Registry, format!("cannot get schema {id}"))
                .with_retryable(error.is_retryable())
                .with_cause(error)
        })?;
        let schema = Schema::parse(registered.schema()).map_err(|error| {
            Error::new(Part::Registry, format!("schema {id} is no Avro schema")).with_cause(error)
        })?;
        self.shared.schemas.insert(id, Known::new(schema, &self.config.fields));
        Ok(())
    }

    /// Looks at the wall clock.
    async fn poll(&mut self) -> Result<(), Error> {
        let now = SystemTime::now();
        for (topic, number) in self.keys() {
            let commit = Committer { consumer: self.consumer, topic: &topic, partition: number };
            let Some(partition) =
                self.partitions.get_mut(&topic).and_then(|all| all.get_mut(&number))
            else {
                continue;
            };
            let polled = partition.poll(&self.shared, &commit, now).await;
            self.settle(&topic, number, polled).await?;
        }
        Ok(())
    }

    async fn close_all(&mut self, reason: &'static str) -> Result<(), Error> {
        let now = SystemTime::now();
        for (topic, number) in self.keys() {
            let commit = Committer { consumer: self.consumer, topic: &topic, partition: number };
            let Some(partition) =
                self.partitions.get_mut(&topic).and_then(|all| all.get_mut(&number))
            else {
                continue;
            };
            if partition.is_bound() {
                continue;
            }
            let closed = partition.close(reason, &self.shared, &commit, now).await;
            self.settle(&topic, number, closed).await?;
        }
        Ok(())
    }

    fn keys(&self) -> Vec<(String, i32)> {
        let numbers = |(topic, all): (&String, &BTreeMap<i32, Partition>)| {
            all.keys().map(|number| (topic.clone(), *number)).collect::<Vec<_>>()
        };
        self.partitions.iter().flat_map(numbers).collect()
    }

    /// A refused commit means that the group is changing hands: what is open is given up, and the
    /// partition starts again from what is committed, if it stays ours at all.
    async fn settle(
        &mut self,
        topic: &str,
        number: i32,
        done: Result<(), Error>,
    ) -> Result<(), Error> {
        match done {
            Err(error) if error.is_retryable() && error.part() == Part::Kafka => {
                tracing::info!("{topic}/{number}: {}; starting again", error.report());
                if let Some(partition) = self.remove(topic, number) {
                    self.lost.push((topic.to_owned(), number, partition.resume()));
                    partition.abandon().await;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Goes back to the committed offset of partitions whose objects were given up. One that is no
    /// longer ours refuses, and is its new owner's.
    fn read_again(&mut self) -> Result<(), Error> {
        for (topic, number, resume) in std::mem::take(&mut self.lost) {
            let from = self.committed(&topic, number)?.map_or(resume, |(at, _)| at);
            if let Err(error) = self.seek(&topic, number, from) {
                tracing::info!("{topic}/{number} stays with its new owner: {}", error.report());
            }
            self.rewound.remove(&(topic, number));
        }
        Ok(())
    }

    async fn forget_revoked(&mut self) {
        for (topic, number) in self.consumer.context().take_revoked() {
            if let Some(partition) = self.remove(&topic, number) {
                partition.abandon().await;
            }
            self.lost.retain(|(lost, at, _)| (lost, *at) != (&topic, number));
            self.rewound.remove(&(topic, number));
        }
    }

    fn remove(&mut self, topic: &str, number: i32) -> Option<Partition> {
        self.partitions.get_mut(topic)?.remove(&number)
    }
}

fn kafka_failed(what: &str, cause: KafkaError) -> Error {
    Error::new(Part::Kafka, what).with_cause(cause).with_retryable(true)
}
