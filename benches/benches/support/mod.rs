//! The 12-column table of the scenario `ods_default`, as PostgreSQL sends it.
#![allow(dead_code, reason = "each bench uses a part")]

pub(crate) mod by_hand;

use std::ops::ControlFlow;

use debezium_model::{
    Change, ColumnDef, Flatten, Mapping, SchemaIds, Scratch, Snapshot, SourceBlock, Table, TableId,
};
use pgoutput::Column;
use serde_json::Value;

/// A table and one row of it in both formats.
pub(crate) struct Scenario {
    pub(crate) table: Table,
    /// The same, with flattened values.
    pub(crate) flat: Table,
    text: Vec<Option<Vec<u8>>>,
    binary: Vec<Option<Vec<u8>>>,
}

impl Scenario {
    pub(crate) fn load() -> Self {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../debezium-model/testdata/scenarios/ods_default.json"
        );
        let scenario: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let step = &scenario["steps"][0];
        let columns: Vec<ColumnDef> = list(&step["tables"]["ods.cdc_events"]).map(column).collect();
        assert_eq!(columns.len(), 12);
        // The row with the fewest nulls.
        let message = list(&step["messages"])
            .filter(|message| message["table"] == "ods.cdc_events" && message["after"].is_array())
            .min_by_key(|message| list(&message["after"]).filter(|c| c[0] == "n").count())
            .unwrap();
        let id = TableId::new("ods", "cdc_events");
        let flatten = Mapping::default().with_flatten(Flatten::default());
        Self {
            flat: Table::new("cdc", id.clone(), columns.clone(), &flatten).unwrap(),
            table: Table::new("cdc", id, columns, &Mapping::default()).unwrap(),
            text: list(&message["after"])
                .map(|c| c.get(1).map(|text| text.as_str().unwrap().as_bytes().to_vec()))
                .collect(),
            binary: list(&message["after_binary"])
                .map(|c| c.get(1).map(|hex| from_hex(hex.as_str().unwrap())))
                .collect(),
        }
    }

    pub(crate) fn text(&self) -> Vec<Column<'_>> {
        self.text.iter().map(|c| c.as_deref().map_or(Column::Null, Column::Text)).collect()
    }

    pub(crate) fn binary(&self) -> Vec<Column<'_>> {
        self.binary.iter().map(|c| c.as_deref().map_or(Column::Null, Column::Binary)).collect()
    }

    /// The framed key and value of an insert of the row.
    pub(crate) fn insert(&self, row: &[Column<'_>]) -> (Vec<u8>, Vec<u8>) {
        let mut records = Vec::new();
        self.table
            .plan()
            .encode(&Change::insert(row), &source(), IDS, &mut Scratch::new(), &mut |record| {
                records.push((record.key.unwrap().to_vec(), record.value.unwrap().to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }
}

/// A table of 100 columns of all usual types.
pub(crate) fn wide() -> Vec<ColumnDef> {
    let types = [
        (20, "int8"),
        (25, "text"),
        (1700, "numeric"),
        (1184, "timestamptz"),
        (1114, "timestamp"),
        (1082, "date"),
        (16, "bool"),
        (2950, "uuid"),
        (3802, "jsonb"),
        (1009, "_text"),
    ];
    let columns = (0..100).zip(types.iter().cycle());
    let mut columns: Vec<ColumnDef> = columns
        .map(|(at, (oid, name))| ColumnDef::new(&format!("column_{at}"), *oid, name))
        .collect();
    let key = columns.remove(0).with_not_null().with_key_position(1);
    columns.insert(0, key);
    columns
}

pub(crate) const IDS: SchemaIds = SchemaIds::new(Some(1), 2);

pub(crate) fn source() -> SourceBlock<'static> {
    let mut source = SourceBlock::new("shop", 0x16_B374_D848, 1_700_000_000_123_456);
    source.tx_id = Some(731);
    source.last_commit_lsn = Some(0x16_B374_D000);
    source.snapshot = Snapshot::False;
    source.processed_ns = 1_700_000_000_234_567_891;
    source
}

fn column(column: &Value) -> ColumnDef {
    let number = |key: &str| column[key].as_i64();
    let oid = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found =
        ColumnDef::new(&text(&column["name"]), oid(&column["oid"]), &text(&column["type"]))
            .with_typmod(i32::try_from(number("typmod").unwrap()).unwrap());
    if column["notnull"] == true {
        found = found.with_not_null();
    }
    if let Some(default) = column["default"].as_str() {
        found = found.with_default_expression(default);
    }
    if let Some(position) = number("key") {
        found = found.with_key_position(usize::try_from(position).unwrap());
    }
    if let Some([element, name]) = column["element"].as_array().map(Vec::as_slice) {
        found = found.with_element_type(oid(element), &text(name));
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
