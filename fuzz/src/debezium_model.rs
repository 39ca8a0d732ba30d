//! Targets of `debezium-model`.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use avro_wire::{Framing, Schema};
use debezium_model::{
    Before, Change, ColumnDef, ConnectSchema, JsonWriter, Mapping, Plan, SchemaIds, Scratch,
    SourceBlock, Table, TableId,
};
use pgoutput::Column;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A change of a table that has every type: a byte for the mapping (bits 0 to 2) and the operation
/// (bits 3 to 5), then values: column, kind (bits 0 and 1; bit 7: of the old row), length, bytes.
pub fn plan(data: &[u8]) {
    let Some((options, mut data)) = data.split_first() else { return };
    let Some(target) = TARGETS.get(usize::from(options & 7) % TARGETS.len()) else { return };
    let mut before = vec![Column::Null; COLUMNS.len()];
    let mut after = before.clone();
    for row in [&mut before, &mut after] {
        // What may not be null.
        for (slot, column) in row.iter_mut().zip(COLUMNS.iter()) {
            if matches!(column.name(), "id" | "numeric_not_null") {
                *slot = Column::Text(b"1");
            }
        }
    }
    while let Some(([column, kind, length], rest)) = data.split_first_chunk::<3>() {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        let row = if kind & 0x80 == 0 { &mut after } else { &mut before };
        let Some(slot) = row.get_mut(usize::from(*column) % COLUMNS.len()) else { return };
        *slot = match kind & 3 {
            0 => Column::Text(bytes),
            1 => Column::Binary(bytes),
            2 => Column::Unchanged,
            _ => Column::Null,
        };
    }
    let change = match options >> 3 & 7 {
        0 => Change::insert(&after),
        1 => Change::read(&after),
        2 => Change::update(None, &after),
        3 => Change::update(Some(Before::Key(&before)), &after),
        4 => Change::update(Some(Before::Full(&before)), &after),
        5 => Change::delete(Before::Key(&before)),
        6 => Change::delete(Before::Full(&before)),
        _ => Change::truncate(),
    };
    SCRATCH.with_borrow_mut(|scratch| target.encode(&change, scratch));
}

/// The default of a column: a byte that says which, then the expression.
pub fn default(data: &[u8]) {
    let Some((column, expression)) = data.split_first() else { return };
    let Ok(expression) = std::str::from_utf8(expression) else { return };
    let Some(column) = COLUMNS.get(usize::from(*column) % COLUMNS.len()) else { return };
    let columns = vec![column.clone().with_default_expression(expression)];
    match Table::new("cdc", TableId::new("public", "t"), columns, &Mapping::default()) {
        Ok(table) => {
            let text = table.value_schema().to_avro();
            let schema = Schema::parse(&text);
            assert!(schema.is_ok(), "{schema:?}: {text}");
            drop(table.value_schema().to_connect_json());
        }
        Err(error) => drop(error.to_string()),
    }
}

/// A table under one mapping.
struct Target {
    plan: Plan,
    key: (Schema, JsonWriter),
    value: (Schema, JsonWriter),
}

impl Target {
    fn new(properties: &[(&str, &str)]) -> Option<Self> {
        let mapping = Mapping::from_properties(properties.iter().copied()).ok()?.mapping;
        let id = TableId::new("public", "t");
        let table = Table::new("cdc", id, COLUMNS.clone(), &mapping).ok()?;
        let readers = |schema: &ConnectSchema| {
            Some((Schema::parse(&schema.to_avro()).ok()?, JsonWriter::new(schema, false)))
        };
        Some(Self {
            plan: table.plan(),
            key: readers(table.key_schema()?)?,
            value: readers(table.value_schema())?,
        })
    }

    fn encode(&self, change: &Change<'_>, scratch: &mut Scratch) {
        let source = SourceBlock::new("shop", 0x1234, 1_700_000_000_000_000);
        let mut records = 0;
        let outcome =
            self.plan.encode(change, &source, SchemaIds::new(Some(1), 2), scratch, &mut |record| {
                records += 1;
                check(record.key, &self.key);
                check(record.value, &self.value);
                ControlFlow::Continue(())
            });
        if let Err(error) = outcome {
            assert_eq!(records, 0, "{error} after a record");
            assert!(error.column_name().is_some(), "{error} names no column");
        }
    }
}

/// A record is framed, is one whole datum of its schema, and has a text in JSON.
fn check(message: Option<&[u8]>, (schema, writer): &(Schema, JsonWriter)) {
    let Some(message) = message else { return };
    match Framing::CONFLUENT.split(message) {
        Ok(frame) => {
            let outcome = avro_wire::decode::<Read>(frame.datum, schema);
            assert!(outcome.is_ok(), "{outcome:?}: {:?}", frame.datum);
            let mut text = Vec::new();
            let outcome = writer.write(frame.datum, &mut text);
            assert!(outcome.is_ok(), "{outcome:?}: {:?}", frame.datum);
            assert!(std::str::from_utf8(&text).is_ok(), "{:?}", frame.datum);
        }
        Err(error) => panic!("{error}: {message:?}"),
    }
}

/// Reads every value and keeps none.
#[derive(Debug)]
struct Read;

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(Self)
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

static TARGETS: LazyLock<Vec<Target>> = LazyLock::new(|| {
    let unwrap = ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState");
    let mappings: [&[(&str, &str)]; 8] = [
        &[],
        &[
            ("decimal.handling.mode", "string"),
            ("time.precision.mode", "isostring"),
            ("interval.handling.mode", "string"),
            ("binary.handling.mode", "hex"),
        ],
        &[
            ("decimal.handling.mode", "double"),
            ("time.precision.mode", "connect"),
            ("binary.handling.mode", "base64"),
            ("hstore.handling.mode", "map"),
        ],
        &[("time.precision.mode", "nanoseconds"), ("binary.handling.mode", "base64-url-safe")],
        &[
            ("fidelity", "correct"),
            ("unrepresentable.values", "null"),
            ("time.precision.mode", "microseconds"),
        ],
        &[("transforms", "unwrap"), unwrap],
        &[
            ("transforms", "unwrap"),
            unwrap,
            ("transforms.unwrap.delete.tombstone.handling.mode", "rewrite"),
        ],
        &[("fidelity", "correct")],
    ];
    let targets: Vec<_> = mappings.into_iter().filter_map(Target::new).collect();
    assert_eq!(targets.len(), mappings.len(), "a mapping or a schema was refused");
    targets
});

/// The key, and a column of each type.
static COLUMNS: LazyLock<Vec<ColumnDef>> = LazyLock::new(|| {
    let plain = [
        ("int4", 23),
        ("bool", 16),
        ("int2", 21),
        ("int8", 20),
        ("oid", 26),
        ("float4", 700),
        ("float8", 701),
        ("numeric", 1700),
        ("money", 790),
        ("date", 1082),
        ("time", 1083),
        ("timetz", 1266),
        ("timestamp", 1114),
        ("timestamptz", 1184),
        ("interval", 1186),
        ("text", 25),
        ("varchar", 1043),
        ("bpchar", 1042),
        ("name", 19),
        ("char", 18),
        ("json", 114),
        ("jsonb", 3802),
        ("xml", 142),
        ("uuid", 2950),
        ("inet", 869),
        ("cidr", 650),
        ("macaddr", 829),
        ("macaddr8", 774),
        ("tsvector", 3614),
        ("bytea", 17),
        ("bit", 1560),
        ("varbit", 1562),
        ("point", 600),
        ("int4range", 3904),
        ("tstzrange", 3910),
        ("citext", 90_001),
        ("ltree", 90_002),
        ("hstore", 90_003),
        ("isbn", 90_004),
        ("_bool", 1000),
        ("_bytea", 1001),
        ("_int2", 1005),
        ("_int4", 1007),
        ("_int8", 1016),
        ("_text", 1009),
        ("_float8", 1022),
        ("_numeric", 1231),
        ("_date", 1182),
        ("_time", 1183),
        ("_timestamp", 1115),
        ("_timestamptz", 1185),
        ("_timetz", 1270),
        ("_uuid", 2951),
        ("_inet", 1041),
        ("_macaddr", 1040),
        ("_jsonb", 3807),
        ("_bit", 1561),
        ("_tsvector", 3643),
        ("_numrange", 3907),
    ];
    let mut columns: Vec<ColumnDef> =
        plain.iter().map(|(name, oid)| ColumnDef::new(name, *oid, name)).collect();
    if let Some(id) = columns.first_mut() {
        *id = ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1);
    }
    let labels = ["low", "high"];
    let decimal = (10 << 16 | 2) + 4;
    columns.extend([
        ColumnDef::new("numeric_10_2", 1700, "numeric").with_typmod(decimal),
        ColumnDef::new("numeric_not_null", 1700, "numeric").with_not_null(),
        ColumnDef::new("bit_12", 1560, "bit").with_typmod(12),
        ColumnDef::new("varbit_12", 1562, "varbit").with_typmod(12),
        ColumnDef::new("time_3", 1083, "time").with_typmod(3),
        ColumnDef::new("timestamp_3", 1114, "timestamp").with_typmod(3),
        ColumnDef::new("timestamptz_0", 1184, "timestamptz").with_typmod(0),
        ColumnDef::new("level", 90_005, "level").with_enum_labels(labels),
        ColumnDef::new("levels", 90_006, "_level")
            .with_enum_labels(labels)
            .with_element_type(90_005, "level"),
        ColumnDef::new("price", 90_007, "price").with_base_type(1700, "numeric", decimal),
        ColumnDef::new("_hstore", 90_008, "_hstore").with_element_type(90_003, "hstore"),
        ColumnDef::new("_numeric_10_2", 1231, "_numeric").with_typmod(decimal),
        ColumnDef::new("matrix", 1007, "_int4").with_dimensions(2),
    ]);
    columns
});
