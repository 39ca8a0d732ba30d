//! The sink on an S3 server of this process, over HTTP: what objects carry, uploads in parts, and
//! every kind of failure at every kind of request.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Attribute, GetOptions, ObjectStore, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use server::{BUCKET, Fault, KEY, Operation, SECRET, Server};
use support::{
    Running, Services, configuration, program,
    rows::{Load, SCHEMA_2, Seen, client, create_topic, register, row},
    run,
};

/// The smallest that S3 takes.
const PART: u64 = 5 << 20;
/// Rows of one part and a bit.
const LARGE: usize = 1_000_000;

type Pairs<'p> = &'p [(&'p str, &'p str)];

struct Place {
    services: Services,
    folder: tempfile::TempDir,
}

/// A sink on a topic of its own.
struct Sink {
    command: Command,
    log: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self { services: Services::start(), folder: tempfile::tempdir().unwrap() }
    }

    /// Makes a topic of these rows, each as long as asked.
    async fn topic(&self, topic: &str, rows: i64, length: usize) {
        create_topic(&self.services, topic, 1).await;
        self.send(topic, 0..rows, length).await;
    }

    async fn send(&self, topic: &str, ids: impl IntoIterator<Item = i64>, length: usize) {
        let schema = register(&self.services, &format!("{topic}-value"), SCHEMA_2).await;
        let producer: FutureProducer =
            client(&self.services).set("message.max.bytes", "2000000").create().unwrap();
        for id in ids {
            let value = row(schema, id, Some(&"x".repeat(length)));
            let record: FutureRecord<'_, (), Vec<u8>> =
                FutureRecord::to(topic).partition(0).payload(&value);
            producer.send(record, Duration::from_secs(20)).await.unwrap();
        }
    }

    fn sink(&self, server: &Server, topic: &str, pairs: &[(&str, &str)]) -> Sink {
        let name = format!("{topic}-sink");
        let mut all = vec![
            ("name", name.as_str()),
            ("topics", topic),
            ("s3.region", "eu-west-1"),
            ("store.url", &server.url),
            ("aws.access.key.id", KEY),
            ("aws.secret.access.key", SECRET),
            ("s3.retry.backoff.ms", "10"),
            ("s3.part.retries", "1"),
        ];
        all.extend(pairs);
        if !all.iter().any(|(key, _)| *key == "s3.bucket.name") {
            all.push(("s3.bucket.name", BUCKET));
        }
        let config = configuration(self.folder.path(), &format!("{topic}.json"), &all);
        let mut command = program();
        command
            .args(["sink", "--strict", "--brokers", &self.services.kafka])
            .args(["--registry-url", &self.services.registry, "--sink-config"])
            .arg(config);
        Sink { command, log: self.folder.path().join(format!("{topic}.log")) }
    }

    /// What the sink's group has committed, and the metadata with it.
    fn committed(&self, topic: &str) -> (i64, String) {
        let consumer: BaseConsumer = client(&self.services)
            .set("group.id", format!("connect-{topic}-sink"))
            .create()
            .unwrap();
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, 0);
        let found = consumer.committed_offsets(wanted, Duration::from_secs(20)).unwrap();
        let found = &found.elements()[0];
        match found.offset() {
            Offset::Offset(at) => (at, found.metadata().to_owned()),
            _ => (0, String::new()),
        }
    }
}

impl Sink {
    fn start(&mut self) -> Running {
        Running::start_logged(&mut self.command, &self.log)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// Waits until it holds, and lets the server work meanwhile.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client that has nothing of the sink.
fn reader(server: &Server) -> AmazonS3 {
    support::install_tls();
    AmazonS3Builder::new()
        .with_endpoint(&server.url)
        .with_allow_http(true)
        .with_region("eu-west-1")
        .with_bucket_name(BUCKET)
        .with_access_key_id(KEY)
        .with_secret_access_key(SECRET)
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_carry_what_is_configured() {
    let (place, server) = (Place::new(), Server::start().await);
    let customer = STANDARD.encode([7; 32]);
    let encryptions: [(&str, Pairs<'_>, Pairs<'_>); 4] = [
        ("plain", &[], &[]),
        ("aes", &[("s3.ssea.name", "AES256")], &[("x-amz-server-side-encryption", "AES256")]),
        (
            "kms",
            &[("s3.ssea.name", "aws:kms"), ("s3.sse.kms.key.id", "key/of-mine")],
            &[
                ("x-amz-server-side-encryption", "aws:kms"),
                ("x-amz-server-side-encryption-aws-kms-key-id", "key/of-mine"),
            ],
        ),
        (
            "customer",
            &[("s3.sse.customer.key", &customer)],
            &[
                ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
                ("x-amz-server-side-encryption-customer-key", &customer),
            ],
        ),
    ];
    for (topic, keys, wanted) in encryptions {
        place.topic(topic, 20, 3).await;
        let tags = [
            ("flush.size", "10"),
            ("s3.object.tagging", "true"),
            ("s3.object.tagging.key.value.pairs", "team:orders & more"),
        ];
        let mut sink = place.sink(&server, topic, &[&tags, keys].concat());
        let (running, mut seen) = (sink.start(), Seen::default());
        let folder = server.bucket().join("topics").join(topic);
        until("20 rows", || seen.look(&folder) == 20).await;
        running.terminate();
        seen.check(topic, &folder, 1, 20);
        assert_eq!(place.committed(topic), (20, String::new()));

        let key = format!("topics/{topic}/partition=0/{topic}+0+0000000010.avro");
        let requests = server.seen();
        let plain = |key: &str| key.replace("%2B", "+").replace("%3D", "=");
        let put = requests.iter().find(|seen| plain(&seen.key) == key).unwrap();
        assert_eq!(put.operation, Operation::Put);
        for (name, value) in wanted {
            assert_eq!(put.header(name), Some(*value), "{topic}: {name}");
        }
        let encrypted = put.headers.keys().any(|name| name.contains("encryption"));
        assert_eq!(encrypted, topic != "plain");
        assert_eq!(
            put.header("x-amz-tagging"),
            Some("startOffset=10&endOffset=19&recordCount=10&team=orders+%26+more")
        );

        let options = GetOptions::default();
        let got = reader(&server).get_opts(&key.as_str().into(), options).await.unwrap();
        let attribute = |name: &'static str| {
            got.attributes.get(&Attribute::Metadata(name.into())).unwrap().to_string()
        };
        let known = ["first_offset", "last_offset", "records"].map(attribute);
        assert_eq!(known, ["10", "19", "10"]);
        assert!(attribute("schema_id").parse::<u32>().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_go_up_in_parts() {
    let (place, server) = (Place::new(), Server::start().await);
    place.topic("large", 12, LARGE).await;
    let customer = STANDARD.encode([9; 32]);
    let mut sink = place.sink(
        &server,
        "large",
        &[("flush.size", "12"), ("s3.object.tagging", "true"), ("s3.sse.customer.key", &customer)],
    );
    let (running, mut seen) = (sink.start(), Seen::default());
    until("the object", || seen.look(&server.bucket()) == 12).await;
    running.terminate();
    seen.check("large", &server.bucket(), 1, 12);

    let requests = server.seen();
    let of = |operation| requests.iter().filter(move |seen| seen.operation == operation);
    assert_eq!(of(Operation::Put).count(), 0);
    assert_eq!(of(Operation::Abort).count(), 0);
    let parts: Vec<u64> = of(Operation::Part).map(server::Seen::length).collect();
    assert_eq!((parts.len(), &parts[..2]), (3, &[PART, PART][..]), "{parts:?}");
    for request in requests.iter().filter(|seen| seen.operation != Operation::Complete) {
        // Each part needs the key too.
        let given = request.header("x-amz-server-side-encryption-customer-key");
        assert_eq!(given, Some(customer.as_str()), "{:?}", request.operation);
    }
    let begun: Vec<_> = of(Operation::Begin).collect();
    assert_eq!(begun.len(), 1);
    // What the upload was begun with is all that was known.
    assert_eq!(begun[0].header("x-amz-tagging"), Some("startOffset=0"));
    assert_eq!(begun[0].header("x-amz-meta-first_offset"), Some("0"));
    let listed: Vec<_> = reader(&server).list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].size, parts.iter().sum::<u64>());
    let tag = reader(&server).head(&listed[0].location).await.unwrap().e_tag.unwrap();
    assert!(tag.trim_matches('"').ends_with("-3"), "{tag}");
    assert_eq!(server.left_over_parts(), 0);
}

/// What the sink says to do about a failure.
fn advice(fault: Fault) -> &'static str {
    match fault {
        Fault::Status(403, _) => "see that the credentials may write to the bucket",
        Fault::Status(404, _) => "see that the bucket exists, in this region",
        _ => "see that the store is reachable, writable and not full",
    }
}

const FAULTS: [Fault; 7] = [
    Fault::Status(403, "AccessDenied"),
    Fault::Status(404, "NoSuchBucket"),
    Fault::Status(500, "InternalError"),
    Fault::Status(503, "SlowDown"),
    Fault::Slow(Duration::from_millis(400)),
    Fault::Cut,
    Fault::LostAnswer,
];

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_of_any_request_loses_or_doubles_an_offset() {
    let place = Place::new();
    let operations = [Operation::Put, Operation::Begin, Operation::Part, Operation::Complete];
    let mut cases: Vec<(Operation, Fault)> = operations
        .into_iter()
        .flat_map(|operation| FAULTS.map(|fault| (operation, fault)))
        .collect();
    // Errors that only come behind a status of 200.
    cases.push((Operation::Complete, Fault::InBody("InternalError")));
    cases.push((Operation::Complete, Fault::InBody("AccessDenied")));
    let number = cases.len();
    let place = &place;
    let runs = cases.into_iter().enumerate().map(|(index, (operation, fault))| async move {
        failing(place, &format!("case-{index}"), operation, fault).await;
    });
    let done = futures_util::stream::iter(runs).buffer_unordered(6).count().await;
    assert_eq!((done, number), (30, 30));
}

/// Two small objects or a large one while every request of a kind fails, and afterwards.
async fn failing(place: &Place, topic: &str, operation: Operation, fault: Fault) {
    let server = Server::start().await;
    let small = operation == Operation::Put;
    let (rows, length, flush) = if small { (20, 3, "10") } else { (6, LARGE, "6") };
    place.topic(topic, rows, length).await;
    let what = format!("{operation:?} {fault:?}");
    server.fail(operation, fault);
    let mut sink = place.sink(&server, topic, &[("flush.size", flush)]);
    let (running, mut seen) = (sink.start(), Seen::default());
    let patient = matches!(fault, Fault::Slow(_));
    if !patient {
        until(&what, || sink.said().matches("trying again in").count() >= 2).await;
        let said = sink.said();
        assert!(
            said.contains(&format!("cannot write topics/{topic}/partition=0/")),
            "{what}: {said}"
        );
        assert!(said.contains(advice(fault)), "{what}: {said}");
        let (committed, metadata) = place.committed(topic);
        assert_eq!(committed, 0, "{what}");
        // Objects are announced before they are completed; parts go up before.
        let announced = matches!(operation, Operation::Put | Operation::Complete);
        assert_eq!(metadata.contains("end"), announced, "{what}: {metadata}");
        if fault != Fault::LostAnswer {
            assert_eq!(seen.look(&server.bucket()), 0, "{what}: nothing is visible");
        }
        server.heal();
    }
    let rows_in_all = usize::try_from(rows).unwrap();
    until(&what, || seen.look(&server.bucket()) >= rows_in_all).await;
    until(&what, || place.committed(topic) == (rows, String::new())).await;
    running.terminate();
    assert!(server.faults(operation) >= if patient { 1 } else { 2 }, "{what}");
    // It has never left its group.
    assert_eq!(sink.said().matches("is assigned").count(), 1, "{what}: {}", sink.said());
    seen.check(&what, &server.bucket(), 1, rows);
    if fault != Fault::LostAnswer {
        assert_eq!(server.left_over_parts(), 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_pass_soon_are_not_even_noticed() {
    let (place, server) = (Place::new(), Server::start().await);
    place.topic("soon", 200, 3).await;
    let pairs = [("flush.size", "20"), ("s3.part.retries", "8"), ("s3.retry.backoff.ms", "50")];
    let mut sink = place.sink(&server, "soon", &pairs);
    server.fail(Operation::Put, Fault::Status(503, "SlowDown"));
    let (running, mut seen) = (sink.start(), Seen::default());
    until("a fault", || server.faults(Operation::Put) >= 2).await;
    server.fail(Operation::Put, Fault::Cut);
    until("another", || server.faults(Operation::Put) >= 3).await;
    server.heal();
    until("200 rows", || seen.look(&server.bucket()) == 200).await;
    running.terminate();
    seen.check("soon", &server.bucket(), 1, 200);
    assert!(!sink.said().contains("trying again"), "{}", sink.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_or_a_key_that_does_not_fit_is_said_at_once() {
    let (place, server) = (Place::new(), Server::start().await);
    create_topic(&place.services, "at-once", 1).await;
    let wrong = [
        (("s3.bucket.name", "nowhere"), "see that the bucket exists"),
        (("aws.secret.access.key", "guessed"), "cannot write to s3://objects"),
    ];
    for (pair, said) in wrong {
        let Sink { mut command, .. } =
            place.sink(&server, "at-once", &[("flush.size", "10"), pair]);
        let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{log}");
        assert!(log.contains(said), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_blocks_for_long_pauses_the_sink_and_leaves_it_in_its_group() {
    let (place, server) = (Place::new(), Server::start().await);
    place.topic("blocked", 20, 3).await;
    let pairs = [
        ("flush.size", "10"),
        ("consumer.max.poll.interval.ms", "6000"),
        ("consumer.session.timeout.ms", "6000"),
    ];
    let mut sink = place.sink(&server, "blocked", &pairs);
    // Half as long again as a member may take.
    server.fail(Operation::Put, Fault::Slow(Duration::from_secs(9)));
    let (running, mut seen) = (sink.start(), Seen::default());
    until("the first request", || server.faults(Operation::Put) == 1).await;
    server.heal();
    until("the pause", || sink.said().contains("reading is paused")).await;
    // What comes meanwhile waits.
    place.send("blocked", 20..40, 3).await;
    assert_eq!(place.committed("blocked"), (0, "{\"end\":9}".to_owned()));
    until("40 rows", || seen.look(&server.bucket()) == 40).await;
    running.terminate();
    seen.check("blocked", &server.bucket(), 1, 40);
    assert_eq!(place.committed("blocked"), (40, String::new()));
    let said = sink.said();
    assert_eq!(said.matches("is assigned").count(), 1, "{said}");
    assert!(said.contains("reading goes on after") && !said.contains("trying again"), "{said}");
}

/// Values that are no good names, and the directory each makes: as it is, but for what an S3 client
/// must not send.
const ODD: [(&str, &str); 11] = [
    ("plain", "note=plain"),
    ("a/b", "note=a/b"),
    ("../../x", "note=../%2E%2E/x"),
    ("/", "note="),
    ("", "note="),
    ("nul\0x", "note=nul%00x"),
    ("🦀 é", "note=🦀 é"),
    ("c//d", "note=c/d"),
    ("./e", "note=./e"),
    ("%41+&?#=", "note=%41+&?#="),
    ("tab\t\n", "note=tab%09%0A"),
];

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_good_names_make_keys_in_the_bucket_all_the_same() {
    let (place, server) = (Place::new(), Server::start().await);
    create_topic(&place.services, "odd", 1).await;
    let schema = register(&place.services, "odd-value", SCHEMA_2).await;
    let producer: FutureProducer = client(&place.services).create().unwrap();
    let long = "x".repeat(5_000);
    let values = ODD.iter().map(|(value, _)| *value).chain([long.as_str()]);
    for (id, value) in (0..).zip(values) {
        let value = row(schema, id, Some(value));
        let record: FutureRecord<'_, (), Vec<u8>> =
            FutureRecord::to("odd").partition(0).payload(&value);
        producer.send(record, Duration::from_secs(20)).await.unwrap();
    }
    let pairs = [
        ("flush.size", "11"),
        ("partitioner.class", "FieldPartitioner"),
        ("partition.field.name", "note"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "odd-dlq"),
    ];
    let mut sink = place.sink(&server, "odd", &pairs);
    let (running, mut seen) = (sink.start(), Seen::default());
    until("the objects", || seen.look(&server.bucket()) == ODD.len()).await;
    until("the other", || support::high_watermark(&place.services.kafka, "odd-dlq") == 1).await;
    running.terminate();
    seen.check("odd", &server.bucket(), 1, 11);
    let topic = server.bucket().join("topics/odd");
    for (id, (value, directory)) in ODD.iter().enumerate() {
        let path = topic.join(format!("{directory}/odd+0+{id:010}.avro"));
        assert!(path.exists(), "{value:?}: {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_has_one_name_whether_it_goes_up_in_parts_or_not() {
    let (place, server) = (Place::new(), Server::start().await);
    let time = [
        ("partitioner.class", "TimeBasedPartitioner"),
        ("timestamp.extractor", "Record"),
        ("partition.duration.ms", "31536000000000"),
        ("path.format", "'é [~'YYYY']'"),
        ("locale", "en"),
        ("timezone", "UTC"),
        ("flush.size", "6"),
    ];
    let mut names = Vec::new();
    for (topic, length) in [("one", 3), ("two", LARGE)] {
        place.topic(topic, 6, length).await;
        let mut sink = place.sink(&server, topic, &time);
        let (running, mut seen) = (sink.start(), Seen::default());
        let folder = server.bucket().join("topics").join(topic);
        until("the object", || seen.look(&folder) == 6).await;
        running.terminate();
        let found = support::files(&folder);
        assert_eq!(found.len(), 1);
        let name = found[0].strip_prefix(&folder).unwrap().to_str().unwrap();
        names.push(name.replace(&format!("{topic}+"), ""));
    }
    assert_eq!(names, ["é [~1970]/0+0000000000.avro"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_move_while_the_store_blocks_hold_each_offset_once() {
    const PARTITIONS: i32 = 4;
    let (place, server) = (Place::new(), Server::start().await);
    create_topic(&place.services, "moves", PARTITIONS).await;
    let schema = register(&place.services, "moves-value", SCHEMA_2).await;
    let load = Load::start(&place.services, "moves", PARTITIONS, vec![(schema, true)], 60);
    let pairs = [
        ("flush.size", "25"),
        ("rotate.idle.ms", "500"),
        ("consumer.session.timeout.ms", "6000"),
        ("consumer.heartbeat.interval.ms", "300"),
    ];
    let mut sink = place.sink(&server, "moves", &pairs);
    let log = |number: i32| place.folder.path().join(format!("moves-{number}.log"));
    let said = |number: i32, what: &str| {
        std::fs::read_to_string(log(number)).is_ok_and(|text| text.contains(what))
    };
    let mut seen = Seen::default();
    let mut running = Running::start_logged(&mut sink.command, &log(0));
    for number in 1..4 {
        let before = seen.look(&server.bucket());
        until("objects", || seen.look(&server.bucket()) > before + 200).await;
        // The owner waits for the store; another one joins and is given its share all the same.
        server.fail(Operation::Put, Fault::Slow(Duration::from_secs(3)));
        until("the pause", || said(number - 1, "reading is paused")).await;
        let next = Running::start_logged(&mut sink.command, &log(number));
        until("a share", || said(number, "is assigned")).await;
        // Later the share may be what a third one left.
        assert!(number > 1 || said(0, "is taken away"));
        server.heal();
        match number {
            2 => running.kill(),
            _ => running.terminate(),
        }
        running = next;
    }
    let rows = load.stop().await;
    let all = usize::try_from(rows * i64::from(PARTITIONS)).unwrap();
    until("all rows", || seen.look(&server.bucket()) >= all).await;
    running.terminate();
    seen.check("moves", &server.bucket(), PARTITIONS, rows);
}
