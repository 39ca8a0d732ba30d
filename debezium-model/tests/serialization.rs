//! Consumer types: an event that the plan wrote is read back by other means.
#![cfg(feature = "avro")]
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::ops::ControlFlow;

use debezium_model::{
    Before, Change, ColumnDef, Envelope, ErrorKind, Fidelity, Mapping, Op, SchemaIds, Scratch,
    Snapshot, SourceBlock, Table, TableId, TransactionBlock,
};
use pgoutput::Column;
use serde::Deserialize;

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    id: i32,
    note: Option<String>,
    state: Option<String>,
}

fn table(mapping: &Mapping) -> Table {
    let columns = vec![
        ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1),
        ColumnDef::new("note", 25, "text"),
        ColumnDef::new("state", 25, "text").with_default_expression("'new'::text"),
    ];
    Table::new("cdc", TableId::new("public", "memo"), columns, mapping).unwrap()
}

fn source() -> SourceBlock<'static> {
    let mut source = SourceBlock::new("shop", 4711, 1_700_000_000_123_456);
    source.tx_id = Some(7);
    source.last_commit_lsn = Some(4000);
    source.processed_ns = 1_700_000_001_000_000_001;
    source.transaction = Some(TransactionBlock::new("7:4711", 3, 2));
    source
}

type Records = Vec<(Option<Vec<u8>>, Option<Vec<u8>>, usize)>;

fn records(table: &Table, change: &Change<'_>) -> Records {
    let mut records = Vec::new();
    let ids = SchemaIds::new(Some(1), 2);
    table
        .plan()
        .encode(change, &source(), ids, &mut Scratch::new(), &mut |record| {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            records.push((owned(record.key), owned(record.value), record.unavailable));
            ControlFlow::Continue(())
        })
        .unwrap();
    records
}

const AFTER: [Column<'static>; 3] = [Column::Text(b"5"), Column::Unchanged, Column::Null];

#[test]
fn own_decoder_reads_the_envelope() {
    let table = table(&Mapping::default());
    let old = [Column::Text(b"5"), Column::Text(b"old"), Column::Text(b"open")];
    let update = Change::update(Some(Before::Full(&old)), &AFTER);
    let schema = avro_wire::Schema::parse(&table.value_schema().to_avro()).unwrap();
    let records = records(&table, &update);
    let [(_, Some(value), 0)] = records.as_slice() else { panic!("{records:?}") };
    let event: Envelope<Row> = avro_wire::decode(&value[5..], &schema).unwrap();
    assert_eq!(event.op, Op::Update);
    let row =
        |note: &str, state: &str| Row { id: 5, note: Some(note.into()), state: Some(state.into()) };
    assert_eq!(event.before, Some(row("old", "open")));
    // The value that was not sent is in the old row; null becomes the default, as in Debezium.
    assert_eq!(event.after, Some(row("old", "new")));
    assert_eq!(event.source.snapshot, Some(Snapshot::False));
    assert_eq!(event.source.sequence.as_deref(), Some(r#"["4000","4711"]"#));
    assert_eq!(event.source.ts_ms, 1_700_000_000_123);
    assert_eq!((event.source.tx_id, event.source.lsn), (Some(7), Some(4711)));
    assert_eq!(event.transaction.unwrap().total_order, 3);
    assert_eq!(event.ts_ms, Some(1_700_000_001_000));
    assert_eq!(event.ts_ns, Some(1_700_000_001_000_000_001));
}

#[test]
fn the_reference_library_reads_the_envelope() {
    use apache_avro::types::Value;
    let corrected = Mapping::default().with_fidelity(Fidelity::Corrected);
    for (mapping, expected) in [(Mapping::default(), Some("new")), (corrected, None)] {
        let table = table(&mapping);
        let schema = apache_avro::Schema::parse_str(&table.value_schema().to_avro()).unwrap();
        let records = records(&table, &Change::insert(&AFTER));
        let [(_, Some(value), 1)] = records.as_slice() else { panic!("{records:?}") };
        let mut datum = &value[5..];
        let reader =
            apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
        let decoded = reader.read_value(&mut datum).unwrap();
        assert!(datum.is_empty());
        let Value::Record(fields) = decoded else { panic!("{decoded:?}") };
        let Value::Union(1, after) = &fields[1].1 else { panic!("{:?}", fields[1]) };
        let Value::Record(row) = &**after else { panic!("{after:?}") };
        let text = |text: &str| Box::new(Value::String(text.to_owned()));
        assert_eq!(row[1].1, Value::Union(1, text("__debezium_unavailable_value")));
        let state = expected.map_or_else(
            || Value::Union(1, Box::new(Value::Null)),
            |state| Value::Union(0, text(state)),
        );
        assert_eq!(row[2].1, state);
    }
}

#[test]
fn key_change_stops_where_the_consumer_stops() {
    let table = table(&Mapping::default());
    let old = [Column::Text(b"4"), Column::Null, Column::Null];
    let change = Change::update(Some(Before::Key(&old)), &AFTER);
    let all = records(&table, &change);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].0.as_deref(), Some([0, 0, 0, 0, 1, 8].as_slice()));
    assert_eq!((&all[1].0, &all[1].1), (&all[0].0, &None));
    assert_eq!(all[2].0.as_deref(), Some([0, 0, 0, 0, 1, 10].as_slice()));
    // Two events of the transaction.
    let schema = avro_wire::Schema::parse(&table.value_schema().to_avro()).unwrap();
    let places = [&all[0], &all[2]].map(|(_, value, _)| {
        let value = value.as_deref().unwrap();
        let event: Envelope<Row> = avro_wire::decode(&value[5..], &schema).unwrap();
        let place = event.transaction.unwrap();
        (place.total_order, place.data_collection_order)
    });
    assert_eq!(places, [(3, 2), (4, 3)]);
    let mut seen = 0;
    let ids = SchemaIds::new(Some(1), 2);
    table
        .plan()
        .encode(&change, &source(), ids, &mut Scratch::new(), &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn tables_without_key_have_null_keys_and_tombstones() {
    let columns = vec![ColumnDef::new("id", 23, "int4")];
    let table =
        Table::new("cdc", TableId::new("public", "log"), columns, &Mapping::default()).unwrap();
    assert!(table.key_schema().is_none());
    let (old, new) = ([Column::Text(b"1")], [Column::Text(b"2")]);
    let update = records(&table, &Change::update(Some(Before::Full(&old)), &new));
    assert_eq!(update.len(), 1);
    let delete = records(&table, &Change::delete(Before::Full(&old)));
    assert_eq!(delete.len(), 2);
    assert!(update.iter().chain(&delete).all(|(key, ..)| key.is_none()));
    assert!(delete[1].1.is_none());
}

#[test]
fn changes_that_do_not_fit_are_refused() {
    let table = table(&Mapping::default());
    let kind = |change: &Change<'_>, ids| {
        let result = table.plan().encode(change, &source(), ids, &mut Scratch::new(), &mut |_| {
            panic!("nothing may come out")
        });
        result.unwrap_err().kind()
    };
    let ids = SchemaIds::new(Some(1), 2);
    let short = ErrorKind::ColumnCount { expected: 3, found: 1 };
    assert_eq!(kind(&Change::insert(&AFTER[..1]), ids), short);
    assert_eq!(kind(&Change::insert(&AFTER), SchemaIds::new(None, 2)), ErrorKind::MissingKeyId);
    let mut change = Change::insert(&AFTER);
    change.after = None;
    assert_eq!(kind(&change, ids), ErrorKind::MissingRow);
    change.op = Op::Delete;
    assert_eq!(kind(&change, ids), ErrorKind::MissingRow);
}

#[test]
fn json_with_and_without_its_schema() {
    let payload = concat!(
        r#"{"before":null,"after":{"id":1,"note":"a","state":null},"source":{"version":"3.6.3.Final","#,
        r#""connector":"postgresql","name":"cdc","ts_ms":5,"snapshot":"last","db":"shop","#,
        r#""schema":"public","table":"memo","txId":9,"lsn":10,"xmin":null},"#,
        r#""transaction":null,"op":"r","ts_ms":6}"#
    );
    let plain = Envelope::<Row>::from_json(payload.as_bytes()).unwrap();
    let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{payload}}}"#);
    assert_eq!(Envelope::<Row>::from_json(wrapped.as_bytes()).unwrap(), plain);
    assert_eq!((plain.op, plain.source.snapshot), (Op::Read, Some(Snapshot::Last)));
    assert_eq!(plain.ts_us, None);
    let error = Envelope::<Row>::from_json(b"{\"op\":\"x\"}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedJson);
    assert!(error.json_error().is_some());
}
