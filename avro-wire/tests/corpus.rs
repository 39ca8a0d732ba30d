//! The corpus of this crate's fuzz targets, through the very same functions.
#![cfg(feature = "ocf")]
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/avro_wire.rs"]
mod targets;

#[test]
fn framing() {
    corpus::replay("avro_framing", targets::framing);
}

#[test]
fn schema() {
    corpus::replay("avro_schema", targets::schema);
}

#[test]
fn datum() {
    corpus::replay("avro_datum", targets::datum);
}

#[test]
fn container() {
    corpus::replay("avro_container", targets::container);
}

#[test]
fn as_json() {
    corpus::replay("avro_json", targets::as_json);
}

#[test]
fn text() {
    corpus::replay("avro_text", targets::text);
}

#[test]
fn resolution() {
    corpus::replay("avro_resolution", targets::resolution);
}
