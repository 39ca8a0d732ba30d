//! What is refused, and by which kind.
#![allow(clippy::unwrap_used, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use msk_iam_auth::{Credentials, Error, ErrorKind, Region, Reply, Signer, Token};

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
fn public_types_can_cross_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Credentials>();
    check::<Signer>();
    check::<Token>();
    check::<Region>();
    check::<Reply>();
    check::<Error>();
    #[cfg(feature = "tokio")]
    check::<msk_iam_auth::TokenProvider>();
}
