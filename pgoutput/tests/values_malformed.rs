//! Bytes that are no value of their type: an error or a value, never a panic.
#![cfg(feature = "postgres-types")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use pgoutput::{
    Column, ErrorKind, Oid,
    value::{Definition, Types, Value},
};

const SEEDS: &[&[u8]] = &[
    b"{1,2,NULL}",
    b"[0:1]={1,2}",
    b"{{\"a\",b},{c,\"d\\\"\"}}",
    b"[1,5)",
    b"empty",
    b"(,\"a b\"]",
    b"{[1,2),[3,4)}",
    b"(1,\"a\"\"b\",)",
    b"\"a\"=>\"1\", \"b\"=>NULL",
    b"-12.3400",
    b"NaN",
    b"2026-11-22 08:01:23.525421+01:30 BC",
    b"1 year -2 mons 3 days -04:05:06.7",
    b"infinity",
    b"24:00:00",
    b"\\x00ff",
    b"a\\134\\\\",
    b"0101",
    b"192.168.0.1/24",
    b"::1",
    b"08:00:2b:01:02:03",
    b"((1,2),(3,4))",
    b"[(1,2),(3,4)]",
    b"<(1,2),3>",
    b"{1,-2,3e5}",
    b"-$1,234.56",
    b"1 2 3",
    b"550e8400-e29b-41d4-a716-446655440000",
    b"'a' & ( 'b' | !'c' )",
    b"16/B374D848",
    b"\\303",
    b"\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x07\xFF\xFF\xFF\xFF",
    b"\0\0\0\x01\0\0\0\x17\0\0\0\x04\0\0\0\x07",
    b"\x02\0\0\0\x04\0\0\0\x01\0\0\0\x04\0\0\0\x05",
    b"\0\x02\0\0\x40\0\0\x02\0\x0C\x0D\x48",
    b"\x03\x80\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
    b"\0\0\0\x03\x02\x02\x01\0\0b\0\x01\0\0a\0",
    b"\0\0\0\x01lexeme\0\0\x02\xC0\x01\0\x05",
    b"\x01{\"a\": 1}",
    b"\0\0\0\x05\xA8",
    b"\0\0\0\x01\0\0\0\x01k\0\0\0\x01v",
];

fn types() -> Types {
    Types::new()
        .with(Oid::new(20_000), Definition::Composite(vec![Oid::new(23), Oid::new(25)]))
        .with(Oid::new(20_001), Definition::Hstore)
        .with(Oid::new(20_002), Definition::Array(Oid::new(20_000)))
        .with(Oid::new(20_003), Definition::Domain(Oid::new(20_003)))
        .with(Oid::new(20_004), Definition::Composite(vec![Oid::new(20_004)]))
        .with(Oid::new(20_005), Definition::Range(Oid::new(20_005)))
}

/// Every type there is, and some that are not.
fn ids() -> impl Iterator<Item = Oid> {
    (1..6200).chain(20_000..20_007).map(Oid::new)
}

#[test]
fn damaged_values() {
    let types = types();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 40).unwrap()
    };
    let (mut values, mut errors) = (0, 0);
    let mut decode = |id, bytes: &[u8]| {
        for column in [Column::Text(bytes), Column::Binary(bytes)] {
            match types.decode(id, column) {
                Ok(value) => {
                    values += 1;
                    if let Value::Numeric(number) = &value {
                        let _ = number.unscaled();
                        number.to_string();
                    }
                    assert_eq!(format!("{value:?}"), format!("{:?}", value.clone().into_owned()));
                }
                Err(error) => {
                    errors += 1;
                    assert!(error.offset() <= bytes.len(), "{id} {column:?} {error}");
                }
            }
        }
    };
    // Types without a reader of their own are all the same.
    let known: Vec<Oid> = ids()
        .filter(|id| {
            let opaque =
                types.decode(*id, Column::Binary(b"")).is_ok_and(|v| matches!(v, Value::Opaque(_)));
            !opaque
        })
        .collect();
    assert!(known.len() > 150, "{}", known.len());
    for id in known {
        for seed in SEEDS {
            decode(id, seed);
            for length in 0..seed.len() {
                decode(id, &seed[..length]);
            }
            for _ in 0..8 {
                let mut damaged = seed.to_vec();
                let at = noise() % damaged.len();
                damaged[at] = u8::try_from(noise() % 256).unwrap();
                decode(id, &damaged);
            }
        }
    }
    assert!(values > 10_000 && errors > 10_000, "{values} {errors}");
}

#[test]
fn types_without_an_end() {
    let types = types();
    let kind = |id, column| types.decode(Oid::new(id), column).unwrap_err().kind();
    assert_eq!(kind(20_003, Column::Text(b"1")), ErrorKind::TooDeep);
    // A quote and its escapes double with each level, so text this deep is built from the inside.
    let mut nested = Vec::new();
    for _ in 0..40 {
        let inner = nested.clone();
        nested = [0, 0, 0, 1, 0, 0, 0x4E, 0x24].to_vec();
        nested.extend(u32::try_from(inner.len()).unwrap().to_be_bytes());
        nested.extend(inner);
    }
    assert_eq!(kind(20_004, Column::Binary(&nested)), ErrorKind::TooDeep);
}

#[test]
fn what_is_wrong_is_told() {
    let types = types();
    let error = |id, column| types.decode(Oid::new(id), column).unwrap_err();
    let text = |id, text: &'static [u8]| error(id, Column::Text(text));
    assert_eq!(text(23, b"+1").kind(), ErrorKind::InvalidValue(Oid::new(23)));
    assert_eq!(text(23, b"2147483648").kind(), ErrorKind::InvalidValue(Oid::new(23)));
    // The element, where it stands.
    let inner = text(1007, b"{1,2,x}");
    assert_eq!((inner.kind(), inner.offset()), (ErrorKind::InvalidValue(Oid::new(23)), 5));
    for bad in [
        &b"{1,2"[..],
        b"{1,2}}",
        b"{1,,2}",
        b"{{1},{2,3}}",
        b"{{1},2}",
        b"{1,{2}}",
        b"[1:3]={1,2}",
        b"[1:2={1,2}",
        b"{{{{{{{1}}}}}}}",
        b"1,2",
        b"{1,2} ",
        b"",
        b"{,}",
    ] {
        assert_eq!(text(1007, bad).kind(), ErrorKind::InvalidValue(Oid::new(1007)), "{bad:?}");
    }
    let utf8 = text(25, b"ab\xFF");
    assert_eq!((utf8.kind(), utf8.offset()), (ErrorKind::InvalidUtf8, 2));
    let binary = |id, bytes: &'static [u8]| error(id, Column::Binary(bytes)).kind();
    assert_eq!(binary(23, b"\0\0\0"), ErrorKind::UnexpectedEnd { missing: 1 });
    assert_eq!(binary(23, b"\0\0\0\0\0"), ErrorKind::TrailingBytes);
    assert_eq!(binary(1007, b"\xFF\xFF\xFF\xFF"), ErrorKind::NegativeLength(-1));
    // More elements than bytes.
    let many = b"\0\0\0\x01\0\0\0\0\0\0\0\x17\x7F\xFF\xFF\xFF\0\0\0\x01";
    assert_eq!(binary(1007, many), ErrorKind::UnexpectedEnd { missing: 4 });
}
