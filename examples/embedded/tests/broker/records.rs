//! Records go in and come out as they were.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, Timestamp};
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer as _,
    ThreadedProducer,
};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{DEADLINE, offsets, read, stand, stand_with, text, until};

#[tokio::test]
async fn keys_headers_nulls_and_timestamps_come_back() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer = stand.producer();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header::<&[u8]> { key: "none", value: None });
    let full =
        FutureRecord::to("t").key("k").payload("v").timestamp(1_700_000_000_123).headers(headers);
    producer.send(full, DEADLINE).await.unwrap();
    let tombstone = FutureRecord::<_, ()>::to("t").key("gone").timestamp(5);
    producer.send(tombstone, DEADLINE).await.unwrap();
    let keyless = FutureRecord::<(), _>::to("t").payload("").timestamp(6);
    producer.send(keyless, DEADLINE).await.unwrap();

    let messages = stand.read_all("t", 1, 3);
    let full = &messages[0];
    assert_eq!((full.key(), full.payload()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(full.timestamp(), Timestamp::CreateTime(1_700_000_000_123));
    let headers = full.headers().unwrap();
    assert_eq!(headers.get(0), Header { key: "a", value: Some(&b"1"[..]) });
    assert_eq!(headers.get(1), Header { key: "none", value: None });
    assert_eq!((messages[1].key(), messages[1].payload()), (Some(&b"gone"[..]), None));
    assert_eq!((messages[2].key(), messages[2].payload()), (None, Some(&b""[..])));
    assert_eq!(offsets(&messages)[&0], [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_batches_pass_through() {
    let stand = stand().await;
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        stand.topic(codec, 1).await;
        let producer: ThreadedProducer<DefaultProducerContext> =
            stand.client().set("compression.codec", codec).set("linger.ms", "50").create().unwrap();
        let value = "the same again and again ".repeat(20);
        for i in 0..1000 {
            let value = format!("{i} {value}");
            producer.send(BaseRecord::<(), _>::to(codec).payload(&value)).map_err(|e| e.0).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        let messages = stand.read_all(codec, 1, 1000);
        for (i, message) in messages.iter().enumerate() {
            assert_eq!(text(message), format!("{i} {value}"), "{codec}");
        }
        let stored =
            std::fs::metadata(stand.dir.path().join(format!("{codec}-0/00000000000000000000.log")));
        assert!(stored.unwrap().len() < 100_000, "{codec} was not stored as it came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_writes_each_message_once_and_in_order() {
    const COUNT: usize = 100_000;
    let stand = stand().await;
    stand.topic("t", 3).await;
    let producer: ThreadedProducer<DefaultProducerContext> =
        stand.client().set("enable.idempotence", "true").set("linger.ms", "1").create().unwrap();
    for i in 0..COUNT {
        let value = i.to_string();
        let partition = i32::try_from(i % 3).unwrap();
        let record = BaseRecord::<(), _>::to("t").partition(partition).payload(&value);
        producer.send(record).map_err(|e| e.0).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    let messages = stand.read_all("t", 3, COUNT);
    let mut next = [0usize, 1, 2];
    for message in &messages {
        let expected = &mut next[usize::try_from(message.partition()).unwrap()];
        assert_eq!(text(message), expected.to_string());
        *expected += 3;
    }
    for (partition, offsets) in offsets(&messages) {
        let expected: Vec<i64> = (0..).take(offsets.len()).collect();
        assert_eq!(offsets, expected, "partition {partition}");
        let watermarks = stand.reader("t", 3).fetch_watermarks("t", partition, DEADLINE).unwrap();
        assert_eq!(watermarks, (0, i64::try_from(offsets.len()).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_may_begin_anywhere_in_a_batch() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let producer: ThreadedProducer<DefaultProducerContext> =
        stand.client().set("linger.ms", "500").create().unwrap();
    for i in 0..100i64 {
        let value = i.to_string();
        let record = BaseRecord::<(), _>::to("t").payload(&value).timestamp(1000 + i * 10);
        producer.send(record).map_err(|e| e.0).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    for start in [1, 50, 99] {
        let consumer: BaseConsumer = stand.client().set("group.id", "g").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(start)).unwrap();
        consumer.assign(&list).unwrap();
        let messages = read(&consumer, usize::try_from(100 - start).unwrap());
        assert_eq!((messages[0].offset(), text(&messages[0])), (start, start.to_string()));
        assert_eq!(consumer.fetch_watermarks("t", 0, DEADLINE).unwrap(), (0, 100));
    }
    let by_time = |time: i64| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(time)).unwrap();
        let found = stand.reader("t", 1).offsets_for_times(list, DEADLINE).unwrap();
        found.find_partition("t", 0).unwrap().offset()
    };
    assert_eq!(by_time(0), Offset::Offset(0));
    assert_eq!(by_time(1500), Offset::Offset(50));
    assert_eq!(by_time(1501), Offset::Offset(51));
    assert_eq!(by_time(1991), Offset::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_grown_described_and_removed() {
    let stand = stand().await;
    let admin = stand.admin();
    let options = AdminOptions::new();
    let compacted =
        NewTopic::new("t", 2, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    assert_eq!(admin.create_topics(&[compacted], &options).await.unwrap(), [Ok("t".to_owned())]);
    let refusals = [
        (NewTopic::new("t", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::TopicAlreadyExists),
        (NewTopic::new("a b", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new("u", 0, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidPartitions),
        (
            NewTopic::new("u", 1, TopicReplication::Fixed(3)),
            RDKafkaErrorCode::InvalidReplicationFactor,
        ),
        (
            NewTopic::new("u", 1, TopicReplication::Fixed(1)).set("clean.up", "x"),
            RDKafkaErrorCode::InvalidConfig,
        ),
    ];
    for (topic, code) in refusals {
        let name = topic.name.to_owned();
        let refused = admin.create_topics(&[topic], &options).await.unwrap();
        assert_eq!(refused, [Err((name, code))]);
    }

    let grown = admin.create_partitions(&[NewPartitions::new("t", 5)], &options).await.unwrap();
    assert_eq!(grown, [Ok("t".to_owned())]);
    let shrunk = admin.create_partitions(&[NewPartitions::new("t", 4)], &options).await.unwrap();
    assert_eq!(shrunk, [Err(("t".to_owned(), RDKafkaErrorCode::InvalidPartitions))]);

    let stand = stand.restart().await;
    let admin = stand.admin();
    let metadata = stand.reader("t", 1).fetch_metadata(Some("t"), DEADLINE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 5);
    let described = admin.describe_configs(&[ResourceSpecifier::Topic("t")], &options).await;
    let described = described.unwrap().remove(0).unwrap();
    let policy = described.get("cleanup.policy").unwrap();
    assert_eq!((policy.value.as_deref(), policy.is_default), (Some("compact"), false));
    let largest = described.get("max.message.bytes").unwrap();
    assert_eq!((largest.value.as_deref(), largest.is_default), (Some("1048588"), true));

    assert_eq!(admin.delete_topics(&["t"], &options).await.unwrap(), [Ok("t".to_owned())]);
    let again = admin.delete_topics(&["t"], &options).await.unwrap();
    assert_eq!(again, [Err(("t".to_owned(), RDKafkaErrorCode::UnknownTopicOrPartition))]);
    assert!(!stand.dir.path().join("t-0").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_is_an_error_unless_topics_make_themselves() {
    let strict = stand().await;
    let producer: FutureProducer = strict
        .client()
        .set("topic.metadata.propagation.max.ms", "300")
        .set("message.timeout.ms", "5000")
        .create()
        .unwrap();
    let record = FutureRecord::<(), _>::to("nowhere").payload("x");
    let (error, _) = producer.send(record, DEADLINE).await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopicOrPartition));

    let lenient =
        stand_with(|config| config.with_auto_create_topics().with_default_partitions(3)).await;
    let record = FutureRecord::<(), _>::to("anywhere").payload("x");
    lenient.producer().send(record, DEADLINE).await.unwrap();
    assert_eq!(lenient.read_all("anywhere", 3, 1).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_as_large_as_the_topic_allows() {
    let stand = stand().await;
    let large =
        NewTopic::new("large", 1, TopicReplication::Fixed(1)).set("max.message.bytes", "6000000");
    stand.admin().create_topics(&[large], &AdminOptions::new()).await.unwrap();
    stand.topic("small", 1).await;
    let producer: FutureProducer =
        stand.client().set("message.max.bytes", "10000000").create().unwrap();
    let value = vec![7u8; 5_000_000];
    let send = |topic: &'static str| {
        producer.send(FutureRecord::<(), _>::to(topic).payload(&value), DEADLINE)
    };
    send("large").await.unwrap();
    let (error, _) = send("small").await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    // Larger than what a fetch asks for by default, so the broker has to give more.
    assert_eq!(stand.read_all("large", 1, 1)[0].payload().unwrap(), value);
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_told_at_once_about_new_messages() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let consumer: BaseConsumer = stand
        .client()
        .set("group.id", "g")
        .set("fetch.wait.max.ms", "20000")
        .set("socket.timeout.ms", "60000")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let producer = stand.producer();
    let mut got = 0;
    let start = Instant::now();
    for i in 0..20 {
        producer.send(FutureRecord::<(), _>::to("t").payload("x"), DEADLINE).await.unwrap();
        until("the message", || {
            got +=
                usize::from(consumer.poll(Duration::from_millis(1)).transpose().unwrap().is_some());
            got > i
        })
        .await;
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
