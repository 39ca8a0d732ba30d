//! The broker's process is killed while clients write.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use embedded_services::broker::{Broker, Config};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use crate::client::{DEADLINE, around, text, until};

const DIR: &str = "BROKER_OF_A_CHILD";

/// Not a test of its own: what the process that is to be killed does. It is this test program,
/// told by its environment where to keep the data.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that another test kills"]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let config = Config::new(Path::new(&dir))
        .with_auto_create_topics()
        .with_fsync()
        .with_retention_interval(Duration::from_millis(5));
    let broker = Broker::start(config).await.unwrap();
    println!("\nlistening on {}", broker.bootstrap());
    // For as long as the parent lives, at most.
    tokio::time::sleep(Duration::from_secs(300)).await;
}

pub(crate) fn spawn(dir: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--nocapture", "--ignored"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    (child, address.expect("the child says where it listens"))
}

/// Collects the values that were acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Vec<String>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            self.0.lock().unwrap().push(text(&message.detach()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    // Each round finds what the ones before it left.
    for round in 0..3 {
        let (mut child, address) = spawn(dir.path());
        let producer: ThreadedProducer<Acknowledged> = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "5000")
            .create_with_context(acknowledged.clone())
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let value = format!("{round} {number}");
                    let record = BaseRecord::<(), _>::to("t").payload(&value);
                    match producer.send(record) {
                        Ok(()) => number += 1,
                        Err(_full) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            }
        });
        let before = acknowledged.0.lock().unwrap().len();
        let enough = before + 2000;
        until("enough is acknowledged", || acknowledged.0.lock().unwrap().len() >= enough).await;
        // SIGKILL, while requests are under way.
        child.kill().unwrap();
        child.wait().unwrap();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }

    let broker = Broker::start(Config::new(dir.path())).await.unwrap();
    let stand = around(broker, dir);
    let expected = acknowledged.0.lock().unwrap().clone();
    assert!(expected.len() >= 6000);
    let consumer = stand.reader("t", 1);
    let mut missing: std::collections::HashSet<String> = expected.into_iter().collect();
    let end = Instant::now() + DEADLINE;
    while !missing.is_empty() {
        assert!(Instant::now() < end, "{} acknowledged messages are lost", missing.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            missing.remove(&text(&message.unwrap().detach()));
        }
    }
}
