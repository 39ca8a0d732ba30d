//! Topics of small rows that a test writes itself, the sinks that read them, and the check that
//! each offset is in one object.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use apache_avro::Reader;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use registry_client::{NewSchema, Subject};

use super::{Services, as_text, configuration, fields, files, install_tls, parquet, program};

/// One field, which the tests fill with the offset.
pub const SCHEMA: &str = r#"{"type":"record","name":"Row","fields":[{"name":"id","type":"long"}]}"#;
/// Its next version.
pub const SCHEMA_2: &str = r#"{"type":"record","name":"Row","fields":[
    {"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null}]}"#;

/// A client of the services.
pub fn client(services: &Services) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &services.kafka);
    config
}

/// Makes a topic.
pub async fn create_topic(services: &Services, name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(services).create().unwrap();
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
}

/// Registers a schema and gives its id.
pub async fn register(services: &Services, subject: &str, schema: &str) -> u32 {
    install_tls();
    let registry =
        registry_client::Client::new(registry_client::Config::new(&services.registry)).unwrap();
    registry.register(&Subject::new(subject), &NewSchema::new(schema)).await.unwrap().get()
}

/// A framed row of [`SCHEMA`], or with a note of [`SCHEMA_2`].
pub fn row(schema: u32, id: i64, note: Option<&str>) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(schema.to_be_bytes());
    avro_wire::primitive::write_long(id, &mut value);
    if let Some(note) = note {
        avro_wire::primitive::write_long(1, &mut value);
        avro_wire::primitive::write_string(note, &mut value);
    }
    value
}

/// The sink on one topic, with a bucket and a name of its own.
pub fn sink(
    services: &Services,
    folder: &Path,
    topic: &str,
    pairs: &[(&str, &str)],
) -> (Command, PathBuf) {
    let name = format!("{topic}-sink");
    let mut all = vec![("name", name.as_str()), ("topics", topic)];
    all.extend(pairs);
    let config = configuration(folder, &format!("{topic}.json"), &all);
    let bucket = folder.join(topic);
    let mut command = program();
    command
        .args(["sink", "--brokers", &services.kafka])
        .args(["--registry-url", &services.registry, "--sink-config"])
        .arg(config)
        .arg("--bucket")
        .arg(&bucket);
    (command, bucket)
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        // xorshift64; a seed of 0 would stay 0.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Writes rows whose ids are their offsets to every partition of a topic until it is stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<i64>,
}

impl Load {
    /// Starts writing some `per_second` rows a second to each partition, with short pauses at times.
    /// Timestamps advance by a second a row and jump back at times; every 40 rows or so the schema changes if there are two. Those
    /// that say so have a note.
    pub fn start(
        services: &Services,
        topic: &str,
        partitions: i32,
        schemas: Vec<(u32, bool)>,
        per_second: i64,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let producer: FutureProducer =
            client(services).set("enable.idempotence", "true").create().unwrap();
        let (topic, asked) = (topic.to_owned(), stop.clone());
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let mut dice = Dice(0x5EED + u64::try_from(partitions).unwrap());
            let (mut next, mut version) = (0, 0);
            while !asked.load(Ordering::Relaxed) {
                tick.tick().await;
                if dice.below(10) == 0 {
                    continue;
                }
                let mut sent = Vec::new();
                for _ in 0..(per_second / 20).max(1) {
                    if dice.below(40) == 0 {
                        version = (version + 1) % schemas.len();
                    }
                    let back = if dice.below(30) == 0 { 90_000 } else { 0 };
                    let timestamp = 1_704_067_200_000 + next * 1000 - back;
                    let (schema, has_note) = schemas[version];
                    let note = ["a", "b", "c"][usize::try_from(next % 3).unwrap()];
                    let value = row(schema, next, has_note.then_some(note));
                    for partition in 0..partitions {
                        let record: FutureRecord<'_, (), Vec<u8>> = FutureRecord::to(&topic)
                            .partition(partition)
                            .timestamp(timestamp)
                            .payload(&value);
                        sent.push(producer.send_result(record).map_err(|(e, _)| e).unwrap());
                    }
                    next += 1;
                }
                for delivered in sent {
                    delivered.await.unwrap().unwrap();
                }
            }
            next
        });
        Self { stop, task }
    }

    /// Stops writing and gives the number of rows in each partition.
    pub async fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// What was seen in a bucket: every object is read once by apache-avro or pyarrow, when it appears.
#[derive(Debug, Default)]
pub struct Seen {
    objects: BTreeMap<PathBuf, (Vec<u8>, Vec<i64>)>,
}

impl Seen {
    /// Looks again; gives the number of rows seen so far.
    pub fn look(&mut self, bucket: &Path) -> usize {
        for path in object_files(bucket) {
            self.objects.entry(path).or_insert_with_key(|path| {
                let bytes = std::fs::read(path).unwrap();
                let ids = read(path, &bytes);
                (bytes, ids)
            });
        }
        self.objects.values().map(|(_, ids)| ids.len()).sum()
    }

    /// Reads everything afresh: each of `rows` offsets of each partition is in one object, the
    /// objects are named after their first offset, and none has changed since it was first seen.
    pub fn check(&mut self, what: &str, bucket: &Path, partitions: i32, rows: i64) {
        self.look(bucket);
        let mut held = BTreeMap::<i32, Vec<i64>>::new();
        for (path, (before, ids)) in &self.objects {
            let now = std::fs::read(path).unwrap();
            assert!(now == *before, "{what}: {} has changed", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            let stem = name.split_once('.').unwrap().0;
            let mut parts = stem.rsplit('+');
            let start: i64 = parts.next().unwrap().parse().unwrap();
            let partition: i32 = parts.next().unwrap().parse().unwrap();
            assert_eq!(ids.first(), Some(&start), "{what}: {}", path.display());
            held.entry(partition).or_default().extend(ids);
        }
        for partition in 0..partitions {
            let mut ids = held.remove(&partition).unwrap_or_default();
            ids.sort_unstable();
            let twice: Vec<_> = ids.windows(2).filter(|two| two[0] == two[1]).collect();
            assert!(twice.is_empty(), "{what}/{partition}: twice: {twice:?}");
            let missing: Vec<i64> = (0..rows).filter(|id| ids.binary_search(id).is_err()).collect();
            assert!(missing.is_empty(), "{what}/{partition}: missing of {rows}: {missing:?}");
            assert_eq!(i64::try_from(ids.len()).unwrap(), rows, "{what}/{partition}");
        }
        assert!(held.is_empty(), "{what}: {held:?}");
    }
}

/// The objects of a bucket; what is still being written has another ending until it is whole.
pub fn object_files(bucket: &Path) -> Vec<PathBuf> {
    let mut found = files(bucket);
    found.retain(|path| path.extension().is_some_and(|end| end == "avro" || end == "parquet"));
    found
}

fn read(path: &Path, bytes: &[u8]) -> Vec<i64> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        return parquet::ids(path);
    }
    Reader::new(bytes)
        .unwrap()
        .map(|record| as_text(&fields(record.unwrap())["id"]).unwrap().parse().unwrap())
        .collect()
}
