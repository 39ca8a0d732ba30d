//! Parquet objects, read by pyarrow: the same records as in Avro objects, read by fastavro.
#![cfg(feature = "parquet")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it did"
)]

mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use avro_wire::primitive::{
    write_boolean, write_bytes, write_double, write_float, write_int, write_long, write_string,
};
use full_pipeline::{
    Error,
    config::{Endpoints, Properties, SinkConfig},
    sink::Offline,
};
use support::parquet::{is_readable, script};

/// Writes records of one schema, or gives the first error.
fn write(
    bucket: &Path,
    settings: &[(&str, &str)],
    schema: &str,
    datums: &[Vec<u8>],
) -> Result<Vec<PathBuf>, Error> {
    let mut properties: BTreeMap<String, String> =
        [("topics", "rows"), ("flush.size", "100000"), ("s3.bucket.name", "none")]
            .iter()
            .chain(settings)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
    properties.entry("format.class".to_owned()).or_insert_with(|| "ParquetFormat".to_owned());
    let mut endpoints = Endpoints::default();
    endpoints.brokers = Some("none:1".to_owned());
    endpoints.registry_url = Some("http://none".to_owned());
    endpoints.bucket = Some(bucket.display().to_string());
    let config = SinkConfig::from_properties(Properties::from_values(properties), &endpoints)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sink = Offline::open(config, "rows", &[(7, schema)]).await?;
        for (offset, datum) in (0..).zip(datums) {
            let framed = [&[0, 0, 0, 0, 7], datum.as_slice()].concat();
            sink.write(offset, offset, &framed).await?;
        }
        let written = sink.close().await?;
        Ok(written.into_iter().map(|object| bucket.join(object.path)).collect())
    })
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }
}

/// A type of Avro.
enum Type {
    /// The schema, and which of [`scalar`]'s sorts its datums are.
    Scalar(String, usize),
    Option {
        null_first: bool,
        inner: Box<Self>,
    },
    Array(Box<Self>),
    Map(Box<Self>),
    Record(u64, Vec<Self>),
    /// Null, then the others.
    Union(Vec<Self>),
}

const SCALARS: [&str; 18] = [
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""bytes""#,
    r#""string""#,
    r#"{"type":"enum","name":"E#","symbols":["RED","GREEN","BLUE"]}"#,
    r#"{"type":"fixed","name":"F#","size":3}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}"#,
    r#"{"type":"fixed","name":"D#","size":6,"logicalType":"decimal","precision":12,"scale":2}"#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"int","logicalType":"time-millis"}"#,
    r#"{"type":"long","logicalType":"time-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
    r#"{"type":"string","logicalType":"uuid"}"#,
];

fn scalar(sort: usize, dice: &mut Dice, out: &mut Vec<u8>) {
    // Few distinct values in some columns, many in others.
    let few = dice.below(3) == 0;
    let number = |dice: &mut Dice, limit: u64| {
        i64::try_from(dice.below(if few { 5 } else { limit })).unwrap()
    };
    let small = |dice: &mut Dice, limit| i32::try_from(number(dice, limit)).unwrap();
    match sort {
        0 => write_boolean(dice.below(2) == 0, out),
        1 => write_int(
            dice.next().to_le_bytes()[..4].try_into().map(i32::from_le_bytes).unwrap(),
            out,
        ),
        2 => write_long(dice.next().cast_signed() >> dice.below(64), out),
        3 => {
            let special = [0.0, -0.0, f32::NAN, f32::INFINITY, 1.5];
            let value = if few {
                special[dice.index(5)]
            } else {
                0.1 * f32::from(dice.next().to_le_bytes()[0])
            };
            write_float(value, out);
        }
        4 => {
            let special = [0.0, -0.0, f64::NAN, f64::NEG_INFINITY, 1e300];
            let value =
                if few { special[dice.index(5)] } else { f64::from(small(dice, 1 << 30)) / 7.0 };
            write_double(value, out);
        }
        5 => {
            let len = if dice.below(50) == 0 { 300 } else { dice.index(9) };
            write_bytes(&(0..len).map(|_| dice.next().to_le_bytes()[0]).collect::<Vec<_>>(), out);
        }
        6 => write_string(&format!("é{}", number(dice, 100_000)), out),
        7 => write_int(small(dice, 3) % 3, out),
        8 => out.extend(dice.next().to_le_bytes().iter().take(3)),
        9 => {
            let bytes = dice.next().to_be_bytes();
            write_bytes(&bytes[dice.index(8)..], out);
        }
        10 => {
            let value = number(dice, 1_000_000_000) - 400_000_000;
            out.extend(&value.to_be_bytes()[2..]);
        }
        11 => write_int(small(dice, 60_000) - 20_000, out),
        12 => write_int(small(dice, 86_400_000), out),
        13 => write_long(number(dice, 86_400_000_000), out),
        14 => write_long(number(dice, 4_000_000_000_000) - 1_000_000_000_000, out),
        15 | 16 => write_long(number(dice, 4_000_000_000_000_000) - 1_000_000_000_000_000, out),
        _ => write_string(&format!("00000000-0000-4000-8000-{:012x}", number(dice, 1 << 40)), out),
    }
}

impl Type {
    fn some(dice: &mut Dice, depth: u32, optional_items: bool) -> Self {
        let inner = |dice: &mut Dice| Box::new(Self::some(dice, depth + 1, optional_items));
        let roll = if depth >= 4 { 0 } else { dice.below(12) };
        match roll {
            6 | 7 => Self::Array(match Self::some(dice, depth + 1, optional_items) {
                Self::Option { inner, .. } if !optional_items => inner,
                Self::Union(_) if !optional_items => {
                    Box::new(Self::Scalar(SCALARS[2].to_owned(), 2))
                }
                item => Box::new(item),
            }),
            8 => Self::Map(inner(dice)),
            9 => Self::record(dice, depth + 1, optional_items),
            10 => Self::Union(vec![
                Self::Scalar(SCALARS[6].to_owned(), 6),
                Self::record(dice, depth + 1, optional_items),
                Self::Scalar(SCALARS[2].to_owned(), 2),
            ]),
            3..=5 => match inner(dice) {
                // A union holds no unions.
                other if matches!(*other, Self::Option { .. } | Self::Union(_)) => *other,
                inner => Self::Option { null_first: dice.below(2) == 0, inner },
            },
            _ => {
                let sort = dice.index(SCALARS.len());
                let name = (dice.next() >> 20).to_string();
                Self::Scalar(SCALARS[sort].replace('#', &name), sort)
            }
        }
    }

    fn record(dice: &mut Dice, depth: u32, optional_items: bool) -> Self {
        let fields = 1 + dice.below(5);
        let fields = (0..fields).map(|_| Self::some(dice, depth, optional_items)).collect();
        Self::Record(dice.next() >> 20, fields)
    }

    fn schema(&self) -> String {
        match self {
            Self::Scalar(text, _) => text.clone(),
            Self::Option { null_first: true, inner } => format!(r#"["null",{}]"#, inner.schema()),
            Self::Option { inner, .. } => format!(r#"[{},"null"]"#, inner.schema()),
            Self::Array(item) => format!(r#"{{"type":"array","items":{}}}"#, item.schema()),
            Self::Map(item) => format!(r#"{{"type":"map","values":{}}}"#, item.schema()),
            Self::Record(name, fields) => {
                let fields: Vec<String> = (0..)
                    .zip(fields)
                    .map(|(n, f): (u32, _)| format!(r#"{{"name":"f{n}","type":{}}}"#, f.schema()))
                    .collect();
                format!(r#"{{"type":"record","name":"R{name}","fields":[{}]}}"#, fields.join(","))
            }
            Self::Union(branches) => {
                let branches: Vec<String> = branches.iter().map(Self::schema).collect();
                format!(r#"["null",{}]"#, branches.join(","))
            }
        }
    }

    fn datum(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(_, sort) => scalar(*sort, dice, out),
            Self::Option { null_first, inner } => {
                let null = dice.below(3) == 0;
                write_long(i64::from(null != *null_first), out);
                if !null {
                    inner.datum(dice, out);
                }
            }
            Self::Array(item) => blocks(dice, out, |dice, out, _| item.datum(dice, out)),
            Self::Map(item) => blocks(dice, out, |dice, out, number| {
                write_string(&format!("key {number}"), out);
                item.datum(dice, out);
            }),
            Self::Record(_, fields) => fields.iter().for_each(|field| field.datum(dice, out)),
            Self::Union(branches) => {
                let chosen = dice.index(branches.len() + 1);
                write_long(i64::try_from(chosen).unwrap(), out);
                if let Some(branch) = chosen.checked_sub(1) {
                    branches[branch].datum(dice, out);
                }
            }
        }
    }
}

/// Up to two blocks of items, with and without their size.
fn blocks(dice: &mut Dice, out: &mut Vec<u8>, mut item: impl FnMut(&mut Dice, &mut Vec<u8>, u64)) {
    let mut number = 0;
    for _ in 0..dice.below(3) {
        let count = 1 + dice.below(4);
        let mut items = Vec::new();
        for _ in 0..count {
            item(dice, &mut items, number);
            number += 1;
        }
        let count = i64::try_from(count).unwrap();
        if dice.below(2) == 0 {
            write_long(-count, out);
            write_long(i64::try_from(items.len()).unwrap(), out);
        } else {
            write_long(count, out);
        }
        out.append(&mut items);
    }
    write_long(0, out);
}

#[test]
fn any_records_are_the_same_in_avro_and_parquet() {
    if !is_readable("any_records_are_the_same_in_avro_and_parquet") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (avro, parquet) = (folder.path().join("avro"), folder.path().join("parquet"));
    let codecs = ["none", "snappy", "gzip", "zstd"];
    let mut rows = 0;
    for seed in 1..=24_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let schema = Type::record(&mut dice, 0, seed % 2 == 0);
        let count = [1, 30, 900, 4000][dice.index(4)];
        let datums: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let mut datum = Vec::new();
                schema.datum(&mut dice, &mut datum);
                datum
            })
            .collect();
        rows += datums.len();
        let text = schema.schema();
        let at = |folder: &Path| folder.join(format!("{seed:03}"));
        write(&at(&avro), &[("format.class", "AvroFormat")], &text, &datums).unwrap();
        let settings = [
            ("parquet.codec", codecs[dice.index(4)]),
            ("sink.parquet.row.group.bytes", ["300", "9000", "200000", "16777216"][dice.index(4)]),
            // Some of it waits on the disk.
            ("sink.memory.bytes", "60000"),
        ];
        write(&at(&parquet), &settings, &text, &datums).unwrap();
    }
    let compared = script(&["compare", avro.to_str().unwrap(), parquet.to_str().unwrap()]);
    let numbers: Vec<usize> = compared.split_whitespace().map(|n| n.parse().unwrap()).collect();
    eprintln!("{} rows in {} row groups, {} bounds", numbers[0], numbers[1], numbers[2]);
    assert_eq!(numbers[0], rows);
    assert!(numbers[1] > 400, "several row groups in a file");
    assert!(numbers[2] > 1000, "columns have bounds");
}

/// A flattened row as Debezium writes it, and an envelope.
const ROW: &str = r#"{"type":"record","name":"Value","namespace":"ord.ods.orders","fields":[
    {"name":"id","type":{"type":"long","connect.default":0},"default":0},
    {"name":"price","type":["null",{"type":"bytes","scale":2,"precision":10,
        "connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},
        "connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
    {"name":"day","type":["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}],"default":null},
    {"name":"at","type":["null",{"type":"long","connect.version":1,
        "connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}],"default":null},
    {"name":"state","type":[{"type":"string","connect.version":1,"connect.parameters":{"allowed":"new,sent"},
        "connect.default":"new","connect.name":"io.debezium.data.Enum"},"null"],"default":"new"},
    {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},
    {"name":"more","type":["null",{"type":"map","values":"string"}],"default":null},
    {"name":"__deleted","type":["null","string"],"default":null}]}"#;

fn envelope() -> String {
    let row = ROW
        .replace("ord.ods.orders\"", "ord.ods.orders\",\"connect.name\":\"ord.ods.orders.Value\"");
    format!(
        r#"{{"type":"record","name":"Envelope","namespace":"ord.ods.orders","fields":[
        {{"name":"before","type":["null",{row}],"default":null}},
        {{"name":"after","type":["null","Value"],"default":null}},
        {{"name":"op","type":"string"}},{{"name":"ts_ms","type":["null","long"],"default":null}}]}}"#
    )
}

fn order(id: i64, out: &mut Vec<u8>) {
    write_long(id, out);
    write_long(1, out);
    write_bytes(&id.to_be_bytes()[6..], out);
    write_long(1, out);
    write_int(19_723, out);
    write_long(i64::from(id % 2 == 0), out);
    if id % 2 == 0 {
        write_long(1_704_067_200_123, out);
    }
    write_long(0, out);
    write_string("sent", out);
    write_long(1, out);
    // An item and a null.
    write_long(2, out);
    write_long(1, out);
    write_string("a", out);
    write_long(0, out);
    write_long(0, out);
    write_long(1, out);
    write_long(1, out);
    write_string("k", out);
    write_string("v", out);
    write_long(0, out);
    write_long(0, out);
}

#[test]
fn rows_and_envelopes_of_debezium_are_what_pyarrow_reads() {
    if !is_readable("rows_and_envelopes_of_debezium_are_what_pyarrow_reads") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut datums = vec![Vec::new(); 2];
    (0..).zip(&mut datums).for_each(|(id, datum)| order(id, datum));
    let flat = write(&folder.path().join("flat"), &[], ROW, &datums).unwrap();
    assert!(flat[0].ends_with("topics/rows/partition=0/rows+0+0000000000.snappy.parquet"));
    let flat = flat[0].to_str().unwrap();
    assert_eq!(
        script(&["rows", flat]),
        r#"{"id": 0, "price": "0.00", "day": 19723, "at": "2024-01-01T00:00:00.123000+00:00", "state": "sent", "tags": ["a", null], "more": [["k", "v"]], "__deleted": null}
{"id": 1, "price": "0.01", "day": 19723, "at": null, "state": "sent", "tags": ["a", null], "more": [["k", "v"]], "__deleted": null}
"#
    );
    // As parquet-avro has it, with a group around items since some are null.
    let schema = script(&["schema", flat]);
    let columns = schema.split_once("required group").unwrap().1;
    assert_eq!(
        format!("required group{columns}"),
        "required group field_id=-1 ord.ods.orders.Value {
  required int64 field_id=-1 id;
  optional binary field_id=-1 price (Decimal(precision=10, scale=2));
  optional int32 field_id=-1 day;
  optional int64 field_id=-1 at (Timestamp(isAdjustedToUTC=true, timeUnit=milliseconds, is_from_converted_type=false, force_set_converted_type=false));
  optional binary field_id=-1 state (String);
  optional group field_id=-1 tags (List) {
    repeated group field_id=-1 list {
      optional binary field_id=-1 element (String);
    }
  }
  optional group field_id=-1 more (Map) {
    repeated group field_id=-1 key_value {
      required binary field_id=-1 key (String);
      required binary field_id=-1 value (String);
    }
  }
  optional binary field_id=-1 __deleted (String);
}
 SNAPPY
"
    );

    let mut update = Vec::new();
    write_long(0, &mut update);
    write_long(1, &mut update);
    order(5, &mut update);
    write_string("u", &mut update);
    write_long(1, &mut update);
    write_long(1_704_067_200_000, &mut update);
    let settings = [("parquet.codec", "zstd")];
    let path = write(&folder.path().join("envelope"), &settings, &envelope(), &[update]).unwrap();
    assert_eq!(
        script(&["rows", path[0].to_str().unwrap()]),
        r#"{"before": null, "after": {"id": 5, "price": "0.05", "day": 19723, "at": null, "state": "sent", "tags": ["a", null], "more": [["k", "v"]], "__deleted": null}, "op": "u", "ts_ms": 1704067200000}
"#
    );
}

#[test]
fn what_memory_there_is_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut datums = vec![Vec::new(); 3000];
    (0..).zip(&mut datums).for_each(|(id, datum)| order(id, datum));
    let file = |name: &str, memory: &str| {
        let settings = [("sink.memory.bytes", memory), ("sink.parquet.row.group.bytes", "100000")];
        let paths = write(&folder.path().join(name), &settings, ROW, &datums).unwrap();
        assert_eq!(paths.len(), 1);
        std::fs::read(&paths[0]).unwrap()
    };
    let plenty = file("plenty", "100000000");
    for (name, memory) in [("again", "100000000"), ("some", "70000"), ("none", "1")] {
        assert!(file(name, memory) == plenty, "{name}");
    }
}

#[test]
fn what_parquet_has_no_place_for_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |schema: &str, datum: &[u8]| {
        write(&folder.path().join("refused"), &[], schema, &[datum.to_vec()]).unwrap_err()
    };
    let record = |field: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{field}}}]}}"#)
    };
    let deep = (0..25).fold("\"int\"".to_owned(), |inner, _| {
        format!(r#"{{"type":"array","items":["null","string",{inner}]}}"#)
    });
    // Each type holds the one before twice.
    let doubled = (0..20).fold("\"int\"".to_owned(), |inner, n| {
        let again = if n == 0 { "\"int\"".to_owned() } else { format!("\"N{}\"", n - 1) };
        format!(
            r#"{{"type":"record","name":"N{n}","fields":[{{"name":"x","type":{inner}}},{{"name":"y","type":{again}}}]}}"#
        )
    });
    for (schema, why) in [
        ("\"string\"".to_owned(), "values that are no records"),
        (record("\"null\""), "a: nothing but null"),
        (record(r#"{"type":"array","items":"null"}"#), "a.array: nothing but null"),
        (record(r#"["null","R"]"#), "a: R within R"),
        (record(r#"{"type":"record","name":"E","fields":[]}"#), "a: a record without fields"),
        (record(r#"{"type":"fixed","name":"F","size":0}"#), "a: a fixed of no bytes"),
        (record(&deep), "more than 64 levels"),
        (record(&doubled), "more than 10000 columns"),
    ] {
        let error = refused(&schema, &[]);
        assert_eq!(error.part(), full_pipeline::Part::Data, "{schema}: {}", error.report());
        let report = error.report();
        assert!(
            report.contains("Parquet has no place for ") && report.contains(why),
            "{why}: {report}"
        );
    }
    let schema = record(
        r#"["null","string",{"type":"array","items":"int"},
        {"type":"enum","name":"E","symbols":["x"]}]"#,
    );
    for datum in [
        &b""[..],
        b"\x02",
        b"\x02\x04a",
        b"\x02\x02\xff",
        b"\x08",
        b"\x01",
        b"\x06\x02",
        b"\x06\x01",
        b"\x00\x00",
        b"\x04\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00",
        b"\x04\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
    ] {
        let error = refused(&schema, datum);
        assert!(
            error.report().contains("not a datum of their schema"),
            "{datum:?}: {}",
            error.report()
        );
    }
    // A million nulls of a thousand columns each are few bytes and much memory.
    let wide: Vec<String> =
        (0..1000).map(|n| format!(r#"{{"name":"c{n}","type":"int"}}"#)).collect();
    let wide = format!(
        r#"{{"type":"array","items":["null",{{"type":"record","name":"W","fields":[{}]}}]}}"#,
        wide.join(",")
    );
    let mut datum = Vec::new();
    write_long(1_000_000, &mut datum);
    datum.resize(datum.len() + 1_000_001, 0);
    assert!(refused(&record(&wide), &datum).report().contains("bytes of memory"));
}
