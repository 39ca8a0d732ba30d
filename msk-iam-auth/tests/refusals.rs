//! What is refused, and by which kind.
#![allow(clippy::unwrap_used, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use msk_iam_auth::{Claims, Credentials, Error, ErrorKind, Exchange, Region, Reply, Signer, Token};

fn signer() -> Signer {
    Signer::new(Region::new("us-east-1").unwrap())
}

#[test]
fn credentials_that_aws_never_gave_out() {
    for credentials in [
        Credentials::new("", "secret"),
        Credentials::new("id", ""),
        Credentials::new("id\n", "secret"),
        Credentials::new("id", "secret\r\n"),
        Credentials::new("id", "secret").with_session_token("token\0"),
    ] {
        let error = signer().token(&credentials, SystemTime::now()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidCredentials);
        assert!(!error.is_retryable());
    }
}

#[test]
fn environment() {
    let read = |pairs: &[(&str, &str)]| {
        Credentials::from_variables(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let id = ("AWS_ACCESS_KEY_ID", "id");
    let secret = ("AWS_SECRET_ACCESS_KEY", "s");
    assert_eq!(
        read(&[id]).unwrap_err().kind(),
        &ErrorKind::MissingCredentials("AWS_SECRET_ACCESS_KEY")
    );
    assert_eq!(
        read(&[("AWS_ACCESS_KEY_ID", ""), secret]).unwrap_err().kind(),
        &ErrorKind::MissingCredentials("AWS_ACCESS_KEY_ID")
    );
    let whole = read(&[id, secret, ("AWS_SESSION_TOKEN", "t")]).unwrap();
    let same = Credentials::new("id", "s").with_session_token("t");
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!(signer().token(&whole, now).unwrap(), signer().token(&same, now).unwrap());
    let without = read(&[id, secret, ("AWS_SESSION_TOKEN", "")]).unwrap();
    assert_ne!(signer().token(&whole, now).unwrap(), signer().token(&without, now).unwrap());
}

#[test]
fn hosts_lifetimes_and_clocks() {
    let credentials = Credentials::new("id", "secret");
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for host in ["", "a b", "a\nb", ":9098"] {
        let error = signer().sasl_payload(host, &credentials, now).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Host, "{host:?}");
        assert_eq!(signer().with_endpoint_host(host).is_err(), host != ":9098");
    }
    for seconds in [0, 604_801] {
        let error = signer().with_lifetime(Duration::from_secs(seconds)).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Lifetime);
    }
    for clock in [UNIX_EPOCH - Duration::from_secs(1), now + Duration::from_secs(1 << 40)] {
        assert_eq!(signer().token(&credentials, clock).unwrap_err().kind(), &ErrorKind::Clock);
    }
    let ancient = credentials.with_expires_at(UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(signer().token(&ancient, now).unwrap_err().kind(), &ErrorKind::CredentialsExpired);
}

#[test]
fn the_key_of_the_day_changes_with_everything_it_depends_on() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let used = signer();
    for (secret, days) in [("a", 0), ("b", 0), ("a", 0), ("a", 1), ("b", 1), ("a", 0)] {
        let credentials = Credentials::new("id", secret);
        let now = now + Duration::from_secs(86_400 * days);
        assert_eq!(
            used.token(&credentials, now).unwrap(),
            signer().token(&credentials, now).unwrap()
        );
    }
}

#[test]
fn replies() {
    let offset = |bytes: &[u8]| Reply::decode(bytes).unwrap_err().offset();
    assert_eq!(Reply::decode(b"").unwrap_err().kind(), &ErrorKind::EmptyReply);
    assert_eq!(Reply::decode(b"{}").unwrap_err().kind(), &ErrorKind::ReplyVersion);
    assert_eq!(offset(b"[]"), Some(0));
    assert_eq!(offset(b"{\"a\""), Some(4));
    assert_eq!(offset(b"{} x"), Some(3));
    assert!(offset(&b"{\"a\":".repeat(100_000)).is_some());
    assert!(offset(&[b"{\"a\":", &b"[".repeat(1 << 20)[..]].concat()).is_some());
    for junk in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\\ud800\"}", b"{\"a\":\"\n\"}", b"{,}"] {
        assert!(Reply::decode(junk).is_err());
    }
    let rich =
        br#"{"x":[1,-2.5e3,{"y":[]},true,false,null,"\ud83d\ude00"],"version":"2020_10_22"}"#;
    assert_eq!(Reply::decode(rich).unwrap().request_id(), None);
    for cut in 0..rich.len() {
        assert!(Reply::decode(&rich[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn an_exchange_goes_one_way_only() {
    let begun = || {
        let mut exchange = Exchange::new(b"hush".to_vec());
        assert_eq!(exchange.evaluate(b"").unwrap().as_deref(), Some(&b"hush"[..]));
        exchange
    };
    let out_of_order = |exchange: &mut Exchange| {
        for challenge in [&b""[..], b"{}", br#"{"version":"2020_10_22"}"#] {
            assert_eq!(exchange.evaluate(challenge).unwrap_err().kind(), &ErrorKind::OutOfOrder);
            assert!(!exchange.is_complete());
        }
    };
    let mut exchange = begun();
    assert_eq!(exchange.evaluate(br#"{"version":"2020_10_22","request-id":"r"}"#).unwrap(), None);
    assert_eq!(exchange.reply().and_then(Reply::request_id), Some("r"));
    out_of_order(&mut exchange);

    let mut refused = begun();
    assert_eq!(refused.evaluate(b"").unwrap_err().kind(), &ErrorKind::EmptyReply);
    assert_eq!(refused.reply(), None);
    out_of_order(&mut refused);

    let mut broker_first = Exchange::new(b"hush".to_vec());
    assert!(!format!("{broker_first:?}").contains("hush"));
    assert_eq!(broker_first.evaluate(b"hi").unwrap_err().kind(), &ErrorKind::OutOfOrder);
    out_of_order(&mut broker_first);
}

#[test]
fn tokens_that_are_none() {
    let kind = |url: &str| Claims::decode(&URL_SAFE_NO_PAD.encode(url)).unwrap_err().kind().clone();
    for token in ["", "!", "aGk", "aGk=", "h\u{e9}"] {
        assert_eq!(Claims::decode(token).unwrap_err().kind(), &ErrorKind::TokenSyntax, "{token}");
    }
    assert_eq!(kind("http://h/?a=b"), ErrorKind::TokenSyntax);
    assert_eq!(kind("https:///?a=b"), ErrorKind::TokenSyntax);
    assert_eq!(kind("https://h/?a=%4"), ErrorKind::TokenSyntax);
    assert_eq!(kind("https://h/?a=b"), ErrorKind::TokenParameter("X-Amz-Credential"));

    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let credentials = Credentials::new("id", "secret").with_session_token("t/+");
    let token = signer().token(&credentials, now).unwrap();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.as_str()).unwrap()).unwrap();
    let claims = Claims::decode(token.as_str()).unwrap();
    assert_eq!((claims.access_key_id(), claims.region()), ("id", "us-east-1"));
    assert!(claims.has_session_token());
    assert_eq!(claims.user_agent(), Some(signer().user_agent()));
    for (from, to, name) in [
        ("aws4_request", "aws5_request", "X-Amz-Credential"),
        ("us-east-1%2F", "us-east-1", "X-Amz-Credential"),
        ("Expires=900", "Expires=0", "X-Amz-Expires"),
        ("Expires=900", "Expires=-5", "X-Amz-Expires"),
        ("Expires=900", "Expires=123.4", "X-Amz-Expires"),
        ("Expires=900", "Expires=18446744073709551615", "X-Amz-Expires"),
        ("20231114T", "20231144T", "X-Amz-Date"),
        ("Date=20231114T221320Z", "Date=20231115T221320Z", "X-Amz-Date"),
        ("X-Amz-Signature=", "X-Amz-Other=", "X-Amz-Signature"),
        ("X-Amz-Date", "X-Amz-Expires", "X-Amz-Expires"),
    ] {
        assert!(url.contains(from), "{from}");
        assert_eq!(kind(&url.replace(from, to)), ErrorKind::TokenParameter(name), "{from} {to}");
    }
}

#[test]
fn public_types_can_cross_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Credentials>();
    check::<Signer>();
    check::<Token>();
    check::<Region>();
    check::<Reply>();
    check::<Exchange>();
    check::<Claims>();
    check::<Error>();
    #[cfg(feature = "tokio")]
    check::<msk_iam_auth::TokenProvider>();
}
