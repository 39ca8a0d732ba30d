//! One partition on a store that fails as ordered, and a broker that is two variables: whatever
//! fails, nothing is lost or doubled, and no offset is committed before its object is there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use avro_wire::{Schema, primitive};
use embedded_services::store::{Fault, Faults, FaultyStore, Operation};
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use s3_partitioner::{CommitPlan, Settings};

use super::{
    content::Budget,
    form::{Format, Item},
    headers,
    partition::{Commit, Incoming, Partition, Shared},
    schema::Known,
    store::Store,
};
use crate::{
    config::{FileKind, Files},
    error::{Error, Part},
    metrics::Metrics,
};

const SCHEMA: &str = r#"{"type":"record","name":"Row","fields":[
    {"name":"id","type":"long"},{"name":"place","type":"int"},{"name":"text","type":"string"}]}"#;
const ROWS: i64 = 60;
/// An object is more than one block.
const TEXT: usize = 12_000;

/// An object is three parts.
const PART: usize = 30_000;
const BUDGET: usize = 40_000;

/// What the group has committed.
#[derive(Debug, Default)]
struct Journal(Mutex<(i64, String)>);

impl Commit for Journal {
    fn commit(&self, offset: i64, metadata: &str) -> Result<(), Error> {
        *self.0.lock().unwrap() = (offset, metadata.to_owned());
        Ok(())
    }
}

struct Bench {
    /// The wall clock when an offset is written.
    clock: fn(i64) -> SystemTime,
    memory: Arc<InMemory>,
    faults: Faults,
    journal: Journal,
    shared: Shared,
    known: Known,
}

impl Bench {
    /// Three directories, objects of some 20 records in all; `part` decides whether they go up in
    /// parts, and `budget` whether they are spilled.
    fn new(part: usize, budget: usize) -> Self {
        let by_place = [
            ("flush.size", "20"),
            ("partitioner.class", "FieldPartitioner"),
            ("partition.field.name", "place"),
        ];
        Self::with_settings(part, budget, by_place)
    }

    fn with_settings<'a>(
        part: usize,
        budget: usize,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let memory = Arc::new(InMemory::new());
        let store = FaultyStore::new(Arc::clone(&memory) as Arc<dyn ObjectStore>);
        let settings = Settings::from_properties(settings);
        let format = Format::Avro(avro_wire::ocf::Codec::Null);
        let values = FileKind { extension: format.extension(""), format };
        Self {
            clock: |_| SystemTime::now(),
            faults: store.faults(),
            memory,
            journal: Journal::default(),
            known: Known::new(1, Schema::parse(SCHEMA).unwrap(), &["place".to_owned()]),
            shared: Shared {
                store: Store {
                    objects: Arc::new(store),
                    attributes: true,
                    tags: Some(vec![("team".to_owned(), "orders".to_owned())]),
                },
                settings: Arc::new(settings.unwrap()),
                files: Files { values, keys: None, headers: None },
                part_size: part,
                budget: Budget::new(budget, std::env::temp_dir()),
                metrics: Arc::new(Metrics::default()),
                schemas: HashMap::default(),
                headers: headers::known(),
            },
        }
    }

    /// One owner of the partition, until all is written or something fails.
    async fn own(&self) -> Result<(), Error> {
        let (at, metadata) = self.journal.0.lock().unwrap().clone();
        let plan = CommitPlan::recover(at, &metadata).unwrap();
        let mut partition = Partition::new("rows", 0, plan, &self.shared);
        let mut outcome = Ok(());
        for offset in at..ROWS {
            outcome = self.write(&mut partition, offset).await;
            if outcome.is_err() {
                break;
            }
            if self.shared.budget.excess() > 0 {
                partition.objects().for_each(|object| object.spill().unwrap());
            }
        }
        if outcome.is_ok() {
            let now = SystemTime::now();
            outcome = partition.close("shutdown", &self.shared, &self.journal, now).await;
        }
        partition.abandon().await;
        outcome
    }

    async fn write(&self, partition: &mut Partition, offset: i64) -> Result<(), Error> {
        let mut datum = Vec::new();
        primitive::write_long(offset, &mut datum);
        primitive::write_int(i32::try_from(offset % 3).unwrap(), &mut datum);
        primitive::write_string(&"x".repeat(TEXT), &mut datum);
        let incoming = Incoming {
            offset,
            timestamp_ms: Some(offset),
            size: datum.len() as u64,
            value: Some(Item::Avro(&self.known, &datum)),
            key: None,
            headers: None,
        };
        let now = (self.clock)(offset);
        partition.poll(&self.shared, &self.journal, now).await?;
        partition.write(incoming, &self.shared, &self.journal, now).await
    }

    /// The objects and the ids they hold, read by apache-avro.
    async fn objects(&self) -> BTreeMap<String, Vec<i64>> {
        let listed: Vec<_> = self.memory.list(None).try_collect().await.unwrap();
        let mut objects = BTreeMap::new();
        for object in listed {
            let got = self.memory.get(&object.location).await.unwrap();
            let bytes = got.bytes().await.unwrap();
            let reader = apache_avro::Reader::new(&bytes[..]).unwrap();
            let ids = reader
                .map(|record| match record.unwrap() {
                    apache_avro::types::Value::Record(fields) => match fields[0].1 {
                        apache_avro::types::Value::Long(id) => id,
                        ref other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                })
                .collect();
            objects.insert(object.location.to_string(), ids);
        }
        objects
    }

    /// Runs owner after owner until one gets through; gives the errors of the others.
    async fn run(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        while let Err(error) = self.own().await {
            let committed = self.journal.0.lock().unwrap().0;
            let held = self.objects().await.into_values().flatten().filter(|id| *id < committed);
            assert_eq!(i64::try_from(held.count()).unwrap(), committed, "committed, so there");
            errors.push(error);
            assert!(errors.len() < 10, "{errors:?}");
        }
        let mut ids: Vec<i64> = self.objects().await.into_values().flatten().collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..ROWS).collect::<Vec<_>>());
        assert_eq!(*self.journal.0.lock().unwrap(), (ROWS, String::new()));
        errors
    }
}

#[tokio::test]
async fn every_fault_at_every_place_loses_and_doubles_nothing() {
    let undisturbed = Bench::new(PART, BUDGET);
    assert!(undisturbed.run().await.is_empty());
    let expected = undisturbed.objects().await;
    let whole = Bench::new(1 << 20, 1 << 20);
    assert!(whole.run().await.is_empty());
    assert_eq!(whole.objects().await, expected, "parts and spilling change nothing");
    assert!(undisturbed.faults.seen(Operation::Part) > 9, "there were parts");
    assert_eq!(whole.faults.seen(Operation::Part), 0);

    let mut failures = 0;
    for fault in [Fault::Unavailable, Fault::Denied, Fault::LostAnswer] {
        for operation in [Operation::Put, Operation::Begin, Operation::Part, Operation::Complete] {
            for number in 1..=9 {
                let bench = match operation {
                    Operation::Put => Bench::new(1 << 20, BUDGET),
                    _ => Bench::new(PART, BUDGET),
                };
                bench.faults.fail(operation, number, fault);
                let errors = bench.run().await;
                assert_eq!(errors.len(), 1, "{operation:?} {number} {fault:?}");
                failures += 1;
                for error in errors {
                    assert_eq!(error.part(), Part::Store);
                    assert!(error.is_retryable());
                    let advice = error.advice().unwrap();
                    let credentials = advice.contains("credentials");
                    assert_eq!(credentials, fault == Fault::Denied, "{advice}");
                }
                assert_eq!(bench.objects().await, expected, "{operation:?} {number} {fault:?}");
            }
        }
    }
    assert_eq!(failures, 3 * 4 * 9);
}

#[tokio::test]
async fn a_slow_store_is_waited_for() {
    let bench = Bench::new(PART, 1 << 20);
    bench.faults.delay(Duration::from_millis(30));
    assert!(bench.run().await.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_commits_nothing_meanwhile() {
    let bench = Bench::new(1 << 20, 1 << 20);
    bench.faults.fail_all(Operation::Put, Fault::Unavailable);
    for _ in 0..3 {
        assert_eq!(bench.own().await.unwrap_err().part(), Part::Store);
        assert_eq!(*bench.journal.0.lock().unwrap(), (0, r#"{"end":19}"#.to_owned()));
    }
    bench.faults.clear();
    assert!(bench.run().await.is_empty());
}

#[tokio::test]
async fn objects_say_what_they_hold() {
    let bench = Bench::new(1 << 20, 1 << 20);
    assert!(bench.run().await.is_empty());
    let path = "topics/rows/place=1/rows+0+0000000001.avro".into();
    let got = bench.memory.get(&path).await.unwrap();
    let attribute = |name: &'static str| {
        let name = object_store::Attribute::Metadata(name.into());
        got.attributes.get(&name).unwrap().to_string()
    };
    assert_eq!(
        ["first_offset", "last_offset", "records", "schema_id"].map(attribute),
        ["1", "19", "7", "1"]
    );
}

/// Hours and days back and forth, sometimes for one record.
fn restless(offset: i64) -> SystemTime {
    let back = [0, 0, 90_000, 7_200, 86_400, 0, 400][usize::try_from(offset % 7).unwrap()];
    let seconds = 1_709_600_000 + offset.unsigned_abs() * 40;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds - back)
}

#[tokio::test]
async fn a_clock_that_jumps_back_loses_and_doubles_nothing() {
    let by_clock = [
        ("flush.size", "25"),
        ("partitioner.class", "TimeBasedPartitioner"),
        ("timestamp.extractor", "Wallclock"),
        ("partition.duration.ms", "60000"),
        ("path.format", "'d'=dd/'h'=HH/'m'=mm"),
        ("rotate.interval.ms", "600000"),
        ("rotate.file.on.partition.change", "false"),
        ("rotate.schedule.interval.ms", "3600000"),
        ("rotate.idle.ms", "7000000"),
        ("locale", "en"),
        ("timezone", "Australia/Sydney"),
    ];
    let bench = |fault: Option<u64>| {
        let mut bench = Bench::with_settings(1 << 20, 1 << 20, by_clock);
        bench.clock = restless;
        if let Some(number) = fault {
            bench.faults.fail(Operation::Put, number, Fault::Unavailable);
        }
        bench
    };
    let undisturbed = bench(None);
    assert!(undisturbed.run().await.is_empty());
    let objects = undisturbed.objects().await;
    assert!(objects.len() > 10, "{objects:?}");
    for number in 1..objects.len() as u64 {
        let disturbed = bench(Some(number));
        assert_eq!(disturbed.run().await.len(), 1, "{number}");
    }
}

#[test]
fn names_fit_where_they_are_written() {
    let bucket = Bench::new(1, 1).shared.store;
    let folder = Store { attributes: false, ..bucket.clone() };
    let fits = |path: &str| [&bucket, &folder].map(|store| super::partition::fits(store, path));
    assert_eq!(fits("topics/rows/place=1/rows+0+0000000000.avro"), [true, true]);
    assert_eq!(fits(&format!("topics/{}/x", "n".repeat(256))), [true, false]);
    // What was let through as it is must not become too long by being escaped.
    assert_eq!(fits(&format!("topics/{}", "\0".repeat(85))), [true, true]);
    assert_eq!(fits(&format!("topics/{}", "\0".repeat(86))), [true, false]);
    assert_eq!(fits(&format!("topics/{}", "\0".repeat(400))), [false, false]);
}
