//! Counts allocations: none for encoding into a buffer that is large enough, none for decoding
//! into a type that borrows.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use avro_wire::Schema;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let result = run();
    (COUNT.with(Cell::get) - before, result)
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Row<'a> {
    id: i64,
    name: Option<&'a str>,
    rate: f64,
    #[serde(borrow)]
    source: Source<'a>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Source<'a> {
    table: &'a str,
    ts_ns: Option<i64>,
    state: State,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum State {
    Open,
    Closed,
}

/// The same record by a part of its fields, in another order.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Part<'a> {
    rate: f64,
    name: Option<&'a str>,
}

const SCHEMA: &str = r#"{"type":"record","name":"Row","fields":[
    {"name":"id","type":"long"},
    {"name":"name","type":["null","string"]},
    {"name":"rate","type":"double"},
    {"name":"source","type":{"type":"record","name":"Source","fields":[
        {"name":"table","type":"string"},
        {"name":"ts_ns","type":["long","null"]},
        {"name":"state","type":{"type":"enum","name":"S","symbols":["Open","Closed"]}}]}}]}"#;

#[test]
fn encoding_and_borrowed_decoding_allocate_nothing() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let row = Row {
        id: -5,
        name: Some("a name of some length"),
        rate: 0.5,
        source: Source { table: "t", ts_ns: Some(1_795_334_527_989_158_971), state: State::Closed },
    };
    let mut out = Vec::with_capacity(256);
    // The first round may write the caches of names, the second only reads them.
    for _ in 0..2 {
        out.clear();
        let (count, result) = allocations(|| avro_wire::encode(&row, &schema, &mut out));
        result.unwrap();
        assert_eq!(count, 0);
        let (count, back) = allocations(|| avro_wire::decode::<Row<'_>>(&out, &schema));
        assert_eq!(back.unwrap(), row);
        assert_eq!(count, 0);
        let (count, part) = allocations(|| avro_wire::decode::<Part<'_>>(&out, &schema));
        assert_eq!(part.unwrap(), Part { rate: 0.5, name: row.name });
        assert_eq!(count, 0);
    }
    let reader = schema.field_reader("source.ts_ns").unwrap();
    let (count, scalar) = allocations(|| reader.read(&out));
    assert_eq!(scalar.unwrap(), avro_wire::Scalar::Long(1_795_334_527_989_158_971));
    assert_eq!(count, 0);
    let resolution = avro_wire::Resolution::new(&schema, &schema).unwrap();
    let codec = avro_wire::RowCodec::new(&schema).unwrap();
    let mut cells = Vec::with_capacity(16);
    for _ in 0..2 {
        let (count, back) = allocations(|| resolution.decode::<Row<'_>>(&out));
        assert_eq!(back.unwrap(), row);
        assert_eq!(count, 0);
        let (count, result) = allocations(|| codec.read(&out, &mut cells));
        result.unwrap();
        assert_eq!(count, 0);
        let mut again = Vec::with_capacity(256);
        let (count, result) = allocations(|| codec.write(&cells, &mut again));
        result.unwrap();
        assert_eq!((count, &again), (0, &out));
        let (count, recycled) = allocations(|| avro_wire::recycle(std::mem::take(&mut cells)));
        assert_eq!((count, recycled.capacity()), (0, 16));
        cells = recycled;
    }
    // The counter counts.
    assert_eq!(allocations(|| Box::new(1)).0, 1);
}

#[test]
fn claimed_sizes_allocate_nothing() {
    // Each claims far more than its bytes hold.
    for (schema, datum) in [
        (r#""bytes""#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f, 1][..]),
        (r#"{"type":"array","items":"long"}"#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]),
        (r#"{"type":"array","items":"null"}"#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]),
    ] {
        let schema = Schema::parse(schema).unwrap();
        let (_, error) =
            allocations(|| avro_wire::decode::<serde::de::IgnoredAny>(datum, &schema).unwrap_err());
        assert!(error.kind().is_data());
        let (count, result) = allocations(|| avro_wire::decode::<Vec<Option<i64>>>(datum, &schema));
        assert!(result.is_err());
        // One for the error itself, and for a mismatch of types its text.
        assert!(count <= 4, "{count}");
    }
}
