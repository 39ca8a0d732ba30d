//! Random values of every type, as a real server writes them: text and binary mean the same.
#![cfg(all(feature = "tokio", feature = "postgres-types"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use embedded_services::postgres::{Config as ServerConfig, Postgres};
use pgoutput::{
    Column, Oid,
    client::{Client, Config},
    copy::CopyDecoder,
    value::{Definition, Extended, Types, Value},
};

const ROWS: usize = 1500;

/// Functions that make random things of a row's number, so that each row has its own.
const FUNCTIONS: &str = r#"
CREATE FUNCTION r(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';
CREATE FUNCTION word(n int) RETURNS text LANGUAGE sql VOLATILE AS $f$
    SELECT coalesce(string_agg(substr(E'aB0 ,;"\\''{}()[]<>:=/|&!%NUL\t\n\r\x08é漢😀', 1 + r(38), 1), ''), '')
    FROM generate_series(1, r(9) + n * 0) $f$;
CREATE FUNCTION big(n int) RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT ((random() - 0.5) * 2 ^ r(64))::bigint + n * 0';
CREATE FUNCTION deci(n int) RETURNS numeric LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(20) WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity'
        WHEN 3 THEN 0 WHEN 4 THEN repeat('9', r(400) + 1)::numeric
        WHEN 5 THEN ('0.' || repeat('0', r(300)) || '1')::numeric
        WHEN 6 THEN -power(10::numeric, r(60)) WHEN 7 THEN round(0, r(12))
        WHEN 8 THEN ('-' || r(1000) || '.' || repeat('120', r(9)) || '00')::numeric
        ELSE round((random() - 0.5)::numeric * power(10::numeric, r(30)), r(12)) END + n * 0 $f$;
CREATE FUNCTION dbl(n int) RETURNS float8 LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(16) WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity'
        WHEN 3 THEN 0 WHEN 4 THEN '-0' WHEN 5 THEN 5e-324 WHEN 6 THEN 1.7976931348623157e308
        ELSE (random() - 0.5) * power(10::float8, r(60) - 30) + n * 0 END $f$;
CREATE FUNCTION day(n int) RETURNS date LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(20) WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN '4714-11-24 BC'
        WHEN 3 THEN '5874897-12-31' WHEN 4 THEN '0001-12-31 BC' WHEN 5 THEN '0001-01-01'
        WHEN 6 THEN '2000-02-29' ELSE '2000-01-01'::date + (random() * 3e6 - 2e6)::int + n * 0 END $f$;
CREATE FUNCTION stamp(n int) RETURNS timestamp LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(20) WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'
        WHEN 2 THEN '4714-11-24 00:00:00 BC' WHEN 3 THEN '294276-12-31 23:59:59.999999'
        WHEN 4 THEN '1999-12-31 23:59:59.999999' WHEN 5 THEN '0044-03-15 12:00:00 BC'
        ELSE '2000-01-01'::timestamp + make_interval(days => r(600000) - 300000,
            secs => random() * 1e5) END + n * '0 s'::interval $f$;
CREATE FUNCTION span(n int) RETURNS interval LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(12) WHEN 0 THEN '0'::interval WHEN 1 THEN '178000000 years'
        WHEN 2 THEN '-178000000 years' WHEN 3 THEN '-2147483646:00:54.775807'
        WHEN 4 THEN make_interval(months => -1, days => 1, secs => -0.000001)
        ELSE make_interval(years => r(9) - 4, months => r(25) - 12, days => r(99) - 50,
            secs => (random() - 0.5) * power(10::float8, r(9))) END + n * '0 s'::interval $f$;
CREATE FUNCTION pt(n int) RETURNS point LANGUAGE sql VOLATILE AS 'SELECT point(dbl(n), dbl(n))';
CREATE FUNCTION fine(n int) RETURNS point LANGUAGE sql VOLATILE AS
    'SELECT point(random() * 100 + n, random())';
CREATE FUNCTION bits(n int) RETURNS varbit LANGUAGE sql VOLATILE AS
    $f$ SELECT coalesce(string_agg(r(2)::text, ''), '')::varbit FROM generate_series(1, r(40) + n * 0) $f$;
CREATE FUNCTION blob(n int) RETURNS bytea LANGUAGE sql VOLATILE AS
    $f$ SELECT coalesce(string_agg(set_byte('\x00', 0, r(256)), ''), '') FROM generate_series(1, r(30) + n * 0) $f$;
CREATE FUNCTION net(n int) RETURNS inet LANGUAGE sql VOLATILE AS $f$
    SELECT CASE r(4) WHEN 0 THEN set_masklen(('::'::inet + abs(big(n) / 2)), r(129))
        WHEN 1 THEN inet '2001:db8:1:2:3:4:5:6' WHEN 2 THEN set_masklen(inet '0.0.0.0' + (random() * 4294967295)::bigint, r(33))
        ELSE inet '0.0.0.0' + (random() * 4294967295)::bigint END $f$;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE mood AS ENUM ('sad', 'so,so', 'it''s "fine"');
CREATE DOMAIN small AS int CHECK (value < 1000000);
CREATE DOMAIN smaller AS small;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE deep AS (p pair, m mood, n numeric[], t timestamptz, nothing int);
CREATE TYPE textrange AS RANGE (subtype = text);
"#;

/// The columns: each an expression over the row's number `i`.
const COLUMNS: &[&str] = &[
    "i % 2 = 0",
    "(r(65536) - 32768)::smallint",
    "(random() * 4294967295 - 2147483648)::bigint::int",
    "big(i)",
    "(CASE r(6) WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' \
      ELSE (random() - 0.5) * power(10::float8, r(60) - 30) END)::real",
    "dbl(i)",
    "deci(i)",
    "(big(i) / 1000)::money",
    "r(2147483647)::oid",
    "r(2147483647)::text::xid",
    "r(2147483647)::text::cid",
    "r(2147483647)::text::xid8",
    "'0/0'::pg_lsn + abs(big(i) / 2)::numeric",
    "chr(r(127) + 1)::\"char\"",
    "''::\"char\"",
    "word(i)",
    "word(i)::varchar(5)",
    "word(i)::char(9)",
    "word(i)::name",
    "to_json(word(i))",
    "jsonb_build_object(word(i), deci(i)::text, 'n', jsonb_build_array(r(9), NULL, word(i)))",
    "('$.a[*] ? (@.b > ' || r(9) || ')')::jsonpath",
    "blob(i)",
    "bits(i)",
    "bits(i)::bit(13)",
    "gen_random_uuid()",
    "day(i)",
    "'00:00'::time + random() * '24:00:00'::interval",
    "'24:00:00'::time",
    "('00:00'::time + random() * '24:00:00'::interval)::timetz",
    "(('12:00'::time + random() * '10:00:00'::interval)::text || CASE r(4) WHEN 0 THEN '+00' \
      WHEN 1 THEN '-03:30' WHEN 2 THEN '+13:45:12' ELSE '-12' END)::timetz",
    "stamp(i)",
    "stamp(i)::timestamptz",
    "span(i)",
    "net(i)",
    "network(net(i))",
    "substr(md5(word(i)), 1, 12)::macaddr",
    "substr(md5(word(i)), 1, 16)::macaddr8",
    "pt(i)",
    "line(fine(i), fine(i))",
    "lseg(pt(i), pt(i))",
    "box(pt(i), pt(i))",
    "path(polygon(2 + r(5), circle(fine(i), 2)))",
    "popen(path(polygon(2 + r(5), circle(fine(i), 2))))",
    "polygon(2 + r(5), circle(fine(i), random()))",
    "circle(fine(i), random())",
    "('(' || r(99999) || ',' || r(65536) || ')')::tid",
    "(1 + r(9) || ':' || 20 + r(9) || ':' || CASE r(3) WHEN 0 THEN '' WHEN 1 THEN '11' ELSE '12,15' END)::pg_snapshot",
    "setweight(to_tsvector('simple', replace(word(i), chr(8), '') || ' x y ' || word(i)), 'A') || \
     to_tsvector('simple', 'one two') || strip(to_tsvector('simple', E'it\\'s back\\\\slash'))",
    "(CASE r(7) WHEN 0 THEN '' WHEN 1 THEN '!(a | b) & c:*AB' WHEN 2 THEN 'a <-> (b <3> c)' \
      WHEN 3 THEN '(a | b) & !c | d' WHEN 4 THEN '''it''''s'':D & !!x' \
      WHEN 5 THEN '(a & b) <-> c <-> (d | e)' ELSE 'a <-> b <-> c & (d & e)' END)::tsquery",
    "array_to_string(ARRAY(SELECT r(99) + i * 0 FROM generate_series(1, 200)), ' & ')::tsquery",
    "(r(9) || ' ' || r(9))::int2vector",
    "''::oidvector",
    "(r(9) || ' ' || r(9999))::oidvector",
    "ARRAY[r(9), NULL, -r(2147483647)]",
    "ARRAY[ARRAY[word(i), NULL], ARRAY['NULL', '']]",
    "ARRAY[[[1, 2], [3, 4]], [[5, 6], [7, i]]]",
    "(CASE r(3) WHEN 0 THEN '{}' WHEN 1 THEN '[0:1]={1,2}' ELSE '[-2:-1][3:3]={{a},{NULL}}' END)::text[]",
    "ARRAY[box(fine(i), fine(i)), box(fine(i), fine(i))]",
    "ARRAY[deci(i), deci(i)]",
    "ARRAY[stamp(i), NULL]",
    "ARRAY[blob(i), blob(i)]",
    "ARRAY[day(i)]",
    "ARRAY[to_jsonb(word(i))]",
    "ARRAY[span(i)]",
    "ARRAY[net(i), NULL]",
    "ARRAY[i % 2 = 0]",
    "CASE r(4) WHEN 0 THEN 'empty' WHEN 1 THEN int4range(NULL, r(9)) \
     ELSE int4range(r(9), 9 + r(9), CASE r(2) WHEN 0 THEN '[]' ELSE '()' END) END",
    "numrange(NULL, deci(i), '(]')",
    "numrange(least(deci(i), 7.0), 7.00, '[]')",
    "tsrange(least(stamp(i), '2000-01-01'), NULL)",
    "tstzrange(NULL, stamp(i)::timestamptz, '[]')",
    "daterange('2001-01-01', greatest(day(i), '2002-01-01'))",
    "int8range(big(i), NULL)",
    "textrange(NULL, word(i), '[]')",
    "textrange(word(i), NULL)",
    "(CASE r(3) WHEN 0 THEN '{}' WHEN 1 THEN '{[1,3),[5,)}' ELSE '{(,0),[2,9)}' END)::int4multirange",
    "tsmultirange(tsrange('2000-01-01', '2000-01-02 10:00:00.5'), tsrange('2001-01-01', NULL))",
    "ARRAY[int4range(1, 5), 'empty']",
    "(enum_range(NULL::mood))[1 + r(3)]",
    "enum_range(NULL::mood)",
    "r(9999)::small",
    "r(9999)::smaller",
    "ROW(r(9), word(i))::pair",
    "CASE r(2) WHEN 0 THEN ROW(NULL, NULL)::pair ELSE ROW(NULL, '')::pair END",
    "ROW(ROW(i, word(i))::pair, 'so,so', ARRAY[deci(i), NULL], stamp(i), NULL)::deep",
    "ARRAY[ROW(r(9), word(i))::pair, ROW(NULL, word(i))::pair]",
    "hstore(ARRAY[word(i), 'n'], ARRAY[word(i), NULL])",
    "''::hstore",
    "NULL::int",
];

#[tokio::test(flavor = "multi_thread")]
async fn text_and_binary_mean_the_same() {
    let start = || Postgres::start(ServerConfig::new()).unwrap();
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let mut sql = Client::connect(&Config::parse(&server.url("postgres")).unwrap()).await.unwrap();
    sql.execute(FUNCTIONS).await.unwrap();
    let mut all = COLUMNS.to_vec();
    if sql.server_version() >= 170_000 {
        all.push("(CASE r(2) WHEN 0 THEN 'infinity' ELSE '-infinity' END)::interval");
    }
    let columns: Vec<_> = all.iter().enumerate().map(|(n, sql)| format!("{sql} AS c{n}")).collect();
    let create = format!(
        "SELECT setseed(0.42); CREATE TABLE v AS SELECT {} FROM generate_series(1, {ROWS}) i",
        columns.join(", ")
    );
    sql.execute(&create).await.unwrap();
    let types = types(&mut sql).await;
    let ids: Vec<Oid> = sql
        .query("SELECT atttypid FROM pg_attribute WHERE attrelid = 'v'::regclass AND attnum > 0 ORDER BY attnum")
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0).unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids.len(), all.len());

    let text = copy_text(&mut sql).await;
    let binary = copy_binary(&mut sql).await;
    assert_eq!((text.len(), binary.len()), (ROWS, ROWS));
    let mut different = vec![BTreeSet::new(); all.len()];
    for (text, binary) in text.iter().zip(&binary) {
        for (n, (text, binary)) in text.iter().zip(binary).enumerate() {
            let text = text.as_deref().map_or(Column::Null, Column::Text);
            let binary = binary.as_deref().map_or(Column::Null, Column::Binary);
            let decode = |column| {
                types.decode(ids[n], column).unwrap_or_else(|error| {
                    panic!("{}: {column:?}: {error}", all[n]);
                })
            };
            let (a, b) = (decode(text), decode(binary));
            // By their text form, since a NaN equals nothing.
            assert_eq!(format!("{a:?}"), format!("{b:?}"), "{}: {text:?}", all[n]);
            assert_eq!(format!("{:?}", a.clone().into_owned()), format!("{b:?}"));
            assert!(!matches!(a, Value::Opaque(_)), "{}", all[n]);
            check(&a, text);
            different[n].insert(format!("{a:?}"));
        }
    }
    // The expressions do what they are there for.
    let varying = different.iter().filter(|seen| seen.len() > 1).count();
    assert!(varying >= all.len() - 10, "{varying} of {}", all.len());
}

/// Values that print themselves print what the server did.
fn check(value: &Value<'_>, text: Column<'_>) {
    let Column::Text(text) = text else { return };
    let text = str::from_utf8(text).unwrap();
    match value {
        Value::Numeric(number) => assert_eq!(number.to_string(), text),
        Value::Int8(number) => assert_eq!(number.to_string(), text),
        Value::Lsn(lsn) => assert_eq!(lsn.to_string(), text),
        Value::Date(Extended::Finite(date)) if !text.ends_with("BC") => {
            assert_eq!(date.to_string().trim_start_matches('+'), text);
        }
        Value::Timestamp(Extended::Finite(time)) if !text.ends_with("BC") => {
            let printed = time.to_string();
            let printed = printed.trim_start_matches('+').trim_end_matches(".000000Z");
            let (date, clock) = printed.split_once('T').unwrap();
            let clock = clock.trim_end_matches('Z');
            let clock = if clock.contains('.') { clock.trim_end_matches('0') } else { clock };
            assert_eq!(format!("{date} {clock}"), text);
        }
        Value::Inet(address, prefix) if address.is_ipv4() => {
            let prefix = if *prefix == 32 { String::new() } else { format!("/{prefix}") };
            assert_eq!(format!("{address}{prefix}"), text);
        }
        _ => {}
    }
}

/// Tells of the database's own types, as an application would.
async fn types(sql: &mut Client) -> Types {
    let rows = sql
        .query(
            "SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typname, \
             coalesce(r.rngsubtype, m.rngsubtype) AS subtype, \
             (SELECT string_agg(atttypid::text, ' ' ORDER BY attnum) FROM pg_attribute \
              WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped) AS fields \
             FROM pg_type t LEFT JOIN pg_range r ON r.rngtypid = t.oid \
             LEFT JOIN pg_range m ON m.rngmultitypid = t.oid WHERE t.oid >= 16384",
        )
        .await
        .unwrap();
    rows.iter().fold(Types::new(), |types, row| {
        let id = |name| row.by_name(name).unwrap().parse::<Oid>().unwrap();
        let definition = match row.by_name("typtype").unwrap() {
            "d" => Definition::Domain(id("typbasetype")),
            "e" => Definition::Text,
            "r" => Definition::Range(id("subtype")),
            "m" => Definition::Multirange(id("subtype")),
            "c" => Definition::Composite(
                row.by_name("fields").unwrap().split(' ').map(|id| id.parse().unwrap()).collect(),
            ),
            _ if row.by_name("typname") == Some("hstore") => Definition::Hstore,
            _ if id("typelem").get() != 0 => Definition::Array(id("typelem")),
            _ => Definition::Text,
        };
        types.with(id("oid"), definition)
    })
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

async fn copy_binary(sql: &mut Client) -> Rows {
    let mut copy = sql.copy_out("COPY v TO STDOUT (FORMAT binary)").await.unwrap();
    let (mut decoder, mut rows) = (CopyDecoder::new(), Vec::new());
    while let Some(batch) = copy.next().await.unwrap() {
        for frame in batch.frames() {
            for row in decoder.decode(frame).unwrap() {
                let column = |column| match column {
                    Column::Null => None,
                    Column::Binary(bytes) => Some(bytes.to_vec()),
                    other => panic!("{other:?}"),
                };
                rows.push(row.unwrap().columns().map(|c| column(c.unwrap())).collect());
            }
        }
    }
    rows
}

async fn copy_text(sql: &mut Client) -> Rows {
    let mut copy = sql.copy_out("COPY v TO STDOUT").await.unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = copy.next().await.unwrap() {
        for frame in batch.frames() {
            let line = frame.strip_suffix(b"\n").unwrap();
            rows.push(line.split(|byte| *byte == b'\t').map(unescape).collect());
        }
    }
    rows
}

/// PostgreSQL documentation, COPY, File Formats, Text Format.
fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut out = Vec::new();
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next().unwrap() {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => *other,
            },
            byte => byte,
        });
    }
    Some(out)
}
