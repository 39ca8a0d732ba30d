//! What a registry keeps: over restarts, over its sudden death, and among several on one database.
#![cfg(feature = "registry-storage")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use embedded_services::registry::{Config, Registry, Storage};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn file(dir: &Path) -> Config {
    Config::new().with_storage(Storage::File(dir.join("registry")))
}

async fn send(method: &str, url: &str, body: Option<Value>) -> Option<(u16, Value)> {
    let mut request = client().request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

async fn done(method: &str, url: &str, body: Option<Value>) -> Value {
    let (status, answer) = send(method, url, body).await.unwrap();
    assert!(status < 300, "{method} {url}: {status} {answer}");
    answer
}

fn schema(doc: &str) -> Value {
    let text = json!({"type": "record", "name": "Row", "doc": doc, "fields": []}).to_string();
    json!({"schema": text})
}

/// Everything that can be asked for.
async fn all(url: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in [
        "/contexts",
        "/subjects?deleted=true",
        "/schemas?deleted=true",
        "/config",
        "/config/s",
        "/mode",
        "/mode/t",
        "/schemas/ids/1",
        "/schemas/ids/2",
        "/schemas/ids/3",
        "/schemas/ids/1?subject=:.c:",
        "/subjects/s/versions?deletedAsNegative=true",
        "/subjects/colour/versions/1/referencedby",
    ] {
        let (status, answer) = send("GET", &format!("{url}{path}"), None).await.unwrap();
        answers.push(json!([path, status, answer]));
    }
    answers
}

/// One of each: deleted versions, references, settings, modes, metadata, another context.
async fn fill(url: &str) {
    let post = async |subject: &str, body: Value| {
        done("POST", &format!("{url}/subjects/{subject}/versions"), Some(body)).await;
    };
    post("s", schema("one")).await;
    post("s", schema("two")).await;
    post(":.c:s", schema("three")).await;
    let colour = json!({"type": "enum", "name": "Colour", "symbols": ["RED"]}).to_string();
    post("colour", json!({"schema": colour, "metadata": {"properties": {"a": "b"}}})).await;
    let car = json!({"type": "record", "name": "Car", "fields": [{"name": "c", "type": "Colour"}]});
    let reference = json!({"name": "Colour", "subject": "colour", "version": 1});
    post("car", json!({"schema": car.to_string(), "references": [reference]})).await;
    done("DELETE", &format!("{url}/subjects/s/versions/1"), None).await;
    done("PUT", &format!("{url}/config"), Some(json!({"compatibility": "FULL"}))).await;
    done("PUT", &format!("{url}/config/s"), Some(json!({"compatibility": "NONE"}))).await;
    done("PUT", &format!("{url}/mode/t"), Some(json!({"mode": "READONLY"}))).await;
    post("gone", schema("gone")).await;
    done("DELETE", &format!("{url}/subjects/gone"), None).await;
    done("DELETE", &format!("{url}/subjects/gone?permanent=true"), None).await;
}

#[tokio::test]
async fn a_file_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let first = Registry::start(file(dir.path())).await.unwrap();
    fill(&first.url()).await;
    let before = all(&first.url()).await;
    let taken = Registry::start(file(dir.path())).await.unwrap_err();
    assert!(taken.is_storage(), "one process at a time: {taken}");
    first.shutdown().await;

    let second = Registry::start(file(dir.path())).await.unwrap();
    assert_eq!(all(&second.url()).await, before);
    // Ids go on, also after one whose schema is gone; references still resolve.
    let url = format!("{}/subjects/more/versions", second.url());
    assert_eq!(done("POST", &url, Some(schema("more"))).await["id"], 6);
    let car = json!({"schema": r#"{"type":"record","name":"Car","fields":[
        {"name":"c","type":"Colour"},{"name":"n","type":"int","default":0}]}"#,
        "references": [{"name": "Colour", "subject": "colour", "version": 1}]});
    let url = format!("{}/subjects/car/versions", second.url());
    assert_eq!(done("POST", &url, Some(car)).await["version"], 2);
}

#[tokio::test]
async fn what_is_no_registry_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("registry"), "something else").unwrap();
    assert!(Registry::start(file(dir.path())).await.unwrap_err().is_storage());
    assert_eq!(std::fs::read(dir.path().join("registry")).unwrap(), b"something else");
}

const DIR: &str = "REGISTRY_OF_A_CHILD";

/// Not a test of its own: what the process that is to be killed does. It is this test program,
/// told by its environment where to keep the data.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that another test kills"]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let registry = Registry::start(file(Path::new(&dir))).await.unwrap();
    println!("\nlistening on {}", registry.url());
    // For as long as the parent lives, at most.
    tokio::time::sleep(std::time::Duration::from_secs(300)).await;
}

fn spawn(dir: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--ignored"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    (child, url.expect("the child says where it listens"))
}

/// Four clients register as fast as they can until the process is killed; what was acknowledged is
/// there afterwards, with the same id, and no id has two contents.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..4 {
        let (mut child, url) = spawn(dir.path());
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (url, told) = (url.clone(), told.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let doc = format!("{round} {client} {n}");
                        let url = format!("{url}/subjects/s{client}/versions");
                        let Some((200, answer)) = send("POST", &url, Some(schema(&doc))).await
                        else {
                            return;
                        };
                        told.send((doc, answer["id"].as_u64().unwrap())).unwrap();
                    }
                })
            })
            .collect();
        drop(told);
        // In the middle of it: another moment in each round.
        for _ in 0..(20 + 7 * round) {
            let (doc, id) = heard.recv().await.unwrap();
            acknowledged.insert(doc, id);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            client.await.unwrap();
        }
        while let Some((doc, id)) = heard.recv().await {
            acknowledged.insert(doc, id);
        }
    }
    assert!(acknowledged.len() >= 100, "{}", acknowledged.len());
    println!("{} acknowledged registrations, four deaths", acknowledged.len());

    let registry = Registry::start(file(dir.path())).await.unwrap();
    let mut ids = BTreeSet::new();
    for (doc, id) in &acknowledged {
        let found = done("GET", &format!("{}/schemas/ids/{id}", registry.url()), None).await;
        assert_eq!(found["schema"], schema(doc)["schema"], "id {id}");
        assert!(ids.insert(id), "id {id} twice");
        let client = doc.split(' ').nth(1).unwrap();
        let url = format!("{}/subjects/s{client}", registry.url());
        assert_eq!(done("POST", &url, Some(schema(doc))).await["id"], *id);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use embedded_services::postgres::{Config as ServerConfig, Postgres};
    use tokio::time::{Duration, Instant, sleep};

    use super::*;

    fn on(server: &Postgres) -> Config {
        let database = pgoutput::client::Config::parse(&server.url("postgres")).unwrap();
        Config::new().with_storage(Storage::Postgres(Box::new(database)))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn several_registries_share_a_database() {
        let server = Postgres::start(ServerConfig::new()).unwrap();
        let config = on(&server);
        // They make the schema at the same time.
        let (a, b, c) = tokio::join!(
            Registry::start(config.clone()),
            Registry::start(config.clone()),
            Registry::start(config.clone())
        );
        let registries = [a.unwrap(), b.unwrap(), c.unwrap()];

        // The same 40 schemas by all three at once.
        let calls: Vec<_> = (0..120)
            .map(|n| {
                let url = format!("{}/subjects/s{}/versions", registries[n % 3].url(), n / 3 % 5);
                let doc = (n / 3).to_string();
                tokio::spawn(async move {
                    let answer = done("POST", &url, Some(schema(&doc))).await;
                    (doc, answer["id"].as_u64().unwrap())
                })
            })
            .collect();
        let mut ids = BTreeMap::new();
        for call in calls {
            let (doc, id) = call.await.unwrap();
            assert_eq!(*ids.entry(doc).or_insert(id), id, "one id for one content");
        }
        let distinct: BTreeSet<_> = ids.values().copied().collect();
        assert_eq!(distinct, (1..=40).collect(), "and no id is left out or given twice");

        // What one writes the others answer: at once by id, soon for what they thought they knew.
        let [first, second, third] = &registries;
        fill_one(first, "new").await;
        done("GET", &format!("{}/subjects/new/versions/1", second.url()), None).await;
        done("DELETE", &format!("{}/subjects/new", first.url()), None).await;
        let end = Instant::now() + Duration::from_secs(30);
        let url = format!("{}/subjects/new/versions", third.url());
        while send("GET", &url, None).await.unwrap().0 != 404 {
            assert!(Instant::now() < end, "the deletion arrives");
            sleep(Duration::from_millis(20)).await;
        }

        // Connections that break are made again.
        let database = pgoutput::client::Config::parse(&server.url("postgres")).unwrap();
        let mut sql = pgoutput::client::Client::connect(&database).await.unwrap();
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await
        .unwrap();
        fill_one(second, "after").await;
        done("GET", &format!("{}/subjects/after/versions/1", first.url()), None).await;
    }

    async fn fill_one(registry: &Registry, subject: &str) {
        let url = format!("{}/subjects/{subject}/versions", registry.url());
        done("POST", &url, Some(schema(subject))).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_brings_everything_back() {
        let server = Postgres::start(ServerConfig::new()).unwrap();
        let first = Registry::start(on(&server)).await.unwrap();
        fill(&first.url()).await;
        let before = all(&first.url()).await;
        let second = Registry::start(on(&server)).await.unwrap();
        assert_eq!(all(&second.url()).await, before);
        first.shutdown().await;
        second.shutdown().await;
        let third = Registry::start(on(&server)).await.unwrap();
        assert_eq!(all(&third.url()).await, before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_is_away_is_a_store_error_until_it_is_back() {
        let mut server = Postgres::start(ServerConfig::new()).unwrap();
        let registry = Registry::start(on(&server)).await.unwrap();
        fill_one(&registry, "s").await;
        server.kill().unwrap();
        let url = format!("{}/subjects/t/versions", registry.url());
        let (status, answer) = send("POST", &url, Some(schema("t"))).await.unwrap();
        assert_eq!((status, &answer["error_code"]), (500, &json!(50001)), "{answer}");
        let known = format!("{}/subjects/s/versions/1", registry.url());
        done("GET", &known, None).await;
        server.restart().unwrap();
        done("POST", &url, Some(schema("t"))).await;
    }
}
