//! What is too old or too much goes, whole files at a time.

use std::time::Duration;

use embedded_services::broker::Config;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::FutureRecord;

use crate::client::{DEADLINE, Stand, stand_with, until};

async fn topic(settings: &[(&str, &str)]) -> Stand {
    let often = |config: Config| config.with_retention_interval(Duration::from_millis(50));
    let stand = stand_with(often).await;
    let mut topic = NewTopic::new("t", 1, TopicReplication::Fixed(1)).set("segment.bytes", "2000");
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let made = stand.admin().create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(made, [Ok("t".to_owned())]);
    stand
}

async fn fill(stand: &Stand, timestamp: Option<i64>) {
    let producer = stand.producer();
    let value = "x".repeat(400);
    for _ in 0..50 {
        let mut record = FutureRecord::<(), _>::to("t").payload(&value);
        record.timestamp = timestamp;
        producer.send(record, DEADLINE).await.unwrap();
    }
}

fn watermarks(stand: &Stand) -> (i64, i64) {
    let consumer: BaseConsumer = stand.client().create().unwrap();
    consumer.fetch_watermarks("t", 0, DEADLINE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_keeps_about_as_many_bytes_as_it_may() {
    let stand = topic(&[("retention.bytes", "6000")]).await;
    fill(&stand, None).await;
    // A batch of one such record has some 470 bytes, and five of them fill a file. Until there is no
    // file left that could go, more may go while they are read.
    until("old files are gone", || {
        let (first, end) = watermarks(&stand);
        (end - first) * 470 < 6000 + 5 * 470
    })
    .await;
    let (first, end) = watermarks(&stand);
    // No less than was promised.
    assert!(end == 50 && (end - first) * 470 >= 6000, "{first} to {end}");
    let read = stand.read_all("t", 1, usize::try_from(end - first).unwrap());
    assert_eq!(read[0].offset(), first);

    let stand = stand.restart().await;
    assert_eq!(watermarks(&stand), (first, end));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_and_young_ones_stay() {
    let stand = topic(&[("retention.ms", "3600000")]).await;
    fill(&stand, Some(1_600_000_000_000)).await;
    fill(&stand, None).await;
    until("the old ones are gone", || watermarks(&stand).0 > 45).await;
    let (first, end) = watermarks(&stand);
    // The file in which old ones meet young ones stays.
    assert!(first <= 50 && end == 100, "{first} to {end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_only_compacted_loses_nothing_by_size() {
    let stand = topic(&[("retention.bytes", "6000"), ("cleanup.policy", "compact")]).await;
    fill(&stand, None).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(watermarks(&stand), (0, 50));
}
