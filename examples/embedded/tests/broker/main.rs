//! The broker as clients see it: through librdkafka, and through a bare socket where a proper
//! client would not misbehave.
#![cfg(feature = "broker")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::future_not_send,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly"
)]

mod acceptance;
mod client;
mod compaction;
mod durability;
mod faults;
mod groups;
mod killed;
mod million;
mod raw;
mod records;
mod retention;
mod sasl;
#[cfg(feature = "broker-tls")]
mod tls;
mod transactions;
