//! What [`Fidelity::Corrected`] does otherwise than Debezium, side by side.
#![cfg(feature = "avro")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::ops::ControlFlow;

use debezium_model::{
    Change, ColumnDef, Error, ErrorKind, JsonWriter, Mapping, SchemaIds, Scratch, SourceBlock,
    Table, TableId,
};
use pgoutput::Column;
use serde_json::{Value, json};

/// The column's value in the record of a row with it alone.
fn one(column: &ColumnDef, value: Column<'_>, properties: &[(&str, &str)]) -> Result<Value, Error> {
    let mapping = Mapping::from_properties(properties.iter().copied())?.mapping;
    let table = Table::new("p", TableId::new("s", "t"), vec![column.clone()], &mapping)?;
    let mut text = String::new();
    let source = SourceBlock::new("d", 1, 1);
    table.plan().encode(
        &Change::insert(&[value]),
        &source,
        SchemaIds::new(None, 1),
        &mut Scratch::new(),
        &mut |record| {
            let writer = JsonWriter::new(table.value_schema(), false);
            writer.write(&record.value.unwrap()[5..], &mut text).unwrap();
            ControlFlow::Continue(())
        },
    )?;
    let record: Value = serde_json::from_str(&text).unwrap();
    Ok(record["after"][column.name()].clone())
}

fn both(
    column: &ColumnDef,
    value: Column<'_>,
    properties: &[(&str, &str)],
) -> (Result<Value, ErrorKind>, Result<Value, ErrorKind>) {
    let corrected = [properties, &[("fidelity", "correct")]].concat();
    let kind = |error: Error| {
        assert_eq!(error.column_name(), Some(column.name()));
        error.kind()
    };
    (one(column, value, properties).map_err(kind), one(column, value, &corrected).map_err(kind))
}

#[test]
fn side_by_side() {
    let numeric = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
    let name = ColumnDef::new("n", 19, "name");
    let default = ColumnDef::new("d", 25, "text").with_default_expression("'x'::text");
    let negative = ColumnDef::new("m", 1700, "numeric").with_typmod(numeric(4, -2));
    let exact = ColumnDef::new("e", 1700, "numeric").with_typmod(numeric(5, 2));
    let matrix = ColumnDef::new("a", 1007, "_int4");
    let bits = ColumnDef::new("b", 1561, "_bit").with_typmod(3);
    let number = ColumnDef::new("i", 23, "int4");
    let text = ColumnDef::new("t", 1043, "varchar").with_typmod(84);
    let mask = [("column.mask.with.3.chars", "s.t.i")];
    let twice = [
        ("column.mask.hash.v2.SHA-256.with.salt.x", "s.t.t"),
        ("datatype.propagate.source.type", r".*\.varchar"),
    ];
    let null = || Ok(Value::Null);
    let lost = || Err(ErrorKind::OutOfRange);
    for (column, value, properties, debezium, corrected) in [
        (&name, Column::Text(b"v"), &[][..], null(), Ok(json!("v"))),
        (&default, Column::Null, &[], Ok(json!("x")), null()),
        (&exact, Column::Text(b"NaN"), &[], null(), lost()),
        (&matrix, Column::Text(b"{{1,2},{3,4}}"), &[], Ok(json!([null, null])), lost()),
        (&bits, Column::Text(b"{101}"), &[], null(), Ok(json!(["BQ=="]))),
        (&number, Column::Text(b"7"), &mask, Ok(json!(7)), null()),
    ] {
        let name = column.name();
        assert_eq!(both(column, value, properties), (debezium, corrected), "{name}");
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
fn transactions_have_one_id() {
    let mut ids = [String::new(), String::new()];
    for (mapping, id) in
        [Mapping::default(), Mapping::from_properties([("fidelity", "correct")]).unwrap().mapping]
            .iter()
            .zip(&mut ids)
    {
        mapping.write_transaction_id(7, 99, id);
    }
    assert_eq!(ids, ["7:99", "7"]);
}
