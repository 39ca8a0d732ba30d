//! One topic partition of the sink: its open objects, its rotation, and the three steps that make
//! its objects appear exactly once.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use s3_partitioner::{
    CommitPlan, Compatibility, Fields, Intent, OffsetCommit, Opaque, Paths, Reason, Record, Rotate,
    Rotation, SchemaChange, SchemaKey, Settings, Tombstone,
};

use super::{
    content::Budget,
    form::Item,
    object::{OpenObject, place},
    quick::Quick,
    schema::{DatumFields, Known, Projections},
    store::Store,
};
use crate::{
    config::{FileKind, Files},
    error::{Error, Part},
    metrics::Metrics,
};

/// S3 takes no longer key, and a file system no longer name.
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 255;
/// Looks at the clock without a new record until one asks what is still to come.
const QUIET: u32 = 10;
/// Objects of one rotation that are completed at the same time.
const AT_ONCE: usize = 4;

/// What all partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) settings: Arc<Settings>,
    pub(super) files: Files,
    pub(super) part_size: usize,
    pub(super) budget: Budget,
    pub(super) metrics: Arc<Metrics>,
    /// Schemas by id; a registry never changes one.
    pub(super) schemas: HashMap<u32, Known, Quick>,
    /// The schema of headers.
    pub(super) headers: Known,
}

impl Shared {
    /// Why a record of one schema cannot go into a file of another.
    fn change(
        &self,
        topic: &str,
        record: SchemaKey,
        file: SchemaKey,
    ) -> Result<Option<SchemaChange>, s3_partitioner::Error> {
        let connect = |key| self.projects_to(key).and_then(|known| known.connect(topic));
        match (connect(record), connect(file)) {
            (Some(record), Some(file)) => self.settings.compatibility().change(record, file),
            _ => Ok(Some(SchemaChange::Schema)),
        }
    }

    /// The schema, if records of others may go into its files.
    fn projects_to(&self, key: SchemaKey) -> Option<&Known> {
        let projects = self.settings.compatibility() != Compatibility::None;
        u32::try_from(key.get()).ok().filter(|_| projects).and_then(|id| self.schemas.get(&id))
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
    /// In order of first use, which is the order they are completed in.
    open: Vec<OpenObject>,
    /// Where they are in that list.
    places: HashMap<Kind, usize, Quick>,
    path: String,
    /// The last offset handled when the clock was last looked at, and how often it was the same.
    quiet: (Option<i64>, u32),
    /// Ways to the schemas of files, and the value that went one of them.
    projections: Projections,
    projected: Vec<u8>,
    /// Value, key and headers as their files hold them, where they are not copied.
    texts: [Vec<u8>; 3],
}

/// Which records go into one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// The number of the rotation's file. With keys beside it a file is several objects when their
    /// schemas differ.
    file: usize,
    /// Schemas of value and key.
    schemas: (Option<u32>, Option<u32>),
    /// Whether there are values at all.
    tombstones: bool,
}

/// A record as its converters read it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'m> {
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    /// Bytes of key and value.
    pub(super) size: u64,
    /// `None` for a tombstone.
    pub(super) value: Option<Item<'m>>,
    /// Only where keys are written.
    pub(super) key: Option<Item<'m>>,
    /// Only where headers are written.
    pub(super) headers: Option<Item<'m>>,
}

impl Item<'_> {
    fn schema(&self) -> Option<u32> {
        match self {
            Item::Avro(known, _) => Some(known.id()),
            Item::Text(_) | Item::Bytes(_) => None,
        }
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
            places: HashMap::default(),
            path: String::new(),
            quiet: (None, 0),
            projections: Projections::default(),
            projected: Vec::new(),
            texts: Default::default(),
        }
    }

    /// Writes one record, closing objects before or after it as the rotation says. An error of
    /// [`Part::Data`] leaves everything as it was before the record.
    pub(super) async fn write(
        &mut self,
        incoming: Incoming<'_>,
        shared: &Shared,
        commit: &(dyn Commit + Sync),
        now: SystemTime,
    ) -> Result<(), Error> {
        let offset = incoming.offset;
        let mut projected = std::mem::take(&mut self.projected);
        let mut parts = parts(&incoming, &shared.files);
        let mut costs = [0; 3];
        for ((text, cost), (item, file)) in self.texts.iter_mut().zip(&mut costs).zip(&parts) {
            if let (Some(item), Some(file)) = (item, file) {
                text.clear();
                *cost = file.format.record(*item, text).map_err(|error| {
                    error.within(format!("{}/{} offset {offset}", self.topic, self.partition))
                })?;
            }
        }
        let fields;
        let value: &(dyn Fields + Sync) = match incoming.value {
            None => &Tombstone,
            Some(Item::Avro(known, datum)) => {
                fields = DatumFields { known, datum };
                &fields
            }
            Some(Item::Text(_) | Item::Bytes(_)) => &Opaque,
        };
        // Made where it is needed: it cannot be kept while a commit is waited for.
        let topic = &self.topic;
        let record = || {
            let record = Record::new(topic, self.partition, offset)
                .with_value(value)
                .with_size(incoming.size);
            match incoming.timestamp_ms {
                Some(timestamp) => record.with_timestamp_ms(timestamp),
                None => record,
            }
        };
        let mut schema = incoming.value.and_then(|value| value.schema());
        let key = schema.map_or(SchemaKey::NONE, |id| SchemaKey::new(u64::from(id)));
        let rotate = loop {
            let decided = self
                .rotation
                .place_with(&mut self.paths, &record(), key, now, |record, file| {
                    shared.change(topic, record, file)
                })
                .map_err(|error| bad(topic, self.partition, offset, error))?;
            if decided != Rotate::Before {
                break decided;
            }
            let reason = reason(self.rotation.reason());
            close(&mut self.plan, &mut self.rotation, &mut self.open, reason, shared, commit, now)
                .await?;
            if self.open.is_empty() {
                self.places.clear();
            }
        };
        let Some(file) = self.rotation.file() else { return Ok(()) };
        if file.schema() != key
            && let Some(Item::Avro(known, datum)) = incoming.value
            && let Some(target) = shared.projects_to(file.schema())
            && let Some(done) = self.projections.write((known, target), datum, &mut projected)
            && let ([(value, Some(kind)), ..], [text, ..], [cost, ..]) =
                (&mut parts, &mut self.texts, &mut costs)
        {
            let item = Item::Avro(target, &projected);
            text.clear();
            match done.and_then(|()| kind.format.record(item, text)) {
                Ok(size) => (*value, *cost, schema) = (Some(item), size, Some(target.id())),
                Err(error) => {
                    self.rotation.rejected();
                    return Err(error.within(format!("{topic}/{} offset {offset}", self.partition)));
                }
            }
        }
        let kind = Kind {
            file: file.number(),
            schemas: (schema, incoming.key.and_then(|key| key.schema())),
            tombstones: incoming.value.is_none(),
        };
        let index = match self.places.get(&kind) {
            Some(index) => *index,
            None => {
                let mut object = OpenObject::new(schema, offset);
                let encoded = file.encoded();
                for (item, kind) in &parts {
                    let (Some(item), Some(kind)) = (item, kind) else { continue };
                    self.path.clear();
                    let namer = shared.settings.namer();
                    namer.object(encoded, &record(), &kind.extension, &mut self.path);
                    if !fits(&shared.store, &self.path) {
                        self.rotation.rejected();
                        let what = format!("{topic}/{} offset {offset}", self.partition);
                        return Err(Error::new(
                            Part::Data,
                            format!("{what} makes too long a name"),
                        ));
                    }
                    object.add_file(self.path.clone(), &kind.format, *item, &shared.budget)?;
                }
                let index = self.open.len();
                self.open.push(object);
                self.places.insert(kind, index);
                index
            }
        };
        if let Some(object) = self.open.get_mut(index) {
            let texts = self.texts.iter().zip(costs);
            let records = parts.iter().zip(texts).filter_map(|((item, file), (text, cost))| {
                let (Some(item), Some(file)) = (item, file) else { return None };
                Some((file.format.copies(*item).unwrap_or(text), cost))
            });
            object.append(offset, records)?;
            object.send_parts(&shared.store, shared.part_size).await?;
        }
        self.projected = projected;
        if rotate == Rotate::After {
            let reason = reason(self.rotation.reason());
            self.close(reason, shared, commit, now).await?;
        }
        Ok(())
    }

    /// The record at `offset` goes into no object.
    pub(super) fn skip(&mut self, offset: i64) {
        self.rotation.skipped(offset);
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

    /// The offsets up to an announced end, if the last of them have not come for a while. To be asked
    /// at every look at the clock.
    pub(super) fn awaited(&mut self) -> Option<(i64, i64)> {
        if !self.is_bound() {
            return None;
        }
        let (before, times) = self.quiet;
        let handled = self.rotation.end();
        self.quiet = (handled, if handled == before { times + 1 } else { 0 });
        if self.quiet.1 < QUIET {
            return None;
        }
        self.quiet.1 = 0;
        let next = handled.map_or_else(|| self.plan.resume(), |handled| handled + 1);
        self.plan.announced_end().filter(|end| next <= *end).map(|end| (next, end))
    }

    /// Nothing is left in the log below `position`. Closes everything if an announced end lies there.
    pub(super) async fn passed(
        &mut self,
        position: i64,
        shared: &Shared,
        commit: &(dyn Commit + Sync),
        now: SystemTime,
    ) -> Result<(), Error> {
        if self.rotation.passed(position) {
            tracing::info!(
                "{}/{}: the last records that were announced are gone from the log",
                self.topic,
                self.partition
            );
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
        close(&mut self.plan, &mut self.rotation, &mut self.open, reason, shared, commit, now)
            .await?;
        // Where nothing could be closed, everything is still in its place.
        if self.open.is_empty() {
            self.places.clear();
        }
        Ok(())
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

    /// What is open.
    pub(super) fn objects(&mut self) -> impl Iterator<Item = &mut OpenObject> {
        self.open.iter_mut()
    }

    /// Gives the open objects up: another owner will write them.
    pub(super) async fn abandon(self) {
        for object in self.open {
            object.abort().await;
        }
    }
}

/// What there is to write, and where.
fn parts<'m, 's>(
    incoming: &Incoming<'m>,
    files: &'s Files,
) -> [(Option<Item<'m>>, Option<&'s FileKind>); 3] {
    [
        (incoming.value, Some(&files.values)),
        (incoming.key, files.keys.as_ref()),
        (incoming.headers, files.headers.as_ref()),
    ]
}

async fn close(
    plan: &mut CommitPlan,
    rotation: &mut Rotation,
    open: &mut Vec<OpenObject>,
    reason: &'static str,
    shared: &Shared,
    commit: &(dyn Commit + Sync),
    now: SystemTime,
) -> Result<(), Error> {
    let wrong = |error| Error::new(Part::Kafka, "objects cannot be closed now").with_cause(error);
    let step = |step: &OffsetCommit| commit.commit(step.offset(), step.metadata());
    // What the store does not take is better known before it is announced.
    for object in open.iter_mut() {
        object.parts_sent().await?;
    }
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
    // Every open object belongs to one of these files; without them nothing may appear.
    drop(plan.objects(rotation).map_err(wrong)?);
    while !open.is_empty() {
        let some = open.drain(..open.len().min(AT_ONCE));
        let done = some.map(|object| object.finish(&shared.store, reason));
        for written in futures_util::future::join_all(done).await {
            let written = written?;
            tracing::debug!("{} ({} records, {reason})", written.path, written.records);
            shared.metrics.object(written);
        }
    }
    step(&plan.commit().map_err(wrong)?)?;
    plan.acknowledged();
    rotation.closed(now);
    Ok(())
}

/// Whether the store can take the name, as it is written there.
pub(super) fn fits(store: &Store, path: &str) -> bool {
    let place = place(path);
    if store.attributes {
        // Names that are too long were told from good ones before, but for what is escaped.
        place.as_ref().len() <= path.len().max(LONGEST_PATH)
    } else {
        place.as_ref().len() <= LONGEST_PATH
            && place.parts().all(|name| name.as_ref().len() <= LONGEST_NAME)
    }
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
        Some(Reason::Bytes) => "bytes",
        Some(Reason::Idle) => "idle",
        Some(Reason::Metadata) => "length of the announcement",
        Some(Reason::Interval) => "rotate.interval.ms",
        Some(Reason::PartitionChange) => "partition change",
        Some(Reason::Schedule) => "rotate.schedule.interval.ms",
        Some(Reason::Schema) => "schema change",
        Some(Reason::Tombstone) => "tombstones",
        Some(Reason::OpenFiles) => "partitioner.max.open.files",
        Some(Reason::Forced) => "recovery",
        _ => "rotation",
    }
}
