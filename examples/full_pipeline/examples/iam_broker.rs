//! A broker that asks for IAM, and its judge, for checks by programs that are not Rust; see
//! `scripts/check-msk-signers`.
//!
//! Its account is the one of `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`,
//! its region that of `AWS_REGION`. The first line printed is JSON: addresses without and with TLS,
//! and the file of the certificate authority. Then each line of the input is answered by a line:
//! `sign` by a token of ours, `verify <token>` and `logins` by the judge. It ends with its input.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a check fails by panicking and reports by printing"
)]

use std::io::BufRead as _;

use embedded_services::broker::{Broker, Config};
use msk_iam_auth::{Credentials, Region, Signer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use verifier::Iam;

#[path = "../tests/iam/verifier.rs"]
mod verifier;

#[tokio::main]
async fn main() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region = variable("AWS_REGION").expect("AWS_REGION");
    let judge = Iam::new(&region, "localhost");
    let key = variable("AWS_ACCESS_KEY_ID").expect("AWS_ACCESS_KEY_ID");
    let secret = variable("AWS_SECRET_ACCESS_KEY").expect("AWS_SECRET_ACCESS_KEY");
    judge.allow(&key, &secret, variable("AWS_SESSION_TOKEN").as_deref(), "the account");

    let folder = tempfile::tempdir().unwrap();
    let config = |name: &str| {
        Config::new(&folder.path().join(name))
            .with_sasl(judge.clone())
            .with_auto_create_topics()
            .with_advertised("localhost", 0)
    };
    let (authority, certificate, private) = certificates();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let plain = Broker::start(config("plain")).await.unwrap();
    let tls = Broker::start(config("tls").with_tls(&certificate, &private)).await.unwrap();
    let places = serde_json::json!({
        "plain": plain.bootstrap(), "tls": tls.bootstrap(), "authority": file,
    });
    println!("{places}");

    let signer = Signer::new(Region::new(&region).unwrap());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("sign", _) => {
                let credentials = Credentials::from_env().unwrap();
                let token = signer.token(&credentials, std::time::SystemTime::now()).unwrap();
                println!("{}", token.as_str());
            }
            ("verify", token) => match judge.check_token(token) {
                Ok((key, _)) => println!("accepted {key}"),
                Err(why) => println!("refused {why}"),
            },
            ("logins", _) => {
                let verdicts = judge.verdicts();
                let accepted = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
                println!("accepted {accepted} refused {}", verdicts.len() - accepted);
            }
            (other, _) => println!("unknown {other}"),
        }
    }
}

/// PEM of an authority, of a certificate it signed for this machine, and of that one's key.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.distinguished_name.push(DnType::CommonName, "authority of a check");
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    (authority_pem, own.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}
