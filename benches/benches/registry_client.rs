//! A schema that is in the cache, beside the plainest shared map there is; and a record that is
//! serialized or deserialized, beside the codec alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]

use std::collections::HashMap;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use avro_wire::{Framing, Schema, SchemaRef};
use criterion::Criterion;
use registry_client::{
    AvroDeserializer, AvroSerializer, Client, Config, Error, Guid, Part, Registered, Request,
    Response, SchemaId, Transport,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// Knows a schema under every id.
#[derive(Debug)]
struct Everything;

#[async_trait]
impl Transport for Everything {
    async fn send(&self, _request: Request) -> Result<Response, Error> {
        let body = serde_json::json!({ "id": 1, "schema": RECORD });
        Ok(Response::new(200, body.to_string()))
    }
}

/// A record of 12 fields.
const RECORD: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"a","type":"long"},{"name":"b","type":"string"},{"name":"c","type":"double"},
    {"name":"d","type":["null","string"]},{"name":"e","type":"int"},{"name":"f","type":"boolean"},
    {"name":"g","type":"string"},{"name":"h","type":"long"},{"name":"i","type":"string"},
    {"name":"j","type":["null","long"]},{"name":"k","type":"string"},{"name":"l","type":"long"}]}"#;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row<'a> {
    a: i64,
    b: &'a str,
    c: f64,
    d: Option<&'a str>,
    e: i32,
    f: bool,
    g: &'a str,
    h: i64,
    i: &'a str,
    j: Option<i64>,
    k: &'a str,
    l: i64,
}

const ROW: Row<'_> = Row {
    a: 1_234_567,
    b: "a text of some length",
    c: 0.5,
    d: Some("another"),
    e: 77,
    f: true,
    g: "third",
    h: -1,
    i: "the fourth of the texts",
    j: None,
    k: "2026-11-22T14:00:00Z",
    l: i64::MAX,
};

/// What the registry's side of a record costs.
fn records(criterion: &mut Criterion, runtime: &Runtime) {
    let client =
        Client::with_transport(Config::new("http://registry"), Arc::new(Everything)).unwrap();
    let schema = Schema::parse(RECORD).unwrap();
    let serializer = AvroSerializer::new(client.clone(), Part::Value);
    let deserializer = AvroDeserializer::new(client, Part::Value);
    let (mut message, mut alone) = (Vec::new(), Vec::new());
    runtime.block_on(serializer.encode("topic", &ROW, &schema, &mut message)).unwrap();
    let writer = serializer.try_writer("topic", &schema).unwrap();
    Framing::CONFLUENT.write_header(SchemaRef::Id(1), &mut alone).unwrap();
    avro_wire::encode(&ROW, &schema, &mut alone).unwrap();
    assert_eq!(message, alone);
    runtime.block_on(deserializer.reader([], &message)).unwrap();
    let (reader, datum) = deserializer.try_reader([], &message).unwrap();
    assert_eq!(reader.decode::<Row<'_>>(datum).unwrap(), ROW);

    let mut group = criterion.benchmark_group("record");
    let mut out = Vec::with_capacity(1024);
    group.bench_function("encode/codec_alone", |b| {
        b.iter(|| {
            out.clear();
            Framing::CONFLUENT.write_header(SchemaRef::Id(1), &mut out).unwrap();
            avro_wire::encode(black_box(&ROW), &schema, &mut out).unwrap();
        });
    });
    group.bench_function("encode/writer", |b| {
        b.iter(|| {
            out.clear();
            writer.encode(black_box(&ROW), &mut out).unwrap();
        });
    });
    group.bench_function("encode/try_writer", |b| {
        b.iter(|| {
            out.clear();
            let writer = serializer.try_writer(black_box("topic"), &schema).unwrap();
            writer.encode(black_box(&ROW), &mut out).unwrap();
        });
    });
    group.bench_function("decode/codec_alone", |b| {
        b.iter(|| {
            let frame = Framing::CONFLUENT.split(black_box(&message)).unwrap();
            avro_wire::decode::<Row<'_>>(frame.datum, &schema).unwrap().l
        });
    });
    let mut decoder = deserializer.clone().decoder();
    group.bench_function("decode/decoder", |b| {
        b.iter(|| {
            let row = pin!(decoder.decode::<Row<'_>>([], black_box(&message)));
            match row.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(row) => row.unwrap().l,
                Poll::Pending => panic!("the schema is known"),
            }
        });
    });
    group.bench_function("decode/try_reader", |b| {
        b.iter(|| {
            let (reader, datum) = deserializer.try_reader([], black_box(&message)).unwrap();
            reader.decode::<Row<'_>>(datum).unwrap().l
        });
    });
    group.finish();
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    for known in [1, 100, 1000] {
        let config = Config::new("http://registry");
        let client = Client::with_transport(config, Arc::new(Everything)).unwrap();
        let map: RwLock<HashMap<SchemaId, Arc<Registered>>> = RwLock::default();
        let ids: Vec<SchemaId> = (0..known).map(SchemaId::new).collect();
        for &id in &ids {
            let registered = runtime.block_on(client.schema(id)).unwrap();
            map.write().unwrap().insert(id, registered);
        }
        let look_up = |id| map.read().unwrap().get(&id).cloned();
        for &id in &ids {
            let found = client.try_get(id).unwrap();
            assert!(Arc::ptr_eq(&found, &look_up(id).unwrap()));
            assert!(Arc::ptr_eq(&found, &runtime.block_on(client.schema(id)).unwrap()));
        }

        let mut group = criterion.benchmark_group(format!("cached/{known}"));
        let mut turn = ids.iter().copied().cycle();
        group.bench_function("try_get", |b| {
            b.iter(|| client.try_get(black_box(turn.next().unwrap())).unwrap().id());
        });
        group.bench_function("rwlock_hashmap", |b| {
            b.iter(|| look_up(black_box(turn.next().unwrap())).unwrap().id());
        });
        group.finish();
    }
    let client =
        Client::with_transport(Config::new("http://registry"), Arc::new(Everything)).unwrap();
    let guid = Guid::new([7; 16]);
    runtime.block_on(client.schema_by_guid(guid)).unwrap();
    criterion.bench_function("cached/1/try_get_guid", |b| {
        b.iter(|| client.try_get_guid(black_box(guid)).unwrap().guid());
    });
    records(&mut criterion, &runtime);
    criterion.final_summary();
}
