//! Roles assumed at a fake STS.

use std::fs;
use std::sync::Arc;

use msk_iam_auth::{
    AssumeRole, Credentials, ErrorKind, ProvideCredentials as _, Region, Signer, TokenProvider,
};

use crate::fake::{Answer, Fake, Request};
use crate::{CLIENTS, child, iso};

/// Answers like STS; the key says which role it is of, and at which call it was made.
fn sts(first: u64) -> impl Fn(&Request) -> Answer {
    move |request| {
        let action = request.field("Action").unwrap_or_default();
        let role = request.field("RoleArn").unwrap_or_default();
        let name = role.rsplit('/').next().unwrap_or_default().to_uppercase();
        let seconds = if request.number == 0 { first } else { 3_600 };
        (
            200,
            format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <{action}Result><Credentials><AccessKeyId>{name}{}</AccessKeyId>\
                 <SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken>\
                 <Expiration>{}</Expiration></Credentials><AssumedRoleUser>\
                 <AssumedRoleId>A:s</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>\
                 </AssumedRoleUser></{action}Result></{action}Response>",
                request.number,
                iso(seconds),
            ),
        )
    }
}

#[test]
fn web_identity_has_a_fixed_session_name_through_a_refresh() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    fs::write(&file, "a.b.c").unwrap();
    let variables = |fake: &Fake| {
        [
            ("AWS_ENDPOINT_URL_STS", fake.url()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap().to_owned()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/web".to_owned()),
            ("CHANGES", "1".to_owned()),
        ]
    };
    for (more, expected) in [
        (None, "msk-iam-auth"),
        (Some(("AWS_ROLE_SESSION_NAME", "by-environment")), "by-environment"),
        (Some(("SESSION_NAME", "by-program")), "by-program"),
    ] {
        let fake = Fake::start(sts(4));
        let own = variables(&fake);
        let mut all: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
        all.extend(more);
        let outcome = child(home.path(), &all);
        assert_eq!(outcome.keys, ["WEB0", "WEB1"], "{outcome:?}");
        let requests = fake.requests();
        assert_eq!(requests.len(), 2, "one call for {CLIENTS} clients, and one refresh");
        for request in requests {
            assert_eq!(request.field("Action").unwrap(), "AssumeRoleWithWebIdentity");
            assert_eq!(request.field("RoleSessionName").unwrap(), expected);
            assert_eq!(request.field("WebIdentityToken").unwrap(), "a.b.c");
        }
    }
    let fake = Fake::start(sts(4));
    let own = variables(&fake);
    let mut all: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    all.push(("AWS_ROLE_SESSION_NAME", "no spaces"));
    let outcome = child(home.path(), &all);
    assert!(outcome.error.starts_with("SessionName"), "{outcome:?}");
    assert!(fake.requests().is_empty());
}

#[test]
fn roles_of_profiles_have_fixed_session_names_too() {
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join(".aws");
    fs::create_dir(&aws).unwrap();
    fs::write(
        aws.join("credentials"),
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = hush\n",
    )
    .unwrap();
    fs::write(
        aws.join("config"),
        "[profile hub]\nrole_arn = arn:aws:iam::1:role/hub\nsource_profile = base\n\
         role_session_name = of-the-file\n\
         [profile leaf]\nrole_arn = arn:aws:iam::2:role/leaf\nsource_profile = hub\n\
         external_id = partner\n",
    )
    .unwrap();
    let fake = Fake::start(sts(3_600));
    let outcome =
        child(home.path(), &[("AWS_PROFILE", "leaf"), ("AWS_ENDPOINT_URL_STS", &fake.url())]);
    assert_eq!(outcome.keys, ["LEAF1"], "{outcome:?}");
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    let names: Vec<_> = requests.iter().map(|r| r.field("RoleSessionName").unwrap()).collect();
    assert_eq!(names, ["of-the-file", "msk-iam-auth"]);
    assert_eq!(requests[0].signed_by(), "BASE");
    assert_eq!(requests[1].signed_by(), "HUB0");
    assert_eq!(requests[1].field("ExternalId").unwrap(), "partner");
}

fn region() -> Region {
    Region::new("eu-west-1").unwrap()
}

#[tokio::test]
async fn roles_are_chained_on_any_source() {
    let fake = Fake::start(sts(3_600));
    let base = Arc::new(Credentials::new("ROOT", "hush"));
    let hub =
        AssumeRole::new(base, "arn:aws:iam::1:role/hub", region()).with_sts_endpoint(&fake.url());
    let leaf = AssumeRole::new(Arc::new(hub), "arn:aws:iam::2:role/leaf", region())
        .with_sts_endpoint(&fake.url())
        .with_session_name("orders")
        .unwrap()
        .with_external_id("partner");
    let debug = format!("{leaf:?}");
    assert!(!debug.contains("hush"), "{debug}");
    let provider = TokenProvider::new(Signer::new(region()), Arc::new(leaf));
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { provider.token().await })
        })
        .collect();
    for task in tasks {
        assert_eq!(crate::key_of(&task.await.unwrap().unwrap()), "LEAF1");
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 2, "one call a role, for {CLIENTS} clients");
    assert_eq!(requests[0].signed_by(), "ROOT");
    assert_eq!(requests[0].field("RoleSessionName").unwrap(), "msk-iam-auth");
    assert_eq!(requests[0].field("ExternalId"), None);
    assert_eq!(requests[1].signed_by(), "HUB0");
    assert_eq!(requests[1].field("RoleSessionName").unwrap(), "orders");
    assert_eq!(requests[1].field("ExternalId").unwrap(), "partner");
    let scope = &requests[1].headers["authorization"];
    assert!(scope.contains("/eu-west-1/sts/aws4_request"), "{scope}");
}

#[tokio::test]
async fn a_refused_role_is_an_error_with_the_reason_of_sts() {
    let fake = Fake::start(|_| {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                    <Message>not you</Message></Error></ErrorResponse>";
        (403, body.to_owned())
    });
    let base = Arc::new(Credentials::new("ROOT", "hush"));
    let role =
        AssumeRole::new(base, "arn:aws:iam::1:role/hub", region()).with_sts_endpoint(&fake.url());
    let error = role.credentials().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Provider);
    assert!(!error.is_retryable());
    let mut causes = String::new();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        causes.push_str(&format!("{error}: {error:?}"));
        cause = error.source();
    }
    assert!(causes.contains("AccessDenied") && !causes.contains("hush"), "{causes}");
    assert_eq!(fake.requests().len(), 1, "no is no");

    // A base that has nothing: its own error is among the causes.
    let missing = AssumeRole::new(Arc::new(Nothing), "arn:aws:iam::1:role/hub", region())
        .with_sts_endpoint(&fake.url());
    assert_eq!(missing.credentials().await.unwrap_err().kind(), &ErrorKind::Provider);
    assert!(AssumeRole::new(Arc::new(Nothing), "r", region()).with_session_name("x").is_err());
}

#[derive(Debug)]
struct Nothing;

#[async_trait::async_trait]
impl msk_iam_auth::ProvideCredentials for Nothing {
    async fn credentials(&self) -> Result<Credentials, msk_iam_auth::Error> {
        Err(ErrorKind::MissingCredentials("a key").into())
    }
}
