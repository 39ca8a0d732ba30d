//! The corpus of this crate's fuzz targets, through the very same functions.
#![allow(unreachable_pub, reason = "the included files are written for two crates")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/msk_iam_auth.rs"]
mod targets;

#[test]
fn region() {
    corpus::replay("msk_region", targets::region);
}

#[test]
fn reply() {
    corpus::replay("msk_reply", targets::reply);
}

#[test]
fn token() {
    corpus::replay("msk_token", targets::token);
}
