//! The throwaway cluster as a replication client sees it: every version, crashes, pauses, standbys.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod faults;
mod standby;
mod versions;

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use embedded_services::postgres::Postgres;
use pgoutput::{
    Column, Decoder, Lsn, Message, ProtocolVersion,
    client::{Client, Config, Stream},
    replication::Frame,
};
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; a test that needs it has failed.
const LIMIT: Duration = Duration::from_secs(60);

fn config(server: &Postgres) -> Config {
    Config::parse(&server.url("postgres")).unwrap()
}

async fn connect(server: &Postgres) -> Client {
    Client::connect(&config(server)).await.unwrap()
}

async fn connect_replication(server: &Postgres) -> Client {
    Client::connect_replication(&config(server)).await.unwrap()
}

/// The first column of the first row.
async fn one(sql: &mut Client, query: &str) -> Option<String> {
    sql.query(query).await.unwrap().first()?.get(0).map(str::to_owned)
}

/// Waits until the query gives this.
async fn becomes(sql: &mut Client, query: &str, wanted: &str) {
    let end = Instant::now() + LIMIT;
    loop {
        let got = one(sql, query).await;
        if got.as_deref() == Some(wanted) {
            return;
        }
        assert!(Instant::now() < end, "{query} gives {got:?} and not {wanted}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The first columns of inserted rows, up to and with `last`, and the end of their transaction.
async fn inserted(stream: &mut Stream, last: i64) -> (Vec<i64>, Lsn) {
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    let mut numbers = Vec::new();
    loop {
        let batch = timeout(LIMIT, stream.next()).await.unwrap().unwrap().unwrap();
        for frame in batch.frames() {
            let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() else { continue };
            if let ControlFlow::Break(end) = observe(&mut decoder, data, last, &mut numbers) {
                return (numbers, end);
            }
        }
    }
}

fn observe(
    decoder: &mut Decoder,
    data: &[u8],
    last: i64,
    numbers: &mut Vec<i64>,
) -> ControlFlow<Lsn> {
    match decoder.decode(data).unwrap() {
        Message::Insert(insert) => {
            let Column::Text(text) = insert.new.columns().next().unwrap().unwrap() else {
                panic!("not text");
            };
            numbers.push(str::from_utf8(text).unwrap().parse().unwrap());
        }
        Message::Commit(commit) if numbers.last() == Some(&last) => {
            return ControlFlow::Break(commit.end_lsn);
        }
        _ => {}
    }
    ControlFlow::Continue(())
}
