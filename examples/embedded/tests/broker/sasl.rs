//! Who may come in, and in which order one has to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use embedded_services::broker::{Config, Login, Plain, Rejected, Verifier, bearer_token};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;

use crate::client::{DEADLINE, Stand, stand_with, text, until};
use crate::raw::Raw;

/// Lets one token in and counts how often it comes.
#[derive(Debug)]
struct Tokens {
    expected: &'static str,
    lifetime: Duration,
    logins: Arc<AtomicUsize>,
}

impl Verifier for Tokens {
    fn mechanisms(&self) -> Vec<String> {
        vec!["OAUTHBEARER".to_owned()]
    }

    fn verify(&self, mechanism: &str, message: &[u8]) -> Result<Login, Rejected> {
        assert_eq!(mechanism, "OAUTHBEARER");
        if bearer_token(message) != Some(self.expected) {
            return Err(Rejected::new("wrong token"));
        }
        self.logins.fetch_add(1, Ordering::Relaxed);
        Ok(Login::new("someone").with_session_lifetime(self.lifetime))
    }
}

/// A client that always has the same token.
struct Bearer(&'static str);

impl ClientContext for Bearer {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let lifetime_ms = i64::try_from(now.as_millis())? + 3_600_000;
        Ok(OAuthToken { token: self.0.into(), principal_name: "someone".into(), lifetime_ms })
    }
}

impl rdkafka::consumer::ConsumerContext for Bearer {}

fn bearer(stand: &Stand, token: &'static str) -> BaseConsumer<Bearer> {
    let mut config = stand.client();
    config.set("security.protocol", "SASL_PLAINTEXT").set("sasl.mechanism", "OAUTHBEARER");
    BaseConsumer::from_config_and_context(&config, Bearer(token)).unwrap()
}

/// Polls until the client tells of an error, and returns it.
async fn error_of<C: rdkafka::consumer::ConsumerContext>(consumer: &BaseConsumer<C>) -> KafkaError {
    consumer.subscribe(&["t"]).ok();
    let mut seen = None;
    until("an error", || {
        seen = consumer.poll(Duration::from_millis(50)).and_then(Result::err);
        let all_down = RDKafkaErrorCode::AllBrokersDown;
        seen.as_ref().is_some_and(|error| error.rdkafka_error_code() != Some(all_down))
    })
    .await;
    seen.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_opens_and_has_to_be_shown_again_when_the_session_ends() {
    let logins = Arc::new(AtomicUsize::new(0));
    let lifetime = Duration::from_secs(2);
    let verifier = Tokens { expected: "good", lifetime, logins: Arc::clone(&logins) };
    let stand = stand_with(|config| config.with_auto_create_topics().with_sasl(verifier)).await;
    let good = bearer(&stand, "good");
    // The token is fetched while polling.
    good.poll(Duration::ZERO);
    good.fetch_metadata(None, DEADLINE).unwrap();
    let before = logins.load(Ordering::Relaxed);
    until("the client comes again by itself", || {
        good.poll(Duration::from_millis(50));
        good.fetch_metadata(None, DEADLINE).unwrap();
        logins.load(Ordering::Relaxed) >= before + 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused() {
    let verifier = Tokens { expected: "good", lifetime: DEADLINE, logins: Arc::default() };
    let stand = stand_with(|config| config.with_sasl(verifier)).await;
    let mut config = stand.client();
    config.set("group.id", "g").set("security.protocol", "SASL_PLAINTEXT");
    config.set("sasl.mechanism", "OAUTHBEARER");
    let bad = BaseConsumer::from_config_and_context(&config, Bearer("bad")).unwrap();
    let error = error_of(&bad).await;
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Authentication), "{error}");
}

fn as_user(stand: &mut Stand, password: &str) {
    stand.settings = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "ann"),
        ("sasl.password", password),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .to_vec();
}

async fn plain() -> Stand {
    stand_with(|config: Config| config.with_sasl(Plain::new().with_user("ann", "secret"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_opens_and_the_wrong_one_does_not() {
    let mut stand = plain().await;
    as_user(&mut stand, "secret");
    stand.topic("t", 1).await;
    let record = FutureRecord::<(), _>::to("t").payload("x");
    stand.producer().send(record, DEADLINE).await.unwrap();
    assert_eq!(text(&stand.read_all("t", 1, 1)[0]), "x");

    as_user(&mut stand, "guess");
    let bad: BaseConsumer = stand.client().set("group.id", "g").create().unwrap();
    let error = error_of(&bad).await;
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Authentication), "{error}");
}

fn handshake(raw: &mut Raw, mechanism: &'static str, version: i16) -> i16 {
    let mechanism = StrBytes::from_static_str(mechanism);
    raw.call(&SaslHandshakeRequest::default().with_mechanism(mechanism), version).error_code
}

fn authenticate(raw: &mut Raw, message: &'static [u8]) -> i16 {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(message));
    raw.call(&request, 1).error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_before_authentication_but_what_leads_to_it() {
    let stand = plain().await;
    let mut raw = Raw::connect(&stand);
    assert_eq!(raw.call(&ApiVersionsRequest::default(), 3).error_code, 0);
    raw.send(&MetadataRequest::default(), 9);
    assert!(raw.is_closed());

    // Not between the two steps either.
    let mut raw = Raw::connect(&stand);
    assert_eq!(handshake(&mut raw, "PLAIN", 1), 0);
    raw.send(&MetadataRequest::default(), 9);
    assert!(raw.is_closed());

    let mut raw = Raw::connect(&stand);
    assert_eq!(handshake(&mut raw, "PLAIN", 1), 0);
    assert_eq!(authenticate(&mut raw, b"\0ann\0secret"), 0);
    assert_eq!(raw.call(&MetadataRequest::default(), 9).brokers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_order_and_the_wrong_mechanism_are_told_and_end_the_connection() {
    let stand = plain().await;
    let mut raw = Raw::connect(&stand);
    let out_of_order = ResponseError::IllegalSaslState.code();
    assert_eq!(authenticate(&mut raw, b"\0ann\0secret"), out_of_order);
    assert!(raw.is_closed());

    let mut raw = Raw::connect(&stand);
    let unknown = ResponseError::UnsupportedSaslMechanism.code();
    assert_eq!(handshake(&mut raw, "GSSAPI", 1), unknown);
    assert!(raw.is_closed());

    let mut raw = Raw::connect(&stand);
    assert_eq!(handshake(&mut raw, "PLAIN", 1), 0);
    let failed = ResponseError::SaslAuthenticationFailed.code();
    assert_eq!(authenticate(&mut raw, b"\0ann\0wrong"), failed);
    assert!(raw.is_closed());

    // A broker that asks for nothing says so.
    let open = stand_with(|config| config).await;
    assert_eq!(handshake(&mut Raw::connect(&open), "PLAIN", 1), out_of_order);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_handshake_is_followed_by_a_bare_message() {
    use std::io::Write as _;
    let stand = plain().await;
    for (message, is_good) in [(&b"\0ann\0secret"[..], true), (b"\0ann\0wrong", false)] {
        let mut raw = Raw::connect(&stand);
        assert_eq!(handshake(&mut raw, "PLAIN", 0), 0);
        let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(message);
        raw.stream.write_all(&frame).unwrap();
        if is_good {
            assert_eq!(raw.frame().as_deref(), Some(&b""[..]));
            assert_eq!(raw.call(&MetadataRequest::default(), 9).brokers.len(), 1);
        } else {
            assert!(raw.is_closed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_ends_the_connection() {
    #[derive(Debug)]
    struct Short;
    impl Verifier for Short {
        fn mechanisms(&self) -> Vec<String> {
            vec!["X".to_owned()]
        }
        fn verify(&self, _: &str, message: &[u8]) -> Result<Login, Rejected> {
            let login = Login::new(std::str::from_utf8(message).unwrap());
            Ok(login.with_session_lifetime(Duration::from_millis(300)).with_reply(b"hello"))
        }
    }
    let stand = stand_with(|config| config.with_sasl(Short)).await;
    let mut raw = Raw::connect(&stand);
    assert_eq!(handshake(&mut raw, "X", 1), 0);
    let message = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"ann"));
    let reply = raw.call(&message, 1);
    assert_eq!((reply.session_lifetime_ms, &reply.auth_bytes[..]), (300, &b"hello"[..]));
    assert_eq!(raw.call(&MetadataRequest::default(), 9).brokers.len(), 1);
    tokio::time::sleep(Duration::from_millis(400)).await;
    // The way back in is open, but only for the same principal.
    assert_eq!(handshake(&mut raw, "X", 1), 0);
    assert_eq!(authenticate(&mut raw, b"ann"), 0);
    assert_eq!(raw.call(&MetadataRequest::default(), 9).brokers.len(), 1);
    assert_eq!(handshake(&mut raw, "X", 1), 0);
    let failed = ResponseError::SaslAuthenticationFailed.code();
    assert_eq!(authenticate(&mut raw, b"bob"), failed);

    let mut raw = Raw::connect(&stand);
    assert_eq!(handshake(&mut raw, "X", 1), 0);
    assert_eq!(authenticate(&mut raw, b"ann"), 0);
    tokio::time::sleep(Duration::from_millis(400)).await;
    raw.send(&MetadataRequest::default(), 9);
    assert!(raw.is_closed());
}
