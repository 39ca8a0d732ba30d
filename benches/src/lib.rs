//! Criterion benches, one file a crate.
