//! Logging in to a broker that asks for IAM: the broker's judge is written from AWS's signing rules
//! on another cryptography crate than the signer.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod mechanism;
mod program;
mod stand;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod verifier;

const REGION: &str = "eu-west-1";
const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const PRINCIPAL: &str = "arn:aws:sts::111122223333:assumed-role/orders/tests";
