//! The configuration people already have: connector JSON of Debezium's Postgres source and of
//! Confluent's S3 sink, read as it is, with command-line endpoints on top.

mod bucket;
mod client;
mod format;
mod keys;
mod properties;
mod signals;
mod sink;
mod source;

pub use bucket::{BucketConfig, Encryption, Secret};
pub use client::{ClientSettings, IamOptions};
pub use debezium_model::ToastPolicy;
pub use format::Converter;
pub(crate) use format::{FileKind, Files};
pub use properties::{Properties, unknown_key};
pub use signals::{SignalsConfig, Watermarks};
pub use sink::{BadRecords, NullValues, SinkConfig};
pub use source::{Keyless, PrefixFilter, SnapshotMode, SourceConfig, TableFilter};

/// Where the outside systems are, as the command line says; each is independent of the others and
/// wins over what a connector configuration holds.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Endpoints {
    /// `postgresql://user:password@host:port/database?sslmode=…`.
    pub postgres_url: Option<String>,
    /// Kafka bootstrap servers, `host:port` separated by commas.
    pub brokers: Option<String>,
    /// Base URL of the schema registry.
    pub registry_url: Option<String>,
    /// A folder, or `s3://bucket/prefix`.
    pub bucket: Option<String>,
    /// Kafka client properties (`-X key=value`).
    pub client: Vec<(String, String)>,
    /// Whether unknown keys are errors.
    pub strict: bool,
}

/// Unknown keys are problems in strict mode and warnings otherwise.
fn report_unknown(rest: &[String], known: &[&str], strict: bool, problems: &mut Vec<String>) {
    for key in rest {
        let text = unknown_key(key, known);
        if strict {
            problems.push(text);
        } else {
            tracing::warn!("{text}; it is ignored");
        }
    }
}
