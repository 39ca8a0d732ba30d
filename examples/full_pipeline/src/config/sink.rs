//! The sink connector's configuration.

use std::sync::Arc;

use avro_wire::ocf::Codec;
use s3_partitioner::Settings;

use super::{
    ClientSettings, Endpoints, Properties, keys, report_unknown,
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
    /// A folder, or `s3://bucket/prefix`.
    pub bucket: String,
    /// `s3.region`.
    pub region: Option<String>,
    /// `store.url`: an endpoint other than Amazon's.
    pub endpoint: Option<String>,
    /// Partitioner, names and rotation.
    pub settings: Arc<Settings>,
    /// Fields of the value that the partitioner or the time extractor asks for.
    pub fields: Vec<String>,
    /// `avro.codec`.
    pub codec: Codec,
    /// `s3.part.size`: bytes of one object held in memory before they are sent off.
    pub part_size: usize,
    /// `behavior.on.null.values`.
    pub null_values: NullValues,
    /// Base URL of the schema registry.
    pub registry_url: String,
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
}

/// S3 takes no smaller part but the last.
const SMALLEST_PART: usize = 5 << 20;

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
        expect_class(&mut properties, "format.class", "AvroFormat");
        // One process is one task; more members of the group are more processes.
        properties.parsed::<u32>("tasks.max", "a whole number");
        let topics: Vec<String> = properties
            .required(&["topics", "topics.regex"], "the topics to read, separated by commas")
            .split(',')
            .map(|topic| topic.trim().to_owned())
            .filter(|topic| !topic.is_empty())
            .collect();
        let bucket = properties.take(&["s3.bucket.name"]).map(|bucket| format!("s3://{bucket}"));
        let bucket = endpoints.bucket.clone().or(bucket).unwrap_or_else(|| {
            properties.problem("the bucket is missing: give --bucket or s3.bucket.name".to_owned());
            String::new()
        });
        let region = properties.take(&["s3.region"]);
        let endpoint = properties.take(&["store.url"]);
        let part_size = properties
            .parsed::<usize>("s3.part.size", "a number of bytes")
            .unwrap_or(SMALLEST_PART);
        if part_size < SMALLEST_PART {
            properties.problem(format!("s3.part.size: {part_size} is below {SMALLEST_PART}"));
        }
        let codec = match properties.take(&["avro.codec"]).as_deref() {
            None | Some("null") => Codec::Null,
            Some("deflate") => Codec::Deflate,
            Some(other) => {
                properties.problem(format!("avro.codec: {other:?}; use null or deflate"));
                Codec::Null
            }
        };
        match properties.take(&["errors.tolerance"]).as_deref() {
            None | Some("none") => {}
            Some(other) => properties
                .problem(format!("errors.tolerance: {other:?} is not supported yet; use none")),
        }
        let registry_url = registry_url(&mut properties, endpoints);
        let kafka = kafka(&mut properties, endpoints, "consumer.");
        for key in ["errors.log.enable", "errors.log.include.messages"] {
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
            s3_partitioner::NullValues::Fail => NullValues::Fail,
            _ => {
                problems.push(
                    "behavior.on.null.values: write is not supported yet; use ignore or fail"
                        .to_owned(),
                );
                NullValues::Fail
            }
        };
        if !problems.is_empty() {
            return Err(Error::config(&problems));
        }
        Ok(Self {
            group: format!("connect-{name}"),
            name,
            topics,
            bucket,
            region,
            endpoint,
            settings: Arc::new(settings),
            fields,
            codec,
            part_size,
            null_values,
            registry_url,
            kafka,
        })
    }
}
