//! What a client sees of a server that crashes or hangs.

use std::{fs, process::Command, time::Duration};

use embedded_services::postgres::{Config, ErrorKind, Postgres};
use pgoutput::client::{self, Client, SlotOptions, StreamOptions};
use tokio::time::timeout;

use crate::{LIMIT, config, connect, connect_replication, inserted, one};

/// A table with one row that the stream has seen, and the stream broken by `end`.
async fn stream_broken_by(end: fn(&mut Postgres)) {
    let mut server = Postgres::start(Config::new()).unwrap();
    let mut sql = connect(&server).await;
    sql.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
        .await
        .unwrap();
    let mut replication = connect_replication(&server).await;
    replication.create_slot("s", &SlotOptions::new()).await.unwrap();
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    sql.execute("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(inserted(&mut stream, 1).await.0, [1]);
    sql.execute("INSERT INTO t VALUES (2)").await.unwrap();

    end(&mut server);
    let error = timeout(LIMIT, async {
        loop {
            if let Err(error) = stream.next().await {
                return error;
            }
        }
    });
    let error = error.await.expect("the stream ends with the server");
    assert!(error.is_retryable(), "{error:?}");
    let error = Client::connect(&config(&server)).await.unwrap_err();
    assert_eq!(error.kind(), client::ErrorKind::Connect, "down until it is restarted");
    assert_eq!(server.pause().unwrap_err().kind(), &ErrorKind::Down);

    server.restart().unwrap();
    assert!(server.log_tail().contains("automatic recovery in progress"), "{}", server.log_tail());
    let mut sql = connect(&server).await;
    sql.execute("INSERT INTO t VALUES (3)").await.unwrap();
    let replication = connect_replication(&server).await;
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    let (numbers, _) = inserted(&mut stream, 3).await;
    assert_eq!(numbers, [1, 2, 3], "what was not acknowledged comes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_breaks_the_stream_and_loses_nothing() {
    stream_broken_by(|server| server.crash().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_breaks_the_stream_and_loses_nothing() {
    stream_broken_by(|server| server.kill().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_silent_until_it_is_resumed() {
    let mut server = Postgres::start(Config::new()).unwrap();
    let mut sql = connect(&server).await;
    server.pause().unwrap();
    let quick = config(&server).with_connect_timeout(Duration::from_millis(300));
    let error = Client::connect(&quick).await.unwrap_err();
    assert_eq!(error.kind(), client::ErrorKind::Timeout, "{error:?}");

    let mut answer = tokio::spawn(async move { one(&mut sql, "SELECT 'awake'").await });
    let silence = timeout(Duration::from_millis(300), &mut answer).await;
    assert!(silence.is_err(), "an open session is stopped too");
    server.resume().unwrap();
    let answer = timeout(LIMIT, answer).await.unwrap().unwrap();
    assert_eq!(answer.as_deref(), Some("awake"));
    connect(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_can_be_stopped() {
    let mut server = Postgres::start(Config::new()).unwrap();
    let _session = connect(&server).await;
    let family = family(&server);
    server.pause().unwrap();
    leaves_nothing(server, &family);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_nothing() {
    let mut server = Postgres::start(Config::new()).unwrap();
    let _session = connect(&server).await;
    let family = family(&server);
    server.kill().unwrap();
    server.kill().unwrap();
    leaves_nothing(server, &family);
}

/// The server's processes.
fn family(server: &Postgres) -> Vec<u32> {
    let first = fs::read_to_string(server.data_dir().join("postmaster.pid")).unwrap();
    let first: u32 = first.lines().next().unwrap().parse().unwrap();
    let family: Vec<u32> = processes()
        .into_iter()
        .filter(|pair| pair.contains(&first))
        .map(|[_, process]| process)
        .collect();
    assert!(family.len() > 3, "it has processes: {family:?}");
    family
}

/// Parent and number of every process.
fn processes() -> Vec<[u32; 2]> {
    let output = Command::new("ps").args(["-A", "-o", "ppid=", "-o", "pid="]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (parent, process) = line.trim().split_once(' ').unwrap();
        [parent, process.trim()].map(|number| number.parse().unwrap())
    };
    text.lines().map(pair).collect()
}

fn leaves_nothing(server: Postgres, family: &[u32]) {
    let data = server.data_dir().to_owned();
    drop(server);
    assert!(!data.parent().unwrap().exists());
    let left: Vec<_> =
        processes().into_iter().filter(|[_, process]| family.contains(process)).collect();
    assert!(left.is_empty(), "{left:?}");
}
