//! The corpus of this crate's fuzz targets, through the very same functions.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/pgoutput.rs"]
mod targets;
#[cfg(feature = "postgres-types")]
#[path = "../../fuzz/src/pgoutput_value.rs"]
mod value_target;

#[test]
fn message() {
    corpus::replay("pgoutput_message", targets::message);
}

#[test]
fn frame() {
    corpus::replay("pgoutput_frame", targets::frame);
}

#[test]
fn copy() {
    corpus::replay("pgoutput_copy", targets::copy);
}

#[cfg(feature = "postgres-types")]
#[test]
fn value() {
    corpus::replay("pgoutput_value", value_target::value);
}

#[test]
fn assembler() {
    corpus::replay("pgoutput_assembler", targets::assembler);
}
