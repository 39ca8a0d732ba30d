//! The throwaway cluster as its users see it, against whatever server this machine has.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and reports by printing"
)]

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use embedded_services::postgres::{Config, ErrorKind, Postgres};

#[test]
fn starts_answers_and_leaves_nothing() {
    let server = Postgres::start(Config::new()).unwrap();
    assert_eq!(query(&server, "SHOW wal_level"), ["logical"]);
    assert_eq!(query(&server, "SHOW server_encoding"), ["UTF8"]);
    assert_eq!(query(&server, "SHOW server_version")[0].split(' ').next().unwrap(), {
        assert!(server.version_text().starts_with(&server.version().to_string()));
        server.version_text()
    });
    assert_eq!(
        server.url("a b"),
        format!("postgresql://postgres@127.0.0.1:{}/a%20b", server.port())
    );
    assert!(server.bin_dir().join("postgres").is_file());
    let (data, port, pid) = (server.data_dir().to_owned(), server.port(), postmaster(&server));
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(is_alive(pid));
    drop(server);
    assert_gone(&data, port, pid);
}

#[test]
fn stop_tells_that_all_is_gone() {
    let server = Postgres::start(Config::new()).unwrap();
    let (data, port, pid) = (server.data_dir().to_owned(), server.port(), postmaster(&server));
    server.stop().unwrap();
    assert_gone(&data, port, pid);
}

#[test]
fn two_at_once_do_not_meet() {
    let starts = [1, 2].map(|_| thread::spawn(|| Postgres::start(Config::new()).unwrap()));
    let [one, two] = starts.map(|start| start.join().unwrap());
    assert_ne!(one.port(), two.port());
    assert_ne!(one.data_dir(), two.data_dir());
    query(&one, "CREATE TABLE only_in_one ()");
    assert_eq!(query(&two, "SELECT to_regclass('only_in_one') IS NULL"), ["t"]);
    drop(one);
    assert_eq!(query(&two, "SELECT 1"), ["1"], "the second outlives the first");
}

#[test]
fn settings_are_applied() {
    let odd = r"it's a \ name";
    let config = Config::new()
        .with_setting("max_wal_senders", "3")
        .with_setting("cluster_name", odd)
        .with_setting("wal_level", "minimal")
        .with_setting("wal_level", "replica");
    let server = Postgres::start(config).unwrap();
    assert_eq!(query(&server, "SHOW max_wal_senders"), ["3"]);
    assert_eq!(query(&server, "SHOW cluster_name"), [odd]);
    assert_eq!(query(&server, "SHOW wal_level"), ["replica"], "the last one of a name counts");
}

#[test]
fn settings_can_be_reloaded() {
    let server = Postgres::start(Config::new()).unwrap();
    query(&server, "ALTER SYSTEM SET work_mem = '7MB'");
    query(&server, "SELECT pg_reload_conf()");
    let deadline = Instant::now() + Duration::from_secs(30);
    while query(&server, "SHOW work_mem") != ["7MB"] {
        assert!(Instant::now() < deadline, "it does not reload");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_setting_the_server_refuses_shows_in_the_error() {
    let error = Postgres::start(Config::new().with_setting("shared_buffers", "few")).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Exited);
    assert!(error.log().unwrap().contains("shared_buffers"), "{error:?}");
    assert!(error.to_string().contains("FATAL"), "{error}");
}

#[test]
fn password_is_asked_for() {
    let server = Postgres::start(Config::new().with_password("p@ss/word")).unwrap();
    assert!(server.url("postgres").contains(":p%40ss%2Fword@"));
    // AuthenticationSASL is request 10; 0 would be AuthenticationOk.
    let (_, request) = greet(&server);
    assert_eq!(request, 10);
    let psql = server.bin_dir().join("psql");
    if !psql.is_file() {
        println!("SKIPPED part of password_is_asked_for: this server comes without psql");
        return;
    }
    let asked_with = |url: &str| {
        let mut command = Command::new(&psql);
        command.args(["-w", "-At", "-c", "SELECT 'in'", url]).env_remove("PGPASSWORD");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(asked_with(&server.url("postgres")), (true, "in\n".to_owned()));
    let wrong = server.url("postgres").replace("word", "w0rd");
    assert_eq!(asked_with(&wrong), (false, String::new()));
}

#[test]
fn restart_keeps_port_and_rows_also_after_a_crash() {
    let mut server = Postgres::start(Config::new()).unwrap();
    let port = server.port();
    query(&server, "CREATE TABLE kept AS SELECT generate_series(1, 100) AS n");
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(query(&server, "SELECT count(*) FROM kept"), ["100"]);
    query(&server, "INSERT INTO kept VALUES (101)");
    server.crash().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "down until it is restarted");
    server.restart().unwrap();
    assert_eq!(query(&server, "SELECT count(*) FROM kept"), ["101"]);
    assert!(server.log_tail().contains("automatic recovery in progress"), "{}", server.log_tail());
}

#[test]
fn a_panic_cleans_up() {
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        let server = Postgres::start(Config::new()).unwrap();
        let facts = (server.data_dir().to_owned(), server.port(), postmaster(&server));
        send.send(facts).unwrap();
        panic!("on purpose, with {} running", server.version());
    })
    .join();
    assert!(panicked.is_err());
    let (data, port, pid) = receive.recv().unwrap();
    assert_gone(&data, port, pid);
}

#[test]
fn a_killed_owner_leaves_no_orphan() {
    is_gone_with_its_owner(&[]);
}

#[test]
fn a_killed_owner_leaves_no_paused_orphan() {
    is_gone_with_its_owner(&[("TEST_PAUSED", Path::new("yes"))]);
}

fn is_gone_with_its_owner(variables: &[(&str, &Path)]) {
    let mut owner = again("child_starts_and_waits", variables);
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let facts = lines.by_ref().map(Result::unwrap).find_map(|line| {
        let (_, facts) = line.split_once("RUNNING ")?;
        let mut words = facts.split(' ').map(str::to_owned);
        let port: u16 = words.next()?.parse().ok()?;
        let pid: u32 = words.next()?.parse().ok()?;
        Some((port, pid, PathBuf::from(words.next()?)))
    });
    let (port, pid, data) = facts.expect("the child says what it started");
    assert!(is_alive(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_alive(pid) || data.parent().unwrap().exists() {
        assert!(Instant::now() < deadline, "server {pid} or {} outlived its owner", data.display());
        thread::sleep(Duration::from_millis(20));
    }
    assert_gone(&data, port, pid);
}

#[test]
#[ignore = "is run by is_gone_with_its_owner, in a process to be killed"]
fn child_starts_and_waits() {
    let mut server = Postgres::start(Config::new()).unwrap();
    if env::var_os("TEST_PAUSED").is_some() {
        server.pause().unwrap();
    }
    println!("\nRUNNING {} {} {}", server.port(), postmaster(&server), server.data_dir().display());
    // Nobody writes: this waits to be killed.
    let _ = io::stdin().read(&mut [0]);
}

#[test]
fn not_found_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let config = Config::new().with_version(16).with_bin_dir(empty.path());
    let error = Postgres::start(config).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotFound { version: Some(16) });
    let text = error.to_string();
    for advice in ["`postgresql-16`", "PG_BIN", "--postgres-url"] {
        assert!(text.contains(advice), "{text}");
    }
}

#[test]
fn pg_bin_is_the_only_place_when_set() {
    let empty = tempfile::tempdir().unwrap();
    let child = again("child_reports_its_error", &[("PG_BIN", empty.path())]);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ERROR no PostgreSQL server programs found: install"), "{text}");
}

#[test]
#[ignore = "is run by pg_bin_is_the_only_place_when_set, with a variable of its own"]
fn child_reports_its_error() {
    println!("\nERROR {}", Postgres::start(Config::new()).unwrap_err());
}

/// Fetches a server only where none of version 18 is installed, and once: the cache is kept beside
/// the other products of the build.
#[test]
fn a_missing_version_is_fetched() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let child = again(
        "child_starts_a_version",
        &[("XDG_CACHE_HOME", cache), ("TEST_VERSION", Path::new("18"))],
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if let Some((_, why)) = text.split_once("CANNOT FETCH ") {
        eprintln!("SKIPPED a_missing_version_is_fetched: {why}");
        return;
    }
    assert!(text.contains("FETCHED 18 logical"), "{text}");
}

#[test]
#[ignore = "is run by a_missing_version_is_fetched, with a cache of its own"]
fn child_starts_a_version() {
    let version = env::var("TEST_VERSION").unwrap().parse().unwrap();
    match Postgres::start(Config::new().with_version(version)) {
        Ok(server) => {
            println!("\nFETCHED {} {}", server.version(), query(&server, "SHOW wal_level")[0]);
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
            println!("\nCANNOT FETCH {error}: {}", error.log().unwrap_or_default());
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[cfg(feature = "postgres-tls")]
#[test]
fn certificate_is_good_for_both_names_and_no_other() {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::pem::PemObject};

    let server = Postgres::start(Config::new().with_ssl()).unwrap();
    let pem = fs::read(server.ca_path().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    for (name, good) in [("localhost", true), ("127.0.0.1", true), ("example.org", false)] {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        socket.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).unwrap();
        let mut answer = [0];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"S", "the server does TLS");
        let mut tls = ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap();
        let shaken = tls.complete_io(&mut socket);
        assert_eq!(shaken.is_ok(), good, "{name}: {shaken:?}");
    }
    // And TLS is offered, not demanded.
    assert_eq!(query(&server, "SHOW ssl"), ["on"]);
}

/// Runs one ignored test of this file in a process of its own.
fn again(test: &str, variables: &[(&str, &Path)]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn postmaster(server: &Postgres) -> u32 {
    let text = fs::read_to_string(server.data_dir().join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

/// Whether the process runs. One that has ended but was not waited for does not count.
fn is_alive(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}

fn assert_gone(data: &Path, port: u16, pid: u32) {
    assert!(!data.parent().unwrap().exists(), "{} is left", data.display());
    assert!(!is_alive(pid), "server {pid} is left");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} answers");
}

/// Sends the startup packet; the socket and the kind of authentication asked for.
fn greet(server: &Postgres) -> (TcpStream, u32) {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    socket.write_all(&length.to_be_bytes()).unwrap();
    socket.write_all(&196_608_u32.to_be_bytes()).unwrap();
    socket.write_all(parameters).unwrap();
    let (tag, body) = message(&mut socket);
    assert_eq!(tag, b'R', "{}", String::from_utf8_lossy(&body));
    (socket, u32::from_be_bytes(body[..4].try_into().unwrap()))
}

/// The first column of every row, by the simple protocol on a connection of its own.
fn query(server: &Postgres, sql: &str) -> Vec<String> {
    let (mut socket, _) = greet(server);
    let mut rows = Vec::new();
    let mut asked = false;
    loop {
        let (tag, body) = message(&mut socket);
        match tag {
            b'Z' if asked => return rows,
            b'Z' => {
                asked = true;
                let length = u32::try_from(sql.len() + 5).unwrap();
                socket.write_all(b"Q").unwrap();
                socket.write_all(&length.to_be_bytes()).unwrap();
                socket.write_all(sql.as_bytes()).unwrap();
                socket.write_all(&[0]).unwrap();
            }
            b'D' => {
                let length = u32::from_be_bytes(body[2..6].try_into().unwrap()) as usize;
                rows.push(String::from_utf8(body[6..6 + length].to_vec()).unwrap());
            }
            b'E' => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
            _ => {}
        }
    }
}

fn message(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 5];
    socket.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    socket.read_exact(&mut body).unwrap();
    (head[0], body)
}
