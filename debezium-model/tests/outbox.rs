//! The outbox transformation against the record that Debezium itself made.
#![cfg(feature = "avro")]

use debezium_model::{Change, ColumnDef, JsonWriter, Mapping, SourceBlock, Table, TableId};
use pgoutput::Column;

const KEY_AVRO: &str = r#""string""#;
const VALUE_AVRO: &str = r#"{"type":"record","name":"Value","namespace":"dbz.public.outbox.order","fields":[{"name":"payload","type":["null",{"type":"record","name":"payload","namespace":"","fields":[{"name":"id","type":["null","int"],"default":null},{"name":"items","type":["null",{"type":"array","items":["null",{"type":"record","name":"items","namespace":"payload","fields":[{"name":"q","type":["null","int"],"default":null},{"name":"s","type":["null","string"],"default":null}],"connect.name":"payload.items"}]}],"default":null}],"connect.name":"payload"}],"default":null},{"name":"st","type":["null","string"],"default":null}],"connect.name":"dbz.public.outbox.order.Value"}"#;
const VALUE_HEX: &str = "02020e02020202020202780002026e";
const VALUE_JSON: &str = r#"{"payload":{"id":7,"items":[{"q":1,"s":"x"}]},"st":"n"}"#;

#[test]
fn expanded_payload_with_placed_columns() {
    let found = Mapping::from_properties([
        ("transforms", "o"),
        ("transforms.o.type", "io.debezium.transforms.outbox.EventRouter"),
        ("transforms.o.table.expand.json.payload", "true"),
        (
            "transforms.o.table.fields.additional.placement",
            "type:header:eventType,status:envelope:st",
        ),
        ("predicates", "p"),
        ("predicates.p.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.p.pattern", ".*outbox"),
        ("transforms.o.predicate", "p"),
    ])
    .unwrap();
    assert!(found.unknown.is_empty());
    let varchar = |name: &str| ColumnDef::new(name, 1043, "varchar").with_typmod(259);
    let columns = vec![
        ColumnDef::new("id", 2950, "uuid").with_not_null().with_key_position(1),
        varchar("aggregatetype").with_not_null(),
        varchar("aggregateid").with_not_null(),
        varchar("type").with_not_null(),
        ColumnDef::new("payload", 3802, "jsonb"),
        ColumnDef::new("status", 25, "text"),
    ];
    let table =
        Table::new("dbz", TableId::new("public", "outbox"), columns.clone(), &found.mapping)
            .unwrap();
    let row = [
        Column::Text(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        Column::Text(b"order"),
        Column::Text(b"7"),
        Column::Text(b"created"),
        Column::Text(br#"{"id": 7, "items": [{"q": 1, "s": "x"}]}"#),
        Column::Text(b"n"),
    ];
    let source = SourceBlock::new("golden", 1, 1_795_334_974_943_000);
    let event = table.outbox_event(&Change::insert(&row), &source).unwrap().unwrap();
    assert_eq!(event.topic, "outbox.event.order");
    assert_eq!(event.timestamp_ms, 1_795_334_974_943);
    let headers = [
        ("id".to_owned(), Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned())),
        ("eventType".to_owned(), Some("created".to_owned())),
    ];
    assert_eq!(event.headers, headers);
    let (schema, datum) = event.key.unwrap();
    assert_eq!((schema.to_avro().as_str(), datum.as_slice()), (KEY_AVRO, &b"\x027"[..]));
    let (schema, datum) = event.value.unwrap();
    assert_eq!(schema.to_avro(), VALUE_AVRO);
    let hex: String = datum.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, VALUE_HEX);
    let mut text = Vec::new();
    JsonWriter::new(&schema, false).write(&datum, &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), VALUE_JSON);

    // What holds no event: other changes, and tables that the predicate leaves alone.
    let deleted = Change::delete(debezium_model::Before::Key(&row));
    assert_eq!(table.outbox_event(&deleted, &source).unwrap(), None);
    let other =
        Table::new("dbz", TableId::new("public", "orders"), columns, &found.mapping).unwrap();
    assert_eq!(other.outbox_event(&Change::insert(&row), &source).unwrap(), None);
}
