//! A Debezium envelope of a row of 12 columns: encoded out of a struct and decoded into one.
//!
//! The bytes are what the plan of `debezium-model` makes of a captured row; every encoder has to
//! give them again and every decoder the struct. The logical type of the one decimal is taken out
//! of the schema, because the peers turn it into types of their own; the bytes stay the same.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

mod support;

use std::fmt;
use std::hint::black_box;

use avro_wire::{Framing, Scalar, Schema, SchemaRef};
use criterion::{Criterion, Throughput};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Envelope<S, B> {
    before: Option<Row<S, B>>,
    after: Option<Row<S, B>>,
    source: Source<S>,
    transaction: Option<Block<S>>,
    op: S,
    ts_ms: Option<i64>,
    ts_us: Option<i64>,
    ts_ns: Option<i64>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Row<S, B> {
    event_id: i64,
    customer_id: i64,
    order_id: Option<i64>,
    employee: Option<S>,
    amount: Option<B>,
    status: S,
    created_at: S,
    updated_at: Option<i64>,
    is_active: bool,
    tags: Option<Vec<Option<S>>>,
    ext_ref: Option<S>,
    note: Option<S>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Source<S> {
    version: S,
    connector: S,
    name: S,
    ts_ms: i64,
    snapshot: Option<S>,
    db: S,
    sequence: Option<S>,
    ts_us: Option<i64>,
    ts_ns: Option<i64>,
    schema: S,
    table: S,
    #[serde(rename = "txId")]
    tx_id: Option<i64>,
    lsn: Option<i64>,
    xmin: Option<i64>,
    origin: Option<S>,
    origin_lsn: Option<i64>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Block<S> {
    id: S,
    total_order: i64,
    data_collection_order: i64,
}

type Borrowed<'a> = Envelope<&'a str, Blob<&'a [u8]>>;
type Owned = Envelope<String, Blob<Vec<u8>>>;

/// Bytes that say so to serde.
#[derive(Debug, PartialEq)]
struct Blob<T>(T);

impl<T: AsRef<[u8]>> Serialize for Blob<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_ref())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<&'a [u8]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Blob)
    }
}

impl<'de> Deserialize<'de> for Blob<Vec<u8>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Blob<Vec<u8>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

fn main() {
    let scenario = support::Scenario::load();
    let (_, message) = scenario.insert(&scenario.text());
    let text = scenario.table.value_schema().to_avro().replace("logicalType", "connect.logical");
    let schema = Schema::parse(&text).unwrap();
    let fast: serde_avro_fast::Schema = text.parse().unwrap();
    let apache = apache_avro::Schema::parse_str(&text).unwrap();

    let frame = Framing::CONFLUENT.split(&message).unwrap();
    let datum = frame.datum;
    let envelope: Borrowed<'_> = avro_wire::decode(datum, &schema).unwrap();
    let after = envelope.after.as_ref().unwrap();
    assert!(after.amount.is_some() && after.tags.is_some() && after.employee.is_some());

    let mut config = serde_avro_fast::ser::SerializerConfig::new(&fast);
    let ours = |out: &mut Vec<u8>| {
        out.clear();
        Framing::CONFLUENT.write_header(SchemaRef::Id(2), out).unwrap();
        avro_wire::encode(black_box(&envelope), &schema, out).unwrap();
    };
    let mut theirs = |out: &mut Vec<u8>| {
        out.clear();
        out.extend_from_slice(&[0, 0, 0, 0, 2]);
        serde_avro_fast::to_datum(black_box(&envelope), out, &mut config).unwrap();
    };
    // Its serializer of structs gives up on a type that is named again, as `Value` is, so that
    // here it goes by a tree; the group below has a schema that it can do.
    let apache_encode = |out: &mut Vec<u8>| {
        out.clear();
        out.extend_from_slice(&[0, 0, 0, 0, 2]);
        let value = apache_avro::to_value(black_box(&envelope)).unwrap().resolve(&apache).unwrap();
        out.extend(apache_avro::to_avro_datum(&apache, value).unwrap());
    };
    let apache_decode = || {
        let mut input = black_box(datum);
        let value = apache_avro::from_avro_datum(&apache, &mut input, None).unwrap();
        apache_avro::from_value::<Owned>(&value).unwrap()
    };
    let mut out = Vec::with_capacity(1024);
    ours(&mut out);
    assert_eq!(out, message);
    theirs(&mut out);
    assert_eq!(out, message);
    apache_encode(&mut out);
    assert_eq!(out, message);
    assert_eq!(serde_avro_fast::from_datum_slice::<Borrowed<'_>>(datum, &fast).unwrap(), envelope);
    assert_eq!(avro_wire::decode::<Owned>(datum, &schema).unwrap(), apache_decode());

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("ours", |b| b.iter(|| ours(&mut out)));
    group.bench_function("serde_avro_fast", |b| b.iter(|| theirs(&mut out)));
    group.bench_function("apache_avro", |b| b.iter(|| apache_encode(&mut out)));
    group.finish();

    let row_schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row_schema = row_schema["fields"][0]["type"][1].to_string();
    let apache_row = apache_avro::Schema::parse_str(&row_schema).unwrap();
    let our_row = Schema::parse(&row_schema).unwrap();
    let fast_row: serde_avro_fast::Schema = row_schema.parse().unwrap();
    let mut config_row = serde_avro_fast::ser::SerializerConfig::new(&fast_row);
    let ours = |out: &mut Vec<u8>| {
        out.clear();
        avro_wire::encode(black_box(after), &our_row, out).unwrap();
    };
    let mut theirs = |out: &mut Vec<u8>| {
        out.clear();
        serde_avro_fast::to_datum(black_box(after), out, &mut config_row).unwrap();
    };
    let apache_encode = |out: &mut Vec<u8>| {
        out.clear();
        apache_avro::write_avro_datum_ref(&apache_row, black_box(after), out).unwrap();
    };
    let mut again = Vec::new();
    ours(&mut out);
    assert_eq!(avro_wire::decode::<Row<&str, Blob<&[u8]>>>(&out, &our_row).unwrap(), *after);
    theirs(&mut again);
    assert_eq!(out, again);
    apache_encode(&mut again);
    assert_eq!(out, again);
    let mut group = criterion.benchmark_group("encode_row");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("ours", |b| b.iter(|| ours(&mut out)));
    group.bench_function("serde_avro_fast", |b| b.iter(|| theirs(&mut out)));
    group.bench_function("apache_avro", |b| b.iter(|| apache_encode(&mut out)));
    group.finish();

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(datum.len() as u64));
    group.bench_function("ours_borrowed", |b| {
        b.iter(|| avro_wire::decode::<Borrowed<'_>>(black_box(datum), &schema).unwrap());
    });
    group.bench_function("serde_avro_fast_borrowed", |b| {
        b.iter(|| {
            serde_avro_fast::from_datum_slice::<Borrowed<'_>>(black_box(datum), &fast).unwrap()
        });
    });
    group.bench_function("ours_owned", |b| {
        b.iter(|| avro_wire::decode::<Owned>(black_box(datum), &schema).unwrap());
    });
    group.bench_function("apache_avro_owned", |b| b.iter(apache_decode));
    group.finish();

    let reader = schema.field_reader("source.lsn").unwrap();
    assert_eq!(reader.read(datum).unwrap(), Scalar::Long(envelope.source.lsn.unwrap()));
    assert_eq!(schema.skip(datum).unwrap(), datum.len());
    let mut group = criterion.benchmark_group("without_decoding");
    group.bench_function("one_field", |b| b.iter(|| reader.read(black_box(datum)).is_ok()));
    group.bench_function("skip", |b| b.iter(|| schema.skip(black_box(datum)).unwrap()));
    group.finish();
    criterion.final_summary();
}
