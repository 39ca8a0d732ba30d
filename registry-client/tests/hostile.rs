//! Every call against every kind of bad answer: none hangs, none panics, and each failure says
//! where it happened and what came, without the credentials.
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

use std::time::Duration;

use registry_client::{
    Client, Config, Context, Deletion, Error, ErrorKind, Force, Guid, Listing, Mode, NewSchema,
    Part, SchemaId, Scope, Settings, Subject, Version,
};
use support::{Reply, Server, json};

/// Makes every call that there is; those that fail.
async fn every_call(client: &Client) -> Vec<(&'static str, Error)> {
    let subject = Subject::new(":.ctx:a/b%c?d#e f");
    let (schema, listing) = (NewSchema::new("not JSON"), Listing::new());
    let (id, guid) = (SchemaId::new(1), Guid::new([1; 16]));
    let scope = Scope::Subject(subject.clone());
    let mut failed = Vec::new();
    macro_rules! calls {
        ($($name:ident($($argument:expr),*);)*) => {
            $(if let Err(error) = client.$name($($argument),*).await {
                failed.push((stringify!($name), error));
            })*
        };
    }
    calls! {
        schema(id);
        schema_for(id, &subject);
        schema_by_guid(guid);
        latest(&subject);
        version(&subject, Version::new(1));
        latest_with_metadata(&subject, &[("k", "v")]);
        register(&subject, &schema);
        lookup(&subject, &schema);
        is_compatible(&subject, Version::LATEST, &schema);
        may_register(&subject, &schema);
        subjects();
        versions(&subject);
        list_schemas(&listing);
        schema_types();
        list_contexts(&listing);
        subjects_of(id, &listing);
        versions_of(id, &listing);
        ids_of(guid);
        referenced_by(&subject, Version::new(1), &listing);
        associated_subject("t", Part::Key, None);
        schema_text(id, None);
        version_text(&subject, Version::new(1), None);
        delete_subject(&subject, Deletion::Soft);
        delete_version(&subject, Version::new(1), Deletion::Permanent);
        delete_context(&Context::new("x"));
        settings(&Scope::Global);
        update_settings(&scope, &Settings::new());
        delete_settings(&scope);
        mode(&scope);
        update_mode(&scope, &Mode::ReadOnly, Force::No);
        delete_mode(&scope);
        server_version();
        server_id();
        server_deployment();
    }
    failed
}

/// How many calls there are, and how many take any answer: two want a text, one nothing.
const CALLS: usize = 34;
const UNDEMANDING: usize = 3;

/// The failures of all calls against a server that answers everything so; and the number of its
/// requests.
async fn against(reply: Reply) -> (Vec<(&'static str, Error)>, usize) {
    let server = Server::start(move |_, _| reply.clone()).await;
    let host = server.url.strip_prefix("http://").unwrap();
    let config = Config::new(&format!("http://user:s3cr3t@{host}/apis/ccompat/v7"))
        .with_retries(0)
        .with_timeout(Duration::from_millis(300))
        .with_max_response_bytes(1 << 16)
        .with_circuit_breaker(0, Duration::ZERO, Duration::ZERO);
    let client = Client::new(config).unwrap();
    let all = tokio::time::timeout(Duration::from_secs(60), every_call(&client));
    let failed = all.await.expect("no call hangs");
    for (call, error) in &failed {
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("user:"), "{call}: {shown}");
        let url = error.url().expect(call);
        assert!(url.starts_with(&format!("{}/apis/ccompat/v7/", server.url)), "{call}: {url}");
        assert!(!url.contains(['#', ' ']), "{call}: {url}");
    }
    (failed, server.count())
}

async fn all_fail(reply: Reply, kind: ErrorKind, status: Option<u16>, code: Option<i32>) {
    let shown = format!("{reply:.60?}");
    let (failed, requests) = against(reply).await;
    assert_eq!((failed.len(), requests), (CALLS, CALLS), "{shown}");
    for (call, error) in failed {
        assert_eq!(error.kind(), kind, "{call}: {error}");
        assert_eq!((error.status(), error.code()), (status, code), "{call}: {error}");
    }
}

/// As [`all_fail`], but for the calls that take any text.
async fn demanding_fail(reply: Reply, status: u16) {
    let shown = format!("{reply:.60?}");
    let (failed, requests) = against(reply).await;
    assert_eq!((failed.len(), requests), (CALLS - UNDEMANDING, CALLS), "{shown}");
    for (call, error) in failed {
        assert_eq!(error.kind(), ErrorKind::Response, "{call}: {error}");
        assert_eq!((error.status(), error.code()), (Some(status), None), "{call}: {error}");
    }
}

#[tokio::test]
async fn pages_instead_of_json() {
    let page = "<!doctype html><html><body>Sign in</body></html>";
    demanding_fail(json(200, page), 200).await;
    let with_type = Reply::With(200, "content-type: text/html\r\n", "Sign in".to_owned());
    let (failed, _) = against(with_type.clone()).await;
    assert!(failed[0].1.to_string().contains("a page instead of JSON"), "{}", failed[0].1);
    demanding_fail(with_type, 200).await;
    all_fail(json(502, page), ErrorKind::Server, Some(502), None).await;
    all_fail(json(403, page), ErrorKind::Unauthorized, Some(403), None).await;
}

#[tokio::test]
async fn json_that_is_cut_off_or_of_another_kind() {
    for body in [
        "",
        "{\"sch",
        "[1,",
        "nul",
        "\u{feff}{}",
        "{}{}",
        "[[1]]",
        "{\"schema\":1,\"id\":[],\"is_compatible\":\"x\",\"mode\":{},\"version\":[]}",
    ] {
        let (failed, requests) = against(json(200, body)).await;
        assert_eq!(requests, CALLS, "{body}");
        // An object of any kind is an answer to two of them.
        assert!(failed.len() >= CALLS - UNDEMANDING - 6, "{body}: {}", failed.len());
        for (call, error) in failed {
            assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)), "{call}");
        }
    }
    // Not UTF-8, deeply nested, and numbers that no id can have.
    let raw = |body: &str| Reply::Body(200, body.to_owned());
    demanding_fail(raw(&"[".repeat(60_000)), 200).await;
    for id in ["-1", "4294967296", "1e99", "1.5", "\"1\""] {
        let body = format!("{{\"id\":{id},\"schema\":\"\\\"int\\\"\"}}");
        let server = Server::start(move |_, _| json(200, &body)).await;
        let client = Client::new(Config::new(&server.url).with_retries(0)).unwrap();
        let error = client.latest(&Subject::new("s")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response, "{id}");
    }
}

#[tokio::test]
async fn a_wrong_content_type_alone_is_no_failure() {
    let server = Server::start(|_, _| {
        Reply::With(200, "content-type: text/plain\r\n", r#"{"schema":"\"int\""}"#.to_owned())
    })
    .await;
    let client = Client::new(Config::new(&server.url)).unwrap();
    assert_eq!(client.schema(SchemaId::new(1)).await.unwrap().schema(), "\"int\"");
}

#[tokio::test]
async fn bodies_beyond_the_limit() {
    let announced = "HTTP/1.1 200 X\r\ncontent-length: 1000000000000\r\n\r\n{".to_owned();
    for reply in [Reply::Raw(announced), Reply::Endless, json(200, &"7".repeat(70_000))] {
        all_fail(reply, ErrorKind::Response, Some(200), None).await;
    }
    // A refusal stays one, whatever its body does.
    for body in [" ".repeat(200_000), "{\"error_code\":50001}".to_owned()] {
        let cut_off = format!("HTTP/1.1 503 X\r\ncontent-length: 300000\r\n\r\n{body}");
        let code = (body.len() < 100).then_some(50_001);
        all_fail(Reply::Raw(cut_off), ErrorKind::Server, Some(503), code).await;
    }
}

#[tokio::test]
async fn redirects_to_itself_and_elsewhere() {
    for location in ["location: /\r\n", "location: http://127.0.0.1:1/\r\n", ""] {
        let reply = Reply::With(307, location, String::new());
        all_fail(reply, ErrorKind::Refused, Some(307), None).await;
    }
}

#[tokio::test]
async fn connections_that_break() {
    for text in [
        "",
        "HTTP/1.1 20",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 X\r\ncontent-length: 30\r\n\r\n{\"schema\":",
        "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"s",
        "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 99999 X\r\n\r\n",
        "HTTP/1.1 200 X\r\ncontent-length: -1\r\n\r\n",
    ] {
        let (failed, _) = against(Reply::Raw(text.to_owned())).await;
        assert_eq!(failed.len(), CALLS, "{text:?}");
        for (call, error) in failed {
            assert_eq!(error.kind(), ErrorKind::Transport, "{text:?} {call}: {error}");
            assert!(error.is_retryable());
        }
    }
}

#[tokio::test]
async fn bodies_that_drip() {
    let server = Server::start(|_, _| Reply::Drip(100_000)).await;
    let config = Config::new(&server.url)
        .with_retries(1)
        .with_retry_wait(Duration::ZERO, Duration::ZERO)
        .with_timeout(Duration::from_millis(50));
    let client = Client::new(config).unwrap();
    let start = std::time::Instant::now();
    let failed = every_call(&client).await;
    assert_eq!(failed.len(), CALLS);
    // Two requests each, until the circuit opens after ten.
    assert!((10..=12).contains(&server.count()), "{}", server.count());
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(failed[0].1.kind(), ErrorKind::Timeout);
    let (_, error) = &failed[CALLS - 1];
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert!(error.url().unwrap().starts_with(&server.url) && error.retry_after().is_some());
}

#[tokio::test]
async fn refusals_with_odd_bodies() {
    for (body, code) in [
        ("", None),
        ("[]", None),
        ("{\"error_code\":\"40403\"}", None),
        ("{\"error_code\":99999999999}", None),
        ("{\"error_code\":-7,\"message\":null}", Some(-7)),
        ("{\"error_code\":42201,\"message\":\"Either the input schema is not JSON\"}", Some(42201)),
    ] {
        all_fail(json(422, body), ErrorKind::Invalid, Some(422), code).await;
    }
}
