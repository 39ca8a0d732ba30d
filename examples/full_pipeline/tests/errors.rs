//! What a user does wrong: each mistake gives one clear message, an exit code that says whose fault
//! it is, no panic, and nothing left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{path::Path, sync::LazyLock};

use embedded_services::{
    postgres::{Config, Postgres},
    registry::{self, Registry},
};
use support::{
    Running, Services, configuration, connect, high_watermark, program, rows, run, until,
};

/// One server with a password for all tests; it ends because the process does.
static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start(Config::new().with_password("right")).unwrap());
static SERVICES: LazyLock<Services> = LazyLock::new(Services::start);

/// A port that nobody listens on.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Runs the demo on these systems, expects this exit code and these words, and gives the message.
fn demo(code: i32, words: &[&str], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(program()
        .arg("demo")
        .args(arguments)
        .current_dir(folder.path())
        .env("RUST_LOG", "error"));
    expect(&output, code, words)
}

fn expect(output: &std::process::Output, code: i32, words: &[&str]) -> String {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{log}");
    let messages = log.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(messages, 1, "one message: {log}");
    assert!(!log.contains("panicked"), "{log}");
    for word in words {
        assert!(log.contains(word), "{word:?} is not in: {log}");
    }
    log
}

fn outside() -> Vec<String> {
    ["--postgres-url", &POSTGRES.url("postgres"), "--brokers", &SERVICES.kafka]
        .into_iter()
        .chain(["--registry-url", &SERVICES.registry])
        .map(str::to_owned)
        .collect()
}

fn with<'a>(arguments: &'a [String], name: &str, value: &'a str) -> Vec<&'a str> {
    let mut changed: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let place = changed.iter().position(|argument| *argument == name).unwrap();
    changed[place + 1] = value;
    changed
}

#[test]
fn a_url_that_is_none() {
    demo(2, &["--postgres-url"], &with(&outside(), "--postgres-url", "mysql://x"));
}

#[test]
fn a_server_that_is_not_there() {
    let url = format!("postgresql://postgres@{}/postgres", nobody());
    demo(
        3,
        &["connecting to Postgres", "--postgres-url"],
        &with(&outside(), "--postgres-url", &url),
    );
}

#[test]
fn a_wrong_password() {
    let url = POSTGRES.url("postgres").replace("right", "wrong");
    let log = demo(3, &["password"], &with(&outside(), "--postgres-url", &url));
    assert!(!log.contains("wrong"), "the password is shown: {log}");
}

#[test]
fn a_database_that_does_not_exist() {
    let url = POSTGRES.url("nowhere");
    demo(3, &["nowhere", "existing database"], &with(&outside(), "--postgres-url", &url));
}

#[test]
fn a_broker_that_is_down_at_start() {
    let down = nobody();
    demo(4, &["cannot reach Kafka", &down, "--brokers"], &with(&outside(), "--brokers", &down));
}

#[test]
fn a_registry_that_is_down_at_start() {
    let down = format!("http://{}", nobody());
    demo(5, &["registry", &down, "--registry-url"], &with(&outside(), "--registry-url", &down));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_answers_500() {
    let registry =
        Registry::start(registry::Config::new().with_fault(1_000_000, 500)).await.unwrap();
    let url = registry.url();
    demo(5, &["registry", &url, "500"], &with(&outside(), "--registry-url", &url));
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    // Root may write anywhere, but nobody can make a folder below a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("bucket");
    let mut arguments = outside();
    arguments.extend(["--bucket".to_owned(), below.to_str().unwrap().to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    demo(6, &["cannot make the folder", "--bucket"], &arguments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_fails_leaves_no_slot_and_no_process_behind() {
    let mut client = connect(&POSTGRES.url("postgres")).await;
    client.execute("CREATE DATABASE left_behind").await.unwrap();
    // Northwind loads, the source starts, and the topic holds somebody else's subject versions.
    let url = POSTGRES.url("left_behind");
    let registry = Registry::start(registry::Config::new()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seeded =
        registry_client::Client::new(registry_client::Config::new(&registry.url())).unwrap();
    support::install_tls();
    let subject = registry_client::Subject::new("ord.ods.cdc_events-value");
    let other = registry_client::NewSchema::new(r#"{"type":"record","name":"Other","fields":[]}"#);
    seeded.register(&subject, &other).await.unwrap();
    let output = run(program()
        .args(["demo", "--postgres-url", &url, "--registry-url", &registry.url()])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .env("RUST_LOG", "error"));
    let code = output.status.code().unwrap();
    assert!(matches!(code, 5 | 9), "{code}: {}", String::from_utf8_lossy(&output.stderr));
    let slots = "SELECT slot_name FROM pg_replication_slots WHERE database = 'left_behind'";
    assert!(rows(&mut client, slots).await.is_empty(), "a slot is left behind");
    let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let processes = String::from_utf8_lossy(&processes.stdout).into_owned();
    let path = folder.path().to_str().unwrap();
    assert!(!processes.contains(path), "an orphan is left behind: {processes}");
}

fn source(folder: &Path, url: &str, pairs: &[(&str, &str)]) -> std::process::Output {
    let config = configuration(folder, "source.json", pairs);
    run(program()
        .args(["source", "--postgres-url", url, "--brokers", &SERVICES.kafka])
        .args(["--registry-url", &SERVICES.registry, "--source-config"])
        .arg(config)
        .env("RUST_LOG", "error"))
}

#[test]
fn a_publication_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let output = source(
        folder.path(),
        &POSTGRES.url("postgres"),
        &[("topic.prefix", "x"), ("slot.name", "missing"), ("publication.name", "missing_one")],
    );
    expect(&output, 3, &["missing_one", "CREATE PUBLICATION"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_has_vanished() {
    let url = POSTGRES.url("postgres");
    let mut client = connect(&url).await;
    client
        .execute(
            "CREATE TABLE public.vanishing (id int PRIMARY KEY); \
             CREATE PUBLICATION vanishing FOR TABLE public.vanishing",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pairs =
        [("topic.prefix", "vanish"), ("slot.name", "vanishing"), ("publication.name", "vanishing")];
    let config = configuration(folder.path(), "source.json", &pairs);
    let mut command = program();
    command
        .args(["source", "--postgres-url", &url, "--brokers", &SERVICES.kafka])
        .args(["--registry-url", &SERVICES.registry, "--source-config"])
        .arg(config);
    let running = Running::start(&mut command);
    let streaming = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'vanishing' AND active \
                     AND confirmed_flush_lsn IS NOT NULL AND EXISTS \
                     (SELECT FROM pg_stat_replication WHERE state = 'streaming')";
    for attempt in 0.. {
        if !rows(&mut client, streaming).await.is_empty() {
            break;
        }
        assert!(attempt < 500, "the source does not stream");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    running.terminate();
    client.query("SELECT pg_drop_replication_slot('vanishing')").await.unwrap();
    let output = source(folder.path(), &url, &pairs);
    expect(&output, 3, &["the slot vanishing is gone", "new snapshot"]);
}

#[test]
fn a_server_without_logical_wal() {
    let server = Postgres::start(Config::new().with_setting("wal_level", "replica")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = source(
        folder.path(),
        &server.url("postgres"),
        &[("topic.prefix", "x"), ("publication.name", "any")],
    );
    expect(&output, 3, &["wal_level=replica", "ALTER SYSTEM SET wal_level = logical"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_primary_key() {
    let url = POSTGRES.url("postgres");
    let mut client = connect(&url).await;
    client
        .execute(
            "CREATE TABLE public.keyless (n int); INSERT INTO public.keyless VALUES (1); \
             CREATE PUBLICATION keyless FOR TABLE public.keyless",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(
        folder.path(),
        "source.json",
        &[("topic.prefix", "nokey"), ("slot.name", "keyless"), ("publication.name", "keyless")],
    );
    let output = run(program()
        .args(["source", "--postgres-url", &url, "--brokers", &SERVICES.kafka])
        .args(["--registry-url", &SERVICES.registry, "--source-config"])
        .arg(config)
        .env("RUST_LOG", "error"));
    expect(&output, 3, &["public.keyless", "ADD PRIMARY KEY", "keyless.tables=allow"]);
    let slots = rows(&mut client, "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'keyless'");
    assert!(slots.await.is_empty(), "a slot is left behind");
}

/// The first of the rows that no record can be made of stops the source, or each is passed over, in
/// the snapshot and while streaming.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_mapped() {
    let url = POSTGRES.url("postgres");
    let mut client = connect(&url).await;
    client
        .execute(
            "CREATE TABLE public.odd (n int PRIMARY KEY, price numeric(8, 2)); \
             INSERT INTO public.odd VALUES (1, 1), (2, 'NaN'), (3, 3); \
             CREATE PUBLICATION odd FOR TABLE public.odd",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = vec![
        ("topic.prefix", "odd"),
        ("slot.name", "odd"),
        ("publication.name", "odd"),
        ("table.include.list", "public.odd"),
        ("fidelity", "correct"),
        ("errors.tolerance", "none"),
    ];
    let output = source(folder.path(), &url, &pairs);
    expect(&output, 7, &["public.odd", "column price", "out of range"]);
    let topic = "odd.public.odd";
    let before = high_watermark(&SERVICES.kafka, topic);
    assert!(before <= 1, "the rows before it");

    pairs.pop();
    pairs.extend([("errors.tolerance", "all"), ("name", "tolerant")]);
    let config = configuration(folder.path(), "tolerant.json", &pairs);
    let log = folder.path().join("log");
    let mut command = program();
    command
        .args(["source", "--postgres-url", &url, "--brokers", &SERVICES.kafka])
        .args(["--registry-url", &SERVICES.registry, "--source-config"])
        .arg(config)
        .env("RUST_LOG", "error");
    let running = Running::start_logged(&mut command, &log);
    until("the snapshot", || (high_watermark(&SERVICES.kafka, topic) >= before + 2).then_some(()));
    client
        .execute(
            "INSERT INTO public.odd VALUES (4, 4), (5, 'NaN'); \
             UPDATE public.odd SET price = 'NaN' WHERE n = 1; INSERT INTO public.odd VALUES (6, 6)",
        )
        .await
        .unwrap();
    until("the stream", || (high_watermark(&SERVICES.kafka, topic) >= before + 4).then_some(()));
    running.terminate();
    assert_eq!(high_watermark(&SERVICES.kafka, topic), before + 4);
    let log = std::fs::read_to_string(log).unwrap();
    let told = log.lines().filter(|line| line.contains("passed over")).count();
    assert_eq!(told, 3, "{log}");
    assert!(log.contains("public.odd") && log.contains("price"), "{log}");
    client.execute("SELECT pg_drop_replication_slot('odd')").await.unwrap();
}

#[test]
fn three_mistakes_are_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(
        folder.path(),
        "source.json",
        &[
            ("connector.class", "io.debezium.connector.mysql.MySqlConnector"),
            ("slot.name", "Not-A-Slot"),
            ("snapshot.mode", "sometimes"),
            ("topic.prefix", "x"),
            ("schema.include", "ods"),
        ],
    );
    let output = run(program()
        .args(["source", "--postgres-url", &POSTGRES.url("postgres"), "--brokers", "b:1"])
        .args(["--registry-url", "http://r", "--strict", "--source-config"])
        .arg(config)
        .env("RUST_LOG", "error"));
    expect(
        &output,
        2,
        &[
            "4 mistakes",
            "connector.class",
            "Not-A-Slot",
            "snapshot.mode",
            "schema.include is not a known key; did you mean schema.include.list?",
        ],
    );
}

#[test]
fn a_wrong_option_is_refused_with_usage() {
    let output = run(program().args(["demo", "--scale", "0"]));
    assert_eq!(output.status.code(), Some(2));
    let output = run(program().args(["sink", "--sink-config", "/nowhere/sink.json"]));
    expect(&output, 2, &["/nowhere/sink.json"]);
}
