//! What is signed, by us and by nobody: the cryptography that no signer can leave out.

use std::hint::black_box;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use msk_iam_auth::{Credentials, Region, Signer};
use sha2::{Digest as _, Sha256};

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "us-east-1";

/// Without a session token, and with one as long as STS makes them.
pub fn cases() -> [(&'static str, String); 2] {
    let token = "IQoJb3JpZ2luX2VjEN//////////wEaCXVzLWVhc3Q/x+".chars().cycle().take(798);
    [("no session token", String::new()), ("800 bytes", token.chain("==".chars()).collect())]
}

pub fn credentials(session_token: &str) -> Credentials {
    Credentials::new(KEY, SECRET).with_session_token(session_token)
}

pub fn signer() -> Signer {
    Signer::new(Region::new(REGION).unwrap())
}

/// 14 November 2023, some time in the evening.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// Ours and the bare chain, asserted to give the same signature.
pub fn measure(group: &mut BenchmarkGroup<'_, WallTime>, session_token: &str) {
    let (credentials, signer, now) = (credentials(session_token), signer(), now());
    let token = signer.token(&credentials, now).unwrap();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.as_str()).unwrap()).unwrap();
    let chain = Chain::of(&url);
    let hex: String = chain.sign().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(url.contains(&format!("&X-Amz-Signature={hex}&")), "{hex} is not in {url}");

    group.bench_function("ours", |b| {
        b.iter(|| signer.token(black_box(&credentials), now).unwrap());
    });
    // Another day each time, so that the signing key cannot be had from the last one.
    let days = [now, now + Duration::from_secs(86_400)];
    let mut turn = days.iter().cycle();
    group.bench_function("ours, first of the day", |b| {
        b.iter(|| signer.token(black_box(&credentials), *turn.next().unwrap()).unwrap());
    });
    group.bench_function("bare HMAC chain", |b| b.iter(|| black_box(&chain).sign()));
}

/// The five HMACs and two digests of a signature by the book, with everything around them given.
struct Chain {
    canonical_request: String,
    date: String,
}

impl Chain {
    /// Of a URL whose parameters are sorted.
    fn of(url: &str) -> Self {
        let (host, query) = url.strip_prefix("https://").unwrap().split_once("/?").unwrap();
        let query = query.split("&X-Amz-Signature=").next().unwrap();
        let date = query.split("X-Amz-Date=").nth(1).unwrap()[..16].to_owned();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        Self { canonical_request: format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{empty}"), date }
    }

    fn sign(&self) -> [u8; 32] {
        let day = &self.date[..8];
        let digest = Sha256::digest(self.canonical_request.as_bytes());
        let mut text = Vec::with_capacity(192);
        text.extend_from_slice(b"AWS4-HMAC-SHA256\n");
        for part in [&self.date, "\n", day, "/", REGION, "/kafka-cluster/aws4_request\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        for byte in digest {
            text.extend(
                [byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]),
            );
        }
        let key = hmac(format!("AWS4{SECRET}").as_bytes(), day.as_bytes());
        let key = hmac(&key, REGION.as_bytes());
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
