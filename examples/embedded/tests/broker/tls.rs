//! The broker behind TLS.

use std::time::Duration;

use embedded_services::broker::{Broker, Config, ErrorKind, Plain};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::FutureRecord;

use crate::client::{DEADLINE, stand_with, text};

/// PEM of an authority, of a certificate it signed for this machine, and of that one's key.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    // The same name on both would look like a certificate that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let own = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    (authority_pem, own.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_goes_through_tls() {
    let (authority, certificate, key) = certificates();
    let plain = Plain::new().with_user("ann", "secret");
    let mut stand = stand_with(|config| config.with_tls(&certificate, &key).with_sasl(plain)).await;
    stand.settings = vec![
        ("security.protocol", "SASL_SSL".to_owned()),
        ("ssl.ca.pem", authority),
        ("sasl.mechanism", "PLAIN".to_owned()),
        ("sasl.username", "ann".to_owned()),
        ("sasl.password", "secret".to_owned()),
    ];
    stand.topic("t", 1).await;
    let producer = stand.producer();
    // Larger than one TLS record.
    let value = "x".repeat(100_000);
    let record = FutureRecord::<(), _>::to("t").payload(&value);
    producer.send(record, DEADLINE).await.unwrap();
    assert_eq!(text(&stand.read_all("t", 1, 1)[0]), value);

    // Neither a client without TLS nor one that trusts someone else gets through.
    let (stranger, ..) = certificates();
    stand.settings[1].1 = stranger;
    let wait = Duration::from_secs(2);
    let wary: BaseConsumer = stand.client().create().unwrap();
    assert!(wary.fetch_metadata(None, wait).is_err());
    stand.settings = vec![];
    let bare: BaseConsumer = stand.client().create().unwrap();
    assert!(bare.fetch_metadata(None, wait).is_err());
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_at_start() {
    let (_, certificate, _) = certificates();
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path()).with_tls(&certificate, "no key");
    assert_eq!(Broker::start(config).await.unwrap_err().kind(), ErrorKind::Certificate);
}
