//! The program itself, logged in.

use std::process::Command;

use embedded_services::{
    broker::{self, Broker},
    postgres::{Config, Postgres},
    registry::{self, CompatibilityLevel, Registry},
};

use crate::{
    KEY, PRINCIPAL, REGION, SECRET,
    support::{Running, configuration, connect, objects, program, run, until},
    verifier::Iam,
};

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
    let judge = Iam::new(REGION, "127.0.0.1");
    judge.allow(KEY, SECRET, None, PRINCIPAL);
    let accepted = || judge.verdicts().iter().filter(|verdict| verdict.is_ok()).count();
    let config = broker::Config::new(&folder.path().join("broker"));
    let broker =
        Broker::start(config.with_sasl(judge.clone()).with_auto_create_topics()).await.unwrap();
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
    assert_eq!(accepted(), 0);
    assert!(judge.verdicts().contains(&Err("wrong signature".to_owned())));

    let running = Running::start(&mut pipeline(SECRET));
    until("the object", || (objects(&bucket).len() == 1).then_some(()));
    running.terminate();
    let records: usize = objects(&bucket).values().map(Vec::len).sum();
    assert_eq!(records, 3);
    assert!(accepted() >= 2, "source and sink log in");
}
