//! A token, beside the cryptography that no signer can leave out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use hmac::{Hmac, KeyInit as _, Mac as _};
use msk_iam_auth::{Credentials, Region, Signer};
use sha2::{Digest as _, Sha256};

/// The five HMACs and two digests of a signature by the book, with everything around them given.
struct Chain {
    secret: String,
    canonical_request: String,
    date: String,
    region: String,
}

impl Chain {
    fn sign(&self) -> [u8; 32] {
        let day = &self.date[..8];
        let digest = Sha256::digest(self.canonical_request.as_bytes());
        let mut text = Vec::with_capacity(192);
        text.extend_from_slice(b"AWS4-HMAC-SHA256\n");
        for part in [&self.date, "\n", day, "/", &self.region, "/kafka-cluster/aws4_request\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        for byte in digest {
            text.extend(
                [byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]),
            );
        }
        let key = hmac(format!("AWS4{}", self.secret).as_bytes(), day.as_bytes());
        let key = hmac(&key, self.region.as_bytes());
        let key = hmac(&key, b"kafka-cluster");
        let key = hmac(&key, b"aws4_request");
        hmac(&key, &text)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../msk-iam-auth/testdata/oauthbearer.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let case: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let field = |name: &str| case[name].as_str().unwrap().to_owned();
    let credentials = Credentials::new(&field("access_key_id"), &field("secret_access_key"));
    let region = Region::new(&field("region")).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(case["unix_seconds"].as_u64().unwrap());
    let chain = Chain {
        secret: field("secret_access_key"),
        canonical_request: field("canonical_request"),
        date: field("amz_date"),
        region: field("region"),
    };

    let signer = Signer::new(region.clone());
    let token = signer.token(&credentials, now).unwrap();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.as_str()).unwrap()).unwrap();
    let hex: String = chain.sign().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(url.contains(&format!("&X-Amz-Signature={hex}&")), "{hex} is not in {url}");
    assert_eq!(Signer::new(region.clone()).token(&credentials, now).unwrap(), token);

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("token");
    group.bench_function("same_day", |b| {
        b.iter(|| signer.token(black_box(&credentials), now).unwrap());
    });
    group.bench_function("first_of_the_day", |b| {
        b.iter(|| Signer::new(region.clone()).token(black_box(&credentials), now).unwrap());
    });
    group.bench_function("hmac_chain", |b| b.iter(|| black_box(&chain).sign()));
    group.finish();
    criterion.final_summary();
}
