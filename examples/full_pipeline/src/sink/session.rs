//! One membership in the consumer group: the partitions it has, from the message to the object.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, SystemTime},
};

use avro_wire::{Framing, Schema, SchemaRef};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use registry_client::{Client as Registry, NewSchema, SchemaId, Subject};
use s3_partitioner::{CommitPlan, Compatibility};

use super::{
    ahead::{self, Gap},
    attend::Missed,
    consumer::{self, Context},
    dead_letter::{self, DeadLetters},
    form::Item,
    headers,
    object::OpenObject,
    partition::{Commit, Incoming, Partition, Shared},
    schema::Known,
};
use crate::{
    config::{Converter, NullValues, SinkConfig},
    error::{Error, Part},
    iam::Login,
};

const ANSWER: Duration = Duration::from_secs(10);

/// What belongs to one membership in the group.
pub(super) struct Session<'s> {
    shared: Shared,
    config: &'s SinkConfig,
    login: &'s Login,
    registry: Option<&'s Registry>,
    dead_letters: Option<&'s DeadLetters>,
    consumer: &'s StreamConsumer<Context>,
    /// By topic and number; looked up by borrowed names, since it happens for every record.
    partitions: HashMap<String, BTreeMap<i32, Partition>>,
    /// Partitions that were put back to their committed offset and go on from whatever comes next.
    rewound: HashSet<(String, i32)>,
    /// Partitions whose open objects were given up, with the offset to read again from.
    lost: Vec<(String, i32, i64)>,
    /// The headers of the message, where they are written.
    headers: Vec<u8>,
}

/// Commits for one partition through the consumer.
struct Committer<'s> {
    consumer: &'s StreamConsumer<Context>,
    topic: &'s str,
    partition: i32,
}

impl Commit for Committer<'_> {
    fn commit(&self, offset: i64, metadata: &str) -> Result<(), Error> {
        // The broker takes any commit of a member of the group, and its new owner may be at work.
        if self.consumer.context().is_revoked(self.topic, self.partition) {
            let what = format!("{}/{} was taken away", self.topic, self.partition);
            return Err(Error::new(Part::Kafka, what).with_retryable(true));
        }
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

impl<'s> Session<'s> {
    /// A membership that has nothing yet.
    pub(super) fn new(
        shared: Shared,
        config: &'s SinkConfig,
        login: &'s Login,
        registry: Option<&'s Registry>,
        dead_letters: Option<&'s DeadLetters>,
        consumer: &'s StreamConsumer<Context>,
    ) -> Self {
        Self {
            shared,
            config,
            login,
            registry,
            dead_letters,
            consumer,
            partitions: HashMap::new(),
            rewound: HashSet::new(),
            lost: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(super) const fn consumer(&self) -> &'s StreamConsumer<Context> {
        self.consumer
    }

    /// Takes one message into its object, or to where bad ones go.
    pub(super) async fn message(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        self.forget_revoked().await;
        let (topic, number, offset) = (message.topic(), message.partition(), message.offset());
        if self.lost.iter().any(|(lost, at, _)| (lost.as_str(), *at) == (topic, number)) {
            // It comes again once the consumer is back where the lost objects began.
            return self.read_again();
        }
        if self.partition(topic, number).is_none() && !self.adopt(topic, number, offset)? {
            return Ok(());
        }
        self.shared.metrics.sink_records.add(1);
        match self.write(message).await {
            Err(error) if self.may_skip(&error) => {
                self.shared.metrics.sink_bad.add(1);
                if self.config.bad_records.logged {
                    tracing::warn!("{topic}/{number} offset {offset}: {}", error.report());
                }
                if let Some(dead_letters) = self.dead_letters {
                    dead_letters.send(message, &error).await?;
                }
                self.skip(message);
                Ok(())
            }
            written => {
                self.settle(topic, number, written).await?;
                self.relieve()
            }
        }
    }

    async fn write(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let now = SystemTime::now();
        let (topic, number, offset) = (message.topic(), message.partition(), message.offset());
        let place = || format!("{topic}/{number} offset {offset}");
        let config = self.config;
        if message.payload().is_none() {
            self.shared.metrics.sink_tombstones.add(1);
            match config.null_values {
                NullValues::Write => {}
                NullValues::Ignore
                    if self.dead_letters.is_none() || !config.bad_records.null_values =>
                {
                    self.skip(message);
                    return Ok(());
                }
                NullValues::Ignore | NullValues::Fail => {
                    return Err(Error::new(Part::Data, format!("{} is a tombstone", place()))
                        .with_advice("set behavior.on.null.values=ignore"));
                }
            }
        }
        let key = match (&config.files.keys, message.key()) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Error::new(Part::Data, format!("{} has no key", place()))
                    .with_advice("set store.kafka.keys=false"));
            }
            (Some(_), Some(key)) => Some((config.key_converter, key)),
        };
        let value = message.payload().map(|value| (config.value_converter, value));
        for (converter, bytes) in [value, key].into_iter().flatten() {
            if converter == Converter::Avro {
                let (id, _) = avro(bytes).map_err(|error| {
                    Error::new(Part::Data, format!("{} has no schema id in front", place()))
                        .with_cause(error)
                        .with_advice("the topic must hold Avro as Confluent's serializers frame it")
                })?;
                self.learn_schema(id).await?;
            }
        }
        if let Some((Converter::Avro, bytes)) = value
            && config.settings.compatibility() != Compatibility::None
            && let Ok((id, _)) = avro(bytes)
        {
            self.learn_version(topic, id).await?;
        }
        let with_headers = config.files.headers.is_some();
        if with_headers && !headers::encode(message.headers(), &mut self.headers) {
            return Err(Error::new(Part::Data, format!("{} has no headers", place()))
                .with_advice("set store.kafka.headers=false"));
        }
        let shared = &self.shared;
        let item = |given: Option<(Converter, _)>| match given {
            None => Ok(None),
            Some((converter, bytes)) => {
                item(converter, bytes, shared).map(Some).map_err(|error| error.within(place()))
            }
        };
        let incoming = Incoming {
            offset,
            timestamp_ms: message.timestamp().to_millis(),
            size: (message.payload_len() + message.key_len()) as u64,
            value: item(value)?,
            key: item(key)?,
            headers: with_headers.then_some(Item::Avro(&shared.headers, &self.headers)),
        };
        let commit = Committer { consumer: self.consumer, topic, partition: number };
        match self.partitions.get_mut(topic).and_then(|all| all.get_mut(&number)) {
            Some(partition) => partition.write(incoming, shared, &commit, now).await,
            None => Ok(()),
        }
    }

    /// Whether the sink may go on behind a record with this error.
    fn may_skip(&self, error: &Error) -> bool {
        self.config.bad_records.tolerated
            && error.part() == Part::Data
            && dead_letter::placing(error).is_none_or(|error| self.config.settings.may_skip(error))
    }

    /// The next object that is closed ends behind this record, though it is in none.
    fn skip(&mut self, message: &BorrowedMessage<'_>) {
        let partitions = self.partitions.get_mut(message.topic());
        if let Some(partition) = partitions.and_then(|all| all.get_mut(&message.partition())) {
            partition.skip(message.offset());
        }
    }

    /// Puts the largest open objects away when all together are larger than they may be.
    fn relieve(&mut self) -> Result<(), Error> {
        let mut excess = self.shared.budget.excess();
        if excess == 0 {
            return Ok(());
        }
        let partitions = self.partitions.values_mut().flat_map(BTreeMap::values_mut);
        let mut objects: Vec<&mut OpenObject> = partitions.flat_map(Partition::objects).collect();
        objects.sort_unstable_by_key(|object| Reverse(object.held()));
        for object in objects {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(object.held());
            object.spill()?;
        }
        Ok(())
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
        let Some(registry) = self.registry else { return Ok(()) };
        let registered = registry.schema(SchemaId::new(id)).await.map_err(|error| {
            // A registry that answers so will not answer otherwise: the record is bad.
            let unknown = error.kind() == registry_client::ErrorKind::NotFound;
            let part = if unknown { Part::Data } else { Part::Registry };
            Error::new(part, format!("cannot get schema {id}"))
                .with_retryable(error.is_retryable())
                .with_cause(error)
        })?;
        let schema = Schema::parse(registered.schema()).map_err(|error| {
            Error::new(Part::Registry, format!("schema {id} is no Avro schema")).with_cause(error)
        })?;
        self.shared.schemas.insert(id, Known::new(id, schema, &self.config.fields));
        Ok(())
    }

    /// Asks which version of the topic's values the schema is, by which Connect compares.
    async fn learn_version(&mut self, topic: &str, id: u32) -> Result<(), Error> {
        let (Some(known), Some(registry)) = (self.shared.schemas.get_mut(&id), self.registry)
        else {
            return Ok(());
        };
        if known.connect(topic).is_some() {
            return Ok(());
        }
        let subject = Subject::new(&format!("{topic}-value"));
        let schema = NewSchema::new(known.schema().as_str());
        let version = match registry.lookup(&subject, &schema).await {
            Ok(found) => found.version().and_then(|version| i32::try_from(version.get()?).ok()),
            // Another subject has it; then there is no version to compare by.
            Err(error) if error.kind() == registry_client::ErrorKind::NotFound => None,
            Err(error) => {
                let what = format!("cannot get the version of schema {id} in {subject}");
                return Err(Error::new(Part::Registry, what)
                    .with_retryable(error.is_retryable())
                    .with_cause(error));
            }
        };
        known.set_version(topic, version);
        Ok(())
    }

    /// Looks at the wall clock.
    pub(super) async fn poll(&mut self) -> Result<(), Error> {
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

    /// Closes what waits for an announced end that is no longer in the log.
    pub(super) async fn look_ahead(&mut self) -> Result<(), Error> {
        let mut gaps = Vec::new();
        for (topic, all) in &mut self.partitions {
            for (number, partition) in all {
                if let Some((from, to)) = partition.awaited() {
                    gaps.push(Gap { topic: topic.clone(), partition: *number, from, to });
                }
            }
        }
        for gap in gaps {
            if !ahead::is_empty(self.config, self.login, gap.clone()).await? {
                continue;
            }
            let Gap { topic, partition: number, to, .. } = gap;
            let commit = Committer { consumer: self.consumer, topic: &topic, partition: number };
            let all = self.partitions.get_mut(&topic);
            let Some(partition) = all.and_then(|all| all.get_mut(&number)) else { continue };
            let now = SystemTime::now();
            let passed = partition.passed(to + 1, &self.shared, &commit, now).await;
            self.settle(&topic, number, passed).await?;
        }
        Ok(())
    }

    pub(super) async fn close_all(&mut self, reason: &'static str) -> Result<(), Error> {
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
                self.give_up(topic, number, None).await;
                Ok(())
            }
            done => done,
        }
    }

    /// Goes back to the committed offset of partitions whose objects were given up. One that is no
    /// longer ours refuses, and is its new owner's.
    pub(super) fn read_again(&mut self) -> Result<(), Error> {
        for (topic, number, resume) in std::mem::take(&mut self.lost) {
            let from = self.committed(&topic, number)?.map_or(resume, |(at, _)| at);
            if let Err(error) = self.seek(&topic, number, from) {
                tracing::info!("{topic}/{number} stays with its new owner: {}", error.report());
            }
            self.rewound.remove(&(topic, number));
        }
        Ok(())
    }

    pub(super) async fn forget_revoked(&mut self) {
        for (topic, number) in self.consumer.context().take_revoked() {
            if let Some(partition) = self.remove(&topic, number) {
                partition.abandon().await;
            }
            self.lost.retain(|(lost, at, _)| (lost, *at) != (&topic, number));
            self.rewound.remove(&(topic, number));
        }
    }

    /// Gives everything up that is open, to read it again.
    pub(super) async fn start_over(&mut self) {
        for (topic, number) in self.keys() {
            self.give_up(&topic, number, None).await;
        }
    }

    /// Messages of these partitions came while nothing was read.
    pub(super) async fn missed(&mut self, missed: Missed) {
        for (topic, number, offset) in missed {
            self.give_up(&topic, number, Some(offset)).await;
        }
    }

    /// Gives up what is open of a partition. It is read again from what is committed, or from here
    /// if nothing is.
    async fn give_up(&mut self, topic: &str, number: i32, offset: Option<i64>) {
        let partition = self.remove(topic, number);
        let resume = partition.as_ref().map(Partition::resume).or(offset);
        if let Some(resume) = resume {
            self.lost.push((topic.to_owned(), number, resume));
        }
        if let Some(partition) = partition {
            partition.abandon().await;
        }
    }

    /// Gives everything up that is open.
    pub(super) async fn abandon_all(&mut self) {
        for (_, all) in self.partitions.drain() {
            for partition in all.into_values() {
                partition.abandon().await;
            }
        }
    }

    fn remove(&mut self, topic: &str, number: i32) -> Option<Partition> {
        self.partitions.get_mut(topic)?.remove(&number)
    }
}

/// The schema id and the datum of a framed value.
fn avro(bytes: &[u8]) -> Result<(u32, &[u8]), avro_wire::Error> {
    let frame = Framing::CONFLUENT.split(bytes)?;
    match frame.schema {
        SchemaRef::Id(id) => Ok((id, frame.datum)),
        // The Confluent framing has nothing else.
        _ => Ok((0, frame.datum)),
    }
}

/// A key or a value as its converter reads it; its schema must be known.
pub(super) fn item<'m>(
    converter: Converter,
    bytes: &'m [u8],
    shared: &'m Shared,
) -> Result<Item<'m>, Error> {
    match converter {
        Converter::Avro => {
            let (id, datum) = avro(bytes)
                .map_err(|error| Error::new(Part::Data, "no schema id").with_cause(error))?;
            let known = shared.schemas.get(&id).ok_or_else(|| {
                Error::new(Part::Registry, format!("schema {id} was not looked up"))
            })?;
            Ok(Item::Avro(known, datum))
        }
        Converter::Text => std::str::from_utf8(bytes)
            .map(Item::Text)
            .map_err(|error| Error::new(Part::Data, "the text is not UTF-8").with_cause(error)),
        Converter::Bytes => Ok(Item::Bytes(bytes)),
    }
}

fn kafka_failed(what: &str, cause: KafkaError) -> Error {
    Error::new(Part::Kafka, what).with_cause(cause).with_retryable(true)
}
