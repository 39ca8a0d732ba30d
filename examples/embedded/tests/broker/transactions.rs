//! Transactions: all of one is seen or nothing, and only its newest producer writes.

use std::time::Duration;

use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{DEADLINE, Stand, around, offsets, read, stand, text};

type Transactional = ThreadedProducer<DefaultProducerContext>;

fn producer(stand: &Stand, id: &str) -> Transactional {
    producer_with(stand, id, "60000")
}

fn producer_with(stand: &Stand, id: &str, timeout_ms: &str) -> Transactional {
    let mut config = stand.client();
    config.set("transactional.id", id).set("transaction.timeout.ms", timeout_ms);
    let producer = ThreadedProducer::from_config(&config).unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer
}

fn send(producer: &Transactional, partition: i32, value: &str) {
    let record = BaseRecord::<(), _>::to("t").partition(partition).payload(value);
    producer.send(record).map_err(|refused| refused.0).unwrap();
}

fn reader(stand: &Stand, isolation: &str, partitions: i32) -> BaseConsumer {
    let mut config = stand.client();
    config.set("group.id", "reader").set("enable.auto.commit", "false");
    let consumer = BaseConsumer::from_config(config.set("isolation.level", isolation)).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset("t", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// What there is for a while, and not more.
fn drain(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let mut values: Vec<String> = read(consumer, count).iter().map(text).collect();
    while let Some(message) = consumer.poll(Duration::from_millis(300)) {
        values.push(text(&message.unwrap().detach()));
    }
    values
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        other => other.rdkafka_error_code(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_records_are_in_the_log_but_hidden() {
    let stand = stand().await;
    stand.topic("t", 2).await;
    let producer = producer(&stand, "id");
    for (round, outcome) in ["commit", "abort", "commit", "abort"].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        for i in 0..10 {
            send(&producer, i % 2, &format!("{outcome} {round} {i}"));
        }
        // Otherwise an abort throws the records away before they are sent.
        producer.flush(DEADLINE).unwrap();
        match outcome {
            "commit" => producer.commit_transaction(DEADLINE).unwrap(),
            _ => producer.abort_transaction(DEADLINE).unwrap(),
        }
    }
    let committed = drain(&reader(&stand, "read_committed", 2), 20);
    assert_eq!(committed.len(), 20, "{committed:?}");
    assert!(committed.iter().all(|value| value.starts_with("commit")), "{committed:?}");
    let all = drain(&reader(&stand, "read_uncommitted", 2), 40);
    assert_eq!(all.len(), 40);
    // Five records and a marker in each of four rounds.
    let watermarks = reader(&stand, "read_committed", 2).fetch_watermarks("t", 1, DEADLINE);
    assert_eq!(watermarks.unwrap(), (0, 24));

    // The index of what was aborted is found again in the log.
    let stand = stand.restart().await;
    let again = drain(&reader(&stand, "read_committed", 2), 20);
    assert_eq!(again.len(), 20, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_an_open_transaction_is_shown() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let (slow, fast) = (producer(&stand, "slow"), producer(&stand, "fast"));
    slow.begin_transaction().unwrap();
    send(&slow, 0, "slow");
    slow.flush(DEADLINE).unwrap();
    fast.begin_transaction().unwrap();
    send(&fast, 0, "fast");
    fast.commit_transaction(DEADLINE).unwrap();

    let committed = reader(&stand, "read_committed", 1);
    assert!(committed.poll(Duration::from_millis(500)).is_none());
    assert_eq!(drain(&reader(&stand, "read_uncommitted", 1), 2), ["slow", "fast"]);
    slow.commit_transaction(DEADLINE).unwrap();
    assert_eq!(drain(&committed, 2), ["slow", "fast"]);
}

fn committed_offset(stand: &Stand, group: &str) -> Offset {
    let mut config = stand.client();
    let consumer = BaseConsumer::from_config(config.set("group.id", group)).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    let found = consumer.committed_offsets(list, DEADLINE).unwrap();
    found.find_partition("t", 0).unwrap().offset()
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_share_the_fate_of_their_transaction() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer = producer(&stand, "id");
    let mut config = stand.client();
    config.set("group.id", "g").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest");
    let consumer = BaseConsumer::from_config(&config).unwrap();
    consumer.subscribe(&["t"]).unwrap();
    // The group metadata names the member once it has joined.
    producer.begin_transaction().unwrap();
    send(&producer, 0, "first");
    producer.commit_transaction(DEADLINE).unwrap();
    read(&consumer, 1);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(5)).unwrap();
    for (commit, expected) in [(false, Offset::Invalid), (true, Offset::Offset(5))] {
        producer.begin_transaction().unwrap();
        send(&producer, 0, "x");
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&list, &group, DEADLINE).unwrap();
        assert_eq!(committed_offset_now(&stand), Offset::Invalid);
        producer.flush(DEADLINE).unwrap();
        match commit {
            true => producer.commit_transaction(DEADLINE).unwrap(),
            false => producer.abort_transaction(DEADLINE).unwrap(),
        }
        assert_eq!(committed_offset(&stand, "g"), expected);
    }
    drop(consumer);
    let stand = stand.restart().await;
    assert_eq!(committed_offset(&stand, "g"), Offset::Offset(5));
}

/// Asks without waiting for a stable offset, which a default consumer does.
fn committed_offset_now(stand: &Stand) -> Offset {
    let mut config = stand.client();
    config.set("group.id", "g").set("isolation.level", "read_uncommitted");
    let consumer = BaseConsumer::from_config(&config).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    let found = consumer.committed_offsets(list, DEADLINE).unwrap();
    found.find_partition("t", 0).unwrap().offset()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_fenced_and_its_open_transaction_aborted() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let zombie = producer(&stand, "id");
    zombie.begin_transaction().unwrap();
    send(&zombie, 0, "zombie");
    zombie.flush(DEADLINE).unwrap();

    let heir = producer(&stand, "id");
    heir.begin_transaction().unwrap();
    send(&heir, 0, "heir");
    heir.commit_transaction(DEADLINE).unwrap();

    let error = zombie.commit_transaction(DEADLINE).unwrap_err();
    assert_eq!(code(&error), Some(RDKafkaErrorCode::Fenced), "{error}");
    assert_eq!(drain(&reader(&stand, "read_committed", 1), 1), ["heir"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_goes_on_after_a_restart_of_the_broker() {
    // A fixed address, so that the producer finds the broker again.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let config = embedded_services::broker::Config::new(dir.path()).with_listen(address);
    let start = || embedded_services::broker::Broker::start(config.clone());
    let stand = around(start().await.unwrap(), dir);
    stand.topic("t", 1).await;
    let producer = producer(&stand, "id");
    let open = self::producer(&stand, "left open");
    open.begin_transaction().unwrap();
    send(&open, 0, "left open");
    open.flush(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, 0, "before");
    producer.flush(DEADLINE).unwrap();

    let Stand { broker, dir, .. } = stand;
    broker.shutdown().await.unwrap();
    let stand = around(start().await.unwrap(), dir);
    send(&producer, 0, "after");
    producer.commit_transaction(DEADLINE).unwrap();
    let committed = reader(&stand, "read_committed", 1);
    assert!(committed.poll(Duration::from_millis(500)).is_none());
    // Its next owner ends what was left open.
    let _heir = self::producer(&stand, "left open");
    assert_eq!(drain(&committed, 2), ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let late = producer_with(&stand, "late", "1000");
    late.begin_transaction().unwrap();
    send(&late, 0, "late");
    late.flush(DEADLINE).unwrap();
    let quick = producer(&stand, "quick");
    quick.begin_transaction().unwrap();
    send(&quick, 0, "quick");
    quick.commit_transaction(DEADLINE).unwrap();
    // Shown only once the broker has ended the other transaction by itself.
    assert_eq!(drain(&reader(&stand, "read_committed", 1), 1), ["quick"]);
    let error = late.commit_transaction(DEADLINE).unwrap_err();
    assert_eq!(code(&error), Some(RDKafkaErrorCode::Fenced), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_records_leave_room_for_the_markers() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer = producer(&stand, "id");
    for value in ["a", "b"] {
        producer.begin_transaction().unwrap();
        send(&producer, 0, value);
        producer.commit_transaction(DEADLINE).unwrap();
    }
    let messages = read(&reader(&stand, "read_committed", 1), 2);
    assert_eq!(offsets(&messages)[&0], [0, 2]);
    assert_eq!(messages[1].payload(), Some(&b"b"[..]));
}
