//! The corpus of this crate's fuzz targets, through the very same functions.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/s3_partitioner.rs"]
mod targets;

#[test]
fn pattern() {
    corpus::replay("s3_pattern", targets::pattern);
}

#[test]
fn timestamp() {
    corpus::replay("s3_timestamp", targets::timestamp);
}

#[test]
fn commit() {
    corpus::replay("s3_commit", targets::commit);
}
