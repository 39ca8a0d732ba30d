//! A token, beside the crate aws-msk-iam-sasl-signer and the bare cryptography.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider;
use aws_types::region::Region;
use criterion::Criterion;

#[path = "../../benches/msk_iam_auth/signing.rs"]
mod signing;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, session_token) in signing::cases() {
        let session = Some(session_token.clone()).filter(|token| !token.is_empty());
        let credentials = SharedCredentialsProvider::new(Credentials::from_keys(
            signing::KEY,
            signing::SECRET,
            session,
        ));
        // It reads the clock itself, so its token is another one.
        assert!(peer(&credentials).len() > 400);
        let mut group = criterion.benchmark_group(format!("token, {name}"));
        signing::measure(&mut group, &session_token);
        group.bench_function("aws-msk-iam-sasl-signer", |b| {
            b.iter(|| peer(black_box(&credentials)))
        });
        group.finish();
    }
    criterion.final_summary();
}

/// Credentials at hand, so that nothing is waited for.
fn peer(credentials: &SharedCredentialsProvider) -> String {
    let region = Region::from_static(signing::REGION);
    let call = generate_auth_token_from_credentials_provider(region, credentials.clone());
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(made) => made.expect("a token").0,
        Poll::Pending => panic!("it waits"),
    }
}
