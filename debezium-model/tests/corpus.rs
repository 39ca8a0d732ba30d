//! The corpus of this crate's fuzz targets, through the very same functions.
#![cfg(feature = "avro")]
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/debezium_model.rs"]
mod targets;

#[test]
fn plan() {
    corpus::replay("debezium_plan", targets::plan);
}

#[test]
fn default() {
    corpus::replay("debezium_default", targets::default);
}
