//! Every version of the protocol that the server has, with and without transactions in progress and
//! prepared ones, as text and as binary: the assembler gives the same transactions each time.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, time::Duration};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column, Message, ProtocolVersion, Streaming,
    assembly::{Assembler, MemorySpool},
    client::{Client, Config, SlotOptions, StreamOptions},
    replication::Frame,
};
use tokio::{task::spawn_blocking, time::timeout};

const LIMIT: Duration = Duration::from_secs(60);

/// One way to stream.
#[derive(Debug, Clone, Copy)]
struct Way {
    version: ProtocolVersion,
    streaming: Streaming,
    two_phase: bool,
    binary: bool,
}

impl Way {
    /// All that a server of this version can do.
    fn all(server: u32) -> Vec<Self> {
        let mut ways = Vec::new();
        for (version, since) in [
            (ProtocolVersion::V1, 0),
            (ProtocolVersion::V2, 14),
            (ProtocolVersion::V3, 15),
            (ProtocolVersion::V4, 16),
        ] {
            for streaming in [Streaming::Off, Streaming::On, Streaming::Parallel] {
                let least = match streaming {
                    Streaming::Off => ProtocolVersion::V1,
                    Streaming::On => ProtocolVersion::V2,
                    _ => ProtocolVersion::V4,
                };
                if server < since || version < least {
                    continue;
                }
                let two_phase = version >= ProtocolVersion::V3;
                for binary in [false, true] {
                    ways.push(Self { version, streaming, two_phase, binary });
                }
            }
        }
        ways
    }

    fn slot(self) -> String {
        format!("v{}_{:?}_{}", self.version.number(), self.streaming, self.binary).to_lowercase()
    }
}

async fn connect(server: &Postgres) -> Client {
    Client::connect(&Config::parse(&server.url("postgres")).unwrap()).await.unwrap()
}

async fn replication(server: &Postgres) -> Client {
    Client::connect_replication(&Config::parse(&server.url("postgres")).unwrap()).await.unwrap()
}

fn insert(from: u32, to: u32) -> String {
    format!("INSERT INTO t SELECT i, repeat('x', i % 100) FROM generate_series({from}, {to}) i")
}

/// Two large transactions at once, one with a part rolled back; then prepared ones, small and large,
/// one of them rolled back. Gives the rows of those that hold, in the order of their commits.
async fn work(server: &Postgres) -> Vec<Vec<u32>> {
    let (mut first, mut second) = (connect(server).await, connect(server).await);
    first.execute("BEGIN").await.unwrap();
    first.execute(&insert(1, 3000)).await.unwrap();
    second.execute("BEGIN").await.unwrap();
    second.execute(&insert(20_001, 24_000)).await.unwrap();
    first.execute("SAVEPOINT s").await.unwrap();
    first.execute(&insert(10_001, 13_000)).await.unwrap();
    first.execute("ROLLBACK TO s").await.unwrap();
    first.execute(&insert(3001, 4000)).await.unwrap();
    second.execute("COMMIT").await.unwrap();
    first.execute("COMMIT").await.unwrap();
    for (name, from, to) in
        [("small", 30_001, 30_010), ("gone", 40_001, 40_010), ("large", 50_001, 54_000)]
    {
        let prepare = format!("PREPARE TRANSACTION '{name}'");
        for sql in ["BEGIN", &insert(from, to), &prepare] {
            first.execute(sql).await.unwrap();
        }
    }
    first.execute("COMMIT PREPARED 'large'").await.unwrap();
    first.execute("ROLLBACK PREPARED 'gone'").await.unwrap();
    first.execute("COMMIT PREPARED 'small'").await.unwrap();
    first.execute(&insert(60_001, 60_001)).await.unwrap();
    vec![
        (20_001..=24_000).collect(),
        (1..=4000).collect(),
        (50_001..=54_000).collect(),
        (30_001..=30_010).collect(),
        vec![60_001],
    ]
}

fn id(column: Column<'_>) -> u32 {
    match column {
        Column::Text(text) => str::from_utf8(text).unwrap().parse().unwrap(),
        Column::Binary(bytes) => u32::from_be_bytes(bytes.try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// The transactions of a slot, up to the last one, and the letters of all messages.
async fn follow(server: &Postgres, way: Way) -> (Vec<Vec<u32>>, BTreeSet<char>) {
    let options = StreamOptions::new(&way.slot(), ["p"])
        .with_protocol(way.version)
        .with_streaming(way.streaming)
        .with_binary(way.binary);
    let mut stream = replication(server).await.start_replication(options).await.unwrap();
    let mut assembler = Assembler::new(way.version, way.streaming, MemorySpool::new(64 << 20));
    let (mut transactions, mut letters) = (Vec::new(), BTreeSet::new());
    let mut open = None;
    while transactions.last() != Some(&vec![60_001]) {
        let batch = timeout(LIMIT, stream.next()).await.unwrap().unwrap().unwrap();
        for frame in batch.frames() {
            let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() else { continue };
            letters.insert(char::from(*data.first().unwrap()));
            let mut next = assembler.push(data).unwrap();
            while let Some(message) = next {
                match message {
                    Message::Begin(_) => assert_eq!(open.replace(Vec::new()), None),
                    Message::Insert(insert) => {
                        let column = insert.new.columns().next().unwrap().unwrap();
                        assert_eq!(way.binary, matches!(column, Column::Binary(_)));
                        open.as_mut().unwrap().push(id(column));
                    }
                    Message::Commit(commit) => {
                        stream.acknowledge(commit.end_lsn);
                        // PostgreSQL 14 sends transactions of other tables, too, with nothing in them.
                        transactions.extend(open.take().filter(|rows| !rows.is_empty()));
                    }
                    _ => {}
                }
                next = assembler.next_message().unwrap();
            }
        }
    }
    assert_eq!(assembler.open_transactions(), 0);
    stream.stop().await.unwrap();
    (transactions, letters)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_gives_the_same_transactions() {
    let config = ServerConfig::new()
        .with_setting("logical_decoding_work_mem", "64kB")
        .with_setting("max_prepared_transactions", "10")
        .with_setting("max_replication_slots", "30")
        .with_setting("max_wal_senders", "30");
    let server = spawn_blocking(|| Postgres::start(config).unwrap()).await.unwrap();
    let mut sql = connect(&server).await;
    sql.execute("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t")
        .await
        .unwrap();
    let ways = Way::all(server.version());
    for way in &ways {
        let options = SlotOptions::new().with_two_phase(way.two_phase);
        replication(&server).await.create_slot(&way.slot(), &options).await.unwrap();
    }
    let wanted = work(&server).await;
    for way in ways {
        let (transactions, letters) = follow(&server, way).await;
        let sizes = |transactions: &[Vec<u32>]| {
            transactions.iter().map(|rows| (rows.len(), rows.first().copied())).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&transactions), sizes(&wanted), "{way:?}");
        assert_eq!(transactions, wanted, "{way:?}");
        let has = |wanted: &str| wanted.chars().all(|letter| letters.contains(&letter));
        // Stream start, stop, commit and abort; begin prepare, prepare, commit and roll back
        // prepared; stream prepare.
        assert_eq!(has("SEcA"), way.streaming != Streaming::Off, "{way:?}: {letters:?}");
        assert_eq!(has("bPKr"), way.two_phase, "{way:?}: {letters:?}");
        assert_eq!(has("p"), way.two_phase && way.streaming != Streaming::Off, "{letters:?}");
    }
}
