//! What was acknowledged is still there after a stop, a drop and a crash.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use embedded_services::broker::{Broker, Config, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::FutureRecord;

use crate::client::{DEADLINE, Stand, around, stand, stand_with, text};

async fn send(stand: &Stand, values: std::ops::Range<i32>) {
    let producer = stand.producer();
    for value in values {
        let value = value.to_string();
        let record = FutureRecord::<(), _>::to("t").payload(&value);
        producer.send(record, DEADLINE).await.unwrap();
    }
}

fn read(stand: &Stand, count: usize) -> Vec<i32> {
    let messages = stand.read_all("t", 1, count);
    messages.iter().map(|message| text(message).parse().unwrap()).collect()
}

fn log_file(stand: &Stand) -> PathBuf {
    stand.dir.path().join("t-0/00000000000000000000.log")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_topic_ids_outlive_the_broker() {
    let stand = stand_with(Config::with_fsync).await;
    stand.topic("t", 1).await;
    send(&stand, 0..100).await;
    let topics = fs::read_to_string(stand.dir.path().join("topics")).unwrap();
    let stand = stand.restart().await;
    send(&stand, 100..200).await;
    let stand = stand.restart().await;
    assert_eq!(read(&stand, 200), (0..200).collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(stand.dir.path().join("topics")).unwrap(), topics);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_broker_frees_the_directory_at_once() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    send(&stand, 0..10).await;
    let Stand { broker, dir, .. } = stand;
    drop(broker);
    let broker = Broker::start(Config::new(dir.path())).await.unwrap();
    assert_eq!(read(&around(broker, dir), 10), (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    send(&stand, 0..10).await;
    let path = log_file(&stand);
    let Stand { broker, dir, .. } = stand;
    broker.shutdown().await.unwrap();
    let whole = fs::metadata(&path).unwrap().len();
    let tail = fs::read(&path).unwrap()[..70].to_vec();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&tail).unwrap();
    let broker = Broker::start(Config::new(dir.path())).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    let stand = around(broker, dir);
    send(&stand, 10..20).await;
    assert_eq!(read(&stand, 20), (0..20).collect::<Vec<_>>());
    assert_eq!(stand.reader("t", 1).fetch_watermarks("t", 0, DEADLINE).unwrap(), (0, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_read_as_one_log() {
    let stand = stand_with(|config| config.with_segment_bytes(1000)).await;
    stand.topic("t", 1).await;
    send(&stand, 0..100).await;
    let files = || fs::read_dir(stand.dir.path().join("t-0")).unwrap().count();
    assert!(files() > 5, "{}", files());
    assert_eq!(read(&stand, 100), (0..100).collect::<Vec<_>>());
    let stand = stand.restart().await;
    assert_eq!(read(&stand, 100), (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_starts_empty() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    send(&stand, 0..10).await;
    stand.admin().delete_topics(&["t"], &Default::default()).await.unwrap();
    stand.topic("t", 1).await;
    assert_eq!(stand.reader("t", 1).fetch_watermarks("t", 0, DEADLINE).unwrap(), (0, 0));
    send(&stand, 5..7).await;
    assert_eq!(read(&stand, 2), [5, 6]);
}

#[tokio::test]
async fn what_stands_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Broker::start(Config::new(&file)).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Storage, Some(file.as_path())));

    fs::write(dir.path().join("topics"), "no such line\n").unwrap();
    let error = Broker::start(Config::new(dir.path())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    fs::remove_file(dir.path().join("topics")).unwrap();

    let broker = Broker::start(Config::new(dir.path())).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let taken = Config::new(other.path()).with_listen(broker.address());
    assert_eq!(Broker::start(taken).await.unwrap_err().kind(), ErrorKind::Listen);
}
