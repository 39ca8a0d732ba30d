//! Ad-hoc snapshots by signals while others write: whatever happens meanwhile, the last record of
//! every row is its newest state.
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
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use apache_avro::types::Value;
use pgoutput::client::Client;
use support::{
    Decoder, Place, Running, as_text, configuration, connect, consume, fields, high_watermark,
    program, rows, until,
};

const NOTES: &str = "notes";

const SIGNALS: &str = "CREATE TABLE signals (id varchar(42) PRIMARY KEY, \
                       type varchar(32) NOT NULL, data varchar(2048));";

/// The end of every chunk comes late, so that much is changed after it was read.
const LATE: &str = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.type = 'snapshot-window-close' THEN PERFORM pg_sleep(0.1); END IF; RETURN NEW; END $$; \
    CREATE TRIGGER late BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION late();";

impl Place {
    async fn connect(&self) -> Client {
        connect(&self.url()).await
    }

    fn source(&self, more: &[(&str, &str)]) -> Command {
        let mut keys = vec![
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("topic.prefix", "inc"),
            ("slot.name", "inc"),
            ("publication.name", "everything"),
            ("snapshot.mode", "no_data"),
            ("keyless.tables", "allow"),
            ("signal.data.collection", "public.signals"),
            ("notification.enabled.channels", "sink,log"),
            ("notification.sink.topic.name", NOTES),
            ("value.converter", "io.confluent.connect.avro.AvroConverter"),
            ("value.converter.schema.registry.url", &self.services.registry),
        ];
        keys.extend_from_slice(more);
        let source = configuration(self.folder.path(), "source.json", &keys);
        let mut command = program();
        command
            .args(["source", "--strict", "--postgres-url", &self.url()])
            .args(["--brokers", &self.services.kafka, "--registry-url", &self.services.registry])
            .arg("--source-config")
            .arg(source);
        command
    }

    /// The notifications so far: what happened, and more about it.
    async fn notes(&self, decoder: &mut Decoder) -> Vec<(String, BTreeMap<String, String>)> {
        if high_watermark(&self.services.kafka, NOTES) == 0 {
            return Vec::new();
        }
        let mut notes = Vec::new();
        for message in consume(&self.services.kafka, NOTES) {
            let (_, record) = decoder.decode(message.value.as_ref().unwrap()).await;
            let Value::Map(data) = &record["additional_data"] else { panic!("no map") };
            let data = data.iter().map(|(name, text)| (name.clone(), as_text(text).unwrap()));
            notes.push((as_text(&record["type"]).unwrap(), data.collect()));
        }
        notes
    }

    /// Waits for so many notifications of a kind.
    async fn wait_for(&self, decoder: &mut Decoder, kind: &str, many: usize) {
        for attempt in 0.. {
            let notes = self.notes(decoder).await;
            if notes.iter().filter(|(seen, _)| seen == kind).count() >= many {
                return;
            }
            assert!(attempt < 1200, "no {kind}: {notes:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until everything written so far is in Kafka.
    async fn settle(&self, client: &mut Client) {
        let end = rows(client, "SELECT pg_current_wal_insert_lsn()").await;
        let end = end[0].get(0).unwrap();
        let confirmed = format!(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots \
             WHERE slot_name = 'inc' AND confirmed_flush_lsn >= '{end}'"
        );
        for attempt in 0.. {
            if !rows(client, &confirmed).await.is_empty() {
                return;
            }
            assert!(attempt < 600, "the slot does not reach {end}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The records of a table: operation, and the row before or after it.
    async fn records(&self, decoder: &mut Decoder, table: &str) -> Vec<(String, Row)> {
        let mut records = Vec::new();
        let topic = format!("inc.public.{table}");
        if high_watermark(&self.services.kafka, &topic) == 0 {
            return records;
        }
        for message in consume(&self.services.kafka, &topic) {
            let Some(value) = &message.value else { continue };
            let (_, mut envelope) = decoder.decode(value).await;
            let op = as_text(&envelope["op"]).unwrap();
            let row = envelope.remove(if op == "d" { "before" } else { "after" }).unwrap();
            let row = if row == Value::Null { BTreeMap::new() } else { fields(row) };
            let row = row.into_iter().map(|(name, value)| (name, as_text(&value)));
            records.push((op, row.collect()));
        }
        records
    }
}

type Row = BTreeMap<String, Option<String>>;

fn signal(id: &str, kind: &str, data: &str) -> String {
    format!("INSERT INTO signals VALUES ('{id}', '{kind}', '{data}')")
}

/// The source is ready when its slot is in use.
async fn streaming(client: &mut Client) {
    let sql = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'inc' AND active";
    for attempt in 0.. {
        if !rows(client, sql).await.is_empty() {
            return;
        }
        assert!(attempt < 600, "the source does not stream");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Changes rows at random until it is told to stop; every change has a higher number.
async fn write(url: String, mut random: u64, stop: Arc<AtomicBool>) {
    let mut client = connect(&url).await;
    while !stop.load(Ordering::Relaxed) {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (n, what) = (random >> 33, (random >> 20) % 10);
        let at = format!("a = {} AND b = 'b{}'", n % 800, n % 5);
        let sql = match what {
            0 => format!("DELETE FROM items WHERE {at}"),
            1 => format!(
                "INSERT INTO items VALUES ({}, 'b{}', nextval('numbers')) ON CONFLICT DO NOTHING",
                n % 900,
                n % 7
            ),
            // Rows move, forwards and backwards.
            2 => format!(
                "UPDATE items SET a = {}, b = 'c' || v, v = nextval('numbers') WHERE {at}",
                n % 850
            ),
            _ => format!("UPDATE items SET v = nextval('numbers') WHERE {at}"),
        };
        client.execute(&sql).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_source_is_killed_in_an_incremental_snapshot() {
    let place = Place::new();
    let mut client = place.connect().await;
    client
        .execute(&format!(
            "{SIGNALS} {LATE} CREATE TABLE items (a int, b text, v int NOT NULL, PRIMARY KEY (a, b)); \
             CREATE SEQUENCE numbers; CREATE PUBLICATION everything FOR ALL TABLES; \
             INSERT INTO items SELECT i / 5, 'b' || i % 5, nextval('numbers') \
             FROM generate_series(0, 3999) i"
        ))
        .await
        .unwrap();
    let more = [("incremental.snapshot.chunk.size", "100")];
    let mut running = Running::start(&mut place.source(&more));
    streaming(&mut client).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        [7, 99].map(|seed| tokio::spawn(write(place.url(), seed, stop.clone()))).into();
    let data = r#"{"data-collections":["public.items"]}"#;
    let kafka = place.services.kafka.clone();
    let position = high_watermark(&kafka, "_cdc_offsets");
    client.execute(&signal("first", "execute-snapshot", data)).await.unwrap();
    // At once, while the transaction of the signal is still being seen to: it comes again.
    until("the position", || (high_watermark(&kafka, "_cdc_offsets") > position).then_some(()));
    running.kill();
    running = Running::start(&mut place.source(&more));
    let before = high_watermark(&kafka, "inc.public.items");
    // At moments that the records decide and nobody knows beforehand.
    for more_records in [700, 1_900, 3_000] {
        let enough =
            || (high_watermark(&kafka, "inc.public.items") >= before + more_records).then_some(());
        until("some records", enough);
        running.kill();
        running = Running::start(&mut place.source(&more));
    }
    let mut decoder = Decoder::new(&place.services.registry);
    place.wait_for(&mut decoder, "COMPLETED", 1).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    place.settle(&mut client).await;
    running.terminate();

    let notes = place.notes(&mut decoder).await;
    let many = |kind: &str| notes.iter().filter(|(seen, _)| seen == kind).count();
    assert_eq!(many("STARTED"), 1, "the signal was seen to once");
    let mut tables = notes.iter().filter_map(|(_, data)| data.get("data_collections"));
    assert!(tables.all(|tables| tables == "public.items"), "and not once more");
    assert!(many("IN_PROGRESS") >= 40, "{} chunks", many("IN_PROGRESS"));
    let mut last: BTreeMap<(String, String), Option<String>> = BTreeMap::new();
    let (mut reads, mut changes) = (0, 0);
    for (op, row) in place.records(&mut decoder, "items").await {
        let of = |name: &str| row[name].clone().unwrap();
        let state = (op != "d").then(|| of("v"));
        last.insert((of("a"), of("b")), state);
        if op == "r" { reads += 1 } else { changes += 1 }
    }
    last.retain(|_, state| state.is_some());
    let there: BTreeMap<(String, String), Option<String>> =
        rows(&mut client, "SELECT a, b, v FROM items")
            .await
            .iter()
            .map(|row| {
                let of = |name| row.by_name(name).unwrap().to_owned();
                ((of("a"), of("b")), Some(of("v")))
            })
            .collect();
    let wrong: Vec<_> = there
        .iter()
        .filter(|(key, state)| last.get(*key) != Some(*state))
        .map(|(key, state)| (key, state, last.get(key)))
        .collect();
    assert!(wrong.is_empty(), "of {} rows {}: {:?}", there.len(), wrong.len(), wrong.first());
    let ghosts: Vec<_> = last.keys().filter(|key| !there.contains_key(*key)).collect();
    assert!(ghosts.is_empty(), "rows that are gone: {ghosts:?}");
    assert!(reads >= 2_500 && changes > 100, "{reads} reads, {changes} changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_steer_an_incremental_snapshot() {
    let place = Place::new();
    let mut client = place.connect().await;
    client
        .execute(&format!(
            "{SIGNALS} CREATE PUBLICATION everything FOR ALL TABLES; \
             CREATE TABLE keyed (n bigint, at timestamptz, on_off boolean, name char(5), \
               PRIMARY KEY (at, on_off, name, n)); \
             INSERT INTO keyed SELECT i, '2024-01-01'::timestamptz + i / 9 * '1 hour 0.000001 s'::interval, \
               i % 2 = 0, 'n''' || i % 3 FROM generate_series(1, 50) i; \
             CREATE TABLE unkeyed (k int, v text); ALTER TABLE unkeyed REPLICA IDENTITY FULL; \
             INSERT INTO unkeyed SELECT nullif(i / 3, 4), 'v' || i FROM generate_series(1, 40) i; \
             CREATE TABLE nothing (id int PRIMARY KEY); \
             CREATE TABLE part (id int PRIMARY KEY); INSERT INTO part SELECT generate_series(1, 20)"
        ))
        .await
        .unwrap();
    let more = [
        ("incremental.snapshot.chunk.size", "7"),
        ("incremental.snapshot.watermarking.strategy", "insert_delete"),
    ];
    let running = Running::start(&mut place.source(&more));
    streaming(&mut client).await;
    // None of these does anything, and none ends the source.
    for (n, (kind, data)) in [
        ("execute-snapshot", "{oops"),
        ("execute-snapshot", r#"{"data-collections":["("]}"#),
        ("execute-snapshot", r#"{"data-collections":[]}"#),
        ("unheard-of", "{}"),
        ("log", "[]"),
        ("stop-snapshot", ""),
        ("resume-snapshot", ""),
    ]
    .into_iter()
    .enumerate()
    {
        client.execute(&signal(&format!("bad-{n}"), kind, data)).await.unwrap();
    }
    let mut decoder = Decoder::new(&place.services.registry);
    let tables = r#"["public.keyed","public.nothing","no.such","public.unkeyed"]"#;
    let data = format!(r#"{{"data-collections":{tables}}}"#);
    client.execute(&signal("tables", "execute-snapshot", &data)).await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 1).await;
    let notes = place.notes(&mut decoder).await;
    let statuses = |notes: &[(String, BTreeMap<String, String>)]| -> Vec<(String, String, String)> {
        let over = notes.iter().filter(|(kind, _)| kind == "TABLE_SCAN_COMPLETED");
        over.map(|(_, data)| {
            let of = |name: &str| data[name].clone();
            (of("scanned_collection"), of("status"), of("total_rows_scanned"))
        })
        .collect()
    };
    let expected = [
        ("public.keyed", "SUCCEEDED", "50"),
        ("public.nothing", "EMPTY", "0"),
        ("no.such", "UNKNOWN_SCHEMA", "0"),
        ("public.unkeyed", "NO_PRIMARY_KEY", "0"),
    ];
    let text = |(a, b, c): (&str, &str, &str)| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(statuses(&notes), expected.map(text));
    let progress = notes.iter().find(|(kind, _)| kind == "IN_PROGRESS").unwrap();
    assert_eq!(progress.1["maximum_key"], "2024-01-01 05:00:00.000005+00,true,n'2  ,50");

    // A condition, and a column that is no key and may be null.
    let conditions = r#"[{"data-collection":"public.part","filter":"id % 2 = 0"}]"#;
    let data =
        format!(r#"{{"data-collections":["public.part"],"additional-conditions":{conditions}}}"#);
    let quoted = signal("some", "execute-snapshot", &data);
    client.execute(&quoted).await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 2).await;
    let data = r#"{"data-collections":["public.unkeyed"],"surrogate-key":"k"}"#;
    client.execute(&signal("surrogate", "execute-snapshot", data)).await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 3).await;
    let wrong = r#"{"data-collections":["public.part"],"additional-condition":"no_such_column"}"#;
    client.execute(&signal("wrong", "execute-snapshot", wrong)).await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 4).await;
    let found = statuses(&place.notes(&mut decoder).await);
    let more = [
        ("public.part", "SUCCEEDED", "10"),
        ("public.unkeyed", "SUCCEEDED", "40"),
        ("public.part", "SQL_EXCEPTION", "0"),
    ];
    assert_eq!(found[4..], more.map(text));

    // Paused and stopped in the transaction that starts it.
    client
        .execute(
            &[
                "BEGIN".to_owned(),
                signal(
                    "long",
                    "execute-snapshot",
                    r#"{"data-collections":["public.keyed","public.part"]}"#,
                ),
                signal("pause", "pause-snapshot", ""),
                signal("stop", "stop-snapshot", r#"{"data-collections":["public.part"]}"#),
                "COMMIT".to_owned(),
            ]
            .join("; "),
        )
        .await
        .unwrap();
    place.wait_for(&mut decoder, "PAUSED", 1).await;
    client.execute(&signal("resume", "resume-snapshot", "")).await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 5).await;
    place.settle(&mut client).await;
    running.terminate();
    let notes = place.notes(&mut decoder).await;
    let aborted: Vec<&str> = notes
        .iter()
        .filter(|(kind, _)| kind == "ABORTED")
        .map(|(_, data)| data["data_collections"].as_str())
        .collect();
    assert_eq!(aborted, ["public.part"]);
    assert!(notes.iter().any(|(kind, _)| kind == "RESUMED"));
    // The rows that marked the beginnings are gone.
    let left = rows(&mut client, "SELECT id FROM signals WHERE id LIKE '%-open'").await;
    assert!(left.is_empty());
    let read = async |decoder: &mut Decoder, table: &str, column: &str| -> Vec<String> {
        let records = place.records(decoder, table).await;
        assert!(records.iter().all(|(op, _)| op == "r"), "{table}");
        records.into_iter().map(|(_, row)| row[column].clone().unwrap()).collect()
    };
    let unkeyed: BTreeSet<String> = read(&mut decoder, "unkeyed", "v").await.into_iter().collect();
    assert_eq!(unkeyed.len(), 40);
    let keyed = read(&mut decoder, "keyed", "n").await;
    assert_eq!((keyed.len(), keyed.iter().collect::<BTreeSet<_>>().len()), (100, 50));
    let part = read(&mut decoder, "part", "id").await;
    let even: Vec<String> = (1..=10).map(|n| (n * 2).to_string()).collect();
    assert_eq!(part, even);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_snapshot_reads_chosen_rows_before_the_stream_goes_on() {
    let place = Place::new();
    let mut client = place.connect().await;
    client
        .execute(&format!(
            "{SIGNALS} CREATE PUBLICATION everything FOR ALL TABLES; \
             CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); \
             CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1); \
             INSERT INTO a SELECT generate_series(1, 5); INSERT INTO b SELECT generate_series(1, 3)"
        ))
        .await
        .unwrap();
    // Text is streamed where rows may have to be read again.
    let running = Running::start(&mut place.source(&[("toast.policy", "reselect")]));
    streaming(&mut client).await;
    let conditions = r#"[{"data-collection":"public.a","filter":"SELECT * FROM a WHERE id > 2"}]"#;
    let data = format!(
        r#"{{"type":"BLOCKING","data-collections":["PUBLIC\\.[ab]"],"additional-conditions":{conditions}}}"#
    );
    client
        .execute(&format!("{}; INSERT INTO a VALUES (9)", signal("now", "execute-snapshot", &data)))
        .await
        .unwrap();
    let mut decoder = Decoder::new(&place.services.registry);
    place.wait_for(&mut decoder, "COMPLETED", 1).await;
    // What the database refuses ends the snapshot, and nothing else.
    let conditions = r#"[{"data-collection":"public.a","filter":"no_such_column"}]"#;
    let data = format!(
        r#"{{"type":"blocking","data-collections":["public.a"],"additional-conditions":{conditions}}}"#
    );
    client.execute(&signal("wrong", "execute-snapshot", &data)).await.unwrap();
    place.wait_for(&mut decoder, "ABORTED", 1).await;
    client.execute("INSERT INTO b VALUES (4)").await.unwrap();
    place.settle(&mut client).await;
    running.terminate();
    let all = async |decoder: &mut Decoder, table: &str| -> Vec<String> {
        let records = place.records(decoder, table).await;
        records.into_iter().map(|(op, row)| format!("{op}{}", row["id"].clone().unwrap())).collect()
    };
    // The row of the same transaction is there when the snapshot is taken, and comes again.
    assert_eq!(all(&mut decoder, "a").await, ["r3", "r4", "r5", "r9", "c9"]);
    assert_eq!(all(&mut decoder, "b").await, ["r1", "r2", "r3", "c4"]);
    assert!(all(&mut decoder, "other").await.is_empty());
    let notes = place.notes(&mut decoder).await;
    let kinds: Vec<&str> = notes.iter().map(|(kind, _)| kind.as_str()).collect();
    let (table, over) = ("IN_PROGRESS", "TABLE_SCAN_COMPLETED");
    let whole = ["SKIPPED", "STARTED", table, over, table, over, "COMPLETED"];
    assert_eq!(kinds, [&whole[..], &["STARTED", table, over, "ABORTED"]].concat());
    assert_eq!(notes[9].1["status"], "SQL_EXCEPTION");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_are_not_read_behind_their_changes() {
    let place = Place::new();
    let mut client = place.connect().await;
    client
        .execute(&format!(
            "{SIGNALS} {LATE} CREATE SEQUENCE numbers; \
             CREATE PUBLICATION everything FOR ALL TABLES; CREATE TABLE loose (k int, v int); ALTER TABLE loose REPLICA IDENTITY FULL; \
             INSERT INTO loose SELECT i / 7, nextval('numbers') FROM generate_series(0, 1399) i; \
             CREATE TABLE emptied (id int PRIMARY KEY); \
             INSERT INTO emptied SELECT generate_series(1, 9000)"
        ))
        .await
        .unwrap();
    // Text is streamed where rows may have to be read again.
    let more = [
        ("incremental.snapshot.chunk.size", "70"),
        ("toast.policy", "reselect"),
        ("skipped.operations", "none"),
    ];
    let running = Running::start(&mut place.source(&more));
    streaming(&mut client).await;
    let data = r#"{"data-collections":["public.loose"],"surrogate-key":"k"}"#;
    client.execute(&signal("loose", "execute-snapshot", data)).await.unwrap();
    let mut decoder = Decoder::new(&place.services.registry);
    place.wait_for(&mut decoder, "IN_PROGRESS", 1).await;
    for n in 0..600 {
        let sql = format!("UPDATE loose SET v = nextval('numbers') WHERE k = {}", n * 37 % 200);
        client.execute(&sql).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    place.wait_for(&mut decoder, "COMPLETED", 1).await;
    let told = high_watermark(&place.services.kafka, NOTES);
    let data = r#"{"data-collections":["public.emptied"]}"#;
    client.execute(&signal("emptied", "execute-snapshot", data)).await.unwrap();
    let kafka = place.services.kafka.clone();
    until("some chunks", || (high_watermark(&kafka, NOTES) > told + 4).then_some(()));
    client.execute("TRUNCATE emptied").await.unwrap();
    place.wait_for(&mut decoder, "COMPLETED", 2).await;
    place.settle(&mut client).await;
    running.terminate();

    let mut gone = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut reads = 0;
    for message in consume(&place.services.kafka, "inc.public.loose") {
        let (_, envelope) = decoder.decode(message.value.as_ref().unwrap()).await;
        let number = |side: &str| match &envelope[side] {
            Value::Null => None,
            row => as_text(&fields(row.clone())["v"]),
        };
        let after = number("after").unwrap();
        if as_text(&envelope["op"]).unwrap() == "r" {
            reads += 1;
            assert!(!gone.contains(&after), "{after} is read behind its change");
        }
        gone.extend(number("before"));
        seen.insert(after);
    }
    let there = rows(&mut client, "SELECT v FROM loose").await;
    let there: BTreeSet<String> = there.iter().map(|row| row.get(0).unwrap().to_owned()).collect();
    assert_eq!(there.difference(&seen).next(), None);
    assert!(reads > 700, "{reads} reads");
    let ops: Vec<String> =
        place.records(&mut decoder, "emptied").await.into_iter().map(|(op, _)| op).collect();
    assert!(ops.len() > 10 && ops.len() < 9000, "{} records", ops.len());
    let truncated = ops.iter().position(|op| op == "t").unwrap();
    assert_eq!(truncated, ops.len() - 1, "rows are read behind the end of them all");
}

/// Chunks begin behind the key of the row before, whatever the type of the key.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_follow_each_other_by_keys_of_every_type() {
    const KEYS: [(&str, &str); 25] = [
        ("smallint", "(i - 5)::smallint"),
        ("bigint", "i * 1000000000000 - 5"),
        ("numeric", "(i - 5) / 3.0"),
        ("numeric(8,2)", "CASE i WHEN 9 THEN 'NaN' ELSE (i - 5) / 3.0 END"),
        ("real", "(i - 5) / 3.0::real"),
        ("double precision", "CASE i WHEN 1 THEN '-infinity' ELSE i / 3.0 END"),
        ("text", "repeat(chr(39) || chr(92) || chr(955), i)"),
        ("varchar(5)", "'v' || i"),
        ("char(5)", "'c' || i"),
        ("\"char\"", "chr(64 + i)"),
        ("name", "'n' || i"),
        ("bytea", "decode(lpad(to_hex(i * 20), 4, '0'), 'hex')"),
        ("bit(5)", "i::bit(5)"),
        ("varbit", "substring(B'1010101010' FROM 1 FOR i)"),
        ("uuid", "md5(i::text)::uuid"),
        ("date", "'2024-02-27'::date + i"),
        ("time", "'10:00'::time + i * '0.000001 s'::interval"),
        (
            "timestamp",
            "CASE i WHEN 9 THEN 'infinity' ELSE '2024-02-27'::timestamp + i * '1 day'::interval END",
        ),
        ("timestamptz", "'2024-02-27'::timestamptz - i * '500 years'::interval"),
        ("interval", "i * '1 day 2 h'::interval"),
        ("inet", "'10.0.0.0'::inet + i"),
        ("feeling", "('{a,b,c,d,e,f,g,h,i}'::feeling[])[i]"),
        ("small_text", "'s' || i"),
        ("int[]", "ARRAY[i % 3, i]"),
        ("jsonb", "to_jsonb(i)"),
    ];
    let place = Place::new();
    let mut client = place.connect().await;
    let mut sql = format!(
        "{SIGNALS} CREATE PUBLICATION everything FOR ALL TABLES; \
         CREATE TYPE feeling AS ENUM ('i', 'h', 'g', 'f', 'e', 'd', 'c', 'b', 'a'); \
         CREATE DOMAIN small_text AS varchar(3); "
    );
    for (n, (kind, value)) in KEYS.iter().enumerate() {
        sql.push_str(&format!(
            "CREATE TABLE k{n} (second boolean, first {kind}, PRIMARY KEY (first, second)); \
             INSERT INTO k{n} SELECT b, {value} FROM generate_series(1, 9) i, (VALUES (true), (false)) v(b); "
        ));
    }
    client.execute(&sql).await.unwrap();
    let more = [
        ("incremental.snapshot.chunk.size", "5"),
        ("include.unknown.datatypes", "true"),
        ("decimal.handling.mode", "string"),
    ];
    let running = Running::start(&mut place.source(&more));
    streaming(&mut client).await;
    let data = r#"{"data-collections":["public\\.k.*"]}"#;
    client.execute(&signal("keys", "execute-snapshot", data)).await.unwrap();
    let mut decoder = Decoder::new(&place.services.registry);
    place.wait_for(&mut decoder, "COMPLETED", 1).await;
    running.terminate();
    let notes = place.notes(&mut decoder).await;
    let over = notes.iter().filter(|(kind, _)| kind == "TABLE_SCAN_COMPLETED");
    let over: BTreeMap<&str, (&str, &str)> = over
        .map(|(_, data)| {
            let of = |name: &str| data[name].as_str();
            (of("scanned_collection"), (of("status"), of("total_rows_scanned")))
        })
        .collect();
    for (n, (kind, _)) in KEYS.iter().enumerate() {
        assert_eq!(over[format!("public.k{n}").as_str()], ("SUCCEEDED", "18"), "{kind}");
        let rows = consume(&place.services.kafka, &format!("inc.public.k{n}"));
        let keys: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
        assert_eq!((rows.len(), keys.len()), (18, 18), "{kind}");
    }
}
