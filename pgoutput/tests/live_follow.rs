//! Slots that cannot be followed, and following through restarts and failovers.
#![cfg(feature = "tokio")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    time::{Duration, Instant},
};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column, Decoder, Lsn, Message, ProtocolVersion, Streaming,
    client::{
        Backoff, Client, Config, Error, ErrorKind, Followed, Follower, SlotOptions, StreamOptions,
    },
    replication::Frame,
};
use tokio::{task::spawn_blocking, time::timeout};

const LIMIT: Duration = Duration::from_secs(60);

async fn start(config: ServerConfig) -> Postgres {
    spawn_blocking(|| Postgres::start(config).unwrap()).await.unwrap()
}

async fn restart(mut server: Postgres) -> Postgres {
    let again = move || {
        server.restart().unwrap();
        server
    };
    spawn_blocking(again).await.unwrap()
}

fn config(server: &Postgres) -> Config {
    Config::parse(&server.url("postgres")).unwrap()
}

async fn sql(server: &Postgres) -> Client {
    Client::connect(&config(server)).await.unwrap()
}

async fn replication(server: &Postgres) -> Client {
    Client::connect_replication(&config(server)).await.unwrap()
}

async fn ready(server: &Postgres, options: &SlotOptions) {
    let mut client = sql(server).await;
    client
        .execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
        .await
        .unwrap();
    replication(server).await.create_slot("s", options).await.unwrap();
}

fn options() -> StreamOptions {
    StreamOptions::new("s", ["p"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_in_use() {
    let server = start(ServerConfig::new()).await;
    ready(&server, &SlotOptions::new()).await;
    let stream = replication(&server).await.start_replication(options()).await.unwrap();
    let error = replication(&server).await.start_replication(options()).await.unwrap_err();
    assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::SlotInUse, Some("55006")), "{error}");
    assert!(error.is_retryable());
    let status = sql(&server).await.slot("s").await.unwrap().unwrap();
    assert_eq!(status.plugin.as_deref(), Some("pgoutput"));
    assert_eq!(status.wal_status.as_deref(), Some("reserved"));
    assert!(status.active_pid.is_some() && status.confirmed_flush_lsn >= status.restart_lsn);
    assert!(!status.two_phase && !status.failover);
    status.check().unwrap();
    stream.stop().await.unwrap();
    assert_eq!(sql(&server).await.slot("none").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_log_was_removed() {
    let server = start(
        ServerConfig::new()
            .with_setting("max_slot_wal_keep_size", "1MB")
            .with_setting("min_wal_size", "32MB")
            .with_setting("max_wal_size", "32MB"),
    )
    .await;
    ready(&server, &SlotOptions::new()).await;
    let mut client = sql(&server).await;
    let end = Instant::now() + LIMIT;
    while client.slot("s").await.unwrap().unwrap().check().is_ok() {
        client.execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t").await.unwrap();
        client.execute("SELECT pg_switch_wal()").await.unwrap();
        client.execute("CHECKPOINT").await.unwrap();
        assert!(Instant::now() < end, "the log was never removed");
    }
    let status = client.slot("s").await.unwrap().unwrap();
    assert_eq!(status.wal_status.as_deref(), Some("lost"));
    assert_eq!(status.check().unwrap_err().kind(), ErrorKind::WalRemoved);
    let error = replication(&server).await.start_replication(options()).await.unwrap_err();
    assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::WalRemoved, Some("55000")), "{error}");
    assert!(!error.is_retryable());
    let mut follower = Follower::new(config(&server), options());
    assert_eq!(follower.next().await.unwrap_err().kind(), ErrorKind::WalRemoved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_the_server_does_not_have() {
    let server = start(ServerConfig::new()).await;
    ready(&server, &SlotOptions::new()).await;
    let newest = match server.version() {
        ..=13 => ProtocolVersion::V1,
        14 => ProtocolVersion::V2,
        15 => ProtocolVersion::V3,
        _ => ProtocolVersion::V4,
    };
    for version in
        [ProtocolVersion::V1, ProtocolVersion::V2, ProtocolVersion::V3, ProtocolVersion::V4]
    {
        let wanted = options().with_protocol(version);
        let started = replication(&server).await.start_replication(wanted).await;
        if version <= newest {
            started.unwrap().stop().await.unwrap();
        } else {
            let error = started.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
    // What contradicts itself is refused by every server.
    let wanted = options().with_streaming(Streaming::On);
    let error = replication(&server).await.start_replication(wanted).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.sqlstate()),
        (ErrorKind::Unsupported, Some("22023")),
        "{error}"
    );
}

/// What came, without what came again.
#[derive(Debug, Default)]
struct Seen {
    ids: Vec<u32>,
    starts: u32,
    decoder: Option<Decoder>,
    /// Of the transaction that is open.
    open: Vec<u32>,
}

impl Seen {
    /// Reads until this row was committed.
    async fn read_to(&mut self, follower: &mut Follower, last: u32) -> Result<(), Error> {
        while self.ids.last() != Some(&last) {
            match timeout(LIMIT, follower.next()).await.unwrap()? {
                Followed::Started(_) => {
                    self.starts += 1;
                    self.decoder = Some(Decoder::new(ProtocolVersion::V1));
                    self.open.clear();
                }
                Followed::Batch(batch) => {
                    for frame in batch.frames() {
                        if let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() {
                            self.message(data, follower);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, data: &[u8], follower: &mut Follower) {
        match self.decoder.as_mut().unwrap().decode(data).unwrap() {
            Message::Insert(insert) => match insert.new.columns().next().unwrap().unwrap() {
                Column::Text(id) => self.open.push(str::from_utf8(id).unwrap().parse().unwrap()),
                other => panic!("{other:?}"),
            },
            Message::Commit(commit) => {
                let last = self.ids.last().copied().unwrap_or(0);
                self.ids.extend(self.open.drain(..).filter(|id| *id > last));
                follower.acknowledge(commit.end_lsn);
            }
            _ => {}
        }
    }
}

fn follower(server: &Postgres) -> Follower {
    let waits = (Duration::from_millis(20), Duration::from_millis(200));
    Follower::new(config(server), options())
        .with_backoff(Backoff::new().with_waits(waits.0, waits.1).with_give_up_after(LIMIT))
}

#[tokio::test(flavor = "multi_thread")]
async fn through_restarts_crashes_and_kills() {
    let mut server = start(ServerConfig::new()).await;
    ready(&server, &SlotOptions::new()).await;
    let mut follower = follower(&server);
    let mut seen = Seen::default();
    let insert = |from: u32, to: u32| format!("INSERT INTO t SELECT generate_series({from}, {to})");
    sql(&server).await.execute(&insert(1, 100)).await.unwrap();
    seen.read_to(&mut follower, 100).await.unwrap();
    assert_eq!(seen.starts, 1);

    sql(&server)
        .await
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        .await
        .unwrap();
    sql(&server).await.execute(&insert(101, 200)).await.unwrap();
    seen.read_to(&mut follower, 200).await.unwrap();
    assert_eq!(seen.starts, 2);

    server = spawn_blocking(move || {
        server.crash().unwrap();
        server.restart().unwrap();
        server
    })
    .await
    .unwrap();
    sql(&server).await.execute(&insert(201, 300)).await.unwrap();
    seen.read_to(&mut follower, 300).await.unwrap();
    assert_eq!(seen.starts, 3);
    assert_eq!(seen.ids, (1..=300).collect::<Vec<_>>());
    follower.stop().await.unwrap();
    // The last position went out with the end.
    let status = sql(&server).await.slot("s").await.unwrap().unwrap();
    assert!(status.confirmed_flush_lsn > status.restart_lsn || status.active_pid.is_none());

    // Nobody there: it is given up in time.
    let gone = config(&server);
    spawn_blocking(move || server.stop().unwrap()).await.unwrap();
    let limit = Backoff::new()
        .with_waits(Duration::from_millis(10), Duration::from_millis(20))
        .with_give_up_after(Duration::from_millis(300));
    let mut follower = Follower::new(gone, options()).with_backoff(limit);
    let began = Instant::now();
    let error = follower.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_refused() {
    let (one, two) = (start(ServerConfig::new()).await, start(ServerConfig::new()).await);
    ready(&two, &SlotOptions::new()).await;
    let system = replication(&one).await.identify_system().await.unwrap();
    let mut follower = follower(&two).with_system(system);
    let error = follower.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer, "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_timeline_needs_a_failover_slot() {
    let server = start(ServerConfig::new()).await;
    let keeps = server.version() >= 17;
    ready(&server, &SlotOptions::new().with_failover(keeps)).await;
    let before = replication(&server).await.identify_system().await.unwrap();
    sql(&server).await.execute("INSERT INTO t VALUES (1)").await.unwrap();
    // A standby of nobody, which becomes a primary on the next timeline.
    fs::write(server.data_dir().join("standby.signal"), "").unwrap();
    let server = restart(server).await;
    sql(&server).await.execute("SELECT pg_promote()").await.unwrap();
    let end = Instant::now() + LIMIT;
    while replication(&server).await.identify_system().await.unwrap().timeline == before.timeline {
        assert!(Instant::now() < end, "never promoted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sql(&server).await.execute("INSERT INTO t VALUES (2)").await.unwrap();
    let mut client = replication(&server).await;
    let checked = client.check_system(&before, "s", before.flushed).await;
    if keeps {
        assert_eq!(checked.unwrap().timeline, before.timeline + 1);
        let mut follower = follower(&server).with_system(before.clone());
        let mut seen = Seen::default();
        seen.read_to(&mut follower, 2).await.unwrap();
        assert_eq!(seen.ids, [1, 2]);
    } else {
        let error = checked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongServer, "{error}");
        assert!(error.message().contains("failover slot"), "{error}");
    }
    // Followed further than the old timeline went.
    let error = client.check_system(&before, "s", Lsn::new(u64::MAX)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer, "{error}");
    assert!(error.message().contains("ended at"), "{error}");
    // And back to the timeline that was left.
    let now = client.identify_system().await.unwrap();
    let old = start(ServerConfig::new()).await;
    let mut old = replication(&old).await;
    let error = old.check_system(&now, "s", Lsn::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_given_up_for_idleness() {
    let server = start(ServerConfig::new()).await;
    // Earlier servers give logical slots of a primary up only for the log they hold.
    if server.version() < 18 {
        return;
    }
    ready(&server, &SlotOptions::new()).await;
    let mut client = sql(&server).await;
    client.execute("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'").await.unwrap();
    client.execute("SELECT pg_reload_conf()").await.unwrap();
    let end = Instant::now() + LIMIT;
    while client.slot("s").await.unwrap().unwrap().check().is_ok() {
        // Slots are looked at by checkpoints.
        client.execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t").await.unwrap();
        client.execute("CHECKPOINT").await.unwrap();
        assert!(Instant::now() < end, "the slot was never given up");
    }
    let status = client.slot("s").await.unwrap().unwrap();
    assert_eq!(status.invalidation_reason.as_deref(), Some("idle_timeout"));
    assert_eq!(status.check().unwrap_err().kind(), ErrorKind::SlotInvalidated);
    let error = replication(&server).await.start_replication(options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SlotInvalidated, "{error}");
    assert!(!error.is_retryable());
}
