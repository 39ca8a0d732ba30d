//! Bad bytes and bad schemas, one test for each way in which they are bad: the kind of the error,
//! where it is, and that nothing else suffers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use avro_wire::{ErrorKind, Resolution, RowCodec, Schema};
use support::Tree;

fn schema(json: &str) -> Schema {
    Schema::parse(json).unwrap()
}

/// The kind, the byte and the field of the error that `datum` gives, by every way to read it.
#[track_caller]
fn bad(schema: &Schema, datum: &[u8], kind: ErrorKind, offset: usize, field: Option<&str>) {
    let check = |error: avro_wire::Error| {
        assert_eq!((error.kind(), error.offset()), (kind, Some(offset)), "{error}");
        assert_eq!(error.field(), field, "{error}");
    };
    check(avro_wire::decode::<Tree>(datum, schema).unwrap_err());
    let same = Resolution::new(schema, schema).unwrap();
    check(same.decode::<Tree>(datum).unwrap_err());
    if let Ok(rows) = RowCodec::new(schema) {
        check(rows.read(datum, &mut Vec::new()).unwrap_err());
    }
}

/// A record of a long and a field `f` of the type given.
fn behind_a_long(json: &str) -> Schema {
    schema(&format!(
        r#"{{"type":"record","name":"R","fields":[
            {{"name":"n","type":"long"}},{{"name":"f","type":{json}}}]}}"#
    ))
}

#[test]
fn an_end_inside_a_value_is_an_error_also_in_a_union() {
    let missing = |missing| ErrorKind::UnexpectedEnd { missing };
    for union in [r#"["null","string"]"#, r#"["string","null"]"#, r#"["null","string","int"]"#] {
        bad(&schema(union), &[], missing(1), 0, None);
        bad(&behind_a_long(union), &[0x80, 0x01], missing(1), 2, Some("f"));
    }
    let option = behind_a_long(r#"["null","string"]"#);
    bad(&option, &[0, 2], missing(1), 2, Some("f"));
    bad(&option, &[0, 2, 8, b'a'], missing(3), 2, Some("f"));
    bad(&behind_a_long(r#""double""#), &[0, 1, 2, 3], missing(5), 1, Some("f"));
    bad(
        &behind_a_long(r#"{"type":"fixed","name":"F","size":4}"#),
        &[0, 1],
        missing(3),
        1,
        Some("f"),
    );
    bad(&behind_a_long(r#""boolean""#), &[0], missing(1), 1, Some("f"));
}

#[test]
fn trailing_bytes_are_an_error() {
    let kind = ErrorKind::TrailingBytes { count: 2 };
    bad(&behind_a_long(r#""int""#), &[0, 0, 0, 0], kind, 2, None);
    bad(&schema(r#"["null","int"]"#), &[0, 0, 0], kind, 1, None);
}

#[test]
fn numbers_too_long_or_too_large_are_errors() {
    let long = [&[0][..], &[0x80; 10], &[0]].concat();
    bad(&behind_a_long(r#""long""#), &long, ErrorKind::VarintOverflow, 1, Some("f"));
    // Also as a length, as the index of a branch, and as a count.
    for json in [r#""bytes""#, r#""string""#, r#"["null","int"]"#, r#"["null","int","long"]"#] {
        bad(&behind_a_long(json), &long, ErrorKind::VarintOverflow, 1, Some("f"));
    }
    let error = ErrorKind::IntRange { value: 1 << 31 };
    bad(&behind_a_long(r#""int""#), &[0, 0x80, 0x80, 0x80, 0x80, 0x10], error, 1, Some("f"));
}

#[test]
fn lengths_below_zero_or_beyond_the_input_are_errors() {
    let negative = ErrorKind::NegativeLength { length: -1 };
    let missing = ErrorKind::UnexpectedEnd { missing: i64::MAX.unsigned_abs() };
    let largest = [&[0, 0xfe][..], &[0xff; 8], &[1]].concat();
    for json in [r#""bytes""#, r#""string""#] {
        bad(&behind_a_long(json), &[0, 1], negative, 1, Some("f"));
        bad(&behind_a_long(json), &largest, missing, 1, Some("f"));
    }
}

#[test]
fn branches_symbols_booleans_and_texts_that_are_none_are_errors() {
    let branch = |index| ErrorKind::BranchOutOfRange { index };
    for (union, index) in [(r#"["null","int"]"#, 2), (r#"["null","int","string"]"#, 3)] {
        let first = u8::try_from(2 * index).unwrap();
        bad(&behind_a_long(union), &[0, first, 0], branch(index), 1, Some("f"));
        bad(&behind_a_long(union), &[0, 1, 0], branch(-1), 1, Some("f"));
    }
    let symbols = behind_a_long(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#);
    let symbol = |index| ErrorKind::SymbolOutOfRange { index };
    bad(&symbols, &[0, 4], symbol(2), 1, Some("f"));
    bad(&symbols, &[0, 1], symbol(-1), 1, Some("f"));
    let boolean = ErrorKind::InvalidBoolean { byte: 2 };
    bad(&behind_a_long(r#""boolean""#), &[0, 2], boolean, 1, Some("f"));
    let text = [0, 4, 0xc3, 0x28];
    bad(&behind_a_long(r#""string""#), &text, ErrorKind::InvalidUtf8, 1, Some("f"));
    // A length of two bytes takes another way.
    let text = [&[0, 0x80, 0x02][..], &[b'a'; 127], &[0xff]].concat();
    bad(&behind_a_long(r#""string""#), &text, ErrorKind::InvalidUtf8, 1, Some("f"));
}

#[test]
fn counts_beyond_the_input_are_errors() {
    let array = schema(r#"{"type":"array","items":["null","long"]}"#);
    bad(&array, &[0xc8, 0x01, 0, 0], ErrorKind::ItemCount { count: 100 }, 0, None);
    let map = schema(r#"{"type":"map","values":"null"}"#);
    bad(&map, &[6, 0, 0], ErrorKind::ItemCount { count: 3 }, 0, None);
    let nothing = schema(r#"{"type":"array","items":"null"}"#);
    bad(&nothing, &[0x82, 0x40, 0], ErrorKind::ItemCount { count: 4097 }, 0, None);
    let records = r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#;
    bad(&schema(records), &[0x82, 0x40, 0], ErrorKind::ItemCount { count: 4097 }, 0, None);
    let fixed = r#"{"type":"array","items":{"type":"fixed","name":"F","size":0}}"#;
    bad(&schema(fixed), &[0x82, 0x40, 0], ErrorKind::ItemCount { count: 4097 }, 0, None);
}

#[test]
fn nesting_beyond_64_levels_is_an_error() {
    let list =
        schema(r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#);
    let datum = |levels: usize| [&vec![2; levels - 1][..], &[0]].concat();
    avro_wire::decode::<Tree>(&datum(64), &list).unwrap();
    let same = Resolution::new(&list, &list).unwrap();
    same.decode::<Tree>(&datum(64)).unwrap();
    for levels in [65, 66, 1_000_000] {
        let error = avro_wire::decode::<Tree>(&datum(levels), &list).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::DepthLimit, Some(64)));
        let error = same.decode::<Tree>(&datum(levels)).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::DepthLimit, Some(64)));
        assert_eq!(list.skip(&datum(levels)).unwrap_err().kind(), ErrorKind::DepthLimit);
    }
}

#[test]
fn a_bad_record_never_affects_the_next() {
    let writer = behind_a_long(r#"{"type":"array","items":["null","string"]}"#);
    let reader = schema(
        r#"{"type":"record","name":"R","fields":[{"name":"new","type":"int","default":7},
            {"name":"n","type":"double"},
            {"name":"f","type":{"type":"array","items":["null","string"]}}]}"#,
    );
    let resolution = Resolution::new(&writer, &reader).unwrap();
    let rows = RowCodec::new(&writer).unwrap();
    let good = [&[2, 4, 2, 2, b'a', 0, 0][..]].concat();
    type Plain<'a> = (i64, Vec<Option<&'a str>>);
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Resolved<'a> {
        new: i32,
        n: f64,
        #[serde(borrow)]
        f: Vec<Option<&'a str>>,
    }
    let mut row = Vec::new();
    let mut failed = 0;
    for position in 0..good.len() {
        for byte in 0..=255 {
            let mut damaged = good.clone();
            damaged[position] = byte;
            failed += usize::from(avro_wire::decode::<Plain<'_>>(&damaged, &writer).is_err());
            failed += usize::from(resolution.decode::<Resolved<'_>>(&damaged).is_err());
            let mut spoilt = avro_wire::recycle(row);
            failed += usize::from(rows.read(&damaged, &mut spoilt).is_err());
            row = avro_wire::recycle(spoilt);

            let plain: Plain<'_> = avro_wire::decode(&good, &writer).unwrap();
            assert_eq!(plain, (1, vec![Some("a"), None]));
            let resolved: Resolved<'_> = resolution.decode(&good).unwrap();
            assert_eq!(resolved, Resolved { new: 7, n: 1.0, f: plain.1 });
            let mut kept = avro_wire::recycle(row);
            rows.read(&good, &mut kept).unwrap();
            assert_eq!(kept[0], avro_wire::Scalar::Long(1));
            row = avro_wire::recycle(kept);
        }
    }
    assert!(failed > 1000, "{failed}");
}

#[test]
fn bad_schemas_say_where_and_why() {
    let nested = |json: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"good","type":"int"}},
                {{"name":"bad","type":{json}}}]}}"#
        )
    };
    for (json, kind, detail) in [
        (r#""strnig""#, ErrorKind::UnknownType, "strnig"),
        (r#"{"type":"array"}"#, ErrorKind::InvalidAttribute, "items"),
        (r#"{"type":"fixed","name":"F"}"#, ErrorKind::InvalidAttribute, "size"),
        (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, ErrorKind::Duplicate, "A"),
        (r#"["null","null"]"#, ErrorKind::InvalidUnion, "null"),
        (r#"{"type":"record","name":"a b","fields":[]}"#, ErrorKind::InvalidName, "a b"),
    ] {
        let error = Schema::parse(&nested(json)).unwrap_err();
        assert_eq!((error.kind(), error.field()), (kind, Some("bad")), "{error}");
        assert_eq!(error.detail(), Some(detail), "{error}");
    }
    let error = Schema::parse("{\"type\":\"array\",\n \"items\" \"int\"}").unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Json, Some(26)));
}
