//! Logging in to a broker that asks for IAM: the broker's verifier is written from AWS's signing
//! rules on another cryptography crate than the signer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::Engine as _;
use embedded_services::{
    broker::{self, Broker, Login, Rejected, Verifier, bearer_token},
    postgres::{Config, Postgres},
    registry::{self, CompatibilityLevel, Registry},
};
use ring::{digest, hmac};
use support::{Running, configuration, connect, objects, program, run, until};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-1";

/// Lets tokens in that this key signed for this region.
#[derive(Debug)]
struct Iam {
    accepted: Arc<AtomicUsize>,
}

impl Verifier for Iam {
    fn mechanisms(&self) -> Vec<String> {
        vec!["OAUTHBEARER".to_owned()]
    }

    fn verify(&self, _: &str, message: &[u8]) -> Result<Login, Rejected> {
        let token = bearer_token(message).ok_or_else(|| Rejected::new("no token"))?;
        check(token).map_err(|why| Rejected::new(&format!("Access denied: {why}")))?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(Login::new("arn:aws:iam::1:user/tests"))
    }
}

/// AWS Signature Version 4 of a presigned GET of `/` with nothing but the host signed.
fn check(token: &str) -> Result<(), String> {
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|e| e.to_string())?;
    let url = String::from_utf8(url).map_err(|e| e.to_string())?;
    let host = format!("kafka.{REGION}.amazonaws.com");
    let query = url.strip_prefix(&format!("https://{host}/?")).ok_or("wrong host")?;
    let mut parameters: BTreeMap<&str, &str> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let signature = parameters.remove("X-Amz-Signature").ok_or("no signature")?;
    parameters.remove("User-Agent").ok_or("no user agent")?;
    let stamp = *parameters.get("X-Amz-Date").ok_or("no date")?;
    let day = stamp.get(..8).ok_or("short date")?;
    let scope = format!("{day}/{REGION}/kafka-cluster/aws4_request");
    if parameters.get("X-Amz-Credential")
        != Some(&format!("{KEY}/{scope}").replace('/', "%2F").as_str())
    {
        return Err("wrong key or scope".to_owned());
    }
    if parameters.get("Action") != Some(&"kafka-cluster%3AConnect") {
        return Err("wrong action".to_owned());
    }
    let canonical: Vec<String> = parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let request = format!(
        "GET\n/\n{}\nhost:{host}\n\nhost\n{}",
        canonical.join("&"),
        hex(digest::digest(&digest::SHA256, b"").as_ref())
    );
    let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [day, REGION, "kafka-cluster", "aws4_request"] {
        key = sign(&key, part);
    }
    if hex(&sign(&key, &to_sign)) == signature { Ok(()) } else { Err("wrong signature".to_owned()) }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The arguments of an MSK user, for a broker without TLS.
fn with_iam(command: &mut Command, secret: &str) {
    command
        .args(["-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=AWS_MSK_IAM"])
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env_remove("AWS_SESSION_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn source_and_sink_log_in_with_tokens_of_their_own() {
    let postgres = Postgres::start(Config::new()).unwrap();
    let url = postgres.url("postgres");
    let mut client = connect(&url).await;
    client
        .execute(
            "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1), (2), (3); \
             CREATE PUBLICATION items FOR TABLE items",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let verifier = Iam { accepted: accepted.clone() };
    let config = broker::Config::new(&folder.path().join("broker"));
    let broker = Broker::start(config.with_sasl(verifier).with_auto_create_topics()).await.unwrap();
    let registry =
        Registry::start(registry::Config::new().with_compatibility(CompatibilityLevel::None))
            .await
            .unwrap();
    let bucket = folder.path().join("bucket");
    let pipeline = |secret: &str| {
        let source = configuration(
            folder.path(),
            "source.json",
            &[("topic.prefix", "iam"), ("publication.name", "items"), ("slot.name", "iam")],
        );
        let sink = configuration(
            folder.path(),
            "sink.json",
            &[("topics", "iam.public.items"), ("flush.size", "3")],
        );
        let mut command = program();
        command
            .args(["run", "--postgres-url", &url, "--brokers", &broker.bootstrap()])
            .args(["--registry-url", &registry.url(), "--bucket"])
            .arg(&bucket)
            .arg("--source-config")
            .arg(source)
            .arg("--sink-config")
            .arg(sink);
        with_iam(&mut command, secret);
        command
    };

    // A wrong secret signs tokens that are refused; nothing is created, and the reason is told.
    let refused = run(&mut pipeline("not the secret"));
    let log = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{log}");
    assert!(!log.contains("not the secret"), "{log}");
    assert_eq!(accepted.load(Ordering::Relaxed), 0);

    let running = Running::start(&mut pipeline(SECRET));
    until("the object", || (objects(&bucket).len() == 1).then_some(()));
    running.terminate();
    let records: usize = objects(&bucket).values().map(Vec::len).sum();
    assert_eq!(records, 3);
    assert!(accepted.load(Ordering::Relaxed) >= 2, "source and sink log in");
}
