//! What becomes of values that the server did not send.
#![cfg(feature = "avro")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::ops::ControlFlow;

use debezium_model::{
    Before, Change, ColumnDef, Error, ErrorKind, Fidelity, JsonWriter, Mapping, SchemaIds, Scratch,
    SourceBlock, Table, TableId, ToastPolicy, Unrepresentable,
};
use pgoutput::Column;
use serde_json::{Value, json};

fn table(mapping: &Mapping) -> Table {
    let columns = vec![
        ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1),
        ColumnDef::new("doc", 3802, "jsonb"),
        ColumnDef::new("size", 1700, "numeric"),
    ];
    Table::new("p", TableId::new("s", "t"), columns, mapping).unwrap()
}

/// The new row, and how many values were missing.
fn after(table: &Table, change: &Change<'_>) -> Result<(Value, usize), Error> {
    let (mut text, mut missing) = (Vec::new(), 0);
    let (ids, source) = (SchemaIds::new(Some(1), 2), SourceBlock::new("d", 1, 1));
    table.plan().encode(change, &source, ids, &mut Scratch::new(), &mut |record| {
        missing = record.unavailable;
        let writer = JsonWriter::new(table.value_schema(), false);
        writer.write(&record.value.unwrap()[5..], &mut text).unwrap();
        ControlFlow::Continue(())
    })?;
    let record: Value = serde_json::from_slice(&text).unwrap();
    Ok((record["after"].clone(), missing))
}

const NEW: [Column<'static>; 3] = [Column::Text(b"7"), Column::Unchanged, Column::Unchanged];

#[test]
fn a_placeholder_as_the_type_allows() {
    let placeholder = "__debezium_unavailable_value";
    let update = Change::update(None, &NEW);
    let row = json!({"id": 7, "doc": placeholder, "size": null});
    assert_eq!(after(&table(&Mapping::default()), &update).unwrap(), (row, 2));
    // Null says nothing of a value that is there.
    let corrected = Mapping::default().with_fidelity(Fidelity::Corrected);
    let error = after(&table(&corrected), &update).unwrap_err();
    assert_eq!((error.kind(), error.column_name()), (ErrorKind::Unavailable, Some("size")));
    let lenient = table(&corrected.with_unrepresentable(Unrepresentable::Null));
    assert_eq!(after(&lenient, &update).unwrap().0["size"], Value::Null);
}

#[test]
fn the_old_row_may_have_it() {
    let old = [Column::Text(b"7"), Column::Text(b"{}"), Column::Text(b"1.5")];
    let update = Change::update(Some(Before::Full(&old)), &NEW);
    assert_eq!(update.missing().count(), 0);
    let table = table(&Mapping::default().with_toast(ToastPolicy::Fail));
    let (row, missing) = after(&table, &update).unwrap();
    assert_eq!((&row["doc"], missing), (&json!("{}"), 0));
}

#[test]
fn the_caller_reads_the_row_again() {
    let table = table(&Mapping::default().with_toast(ToastPolicy::Reselect));
    let update = Change::update(None, &NEW);
    assert!(update.missing().eq([1, 2]));
    assert_eq!(table.row_key(&NEW), Some(vec![("id", Column::Text(b"7"))]));
    assert_eq!(table.row_key(&[Column::Null; 3]), None);
    let again = [Column::Text(b"8"), Column::Text(b"{}"), Column::Null];
    let mut room = Vec::new();
    let filled = update.filled(|place| again.get(place).copied(), &mut room);
    let expected = json!({"id": 7, "doc": "{}", "size": null});
    assert_eq!(after(&table, &filled).unwrap(), (expected, 0));
    // The row is gone.
    let mut room = Vec::new();
    let filled = update.filled(|_| None, &mut room);
    assert_eq!(after(&table, &filled).unwrap().1, 2);
}

#[test]
fn an_error_that_names_the_column() {
    let table = table(&Mapping::from_properties([("toast.policy", "fail")]).unwrap().mapping);
    let error = after(&table, &Change::update(None, &NEW)).unwrap_err();
    let place = (error.table_name(), error.column_name());
    assert_eq!((error.kind(), place), (ErrorKind::Unavailable, (Some("s.t"), Some("doc"))));
}
