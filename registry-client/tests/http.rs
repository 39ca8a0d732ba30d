//! The client against real sockets: what goes over the wire, and what hostile answers do.
#![cfg(feature = "reqwest")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry_client::{
    Client, Config, Error, ErrorKind, Missing, NewSchema, Reference, SchemaId, SchemaType, Subject,
    Version,
};
use support::{Reply, Server, json, refusal, schema};
use tokio::sync::watch;

const MS: Duration = Duration::from_millis(1);

fn config(url: &str) -> Config {
    Config::new(url).with_retry_wait(MS, 5 * MS).with_missing_ttl(Duration::ZERO)
}

fn client(url: &str) -> Client {
    Client::new(config(url)).unwrap()
}

async fn fails(script: Reply) -> (Error, usize) {
    let server = Server::start(move |_, _| script.clone()).await;
    let error = client(&server.url).schema(SchemaId::new(1)).await.unwrap_err();
    (error, server.count())
}

#[tokio::test]
async fn ten_thousand_misses_of_one_id_are_one_request() {
    let (open, gate) = watch::channel(false);
    let server = Server::start(move |_, _| Reply::Gated(gate.clone(), Box::new(schema()))).await;
    let client = client(&server.url);
    let asking = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let (client, asking) = (client.clone(), Arc::clone(&asking));
            tokio::spawn(async move {
                asking.fetch_add(1, Ordering::SeqCst);
                client.schema(SchemaId::new(1)).await
            })
        })
        .collect();
    while asking.load(Ordering::SeqCst) < 10_000 {
        tokio::task::yield_now().await;
    }
    server.wait_for(1).await;
    open.send(true).unwrap();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().schema(), "\"long\"");
    }
    assert_eq!(server.count(), 1);
    assert!(client.try_get(SchemaId::new(1)).is_some());
    assert!(client.try_get(SchemaId::new(2)).is_none());
}

#[tokio::test]
async fn a_failure_reaches_everyone_who_waited_and_is_not_kept() {
    let (open, gate) = watch::channel(false);
    let server = Server::start(move |number, _| match number {
        0 => Reply::Gated(gate.clone(), Box::new(refusal(500, 50001, "down"))),
        1 | 2 => refusal(500, 50001, "down"),
        _ => schema(),
    })
    .await;
    let client = Client::new(config(&server.url).with_retries(2)).unwrap();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.schema(SchemaId::new(1)).await })
        })
        .collect();
    server.wait_for(1).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    open.send(true).unwrap();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(500), Some(50001)));
    }
    assert_eq!(server.count(), 3);
    assert!(client.schema(SchemaId::new(1)).await.is_ok());
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_slow_key_does_not_delay_another() {
    let (open, gate) = watch::channel(false);
    let server = Server::start(move |_, seen| {
        if seen.path.ends_with("/1") {
            Reply::Gated(gate.clone(), Box::new(schema()))
        } else {
            schema()
        }
    })
    .await;
    let client = client(&server.url);
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.schema(SchemaId::new(1)).await }
    });
    server.wait_for(1).await;
    for id in 2..50 {
        client.schema(SchemaId::new(id)).await.unwrap();
    }
    assert!(!slow.is_finished());
    open.send(true).unwrap();
    slow.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cancelled_caller_does_not_fail_the_others() {
    let (open, gate) = watch::channel(false);
    let server = Server::start(move |_, _| Reply::Gated(gate.clone(), Box::new(schema()))).await;
    let client = client(&server.url);
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.schema(SchemaId::new(1)).await })
    };
    let first = call();
    server.wait_for(1).await;
    let second = call();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    server.wait_for(2).await;
    open.send(true).unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let (open, gate) = watch::channel(false);
    let server = Server::start(move |_, _| Reply::Gated(gate.clone(), Box::new(schema()))).await;
    let client = Client::new(config(&server.url).with_max_in_flight(3)).unwrap();
    let callers: Vec<_> = (0..40)
        .map(|id| {
            let client = client.clone();
            tokio::spawn(async move { client.schema(SchemaId::new(id)).await })
        })
        .collect();
    server.wait_for(3).await;
    open.send(true).unwrap();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(server.count(), 40);
    assert_eq!(server.most_at_once(), 3);
}

#[tokio::test]
async fn a_failure_that_passes_is_retried() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let server = Server::start(move |number, _| match number {
            0 => Reply::Body(status, "<html>".to_owned()),
            _ => schema(),
        })
        .await;
        client(&server.url).schema(SchemaId::new(1)).await.unwrap();
        assert_eq!(server.count(), 2, "{status}");
    }
}

#[tokio::test]
async fn refusals_are_typed_and_not_retried() {
    use ErrorKind::{Incompatible, Invalid, NotFound, Refused, Server as Failed, Unauthorized};
    for (status, code, kind, missing) in [
        (404, 40401, NotFound, Some(Missing::Subject)),
        (404, 40402, NotFound, Some(Missing::Version)),
        (404, 40403, NotFound, Some(Missing::Schema)),
        (404, 40404, NotFound, Some(Missing::Subject)),
        (404, 40406, NotFound, Some(Missing::Version)),
        (404, 40499, NotFound, Some(Missing::Other)),
        (409, 409, Incompatible, None),
        (409, 40901, Incompatible, None),
        (409, 40902, Refused, None),
        (422, 42201, Invalid, None),
        (422, 42277, Invalid, None),
        (401, 40101, Unauthorized, None),
        (403, 40301, Unauthorized, None),
        (501, 50101, Failed, None),
        (400, 400, Refused, None),
    ] {
        let (error, requests) = fails(refusal(status, code, "their words")).await;
        assert_eq!((error.kind(), error.missing()), (kind, missing), "{code}");
        assert_eq!((error.status(), error.code()), (Some(status), Some(code)));
        assert_eq!(error.registry_message(), Some("their words"));
        assert!(error.url().unwrap().ends_with("/schemas/ids/1"));
        assert!(!error.is_retryable());
        assert_eq!(requests, 1, "{code}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_are_no_schemas() {
    let page = "<html><body>Sign in</body></html>";
    let (error, requests) = fails(json(200, page)).await;
    assert_eq!((error.kind(), requests), (ErrorKind::Response, 1));
    let (error, requests) = fails(json(200, r#"{"schema":"\"lo"#)).await;
    assert_eq!((error.kind(), requests), (ErrorKind::Response, 1));
    let (error, _) = fails(json(200, r#"{"id":1}"#)).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    let (error, _) = fails(json(200, "")).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(std::error::Error::source(&error).is_some());

    let (error, requests) = fails(json(401, page)).await;
    assert_eq!((error.kind(), requests), (ErrorKind::Unauthorized, 1));
    assert_eq!((error.code(), error.registry_message()), (None, None));
    let (error, requests) = fails(json(502, page)).await;
    assert_eq!((error.kind(), requests), (ErrorKind::Server, 4));
    let (error, _) = fails(json(404, page)).await;
    assert_eq!(error.missing(), Some(Missing::Other));
}

#[tokio::test]
async fn a_connection_cut_in_the_body_is_retried() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Raw("HTTP/1.1 200 X\r\ncontent-length: 21\r\n\r\n{\"sch".to_owned()),
        1 => Reply::Raw("HTTP/1.1 20".to_owned()),
        2 => Reply::Raw("SSH-2.0-x\r\n".to_owned()),
        _ => schema(),
    })
    .await;
    client(&server.url).schema(SchemaId::new(1)).await.unwrap();
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn large_answers_are_not_read() {
    let announced = "HTTP/1.1 200 X\r\ncontent-length: 1000000000000\r\n\r\n{";
    for reply in [Reply::Raw(announced.to_owned()), Reply::Endless] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let config = config(&server.url).with_max_response_bytes(1 << 20);
        let client = Client::new(config).unwrap();
        let error = client.schema(SchemaId::new(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        assert_eq!(server.count(), 1);
    }
    let server = Server::start(|_, _| json(200, r#"{"schema":"123"}"#)).await;
    let with_limit = |bytes| {
        let client = Client::new(config(&server.url).with_max_response_bytes(bytes)).unwrap();
        async move { client.schema(SchemaId::new(1)).await }
    };
    assert!(with_limit(16).await.is_ok());
    assert!(with_limit(15).await.is_err());
}

#[tokio::test]
async fn a_dripping_body_ends_at_the_timeout_and_all_of_it_at_the_deadline() {
    let server = Server::start(|_, _| Reply::Drip(1_000)).await;
    let start = Instant::now();
    let once = config(&server.url).with_timeout(100 * MS).with_retries(0);
    let error = Client::new(once).unwrap().schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_retryable());
    assert!(start.elapsed() >= 100 * MS);

    let patient = config(&server.url)
        .with_timeout(Duration::from_secs(3_600))
        .with_retries(1_000_000)
        .with_deadline(300 * MS);
    let start = Instant::now();
    let error = Client::new(patient).unwrap().schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(start.elapsed() >= 300 * MS && start.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_refused_connection_is_a_transport_error() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", unused.local_addr().unwrap());
    drop(unused);
    let error = client(&url).schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_retryable());
    assert!(std::error::Error::source(&error).is_some());
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn redirects_are_refused() {
    let elsewhere = Server::start(|_, _| schema()).await;
    let location = format!("location: {}\r\n", elsewhere.url).leak();
    let (error, _) = fails(Reply::With(302, location, String::new())).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::Refused, Some(302)));
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn credentials_go_into_the_header_only() {
    let server = Server::start(|_, seen| match seen.headers.get("authorization") {
        // user:p@ss, and a token.
        Some(value) if value == "Basic dXNlcjpwQHNz" || value == "Bearer abc" => schema(),
        _ => refusal(401, 40101, "Unauthorized"),
    })
    .await;
    let host = server.url.strip_prefix("http://").unwrap();
    let ask = async |config: Config| {
        let client = Client::new(config).unwrap();
        assert!(!format!("{client:?}").contains("p@ss"));
        client.schema(SchemaId::new(1)).await
    };
    ask(config(&format!("http://user:p%40ss@{host}"))).await.unwrap();
    ask(config(&server.url).with_basic_auth("user", "p@ss")).await.unwrap();
    ask(config(&format!("http://wrong:one@{host}")).with_bearer_token("abc")).await.unwrap();
    let properties = [
        ("schema.registry.url", &*server.url),
        ("basic.auth.credentials.source", "USER_INFO"),
        ("basic.auth.user.info", "user:p@ss"),
    ];
    ask(Config::from_properties(properties).unwrap()).await.unwrap();

    let error = ask(config(&server.url).with_basic_auth("user", "wrong")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthorized, Some(40101)));
    assert!(!error.url().unwrap().contains('@'));
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn paths_are_added_to_any_base_and_subjects_encoded() {
    let server = Server::start(|_, _| json(200, "[1,2]")).await;
    for base in ["", "/", "/apis/ccompat/v6", "/apis/ccompat/v7/"] {
        let client = client(&format!("{}{base}", server.url));
        let versions = client.versions(&Subject::new("a/b%c?d#e f:.x:é")).await.unwrap();
        assert_eq!(versions, [Version::new(1), Version::new(2)]);
        let seen = server.seen().pop().unwrap();
        let base = base.trim_end_matches('/');
        let subject = "a%2Fb%25c%3Fd%23e%20f%3A.x%3A%C3%A9";
        assert_eq!(seen.path, format!("{base}/subjects/{subject}/versions"));
    }
    let error = client(&server.url).versions(&Subject::new("..")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn calls_send_and_read_what_the_protocol_says() {
    let server = Server::start(|_, seen| {
        json(
            200,
            match (&*seen.method, &*seen.path) {
                ("GET", "/schemas/ids/7") => {
                    r#"{"schema":"syntax","schemaType":"PROTOBUF","guid":"x","subject":"t-value",
                    "version":3,"references":[{"name":"n","subject":"s","version":2}]}"#
                }
                ("GET", "/subjects/t-value/versions/latest") | ("POST", "/subjects/t-value") => {
                    r#"{"subject":"t-value","version":4,"id":9,"schema":"\"int\"","extra":null}"#
                }
                ("GET", "/subjects/t-value/versions/1") => {
                    r#"{"subject":"t-value","version":1,"id":2,"schema":"\"int\""}"#
                }
                ("POST", "/subjects/t-value/versions") => r#"{"id":9}"#,
                ("POST", "/compatibility/subjects/t-value/versions/latest?verbose=true") => {
                    r#"{"is_compatible":false,"messages":["because"]}"#
                }
                ("POST", "/compatibility/subjects/t-value/versions/2?verbose=true") => {
                    r#"{"is_compatible":true}"#
                }
                ("GET", "/subjects") => r#"["a","b"]"#,
                other => panic!("{other:?}"),
            },
        )
    })
    .await;
    let client = client(&server.url);
    let subject = Subject::new("t-value");

    let by_id = client.schema(SchemaId::new(7)).await.unwrap();
    assert_eq!((by_id.id(), by_id.schema()), (SchemaId::new(7), "syntax"));
    assert_eq!(by_id.schema_type(), &SchemaType::Protobuf);
    assert_eq!((by_id.subject(), by_id.version()), (Some(&subject), Some(Version::new(3))));
    let reference = Reference::new("n", Subject::new("s"), Version::new(2));
    assert_eq!(by_id.references(), std::slice::from_ref(&reference));

    let latest = client.latest(&subject).await.unwrap();
    assert_eq!((latest.id().get(), latest.version()), (9, Some(Version::new(4))));
    assert_eq!(latest.schema_type(), &SchemaType::Avro);
    let first = client.version(&subject, Version::new(1)).await.unwrap();
    assert_eq!(first.id().get(), 2);
    assert_eq!(client.subjects().await.unwrap(), ["a".into(), "b".into()]);

    let new = NewSchema::new("\"int\"");
    assert_eq!(client.register(&subject, &new).await.unwrap().get(), 9);
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.body, r#"{"schema":"\"int\""}"#);
    assert_eq!(seen.headers["content-type"], "application/vnd.schemaregistry.v1+json");
    assert!(seen.headers["accept"].starts_with("application/vnd.schemaregistry.v1+json"));
    let other = new.clone().with_type(SchemaType::Json).with_references(&[reference]);
    assert_eq!(client.lookup(&subject, &other).await.unwrap().id().get(), 9);
    assert_eq!(
        server.seen().pop().unwrap().body,
        r#"{"schema":"\"int\"","schemaType":"JSON","references":[{"name":"n","subject":"s","version":2}]}"#
    );

    let check = client.is_compatible(&subject, Version::LATEST, &new).await.unwrap();
    assert!(!check.is_compatible());
    assert_eq!(check.messages(), ["because"]);
    let check = client.is_compatible(&subject, Version::new(2), &new).await.unwrap();
    assert!(check.is_compatible() && check.messages().is_empty());
}

#[tokio::test]
async fn registering_once_is_enough() {
    let server = Server::start(|_, _| json(200, r#"{"id":1}"#)).await;
    let client = client(&server.url);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                client.register(&Subject::new("s"), &NewSchema::new("\"int\"")).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), SchemaId::new(1));
    }
    assert_eq!(server.count(), 1);
    client.register(&Subject::new("t"), &NewSchema::new("\"int\"")).await.unwrap();
    client.register(&Subject::new("s"), &NewSchema::new("\"long\"")).await.unwrap();
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_replica_that_works_is_kept_and_a_404_is_an_answer() {
    let down = Server::start(|_, _| refusal(503, 50003, "down")).await;
    let up = Server::start(|_, seen| {
        if seen.path.ends_with("/404") { refusal(404, 40403, "no") } else { schema() }
    })
    .await;
    let urls = format!("{},{}", down.url, up.url);
    let client = Client::new(config(&urls).with_retries(0)).unwrap();
    for id in 1..4 {
        client.schema(SchemaId::new(id)).await.unwrap();
    }
    assert_eq!((down.count(), up.count()), (1, 3));
    let error = client.schema(SchemaId::new(404)).await.unwrap_err();
    assert_eq!(error.missing(), Some(Missing::Schema));
    assert_eq!((down.count(), up.count()), (1, 4));
}

#[tokio::test]
async fn only_failures_of_a_replica_lead_to_the_next() {
    for (status, moves) in [
        (408, true),
        (429, true),
        (500, true),
        (501, true),
        (503, true),
        (301, false),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (409, false),
        (422, false),
        (425, false),
    ] {
        let first = Server::start(move |_, _| Reply::Body(status, String::new())).await;
        let second = Server::start(|_, _| schema()).await;
        let urls = format!("{},{}", first.url, second.url);
        let client = Client::new(config(&urls).with_retries(0)).unwrap();
        for id in 1..4 {
            let result = client.schema(SchemaId::new(id)).await;
            assert_eq!(result.is_ok(), moves, "{status}");
        }
        let counts = (first.count(), second.count());
        assert_eq!(counts, if moves { (1, 3) } else { (3, 0) }, "{status}");
    }
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let second = Server::start(|_, _| schema()).await;
    let client = Client::new(config(&format!("{dead},{}", second.url)).with_retries(0)).unwrap();
    client.schema(SchemaId::new(1)).await.unwrap();
}

#[tokio::test]
async fn bad_urls_are_reported_when_the_client_is_made() {
    for url in ["", "registry:8081", "http://ok,nonsense", "http://h?x"] {
        let error = Client::new(Config::new(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
    }
}
