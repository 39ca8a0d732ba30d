//! The corpus of this crate's fuzz targets, through the very same functions.
#![cfg(feature = "broker")]
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/broker.rs"]
mod targets;

#[test]
fn request() {
    corpus::replay("broker_request", targets::request);
}
