//! Following slots of a real server.
#![cfg(feature = "tokio")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    future::Future,
    time::{Duration, Instant},
};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column, Decoder, Lsn, Message, ProtocolVersion,
    client::{
        Client, Config, Error, ErrorKind, SlotOptions, SnapshotAction, Stream, StreamOptions,
    },
    replication::Frame,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_blocking,
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(60);
const STREAMING: &str = "SELECT count(*) FROM pg_stat_replication WHERE state <> 'startup'";

async fn start(config: ServerConfig) -> Postgres {
    spawn_blocking(|| Postgres::start(config).unwrap()).await.unwrap()
}

fn config(server: &Postgres) -> Config {
    Config::parse(&server.url("postgres")).unwrap()
}

/// A table with a publication, and sessions for SQL and replication.
async fn ready(server: &Postgres) -> (Client, Client) {
    let mut sql = Client::connect(&config(server)).await.unwrap();
    sql.execute("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t")
        .await
        .unwrap();
    (sql, Client::connect_replication(&config(server)).await.unwrap())
}

/// What a test sees of a stream.
#[derive(Debug, Default)]
struct Seen {
    ids: Vec<u32>,
    columns: Vec<String>,
    commits: Vec<Lsn>,
    /// Whether the transaction at hand has anything in it: PostgreSQL 14 sends empty ones, too.
    filled: bool,
    prefixes: Vec<String>,
    /// End of the last keepalive after the last commit.
    idle: Option<Lsn>,
}

/// Reads until the condition holds.
async fn read(stream: &mut Stream, seen: &mut Seen, enough: impl Fn(&Seen) -> bool) {
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    while !enough(seen) {
        let batch = timeout(LIMIT, stream.next()).await.unwrap().unwrap().unwrap();
        for frame in batch.frames() {
            let data = match Frame::decode(frame).unwrap() {
                Frame::XLogData { data, .. } => data,
                Frame::Keepalive { end, .. } => {
                    seen.idle = Some(end);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            match decoder.decode(data).unwrap() {
                Message::Insert(insert) => {
                    seen.filled = true;
                    let columns: Vec<_> = insert.new.columns().map(Result::unwrap).collect();
                    seen.ids.push(match columns[0] {
                        Column::Text(text) => str::from_utf8(text).unwrap().parse().unwrap(),
                        Column::Binary(bytes) => u32::from_be_bytes(bytes.try_into().unwrap()),
                        other => panic!("{other:?}"),
                    });
                    if seen.columns.is_empty() {
                        seen.columns = columns.iter().map(|column| format!("{column:?}")).collect();
                    }
                }
                Message::Commit(commit) => {
                    if std::mem::take(&mut seen.filled) {
                        seen.commits.push(commit.end_lsn);
                    }
                    seen.idle = None;
                }
                Message::Truncate(_) => seen.filled = true,
                Message::Logical(logical) => seen.prefixes.push(logical.prefix.to_owned()),
                _ => {}
            }
        }
    }
}

/// Asks again and again until the answer is right.
async fn until<F: Future<Output = Option<T>>, T>(mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn one(sql: &mut Client, query: &str) -> Option<String> {
    sql.query(query).await.unwrap().first()?.get(0).map(ToOwned::to_owned)
}

/// Waits until a query gives this.
async fn becomes(sql: &mut Client, query: &str, wanted: &str) {
    let end = Instant::now() + LIMIT;
    while one(sql, query).await.as_deref() != Some(wanted) {
        assert!(Instant::now() < end, "{query} never gave {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stream_error(stream: &mut Stream) -> Error {
    let end = async {
        loop {
            match stream.next().await {
                Ok(batch) => assert!(batch.is_some(), "ended in good order"),
                Err(error) => return error,
            }
        }
    };
    timeout(LIMIT, end).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_then_stream_as_text_and_binary() {
    let server = start(ServerConfig::new()).await;
    let (mut sql, mut replication) = ready(&server).await;
    let system = replication.identify_system().await.unwrap();
    let id = one(&mut sql, "SELECT system_identifier FROM pg_control_system()").await.unwrap();
    assert_eq!(system.system_id.to_string(), id);
    assert_eq!((system.timeline, system.database.as_deref()), (1, Some("postgres")));
    assert!(system.flushed > Lsn::ZERO);

    sql.execute("INSERT INTO t SELECT i, 'before' FROM generate_series(1, 5) i").await.unwrap();
    let export = SlotOptions::new().with_snapshot(SnapshotAction::Export);
    let slot = replication.create_slot("s", &export).await.unwrap();
    sql.execute("INSERT INTO t VALUES (6, 'after'), (7, NULL)").await.unwrap();
    let mut snapshot = Client::connect(&config(&server)).await.unwrap();
    let name = pgoutput::client::quote_literal(slot.snapshot_name.as_deref().unwrap());
    let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT {name}");
    snapshot.execute(&begin).await.unwrap();
    assert_eq!(one(&mut snapshot, "SELECT count(*) FROM t").await.unwrap(), "5");

    let exists = replication.create_slot("s", &SlotOptions::new()).await.unwrap_err();
    assert_eq!(exists.sqlstate(), Some("42710"), "{exists}");
    let plain = replication.create_slot("other", &SlotOptions::new()).await.unwrap();
    assert_eq!(plain.snapshot_name, None);
    replication.drop_slot("other").await.unwrap();

    let options = StreamOptions::new("s", ["p"]).with_messages(true);
    let mut stream = replication.start_replication(options.clone()).await.unwrap();
    sql.execute("SELECT pg_logical_emit_message(false, 'mark', 'x')").await.unwrap();
    let mut seen = Seen::default();
    read(&mut stream, &mut seen, |seen| seen.ids.len() == 2 && seen.prefixes.len() == 1).await;
    assert_eq!(seen.ids, [6, 7]);
    assert_eq!(seen.columns, [r#"Text([54])"#, r#"Text([97, 102, 116, 101, 114])"#]);
    assert_eq!(seen.prefixes, ["mark"]);
    assert!(seen.commits[0] > slot.consistent_point);

    // Somebody else wants it.
    let second = Client::connect_replication(&config(&server)).await.unwrap();
    let error = second.start_replication(options.clone()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55006"), "{error}");
    assert!(error.is_retryable());
    stream.stop().await.unwrap();

    // Nothing was acknowledged, so everything comes again: in binary now.
    let again = Client::connect_replication(&config(&server)).await.unwrap();
    let mut stream = again.start_replication(options.with_binary(true)).await.unwrap();
    let mut seen = Seen::default();
    read(&mut stream, &mut seen, |seen| seen.ids.len() == 2).await;
    assert_eq!(seen.ids, [6, 7]);
    assert_eq!(seen.columns, [r#"Binary([0, 0, 0, 6])"#, r#"Binary([97, 102, 116, 101, 114])"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_moves_the_slot_and_stopping_frees_it() {
    let server = start(ServerConfig::new()).await;
    let (mut sql, mut replication) = ready(&server).await;
    let created = replication.create_slot("s", &SlotOptions::new()).await.unwrap();
    let options = StreamOptions::new("s", ["p"]).with_status_interval(Duration::from_millis(50));
    let mut stream = replication.start_replication(options).await.unwrap();
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    let mut seen = Seen::default();
    sql.execute("INSERT INTO t VALUES (1, 'a')").await.unwrap();
    read(&mut stream, &mut seen, |seen| seen.commits.len() == 1).await;
    // Received is told without being asked for, and is not taken for safe.
    let written = format!("SELECT write_lsn >= '{}' FROM pg_stat_replication", seen.commits[0]);
    becomes(&mut sql, &written, "t").await;
    assert_eq!(one(&mut sql, confirmed).await, Some(created.consistent_point.to_string()));

    stream.acknowledge(seen.commits[0]);
    becomes(&mut sql, confirmed, &seen.commits[0].to_string()).await;
    // Never backwards.
    stream.acknowledge(Lsn::new(1));

    // Other tables' traffic: keepalives carry the position on.
    sql.execute("CREATE TABLE other AS SELECT generate_series(1, 1000)").await.unwrap();
    let end: Lsn = one(&mut sql, "SELECT pg_current_wal_lsn()").await.unwrap().parse().unwrap();
    read(&mut stream, &mut seen, |seen| seen.idle.is_some_and(|idle| idle >= end)).await;
    stream.acknowledger().acknowledge(seen.idle.unwrap());
    let reached = format!("SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots");
    becomes(&mut sql, &reached, "t").await;

    // The last position goes out with the stop.
    sql.execute("INSERT INTO t VALUES (2, 'b')").await.unwrap();
    read(&mut stream, &mut seen, |seen| seen.commits.len() == 2).await;
    stream.acknowledge(seen.commits[1]);
    stream.stop().await.unwrap();
    let at_least =
        format!("SELECT confirmed_flush_lsn = '{}' FROM pg_replication_slots", seen.commits[1]);
    becomes(&mut sql, &at_least, "t").await;
    becomes(&mut sql, "SELECT active FROM pg_replication_slots", "f").await;

    // The next one begins behind it. Dropping closes the connection.
    let again = Client::connect_replication(&config(&server)).await.unwrap();
    let mut stream = again.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    sql.execute("INSERT INTO t VALUES (3, 'c')").await.unwrap();
    let mut seen = Seen::default();
    read(&mut stream, &mut seen, |seen| seen.ids.len() == 1).await;
    assert_eq!(seen.ids, [3]);
    drop(stream);
    becomes(&mut sql, "SELECT count(*) FROM pg_stat_replication", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_consumer_keeps_the_connection() {
    let server = start(ServerConfig::new().with_setting("wal_sender_timeout", "1s")).await;
    let (mut sql, mut replication) = ready(&server).await;
    let mut streams = Vec::new();
    // One that reads everything ahead, and one that stops reading after the first bytes.
    for (slot, bytes) in [("roomy", 64 << 20), ("full", 1)] {
        replication.create_slot(slot, &SlotOptions::new()).await.unwrap();
        let client = Client::connect_replication(&config(&server)).await.unwrap();
        let options = StreamOptions::new(slot, ["p"]).with_queue_bytes(bytes);
        streams.push(client.start_replication(options).await.unwrap());
    }
    sql.execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 50000) i")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(one(&mut sql, STREAMING).await.unwrap(), "2");
    for stream in &mut streams {
        let mut seen = Seen::default();
        read(stream, &mut seen, |seen| seen.commits.len() == 1).await;
        assert_eq!(seen.ids, (1..=50_000).collect::<Vec<_>>());
    }
    assert!(!server.log_tail().contains("terminating walsender"), "{}", server.log_tail());
    for stream in streams {
        stream.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_burst_arrives_whole_and_single_rows_at_once() {
    let server = start(ServerConfig::new().with_ssl()).await;
    let (mut sql, mut replication) = ready(&server).await;
    for mode in ["disable", "require"] {
        replication.create_slot(mode, &SlotOptions::new()).await.unwrap();
        let url = format!("{}?sslmode={mode}", server.url("postgres"));
        let client = Client::connect_replication(&Config::parse(&url).unwrap()).await.unwrap();
        let options = StreamOptions::new(mode, ["p"]).with_queue_bytes(1 << 20);
        let mut stream = client.start_replication(options).await.unwrap();
        let mut seen = Seen::default();
        sql.execute("TRUNCATE t").await.unwrap();
        read(&mut stream, &mut seen, |seen| seen.commits.len() == 1).await;
        sql.execute(
            "INSERT INTO t SELECT i, repeat('y', i % 300) FROM generate_series(1, 100000) i",
        )
        .await
        .unwrap();
        read(&mut stream, &mut seen, |seen| seen.commits.len() == 2).await;
        assert_eq!(seen.ids, (1..=100_000).collect::<Vec<_>>());
        // A large row comes whole.
        sql.execute("INSERT INTO t VALUES (0, repeat('z', 5000000))").await.unwrap();
        read(&mut stream, &mut seen, |seen| seen.commits.len() == 3).await;
        // From commit to consumer. The median leaves out what this machine does besides.
        let mut delays = Vec::new();
        for id in 200_000..200_030 {
            sql.execute(&format!("INSERT INTO t VALUES ({id}, 'single')")).await.unwrap();
            let committed = Instant::now();
            let wanted = seen.commits.len() + 1;
            read(&mut stream, &mut seen, |seen| seen.commits.len() == wanted).await;
            delays.push(committed.elapsed());
        }
        delays.sort();
        assert!(delays[15] < Duration::from_millis(50), "{mode}: {delays:?}");
        stream.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_told() {
    let server = start(ServerConfig::new()).await;
    let (mut sql, replication) = ready(&server).await;
    let error = replication.start_replication(StreamOptions::new("none", ["p"])).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42704"), "{error}");
    assert!(error.message().contains("none"), "{error}");
    assert!(!error.is_retryable());

    let plain = Client::connect(&config(&server)).await.unwrap();
    let error = plain.start_replication(StreamOptions::new("none", ["p"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");

    let mut client = Client::connect_replication(&config(&server)).await.unwrap();
    client.create_slot("s", &SlotOptions::new()).await.unwrap();
    // A publication that does not exist shows with the first change; PostgreSQL 18 leaves it out.
    if server.version() < 18 {
        let mut stream = client.start_replication(StreamOptions::new("s", ["gone"])).await.unwrap();
        sql.execute("INSERT INTO t VALUES (1, 'a')").await.unwrap();
        let error = stream_error(&mut stream).await;
        assert_eq!(error.sqlstate(), Some("42704"), "{error}");
        assert_eq!(stream_error(&mut stream).await.sqlstate(), Some("42704"), "the same again");
        assert_eq!(stream.stop().await.unwrap_err().sqlstate(), Some("42704"));
    } else {
        drop(client);
    }

    // Sent away in the middle.
    let stream = until(|| async {
        let client = Client::connect_replication(&config(&server)).await.unwrap();
        client.start_replication(StreamOptions::new("s", ["p"])).await.ok()
    });
    let mut stream = stream.await;
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication").await.unwrap();
    let error = stream_error(&mut stream).await;
    assert_eq!(error.sqlstate(), Some("57P01"), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away() {
    let mut server = start(ServerConfig::new()).await;
    let (_, mut replication) = ready(&server).await;
    replication.create_slot("s", &SlotOptions::new()).await.unwrap();
    let options = || StreamOptions::new("s", ["p"]);

    // A crash.
    let mut stream = replication.start_replication(options()).await.unwrap();
    server = spawn_blocking(move || {
        server.crash().unwrap();
        server
    })
    .await
    .unwrap();
    let error = stream_error(&mut stream).await;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(error.is_retryable());
    assert_eq!(stream.stop().await.unwrap_err().kind(), ErrorKind::Closed);
    let error = Client::connect(&config(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");

    // A shutdown in order, which waits until the last position is acknowledged.
    server = spawn_blocking(move || {
        server.restart().unwrap();
        server
    })
    .await
    .unwrap();
    let client = Client::connect_replication(&config(&server)).await.unwrap();
    let mut stream = client.start_replication(options()).await.unwrap();
    let down = spawn_blocking(move || server.stop().unwrap());
    let error = loop {
        match timeout(LIMIT, stream.next()).await.unwrap() {
            Ok(Some(batch)) => {
                for frame in batch.frames() {
                    if let Frame::Keepalive { end, .. } = Frame::decode(frame).unwrap() {
                        stream.acknowledge(end);
                    }
                }
            }
            Ok(None) => panic!("ended in good order"),
            Err(error) => break error,
        }
    };
    assert!(error.is_retryable(), "{error}");
    down.await.unwrap();
}

/// Passes bytes on, until told to hold them back for good.
async fn proxy(to: u16) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hold, held) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut held = held.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    () = async { drop(held.wait_for(|held| *held).await) } => {}
                }
                // Both ends stay open.
                std::future::pending::<()>().await;
            });
        }
    });
    (port, hold)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything() {
    let server = start(ServerConfig::new()).await;
    let (mut sql, mut replication) = ready(&server).await;
    replication.create_slot("s", &SlotOptions::new()).await.unwrap();
    let (port, hold) = proxy(server.port()).await;
    let client = Client::connect_replication(&config(&server).with_port(port)).await.unwrap();
    let options = StreamOptions::new("s", ["p"]).with_idle_timeout(Duration::from_millis(800));
    let mut stream = client.start_replication(options).await.unwrap();
    // Idle for much longer than the limit: the server answers when asked for a sign of life.
    let mut seen = Seen::default();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    sql.execute("INSERT INTO t VALUES (1, 'a')").await.unwrap();
    read(&mut stream, &mut seen, |seen| seen.ids.len() == 1).await;
    hold.send(true).unwrap();
    let error = stream_error(&mut stream).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable());
}

#[test]
fn everything_can_be_sent_to_other_threads() {
    fn send<T: Send>(_: &T) {}
    fn send_sync<T: Send + Sync>() {}
    send_sync::<Client>();
    send_sync::<Stream>();
    send_sync::<Error>();
    send_sync::<pgoutput::client::Batch>();
    send_sync::<pgoutput::client::Acknowledger>();
    let config = Config::new("localhost");
    send(&Client::connect(&config));
    send(&Client::connect_replication(&config));
}
