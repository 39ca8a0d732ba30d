use std::collections::{BTreeMap, BTreeSet};

use s3_partitioner::{Fields, Shape, Value};

use crate::Counts;
use crate::random::Random;

/// All that outlives an owner of the partition: the log, the broker's offsets, the store, the time.
#[derive(Debug)]
pub(crate) struct World<'c> {
    log: Vec<Entry>,
    /// The offset of its first entry.
    start: i64,
    /// How much of the log has been appended so far.
    pub(crate) end: i64,
    pub(crate) now_ms: i64,
    /// The most records of one poll, which share a time.
    pub(crate) largest_poll: u64,
    pub(crate) generation: u64,
    pub(crate) committed: (i64, String),
    objects: BTreeMap<String, Object>,
    bad: BTreeSet<i64>,
    /// No more faults.
    pub(crate) calm: bool,
    counts: &'c mut Counts,
}

/// A visible object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) bytes: String,
    pub(crate) offsets: Vec<i64>,
}

/// One offset of the log.
#[derive(Clone, Debug)]
enum Entry {
    Record(Row),
    /// Compacted away, or a marker or record of a transaction that readers are not given.
    Gap,
}

/// What a record holds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) timestamp_ms: i64,
    pub(crate) schema: u64,
    pub(crate) size: u64,
    region: Option<&'static str>,
    pub(crate) writable: bool,
}

impl Fields for Row {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        match path {
            "region" => self.region.map(Value::String),
            "timestamp" => Some(Value::Int64(self.timestamp_ms)),
            _ => None,
        }
    }

    fn shape(&self) -> Shape {
        Shape::Struct
    }

    fn schema_name(&self) -> Option<&str> {
        Some(if self.schema == 0 { "old" } else { "new" })
    }
}

/// How an attempt to change something outside ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Refused for good.
    Refused,
    /// It may have happened or not.
    Unknown,
}

impl<'c> World<'c> {
    pub(crate) fn new(random: &mut Random, counts: &'c mut Counts) -> Self {
        let start = random.below(2_000) as i64;
        // Around the end of summer time in Sydney, or anywhere.
        let mut now_ms = 1_712_400_000_000 + random.below(40_000_000) as i64;
        if random.one_in(2) {
            now_ms = random.below(3_000_000_000_000) as i64;
        }
        let gaps = random.pick(&[2, 5, 1_000]);
        let entry = |random: &mut Random| {
            if random.one_in(gaps) {
                return Entry::Gap;
            }
            Entry::Record(Row {
                timestamp_ms: now_ms + random.below(4_000_000) as i64 - 400_000,
                schema: if random.one_in(3) { random.below(3) } else { 0 },
                size: random.between(1, 60),
                region: (!random.one_in(40)).then(|| random.pick(&["eu", "us", "a/b", "=+"])),
                writable: !random.one_in(40),
            })
        };
        let log: Vec<_> = (0..random.between(3, 40)).map(|_| entry(random)).collect();
        let mut world = Self {
            log,
            start,
            end: start,
            now_ms,
            largest_poll: random.pick(&[1, 10]),
            generation: 0,
            committed: (start, String::new()),
            objects: BTreeMap::new(),
            bad: BTreeSet::new(),
            calm: false,
            counts,
        };
        if world.log.iter().any(|entry| matches!(entry, Entry::Gap)) {
            world.count("gaps");
        }
        world.append(random);
        world
    }

    pub(crate) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// The producer sends some more.
    pub(crate) fn append(&mut self, random: &mut Random) {
        self.end = (self.end + random.between(1, 8) as i64).min(self.log_end());
    }

    pub(crate) fn append_all(&mut self) {
        self.end = self.log_end();
    }

    const fn log_end(&self) -> i64 {
        self.start + self.log.len() as i64
    }

    /// The clock goes on, by steps of very different lengths, and is put back at times.
    pub(crate) fn pass_time(&mut self, random: &mut Random) {
        let span = random.pick(&[10, 1_000, 30_000, 600_000, 8_000_000]);
        let step = random.below(span) as i64;
        self.now_ms += if random.one_in(8) { -step } else { step };
    }

    /// The record at `position`, if a reader is given one there.
    pub(crate) fn read(&self, position: i64) -> Option<Row> {
        match &self.log[(position - self.start) as usize] {
            Entry::Record(row) => Some(row.clone()),
            Entry::Gap => None,
        }
    }

    /// A record that belongs into no object, whoever reads it.
    pub(crate) fn dead_letter(&mut self, offset: i64) {
        self.bad.insert(offset);
    }

    pub(crate) fn commit(
        &mut self,
        generation: u64,
        offset: i64,
        metadata: &str,
        random: &mut Random,
    ) -> Outcome {
        if generation != self.generation {
            self.count("refused");
            return Outcome::Refused;
        }
        let fault = self.fault(random);
        if fault != Some(Fault::Before) {
            self.committed = (offset, metadata.to_owned());
        }
        match fault {
            None => Outcome::Done,
            Some(_) => {
                self.count("lost answers");
                Outcome::Unknown
            }
        }
    }

    /// Makes an object visible as a whole, or not at all.
    pub(crate) fn put(
        &mut self,
        generation: u64,
        name: &str,
        object: &Object,
        random: &mut Random,
    ) -> Result<Outcome, String> {
        let fault = self.fault(random);
        if fault != Some(Fault::Before) {
            if let Some(there) = self.objects.get(name) {
                if there != object {
                    return Err(format!(
                        "{name} was written again with other bytes: {there:?}, then {object:?}"
                    ));
                }
                self.count("objects written again");
            }
            if generation != self.generation {
                self.count("written by one who lost the partition");
            }
            self.objects.insert(name.to_owned(), object.clone());
        }
        Ok(match fault {
            None => Outcome::Done,
            Some(_) => {
                self.count("uploads that failed");
                Outcome::Unknown
            }
        })
    }

    fn fault(&self, random: &mut Random) -> Option<Fault> {
        match random.below(20) {
            0 if !self.calm => Some(Fault::Before),
            1 if !self.calm => Some(Fault::After),
            _ => None,
        }
    }

    /// Whether each good record is in one visible object, and nothing else is in any.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for (name, object) in &self.objects {
            for &offset in &object.offsets {
                if let Some(other) = seen.insert(offset, name) {
                    return Err(format!("offset {offset} is in {other} and in {name}"));
                }
            }
        }
        for (entry, offset) in self.log.iter().zip(self.start..) {
            let good =
                matches!(entry, Entry::Record(row) if row.writable) && !self.bad.contains(&offset);
            if good != seen.contains_key(&offset) {
                return Err(format!(
                    "offset {offset}: good is {good}, which is not what is visible"
                ));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing happened.
    Before,
    /// It happened, and nobody was told.
    After,
}
