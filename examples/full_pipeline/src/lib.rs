//! Postgres changes to Debezium-identical Avro in Kafka to Confluent-identical objects: the program
//! that composes the crates of this workspace. `full-pipeline --help` is its manual.

mod cli;
pub mod config;
pub mod demo;
mod error;
pub mod iam;
mod kafka;
pub mod load_demo;
mod metrics;
pub mod northwind;
mod output;
mod registry;
pub mod run;
pub mod services;
pub mod shutdown;
pub mod sink;
pub mod source;

pub use cli::{
    Cli, Command, DemoArgs, EndpointArgs, LoadDemoArgs, RegistryArgs, RunArgs, ServicesArgs,
    SinkArgs, SourceArgs, Toast,
};
pub use error::{Error, Part};
pub use metrics::{Counter, Metrics, ObjectWritten, SchemaSeen, Usage, begin_usage};
pub use output::{Output, Progress};
