//! Every fault of the registry, seen by `registry-client`.
#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use embedded_services::registry::{Config, Registry};
use registry_client::{Client, Config as ClientConfig, ErrorKind, NewSchema, Subject};

async fn registry() -> Registry {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Registry::start(Config::new()).await.unwrap()
}

/// A client that gives up after `retries`.
fn client(registry: &Registry, retries: u32) -> Client {
    Client::new(ClientConfig::new(&registry.url()).with_retries(retries)).unwrap()
}

fn schema() -> NewSchema {
    NewSchema::new(r#"{"type": "record", "name": "r", "fields": []}"#)
}

fn subject() -> Subject {
    Subject::new("s")
}

#[tokio::test]
async fn status_is_seen_and_passes() {
    let registry = registry().await;
    registry.faults().status(1, 503);
    let error = client(&registry, 0).register(&subject(), &schema()).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(error.is_retryable());
    client(&registry, 0).register(&subject(), &schema()).await.unwrap();
    registry.faults().status(2, 500);
    client(&registry, 3).register(&Subject::new("t"), &schema()).await.unwrap();
}

#[tokio::test]
async fn delay_is_waited_for_or_timed_out() {
    let registry = registry().await;
    let delay = Duration::from_millis(300);
    registry.faults().delay(1, delay);
    let start = Instant::now();
    client(&registry, 0).register(&subject(), &schema()).await.unwrap();
    assert!(start.elapsed() >= delay);

    registry.faults().delay(1, Duration::from_secs(600));
    let config = ClientConfig::new(&registry.url()).with_retries(0).with_timeout(delay);
    let impatient = Client::new(config).unwrap();
    let error = impatient.register(&Subject::new("t"), &schema()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_cut_answer_is_an_error_and_the_effect_is_there() {
    let registry = registry().await;
    registry.faults().cut(1);
    let error = client(&registry, 0).register(&subject(), &schema()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(client(&registry, 0).versions(&subject()).await.unwrap().len(), 1);

    registry.faults().cut(2);
    let id = client(&registry, 3).register(&subject(), &schema()).await.unwrap();
    assert_eq!(id.get(), 1, "the same schema has its id again");
}

#[tokio::test]
async fn refused_connections_also_when_open_already() {
    let registry = registry().await;
    let client = client(&registry, 0);
    client.register(&subject(), &schema()).await.unwrap();
    registry.faults().refuse(true);
    for subject in ["t", "u"] {
        let error = client.register(&Subject::new(subject), &schema()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    }
    registry.faults().clear();
    client.register(&Subject::new("t"), &schema()).await.unwrap();
    let subjects = client.versions(&Subject::new("u")).await.unwrap_err();
    assert_eq!(subjects.kind(), ErrorKind::NotFound, "a refused request has no effect");
}
