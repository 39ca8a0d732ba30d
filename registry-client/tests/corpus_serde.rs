//! The corpus of the deserializer's fuzz target, through the very same function.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/registry_serde.rs"]
mod targets;

#[test]
fn serde() {
    corpus::replay("registry_serde", targets::message);
}
