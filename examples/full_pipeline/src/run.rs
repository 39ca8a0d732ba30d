//! The services `source`, `sink` and `run`: from configuration files to a clean end.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    cli::{EndpointArgs, RunArgs, SinkArgs, SourceArgs},
    config::{Properties, SinkConfig, SourceConfig},
    error::{Error, Part},
    metrics::{self, Metrics, SchemaSeen, Usage},
    output::{Output, bytes},
    shutdown::Shutdown,
    sink::Sink,
    source::{Patience, Source},
};

/// Follows a database until shutdown.
///
/// # Errors
///
/// Whatever stops the source.
pub async fn source(args: SourceArgs, shutdown: Shutdown) -> Result<(), Error> {
    let config = read_source(&args.source_config, &args.endpoints)?;
    let metrics = Arc::new(Metrics::default());
    let source = Source::prepare(config, metrics.clone(), shutdown).await?;
    source.run(Patience::Endless).await?;
    Summary::of(&metrics).print(args.json);
    Ok(())
}

/// Writes objects until shutdown.
///
/// # Errors
///
/// Whatever stops the sink.
pub async fn sink(args: SinkArgs, shutdown: Shutdown) -> Result<(), Error> {
    let config = read_sink(&args.sink_config, &args.endpoints)?;
    let metrics = Arc::new(Metrics::default());
    let (mut sink, _close) = Sink::prepare(config, metrics.clone(), shutdown).await?;
    sink.run(Patience::Endless).await?;
    Summary::of(&metrics).print(args.json);
    Ok(())
}

/// Source and sink in one process; when one fails the other stops too.
///
/// # Errors
///
/// Whatever stops one of them first.
pub async fn both(args: RunArgs, shutdown: Shutdown) -> Result<(), Error> {
    // All mistakes of both files at once.
    let source = read_source(&args.source_config, &args.endpoints);
    let sink = read_sink(&args.sink_config, &args.endpoints);
    let (source, sink) = match (source, sink) {
        (Ok(source), Ok(sink)) => (source, sink),
        (Err(source), Err(sink)) => {
            return Err(Error::config(&[source.to_string(), sink.to_string()]));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let metrics = Arc::new(Metrics::default());
    let source = Source::prepare(source, metrics.clone(), shutdown.clone()).await?;
    let (mut sink, _close) = Sink::prepare(sink, metrics.clone(), shutdown).await?;
    let source = async { source.run(Patience::Endless).await };
    let sink = async { sink.run(Patience::Endless).await };
    tokio::try_join!(source, sink)?;
    Summary::of(&metrics).print(args.json);
    Ok(())
}

fn read_source(path: &std::path::Path, endpoints: &EndpointArgs) -> Result<SourceConfig, Error> {
    SourceConfig::from_properties(Properties::read(path), &endpoints.endpoints())
}

fn read_sink(path: &std::path::Path, endpoints: &EndpointArgs) -> Result<SinkConfig, Error> {
    SinkConfig::from_properties(Properties::read(path), &endpoints.endpoints())
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Rows of the snapshot.
    pub snapshot_rows: u64,
    /// Row changes of the stream.
    pub changes: u64,
    /// Records that Kafka acknowledged.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// Column values that Postgres did not send because they did not change.
    pub unchanged_toast: u64,
    /// Rows read again to fill such values in.
    pub reselected: u64,
    /// Rows that no record could be made of.
    pub rows_passed_over: u64,
    /// Schemas registered.
    pub schemas: Vec<SchemaSeen>,
    /// Records read by the sink.
    pub sink_records: u64,
    /// Tombstones among them.
    pub sink_tombstones: u64,
    /// Objects written.
    pub objects: u64,
    /// Records in them.
    pub object_records: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// CPU and memory of this process.
    pub usage: Option<Usage>,
}

impl Summary {
    /// The counters as they stand.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let (objects, object_records, object_bytes) = metrics.object_totals();
        Self {
            snapshot_rows: metrics.snapshot_rows.get(),
            changes: metrics.changes.get(),
            messages: metrics.messages.get(),
            message_bytes: metrics.message_bytes.get(),
            unchanged_toast: metrics.unchanged_toast.get(),
            reselected: metrics.reselected.get(),
            rows_passed_over: metrics.source_bad.get(),
            schemas: metrics.schemas(),
            sink_records: metrics.sink_records.get(),
            sink_tombstones: metrics.sink_tombstones.get(),
            objects,
            object_records,
            object_bytes,
            usage: metrics::usage(),
        }
    }

    /// Prints it, as JSON or as a table.
    pub fn print(&self, json: bool) {
        if json {
            if let Ok(text) = serde_json::to_string(self) {
                Output::raw(&text);
            }
            return;
        }
        for line in self.lines() {
            Output::new(false).line(line);
        }
    }

    /// The table's lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("rows      {} in the snapshot, {} changes", self.snapshot_rows, self.changes),
            format!("messages  {} ({})", self.messages, bytes(self.message_bytes)),
        ];
        if self.unchanged_toast > 0 {
            lines.push(format!(
                "toast     {} unchanged values not sent by Postgres, {} rows read again",
                self.unchanged_toast, self.reselected
            ));
        }
        if self.rows_passed_over > 0 {
            lines.push(format!("bad rows  {} passed over", self.rows_passed_over));
        }
        for schema in &self.schemas {
            lines.push(format!("schema    {} id {}", schema.subject, schema.id));
        }
        lines.push(format!(
            "objects   {} with {} records ({}), {} tombstones passed over",
            self.objects,
            self.object_records,
            bytes(self.object_bytes),
            self.sink_tombstones
        ));
        if let Some(usage) = self.usage {
            lines.push(format!(
                "used      {:.2} s CPU, {} at most in memory",
                usage.cpu_seconds,
                bytes(usage.peak_kib * 1024)
            ));
        }
        lines
    }
}

/// A run that was interrupted although it had an end.
#[must_use]
pub fn interrupted() -> Error {
    Error::new(Part::Interrupted, "interrupted")
}
