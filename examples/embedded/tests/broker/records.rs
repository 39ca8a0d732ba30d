//! Records go in and come out as they were.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _, ThreadedProducer};
use rdkafka::util::Timeout;

use crate::client::{DEADLINE, offsets, read, stand, stand_with, text};

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
