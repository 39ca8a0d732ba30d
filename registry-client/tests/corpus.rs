//! The corpus of this crate's fuzz targets, through the very same functions.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/registry_client.rs"]
mod targets;

#[test]
fn response() {
    corpus::replay("registry_response", targets::response);
}
