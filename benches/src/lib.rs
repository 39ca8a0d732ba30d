//! Criterion benches, one file a crate. See the README of this folder for how to run them.
