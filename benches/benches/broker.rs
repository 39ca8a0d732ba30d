//! The embedded broker beside librdkafka's mock cluster: a million messages in, a million out.
//!
//! Each runs in a process of its own, which is this program again, so that its memory can be told
//! from that of the client. Not a matter for Criterion: one round takes seconds, and what is asked
//! for is a rate, a count of lost messages and the peak of memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench may fail loudly and prints what it measured"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use embedded_services::broker::{Broker, Config};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const MESSAGES: u32 = 1_000_000;
const BYTES: usize = 300;
const PARTITIONS: i32 = 4;
const ROUNDS: usize = 3;
const ROLE: &str = "BROKER_BENCH_ROLE";
const LIMIT: Duration = Duration::from_secs(120);
/// Longer than that without a message, and the rest is lost.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("embedded") => serve_embedded(),
        Ok("mock") => serve_mock(),
        _ => {
            println!("{MESSAGES} messages of {BYTES} bytes to {PARTITIONS} partitions");
            for role in ["embedded", "mock"] {
                measure(role);
            }
        }
    }
}

fn serve_embedded() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config::new(dir.path()).with_auto_create_topics();
    let config = config.with_default_partitions(u16::try_from(PARTITIONS).unwrap());
    let broker = runtime.block_on(Broker::start(config)).unwrap();
    announce(&broker.bootstrap());
    drop(broker);
}

fn serve_mock() {
    let cluster = MockCluster::new(1).unwrap();
    for round in 0..ROUNDS {
        cluster.create_topic(&topic(round), PARTITIONS, 1).unwrap();
    }
    announce(&cluster.bootstrap_servers());
}

/// Says where the broker is, and waits for the parent to end.
fn announce(address: &str) {
    println!("{address}");
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).unwrap();
}

fn measure(role: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    for round in 0..ROUNDS {
        let topic = topic(round);
        let produced = produce(address.trim(), &topic);
        let (read, consumed) = consume(address.trim(), &topic);
        println!(
            "{role:8}  produce {:>7.0}/s  consume {:>7.0}/s  lost {:>7}  peak {:>4} MiB",
            f64::from(MESSAGES) / produced.as_secs_f64(),
            f64::from(read) / consumed.as_secs_f64(),
            MESSAGES - read,
            peak_kib(&child) / 1024,
        );
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn topic(round: usize) -> String {
    format!("round-{round}")
}

/// From the first message handed over to the last one acknowledged.
fn produce(address: &str, topic: &str) -> Duration {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "524288")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap();
    producer.client().fetch_metadata(Some(topic), LIMIT).unwrap();
    let value = [b'x'; BYTES];
    let partitions = (0..PARTITIONS).cycle();
    let begin = Instant::now();
    for (_, partition) in (0..MESSAGES).zip(partitions) {
        let mut record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&value[..]);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            record = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(LIMIT).unwrap();
    begin.elapsed()
}

/// How many there were, and the time from the first poll to the last message.
fn consume(address: &str, topic: &str) -> (u32, Duration) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let begin = Instant::now();
    let mut last = begin;
    let mut count = 0;
    while count < MESSAGES && last.elapsed() < PATIENCE {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        assert_eq!(message.unwrap().payload_len(), BYTES);
        count += 1;
        if count % 1000 == 0 || count == MESSAGES {
            last = Instant::now();
        }
    }
    (count, last - begin)
}

/// The most memory the process has held so far, or 0 where nothing tells.
fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let line = |status: &String| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    status.ok().as_ref().and_then(line).unwrap_or(0)
}
