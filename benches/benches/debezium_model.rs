//! Columns as the server sends them to a framed key and value, for a row of 12 columns: beside code
//! written by hand for that very table, as JSON, flattened; and what compiling a table costs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput};
use debezium_model::{Before, Change, JsonWriter, Mapping, Plan, Scratch, Table, TableId};
use support::{IDS, Scenario, by_hand, source, wide};

fn main() {
    let scenario = Scenario::load();
    let (text, binary) = (scenario.text(), scenario.binary());
    let (plan, source) = (scenario.table.plan(), source());
    let golden = scenario.insert(&text);
    assert_eq!(golden, scenario.insert(&binary));

    let mut scratch = Scratch::new();
    let mut encode = |plan: &Plan, change: &Change<'_>| {
        let mut bytes = 0;
        plan.encode(black_box(change), &source, IDS, &mut scratch, &mut |record| {
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            ControlFlow::Continue(())
        })
        .unwrap();
        bytes
    };
    let changes = [
        ("insert_text", Change::insert(&text)),
        ("insert_binary", Change::insert(&binary)),
        ("update_key_text", Change::update(None, &text)),
        ("update_full_text", Change::update(Some(Before::Full(&text)), &text)),
        ("delete_full_text", Change::delete(Before::Full(&text))),
    ];
    assert_eq!(encode(&plan, &changes[0].1), golden.0.len() + golden.1.len());

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Elements(1));
    for (name, change) in &changes {
        group.bench_function(*name, |b| b.iter(|| encode(&plan, change)));
    }
    let flat = scenario.flat.plan();
    group.bench_function("insert_text_flattened", |b| b.iter(|| encode(&flat, &changes[0].1)));
    let (mut key, mut value, mut room) = (Vec::new(), Vec::new(), Vec::new());
    let mut hand = |row| {
        by_hand::insert(black_box(row), &source, &mut key, &mut value, &mut room);
        (key.len(), value.len())
    };
    assert_eq!(hand(&text), (golden.0.len(), golden.1.len()));
    group.bench_function("insert_text_by_hand", |b| b.iter(|| hand(&text)));
    assert_eq!((key, value), golden);

    let table = &scenario.table;
    let (keys, values) = (table.key_schema().unwrap(), table.value_schema());
    let writers = (JsonWriter::new(keys, false), JsonWriter::new(values, false));
    let (mut scratch, mut json) = (Scratch::new(), Vec::new());
    group.bench_function("insert_text_json", |b| {
        b.iter(|| {
            json.clear();
            let change = black_box(&changes[0].1);
            plan.encode(change, &source, IDS, &mut scratch, &mut |record| {
                writers.0.write(&record.key.unwrap()[5..], &mut json).unwrap();
                writers.1.write(&record.value.unwrap()[5..], &mut json).unwrap();
                ControlFlow::Continue(())
            })
            .unwrap();
            json.len()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("compile");
    let (columns, mapping) = (wide(), Mapping::default());
    let id = TableId::new("public", "wide");
    group.bench_function("plan_of_100_columns", |b| {
        let table = Table::new("cdc", id.clone(), columns.clone(), &mapping).unwrap();
        b.iter(|| black_box(&table).plan());
    });
    group.bench_function("schema_texts_of_100_columns", |b| {
        let table = Table::new("cdc", id.clone(), columns.clone(), &mapping).unwrap();
        let texts =
            |table: &Table| (table.key_schema().unwrap().to_avro(), table.value_schema().to_avro());
        b.iter(|| texts(black_box(&table)));
    });
    group.bench_function("table_of_100_columns", |b| {
        b.iter(|| Table::new("cdc", id.clone(), black_box(&columns).clone(), &mapping).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
