//! A standby follows, is promoted, and from version 17 on carries the slots over.

use std::time::{Duration, Instant};

use embedded_services::{
    postgres::{Config, ErrorKind, Postgres},
    skip,
};
use pgoutput::client::{Client, SlotOptions, StreamOptions};
use tokio::time::sleep;

use crate::{LIMIT, becomes, connect, connect_replication, inserted, one};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t";

/// A server of this version and its standby, or `None` and a line on why not.
fn pair(test: &str, config: Config) -> Option<(Postgres, Postgres)> {
    let server = match Postgres::start(config) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
            println!("{test} needs another server: {error}");
            return None;
        }
        server => server.unwrap(),
    };
    match server.standby(Config::new()) {
        Err(error) if matches!(error.kind(), ErrorKind::NoProgram { .. }) => {
            println!("{test} has no standby: {error}");
            None
        }
        standby => Some((server, standby.unwrap())),
    }
}

async fn follows_and_is_promoted(test: &str, config: Config) {
    let Some((server, mut standby)) = pair(test, config) else { return };
    let mut sql = connect(&server).await;
    sql.execute(TABLE).await.unwrap();
    sql.execute("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(
        one(&mut sql, "SELECT string_agg(slot_name, ',') FROM pg_replication_slots").await,
        standby.primary_slot().map(str::to_owned)
    );
    let mut reader = connect(&standby).await;
    becomes(&mut reader, "SELECT to_regclass('t') IS NOT NULL", "t").await;
    becomes(&mut reader, "SELECT count(*) FROM t", "1").await;
    let refused = reader.execute("INSERT INTO t VALUES (2)").await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("25006"), "it is read-only");

    standby.promote().unwrap();
    reader.execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(standby.promote().unwrap_err().kind(), &ErrorKind::NotStandby);
    assert_eq!(one(&mut sql, "SELECT count(*) FROM t").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_of_14() {
    follows_and_is_promoted("standby_of_14", Config::new().with_version(14).without_fetch()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_of_15_with_a_password() {
    let config = Config::new().with_version(15).without_fetch().with_password(r"p@s:s\w'ord");
    follows_and_is_promoted("standby_of_15_with_a_password", config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_of_16() {
    follows_and_is_promoted("standby_of_16", Config::new().with_version(16).without_fetch()).await;
}

#[cfg(feature = "postgres-tls")]
#[tokio::test(flavor = "multi_thread")]
async fn standby_with_tls_has_the_authority_of_its_primary() {
    use pgoutput::client::SslMode;

    let config = Config::new().without_fetch().with_ssl();
    let Some((server, standby)) = pair("standby_with_tls", config) else { return };
    let same = [&server, &standby].map(|one| std::fs::read(one.ca_path().unwrap()).unwrap());
    assert_eq!(same[0], same[1]);
    drop(server);
    let config = crate::config(&standby)
        .with_ssl_mode(SslMode::VerifyFull)
        .with_ssl_root_cert(standby.ca_path().unwrap());
    let mut reader = Client::connect(&config).await.unwrap();
    assert_eq!(one(&mut reader, "SELECT pg_is_in_recovery()").await.as_deref(), Some("t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_standby_is_promoted() {
    let mut server = Postgres::start(Config::new()).unwrap();
    assert_eq!(server.promote().unwrap_err().kind(), &ErrorKind::NotStandby);
    server.crash().unwrap();
    assert_eq!(server.standby(Config::new()).unwrap_err().kind(), &ErrorKind::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_slot_of_17() {
    let config = Config::new().with_version(17).without_fetch();
    slot_survives_the_failover("failover_slot_of_17", config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_slot_of_18() {
    let config = Config::new().with_version(18);
    if !slot_survives_the_failover("failover_slot_of_18", config).await {
        skip("failover_slot_of_18", "no server of version 18 with pg_basebackup");
    }
}

/// Whether there was a server to try it with.
async fn slot_survives_the_failover(test: &str, config: Config) -> bool {
    let Some((mut server, mut standby)) = pair(test, config) else { return false };
    let mut sql = connect(&server).await;
    sql.execute(TABLE).await.unwrap();
    let mut replication = connect_replication(&server).await;
    replication.create_slot("s", &SlotOptions::new().with_failover(true)).await.unwrap();
    sql.execute("INSERT INTO t VALUES (1)").await.unwrap();
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    let (numbers, end) = inserted(&mut stream, 1).await;
    assert_eq!(numbers, [1]);
    stream.acknowledge(end);

    let mut reader = connect(&standby).await;
    slot_arrives(&mut sql, &mut reader, &stream.acknowledger()).await;
    // Not acknowledged, so that it has to come from the standby after the failover.
    sql.execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(inserted(&mut stream, 2).await.0.last(), Some(&2));
    becomes(&mut reader, "SELECT count(*) FROM t", "2").await;
    server.kill().unwrap();

    standby.promote().unwrap();
    reader.execute("INSERT INTO t VALUES (3)").await.unwrap();
    let replication = connect_replication(&standby).await;
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    let (numbers, _) = inserted(&mut stream, 3).await;
    assert!(numbers.ends_with(&[2, 3]), "{numbers:?}");
    true
}

/// The copy of a slot lasts once the slot has moved past what the standby had when it began; a
/// slot moves when somebody acknowledges, so there is something to acknowledge.
async fn slot_arrives(
    sql: &mut Client,
    reader: &mut Client,
    acknowledger: &pgoutput::client::Acknowledger,
) {
    let ready = "SELECT count(*) FROM pg_replication_slots \
                 WHERE slot_name = 's' AND synced AND NOT temporary";
    let end = Instant::now() + LIMIT;
    while one(reader, ready).await.as_deref() != Some("1") {
        assert!(Instant::now() < end, "the slot was not copied");
        sql.execute("SELECT pg_log_standby_snapshot()").await.unwrap();
        let now = one(sql, "SELECT pg_current_wal_lsn()").await.unwrap();
        acknowledger.acknowledge(now.parse().unwrap());
        sleep(Duration::from_millis(100)).await;
    }
}
