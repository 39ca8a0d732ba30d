//! The demo: a real Postgres, a broker, a registry and a folder; and a story on them, step by step,
//! each step checked before the next one is told.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use embedded_services::postgres::{self, Postgres};
use pgoutput::client::{Client, Config};
use registry_client::{Subject, Version};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::{
    cli::DemoArgs,
    config::{Endpoints, Properties, SinkConfig, SourceConfig},
    error::{Error, Part},
    iam::Login,
    kafka, load_demo,
    metrics::Metrics,
    northwind::{Northwind, story},
    output::{Output, bytes},
    registry,
    run::{Summary, interrupted},
    services::Services,
    shutdown::{self, Shutdown, Stopper},
    sink::{CloseNow, Sink},
    source::{Patience, Source},
};

/// Objects listed by name in the report.
const LISTED: usize = 24;

/// Plays the story.
///
/// # Errors
///
/// Whatever keeps a step from coming out as told.
pub async fn play(args: DemoArgs, asked_to_stop: Shutdown) -> Result<(), Error> {
    let output = Output::new(args.json);
    let stage = Stage::build(&args, output).await?;
    let (stopper, stop) = shutdown::shutdown();
    let cast = Cast::prepare(&stage, &args, stop).await?;
    // Held to the end: what asks the tasks to stop when it is dropped.
    let told = cast.tell(&stage, &args, output, &asked_to_stop).await;
    let ended = cast.leave(stopper).await;
    stage.close().await;
    match (told, ended) {
        // The pipeline's own failure says more than that the story broke off.
        (Err(told), Err(ended)) if told.part() == Part::Story => Err(ended),
        (told, ended) => told.and(ended),
    }
}

/// The systems the story plays on.
struct Stage {
    endpoints: Endpoints,
    embedded: Vec<&'static str>,
    outside: Vec<String>,
    started: Instant,
    // Stopped and removed when the stage is.
    _postgres: Option<Postgres>,
    services: Option<Services>,
}

impl Stage {
    async fn build(args: &DemoArgs, output: Output) -> Result<Self, Error> {
        let started = Instant::now();
        let mut endpoints = args.endpoints.endpoints();
        let mut embedded = Vec::new();
        let mut outside = Vec::new();
        let own_postgres = match &endpoints.postgres_url {
            Some(url) => {
                outside.push(format!("Postgres {}", registry::redacted(url)));
                None
            }
            None => {
                let server = start_postgres().await?;
                endpoints.postgres_url = Some(server.url("postgres"));
                output.line(format!("Postgres {} (throwaway)", server.version_text()));
                embedded.push("Postgres");
                Some(server)
            }
        };
        let services = if endpoints.brokers.is_none() || endpoints.registry_url.is_none() {
            Some(Services::spawn().await?)
        } else {
            None
        };
        for (name, chosen, own) in [
            (
                "Kafka broker",
                &mut endpoints.brokers,
                services.as_ref().map(|s| &s.addresses().kafka),
            ),
            (
                "schema registry",
                &mut endpoints.registry_url,
                services.as_ref().map(|s| &s.addresses().registry),
            ),
        ] {
            match (chosen.as_ref(), own) {
                (Some(url), _) => outside.push(format!("{name} {}", registry::redacted(url))),
                (None, own) => {
                    *chosen = own.cloned();
                    embedded.push(name);
                    output.line(format!("{name} on {} (embedded)", own.map_or("", String::as_str)));
                }
            }
        }
        if endpoints.bucket.is_none() {
            let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H-%M-%S").to_string();
            endpoints.bucket = Some(format!("demo-output/{now}"));
            embedded.push("object store (a folder)");
        }
        output.line(format!("objects in {}", endpoints.bucket.as_deref().unwrap_or_default()));
        Ok(Self { endpoints, embedded, outside, started, _postgres: own_postgres, services })
    }

    /// Ends what was started for the story.
    async fn close(self) {
        if let Some(services) = self.services {
            services.stop().await;
        }
    }

    async fn database(&self) -> Result<Client, Error> {
        let url = self.endpoints.postgres_url.as_deref().unwrap_or_default();
        let config = Config::parse(url)
            .map_err(|error| Error::config(&[format!("--postgres-url: {error}")]))?;
        Client::connect(&config)
            .await
            .map_err(|error| crate::source::postgres_error("connecting to Postgres", error))
    }
}

async fn start_postgres() -> Result<Postgres, Error> {
    let started = tokio::task::spawn_blocking(|| Postgres::start(postgres::Config::new())).await;
    match started {
        Ok(Ok(server)) => Ok(server),
        Ok(Err(error)) => {
            Err(Error::new(Part::Embedded, "no throwaway Postgres").with_cause(error).with_advice(
                "install the server (on Debian and Ubuntu: apt-get install postgresql), or name \
                 a running one with --postgres-url",
            ))
        }
        Err(join) => Err(Error::new(Part::Embedded, "no throwaway Postgres").with_cause(join)),
    }
}

/// The source and the sink, running.
struct Cast {
    source: Arc<Source>,
    metrics: Arc<Metrics>,
    close_now: CloseNow,
    source_task: JoinHandle<Result<(), Error>>,
    sink_task: JoinHandle<Result<(), Error>>,
    orders: u64,
    subject: String,
}

impl Cast {
    /// Loads the database, then starts the source and the sink on it.
    async fn prepare(stage: &Stage, args: &DemoArgs, stop: Shutdown) -> Result<Self, Error> {
        let output = Output::new(args.json);
        // A mistake in an address is found before the long work begins.
        let source_config = SourceConfig::from_properties(
            Properties::from_values(source_properties(args)),
            &stage.endpoints,
        )?;
        let sink_config = SinkConfig::from_properties(
            Properties::from_values(sink_properties(args)),
            &stage.endpoints,
        )?;
        let topic = format!("{}.ods.cdc_events", args.topic_prefix);
        let mut client = stage.database().await?;
        registry::reach(&source_config.registry_url).await?;
        let login = Login::new(&source_config.kafka).await?;
        kafka::reach(&source_config.kafka, &login).await?;
        let northwind = Northwind::new().with_seed(args.seed).with_scale(args.scale);
        let existing = load_demo::replaceable(&mut client).await?;
        load_demo::load(&mut client, &northwind, existing, output).await?;
        let orders = count(&mut client, "SELECT count(*) FROM ods.cdc_events").await?;
        output.line(format!("1. loaded: {orders} orders in ods.cdc_events"));
        let metrics = Arc::new(Metrics::default());
        let source = Arc::new(Source::prepare(source_config, metrics.clone(), stop.clone()).await?);
        let (mut sink, close_now) = Sink::prepare(sink_config, metrics.clone(), stop).await?;
        let source_task = tokio::spawn({
            let source = source.clone();
            async move { source.run(Patience::None).await }
        });
        let sink_task = tokio::spawn(async move { sink.run(Patience::None).await });
        Ok(Self { source, metrics, close_now, source_task, sink_task, orders, subject: topic })
    }

    /// Tells the story and checks each step.
    async fn tell(
        &self,
        stage: &Stage,
        args: &DemoArgs,
        output: Output,
        asked_to_stop: &Shutdown,
    ) -> Result<(), Error> {
        let limit = Duration::from_secs(60 + u64::from(args.scale) * 4);
        let wait = |what: &'static str, messages: u64, shown: bool| async move {
            let mut progress = shown.then(|| output.progress("snapshot", messages));
            let deadline = Instant::now() + limit;
            loop {
                let (sent, read) = (self.metrics.messages.get(), self.metrics.sink_records.get());
                if let Some(progress) = &mut progress {
                    progress.at(read);
                }
                if sent >= messages && read >= messages {
                    return Ok(());
                }
                if asked_to_stop.is_requested() {
                    return Err(interrupted());
                }
                if self.source_task.is_finished() || self.sink_task.is_finished() {
                    return Err(Error::new(
                        Part::Story,
                        format!("{what}: the pipeline ended early"),
                    ));
                }
                if Instant::now() > deadline {
                    return Err(Error::new(
                        Part::Story,
                        format!(
                            "{what}: {sent} messages in Kafka and {read} in the sink after {} s; \
                             {messages} were expected",
                            limit.as_secs()
                        ),
                    ));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut client = stage.database().await?;
        let registry =
            registry::reach(stage.endpoints.registry_url.as_deref().unwrap_or_default()).await?;
        let value = format!("{}-value", self.subject);
        let key = format!("{}-key", self.subject);

        let mut messages = self.orders;
        wait("snapshot", messages, true).await?;
        self.exactly("snapshot", messages)?;
        self.close_now.ask().await;
        self.covered(messages, asked_to_stop).await?;
        for subject in [&key, &value] {
            expect_versions(&registry, subject, &[1]).await?;
        }
        let (objects, ..) = self.metrics.object_totals();
        output.line(format!(
            "2. snapshot: {messages} messages with op r; {key} and {value} at version 1"
        ));
        let expected = messages.div_ceil(100);
        if objects != expected {
            return Err(odd("objects of the snapshot", expected, objects));
        }
        output.line(format!("   {objects} objects: {}", names(&self.metrics)));

        let changed =
            count(&mut client, "SELECT count(*) FROM ods.cdc_events WHERE customer_id = 'VINET'")
                .await?;
        execute(&mut client, story::ADD_COLUMN).await?;
        execute(&mut client, story::FILL_COLUMN).await?;
        messages += changed;
        wait("schema evolution", messages, false).await?;
        self.exactly("schema evolution", messages)?;
        expect_versions(&registry, &value, &[1, 2]).await?;
        output.line(format!(
            "3. ADD COLUMN employee_id int DEFAULT -1, UPDATE of customer VINET: {changed} messages, \
             {value} at version 2"
        ));

        execute(&mut client, story::NEW_ORDER).await?;
        messages += 4;
        wait("new order", messages, false).await?;
        self.exactly("new order", messages)?;
        output.line("4. order 11075 with three lines, one transaction: 4 messages");

        execute(&mut client, story::DELETE_EVENT).await?;
        // The rewritten delete and its tombstone.
        messages += 2;
        wait("delete", messages, false).await?;
        self.exactly("delete", messages)?;
        output.line("5. a delete: the rewritten record and its tombstone");

        self.close_now.ask().await;
        // The tombstone is in no object.
        self.covered(messages - 1, asked_to_stop).await?;
        let started_anew = self
            .metrics
            .objects()
            .iter()
            .any(|object| u64::try_from(object.first_offset) == Ok(self.orders));
        if args.scale == 1 && !started_anew {
            return Err(Error::new(
                Part::Story,
                format!("no object starts at offset {} with the new schema", self.orders),
            ));
        }
        self.report(stage, args, output);
        if args.keep {
            let endpoints = &stage.endpoints;
            output.line("everything stays up until Ctrl-C:");
            for (name, url) in [
                ("Postgres", &endpoints.postgres_url),
                ("Kafka", &endpoints.brokers),
                ("registry", &endpoints.registry_url),
                ("objects", &endpoints.bucket),
            ] {
                output.line(format!("  {name:<9} {}", url.as_deref().unwrap_or_default()));
            }
            asked_to_stop.requested().await;
        }
        Ok(())
    }

    /// Stops the tasks, drops the slot, and gives back the first failure of the pipeline.
    async fn leave(self, stopper: Stopper) -> Result<(), Error> {
        stopper.stop();
        let mut outcome = Ok(());
        for task in [self.source_task, self.sink_task] {
            let ended = match task.await {
                Ok(ended) => ended,
                Err(join) => Err(Error::new(Part::Story, "the pipeline panicked").with_cause(join)),
            };
            outcome = outcome.and(ended);
        }
        outcome.and(self.source.drop_slot().await)
    }

    fn exactly(&self, step: &str, messages: u64) -> Result<(), Error> {
        let sent = self.metrics.messages.get();
        if sent == messages { Ok(()) } else { Err(odd(step, messages, sent)) }
    }

    /// Waits until the objects hold this many records.
    async fn covered(&self, records: u64, asked_to_stop: &Shutdown) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, held, _) = self.metrics.object_totals();
            if held == records {
                return Ok(());
            }
            if asked_to_stop.is_requested() {
                return Err(interrupted());
            }
            if held > records || self.sink_task.is_finished() || Instant::now() > deadline {
                return Err(odd("records in objects", records, held));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn report(&self, stage: &Stage, args: &DemoArgs, output: Output) {
        let report = Report {
            summary: Summary::of(&self.metrics),
            seconds: stage.started.elapsed().as_secs_f64(),
            bucket: stage.endpoints.bucket.clone().unwrap_or_default(),
            embedded: stage.embedded.clone(),
            outside: stage.outside.clone(),
            objects: self
                .metrics
                .objects()
                .into_iter()
                .map(|object| Listed {
                    path: object.path,
                    records: object.records,
                    bytes: object.bytes,
                    reason: object.reason,
                })
                .collect(),
        };
        if args.json
            && let Ok(text) = serde_json::to_string(&report)
        {
            Output::raw(&text);
        }
        output.line("");
        for line in report.summary.lines() {
            output.line(line);
        }
        output.line(format!("time      {:.1} s from start to here", report.seconds));
        output.line(format!("embedded  {}", or_nothing(&report.embedded)));
        output.line(format!("outside   {}", or_nothing(&report.outside)));
        output.line("");
        output.line(&report.bucket);
        for object in report.objects.iter().take(LISTED) {
            output.line(format!(
                "  {:<62} {:>4} records {:>10}  {}",
                object.path,
                object.records,
                bytes(object.bytes),
                object.reason
            ));
        }
        if report.objects.len() > LISTED {
            output.line(format!("  … and {} more", report.summary.objects - LISTED as u64));
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    seconds: f64,
    bucket: String,
    embedded: Vec<&'static str>,
    outside: Vec<String>,
    #[serde(rename = "object_list")]
    objects: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    records: u64,
    bytes: u64,
    reason: &'static str,
}

fn or_nothing<T: AsRef<str>>(list: &[T]) -> String {
    if list.is_empty() {
        return "nothing".to_owned();
    }
    list.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn odd(what: &str, expected: u64, got: u64) -> Error {
    Error::new(Part::Story, format!("{what}: {expected} expected, {got} came"))
}

/// The original system's source connector, with today's names of its keys.
fn source_properties(args: &DemoArgs) -> BTreeMap<String, String> {
    // Unique, since a slot on an outside server belongs to one demo.
    let slot = format!(
        "full_pipeline_demo_{}_{}",
        std::process::id(),
        jiff::Timestamp::now().as_millisecond()
    );
    pairs(&[
        ("name", &format!("{slot}-source")),
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("plugin.name", "pgoutput"),
        ("topic.prefix", &args.topic_prefix),
        ("slot.name", &slot),
        ("publication.name", "cdc_publication"),
        ("schema.include.list", "ods"),
        ("table.include.list", r"ods\.cdc_events"),
        ("toast.policy", args.toast.as_str()),
        ("transforms", "unwrap"),
        ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.unwrap.delete.tombstone.handling.mode", "rewrite-with-tombstone"),
        ("transforms.unwrap.add.fields", "op,db,table,schema,lsn,source.ts_ms"),
    ])
}

/// The original system's sink connector. Its schedule of a minute would make the demo's objects
/// depend on the time of day, so the demo asks for the last object itself.
fn sink_properties(args: &DemoArgs) -> BTreeMap<String, String> {
    pairs(&[
        ("name", "orders-sink"),
        ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
        ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
        ("format.class", "io.confluent.connect.s3.format.avro.AvroFormat"),
        ("partitioner.class", "io.confluent.connect.storage.partitioner.DefaultPartitioner"),
        ("topics", &format!("{}.ods.cdc_events", args.topic_prefix)),
        ("flush.size", "100"),
        ("behavior.on.null.values", "ignore"),
    ])
}

fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The first and the last names, without their common folder.
fn names(metrics: &Metrics) -> String {
    let objects = metrics.objects();
    let name = |object: &crate::metrics::ObjectWritten| {
        object.path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    match objects.as_slice() {
        [] => "none".to_owned(),
        [only] => name(only),
        [first, .., last] => format!("{} … {}", name(first), name(last)),
    }
}

async fn execute(client: &mut Client, sql: &str) -> Result<(), Error> {
    client
        .execute(sql)
        .await
        .map_err(|error| crate::source::postgres_error("playing the story", error))
}

async fn count(client: &mut Client, sql: &str) -> Result<u64, Error> {
    let rows = client
        .query(sql)
        .await
        .map_err(|error| crate::source::postgres_error("counting rows", error))?;
    rows.first()
        .and_then(|row| row.get(0))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::new(Part::Postgres, "counting rows: the server gave no number"))
}

async fn expect_versions(
    registry: &registry_client::Client,
    subject: &str,
    expected: &[u32],
) -> Result<(), Error> {
    let failed = |error: registry_client::Error| {
        Error::new(Part::Registry, format!("cannot list the versions of {subject}"))
            .with_cause(error)
    };
    let versions = registry.versions(&Subject::new(subject)).await.map_err(failed)?;
    let versions: Vec<u32> = versions.into_iter().filter_map(Version::get).collect();
    if versions == expected {
        return Ok(());
    }
    Err(Error::new(
        Part::Story,
        format!("{subject} has the versions {versions:?}; {expected:?} were expected"),
    )
    .with_advice("an earlier run may have left subjects behind; choose another --topic-prefix"))
}
