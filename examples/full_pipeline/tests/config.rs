//! The connector files of the system that this one replaces, unchanged, with old and new key names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, fs};

use full_pipeline::config::{
    Endpoints, NullValues, Properties, SinkConfig, SnapshotMode, SourceConfig, ToastPolicy,
};

const SOURCE: &str = r#"{
  "name": "orders-source",
  "config": {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "tasks.max": "1",
    "plugin.name": "pgoutput",
    "publication.name": "cdc_publication",
    "slot.name": "orders",
    "database.hostname": "postgres",
    "database.port": "5432",
    "database.user": "master",
    "database.password": "password",
    "database.dbname": "main",
    "database.server.name": "ord",
    "schema.include": "ods",
    "table.include.list": "ods.cdc_events",
    "key.converter": "io.confluent.connect.avro.AvroConverter",
    "key.converter.schema.registry.url": "http://registry:8080/apis/ccompat/v6",
    "value.converter": "io.confluent.connect.avro.AvroConverter",
    "value.converter.schema.registry.url": "http://registry:8080/apis/ccompat/v6",
    "transforms": "unwrap",
    "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.drop.tombstones": "false",
    "transforms.unwrap.delete.handling.mode": "rewrite",
    "transforms.unwrap.add.fields": "op,db,table,schema,lsn,source.ts_ms"
  }
}"#;

const SINK: &str = r#"{
  "name": "orders-sink",
  "config": {
    "connector.class": "io.confluent.connect.s3.S3SinkConnector",
    "storage.class": "io.confluent.connect.s3.storage.S3Storage",
    "format.class": "io.confluent.connect.s3.format.avro.AvroFormat",
    "tasks.max": "1",
    "topics": "ord.ods.cdc_events",
    "s3.bucket.name": "analytics-data-123456789012-ap-southeast-2",
    "s3.region": "ap-southeast-2",
    "flush.size": "100",
    "rotate.schedule.interval.ms": "60000",
    "timezone": "Australia/Sydney",
    "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
    "key.converter": "io.confluent.connect.avro.AvroConverter",
    "key.converter.schema.registry.url": "http://registry:8080/apis/ccompat/v6",
    "value.converter": "io.confluent.connect.avro.AvroConverter",
    "value.converter.schema.registry.url": "http://registry:8080/apis/ccompat/v6",
    "errors.log.enable": "true"
  }
}"#;

/// What Connect's worker knows and a connector's file does not say.
fn endpoints(strict: bool) -> Endpoints {
    let mut endpoints = Endpoints::default();
    endpoints.brokers = Some("kafka:9092".to_owned());
    endpoints.strict = strict;
    endpoints
}

fn read(text: &str) -> Properties {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connector.json");
    fs::write(&path, text).unwrap();
    Properties::read(&path)
}

#[test]
fn the_originals_source_file_runs_unchanged() {
    let config = SourceConfig::from_properties(read(SOURCE), &endpoints(false)).unwrap();
    assert_eq!(config.name, "orders-source");
    assert_eq!(config.topic_prefix, "ord");
    assert_eq!((config.slot.as_str(), config.publication.as_str()), ("orders", "cdc_publication"));
    assert_eq!((config.postgres.host(), config.postgres.port()), ("postgres", 5432));
    assert_eq!((config.postgres.user(), config.postgres.database()), ("master", "main"));
    assert_eq!(config.registry_url, "http://registry:8080/apis/ccompat/v6");
    assert_eq!(
        (config.snapshot, config.mapping.toast()),
        (SnapshotMode::Initial, ToastPolicy::Placeholder)
    );
    assert!(config.tables.includes("ods", "cdc_events"));
    assert!(!config.tables.includes("ods", "orders"));
    assert!(config.mapping.flatten().is_some());
    assert!(!format!("{config:?}").contains("password\""), "the password is shown");
}

#[test]
fn the_key_that_never_worked_is_named_with_the_one_that_was_meant() {
    let error = SourceConfig::from_properties(read(SOURCE), &endpoints(true)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: schema.include is not a known key; did you mean schema.include.list?"
    );
}

#[test]
fn todays_names_mean_the_same() {
    let today = SOURCE
        .replace("database.server.name", "topic.prefix")
        .replace("\"schema.include\"", "\"schema.include.list\"")
        .replace("\"transforms.unwrap.drop.tombstones\": \"false\",", "")
        .replace(
            "\"transforms.unwrap.delete.handling.mode\": \"rewrite\"",
            "\"transforms.unwrap.delete.tombstone.handling.mode\": \"rewrite-with-tombstone\"",
        );
    let old = SourceConfig::from_properties(read(SOURCE), &endpoints(false)).unwrap();
    let new = SourceConfig::from_properties(read(&today), &endpoints(true)).unwrap();
    assert_eq!(new.topic_prefix, old.topic_prefix);
    assert_eq!(format!("{:?}", new.mapping), format!("{:?}", old.mapping));
}

#[test]
fn the_originals_sink_file_runs_unchanged() {
    let config = SinkConfig::from_properties(read(SINK), &endpoints(true)).unwrap();
    assert_eq!(
        (config.name.as_str(), config.group.as_str()),
        ("orders-sink", "connect-orders-sink")
    );
    assert_eq!(config.topics, ["ord.ods.cdc_events"]);
    assert_eq!(config.bucket.location, "s3://analytics-data-123456789012-ap-southeast-2");
    assert_eq!(config.bucket.region.as_deref(), Some("ap-southeast-2"));
    assert_eq!(config.settings.extension(), ".avro");
    // The connector's default would die at the first delete.
    assert_eq!(config.null_values, NullValues::Ignore);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let mut endpoints = endpoints(false);
    endpoints.postgres_url = Some("postgresql://me@elsewhere:6543/other".to_owned());
    endpoints.registry_url = Some("http://elsewhere:8081".to_owned());
    endpoints.bucket = Some("folder".to_owned());
    let source = SourceConfig::from_properties(read(SOURCE), &endpoints).unwrap();
    assert_eq!((source.postgres.host(), source.postgres.database()), ("elsewhere", "other"));
    assert_eq!(source.registry_url, "http://elsewhere:8081");
    let sink = SinkConfig::from_properties(read(SINK), &endpoints).unwrap();
    assert_eq!(sink.bucket.location, "folder");
}

#[test]
fn client_properties_pass_through_with_the_connectors_prefixes() {
    let text = SINK.replace(
        "\"errors.log.enable\": \"true\"",
        "\"consumer.override.fetch.min.bytes\": \"7\", \"consumer.max.poll.interval.ms\": \"8\"",
    );
    let config = SinkConfig::from_properties(read(&text), &endpoints(true)).unwrap();
    let expected = [("fetch.min.bytes", "7"), ("max.poll.interval.ms", "8")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(config.kafka.properties, BTreeMap::from(expected));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = SINK
        .replace("AvroFormat", "OrcFormat")
        .replace("\"flush.size\": \"100\"", "\"s3.part.size\": \"7\"")
        .replace("\"true\"", "\"true\", \"errors.tolerance\": \"most\"");
    let error = SinkConfig::from_properties(read(&text), &endpoints(false)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("4 mistakes"), "{message}");
    for key in ["format.class", "s3.part.size", "errors.tolerance", "flush.size"] {
        assert!(message.contains(key), "{key} is not in {message}");
    }
}
