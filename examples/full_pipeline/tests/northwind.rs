//! The demonstration's database against the shape of the original's, which `testdata` holds as
//! counts, and its outbox as a reader of the replication stream sees it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking"
)]

use std::{collections::HashMap, sync::LazyLock};

use embedded_services::postgres::{Config, Postgres};
use full_pipeline::northwind::{Existing, LoadError, Loaded, Northwind, story};
use pgoutput::{
    Column, Decoder, Message, ProtocolVersion,
    client::{self, Client, quote_identifier, quote_literal},
};
use serde_json::Value;

/// One server for all tests, each with a database of its own. It is never dropped, as no static
/// is: it ends because the process does.
static SERVER: LazyLock<Postgres> = LazyLock::new(|| Postgres::start(Config::new()).unwrap());

#[tokio::test]
async fn every_table_has_the_shape_of_the_original() {
    let mut db = loaded("shape", &Northwind::new()).await;
    let shape: Value =
        serde_json::from_str(include_str!("../testdata/northwind-shape.json")).unwrap();
    let mut faults = Vec::new();
    for (table, expected) in shape.as_object().unwrap() {
        let rows = db.number(&format!("SELECT count(*) FROM ods.{table}")).await;
        assert_eq!(rows, expected["rows"].as_f64().unwrap(), "rows of {table}");
        let key = format!(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE conrelid = 'ods.{table}'::regclass AND contype = 'p'"
        );
        assert_eq!(db.text(&key).await, expected["key"].as_str().unwrap(), "key of {table}");
        let columns = db
            .rows(&format!(
                "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute \
                 WHERE attrelid = 'ods.{table}'::regclass AND attnum > 0 ORDER BY attnum"
            ))
            .await;
        let expected = expected["columns"].as_array().unwrap();
        assert_eq!(columns.len(), expected.len(), "columns of {table}");
        for (found, expected) in columns.iter().zip(expected) {
            let not_null = if expected["not_null"].as_bool().unwrap() { "t" } else { "f" };
            let text = |name: &str| expected[name].as_str().unwrap();
            assert_eq!(found[..], [text("name"), text("type"), not_null], "column of {table}");
            if text("type") != "jsonb" {
                faults.extend(values_unlike(&mut db, table, rows, expected).await);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Compares the values of a column with what is known of the original's: nulls, distinct values,
/// both ends, and the average length of texts.
async fn values_unlike(db: &mut Db, table: &str, rows: f64, expected: &Value) -> Vec<String> {
    let name = expected["name"].as_str().unwrap();
    let kind = expected["type"].as_str().unwrap();
    let sql = format!(
        "SELECT count(*) - count({name}), count(DISTINCT {name}), \
         coalesce(avg(length({name}::text)), 0) FROM ods.{table}"
    );
    let found = db.rows(&sql).await.remove(0);
    let found: Vec<f64> = found.iter().map(|number| number.parse().unwrap()).collect();
    let known = |what: &str| expected[what].as_f64().unwrap();
    let mut faults = Vec::new();
    let mut near = |what: &str, found: f64, expected: f64, tolerance: f64| {
        if (found - expected).abs() > tolerance {
            faults.push(format!("{table}.{name}: {what} {found}, expected {expected}"));
        }
    };
    // How many orders name a region depends on who orders most, which the seed decides.
    let nulls_may_differ = if name == "ship_region" { rows * 0.1 } else { 0.0 };
    near("nulls", found[0], known("nulls"), nulls_may_differ);
    near("distinct values", found[1], known("distinct"), known("distinct") * 0.15 + 2.0);
    if kind.starts_with("character varying") || kind == "text" {
        near("average length", found[2], known("avg_len"), known("avg_len") * 0.3 + 2.0);
    }
    if let (Some(low), Some(high)) = (expected["min"].as_str(), expected["max"].as_str()) {
        // Dates and numbers alike become numbers; 5 % of the range either way.
        let number = if kind == "date" { "- date '1970-01-01'" } else { "+ 0" };
        let sql = format!(
            "SELECT min({name}) {number}, max({name}) {number}, \
             {low} {number}, {high} {number} FROM ods.{table}",
            low = format_args!("{}::{kind}", quote_literal(low)),
            high = format_args!("{}::{kind}", quote_literal(high)),
        );
        let ends = db.rows(&sql).await.remove(0);
        let ends: Vec<f64> = ends.iter().map(|number| number.parse().unwrap()).collect();
        let tolerance = (ends[3] - ends[2]) * 0.05;
        near("lowest value", ends[0], ends[2], tolerance);
        near("highest value", ends[1], ends[3], tolerance);
    }
    faults
}

#[tokio::test]
async fn shares_are_those_of_the_original() {
    let mut db = loaded("shares", &Northwind::new()).await;
    let counts = "SELECT string_agg(n::text, ' ' ORDER BY n DESC) FROM (SELECT count(*) AS n FROM";
    for (group, expected) in [
        ("ods.orders GROUP BY employee_id", "156 127 123 103 96 72 67 43 42"),
        ("ods.orders GROUP BY ship_via", "325 255 249"),
        ("ods.territories GROUP BY region_id", "19 15 11 8"),
        ("ods.order_details GROUP BY discount", "1317 185 173 161 157 154 1 1 1 1 1"),
        (
            "(SELECT count(*) AS lines FROM ods.order_details GROUP BY order_id) GROUP BY lines",
            "283 247 137 125 33 3 1",
        ),
    ] {
        // A subquery in FROM needs a name before PostgreSQL 16.
        let group = group.replace("order_id) GROUP", "order_id) t GROUP");
        assert_eq!(db.text(&format!("{counts} {group}) t")).await, expected, "{group}");
    }
    for (sql, low, high) in [
        ("SELECT count(DISTINCT customer_id) FROM ods.orders", 89.0, 89.0),
        (
            "SELECT max(n) FROM (SELECT count(*) n FROM ods.orders GROUP BY customer_id) t",
            31.0,
            31.0,
        ),
        ("SELECT count(*) FROM ods.orders WHERE order_id = 11075", 0.0, 0.0),
        ("SELECT min(required_date - order_date) FROM ods.orders", 14.0, 14.0),
        ("SELECT max(required_date - order_date) FROM ods.orders", 42.0, 42.0),
        ("SELECT min(shipped_date - order_date) FROM ods.orders", 1.0, 1.0),
        ("SELECT max(shipped_date - order_date) FROM ods.orders", 35.0, 37.0),
        ("SELECT avg(shipped_date - order_date) FROM ods.orders", 7.5, 9.5),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY freight) FROM ods.orders", 41.0, 42.0),
        ("SELECT avg(quantity) FROM ods.order_details", 23.6, 24.0),
        (
            "SELECT count(*) FROM ods.order_details d JOIN ods.products p USING (product_id) \
             WHERE d.unit_price <> p.unit_price",
            662.0,
            662.0,
        ),
        ("SELECT count(*) FROM ods.order_details WHERE order_id = 11077", 25.0, 25.0),
        (
            "SELECT count(*) FROM ods.orders WHERE order_id = 11077 AND shipped_date IS NULL",
            1.0,
            1.0,
        ),
    ] {
        let found = db.number(sql).await;
        assert!((low..=high).contains(&found), "{found} is not from {low} to {high}: {sql}");
    }
    let first = "SELECT order_date, required_date, shipped_date FROM ods.orders \
                 WHERE order_id = 10248";
    assert_eq!(db.rows(first).await, [["1996-07-04", "1996-08-01", "1996-07-16"]]);
}

#[tokio::test]
async fn the_customer_of_the_story_has_five_orders_at_every_scale() {
    let vinet = "SELECT string_agg(order_id || '=' || employee_id, ' ' ORDER BY order_id) \
                 FROM ods.orders WHERE customer_id = 'VINET'";
    for (seed, scale) in [(1996, 1), (7, 1), (7, 3)] {
        let northwind = Northwind::new().with_seed(seed).with_scale(scale);
        let mut db = loaded(&format!("vinet_{seed}_{scale}"), &northwind).await;
        assert_eq!(db.text(vinet).await, "10248=5 10274=6 10295=2 10737=2 10739=3");
    }
}

#[tokio::test]
async fn identifiers_outgrow_smallint_and_rows_grow_with_the_scale() {
    assert_eq!(Northwind::new().with_scale(27).order_id_type(), "smallint");
    let northwind = Northwind::new().with_scale(28);
    assert_eq!(northwind.order_id_type(), "integer");
    let mut db = loaded("scale_28", &northwind).await;
    for (sql, expected) in [
        ("SELECT count(*) FROM ods.orders", f64::from(northwind.orders())),
        ("SELECT count(*) FROM ods.cdc_events", f64::from(28 * 829)),
        ("SELECT count(*) FROM ods.order_details", f64::from(northwind.order_lines())),
        ("SELECT max(order_id) FROM ods.cdc_events", f64::from(10_248 + 28 * 829)),
        ("SELECT count(DISTINCT order_date) FROM ods.orders", 480.0),
    ] {
        assert_eq!(db.number(sql).await, expected, "{sql}");
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let all = |seed, scale| -> Vec<String> {
        Northwind::new().with_seed(seed).with_scale(scale).data_statements().collect()
    };
    assert_eq!(all(1, 2), all(1, 2));
    assert_ne!(all(1, 2), all(2, 2));
    for statement in all(1, 2) {
        assert!(statement.matches("\n(").count() <= 500, "{}", &statement[..80]);
    }
    assert_eq!(Northwind::new().with_scale(0), Northwind::new().with_scale(1));
}

#[tokio::test]
async fn rows_of_the_outbox_are_as_large_as_the_originals_and_partly_out_of_line() {
    let mut db = loaded("sizes", &Northwind::new()).await;
    for (column, mean) in [
        ("order_items", 184.0),
        ("products", 1657.0),
        ("customer", 294.0),
        ("employee", 1261.0),
        ("shipper", 79.0),
        ("shipment", 194.0),
    ] {
        let sql = format!("SELECT avg(length({column}::text)) FROM ods.cdc_events");
        let found = db.number(&sql).await;
        assert!((found - mean).abs() < mean * 0.1, "{column}: {found} bytes, expected {mean}");
    }
    let toast = "SELECT reltoastrelid::regclass FROM pg_class \
                 WHERE oid = 'ods.cdc_events'::regclass";
    let toast = db.text(toast).await;
    let values = db.number(&format!("SELECT count(DISTINCT chunk_id) FROM {toast}")).await;
    assert!((750.0..=900.0).contains(&values), "{values} values are out of line, expected 830");
    let product = "SELECT count(*) FROM (SELECT jsonb_object_keys(products -> 0) \
                   FROM ods.cdc_events WHERE order_id = 10248) t";
    assert_eq!(db.number(product).await, 24.0, "product, supplier and category in one");
    assert_eq!(db.number(OUTBOX_UNLIKE_ORDERS).await, 0.0);
}

#[tokio::test]
async fn the_trigger_keeps_the_outbox_true() {
    let mut db = loaded("trigger", &Northwind::new()).await;
    let employee = "SELECT employee ->> 'employee_id', employee ->> 'last_name' = last_name, \
                    jsonb_array_length(employee -> 'territories') \
                    FROM ods.cdc_events JOIN ods.employees e ON e.employee_id = 9 \
                    WHERE order_id = 10248";
    assert_eq!(db.rows(employee).await[0][0], "5");
    db.execute("UPDATE ods.orders SET employee_id = 9 WHERE order_id = 10248").await;
    assert_eq!(db.rows(employee).await, [["9", "t", "7"]]);

    let items = "SELECT string_agg(order_id || ':' || jsonb_array_length(order_items), ' ' \
                 ORDER BY order_id) FROM ods.cdc_events WHERE order_id IN (10248, 10274)";
    assert_eq!(db.text(items).await, "10248:3 10274:2");
    db.execute(
        "UPDATE ods.order_details SET order_id = 10274 WHERE order_id = 10248 AND product_id = \
         (SELECT min(product_id) FROM ods.order_details WHERE order_id = 10248 AND product_id \
         NOT IN (SELECT product_id FROM ods.order_details WHERE order_id = 10274))",
    )
    .await;
    assert_eq!(db.text(items).await, "10248:2 10274:3", "a moved line changes both orders");

    for change in [
        "UPDATE ods.orders SET customer_id = 'RICSU', ship_via = 1, freight = 0.5",
        "UPDATE ods.orders SET employee_id = NULL WHERE order_id < 10300",
        "UPDATE ods.order_details SET quantity = quantity + 1 WHERE order_id < 10300",
    ] {
        db.execute(change).await;
        assert_eq!(db.number(OUTBOX_UNLIKE_ORDERS).await, 0.0, "after {change}");
    }
    db.execute("ALTER TABLE ods.cdc_events ADD COLUMN extra int DEFAULT -1").await;
    db.execute("UPDATE ods.cdc_events SET extra = 4 WHERE order_id = 10250").await;
    db.execute("UPDATE ods.orders SET freight = 1 WHERE order_id IN (10250, 10251)").await;
    let extra = "SELECT extra FROM ods.cdc_events WHERE order_id IN (10250, 10251) ORDER BY 1";
    assert_eq!(db.rows(extra).await, [["-1"], ["4"]], "a later column keeps its value");
}

#[tokio::test]
async fn the_story_gives_the_messages_it_is_told_with() {
    let mut db = loaded("story", &Northwind::new()).await;
    db.execute("SELECT pg_create_logical_replication_slot('story', 'pgoutput')").await;

    db.execute(story::ADD_COLUMN).await;
    assert_eq!(db.changes().await.kinds, "", "a new column alone is no message");
    db.execute(story::FILL_COLUMN).await;
    let filled = db.changes().await;
    assert_eq!(filled.kinds, "B R U U U U U C");
    assert!(filled.unchanged.iter().all(|&columns| columns > 0), "{:?}", filled.unchanged);
    let ids = "SELECT string_agg(order_id || '=' || employee_id, ' ' ORDER BY order_id) \
               FROM ods.cdc_events WHERE employee_id <> -1";
    assert_eq!(db.text(ids).await, "10248=5 10274=6 10295=2 10737=2 10739=3");

    db.execute(story::NEW_ORDER).await;
    let ordered = db.changes().await;
    assert_eq!(ordered.kinds, "B R I U U U C");
    assert_eq!(ordered.items, [None, Some(1), Some(2), Some(3)]);
    let new =
        format!("SELECT employee_id FROM ods.orders WHERE order_id = {}", story::NEW_ORDER_ID);
    assert_eq!(db.text(&new).await, "8");

    db.execute(story::SHIP_ORDER).await;
    assert_eq!(db.changes().await.kinds, "B R U C");
    db.execute(story::DELETE_EVENT).await;
    assert_eq!(db.changes().await.kinds, "B R D C");
    let left = db.number("SELECT count(*) FROM ods.cdc_events").await;
    assert_eq!(left, 829.0);
    let id = story::DELETED_ORDER_ID;
    let deleted = format!("SELECT count(*) FROM ods.cdc_events WHERE order_id = {id}");
    assert_eq!(db.number(&deleted).await, 0.0);
    db.execute("SELECT pg_drop_replication_slot('story')").await;
}

#[tokio::test]
async fn loading_twice_does_nothing_or_makes_the_same_anew() {
    let northwind = Northwind::new();
    let mut db = loaded("Twice \"and\" again", &northwind).await;
    let search_path = "SELECT setconfig[1] FROM pg_db_role_setting s JOIN pg_database d \
                       ON d.oid = s.setdatabase WHERE datname = current_database()";
    assert_eq!(db.text(search_path).await, "search_path=ods");
    let before = db.text(DIGEST).await;

    db.execute("DELETE FROM ods.cdc_events WHERE order_id = 10250").await;
    assert_eq!(northwind.load(&mut db.0, Existing::Keep).await.unwrap(), Loaded::WasThere);
    assert_ne!(db.text(DIGEST).await, before, "what was changed since stays");

    let other = northwind.with_seed(5);
    match other.load(&mut db.0, Existing::Keep).await.unwrap_err() {
        LoadError::Occupied(marker) => assert_eq!(marker, Some(northwind.marker())),
        error => panic!("{error:?}"),
    }
    assert_eq!(northwind.load(&mut db.0, Existing::Drop).await.unwrap(), Loaded::Made);
    assert_eq!(db.text(DIGEST).await, before);
}

#[tokio::test]
async fn a_failed_load_leaves_nothing() {
    let mut db = empty("fails").await;
    // The name is taken, which shows at the very end.
    db.execute("CREATE PUBLICATION cdc_publication").await;
    let northwind = Northwind::new();
    match northwind.load(&mut db.0, Existing::Keep).await.unwrap_err() {
        LoadError::Database(error) => assert_eq!(error.sqlstate(), Some("42710")),
        error => panic!("{error:?}"),
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ods', 'registry')";
    assert_eq!(db.number(schemas).await, 0.0);
    assert_eq!(northwind.load(&mut db.0, Existing::Drop).await.unwrap(), Loaded::Made);
}

/// How many rows differ between the outbox and what the orders say now.
const OUTBOX_UNLIKE_ORDERS: &str = "SELECT count(*) FROM ods.order_events o \
    FULL JOIN ods.cdc_events e USING (order_id) \
    WHERE (o.customer_id, o.order_date, o.required_date, o.shipped_date, o.order_items, \
           o.products, o.customer, o.employee, o.shipper, o.shipment) IS DISTINCT FROM \
          (e.customer_id, e.order_date, e.required_date, e.shipped_date, e.order_items, \
           e.products, e.customer, e.employee, e.shipper, e.shipment)";

/// Of all rows but for when they were put into the outbox.
const DIGEST: &str = "SELECT md5(string_agg(rows, ',')) FROM (\
    SELECT string_agg(md5(t::text), '' ORDER BY order_id) FROM ods.orders t UNION ALL \
    SELECT string_agg(md5(t::text), '' ORDER BY order_id, product_id) FROM ods.order_details t \
    UNION ALL SELECT string_agg(md5((to_jsonb(t) - 'updated_at')::text), '' ORDER BY order_id) \
    FROM ods.cdc_events t) all_rows (rows)";

struct Db(Client);

/// What the slot `story` had to say since it was asked last.
struct Changes {
    /// The letters of the messages. Each reading is a stream of its own, so it tells of the relation.
    kinds: String,
    /// Of each update, how many columns were out of line and are left out.
    unchanged: Vec<usize>,
    /// Of each insert and update, how many order items there are.
    items: Vec<Option<usize>>,
}

impl Db {
    async fn execute(&mut self, sql: &str) {
        self.0.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// All values, a null as an empty text.
    async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.0.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter()
            .map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
            .collect()
    }

    async fn text(&mut self, sql: &str) -> String {
        self.rows(sql).await.remove(0).remove(0)
    }

    async fn number(&mut self, sql: &str) -> f64 {
        self.text(sql).await.parse().unwrap()
    }

    async fn changes(&mut self) -> Changes {
        let sql = "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('story', \
                   NULL, NULL, 'proto_version', '1', 'publication_names', 'cdc_publication')";
        let messages = self.rows(sql).await;
        let mut decoder = Decoder::new(ProtocolVersion::V1);
        let mut changes = Changes { kinds: String::new(), unchanged: vec![], items: vec![] };
        let mut kinds = Vec::new();
        for message in &messages {
            let bytes = unhex(&message[0]);
            kinds.push(char::from(bytes[0]).to_string());
            let new = match decoder.decode(&bytes).unwrap() {
                Message::Insert(insert) => insert.new,
                Message::Update(update) => {
                    let columns = update.new.columns().map(Result::unwrap);
                    let unchanged = columns.filter(|column| *column == Column::Unchanged).count();
                    changes.unchanged.push(unchanged);
                    update.new
                }
                _ => continue,
            };
            changes.items.push(match new.columns().nth(5).unwrap().unwrap() {
                Column::Text(json) => {
                    let items: Vec<HashMap<String, Value>> = serde_json::from_slice(json).unwrap();
                    Some(items.len())
                }
                _ => None,
            });
        }
        changes.kinds = kinds.join(" ");
        changes
    }
}

async fn empty(name: &str) -> Db {
    let mut admin = connect("postgres").await;
    let sql = format!("CREATE DATABASE {} TEMPLATE template0", quote_identifier(name));
    admin.0.execute(&sql).await.unwrap();
    connect(name).await
}

async fn loaded(name: &str, northwind: &Northwind) -> Db {
    let mut db = empty(name).await;
    assert_eq!(northwind.load(&mut db.0, Existing::Keep).await.unwrap(), Loaded::Made);
    db
}

async fn connect(database: &str) -> Db {
    let url = SERVER.url(database);
    Db(Client::connect(&client::Config::parse(&url).unwrap()).await.unwrap())
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
