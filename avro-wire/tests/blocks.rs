//! Blocks of arrays and maps that give their size in bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

mod support;

use avro_wire::{ErrorKind, Resolution, Schema, primitive};
use support::Tree;

/// One array or map of `blocks`: count, announced size, items.
fn datum(blocks: &[(i64, Option<i64>, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for &(count, size, items) in blocks {
        primitive::write_long(if size.is_some() { -count } else { count }, &mut out);
        if let Some(size) = size {
            primitive::write_long(size, &mut out);
        }
        out.extend_from_slice(items);
    }
    out.push(0);
    out
}

fn decode(schema: &str, datum: &[u8]) -> Result<Tree, avro_wire::Error> {
    let schema = Schema::parse(schema).unwrap();
    let decoded = avro_wire::decode(datum, &schema);
    assert_eq!(Resolution::new(&schema, &schema).unwrap().decode(datum), decoded);
    match &decoded {
        Ok(_) => assert_eq!(schema.skip(datum).unwrap(), datum.len()),
        // Bounds hold without a look at the items.
        Err(_) => assert!(schema.skip(datum).map_or(true, |length| length <= datum.len())),
    }
    decoded
}

const LONGS: &str = r#"{"type":"array","items":"long"}"#;
const MAP: &str = r#"{"type":"map","values":"string"}"#;

#[test]
fn the_right_size_is_taken() {
    let mixed = datum(&[(2, Some(3), b"\x02\x80\x01"), (1, None, b"\x04"), (1, Some(1), b"\x06")]);
    let longs = [1, 64, 2, 3].map(Tree::Long).to_vec();
    assert_eq!(decode(LONGS, &mixed).unwrap(), Tree::List(longs));
    let map = datum(&[(1, Some(5), b"\x02k\x04vw")]);
    let entry = ("k".to_owned(), Tree::String("vw".to_owned()));
    assert_eq!(decode(MAP, &map).unwrap(), Tree::Map(vec![entry]));
    let nulls = datum(&[(3, Some(0), b"")]);
    let nulls = decode(r#"{"type":"array","items":"null"}"#, &nulls).unwrap();
    assert_eq!(nulls, Tree::List(vec![Tree::Null; 3]));
}

#[test]
fn a_wrong_size_is_an_error_where_the_items_end() {
    // One byte less than the items take, and one more, which is there.
    for (size, off) in [(2, 1), (4, -1)] {
        let bytes = datum(&[(2, Some(size), b"\x02\x80\x01")]);
        let error = decode(LONGS, &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BlockSize { off });
        assert_eq!(error.offset(), Some(5));
        assert!(error.kind().is_data());
    }
    for (size, off) in [(4, 1), (6, -1)] {
        let error = decode(MAP, &datum(&[(1, Some(size), b"\x02k\x04vw")])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BlockSize { off });
    }
    let nulls = decode(r#"{"type":"array","items":"null"}"#, &datum(&[(3, Some(1), b"")]));
    assert_eq!(nulls.unwrap_err().kind(), ErrorKind::BlockSize { off: -1 });
}

#[test]
fn a_size_beyond_the_input_or_too_small_for_its_items_is_refused_by_all() {
    let skip = |bytes: &[u8]| Schema::parse(LONGS).unwrap().skip(bytes).unwrap_err().kind();
    let cases = [
        (datum(&[(2, Some(9), b"\x02\x04")]), ErrorKind::UnexpectedEnd { missing: 6 }),
        (
            datum(&[(2, Some(i64::MAX), b"\x02\x04")]),
            ErrorKind::UnexpectedEnd { missing: i64::MAX.unsigned_abs() - 3 },
        ),
        (datum(&[(2, Some(1), b"\x02\x04")]), ErrorKind::ItemCount { count: -2 }),
        (datum(&[(2, Some(-2), b"\x02\x04")]), ErrorKind::NegativeLength { length: -2 }),
    ];
    for (bytes, kind) in cases {
        assert_eq!(decode(LONGS, &bytes).unwrap_err().kind(), kind);
        assert_eq!(skip(&bytes), kind);
    }
}

/// The writer's field is not in the reader's schema, so a compiled skip steps over it.
#[test]
fn skipped_fields_stay_within_the_datum() {
    let record = |fields: &str| {
        Schema::parse(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).unwrap()
    };
    let id = r#"{"name":"id","type":"long"}"#;
    let writer = record(&format!(r#"{{"name":"gone","type":{LONGS}}},{id}"#));
    let resolution = Resolution::new(&writer, &record(id)).unwrap();
    let mut bytes = datum(&[(1, Some(1), b"\x02")]);
    bytes.push(10);
    assert_eq!(
        resolution.decode::<Tree>(&bytes).unwrap(),
        Tree::Map(vec![("id".into(), Tree::Long(5))])
    );
    let mut bytes = datum(&[(1, Some(9), b"\x02")]);
    bytes.push(10);
    let error = resolution.decode::<Tree>(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEnd { missing: 6 });
}
