//! A token, beside the cryptography that no signer can leave out, and a token that is there already.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::sync::Arc;

use criterion::Criterion;
use msk_iam_auth::TokenProvider;

#[path = "msk_iam_auth/signing.rs"]
mod signing;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, session_token) in signing::cases() {
        let mut group = criterion.benchmark_group(format!("token, {name}"));
        signing::measure(&mut group, &session_token);
        group.finish();
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let source = Arc::new(signing::credentials(""));
    let provider = TokenProvider::new(signing::signer(), source);
    let token = runtime.block_on(provider.token()).unwrap();
    assert_eq!(provider.current().unwrap(), token);
    criterion.bench_function("token, at hand", |b| b.iter(|| provider.current().unwrap()));
    criterion.final_summary();
}
