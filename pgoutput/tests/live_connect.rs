//! Connecting to a real server: login, TLS, and the ways in which it fails.
#![cfg(feature = "tokio")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, time::Duration};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column,
    client::{Client, Config, Error, ErrorKind, SslMode, quote_identifier, quote_literal},
    copy::CopyDecoder,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::spawn_blocking,
    time::timeout,
};

async fn start(config: ServerConfig) -> Postgres {
    spawn_blocking(|| Postgres::start(config).unwrap()).await.unwrap()
}

fn config(server: &Postgres) -> Config {
    Config::parse(&server.url("postgres")).unwrap()
}

async fn refused(config: &Config) -> Error {
    Client::connect(config).await.unwrap_err()
}

async fn uses_tls(config: &Config) -> bool {
    let mut client = Client::connect(config).await.unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    client.query(sql).await.unwrap()[0].by_name("ssl").unwrap() == "t"
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_scram() {
    let server = start(
        ServerConfig::new()
            .with_ssl()
            .with_password("p@ss/word")
            .with_setting("listen_addresses", "127.0.0.1,127.0.0.2"),
    )
    .await;
    let other = start(ServerConfig::new().with_ssl()).await;
    let (right, wrong) = (server.ca_path().unwrap(), other.ca_path().unwrap());
    let base = config(&server);

    for mode in [SslMode::VerifyFull, SslMode::VerifyCa, SslMode::Require, SslMode::Prefer] {
        assert!(uses_tls(&base.clone().with_ssl_mode(mode).with_ssl_root_cert(right)).await);
    }
    assert!(uses_tls(&base.clone().with_ssl_mode(SslMode::Require)).await);
    assert!(uses_tls(&base.clone().with_ssl_mode(SslMode::Prefer)).await);
    assert!(!uses_tls(&base.clone().with_ssl_mode(SslMode::Allow)).await);
    assert!(!uses_tls(&base.clone().with_ssl_mode(SslMode::Disable)).await);

    // A certificate from elsewhere is refused whenever there is something to check it against.
    for mode in [SslMode::VerifyFull, SslMode::VerifyCa, SslMode::Require] {
        let error = refused(&base.clone().with_ssl_mode(mode).with_ssl_root_cert(wrong)).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{mode}: {error}");
        assert!(!error.is_retryable());
        assert!(std::error::Error::source(&error).is_some());
    }
    // prefer goes on without.
    let prefer = base.clone().with_ssl_mode(SslMode::Prefer).with_ssl_root_cert(wrong);
    assert!(!uses_tls(&prefer).await);

    // The certificate is for 127.0.0.1 and localhost.
    let elsewhere = server.url("postgres").replace("127.0.0.1", "127.0.0.2") + "?sslmode=require";
    let elsewhere = Config::parse(&elsewhere).unwrap().with_ssl_root_cert(right);
    assert!(uses_tls(&elsewhere.clone().with_ssl_mode(SslMode::VerifyCa)).await);
    let error = refused(&elsewhere.with_ssl_mode(SslMode::VerifyFull)).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");

    // A server's own certificate may stand in for its authority.
    let own = server.data_dir().join("server.crt");
    let pinned = base.clone().with_ssl_mode(SslMode::VerifyFull).with_ssl_root_cert(own);
    assert!(uses_tls(&pinned).await);

    for mode in [SslMode::Require, SslMode::Disable] {
        let error = refused(&base.clone().with_password("wr0ng").with_ssl_mode(mode)).await;
        assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::Auth, Some("28P01")));
        assert!(!error.to_string().contains("wr0ng"));
    }
    let error = refused(&base.with_user("nobody")).await;
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_rules_of_pg_hba() {
    let server = start(ServerConfig::new().with_ssl().with_password("secret")).await;
    let admin = config(&server);
    let mut session = Client::connect(&admin).await.unwrap();
    session
        .execute(
            "CREATE ROLE md5 LOGIN; SET password_encryption = 'md5'; \
             ALTER ROLE md5 PASSWORD 'a'; \
             SET password_encryption = 'scram-sha-256'; CREATE ROLE clear LOGIN PASSWORD 'b'; \
             CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN; CREATE ROLE peer LOGIN",
        )
        .await
        .unwrap();
    let rules = "host all md5 all md5\n\
                 host all clear all password\n\
                 hostssl all only_tls all trust\n\
                 hostnossl all only_plain all trust\n\
                 host all peer all ident\n\
                 host all postgres all scram-sha-256\n";
    fs::write(server.data_dir().join("pg_hba.conf"), rules).unwrap();
    session.execute("SELECT pg_reload_conf()").await.unwrap();
    let mut left = 200;
    // The postmaster rereads the file when it gets to it.
    while Client::connect(&admin.clone().with_user("only_plain").with_ssl_mode(SslMode::Disable))
        .await
        .is_err()
    {
        left -= 1;
        assert!(left > 0, "the rules were not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let as_user = |user: &str, mode| admin.clone().with_user(user).with_ssl_mode(mode);
    Client::connect(&as_user("md5", SslMode::Disable).with_password("a")).await.unwrap();
    Client::connect(&as_user("clear", SslMode::Require).with_password("b")).await.unwrap();
    for user in ["md5", "clear"] {
        let error = refused(&as_user(user, SslMode::Prefer).with_password("x")).await;
        assert_eq!(error.sqlstate(), Some("28P01"), "{error}");
    }

    // prefer and allow try the other way when there is no rule for the first.
    assert!(uses_tls(&as_user("only_tls", SslMode::Allow)).await);
    assert!(!uses_tls(&as_user("only_plain", SslMode::Prefer)).await);
    for (user, mode) in [("only_tls", SslMode::Disable), ("only_plain", SslMode::Require)] {
        let error = refused(&as_user(user, mode)).await;
        assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::Auth, Some("28000")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tls_no_database_no_server() {
    let server = start(ServerConfig::new()).await;
    let base = config(&server);
    let port = server.port();
    let error = refused(&base.clone().with_ssl_mode(SslMode::Require)).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(!uses_tls(&base.clone().with_ssl_mode(SslMode::Prefer)).await);

    let error = refused(&base.clone().with_database("missing")).await;
    assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Server { .. }));
    assert_eq!(error.message(), "database \"missing\" does not exist");

    let unset = base.clone().with_ssl_mode(SslMode::VerifyCa);
    assert_eq!(refused(&unset).await.kind(), ErrorKind::Config);
    let missing = unset.with_ssl_root_cert("/nonexistent/ca.pem");
    assert_eq!(refused(&missing).await.kind(), ErrorKind::Config);

    drop(spawn_blocking(move || drop(server)).await);
    let error = refused(&base).await;
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    let error = refused(&Config::new("no-such-host.invalid")).await;
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

/// A server that answers the first bytes it gets with these, and then nothing.
async fn impostor(answer: &'static [u8]) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new("127.0.0.1").with_port(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut first = [0; 8];
            if stream.read_exact(&mut first).await.is_ok() {
                stream.write_all(answer).await.unwrap();
            }
            kept.push(stream);
        }
    });
    config.with_ssl_mode(SslMode::Disable)
}

#[tokio::test]
async fn servers_that_are_none() {
    let silent = impostor(b"").await.with_connect_timeout(Duration::from_millis(200));
    let error = refused(&silent).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let error = refused(&silent.with_ssl_mode(SslMode::Require)).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");

    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"R\0\0\0\x03",
        b"R\0\0\0\x06\0\0",
        b"R\x7F\xFF\xFF\xFF",
        b"R\0\0\0\x08\0\0\0\x0B",
        b"R\0\0\0\x08\0\0\0\x0C",
        b"R\0\0\0\x0A\0\0\0\x05ab",
    ] {
        let limit = Duration::from_secs(10);
        let config = impostor(answer).await.with_connect_timeout(limit).with_password("x");
        let error = refused(&config).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}: {error}");
    }
    // A login that begins with SCRAM and is cut short by a mere "OK" proves nothing.
    let skipped = b"R\0\0\0\x17\0\0\0\x0ASCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let error = refused(&impostor(skipped).await.with_password("x")).await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let error = refused(&impostor(b"R\0\0\0\x08\0\0\0\x07").await).await;
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    let error = refused(&impostor(b"X").await.with_ssl_mode(SslMode::Require)).await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let error = refused(&impostor(b"Sgarbage").await.with_ssl_mode(SslMode::Require)).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let server = start(ServerConfig::new()).await;
    let mut client = Client::connect(&config(&server)).await.unwrap();
    assert_eq!(client.server_version() / 10_000, server.version());
    let number = client.query("SHOW server_version_num").await.unwrap();
    assert_eq!(number[0].get(0).unwrap(), client.server_version().to_string());

    let odd = "it's \\ \"odd\" ünï";
    let sql = format!(
        "SELECT 1; SELECT {} AS {}, NULL AS n, '' AS e UNION ALL SELECT 'b', 'c', 'd'; SET search_path = public",
        quote_literal(odd),
        quote_identifier("Odd \"name\"")
    );
    let rows = client.query(&sql).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].by_name("Odd \"name\""), Some(odd));
    assert_eq!((rows[0].by_name("n"), rows[0].by_name("e")), (None, Some("")));
    assert_eq!((rows[1].get(1), rows[1].get(3), rows[1].len()), (Some("c"), None, 3));
    assert!(client.query("").await.unwrap().is_empty());

    let error = client.query("SELECT 1; SELECT 1/0; SELECT 2").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("22012"), "{error}");
    assert_eq!(error.to_string(), "server error 22012: division by zero");
    let error = client.query("SELECT count(*) FROM missing_").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P01"), "{error}");
    assert_eq!(client.query("a\0b").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(
        client.execute("COPY pg_class FROM STDIN").await.unwrap_err().sqlstate(),
        Some("57014")
    );

    // A command given up: the next one waits for its end.
    timeout(Duration::from_millis(50), client.execute("SELECT pg_sleep(0.3)")).await.unwrap_err();
    assert_eq!(client.query("SELECT 'after'").await.unwrap()[0].get(0), Some("after"));

    let error = client.identify_system().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");

    let sql = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = client.execute(sql).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("57P01"));
    assert!(error.is_retryable());
    assert_eq!(client.execute("SELECT 1").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_out_a_hundred_thousand_rows() {
    let server = start(ServerConfig::new().with_ssl()).await;
    for mode in [SslMode::Disable, SslMode::Require] {
        let mut client = Client::connect(&config(&server).with_ssl_mode(mode)).await.unwrap();
        let sql = "COPY (SELECT i, CASE WHEN i % 10 > 0 THEN repeat('x', i % 100) END \
                   FROM generate_series(1, 100000) i) TO STDOUT (FORMAT binary)";
        let mut copy = client.copy_out(sql).await.unwrap();
        let mut decoder = CopyDecoder::new();
        let (mut rows, mut sum, mut nulls) = (0_u64, 0_u64, 0_u64);
        let mut largest = 0;
        while let Some(batch) = copy.next().await.unwrap() {
            largest = largest.max(batch.len_bytes());
            for frame in batch.frames() {
                for row in decoder.decode(frame).unwrap() {
                    let columns: Vec<_> = row.unwrap().columns().map(Result::unwrap).collect();
                    let Column::Binary(number) = columns[0] else { panic!("{columns:?}") };
                    let number = u64::from(u32::from_be_bytes(number.try_into().unwrap()));
                    rows += 1;
                    sum += number;
                    match columns[1] {
                        Column::Null => nulls += 1,
                        Column::Binary(text) => assert_eq!(text.len() as u64, number % 100),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        assert!(decoder.is_finished());
        assert_eq!((rows, sum, nulls), (100_000, 5_000_050_000, 10_000));
        assert!(largest <= 1024 * 1024, "{largest}");
        assert!(copy.next().await.unwrap().is_none());
        drop(copy);

        // Given up, refused, failing in the middle, and one value larger than any buffer.
        drop(client.copy_out(sql).await.unwrap());
        assert_eq!(client.copy_out("SELECT 1").await.unwrap_err().kind(), ErrorKind::Config);
        let error = client.copy_out("COPY missing_ TO STDOUT").await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("42P01"));
        let sql = "COPY (SELECT 1000 / (1000 - i) FROM generate_series(1, 2000) i) TO STDOUT";
        let mut copy = client.copy_out(sql).await.unwrap();
        let error = loop {
            match copy.next().await {
                Ok(batch) => assert!(batch.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.sqlstate(), Some("22012"));
        let mut copy =
            client.copy_out("COPY (SELECT repeat('y', 20000000)) TO STDOUT").await.unwrap();
        let batch = copy.next().await.unwrap().unwrap();
        assert_eq!(batch.frames().map(<[u8]>::len).collect::<Vec<_>>(), [20_000_001]);
        assert!(copy.next().await.unwrap().is_none());
        assert_eq!(client.query("SELECT 1").await.unwrap().len(), 1);
    }
}
