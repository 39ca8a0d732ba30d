//! Consumer groups as librdkafka lives them.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{DEADLINE, Stand, stand, text, until};

fn member(stand: &Stand, group: &str, strategy: &str) -> BaseConsumer {
    let consumer: BaseConsumer = stand
        .client()
        .set("group.id", group)
        .set("partition.assignment.strategy", strategy)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("heartbeat.interval.ms", "100")
        .set("session.timeout.ms", "6000")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    consumer
}

/// How many partitions a member has, after letting its callbacks run.
fn owned(consumer: &BaseConsumer) -> usize {
    consumer.poll(Duration::ZERO).transpose().unwrap();
    consumer.assignment().unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_out_anew_when_members_come_and_go() {
    for strategy in ["cooperative-sticky", "range", "roundrobin"] {
        let stand = stand().await;
        stand.topic("t", 4).await;
        let first = member(&stand, "g", strategy);
        until("four", || owned(&first) == 4).await;
        let second = member(&stand, "g", strategy);
        until("two and two", || (owned(&first), owned(&second)) == (2, 2)).await;
        let list = first.fetch_group_list(Some("g"), DEADLINE).unwrap();
        let group = &list.groups()[0];
        assert_eq!((group.state(), group.members().len()), ("Stable", 2), "{strategy}");
        assert_eq!(group.protocol(), strategy);
        drop(second);
        until("four again", || owned(&first) == 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stops_polling_loses_its_place() {
    let stand = stand().await;
    stand.topic("t", 2).await;
    let first = member(&stand, "g", "range");
    until("both", || owned(&first) == 2).await;
    // Polled once it joins, then never again: librdkafka gives up its place.
    let second: BaseConsumer = stand
        .client()
        .set("group.id", "g")
        .set("session.timeout.ms", "6000")
        .set("max.poll.interval.ms", "6000")
        .set("heartbeat.interval.ms", "100")
        .create()
        .unwrap();
    second.subscribe(&["t"]).unwrap();
    until("one each", || (owned(&first), owned(&second)) == (1, 1)).await;
    until("both again", || owned(&first) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_and_their_metadata_outlive_the_broker() {
    let mut stand = stand().await;
    stand.topic("t", 2).await;
    let consumer = member(&stand, "g", "range");
    until("assigned", || owned(&consumer) == 2).await;
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition("t", 1);
    element.set_offset(Offset::Offset(42)).unwrap();
    element.set_metadata("{\"part\":\"x\u{e9}\"}");
    consumer.commit(&list, CommitMode::Sync).unwrap();
    drop(consumer);
    for _ in 0..2 {
        stand = stand.restart().await;
        let reader: BaseConsumer = stand.client().set("group.id", "g").create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range("t", 0, 1);
        let found = reader.committed_offsets(asked, DEADLINE).unwrap();
        let element = found.find_partition("t", 1).unwrap();
        assert_eq!(element.offset(), Offset::Offset(42));
        assert_eq!(element.metadata(), "{\"part\":\"x\u{e9}\"}");
        assert_eq!(found.find_partition("t", 0).unwrap().offset(), Offset::Invalid);
    }
    let admin = stand.admin();
    let deleted = admin.delete_groups(&["g"], &Default::default()).await.unwrap();
    assert_eq!(deleted, [Ok("g".to_owned())]);
    let again = admin.delete_groups(&["g"], &Default::default()).await.unwrap();
    assert_eq!(again, [Err(("g".to_owned(), RDKafkaErrorCode::GroupIdNotFound))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_more_than_4096_bytes_is_refused() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let consumer = member(&stand, "g", "range");
    until("assigned", || owned(&consumer) == 1).await;
    let commit = |len: usize| {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition("t", 0);
        element.set_offset(Offset::Offset(1)).unwrap();
        element.set_metadata("m".repeat(len));
        consumer.commit(&list, CommitMode::Sync)
    };
    assert_eq!(commit(4096), Ok(()));
    let refused = KafkaError::ConsumerCommit(RDKafkaErrorCode::OffsetMetadataTooLarge);
    assert_eq!(commit(4097), Err(refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_after_the_broker_was_replaced() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let port = stand.broker.address();
    let consumer: StreamConsumer = stand
        .client()
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let producer = stand.producer();
    producer.send(FutureRecord::<(), _>::to("t").payload("one"), DEADLINE).await.unwrap();
    let first = next(&consumer).await;
    assert_eq!(first, "one");
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();

    let Stand { broker, dir, .. } = stand;
    broker.shutdown().await.unwrap();
    let config = embedded_services::broker::Config::new(dir.path()).with_listen(port);
    let broker = embedded_services::broker::Broker::start(config).await.unwrap();
    let stand = crate::client::around(broker, dir);
    let producer = stand.producer();
    producer.send(FutureRecord::<(), _>::to("t").payload("two"), DEADLINE).await.unwrap();
    assert_eq!(next(&consumer).await, "two");
}

/// The next message, past the errors a lost connection gives.
async fn next(consumer: &StreamConsumer) -> String {
    let receive = async {
        loop {
            if let Ok(message) = consumer.recv().await {
                return text(&message.detach());
            }
        }
    };
    tokio::time::timeout(DEADLINE, receive).await.unwrap()
}
