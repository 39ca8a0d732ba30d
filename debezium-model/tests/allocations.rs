//! In steady state a row costs no allocation.
#![cfg(feature = "avro")]
#![allow(unsafe_code, reason = "a global allocator is unsafe by its signature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use debezium_model::{
    Before, Change, ColumnDef, Mapping, SchemaIds, Scratch, SourceBlock, Table, TableId,
};
use pgoutput::Column;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local cell
// that needs neither allocation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about the arguments is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn masks_hashes_headers_and_json_cost_no_allocation() {
    let mapping = Mapping::from_properties([
        ("column.mask.hash.SHA-256.with.salt.x", "s.t.a"),
        ("column.mask.hash.v2.SHA-512.with.salt.x", "s.t.b"),
        ("column.mask.with.5.chars", "s.t.c"),
        ("column.truncate.to.5.chars", "s.t.d"),
        ("include.unknown.datatypes", "true"),
    ])
    .unwrap()
    .mapping;
    let mut columns: Vec<ColumnDef> =
        ["a", "b", "c", "d"].map(|name| ColumnDef::new(name, 25, "text")).into();
    columns.push(ColumnDef::new("e", 718, "circle"));
    columns.insert(0, ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1));
    columns.push(ColumnDef::new("f", 701, "float8"));
    let table = Table::new("p", TableId::new("s", "t"), columns, &mapping).unwrap();
    let text = |text: &'static str| Column::Text(text.as_bytes());
    let row = ["7", "secret", "hush", "hidden", "cut me off", "<(1,2),3>", "1.5e-7"].map(text);
    let mut old = row;
    old[0] = text("8");
    let source = SourceBlock::new("d", 99, 1_700_000_000_000_000);
    let plan = table.plan();
    let writer = debezium_model::JsonWriter::new(table.value_schema(), true);
    let (mut scratch, mut json, mut headers) = (Scratch::new(), Vec::new(), 0);
    let mut round = || {
        let change = Change::update(Some(Before::Full(&old)), &row);
        plan.encode(&change, &source, SchemaIds::new(Some(1), 2), &mut scratch, &mut |record| {
            json.clear();
            if let Some(value) = record.value {
                writer.write(&value[5..], &mut json).unwrap();
            }
            headers += record.headers.iter().count();
            ControlFlow::Continue(())
        })
        .unwrap();
    };
    round();
    let before = COUNT.get();
    (0..100).for_each(|_| round());
    assert_eq!(COUNT.get() - before, 0);
    assert_eq!(headers, 303);
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains("*****") && json.contains("\"cut m\"") && json.contains("1.5E-7"));
}

#[test]
fn rows_cost_no_allocation() {
    let types: &[(&str, u32, i32, &str)] = &[
        ("id", 20, -1, "123456789"),
        ("name", 1043, 24, "Ernst Handel"),
        ("price", 1700, ((12 << 16) | 2) + 4, "1234567.89"),
        ("rate", 1700, -1, "0.000123"),
        ("huge", 1700, -1, "123456789012345678901234567890123456789012345678901234567890.5"),
        ("born", 1082, -1, "1996-07-04"),
        ("at", 1184, -1, "2024-05-06 07:08:09.123456+00"),
        ("local", 1114, -1, "2024-05-06 07:08:09.123456"),
        ("doc", 3802, -1, "{\"a\": [1, 2]}"),
        ("ref", 2950, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("tags", 1009, -1, "{a,\"b c\",NULL}"),
        ("raw", 17, -1, "\\xdeadbeef"),
        ("span", 1186, -1, "1 day 02:03:04"),
        ("cash", 790, -1, "$1,234.56"),
        ("mask", 1560, 12, "100000000001"),
    ];
    let mut columns: Vec<ColumnDef> = types
        .iter()
        .map(|(name, oid, typmod, _)| ColumnDef::new(name, *oid, "").with_typmod(*typmod))
        .collect();
    let first = columns.remove(0).with_not_null().with_key_position(1);
    columns.insert(0, first);
    let table = Table::new("p", TableId::new("s", "t"), columns, &Mapping::default()).unwrap();
    let row: Vec<Column<'_>> =
        types.iter().map(|(.., text)| Column::Text(text.as_bytes())).collect();
    let mut old = row.clone();
    old[0] = Column::Text(b"1");
    let mut source = SourceBlock::new("d", 99, 1_700_000_000_000_000);
    source.last_commit_lsn = Some(98);
    let plan = table.plan();
    let mut scratch = Scratch::new();
    let mut total = 0;
    let mut round = || {
        let changes = [
            Change::insert(&row),
            Change::update(Some(Before::Full(&old)), &row),
            Change::delete(Before::Key(&old)),
        ];
        for change in &changes {
            plan.encode(change, &source, SchemaIds::new(Some(1), 2), &mut scratch, &mut |record| {
                total += record.value.map_or(0, <[u8]>::len);
                ControlFlow::Continue(())
            })
            .unwrap();
        }
    };
    round();
    let before = COUNT.get();
    (0..100).for_each(|_| round());
    assert_eq!(COUNT.get() - before, 0);
    assert!(total > 100_000);
}
