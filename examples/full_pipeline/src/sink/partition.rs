//! One topic partition of the sink: its open objects, its rotation, and the three steps that make
//! its objects appear exactly once.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use avro_wire::{FieldReader, Framing, Scalar, Schema, SchemaRef};
use object_store::ObjectStore;
use s3_partitioner::{
    CommitPlan, Fields, Intent, OffsetCommit, Paths, Reason, Record, Rotate, Rotation, SchemaKey,
    Settings, Value,
};

use super::object::OpenObject;
use crate::{
    error::{Error, Part},
    metrics::Metrics,
};

/// What all partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) settings: Arc<Settings>,
    pub(super) codec: avro_wire::ocf::Codec,
    pub(super) part_size: usize,
    pub(super) metrics: Arc<Metrics>,
    /// Schemas by id; a registry never changes one.
    pub(super) schemas: HashMap<u32, Known>,
}

/// A schema of the registry, and how to read the fields that paths are made of.
#[derive(Debug)]
pub(super) struct Known {
    schema: Schema,
    fields: Vec<(String, FieldReader)>,
}

impl Known {
    pub(super) fn new(schema: Schema, fields: &[String]) -> Self {
        let fields = fields
            .iter()
            .filter_map(|path| Some((path.clone(), schema.field_reader(path)?)))
            .collect();
        Self { schema, fields }
    }
}

/// A datum that is asked for single fields.
#[derive(Debug)]
struct DatumFields<'d> {
    known: &'d Known,
    datum: &'d [u8],
}

impl Fields for DatumFields<'_> {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        let (_, reader) = self.known.fields.iter().find(|(known, _)| known == path)?;
        Some(match reader.read(self.datum).ok()? {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Boolean(value),
            Scalar::Int(value) => Value::Int32(value),
            Scalar::Long(value) => Value::Int64(value),
            Scalar::Float(value) => Value::Float32(value),
            Scalar::Double(value) => Value::Float64(value),
            Scalar::String(value) => Value::String(value),
            Scalar::Bytes(_) => Value::Composite,
        })
    }

    fn schema_name(&self) -> Option<&str> {
        self.known.schema.name()
    }
}

/// Commits one offset with metadata for the partition it is called for.
pub(super) trait Commit {
    /// Returns once the broker has acknowledged.
    fn commit(&self, offset: i64, metadata: &str) -> Result<(), Error>;
}

/// The open objects of one topic partition.
#[derive(Debug)]
pub(super) struct Partition {
    topic: String,
    partition: i32,
    plan: CommitPlan,
    rotation: Rotation,
    paths: Paths,
    /// By the number of the file, in order of first use, which is the order they are completed in.
    open: Vec<(usize, OpenObject)>,
    path: String,
}

/// A value as it came from Kafka.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'m> {
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) value: &'m [u8],
}

/// The schema id of a framed value.
pub(super) fn schema_id(value: &[u8]) -> Result<u32, avro_wire::Error> {
    match Framing::CONFLUENT.split(value)?.schema {
        SchemaRef::Id(id) => Ok(id),
        // The Confluent framing has nothing else.
        _ => Ok(0),
    }
}

impl Partition {
    /// Starts where the group's committed offset and its metadata say.
    pub(super) fn new(topic: &str, partition: i32, plan: CommitPlan, shared: &Shared) -> Self {
        if let Some(end) = plan.announced_end() {
            tracing::info!(
                "{topic}/{partition}: finishing the objects of offsets {}..={end} that were announced",
                plan.resume()
            );
        }
        Self {
            topic: topic.to_owned(),
            partition,
            rotation: plan.rotation(shared.settings.rotation().clone()),
            paths: shared.settings.paths(),
            plan,
            open: Vec::new(),
            path: String::new(),
        }
    }

    /// Writes one record, closing objects before or after it as the rotation says. The schema of
    /// the value must be in `shared`.
    pub(super) async fn write(
        &mut self,
        incoming: Incoming<'_>,
        shared: &Shared,
        commit: &(dyn Commit + Sync),
        now: SystemTime,
    ) -> Result<(), Error> {
        let frame =
            Framing::CONFLUENT.split(incoming.value).map_err(|e| self.bad(incoming.offset, e))?;
        let id = schema_id(incoming.value).map_err(|e| self.bad(incoming.offset, e))?;
        let known = shared
            .schemas
            .get(&id)
            .ok_or_else(|| Error::new(Part::Registry, format!("schema {id} was not looked up")))?;
        let fields = DatumFields { known, datum: frame.datum };
        // Made where it is needed: it cannot be kept while a commit is waited for.
        let topic = &self.topic;
        let record = || {
            let record = Record::new(topic, self.partition, incoming.offset).with_value(&fields);
            match incoming.timestamp_ms {
                Some(timestamp) => record.with_timestamp_ms(timestamp),
                None => record,
            }
        };
        let key = SchemaKey::new(u64::from(id));
        let rotate = loop {
            let decided = self
                .rotation
                .place(&mut self.paths, &record(), key, now)
                .map_err(|error| bad(&self.topic, self.partition, incoming.offset, error))?;
            if decided != Rotate::Before {
                break decided;
            }
            let reason = reason(self.rotation.reason());
            close(&mut self.plan, &mut self.rotation, &mut self.open, reason, shared, commit, now)
                .await?;
        };
        let Some(file) = self.rotation.file() else { return Ok(()) };
        let object = match self.open.iter().position(|(number, _)| *number == file.number()) {
            Some(index) => index,
            None => {
                self.path.clear();
                let settings = &shared.settings;
                let extension = settings.extension();
                settings.namer().file(&self.topic, self.partition, file, extension, &mut self.path);
                let object = OpenObject::new(
                    self.path.clone(),
                    id,
                    &known.schema,
                    shared.codec,
                    incoming.offset,
                );
                self.open.push((file.number(), object));
                self.open.len() - 1
            }
        };
        if let Some((_, object)) = self.open.get_mut(object) {
            debug_assert_eq!(object.schema(), id, "one schema an object");
            object.append(incoming.offset, frame.datum)?;
            if object.held() >= shared.part_size {
                object.send_part(&shared.store).await?;
            }
        }
        if rotate == Rotate::After {
            let reason = reason(self.rotation.reason());
            self.close(reason, shared, commit, now).await?;
        }
        Ok(())
    }

    /// Closes everything when the wall clock says so.
    pub(super) async fn poll(
        &mut self,
        shared: &Shared,
        commit: &(dyn Commit + Sync),
        now: SystemTime,
    ) -> Result<(), Error> {
        if self.rotation.due(now) {
            self.close(reason(self.rotation.reason()), shared, commit, now).await?;
        }
        Ok(())
    }

    /// Completes every open object: announce the end, make the objects visible, move on.
    pub(super) async fn close(
        &mut self,
        reason: &'static str,
        shared: &Shared,
        commit: &(dyn Commit + Sync),
        now: SystemTime,
    ) -> Result<(), Error> {
        close(&mut self.plan, &mut self.rotation, &mut self.open, reason, shared, commit, now).await
    }

    /// Whether an earlier owner's announced boundary has yet to be reached: nothing may be closed
    /// before it.
    pub(super) const fn is_bound(&self) -> bool {
        self.rotation.is_bound()
    }

    /// The offset that is committed.
    pub(super) const fn resume(&self) -> i64 {
        self.plan.resume()
    }

    /// Gives the open objects up: another owner will write them.
    pub(super) async fn abandon(self) {
        for (_, object) in self.open {
            object.abort().await;
        }
    }

    fn bad(&self, offset: i64, error: avro_wire::Error) -> Error {
        bad(&self.topic, self.partition, offset, error)
    }
}

async fn close(
    plan: &mut CommitPlan,
    rotation: &mut Rotation,
    open: &mut Vec<(usize, OpenObject)>,
    reason: &'static str,
    shared: &Shared,
    commit: &(dyn Commit + Sync),
    now: SystemTime,
) -> Result<(), Error> {
    let wrong = |error| Error::new(Part::Kafka, "objects cannot be closed now").with_cause(error);
    let step = |step: &OffsetCommit| commit.commit(step.offset(), step.metadata());
    match plan.intent(rotation).map_err(wrong)? {
        Intent::Nothing | Intent::Bound => return Ok(()),
        Intent::Skip(past) => {
            step(&past)?;
            plan.acknowledged();
            rotation.closed(now);
            return Ok(());
        }
        Intent::Announce(intent) => {
            step(&intent)?;
            plan.acknowledged();
        }
        Intent::Announced => {}
    }
    for file in plan.objects(rotation).map_err(wrong)? {
        let Some(at) = open.iter().position(|(number, _)| *number == file.number()) else {
            continue;
        };
        let (_, object) = open.remove(at);
        let written = object.finish(&shared.store, reason).await?;
        tracing::debug!("{} ({} records, {reason})", written.path, written.records);
        shared.metrics.object(written);
    }
    step(&plan.commit().map_err(wrong)?)?;
    plan.acknowledged();
    rotation.closed(now);
    Ok(())
}

fn bad(
    topic: &str,
    partition: i32,
    offset: i64,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(Part::Data, format!("{topic}/{partition} offset {offset} fits no object"))
        .with_cause(cause)
        .with_advice("correct the topic's producer or the partitioner's settings")
}

const fn reason(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::Size) => "flush.size",
        Some(Reason::Interval) => "rotate.interval.ms",
        Some(Reason::PartitionChange) => "partition change",
        Some(Reason::Schedule) => "rotate.schedule.interval.ms",
        Some(Reason::Schema) => "schema change",
        Some(Reason::OpenFiles) => "partitioner.max.open.files",
        Some(Reason::Forced) => "recovery",
        _ => "rotation",
    }
}
