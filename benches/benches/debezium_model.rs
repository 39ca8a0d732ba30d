//! Columns as the server sends them to a framed key and envelope, for a row of 12 columns.
//!
//! `encode_only` is the same value out of a struct by `avro-wire`, with nothing left to convert.
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
use debezium_model::{Before, Change, Scratch};
use support::{IDS, Scenario, source};

fn main() {
    let scenario = Scenario::load();
    let (text, binary) = (scenario.text(), scenario.binary());
    let (plan, source) = (scenario.table.plan(), source());
    let golden = scenario.insert(&text);
    assert_eq!(golden, scenario.insert(&binary));

    let mut scratch = Scratch::new();
    let mut encode = |change: &Change<'_>| {
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
    assert_eq!(encode(&changes[0].1), golden.0.len() + golden.1.len());

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Elements(1));
    for (name, change) in &changes {
        group.bench_function(*name, |b| b.iter(|| encode(change)));
    }
    group.finish();
    criterion.final_summary();
}
