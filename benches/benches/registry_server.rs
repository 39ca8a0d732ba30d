//! The embedded registry: reads of schemas by id, as fast as one core of the server gives them.
//!
//! It runs in a process of its own, which is this program again, with one thread: what it reads
//! with a second of CPU is what one core does in a second, whatever else the machine is doing. Not
//! a matter for Criterion, since memory is asked for as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench may fail loudly and prints what it measured"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use embedded_services::registry::{CompatibilityLevel, Config, Registry};

const SCHEMAS: usize = 200;
const CLIENTS: usize = 4;
const READS: usize = 10_000;
const ROUNDS: usize = 3;
const ROLE: &str = "REGISTRY_BENCH_ROLE";

fn main() {
    if std::env::var_os(ROLE).is_some() {
        serve();
    } else {
        println!("{SCHEMAS} schemas of 12 fields, {CLIENTS} clients, {READS} reads of each");
        measure();
    }
}

/// Serves until the parent ends.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::new().with_compatibility(CompatibilityLevel::None);
        let registry = Registry::start(config).await.unwrap();
        println!("{}", registry.address());
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut nothing = Vec::new();
            std::io::stdin().read_to_end(&mut nothing).unwrap();
            let _ = ended.send(());
        });
        end.await.unwrap();
        registry.shutdown().await;
    });
}

fn measure() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, "server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim().to_owned();

    let start = Instant::now();
    let mut connection = Connection::open(&address);
    for index in 0..SCHEMAS {
        let body = serde_json::json!({"schema": schema(index)}).to_string();
        let request = format!(
            "POST /subjects/s{index}/versions HTTP/1.1\r\nhost: registry\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(connection.ask(&request).contains("\"id\":"));
    }
    println!("{SCHEMAS} registered in {:.2} s", start.elapsed().as_secs_f64());

    for _ in 0..ROUNDS {
        let (start, cpu) = (Instant::now(), cpu_seconds(child.id()));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let address = address.clone();
                std::thread::spawn(move || {
                    let mut connection = Connection::open(&address);
                    for read in 0..READS {
                        let id = (client + read) % SCHEMAS + 1;
                        let request =
                            format!("GET /schemas/ids/{id} HTTP/1.1\r\nhost: registry\r\n\r\n");
                        assert!(connection.ask(&request).contains("Row"));
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        let reads = (CLIENTS * READS) as f64;
        println!(
            "{:.0} reads/s by the clock, {:.0} for a second of one core; peak memory {} MiB",
            reads / start.elapsed().as_secs_f64(),
            reads / (cpu_seconds(child.id()) - cpu),
            peak_memory(child.id()) / 1024
        );
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn schema(index: usize) -> String {
    let fields: Vec<_> = (0..12)
        .map(|field| {
            format!(r#"{{"name":"column_{field}","type":["null","string"],"default":null}}"#)
        })
        .collect();
    format!(r#"{{"type":"record","name":"Row{index}","fields":[{}]}}"#, fields.join(","))
}

/// A connection that stays open.
struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), body: Vec::new() }
    }

    /// The body of the answer, which must be a success.
    fn ask(&mut self, request: &str) -> &str {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some(("content-length", number)) => length = number.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// User and system time, in the system's hundredths of a second.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may hold anything but this, user and system time are the 12th and 13th.
    let (_, after) = stat.rsplit_once(')').unwrap();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// In KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
