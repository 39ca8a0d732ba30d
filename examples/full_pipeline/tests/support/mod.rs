//! What the tests of the program share: the program itself, the services it runs on, and readers
//! of topics and objects that have nothing of ours in them but the network.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking, and each test file uses a part of this"
)]

pub mod parquet;
pub mod rows;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use apache_avro::{Reader, Schema, reader::datum::GenericDatumReader, types::Value};
use embedded_services::postgres::{self, Postgres};
use pgoutput::client::{Client, Config, Row};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};

/// A database, a broker and a registry, and a folder for what else there is.
pub struct Place {
    pub postgres: Postgres,
    pub services: Services,
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let postgres = Postgres::start(postgres::Config::new()).unwrap();
        Self { postgres, services: Services::start(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn url(&self) -> String {
        self.postgres.url("postgres")
    }
}

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_full-pipeline"));
    command.env("RUST_LOG", "info").env_remove("PGPASSWORD");
    for name in ["POSTGRES_URL", "KAFKA_BROKERS", "REGISTRY_URL"] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end; a run that hangs fails the test.
pub fn run(command: &mut Command) -> Output {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the program");
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let out = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| text)
    });
    let err = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| text)
    });
    let deadline = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program hangs: {}", String::from_utf8_lossy(&err.join().unwrap().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: out.join().unwrap().unwrap(), stderr: err.join().unwrap().unwrap() }
}

/// A program that runs until it is killed.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start the program"),
        )
    }

    /// The same with its log at the end of a file.
    pub fn start_logged(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        Self(command.stdout(Stdio::null()).stderr(log).spawn().expect("start the program"))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, and the clean end it must lead to.
    pub fn terminate(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait_for_end(&mut self.0);
        assert!(status.success(), "{status}");
    }
}

fn wait_for_end(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "the program does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, mostly.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Broker and registry as a user starts them: a second process of the program.
pub struct Services {
    pub kafka: String,
    pub registry: String,
    _process: Running,
}

impl Services {
    pub fn start() -> Self {
        let mut child = program()
            .args(["services", "--kafka-listen", "127.0.0.1:0"])
            .args(["--registry-listen", "127.0.0.1:0"])
            // A static is never dropped; its input ends with the test process all the same.
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self {
            kafka: addresses["kafka"].as_str().unwrap().to_owned(),
            registry: addresses["registry"].as_str().unwrap().to_owned(),
            _process: Running(child),
        }
    }
}

/// Waits until `done` gives something, looking every few milliseconds.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A message of a topic.
#[derive(Debug, Clone)]
pub struct Received {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

/// Everything that is in a topic's one partition now.
pub fn consume(brokers: &str, topic: &str) -> Vec<Received> {
    let limit = Duration::from_secs(20);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "tests")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let (low, high) = consumer.fetch_watermarks(topic, 0, limit).unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Offset(low)).unwrap();
    consumer.assign(&from).unwrap();
    let mut received = Vec::new();
    while received.last().map_or(low, |last: &Received| last.offset + 1) < high {
        let message = consumer.poll(limit).expect("the topic stopped").unwrap();
        let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
            headers
                .iter()
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value.unwrap_or_default());
                    (header.key.to_owned(), value.into_owned())
                })
                .collect()
        });
        received.push(Received {
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        });
    }
    received
}

/// How many messages a topic holds; none while it does not exist.
pub fn high_watermark(brokers: &str, topic: &str) -> i64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    consumer.fetch_watermarks(topic, 0, Duration::from_secs(10)).map_or(0, |(_, high)| high)
}

/// Decodes framed values with apache-avro and the schema texts of the registry.
pub struct Decoder {
    registry: registry_client::Client,
    schemas: BTreeMap<u32, Schema>,
}

impl Decoder {
    pub fn new(registry: &str) -> Self {
        install_tls();
        let registry =
            registry_client::Client::new(registry_client::Config::new(registry)).unwrap();
        Self { registry, schemas: BTreeMap::new() }
    }

    /// The schema id and the record's fields by name.
    pub async fn decode(&mut self, framed: &[u8]) -> (u32, BTreeMap<String, Value>) {
        assert_eq!(framed[0], 0, "magic byte");
        let id = u32::from_be_bytes(framed[1..5].try_into().unwrap());
        if !self.schemas.contains_key(&id) {
            let registered =
                self.registry.schema(registry_client::SchemaId::new(id)).await.unwrap();
            self.schemas.insert(id, Schema::parse_str(registered.schema()).unwrap());
        }
        let mut datum = &framed[5..];
        let reader = GenericDatumReader::builder(&self.schemas[&id]).build().unwrap();
        let value = reader.read_value(&mut datum).unwrap();
        assert!(datum.is_empty(), "bytes behind the datum");
        (id, fields(value))
    }
}

/// The fields of a record, unions resolved.
pub fn fields(value: Value) -> BTreeMap<String, Value> {
    let Value::Record(fields) = value else { panic!("not a record: {value:?}") };
    fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::Union(_, inner) => (name, *inner),
            value => (name, value),
        })
        .collect()
}

/// A field as SQL prints it; `None` for null.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Int(n) => Some(n.to_string()),
        Value::Long(n) => Some(n.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Boolean(truth) => Some(truth.to_string()),
        other => panic!("no text for {other:?}"),
    }
}

/// The objects below a folder by their path, each read by apache-avro. What is still being written
/// has another ending until it is whole.
pub fn objects(folder: &Path) -> BTreeMap<String, Vec<BTreeMap<String, Value>>> {
    files(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "avro"))
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let records = Reader::new(bytes.as_slice())
                .unwrap()
                .map(|record| fields(record.unwrap()))
                .collect();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            (name, records)
        })
        .collect()
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The offset in an object's name.
pub fn start_offset(name: &str) -> i64 {
    let stem = name.strip_suffix(".avro").unwrap();
    stem.rsplit('+').next().unwrap().parse().unwrap()
}

/// A plain session with the database.
pub async fn connect(url: &str) -> Client {
    Client::connect(&Config::parse(url).unwrap()).await.unwrap()
}

/// Rows as text.
pub async fn rows(client: &mut Client, sql: &str) -> Vec<Row> {
    client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error} {}", error.message()))
}

/// One TLS provider for the whole test process.
pub fn install_tls() {
    // The second test of a binary finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Writes a connector configuration and gives its path.
pub fn configuration(folder: &Path, name: &str, pairs: &[(&str, &str)]) -> PathBuf {
    let config: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    let path = folder.join(name);
    std::fs::write(&path, serde_json::to_string(&config).unwrap()).unwrap();
    path
}
