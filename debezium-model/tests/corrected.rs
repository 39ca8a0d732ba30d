//! What [`Fidelity::Corrected`] does otherwise than Debezium, side by side.
#![cfg(feature = "avro")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::ops::ControlFlow;

use debezium_model::{
    Before, Change, ColumnDef, Error, ErrorKind, JsonWriter, Mapping, SchemaIds, Scratch,
    SourceBlock, Table, TableId,
};
use pgoutput::Column;
use serde_json::{Value, json};

type Properties<'a> = &'a [(&'a str, &'a str)];

const CORRECT: (&str, &str) = ("fidelity", "correct");

fn table(columns: &[ColumnDef], properties: Properties<'_>) -> Result<Table, Error> {
    let mapping = Mapping::from_properties(properties.iter().copied())?.mapping;
    Table::new("p", TableId::new("s", "t"), columns.to_vec(), &mapping)
}

/// Keys and values of the records of a change.
fn records(table: &Table, change: &Change<'_>) -> Result<Vec<(Value, Value)>, Error> {
    let mut records = Vec::new();
    let ids = SchemaIds::new(Some(1), 2);
    let source = SourceBlock::new("d", 1, 1);
    table.plan().encode(change, &source, ids, &mut Scratch::new(), &mut |record| {
        let read = |schema, bytes: Option<&[u8]>| {
            let Some(bytes) = bytes else { return Value::Null };
            let mut text = Vec::new();
            JsonWriter::new(schema, false).write(&bytes[5..], &mut text).unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        let key = table.key_schema().map_or(Value::Null, |schema| read(schema, record.key));
        records.push((key, read(table.value_schema(), record.value)));
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

/// The column's value in the record of a row with it alone.
fn one(
    column: &ColumnDef,
    value: Column<'_>,
    properties: Properties<'_>,
) -> Result<Value, ErrorKind> {
    let kind = |error: Error| {
        assert_eq!((error.table_name(), error.column_name()), (Some("s.t"), Some(column.name())));
        error.kind()
    };
    let table = table(std::slice::from_ref(column), properties).map_err(kind)?;
    let records = records(&table, &Change::insert(&[value])).map_err(kind)?;
    Ok(records[0].1["after"][column.name()].clone())
}

type Outcome = Result<Value, ErrorKind>;

fn both(column: &ColumnDef, value: Column<'_>, properties: Properties<'_>) -> (Outcome, Outcome) {
    let corrected = [properties, &[CORRECT]].concat();
    (one(column, value, properties), one(column, value, &corrected))
}

fn numeric(precision: i32, scale: i32) -> i32 {
    ((precision << 16) | (scale & 0x7ff)) + 4
}

fn null() -> Outcome {
    Ok(Value::Null)
}

fn lost() -> Outcome {
    Err(ErrorKind::OutOfRange)
}

fn value(value: impl Into<Value>) -> Outcome {
    Ok(value.into())
}

#[test]
fn side_by_side() {
    let name = ColumnDef::new("n", 19, "name");
    let default = ColumnDef::new("d", 25, "text").with_default_expression("'x'::text");
    let negative = ColumnDef::new("m", 1700, "numeric").with_typmod(numeric(4, -2));
    let bits = ColumnDef::new("b", 1561, "_bit").with_typmod(3);
    let varbit = ColumnDef::new("v", 1562, "varbit");
    let number = ColumnDef::new("i", 23, "int4");
    let text = ColumnDef::new("t", 1043, "varchar").with_typmod(84);
    let bare = ColumnDef::new("u", 1700, "numeric");
    let timetz = ColumnDef::new("z", 1266, "timetz");
    let time = ColumnDef::new("c", 1083, "time");
    let mask = [("column.mask.with.3.chars", "s.t.i")];
    let iso = [("time.precision.mode", "isostring")];
    let twice = [
        ("column.mask.hash.v2.SHA-256.with.salt.x", "s.t.t"),
        ("datatype.propagate.source.type", r".*\.varchar"),
    ];
    let bare_of = |scale: i32, bytes: &str| value(json!({"scale": scale, "value": bytes}));
    for (column, bytes, properties, debezium, corrected) in [
        (&name, Column::Text(b"v"), &[][..], null(), value("v")),
        (&default, Column::Null, &[], value("x"), null()),
        (&bits, Column::Text(b"{101}"), &[], null(), value(json!(["BQ=="]))),
        (&varbit, Column::Text(b"0101"), &[], value("BQ=="), value("0101")),
        (&varbit, Column::Binary(&[0, 0, 0, 4, 0x50]), &[], value("BQ=="), value("0101")),
        (&number, Column::Text(b"7"), &mask, value(7), null()),
        (&bare, Column::Text(b"-1.10"), &[], bare_of(1, "9Q=="), bare_of(2, "kg==")),
        (&timetz, Column::Text(b"24:00:00+00"), &[], value("00:00:00Z"), value("24:00:00Z")),
        (&timetz, Column::Text(b"24:00:00-02"), &[], value("02:00:00Z"), value("24:00:00-02:00")),
        (&timetz, Column::Text(b"23:00:00-02"), &[], value("01:00:00Z"), value("01:00:00Z")),
        (&time, Column::Text(b"24:00:00"), &iso, value("00:00:00Z"), value("24:00:00Z")),
    ] {
        let name = column.name();
        assert_eq!(both(column, bytes, properties), (debezium, corrected), "{name}");
    }
    let (debezium, corrected) = both(&negative, Column::Text(b"1200"), &[]);
    assert!(debezium.unwrap().as_str().unwrap().len() > 1000);
    assert_eq!(corrected, Ok(json!("BLA=")));
    let (debezium, corrected) = both(&text, Column::Text(b"secret"), &twice);
    assert_eq!(debezium, Ok(json!("secret")));
    let hash = corrected.unwrap();
    assert_eq!(hash, json!("4638192f878b3ef62182fd2f9227904cbc9f61fc07bfe77e9d2b121922c2b941"));
}

#[test]
fn what_has_no_end() {
    let date = ColumnDef::new("d", 1082, "date");
    let timestamp = ColumnDef::new("t", 1114, "timestamp");
    let seconds = ColumnDef::new("s", 1114, "timestamp").with_typmod(0);
    let iso = [("time.precision.mode", "isostring")];
    let nanos = [("time.precision.mode", "nanoseconds")];
    let late: &[u8] = b"294276-12-31 23:59:59.999999";
    for (column, bytes, properties, debezium, corrected) in [
        (&date, &b"infinity"[..], &[][..], value(-2_147_472_692), value(i32::MAX)),
        (&date, b"-infinity", &[], value(-2_147_472_691), value(i32::MIN)),
        (&date, b"infinity", &iso, value("-5877611-06-21Z"), value("infinity")),
        (&timestamp, b"infinity", &[], value(9_223_372_036_825_200_000_i64), value(i64::MAX)),
        (&timestamp, b"-infinity", &[], value(-9_223_372_036_832_400_000_i64), value(i64::MIN)),
        (&seconds, b"infinity", &[], value(9_223_372_036_825_200_i64), value(i64::MAX)),
        (&timestamp, b"-infinity", &iso, value("-290308-12-21T19:59:27.6Z"), value("-infinity")),
        (&timestamp, late, &[], value(-9_223_372_036_853_775_810_i64), lost()),
        (&timestamp, late, &nanos, null(), lost()),
        (&timestamp, b"infinity", &nanos, value(i64::MAX), value(i64::MAX)),
    ] {
        let text = String::from_utf8_lossy(bytes);
        let outcomes = both(column, Column::Text(bytes), properties);
        assert_eq!(outcomes, (debezium, corrected), "{} {text}", column.name());
    }
}

#[test]
fn what_is_no_number() {
    let exact = ColumnDef::new("e", 1700, "numeric").with_typmod(numeric(5, 2));
    let required = exact.clone().with_not_null();
    let text = [("decimal.handling.mode", "string")];
    for (column, bytes, properties, debezium, corrected) in [
        (&exact, &b"NaN"[..], &[][..], null(), lost()),
        (&required, b"NaN", &[], value("AA=="), lost()),
        (&exact, b"NaN", &text, value("NAN"), value("NaN")),
        (&exact, b"Infinity", &text, value("POSITIVE_INFINITY"), value("Infinity")),
        (&exact, b"-Infinity", &text, value("NEGATIVE_INFINITY"), value("-Infinity")),
        (&exact, b"NaN", &[("unrepresentable.values", "null")], null(), null()),
        (&required, b"NaN", &[("unrepresentable.values", "null")], value("AA=="), lost()),
    ] {
        assert_eq!(both(column, Column::Text(bytes), properties), (debezium, corrected));
    }
    // Bytes that are no value at all stay an error.
    let lenient = [CORRECT, ("unrepresentable.values", "null")];
    let outcome = one(&exact, Column::Text(b"x"), &lenient);
    assert_eq!(outcome, Err(ErrorKind::MalformedText));
}

#[test]
fn arrays_in_arrays() {
    let declared = |dimensions| ColumnDef::new("a", 1007, "_int4").with_dimensions(dimensions);
    let flat = json!([null, null]);
    let text = &b"{{1,2},{3,NULL}}"[..];
    let binary = [
        &[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1][..],
        &[0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3],
        &[0xff; 4],
    ]
    .concat();
    let square = json!([[1, 2], [3, null]]);
    for form in [Column::Text(text), Column::Binary(&binary)] {
        assert_eq!(both(&declared(2), form, &[]), (Ok(flat.clone()), Ok(square.clone())));
        // What it was declared as is all that is known when the schema is made.
        assert_eq!(both(&declared(1), form, &[]), (Ok(flat.clone()), lost()));
        assert_eq!(one(&declared(3), form, &[CORRECT]), lost());
    }
    assert_eq!(both(&declared(2), Column::Text(b"{}"), &[]), (value(json!([])), value(json!([]))));
    let deep = br#"{{{1},{2}},{{3},{4}}}"#;
    let outcome = one(&declared(3), Column::Text(deep), &[CORRECT]);
    assert_eq!(outcome, value(json!([[[1], [2]], [[3], [4]]])));
    let table = table(&[declared(2)], &[CORRECT]).unwrap();
    let schema = table.value_schema().to_avro();
    let items = r#"{"type":"array","items":{"type":"array","items":["null","int"]}}"#;
    assert!(schema.contains(items), "{schema}");

    let labels = ColumnDef::new("l", 9001, "_mood").with_element_type(9000, "mood");
    let labels = labels.with_enum_labels(["sad", "happy"]);
    let one_missing = Column::Text(b"{sad,NULL}");
    assert_eq!(both(&labels, one_missing, &[]), (null(), value(json!(["sad", null]))));
}

/// A delete under the default replica identity: Debezium makes up what was not sent.
#[test]
fn old_rows() {
    let id = ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1);
    let size = ColumnDef::new("size", 23, "int4").with_not_null();
    let kind = ColumnDef::new("kind", 25, "text").with_not_null();
    let columns = [id, size, kind.with_default_expression("'x'::text")];
    let old = [Column::Text(b"7"), Column::Null, Column::Null];
    let delete = Change::delete(Before::Key(&old));
    let debezium = records(&table(&columns, &[]).unwrap(), &delete).unwrap();
    assert_eq!(debezium[0].1["before"], json!({"id": 7, "size": 0, "kind": "x"}));
    let correct = table(&columns, &[CORRECT]).unwrap();
    let ours = records(&correct, &delete).unwrap();
    assert_eq!(ours[0].1["before"], json!({"id": 7, "size": null, "kind": null}));
    assert_eq!(ours[0].0, debezium[0].0);
    // The new row's columns stay required.
    let fields = correct.value_schema().fields();
    let names = [0, 1].map(|at: usize| fields[at].schema.name().unwrap());
    assert_eq!(names, ["p.s.t.Before", "p.s.t.Value"]);
    let required = |at: usize| fields[at].schema.fields().iter().map(|f| f.schema.is_optional());
    assert_eq!(required(0).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(required(1).collect::<Vec<_>>(), [false; 3]);
    let after = [Column::Text(b"7"), Column::Null, Column::Text(b"y")];
    let error = records(&correct, &Change::insert(&after)).unwrap_err();
    assert_eq!((error.kind(), error.column_name()), (ErrorKind::UnexpectedNull, Some("size")));

    // With all columns in the identity both rows are the same.
    let full = columns.clone().map(ColumnDef::with_replica_identity);
    let full = table(&full, &[CORRECT]).unwrap();
    assert_eq!(full.value_schema().fields()[0].schema.name(), Some("p.s.t.Value"));
    let whole = [Column::Text(b"7"), Column::Text(b"1"), Column::Text(b"y")];
    let ours = records(&full, &Change::delete(Before::Full(&whole))).unwrap();
    assert_eq!(ours[0].1["before"], json!({"id": 7, "size": 1, "kind": "y"}));

    // A rewritten delete shares the schema of the other rows.
    let rewrite = [
        CORRECT,
        ("transforms", "u"),
        ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.u.delete.tombstone.handling.mode", "rewrite"),
    ];
    let ours = records(&table(&columns, &rewrite).unwrap(), &delete).unwrap();
    let expected = json!({"id": 7, "size": null, "kind": null, "__deleted": "true"});
    assert_eq!(ours[0].1, expected);

    // One that is left out or becomes a tombstone needs no values at all.
    let tombstone = [rewrite[0], rewrite[1], rewrite[2]];
    let ours = records(&table(&columns, &tombstone).unwrap(), &delete).unwrap();
    assert_eq!(ours, [(json!({"id": 7}), Value::Null)]);
}

/// A key of columns that old rows do not have.
#[test]
fn keys_need_the_identity() {
    let id = ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1);
    let columns = [id, ColumnDef::new("code", 25, "text").with_not_null()];
    let by_code = [("message.key.columns", "s.t:code")];
    let old = [Column::Text(b"7"), Column::Null];
    let delete = Change::delete(Before::Key(&old));
    let debezium = records(&table(&columns, &by_code).unwrap(), &delete).unwrap();
    assert_eq!(debezium[0].0, json!({"code": ""}));
    let correct = table(&columns, &[by_code[0], CORRECT]).unwrap();
    let error = records(&correct, &delete).unwrap_err();
    assert_eq!((error.kind(), error.table_name()), (ErrorKind::IncompleteIdentity, Some("s.t")));
    let new = [Column::Text(b"7"), Column::Text(b"a")];
    assert_eq!(records(&correct, &Change::insert(&new)).unwrap()[0].0, json!({"code": "a"}));
}

#[test]
fn masks_reach_the_key() {
    let name = ColumnDef::new("name", 25, "text").with_not_null().with_key_position(1);
    let number = ColumnDef::new("name", 23, "int4").with_not_null().with_key_position(1);
    let hash = [("column.mask.hash.v2.SHA-256.with.salt.x", "s.t.name")];
    let insert = [Column::Text(b"secret")];
    let insert = Change::insert(&insert);
    let debezium = records(&table(std::slice::from_ref(&name), &hash).unwrap(), &insert).unwrap();
    assert_eq!(debezium[0].0, json!({"name": "secret"}));
    let ours = records(&table(std::slice::from_ref(&name), &[hash[0], CORRECT]).unwrap(), &insert)
        .unwrap();
    assert_eq!(ours[0].0, json!({"name": debezium[0].1["after"]["name"]}));
    let mask = [("column.mask.with.3.chars", "s.t.name")];
    assert!(table(std::slice::from_ref(&name), &mask).is_ok());
    for (column, properties) in [(&name, mask), (&number, mask), (&number, hash)] {
        let error = table(std::slice::from_ref(column), &[properties[0], CORRECT]).unwrap_err();
        assert_eq!((error.kind(), error.column_name()), (ErrorKind::MaskedKey, Some("name")));
    }
}

/// A value that was not sent has to show that it is none.
#[test]
fn unavailable_values() {
    let text = || value("__debezium_unavailable_value");
    let default = ColumnDef::new("d", 1700, "numeric").with_default_expression("1");
    for (column, debezium, corrected) in [
        (ColumnDef::new("t", 25, "text"), text(), text()),
        (ColumnDef::new("n", 1700, "numeric"), null(), Err(ErrorKind::Unavailable)),
        (default, null(), Err(ErrorKind::Unavailable)),
    ] {
        assert_eq!(both(&column, Column::Unchanged, &[]), (debezium, corrected));
    }
    let codes = ColumnDef::new("a", 1007, "_int4");
    let (debezium, corrected) = both(&codes, Column::Unchanged, &[]);
    assert_eq!(debezium.unwrap()[0], 95);
    assert_eq!(corrected, Err(ErrorKind::Unavailable));
}

#[test]
fn transactions_have_one_id() {
    let mut ids = [String::new(), String::new()];
    let correct = Mapping::from_properties([CORRECT]).unwrap().mapping;
    for (mapping, id) in [Mapping::default(), correct].iter().zip(&mut ids) {
        mapping.write_transaction_id(7, 99, id);
    }
    assert_eq!(ids, ["7:99", "7"]);
}
