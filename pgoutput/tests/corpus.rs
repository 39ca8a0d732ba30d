//! The corpus of this crate's fuzz targets, through the very same functions.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/pgoutput.rs"]
mod targets;

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
