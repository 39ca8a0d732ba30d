//! Where to connect to and as whom: sockets, several hosts, client certificates, passwords that
//! are made when wanted.
#![cfg(feature = "tokio")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::client::{
    Client, Config, ErrorKind, SlotOptions, SslMode, StreamOptions, TargetSessionAttrs,
};
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::task::spawn_blocking;

async fn start(config: ServerConfig) -> Postgres {
    spawn_blocking(|| Postgres::start(config).unwrap()).await.unwrap()
}

fn config(server: &Postgres) -> Config {
    Config::parse(&server.url("postgres")).unwrap()
}

async fn ask(config: &Config, sql: &str) -> String {
    let mut client = Client::connect(config).await.unwrap();
    client.query(sql).await.unwrap()[0].get(0).unwrap_or("").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_socket() {
    let folder = env::temp_dir().join(format!("pgout-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    // The server may run as somebody else.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.to_str().unwrap();
    let server = start(ServerConfig::new().with_setting("unix_socket_directories", path)).await;
    // The host's name says so, and TLS is no matter there.
    let url = format!(
        "postgresql://postgres@{}:{}/postgres?sslmode=require",
        path.replace('/', "%2F"),
        server.port()
    );
    let config = Config::parse(&url).unwrap();
    assert_eq!(ask(&config, "SELECT coalesce(host(inet_client_addr()), 'socket')").await, "socket");
    let mut client = Client::connect_replication(&config).await.unwrap();
    client.create_slot("s", &SlotOptions::new()).await.unwrap();
    let mut sql = Client::connect(&config).await.unwrap();
    sql.execute("CREATE TABLE t (v int); CREATE PUBLICATION p FOR TABLE t").await.unwrap();
    let mut stream = client.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    sql.execute("INSERT INTO t SELECT generate_series(1, 50000)").await.unwrap();
    let mut rows = 0;
    while rows < 50_000 {
        let batch = stream.next().await.unwrap().unwrap();
        rows += batch.frames().filter(|frame| frame.get(25) == Some(&b'I')).count();
    }
    stream.stop().await.unwrap();
    drop(sql);
    spawn_blocking(move || server.stop().unwrap()).await.unwrap();
    let error = Client::connect(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.message().contains(".s.PGSQL."), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_hosts_that_will_do() {
    let primary = start(ServerConfig::new()).await;
    let mut standby = start(ServerConfig::new()).await;
    fs::write(standby.data_dir().join("standby.signal"), "").unwrap();
    let standby = spawn_blocking(move || {
        standby.restart().unwrap();
        standby
    })
    .await
    .unwrap();
    let gone = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let (p, s) = (primary.port(), standby.port());
    let all = Config::new("127.0.0.1").with_port(gone);
    let (to_p, to_s) = ("127.0.0.1", "127.0.0.1");
    let s_first = all.clone().with_other_host(to_s, s).with_other_host(to_p, p);
    let p_first = all.clone().with_other_host(to_p, p).with_other_host(to_s, s);
    let port = "SELECT current_setting('port')";
    for (config, target, expected) in [
        (&s_first, TargetSessionAttrs::Any, s),
        (&p_first, TargetSessionAttrs::Any, p),
        (&s_first, TargetSessionAttrs::ReadWrite, p),
        (&s_first, TargetSessionAttrs::Primary, p),
        (&p_first, TargetSessionAttrs::ReadOnly, s),
        (&p_first, TargetSessionAttrs::Standby, s),
        (&p_first, TargetSessionAttrs::PreferStandby, s),
    ] {
        let config = config.clone().with_target_session_attrs(target);
        assert_eq!(ask(&config, port).await, expected.to_string(), "{target:?}");
    }
    // None of them will do, and one that has to.
    let only = |target| all.clone().with_other_host(to_p, p).with_target_session_attrs(target);
    let error = Client::connect(&only(TargetSessionAttrs::Standby)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.is_retryable() && error.message().contains("target_session_attrs"), "{error}");
    let prefer = only(TargetSessionAttrs::PreferStandby);
    assert_eq!(ask(&prefer, port).await, p.to_string());
    // A primary whose transactions are read-only takes no writes.
    let mut sql = Client::connect(&config(&primary)).await.unwrap();
    sql.execute("ALTER DATABASE postgres SET default_transaction_read_only = on").await.unwrap();
    Client::connect(&only(TargetSessionAttrs::ReadWrite)).await.unwrap_err();
    assert_eq!(ask(&only(TargetSessionAttrs::ReadOnly), port).await, p.to_string());
    assert_eq!(ask(&only(TargetSessionAttrs::Primary), port).await, p.to_string());
    // Who is not let in by one is not to be let in by the next.
    let stranger = s_first.with_user("stranger");
    let error = Client::connect(&stranger).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates() {
    let server = start(ServerConfig::new().with_ssl()).await;
    let data = server.data_dir().to_owned();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority of clients");
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "certified");
    let client_key = KeyPair::generate().unwrap();
    let client_pem = client.signed_by(&client_key, &issuer).unwrap().pem();

    let own = env::temp_dir().join(format!("pgoutput-cert-{}", process::id()));
    fs::create_dir_all(&own).unwrap();
    let (cert, key) = (own.join("client.crt"), own.join("client.key"));
    fs::write(&cert, client_pem).unwrap();
    fs::write(&key, client_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let ca = data.join("clients.crt");
    fs::write(&ca, authority_pem).unwrap();
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o644)).unwrap();

    let admin = config(&server);
    let mut sql = Client::connect(&admin).await.unwrap();
    sql.execute("CREATE ROLE certified LOGIN").await.unwrap();
    sql.execute("ALTER SYSTEM SET ssl_ca_file = 'clients.crt'").await.unwrap();
    let rules = "hostssl all certified all cert\nhost all postgres all trust\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
    sql.execute("SELECT pg_reload_conf()").await.unwrap();
    let verified = admin
        .with_user("certified")
        .with_database("postgres")
        .with_ssl_mode(SslMode::VerifyFull)
        .with_ssl_root_cert(server.ca_path().unwrap());
    let certified = verified.clone().with_ssl_client_cert(&cert, &key);
    let end = Instant::now() + Duration::from_secs(30);
    // The postmaster rereads its files when it gets to it.
    while let Err(error) = Client::connect(&certified).await {
        assert!(Instant::now() < end, "{error} {:?}", std::error::Error::source(&error));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let dn = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(ask(&certified, dn).await, "/CN=certified");
    let error = Client::connect(&verified).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Client::connect(&certified).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.message().contains("read by others"), "{error}");
    fs::remove_dir_all(&own).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_made_when_wanted() {
    let server = start(ServerConfig::new().with_password("first")).await;
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let port = server.port();
    let base = Config::new("127.0.0.1").with_port(port).with_password("wrong");
    let config = base.clone().with_password_source(move |login| {
        let counter = Arc::clone(&counter);
        async move {
            tokio::task::yield_now().await;
            assert_eq!((login.port, login.user.as_str()), (port, "postgres"));
            let calls = counter.fetch_add(1, Ordering::SeqCst);
            Ok(if calls == 0 { "first".to_owned() } else { "second".to_owned() })
        }
    });
    let mut client = Client::connect(&config).await.unwrap();
    client.execute("ALTER ROLE postgres PASSWORD 'second'").await.unwrap();
    Client::connect(&config).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert!(!format!("{config:?}").contains("second"));

    let failing = base.with_password_source(|_| async { Err("no token today".into()) });
    let error = Client::connect(&failing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no token today");
}
