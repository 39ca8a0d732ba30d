//! `full-pipeline services` takes orders for faults over HTTP, and clients see them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use registry_client::{Client, Config, NewSchema, Subject};
use support::{Running, program};

const DEADLINE: Duration = Duration::from_secs(30);

struct Scene {
    kafka: String,
    registry: String,
    /// Host and port.
    faults: String,
    /// What the services said before they were ready.
    log: String,
    _process: Running,
}

fn read_log(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("flushed")));
    // What follows has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    line.unwrap().unwrap()
}

impl Scene {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = program()
            .args(["services", "--kafka-listen", "127.0.0.1:0"])
            .args(["--registry-listen", "127.0.0.1:0", "--faults-listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = read_log(&mut child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| addresses[name].as_str().unwrap().to_owned();
        let scene = Self {
            kafka: address("kafka"),
            registry: address("registry"),
            faults: address("faults").strip_prefix("http://").unwrap().to_owned(),
            log,
            _process: Running(child),
        };
        let admin: AdminClient<DefaultClientContext> = scene.client().create().unwrap();
        let topic = NewTopic::new("t", 1, TopicReplication::Fixed(1));
        let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok("t".to_owned())]);
        scene
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka).set("linger.ms", "0");
        config
    }

    /// The HTTP status of an order.
    fn order(&self, method: &str, path: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.faults).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: faults\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn post(&self, path: &str) {
        assert_eq!(self.order("POST", path), 204, "{path}");
    }

    /// Sends one message and says how long that took.
    async fn send<C: ClientContext + 'static>(
        &self,
        producer: &FutureProducer<C>,
    ) -> Result<Duration, RDKafkaErrorCode> {
        let begin = Instant::now();
        let record = FutureRecord::<(), _>::to("t").payload("x");
        let sent = producer.send(record, Timeout::After(DEADLINE)).await;
        sent.map(|_| begin.elapsed()).map_err(|(error, _)| error.rdkafka_error_code().unwrap())
    }

    fn registry(&self) -> Client {
        let config = Config::new(&self.registry).with_retries(0).with_timeout(DEADLINE);
        Client::new(config).unwrap()
    }
}

const LONG: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_has_every_trouble_that_is_ordered_until_it_is_cleared() {
    let scene = Scene::start(&["--fsync"]).await;
    assert!(scene.log.contains("are flushed"), "{}", scene.log);
    let mut impatient = scene.client();
    impatient.set("retries", "0").set("message.timeout.ms", "3000");
    let producer: FutureProducer = impatient.create().unwrap();
    scene.send(&producer).await.unwrap();

    for order in ["/broker/delay?ms=600", "/broker/slow-fsync?ms=600"] {
        scene.post(order);
        assert!(scene.send(&producer).await.unwrap() >= LONG, "{order}");
        scene.post("/broker/clear");
        assert!(scene.send(&producer).await.unwrap() < LONG, "{order} is over");
    }

    // The first reply tells to wait, the second request does.
    scene.post("/broker/throttle?ms=600");
    scene.send(&producer).await.unwrap();
    assert!(scene.send(&producer).await.unwrap() >= LONG / 2);
    scene.post("/broker/clear");
    scene.send(&producer).await.unwrap();

    for (order, code) in [
        ("/broker/disk-full", RDKafkaErrorCode::KafkaStorageError),
        // The client looks for the leader until its time is over.
        ("/broker/not-leader", RDKafkaErrorCode::MessageTimedOut),
    ] {
        scene.post(order);
        assert_eq!(scene.send(&producer).await, Err(code), "{order}");
        scene.post("/broker/clear");
        scene.send(&producer).await.unwrap();
    }

    let newcomer = || scene.client().create::<BaseConsumer>().unwrap();
    scene.post("/broker/refuse");
    newcomer().fetch_metadata(None, Duration::from_secs(1)).unwrap_err();
    scene.post("/broker/clear");
    newcomer().fetch_metadata(None, DEADLINE).unwrap();

    scene.post("/broker/cut-after?bytes=9");
    scene.send(&producer).await.unwrap_err();
    let patient: FutureProducer = scene.client().create().unwrap();
    scene.send(&patient).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_has_every_trouble_that_is_ordered_until_it_is_cleared() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let scene = Scene::start(&[]).await;
    assert!(scene.log.contains("are not flushed"), "{}", scene.log);
    let schema = NewSchema::new(r#"{"type": "record", "name": "r", "fields": []}"#);
    // A client of its own each time, since a client remembers what it registered.
    let register = async || {
        let begin = Instant::now();
        let registered = scene.registry().register(&Subject::new("s"), &schema).await;
        registered.map(|_| begin.elapsed())
    };
    register().await.unwrap();

    scene.post("/registry/status?requests=1&status=503");
    assert_eq!(register().await.unwrap_err().status(), Some(503));
    register().await.unwrap();

    scene.post("/registry/delay?requests=1&ms=600");
    assert!(register().await.unwrap() >= LONG);

    scene.post("/registry/cut?requests=1");
    register().await.unwrap_err();
    register().await.unwrap();

    scene.post("/registry/refuse");
    register().await.unwrap_err();
    scene.post("/registry/clear");
    register().await.unwrap();

    scene.post("/registry/status?requests=5&status=500");
    scene.post("/registry/clear");
    register().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_makes_no_sense_is_refused_and_has_no_effect() {
    let scene = Scene::start(&[]).await;
    for path in ["/broker/delay", "/broker/delay?ms=soon", "/registry/status?requests=1&status=9"] {
        assert_eq!(scene.order("POST", path), 400, "{path}");
    }
    assert_eq!(scene.order("POST", "/broker/explode"), 404);
    assert_eq!(scene.order("GET", "/broker/refuse"), 405);
    let producer: FutureProducer = scene.client().create().unwrap();
    scene.send(&producer).await.unwrap();
}
