//! AWS_MSK_IAM, spoken by our own client over Kafka's protocol.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, SystemTime},
};

use msk_iam_auth::{Exchange, Reply, Signer};
use rustls::{
    ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    stand::{Stand, Wire, good, signer},
    support,
};

const METADATA: i16 = 3;
const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const REFUSED: i16 = 58;

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// A connection on which one request is answered after the other.
struct Connection(Box<dyn Both>);

impl Connection {
    fn open(stand: &Stand) -> Self {
        let stream = TcpStream::connect(&stand.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let Some(pem) = &stand.authority else { return Self(Box::new(stream)) };
        support::install_tls();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = "127.0.0.1".try_into().unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        Self(Box::new(StreamOwned::new(client, stream)))
    }

    /// Header version 1, whose answer has a header of nothing but the correlation.
    fn call(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut request = [key.to_be_bytes(), version.to_be_bytes()].concat();
        request.extend_from_slice(&7_i32.to_be_bytes());
        request.extend_from_slice(&(-1_i16).to_be_bytes());
        request.extend_from_slice(body);
        self.0.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())?;
        self.0.write_all(&request)?;
        self.0.flush()?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut answer)?;
        assert_eq!(answer[..4], 7_i32.to_be_bytes());
        Ok(answer.split_off(4))
    }

    /// The broker's error code and message, or its bytes and the lifetime of the session.
    fn log_in(&mut self, payload: Vec<u8>) -> Result<(Reply, i64), (i16, String)> {
        let handshake = self.call(HANDSHAKE, 1, &[&[0, 11], &b"AWS_MSK_IAM"[..]].concat()).unwrap();
        assert_eq!(handshake[..2], [0, 0]);
        let mut exchange = Exchange::new(payload);
        let message = exchange.evaluate(b"").unwrap().unwrap();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let answer = self.call(AUTHENTICATE, 1, &[&length[..], &message].concat()).unwrap();
        let code = i16::from_be_bytes(answer[..2].try_into().unwrap());
        let text = i16::from_be_bytes(answer[2..4].try_into().unwrap());
        let text = usize::try_from(text).unwrap_or(0);
        if code != 0 {
            return Err((code, String::from_utf8(answer[4..4 + text].to_vec()).unwrap()));
        }
        let rest = &answer[4 + text..];
        let length = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
        assert_eq!(exchange.evaluate(&rest[4..4 + length]).unwrap(), None);
        assert!(exchange.is_complete());
        let lifetime = i64::from_be_bytes(rest[4 + length..].try_into().unwrap());
        Ok((exchange.reply().unwrap().clone(), lifetime))
    }

    /// Whether the broker answers anything else.
    fn is_served(&mut self) -> bool {
        // No topics.
        self.call(METADATA, 1, &0_u32.to_be_bytes()).is_ok()
    }
}

fn payload(stand: &Stand, signer: &Signer) -> Vec<u8> {
    signer.sasl_payload(&stand.address, &good(), SystemTime::now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_is_let_in_and_stays_by_authenticating_again() {
    for wire in [Wire::Plain, Wire::Tls] {
        let stand = Stand::start(wire, Some(Duration::from_secs(4))).await;
        let mut connection = Connection::open(&stand);
        let (reply, lifetime) = connection.log_in(payload(&stand, &signer())).unwrap();
        assert_eq!((reply.request_id(), lifetime), (Some("7b2f0c7e"), 4_000));
        assert!(connection.is_served());
        std::thread::sleep(Duration::from_secs(3));
        connection.log_in(payload(&stand, &signer())).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        assert!(connection.is_served(), "beyond the first session");
        std::thread::sleep(Duration::from_secs(2));
        assert!(!connection.is_served(), "the second session is over");

        // Another principal may come, but not on a connection that is somebody else's.
        stand.judge.allow("AKIDOTHER", "other", None, "somebody else");
        let other = msk_iam_auth::Credentials::new("AKIDOTHER", "other");
        let other = || signer().sasl_payload("127.0.0.1", &other, SystemTime::now()).unwrap();
        let mut connection = Connection::open(&stand);
        connection.log_in(payload(&stand, &signer())).unwrap();
        let (code, text) = connection.log_in(other()).unwrap_err();
        assert!(code == REFUSED && text.contains("principal"), "{code} {text}");
        Connection::open(&stand).log_in(other()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_are_refused() {
    let stand = Stand::start(Wire::Plain, None).await;
    let now = SystemTime::now();
    let signed = |signer: &Signer, host: &str, credentials, ago: u64| {
        signer.sasl_payload(host, &credentials, now - Duration::from_secs(ago)).unwrap()
    };
    let virginia = Signer::new(msk_iam_auth::Region::new("us-east-1").unwrap());
    let guess = msk_iam_auth::Credentials::new(crate::KEY, "guess");
    let text = String::from_utf8(payload(&stand, &signer())).unwrap();
    for (why, message) in [
        ("wrong host", signed(&signer(), "b-2.example:9098", good(), 0)),
        ("expired", signed(&signer(), &stand.address, good(), 901)),
        ("wrong scope", signed(&virginia, &stand.address, good(), 0)),
        ("wrong signature", signed(&signer(), &stand.address, guess, 0)),
        ("wrong signature", text.replace("\"900\"", "\"899\"").into_bytes()),
        ("wrong version or no user agent", text.replace("2020_10_22", "2020_10_23").into_bytes()),
        ("no x-amz-date", text.replace("x-amz-date", "date").into_bytes()),
        ("11 fields instead of 10", text.replace("{", "{\"x\":\"\",").into_bytes()),
    ] {
        let mut connection = Connection::open(&stand);
        let (code, message) = connection.log_in(message).unwrap_err();
        assert_eq!(stand.refusal().as_deref(), Some(why));
        assert!(code == REFUSED && message.contains("Access denied"), "{code} {message}");
        assert!(!connection.is_served(), "{why}");
    }
    assert_eq!(stand.accepted(), 0);
}
