//! The loader on a server of somebody's own: its questions, its two lines, and that it can be run
//! again.
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
    io::Write as _,
    process::{Output, Stdio},
};

use embedded_services::postgres::{Config, Postgres};
use support::{connect, program, rows};

fn load(server: &Postgres, database: &str, answer: &str, more: &[&str]) -> Output {
    let port = server.port().to_string();
    let mut child = program()
        .args(["load-demo", "-h", "127.0.0.1", "-p", &port, "-d", database, "-u", "postgres"])
        .args(["--password", "pw"])
        .args(more)
        .env("RUST_LOG", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loader_asks_creates_loads_and_can_be_run_again() {
    let server = Postgres::start(Config::new().with_password("pw")).unwrap();

    let (out, err) = said(&load(&server, "main", "n\n", &[]));
    assert!(
        err.contains("To create database? [y/N]: ") && err.contains("nothing was done"),
        "{err}"
    );
    assert_eq!(out, "");

    let made = load(&server, "main", "y\n", &[]);
    let (out, err) = said(&made);
    assert!(made.status.success(), "{err}");
    assert_eq!(
        out,
        "Database connection created\nNorthwind SQL scripts executed\nDatabase connection closed\n"
    );
    let url = server.url("main");
    let mut client = connect(&url).await;
    let orders = rows(&mut client, "SELECT count(*) FROM ods.cdc_events").await;
    assert_eq!(orders[0].get(0), Some("829"));

    let (out, _) = said(&load(&server, "main", "", &["--yes"]));
    assert!(out.contains("Northwind is loaded already; nothing was done"), "{out}");

    // A database that is not the demo's is left alone, unless its owner says otherwise.
    client.execute("COMMENT ON SCHEMA ods IS 'mine'").await.unwrap();
    let other = load(&server, "main", "", &["--yes"]);
    let (_, err) = said(&other);
    assert_eq!(other.status.code(), Some(3), "{err}");
    assert!(err.contains("another schema `ods` (mine)") && err.contains("--drop"), "{err}");
    let (out, _) = said(&load(&server, "main", "", &["--yes", "--drop"]));
    assert!(out.contains("Northwind SQL scripts executed"), "{out}");
}
