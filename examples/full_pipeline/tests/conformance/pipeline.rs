//! One run of a scenario: a database, a broker and a registry of its own, and the source between
//! them, configured by the scenario's own properties.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use debezium_model::{Table, TableId};
use embedded_services::{
    broker::{self, Broker},
    postgres::Postgres,
    registry::{self, CompatibilityLevel, Registry},
};
use full_pipeline::{
    Error, Metrics, Part,
    config::{Endpoints, Properties, SourceConfig},
    shutdown,
    source::{Patience, Source},
};
use pgoutput::client::{self, Client, quote_identifier};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use registry_client::SchemaId;

use crate::{
    scenario::{MARKER, Scenario},
    sql::statements,
};

/// How long a record may take from the database into Kafka.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came out of Kafka.
pub(crate) struct Received {
    /// Records by topic, in order.
    pub(crate) topics: Vec<(String, Vec<Record>)>,
    /// Registered texts by id.
    pub(crate) schemas: HashMap<u32, String>,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
}

pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Why there are no records to compare.
pub(crate) enum Failure {
    /// The source refuses these properties.
    Unsupported(Vec<String>),
    /// The registry refuses a schema.
    Refused(String),
    /// Something else stopped.
    Broken(String),
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Broken(format!("SQL: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let report = format!("source: {}", error.report().replace('\n', " "));
        match error.part() {
            Part::Registry => Self::Refused(report),
            _ => Self::Broken(report),
        }
    }
}

pub(crate) async fn run(scenario: &Scenario, server: &Postgres) -> Result<Received, Failure> {
    let options = scenario.options();
    let began = SystemTime::now();
    let database = options.get("database.dbname").copied().unwrap_or("golden");
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(broker::Config::new(data.path())).await.unwrap();
    // Debezium's records were made with a registry that takes every schema.
    let anything = registry::Config::new().with_compatibility(CompatibilityLevel::None);
    let registry = Registry::start(anything).await.unwrap();
    let mut endpoints = Endpoints::default();
    endpoints.brokers = Some(broker.bootstrap());
    endpoints.registry_url = Some(registry.url());
    endpoints.strict = true;
    let path = data.path().join("connector.properties");
    fs::write(&path, augmented(scenario, server.port())).unwrap();
    let config = SourceConfig::from_properties(Properties::read(&path), &endpoints)
        .map_err(|error| Failure::Unsupported(refused(&error)))?;

    let mut sql = create_database(server, database).await?;
    sql.execute(&format!("CREATE TABLE public.{MARKER} (id int PRIMARY KEY)")).await?;
    sql.execute(&format!("INSERT INTO public.{MARKER} VALUES (0)")).await?;
    run_script(&mut sql, &scenario.setup).await?;
    publish(&mut sql, scenario, &config).await?;

    let marker = TableId::new("public", MARKER);
    let marker = Table::new(&config.topic_prefix, marker, Vec::new(), &config.mapping);
    let topic = marker.map_err(|error| Failure::Broken(error.to_string()))?.topic().to_owned();
    let mut markers = Markers::new(&broker.bootstrap(), topic);
    let metrics = Arc::new(Metrics::default());
    let (stopper, shutdown) = shutdown::shutdown();
    let source = Source::prepare(config, metrics.clone(), shutdown).await?;
    let feed = async {
        let deadline = Instant::now() + PATIENCE;
        while metrics.snapshot_done.get() == 0 {
            if Instant::now() > deadline {
                return Err(Failure::Broken("the snapshot did not end".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for (n, script) in (1..).zip(&scenario.streams) {
            run_script(&mut sql, script).await?;
            sql.execute(&format!("INSERT INTO public.{MARKER} VALUES ({n})")).await?;
            markers = markers.wait(n).await?;
            tokio::time::sleep(scenario.phase).await;
        }
        tokio::time::sleep(scenario.settle).await;
        stopper.stop();
        Ok(())
    };
    let (fed, ran) = {
        let running = follow(&source);
        tokio::pin!(feed, running);
        // Whichever fails first says why: the other one would only run out of time.
        tokio::select! {
            fed = &mut feed => (fed, match tokio::time::timeout(PATIENCE, running).await {
                Ok(ran) => ran,
                Err(_) => Err(Failure::Broken("the source does not stop".to_owned())),
            }),
            ran = &mut running => (Ok(()), ran.and_then(|()| {
                Err(Failure::Broken("the source stopped by itself".to_owned()))
            })),
        }
    };
    stopper.stop();
    let dropped = source.drop_slot().await;
    drop(source);
    fed.and(ran)?;
    dropped?;

    let ended = SystemTime::now();
    let topics = read_topics(broker.bootstrap()).await;
    let schemas = read_schemas(&registry.url(), &topics).await;
    registry.shutdown().await;
    broker.shutdown().await.unwrap();
    Ok(Received { topics, schemas, began, ended })
}

/// Runs the source as the service does, but not for ever.
async fn follow(source: &Source) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        match source.run(Patience::None).await {
            Err(error) if error.is_retryable() && attempts < 10 => attempts += 1,
            ran => return Ok(ran?),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The scenario's properties with what the run itself decides, and with the one default that differs
/// from Debezium's.
fn augmented(scenario: &Scenario, port: u16) -> String {
    let mut text = String::new();
    for line in scenario.properties.lines() {
        text.push_str(line);
        if line.starts_with("table.include.list=") {
            write!(text, ",public\\\\.{MARKER}").unwrap();
        }
        text.push('\n');
    }
    write!(
        text,
        "database.hostname=127.0.0.1\ndatabase.port={port}\ndatabase.user=postgres\n\
         plugin.name=pgoutput\nslot.name=conformance\nslot.drop.on.stop=true\n\
         poll.interval.ms=50\nkeyless.tables=allow\n"
    )
    .unwrap();
    text
}

/// The keys that a configuration error is about.
fn refused(error: &Error) -> Vec<String> {
    let report = error.report();
    let mistakes = report.lines().map(|line| {
        let line = line.trim().trim_start_matches("configuration: ").trim_start_matches("- ");
        line.trim_start_matches("option ")
    });
    mistakes
        .filter(|mistake| !mistake.ends_with("mistakes"))
        .map(|mistake| mistake.split([' ', ':']).next().unwrap_or(mistake).to_owned())
        .collect()
}

/// An empty database in place of the one the scenario before has left.
async fn create_database(server: &Postgres, database: &str) -> Result<Client, Failure> {
    let connect = async |database| {
        Client::connect(&client::Config::parse(&server.url(database)).unwrap()).await
    };
    let mut admin = connect("postgres").await?;
    let name = quote_identifier(database);
    let slots = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                 WHERE active; SELECT slot_name FROM pg_replication_slots";
    let deadline = Instant::now() + PATIENCE;
    while !admin.query(slots).await?.is_empty() && Instant::now() < deadline {
        admin
            .execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
                 WHERE NOT active",
            )
            .await?;
    }
    admin.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    admin.execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
    Ok(connect(database).await?)
}

async fn run_script(sql: &mut Client, script: &str) -> Result<(), Failure> {
    for statement in statements(script) {
        sql.execute(statement)
            .await
            .map_err(|error| Failure::Broken(format!("SQL: {error} in {}", statement.trim())))?;
    }
    Ok(())
}

/// Makes the publication that the connector would have made, which ours leaves to its users.
async fn publish(
    sql: &mut Client,
    scenario: &Scenario,
    config: &SourceConfig,
) -> Result<(), Failure> {
    let options = scenario.options();
    let tables = match options.get("publication.autocreate.mode").copied() {
        Some("disabled") => return Ok(()),
        Some("filtered") => {
            let all = sql
                .query(
                    "SELECT schemaname, tablename FROM pg_tables \
                     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
                )
                .await?;
            let names = all.iter().map(|row| (row.get(0).unwrap(), row.get(1).unwrap()));
            let wanted = names.filter(|(schema, table)| config.tables.includes(schema, table));
            let quoted = wanted.map(|(schema, table)| {
                format!("{}.{}", quote_identifier(schema), quote_identifier(table))
            });
            format!("TABLE {}", quoted.collect::<Vec<_>>().join(", "))
        }
        _ => "ALL TABLES".to_owned(),
    };
    let root = options.get("publish.via.partition.root").copied().unwrap_or("false");
    // Operations that are skipped are not published, but truncation is if nothing is said about it.
    let skipped = options.get("skipped.operations").copied().unwrap_or_default();
    let skipped: Vec<&str> = skipped.split(',').map(str::trim).collect();
    let operations = [("c", "insert"), ("u", "update"), ("d", "delete"), ("t", "truncate")];
    let published = operations.iter().filter(|(code, _)| !skipped.contains(code));
    let published: Vec<&str> = published.map(|(_, name)| *name).collect();
    sql.execute(&format!(
        "CREATE PUBLICATION {} FOR {tables} \
         WITH (publish = '{}', publish_via_partition_root = {root})",
        quote_identifier(&config.publication),
        published.join(", "),
    ))
    .await?;
    Ok(())
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "conformance")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .set("check.crcs", "true")
        .create()
        .unwrap()
}

/// Looks for the marker's rows in Kafka.
struct Markers {
    consumer: BaseConsumer,
    topic: String,
    assigned: bool,
}

impl Markers {
    fn new(bootstrap: &str, topic: String) -> Self {
        Self { consumer: consumer(bootstrap), topic, assigned: false }
    }

    /// Returns itself when the row `n` has come out.
    async fn wait(self, n: i32) -> Result<Self, Failure> {
        let stopped = |_| Failure::Broken("interrupted".to_owned());
        tokio::task::spawn_blocking(move || self.wait_blocking(n)).await.map_err(stopped)?
    }

    fn wait_blocking(mut self, n: i32) -> Result<Self, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut key = Vec::new();
        avro_wire::primitive::write_int(n, &mut key);
        while Instant::now() < deadline {
            if !self.assigned && !self.assign() {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100))
                && message.key().and_then(|bytes| bytes.get(5..)) == Some(&key)
            {
                return Ok(self);
            }
        }
        Err(Failure::Broken(format!("the marker after stream{n}.sql did not come out")))
    }

    /// The source makes a topic when it first sees the table.
    fn assign(&mut self) -> bool {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), PATIENCE).unwrap();
        if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
            return false;
        }
        let mut whole = TopicPartitionList::new();
        whole.add_partition_offset(&self.topic, 0, Offset::Beginning).unwrap();
        self.consumer.assign(&whole).unwrap();
        self.assigned = true;
        true
    }
}

/// Topics that hold no records of the source.
const INTERNAL: [&str; 3] = ["_cdc_offsets", "__consumer_offsets", "__transaction_state"];

/// Everything in Kafka but the source's own position.
async fn read_topics(bootstrap: String) -> Vec<(String, Vec<Record>)> {
    let read = move || {
        let consumer = consumer(&bootstrap);
        let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let topics = metadata.topics().iter().filter(|topic| !INTERNAL.contains(&topic.name()));
        topics
            .map(|topic| {
                assert_eq!(topic.partitions().len(), 1, "order needs one partition");
                (topic.name().to_owned(), read_topic(&consumer, topic.name()))
            })
            .collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn read_topic(consumer: &BaseConsumer, topic: &str) -> Vec<Record> {
    let (low, high) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    let mut records = Vec::new();
    if low == high {
        return records;
    }
    let mut whole = TopicPartitionList::new();
    whole.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&whole).unwrap();
    loop {
        let message = consumer.poll(PATIENCE).expect("the broker answers").unwrap();
        let headers = message.headers().map(|headers| {
            let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
                (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
            };
            headers.iter().map(pair).collect()
        });
        records.push(Record {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        });
        if message.offset() + 1 >= high {
            return records;
        }
    }
}

/// The schemas that the records name.
async fn read_schemas(url: &str, topics: &[(String, Vec<Record>)]) -> HashMap<u32, String> {
    let registry = registry_client::Client::new(registry_client::Config::new(url)).unwrap();
    let mut schemas = HashMap::new();
    let records = topics.iter().flat_map(|(_, records)| records);
    for bytes in records.flat_map(|record| [&record.key, &record.value]).flatten() {
        let Some((id, _)) = crate::compare::split(bytes) else { continue };
        if let std::collections::hash_map::Entry::Vacant(entry) = schemas.entry(id) {
            let registered = registry.schema(SchemaId::new(id)).await.unwrap();
            entry.insert(registered.schema().to_owned());
        }
    }
    schemas
}
