//! Every supported version starts, streams what was inserted and stops.

use embedded_services::{
    postgres::{Config, ErrorKind, Postgres},
    skip,
};
use pgoutput::client::{SlotOptions, StreamOptions};

use crate::{connect, connect_replication, inserted};

#[tokio::test]
async fn version_14_streams_if_it_is_here() {
    optional(14).await;
}

#[tokio::test]
async fn version_15_streams() {
    required(15).await;
}

#[tokio::test]
async fn version_16_streams_if_it_is_here() {
    optional(16).await;
}

#[tokio::test]
async fn version_17_streams_if_it_is_here() {
    optional(17).await;
}

#[tokio::test]
async fn version_18_streams() {
    required(18).await;
}

async fn required(major: u32) {
    match Postgres::start(Config::new().with_version(major)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
            skip(&format!("version_{major}_streams"), &error.to_string());
        }
        server => streams(server.unwrap(), major).await,
    }
}

async fn optional(major: u32) {
    match Postgres::start(Config::new().with_version(major).without_fetch()) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
            println!("PostgreSQL {major} is not here; scripts/fetch-postgres {major} fetches it");
        }
        server => streams(server.unwrap(), major).await,
    }
}

async fn streams(server: Postgres, major: u32) {
    assert_eq!(server.version(), major);
    let mut sql = connect(&server).await;
    assert_eq!(sql.server_version() / 10_000, major);
    sql.execute("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t")
        .await
        .unwrap();
    let mut replication = connect_replication(&server).await;
    replication.create_slot("s", &SlotOptions::new()).await.unwrap();
    sql.execute("INSERT INTO t SELECT n, repeat('x', 300) FROM generate_series(1, 1000) AS n")
        .await
        .unwrap();
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    let (numbers, end) = inserted(&mut stream, 1000).await;
    assert_eq!(numbers, Vec::from_iter(1..=1000));
    stream.acknowledge(end);
    stream.stop().await.unwrap();
    let data = server.data_dir().to_owned();
    server.stop().unwrap();
    assert!(!data.exists());
}
