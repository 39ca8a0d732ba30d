//! A million rows that lie in the WAL already, received by one program after the other.
//!
//! `cargo bench -p benches --bench pgoutput_receive [-- --quick]` starts a PostgreSQL of its own,
//! loads the rows, and runs each receiver in a process of its own on a copy of the same slot: what
//! the system says a process has used is then what receiving costs. It prints a table, best run of
//! each receiver. Then, on a server where there is nothing to catch up with, how long a row takes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench fails by panicking and prints"
)]

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column, Decoder, Message, ProtocolVersion,
    client::{Client, Config, StreamOptions},
    replication::Frame,
};
use pgwire_replication::{
    ReplicationClient, ReplicationConfig, TlsConfig, client::ReplicationEvent,
};

const ROWS_PER_TRANSACTION: u64 = 1000;
const TABLE: &str = "CREATE TABLE orders (order_id int PRIMARY KEY, customer_id varchar(5), \
    employee_id smallint, order_date date, required_date date, shipped_date date, \
    ship_via smallint, freight numeric(10,2), ship_name varchar(40), ship_address varchar(60), \
    ship_city varchar(15), ship_region varchar(15), ship_postal_code varchar(10), \
    ship_country varchar(15))";

/// Who receives. The text names it in the table and on the command line of its process.
const RECEIVERS: [&str; 4] =
    ["pg_recvlogical", "pgwire-replication", "pgoutput", "pgoutput, every column"];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, mode, receiver, port, slot, rows] = arguments.as_slice()
        && mode == "receive"
    {
        let rows = rows.parse().unwrap();
        let runtime = runtime();
        let seen = runtime.block_on(async {
            match receiver.as_str() {
                "pgwire-replication" => pgwire(port.parse().unwrap(), slot, rows).await,
                "pgoutput" => ours(port, slot, rows, false).await,
                _ => ours(port, slot, rows, true).await,
            }
        });
        println!("{seen}");
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (transactions, runs) = if quick { (100, 1) } else { (1000, 3) };
    measure(transactions, runs);
    latency(if quick { 200 } else { 2000 });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Run {
    wall: Duration,
    /// User and system time of the receiver, of the server's process that sends.
    receiver: Duration,
    sender: Duration,
}

fn measure(transactions: u64, runs: usize) {
    let config = ServerConfig::new()
        .with_setting("wal_level", "logical")
        .with_setting("max_wal_size", "4GB")
        .with_setting("autovacuum", "off");
    let server = Postgres::start(config).unwrap();
    let rows = transactions * ROWS_PER_TRANSACTION;
    let end = load(&server, transactions);
    println!(
        "PostgreSQL {}, {rows} rows of 14 columns in {transactions} transactions, as text",
        server.version_text()
    );
    let mut best: [Option<Run>; RECEIVERS.len()] = [None; RECEIVERS.len()];
    for run in 0..runs {
        for (receiver, best) in RECEIVERS.into_iter().zip(&mut best) {
            let took = receive(&server, receiver, &format!("run{run}"), rows, &end);
            if best.is_none_or(|best| took.receiver < best.receiver) {
                *best = Some(took);
            }
        }
    }
    let per_row = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    let best = best.map(Option::unwrap);
    println!(
        "| receiver | wall, s | CPU, µs a row | walsender, µs a row | CPU beside pg_recvlogical | beside pgwire-replication |"
    );
    println!("|---|---|---|---|---|---|");
    for (receiver, run) in RECEIVERS.into_iter().zip(best) {
        println!(
            "| {receiver} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} |",
            run.wall.as_secs_f64(),
            per_row(run.receiver),
            per_row(run.sender),
            run.receiver.as_secs_f64() / best[0].receiver.as_secs_f64(),
            run.receiver.as_secs_f64() / best[1].receiver.as_secs_f64(),
        );
    }
}

/// How long a row takes to a receiver that has caught up: from the answer to its INSERT to the
/// Commit message, in one process with the session that inserts.
fn latency(rows: usize) {
    let config = ServerConfig::new().with_setting("wal_level", "logical");
    let server = Postgres::start(config).unwrap();
    sql(&server, "CREATE TABLE t (id int PRIMARY KEY)");
    sql(&server, "CREATE PUBLICATION p FOR TABLE t");
    println!();
    println!("caught up, {rows} rows one after the other, from commit to receiver");
    println!("| receiver | pause between rows, ms | median, µs | 99 of 100, µs |");
    println!("|---|---|---|---|");
    for pause in [0, 5] {
        for receiver in ["pgwire-replication", "pgoutput"] {
            sql(&server, "TRUNCATE t");
            sql(&server, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
            let (port, pause) = (server.port(), Duration::from_millis(pause));
            let mut took = runtime().block_on(async {
                match receiver {
                    "pgoutput" => our_latency(port, rows, pause).await,
                    _ => pgwire_latency(port, rows, pause).await,
                }
            });
            took.sort();
            println!(
                "| {receiver} | {} | {} | {} |",
                pause.as_millis(),
                took[rows / 2].as_micros(),
                took[rows * 99 / 100].as_micros()
            );
            sql(&server, "SELECT pg_drop_replication_slot('s')");
        }
    }
}

fn url(port: u16) -> Config {
    let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    Config::parse(&url).unwrap()
}

/// Inserts a row and says when the server had committed it.
async fn insert(client: &mut Client, row: usize, pause: Duration) -> Instant {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    client.execute(&format!("INSERT INTO t VALUES ({row})")).await.unwrap();
    Instant::now()
}

async fn our_latency(port: u16, rows: usize, pause: Duration) -> Vec<Duration> {
    let mut client = Client::connect(&url(port)).await.unwrap();
    let replication = Client::connect_replication(&url(port)).await.unwrap();
    let mut stream = replication.start_replication(StreamOptions::new("s", ["p"])).await.unwrap();
    let mut took = Vec::new();
    for row in 0..rows {
        let receive = async {
            loop {
                let batch = stream.next().await.unwrap().unwrap();
                for frame in batch.frames() {
                    if let Frame::XLogData { data: [b'C', ..], .. } = Frame::decode(frame).unwrap()
                    {
                        return Instant::now();
                    }
                }
            }
        };
        let (committed, received) = tokio::join!(insert(&mut client, row, pause), receive);
        took.push(received.saturating_duration_since(committed));
    }
    stream.stop().await.unwrap();
    took
}

async fn pgwire_latency(port: u16, rows: usize, pause: Duration) -> Vec<Duration> {
    let mut client = Client::connect(&url(port)).await.unwrap();
    let mut replication = pgwire_client(port, "s").await;
    let mut took = Vec::new();
    for row in 0..rows {
        let receive = async {
            while !matches!(
                replication.recv().await.unwrap().unwrap(),
                ReplicationEvent::Commit { .. }
            ) {}
            Instant::now()
        };
        let (committed, received) = tokio::join!(insert(&mut client, row, pause), receive);
        took.push(received.saturating_duration_since(committed));
    }
    replication.shutdown().await.unwrap();
    took
}

/// Makes the table, its publication, the slot `base` and the rows; gives the end of the WAL.
fn load(server: &Postgres, transactions: u64) -> String {
    sql(server, TABLE);
    sql(server, "CREATE PUBLICATION p FOR TABLE orders");
    sql(server, "SELECT pg_create_logical_replication_slot('base', 'pgoutput')");
    let last = transactions - 1;
    sql(
        server,
        &format!(
            "DO $$ BEGIN FOR b IN 0..{last} LOOP INSERT INTO orders SELECT i, \
             (ARRAY['VINET','TOMSP','HANAR','VICTE'])[1+i%4], 1+i%9, date '1996-07-04'+i%600, \
             date '1996-08-01'+i%600, CASE WHEN i%11=0 THEN NULL ELSE date '1996-07-16'+i%600 END, \
             1+i%3, ((i::bigint*7919)%100000)/100.0, (ARRAY['Vins et alcools Chevalier',\
             'Toms Spezialitäten','Hanari Carnes','Victuailles en stock'])[1+i%4], \
             (ARRAY['59 rue de l''Abbaye','Luisenstr. 48','Rua do Paço, 67','2, rue du Commerce'])\
             [1+i%4], (ARRAY['Reims','Münster','Rio de Janeiro','Lyon'])[1+i%4], \
             (ARRAY[NULL,NULL,'RJ',NULL])[1+i%4], \
             (ARRAY['51100','44087','05454-876','69004'])[1+i%4], \
             (ARRAY['France','Germany','Brazil','France'])[1+i%4] \
             FROM generate_series(b*{ROWS_PER_TRANSACTION}+1, (b+1)*{ROWS_PER_TRANSACTION}) i; \
             COMMIT; END LOOP; END $$"
        ),
    );
    sql(server, "CHECKPOINT");
    // The last commit ends before this, and decoding reaches it with the next record.
    let end = sql(server, "SELECT pg_current_wal_insert_lsn()");
    sql(server, "SELECT pg_logical_emit_message(false, 'end', '')");
    end
}

/// One statement in a session of its own; the first column of its first row.
fn sql(server: &Postgres, statement: &str) -> String {
    runtime().block_on(async {
        let config = Config::parse(&server.url("postgres")).unwrap();
        let mut client = Client::connect(&config).await.unwrap();
        let rows = client.query(statement).await.unwrap();
        rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned()
    })
}

/// Runs a receiver on a copy of the slot, in a process of its own.
fn receive(server: &Postgres, receiver: &str, slot: &str, rows: u64, end: &str) -> Run {
    let copied = format!("SELECT pg_copy_logical_replication_slot('base', '{slot}')");
    sql(server, &copied);
    let mut command = if receiver == "pg_recvlogical" {
        let mut command = Command::new(beside(server.bin_dir(), "pg_recvlogical"));
        let url = server.url("postgres");
        command.args(["--start", "--no-loop", "-f", "/dev/null", "-d", &url, "-S", slot]);
        command.args(["-o", "proto_version=1", "-o", "publication_names=p", "--endpos", end]);
        command
    } else {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["receive", receiver, &server.port().to_string(), slot, &rows.to_string()]);
        command
    };
    let postmaster = fs::read_to_string(server.data_dir().join("postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap().to_owned();
    let before = (reaped("self"), reaped(&postmaster));
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    child.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    assert!(child.wait().unwrap().success(), "{receiver} failed");
    let wall = started.elapsed();
    if receiver != "pg_recvlogical" {
        assert_eq!(seen.trim().parse(), Ok(rows), "{receiver}");
    }
    // Only when the server has waited for its process, its time is counted.
    while sql(server, "SELECT count(*) FROM pg_stat_replication") != "0" {
        thread::sleep(Duration::from_millis(10));
    }
    while sql(
        server,
        &format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"),
    ) != "f"
    {
        thread::sleep(Duration::from_millis(10));
    }
    let after = (reaped("self"), reaped(&postmaster));
    sql(server, &format!("SELECT pg_drop_replication_slot('{slot}')"));
    Run { wall, receiver: after.0 - before.0, sender: after.1 - before.1 }
}

fn beside(folder: &Path, program: &str) -> PathBuf {
    let path = folder.join(program);
    if path.exists() { path } else { PathBuf::from(program) }
}

/// User and system time of all children that a process has waited for.
fn reaped(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The second field, the program's name in parentheses, may hold spaces; cutime and cstime are
    // the 16th and 17th, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 =
        fields.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Receives with this family's client; `touch` also decodes every message and every column.
async fn ours(port: &str, slot: &str, rows: u64, touch: bool) -> u64 {
    let client = Client::connect_replication(&url(port.parse().unwrap())).await.unwrap();
    let mut stream = client.start_replication(StreamOptions::new(slot, ["p"])).await.unwrap();
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    let (mut seen, mut bytes) = (0, 0);
    while seen < rows {
        let batch = stream.next().await.unwrap().unwrap();
        let mut committed = None;
        for frame in batch.frames() {
            let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() else { continue };
            match data.first() {
                Some(b'I') => seen += 1,
                Some(b'C') => committed = Some(data),
                _ => {}
            }
            if touch && let Message::Insert(insert) = decoder.decode(data).unwrap() {
                for column in insert.new.columns() {
                    if let Column::Text(text) = column.unwrap() {
                        bytes += text.len();
                    }
                }
            }
        }
        if let Some(committed) = committed
            && let Message::Commit(commit) = decoder.decode(committed).unwrap()
        {
            stream.acknowledge(commit.end_lsn);
        }
    }
    assert_eq!(touch, bytes > 0);
    stream.stop().await.unwrap();
    seen
}

async fn pgwire_client(port: u16, slot: &str) -> ReplicationClient {
    let config = ReplicationConfig::new("127.0.0.1", "postgres", "", "postgres", slot, "p")
        .with_port(port)
        .with_tls(TlsConfig::disabled());
    ReplicationClient::connect(config).await.unwrap()
}

async fn pgwire(port: u16, slot: &str, rows: u64) -> u64 {
    let mut client = pgwire_client(port, slot).await;
    let mut seen = 0;
    while seen < rows {
        match client.recv().await.unwrap().unwrap() {
            ReplicationEvent::XLogData { data, .. } => {
                seen += u64::from(data.first() == Some(&b'I'));
            }
            ReplicationEvent::Commit { end_lsn, .. } => client.update_applied_lsn(end_lsn),
            _ => {}
        }
    }
    client.shutdown().await.unwrap();
    seen
}
