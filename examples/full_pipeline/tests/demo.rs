//! The demo as a user runs it, on outside systems by flags only, checked by programs that are not
//! ours: apache-avro reads the messages and the objects, SQL says what they must hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;

use embedded_services::postgres::{Config, Postgres};
use full_pipeline::northwind::{Existing, Northwind};
use support::{
    Decoder, Services, as_text, connect, consume, objects, program, rows, run, start_offset,
};

const TOPIC: &str = "ord.ods.cdc_events";

/// The outbox as the messages must show it: dates as days, the time as Debezium writes it.
const OUTBOX: &str = "SELECT order_id, customer_id, order_date - date '1970-01-01' AS order_date, \
     required_date - date '1970-01-01' AS required_date, \
     shipped_date - date '1970-01-01' AS shipped_date, order_items::text, products::text, \
     customer::text, employee::text, shipper::text, shipment::text, \
     to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS updated_at \
     FROM ods.cdc_events ORDER BY order_id";

type Row = BTreeMap<String, Option<String>>;

async fn outbox(url: &str, employee_id: bool) -> BTreeMap<String, Row> {
    let sql =
        if employee_id { OUTBOX.replace(" FROM", ", employee_id FROM") } else { OUTBOX.to_owned() };
    let names = [
        "order_id",
        "customer_id",
        "order_date",
        "required_date",
        "shipped_date",
        "order_items",
        "products",
        "customer",
        "employee",
        "shipper",
        "shipment",
        "updated_at",
        "employee_id",
    ];
    let names = &names[..if employee_id { 13 } else { 12 }];
    let mut client = connect(url).await;
    rows(&mut client, &sql)
        .await
        .iter()
        .map(|row| {
            let columns =
                names.iter().map(|name| ((*name).to_owned(), row.by_name(name).map(str::to_owned)));
            (row.get(0).unwrap().to_owned(), columns.collect())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_outside_systems_with_password_and_tls() {
    let postgres = Postgres::start(Config::new().with_password("s3cret &/?").with_ssl()).unwrap();
    let services = Services::start();
    let bucket = tempfile::tempdir().unwrap();
    let plain = postgres.url("postgres");
    let ca = postgres.ca_path().unwrap().to_str().unwrap();
    let url = format!("{}?sslmode=verify-full&sslrootcert={ca}", plain.split('?').next().unwrap());
    let output = run(program()
        .args(["demo", "--json", "--postgres-url", &url, "--brokers", &services.kafka])
        .args(["--registry-url", &services.registry, "--bucket"])
        .arg(bucket.path()));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(!log.contains("s3cret"), "the password is in the log");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON summary");
    assert_eq!(report["embedded"], serde_json::json!([]), "everything was outside");
    assert_eq!(report["messages"], 840);

    // The snapshot equals what the generator makes of the same seed in another database.
    let mut client = connect(&url).await;
    client.execute("CREATE DATABASE again").await.unwrap();
    let again = url.replace("/postgres?", "/again?");
    let mut second = connect(&again).await;
    let _made = Northwind::new().with_seed(1).load(&mut second, Existing::Keep).await.unwrap();
    let before = outbox(&again, false).await;
    let after = outbox(&url, true).await;
    assert_eq!((before.len(), after.len()), (829, 829), "one deleted, one new");

    let messages = consume(&services.kafka, TOPIC);
    assert_eq!(messages.len(), 840);
    let mut decoder = Decoder::new(&services.registry);
    let mut last: BTreeMap<String, BTreeMap<String, apache_avro::types::Value>> = BTreeMap::new();
    let mut operations = BTreeMap::new();
    let mut deleted = None;
    for (index, message) in messages.iter().enumerate() {
        let key = decoder.decode(message.key.as_ref().unwrap()).await.1;
        let id = as_text(&key["order_id"]).unwrap();
        let Some(value) = &message.value else {
            assert_eq!((index, Some(&id)), (839, deleted.as_ref()), "the one tombstone");
            continue;
        };
        let (schema, record) = decoder.decode(value).await;
        assert_eq!(as_text(&record["order_id"]).as_ref(), Some(&id), "key and value");
        assert_eq!(as_text(&record["__table"]).as_deref(), Some("cdc_events"));
        assert_eq!(as_text(&record["__db"]).as_deref(), Some("postgres"));
        let operation = as_text(&record["__op"]).unwrap();
        assert_eq!(schema, if index < 829 { 2 } else { 3 }, "the schema at {index}");
        if index < 829 {
            assert_eq!(operation, "r");
            assert_same(&before[&id], &record, &["updated_at"]);
        }
        if operation == "d" {
            assert_eq!(as_text(&record["__deleted"]).as_deref(), Some("true"));
            deleted = Some(id.clone());
            last.remove(&id);
        } else {
            assert_eq!(as_text(&record["__deleted"]).as_deref(), Some("false"));
            last.insert(id, record);
        }
        *operations.entry(operation).or_insert(0) += 1;
    }
    let expected =
        [("r", 829), ("u", 8), ("c", 1), ("d", 1)].map(|(op, count)| (op.to_owned(), count));
    assert_eq!(operations, expected.into());
    assert!(!after.contains_key(deleted.as_ref().unwrap()));
    assert_eq!(last.len(), after.len());
    for (id, row) in &after {
        // A row of the snapshot has no employee_id yet; SQL shows it the column's default.
        let unseen: &[&str] =
            if last[id].contains_key("employee_id") { &[] } else { &["employee_id"] };
        assert_same(row, &last[id], unseen);
    }

    let objects = objects(bucket.path());
    let names: Vec<i64> = objects.keys().map(|name| start_offset(name)).collect();
    assert_eq!(names, [0, 100, 200, 300, 400, 500, 600, 700, 800, 829]);
    for name in objects.keys() {
        assert!(name.starts_with("topics/ord.ods.cdc_events/partition=0/ord.ods.cdc_events+0+"));
    }
    // Each offset exactly once, in order: the records are those of the topic.
    let in_objects: Vec<_> = objects.into_values().flatten().collect();
    assert_eq!(in_objects.len(), 839);
    for (record, message) in in_objects.iter().zip(&messages) {
        let (_, expected) = decoder.decode(message.value.as_ref().unwrap()).await;
        assert_eq!(record, &expected, "offset {}", message.offset);
    }

    let slots = rows(&mut client, "SELECT slot_name FROM pg_replication_slots").await;
    assert!(slots.is_empty(), "a slot is left behind");
}

fn assert_same(row: &Row, record: &BTreeMap<String, apache_avro::types::Value>, except: &[&str]) {
    for (name, expected) in row {
        if !except.contains(&name.as_str()) {
            assert_eq!(&as_text(&record[name]), expected, "{name} of {:?}", row["order_id"]);
        }
    }
}

#[test]
fn the_story_with_everything_embedded_and_placeholders() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(program().current_dir(folder.path()).env("TMPDIR", folder.path()).args([
        "--toast",
        "placeholder",
        "--json",
    ]));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON summary");
    assert_eq!(report["outside"], serde_json::json!([]));
    assert_eq!((&report["unchanged_toast"], &report["reselected"]), (&5.into(), &0.into()));
    assert!(report["usage"]["peak_kib"].as_u64().unwrap() > 0);

    let objects = objects(&folder.path().join("demo-output"));
    let placeholders = objects
        .values()
        .flatten()
        .flat_map(BTreeMap::values)
        .filter(|value| {
            matches!(value, apache_avro::types::Value::String(text) if text == "__debezium_unavailable_value")
        })
        .count();
    assert_eq!(placeholders, 5, "one column of each of the five orders of VINET");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "demo-output")
        .collect();
    assert!(left.is_empty(), "temporary folders stay behind: {left:?}");
}
