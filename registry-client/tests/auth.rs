//! Credentials: how they travel, when they are renewed, and that nobody gets to see them.
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

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use registry_client::{
    Client, ClientCredentials, Config, Error, ErrorKind, ProvideToken, Request, Response, SchemaId,
    Token, Transport,
};
use support::{Reply, Server, json, refusal, schema};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Numbers its tokens: `t1`, `t2`, ...
#[derive(Debug, Default)]
struct Numbered {
    given: AtomicUsize,
    lifetime: Option<Duration>,
    broken: AtomicUsize,
}

#[async_trait]
impl ProvideToken for Numbered {
    async fn token(&self) -> Result<Token, Error> {
        // So that concurrent callers really meet.
        tokio::time::sleep(MS).await;
        if self.broken.load(Ordering::SeqCst) > 0 {
            self.broken.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::transport("no route to the token server"));
        }
        let token = Token::new(&format!("t{}", self.given.fetch_add(1, Ordering::SeqCst) + 1));
        Ok(match self.lifetime {
            Some(lifetime) => token.with_lifetime(lifetime),
            None => token,
        })
    }
}

/// A registry that remembers the tokens it saw, and refuses those on its list.
#[derive(Debug, Default)]
struct Door {
    seen: Mutex<Vec<String>>,
    refused: Mutex<VecDeque<&'static str>>,
}

#[async_trait]
impl Transport for Door {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let token = request.header("authorization").unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(token.clone());
        if self.refused.lock().unwrap().iter().any(|bad| token.ends_with(bad)) {
            return Ok(Response::new(401, r#"{"error_code":40101,"message":"expired"}"#));
        }
        Ok(Response::new(200, r#"{"schema":"\"long\""}"#))
    }
}

impl Door {
    fn last(&self) -> String {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

fn guarded(provider: &Arc<Numbered>, door: &Arc<Door>, ahead: Duration) -> Client {
    let provider = Arc::clone(provider) as Arc<dyn ProvideToken>;
    let config = Config::new("http://registry")
        .with_retries(0)
        .with_token_provider(provider)
        .with_token_refresh_ahead(ahead);
    Client::with_transport(config, Arc::clone(door) as Arc<dyn Transport>).unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_requests_share_one_token() {
    let (provider, door) = (Arc::new(Numbered::default()), Arc::new(Door::default()));
    let client = guarded(&provider, &door, SECOND);
    let calls: Vec<_> = (0..1_000)
        .map(|id| {
            let client = client.clone();
            tokio::spawn(async move { client.schema(SchemaId::new(id)).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(provider.given.load(Ordering::SeqCst), 1);
    assert!(door.seen.lock().unwrap().iter().all(|token| token == "Bearer t1"));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_ahead_of_their_end_while_the_old_one_is_used() {
    let provider = Arc::new(Numbered { lifetime: Some(100 * SECOND), ..Numbered::default() });
    let door = Arc::new(Door::default());
    let client = guarded(&provider, &door, 30 * SECOND);
    let ask = async |id| client.schema(SchemaId::new(id)).await.map(|_| door.last());
    assert_eq!(ask(1).await.unwrap(), "Bearer t1");
    advance(59 * SECOND).await;
    assert_eq!(ask(2).await.unwrap(), "Bearer t1");
    advance(2 * SECOND).await;
    // The renewal fails, then succeeds; nobody notices.
    provider.broken.store(1, Ordering::SeqCst);
    for id in 3..5 {
        assert_eq!(ask(id).await.unwrap(), "Bearer t1");
        tokio::time::sleep(2 * SECOND).await;
    }
    assert_eq!(ask(5).await.unwrap(), "Bearer t2");
    assert_eq!(provider.given.load(Ordering::SeqCst), 2);
    // After its end nobody uses it, and a failure is a failure.
    advance(95 * SECOND).await;
    provider.broken.store(1, Ordering::SeqCst);
    let error = ask(6).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(ask(7).await.unwrap(), "Bearer t3");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once() {
    let (provider, door) = (Arc::new(Numbered::default()), Arc::new(Door::default()));
    let client = guarded(&provider, &door, SECOND);
    door.refused.lock().unwrap().push_back("t1");
    client.schema(SchemaId::new(1)).await.unwrap();
    assert_eq!(*door.seen.lock().unwrap(), ["Bearer t1", "Bearer t2"]);
    door.refused.lock().unwrap().extend(["t2", "t3", "t4"]);
    let error = client.schema(SchemaId::new(2)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthorized, Some(40101)));
    assert_eq!(door.seen.lock().unwrap().len(), 4);
}

#[derive(Debug)]
struct Never;

#[async_trait]
impl ProvideToken for Never {
    async fn token(&self) -> Result<Token, Error> {
        Err(Error::no_token("nobody is signed in"))
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let door = Arc::new(Door::default());
    let config = Config::new("http://registry").with_token_provider(Arc::new(Never));
    let client = Client::with_transport(config, Arc::clone(&door) as Arc<dyn Transport>).unwrap();
    let error = client.schema(SchemaId::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("signed in"));
    assert!(door.seen.lock().unwrap().is_empty());
}

fn oauth(registry: &Server, login: &Server) -> Config {
    let credentials = ClientCredentials::new(&format!("{}/token", login.url), "the id", "s3cr/t+&")
        .with_scope("read write")
        .with_parameter("audience", "a&b");
    Config::new(&registry.url)
        .with_retry_wait(MS, MS)
        .with_oauth(credentials)
        .with_logical_cluster("lsrc-1")
        .with_identity_pool("pool-2")
}

#[tokio::test]
async fn client_credentials_become_a_token() {
    let login = Server::start(|number, _| match number {
        0 => Reply::Body(503, "<html>busy</html>".to_owned()),
        _ => json(200, r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#),
    })
    .await;
    let registry = Server::start(|_, seen| {
        let header = |name: &str| seen.headers.get(name).map(String::as_str);
        if header("authorization") == Some("Bearer abc")
            && header("target-sr-cluster") == Some("lsrc-1")
            && header("confluent-identity-pool-id") == Some("pool-2")
        {
            schema()
        } else {
            refusal(401, 40101, "Unauthorized")
        }
    })
    .await;
    let client = Client::new(oauth(&registry, &login)).unwrap();
    for id in 1..4 {
        client.schema(SchemaId::new(id)).await.unwrap();
    }
    assert_eq!((login.count(), registry.count()), (2, 3));
    let asked = login.seen().pop().unwrap();
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/token"));
    assert_eq!(asked.body, "grant_type=client_credentials&scope=read%20write&audience=a%26b");
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    // the%20id:s3cr%2Ft%2B%26
    assert_eq!(asked.headers["authorization"], "Basic dGhlJTIwaWQ6czNjciUyRnQlMkIlMjY=");
    assert!(!asked.headers.contains_key("target-sr-cluster"));

    let in_body = ClientCredentials::new(&login.url, "id", "s").with_credentials_in_body();
    let client = Client::new(Config::new(&registry.url).with_retries(0).with_oauth(in_body));
    let _ = client.unwrap().schema(SchemaId::new(1)).await;
    let asked = login.seen().pop().unwrap();
    assert_eq!(asked.body, "grant_type=client_credentials&client_id=id&client_secret=s");
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_is_told_apart_from_the_registry() {
    let registry = Server::start(|_, _| schema()).await;
    for (status, body, kind) in [
        (
            400,
            r#"{"error":"invalid_client","error_description":"s3cr/t+& is wrong"}"#,
            ErrorKind::Unauthorized,
        ),
        (401, "<html>s3cr/t+&</html>", ErrorKind::Unauthorized),
        (404, "", ErrorKind::Refused),
        (500, "", ErrorKind::Server),
        (200, "<html>sign in</html>", ErrorKind::Response),
        (200, r#"{"access_token":"s3cr/t+&","expires_in":"soon"}"#, ErrorKind::Response),
        (200, r#"{"access_token":"a\r\nb"}"#, ErrorKind::Config),
    ] {
        let login = Server::start(move |_, _| json(status, body)).await;
        let client = Client::new(oauth(&registry, &login).with_retries(1)).unwrap();
        let error = client.schema(SchemaId::new(1)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}");
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains("s3cr") && !shown.contains("the id"), "{shown}");
        if kind != ErrorKind::Config {
            assert_eq!(error.url(), Some(&*format!("{}/token", login.url)));
            assert_eq!(error.status(), Some(status));
        }
        assert_eq!(login.count(), if kind == ErrorKind::Server { 2 } else { 1 });
    }
    assert_eq!(registry.count(), 0);
    let shown = format!("{:?}", ClientCredentials::new("http://h", "the id", "s3cr/t+&"));
    assert!(!shown.contains("the id") && !shown.contains("s3cr"), "{shown}");
    let bad = Config::new(&registry.url).with_oauth(ClientCredentials::new("h", "i", "s"));
    assert_eq!(Client::new(bad).unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn headers_of_ones_own_are_sent_and_checked() {
    let registry = Server::start(|_, _| schema()).await;
    let config = Config::new(&registry.url)
        .with_header("X-Registry-GroupId", "one")
        .with_header("x-registry-groupid", "two");
    Client::new(config).unwrap().schema(SchemaId::new(1)).await.unwrap();
    assert_eq!(registry.seen().pop().unwrap().headers["x-registry-groupid"], "two");
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("x", "a\r\nauthorization: b"),
        ("x", "é"),
        ("Authorization", "x"),
        ("Content-Length", "1"),
    ] {
        let config = Config::new(&registry.url).with_header(name, value);
        assert_eq!(Client::new(config).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
}

mod certificates {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

    /// An authority, and what it signs.
    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params, key), pem }
        }

        /// Certificate and key of `name`.
        fn sign(&self, name: &str) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
        }
    }

    /// A server with TLS that demands a certificate of `authority`.
    async fn serve(authority: &Authority) -> String {
        let (certificate, key) = authority.sign("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut socket) = acceptor.accept(socket).await else { return };
                    let mut head = [0; 4096];
                    let _ = socket.read(&mut head).await;
                    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 21\r\n\r\n{\"schema\":\"\\\"long\\\"\"}";
                    let _ = socket.write_all(answer).await;
                    let _ = socket.shutdown().await;
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn both_sides_show_theirs() {
        let (authority, other) = (Authority::new(), Authority::new());
        let url = serve(&authority).await;
        let pem = |authority: &Authority| {
            let (certificate, key) = authority.sign("client");
            format!("{certificate}{key}")
        };
        let config = || Config::new(&url).with_retries(0);
        let ask = async |config: Config| {
            let client = Client::new(config).unwrap();
            client.schema(SchemaId::new(1)).await.map(|schema| schema.schema().to_owned())
        };
        let trusting = || config().with_ca_certificates(authority.pem.as_bytes());
        let answer = ask(trusting().with_client_certificate(pem(&authority).as_bytes())).await;
        assert_eq!(answer.unwrap(), "\"long\"");
        for refused in [
            config().with_client_certificate(pem(&authority).as_bytes()),
            trusting(),
            trusting().with_client_certificate(pem(&other).as_bytes()),
            config().with_ca_certificates(other.pem.as_bytes()),
        ] {
            let shown = format!("{refused:?}");
            assert!(!shown.contains("PRIVATE KEY"), "{shown}");
            assert_eq!(ask(refused).await.unwrap_err().kind(), ErrorKind::Transport);
        }
    }

    #[test]
    fn texts_that_are_no_certificates_are_reported_at_once() {
        let config = || Config::new("https://h");
        let (certificate, _) = Authority::new().sign("x");
        for bad in [
            config().with_ca_certificates(b""),
            config().with_ca_certificates(
                b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            ),
            config().with_client_certificate(b"secret"),
            config().with_client_certificate(certificate.as_bytes()),
        ] {
            let error = Client::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
