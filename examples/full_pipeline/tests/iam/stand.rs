//! A broker with a judge, and a gate before it that counts who comes.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use embedded_services::broker::{Broker, Config};
use full_pipeline::iam::{Login, LoginContext};
use msk_iam_auth::{Credentials, Error, ProvideCredentials, Region, Signer, TokenProvider};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::{KEY, PRINCIPAL, REGION, SECRET, verifier::Iam};

/// Whether connections are encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Plain,
    Tls,
}

pub struct Stand {
    pub judge: Iam,
    pub address: String,
    /// PEM of who signed the broker's certificate.
    pub authority: Option<String>,
    /// When connections came in.
    pub arrivals: Arc<Mutex<Vec<Instant>>>,
    _broker: Broker,
    _folder: tempfile::TempDir,
}

impl Stand {
    pub async fn start(wire: Wire, session: Option<Duration>) -> Self {
        let mut judge = Iam::new(REGION, "127.0.0.1");
        if let Some(session) = session {
            judge = judge.with_session(session);
        }
        judge.allow(KEY, SECRET, None, PRINCIPAL);
        let folder = tempfile::tempdir().unwrap();
        let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = gate.local_addr().unwrap();
        let mut config = Config::new(folder.path())
            .with_sasl(judge.clone())
            .with_auto_create_topics()
            .with_advertised("127.0.0.1", address.port());
        let authority = (wire == Wire::Tls).then(|| {
            let (authority, certificate, key) = certificates();
            config = config.clone().with_tls(&certificate, &key);
            authority
        });
        let broker = Broker::start(config).await.unwrap();
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (log, behind) = (Arc::clone(&arrivals), broker.address());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = gate.accept().await {
                log.lock().unwrap().push(Instant::now());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(behind).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        let address = address.to_string();
        Self { judge, address, authority, arrivals, _broker: broker, _folder: folder }
    }

    /// A client of rdkafka that logs in through the program's own bridge. Its first token is there.
    pub fn client(&self, provider: &TokenProvider) -> BaseConsumer<LoginContext> {
        let login = Login::with_provider(provider.clone());
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.address)
            .set("topic.metadata.refresh.interval.ms", "1000");
        match &self.authority {
            Some(pem) => config.set("security.protocol", "SASL_SSL").set("ssl.ca.pem", pem),
            None => config.set("security.protocol", "SASL_PLAINTEXT"),
        };
        login.configure(&mut config);
        let client =
            BaseConsumer::from_config_and_context(&config, LoginContext::new(login)).unwrap();
        client.poll(Duration::ZERO);
        client
    }

    /// Why the last login was refused.
    pub fn refusal(&self) -> Option<String> {
        self.judge.verdicts().into_iter().rev().find_map(Result::err)
    }

    pub fn accepted(&self) -> usize {
        self.judge.verdicts().iter().filter(|verdict| verdict.is_ok()).count()
    }

    pub fn connections(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }
}

/// Whether the broker answers the client, who may need a moment for it.
pub fn is_served(client: &BaseConsumer<LoginContext>, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        client.poll(Duration::ZERO);
        if client.fetch_metadata(None, limit.min(Duration::from_millis(500))).is_ok() {
            return true;
        }
    }
    false
}

/// Gives out the credentials it was told last, and counts how often it is asked.
#[derive(Debug)]
pub struct Source {
    credentials: Mutex<Credentials>,
    asked: Mutex<usize>,
}

impl Source {
    pub fn new(credentials: Credentials) -> Arc<Self> {
        Arc::new(Self { credentials: Mutex::new(credentials), asked: Mutex::default() })
    }

    pub fn set(&self, credentials: Credentials) {
        *self.credentials.lock().unwrap() = credentials;
    }

    pub fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

#[async_trait]
impl ProvideCredentials for Source {
    async fn credentials(&self) -> Result<Credentials, Error> {
        *self.asked.lock().unwrap() += 1;
        Ok(self.credentials.lock().unwrap().clone())
    }
}

pub fn signer() -> Signer {
    Signer::new(Region::new(REGION).unwrap())
}

pub fn good() -> Credentials {
    Credentials::new(KEY, SECRET)
}

/// A provider that has loaded already.
pub async fn provider(signer: Signer, source: Arc<dyn ProvideCredentials>) -> TokenProvider {
    let provider = TokenProvider::new(signer, source);
    provider.token().await.unwrap();
    provider
}

/// PEM of an authority, of a certificate it signed for this machine, and of that one's key.
pub fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let own = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    (authority_pem, own.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}
