//! The sink connector's configuration.

use std::{path::PathBuf, sync::Arc};

use s3_partitioner::Settings;

use super::{
    BucketConfig, ClientSettings, Converter, Endpoints, Files, Properties, keys, report_unknown,
    source::{expect_class, kafka, registry_url},
};
use crate::error::Error;

/// Everything the sink needs to know before it starts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkConfig {
    /// Name of the connector.
    pub name: String,
    /// The consumer group, `connect-<name>` as Connect has it.
    pub group: String,
    /// `topics`.
    pub topics: Vec<String>,
    /// Where objects go.
    pub bucket: BucketConfig,
    /// Partitioner, names and rotation.
    pub settings: Arc<Settings>,
    /// Fields of the value that the partitioner or the time extractor asks for.
    pub fields: Vec<String>,
    /// What is written.
    pub(crate) files: Files,
    /// `key.converter`: how keys lie in Kafka.
    pub key_converter: Converter,
    /// `value.converter`: how values lie in Kafka.
    pub value_converter: Converter,
    /// `sink.memory.bytes`: what all open objects together may hold in memory.
    pub memory: usize,
    /// `sink.spill.dir`: where the rest waits.
    pub spill_dir: PathBuf,
    /// `behavior.on.null.values`.
    pub null_values: NullValues,
    /// `errors.tolerance` and what goes with it.
    pub bad_records: BadRecords,
    /// Base URL of the schema registry; `None` when nothing is Avro.
    pub registry_url: Option<String>,
    /// Kafka client settings of the consumer.
    pub kafka: ClientSettings,
}

/// What becomes of tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NullValues {
    /// They are passed over, and said so at start: the default, since the first delete of a
    /// Debezium topic would stop the sink otherwise.
    Ignore,
    /// They stop the sink.
    Fail,
    /// Their keys are written, into a directory of their own.
    Write,
}

/// What becomes of records that fit no object.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BadRecords {
    /// `errors.tolerance=all`: the sink goes on; else it stops at the first one.
    pub tolerated: bool,
    /// `errors.deadletterqueue.topic.name`: where tolerated ones go.
    pub topic: Option<String>,
    /// `errors.deadletterqueue.context.headers.enable`: whether headers say what was wrong.
    pub with_headers: bool,
    /// `report.null.values.to.dlq`: whether tombstones that are passed over go there too.
    pub null_values: bool,
    /// `errors.log.enable`: whether each is logged.
    pub logged: bool,
}

/// Room for the largest parts that are under way and for the Kafka client beside it.
const MEMORY: usize = 12 << 20;

impl SinkConfig {
    /// Reads a sink connector's properties; `endpoints` win over what they hold.
    ///
    /// # Errors
    ///
    /// Every mistake at once.
    pub fn from_properties(
        mut properties: Properties,
        endpoints: &Endpoints,
    ) -> Result<Self, Error> {
        let name = properties.take(&["name"]).unwrap_or_else(|| "s3-sink".to_owned());
        expect_class(&mut properties, "connector.class", "S3SinkConnector");
        expect_class(&mut properties, "storage.class", "S3Storage");
        // One process is one task; more members of the group are more processes.
        properties.parsed::<u32>("tasks.max", "a whole number");
        let topics: Vec<String> = properties
            .required(&["topics", "topics.regex"], "the topics to read, separated by commas")
            .split(',')
            .map(|topic| topic.trim().to_owned())
            .filter(|topic| !topic.is_empty())
            .collect();
        let bucket = BucketConfig::take(&mut properties, endpoints);
        let files = Files::take(&mut properties);
        let memory = properties.parsed("sink.memory.bytes", "a number of bytes").unwrap_or(MEMORY);
        let spill_dir =
            properties.take(&["sink.spill.dir"]).map_or_else(std::env::temp_dir, PathBuf::from);
        let bad_records = bad_records(&mut properties);
        let key_converter = Converter::take(&mut properties, "key.converter");
        let value_converter = Converter::take(&mut properties, "value.converter");
        let avro = value_converter == Converter::Avro
            || (files.keys.is_some() && key_converter == Converter::Avro);
        let registry_url = avro.then(|| registry_url(&mut properties, endpoints));
        for prefix in ["key.converter.", "value.converter.", "header.converter"] {
            properties.take_prefixed(prefix);
        }
        let kafka = kafka(&mut properties, endpoints, "consumer.");
        for key in keys::NO_EFFECT {
            properties.take(&[key]);
        }

        let mut problems = properties.take_problems();
        let mut rest = properties.rest();
        // The connector's own default would stop the sink at the first delete.
        rest.entry("behavior.on.null.values".to_owned()).or_insert_with(|| "ignore".to_owned());
        let fields = ["partition.field.name", "timestamp.field"]
            .iter()
            .filter_map(|key| rest.get(*key))
            .flat_map(|names| names.split(','))
            .map(|name| name.trim().to_owned())
            .collect();
        let pairs = rest.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let settings = match Settings::from_properties(pairs) {
            Ok(settings) => settings,
            Err(error) => {
                problems.push(error.to_string());
                return Err(Error::config(&problems));
            }
        };
        report_unknown(settings.unused_keys(), keys::SINK, endpoints.strict, &mut problems);
        let null_values = match settings.null_values() {
            s3_partitioner::NullValues::Ignore => NullValues::Ignore,
            s3_partitioner::NullValues::Write if files.keys.is_none() => {
                problems
                    .push("behavior.on.null.values: write needs store.kafka.keys=true".to_owned());
                NullValues::Fail
            }
            s3_partitioner::NullValues::Write => NullValues::Write,
            _ => NullValues::Fail,
        };
        if !problems.is_empty() {
            return Err(Error::config(&problems));
        }
        Ok(Self {
            group: format!("connect-{name}"),
            name,
            topics,
            bucket,
            settings: Arc::new(settings),
            fields,
            files,
            key_converter,
            value_converter,
            memory,
            spill_dir,
            null_values,
            bad_records,
            registry_url,
            kafka,
        })
    }
}

fn bad_records(properties: &mut Properties) -> BadRecords {
    let tolerated = match properties.take(&["errors.tolerance"]).as_deref() {
        None | Some("none") => false,
        Some("all") => true,
        Some(other) => {
            properties.problem(format!("errors.tolerance: {other:?}; use none or all"));
            false
        }
    };
    let topic = properties
        .take(&["errors.deadletterqueue.topic.name"])
        .filter(|topic| !topic.trim().is_empty());
    if topic.is_some() && !tolerated {
        properties.problem(
            "errors.deadletterqueue.topic.name has no effect without errors.tolerance=all".into(),
        );
    }
    BadRecords {
        tolerated,
        topic,
        with_headers: properties
            .truth("errors.deadletterqueue.context.headers.enable")
            .unwrap_or(false),
        null_values: properties.truth("report.null.values.to.dlq").unwrap_or(true),
        logged: properties.truth("errors.log.enable").unwrap_or(false),
    }
}
