//! Debezium's own records in types of a consumer's own, with every logical type, read and written
//! back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]
#![cfg(feature = "avro")]

use std::time::{Duration, UNIX_EPOCH};

use debezium_model::{
    Binary, Bits, Date, Decimal, Envelope, Geometry, Interval, IsoDate, IsoTime, IsoTimestamp,
    Json, MicroDuration, MicroTime, MicroTimestamp, NanoTime, NanoTimestamp, Op, Point, Snapshot,
    Time, Timestamp, VariableScaleDecimal, ZonedTime, ZonedTimestamp, from_json,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

macro_rules! row {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct $name {
            id: i32,
            $($field: Option<$type>,)*
        }
    };
}

row!(Times {
    c_date: Date,
    c_time: MicroTime,
    c_time0: Time,
    c_time3: Time,
    c_time6: MicroTime,
    c_timetz: ZonedTime,
    c_ts: MicroTimestamp,
    c_ts0: Timestamp,
    c_ts3: Timestamp,
    c_ts6: MicroTimestamp,
    c_tstz: ZonedTimestamp,
    c_tstz0: ZonedTimestamp,
    c_tstz3: ZonedTimestamp,
    c_interval: MicroDuration,
});
row!(IsoTimes {
    c_date: IsoDate,
    c_time: IsoTime,
    c_time0: IsoTime,
    c_time3: IsoTime,
    c_time6: IsoTime,
    c_timetz: ZonedTime,
    c_ts: IsoTimestamp,
    c_ts0: IsoTimestamp,
    c_ts3: IsoTimestamp,
    c_ts6: IsoTimestamp,
    c_tstz: ZonedTimestamp,
    c_tstz0: ZonedTimestamp,
    c_tstz3: ZonedTimestamp,
    c_interval: MicroDuration,
});
row!(NanoTimes {
    c_date: Date,
    c_time: NanoTime,
    c_time0: NanoTime,
    c_time3: NanoTime,
    c_time6: NanoTime,
    c_timetz: ZonedTime,
    c_ts: NanoTimestamp,
    c_ts0: NanoTimestamp,
    c_ts3: NanoTimestamp,
    c_ts6: NanoTimestamp,
    c_tstz: ZonedTimestamp,
    c_tstz0: ZonedTimestamp,
    c_tstz3: ZonedTimestamp,
    c_interval: MicroDuration,
});
row!(Spans { c_date: Date, c_interval: Interval });
row!(Numbers {
    c_smallint: i16, c_int: i32, c_bigint: i64, c_real: f32, c_double: f64, c_bool: bool,
    c_num_5_2: Decimal<2>, c_num_18_6: Decimal<6>, c_num_38_0: Decimal<0>,
    c_num_38_18: Decimal<18>, c_num_10: Decimal<0>, c_num: VariableScaleDecimal,
    c_num_neg: Decimal<2046>, c_num_small: Decimal<5>, c_money: Decimal<2>, c_oid: u32,
});
row!(Bytes {
    c_bytea: Binary,
    c_bit1: bool,
    c_bit: bool,
    c_bit8: Bits,
    c_bit12: Bits,
    c_bit64: Bits,
    c_varbit: Bits,
    c_varbit5: Bits,
});
row!(Others {
    c_hstore: Json<serde_json::Value>, c_point: Point, c_i4range: String, c_i8range: String,
    c_numrange: String, c_tsrange: String, c_tstzrange: String, c_daterange: String,
});

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The new rows of a scenario's records, each read from Avro and written there again, and through
/// JSON and back.
fn rows<R>(scenario: &str) -> Vec<R>
where
    R: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/scenarios");
    let text = std::fs::read_to_string(format!("{folder}/{scenario}.json")).unwrap();
    let scenario: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut rows = Vec::new();
    for record in scenario["records"].as_array().unwrap() {
        let Some(hex) = record["value"].as_str() else { continue };
        let mut schemas = scenario["schemas"].as_array().unwrap().iter();
        let schema = schemas.find(|schema| schema["id"] == record["value_schema"]).unwrap();
        let schema = avro_wire::Schema::parse(schema["avro"].as_str().unwrap()).unwrap();
        let datum = unhex(&hex[10..]);
        let event: Envelope<R> = avro_wire::decode(&datum, &schema).unwrap();
        let mut written = Vec::new();
        avro_wire::encode(&event, &schema, &mut written).unwrap();
        assert_eq!(written, datum);
        let json = serde_json::to_vec(&event).unwrap();
        assert_eq!(Envelope::<R>::from_json(&json).unwrap(), event);
        rows.extend(event.after);
    }
    assert!(rows.len() >= 5);
    rows
}

#[test]
fn times() {
    let row = &rows::<Times>("types_time_default")[1];
    assert_eq!(row.c_date.unwrap().year_month_day(), (2024, 2, 29));
    assert_eq!(row.c_time0.unwrap().magnitude(), Duration::from_secs(86_399));
    assert_eq!(row.c_time.unwrap().magnitude(), Duration::from_micros(86_399_999_999));
    let at = row.c_ts3.unwrap().system_time().unwrap();
    assert_eq!(at.duration_since(UNIX_EPOCH).unwrap(), Duration::from_millis(1_709_251_199_999));
    let zoned = row.c_tstz.as_ref().unwrap();
    assert_eq!(zoned.as_str(), "2024-03-01T07:59:59.999999Z");
    let since = zoned.system_time().unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(since, Duration::from_micros(1_709_279_999_999_999));
    assert_eq!(row.c_interval, Some(MicroDuration(37_091_106_789_012)));

    let iso = &rows::<IsoTimes>("time_isostring")[1];
    assert_eq!(iso.c_date.as_ref().unwrap().days(), row.c_date.map(|date| date.0.into()));
    assert_eq!(iso.c_ts3.as_ref().unwrap().system_time(), Some(at));
    let nanos = &rows::<NanoTimes>("time_nanoseconds")[1];
    assert_eq!(nanos.c_time.unwrap().magnitude(), row.c_time.unwrap().magnitude());
    let span = rows::<Spans>("time_interval_string")[1].c_interval.clone().unwrap();
    assert_eq!((span.months(), span.days(), span.micros()), (14, 3, 14_706_789_012));
}

#[test]
fn numbers_bytes_and_shapes() {
    let row = &rows::<Numbers>("types_num_default")[1];
    let text = |value: &dyn ToString| value.to_string();
    assert_eq!(text(row.c_num_5_2.as_ref().unwrap()), "999.99");
    assert_eq!(row.c_num_38_0.as_ref().unwrap().unscaled(), Some(10_i128.pow(38) - 1));
    assert_eq!(text(row.c_num.as_ref().unwrap()), "1");
    assert_eq!((row.c_bigint, row.c_oid), (Some(i64::MIN), Some(u32::MAX)));
    let row = &rows::<Bytes>("types_bin_default")[1];
    assert_eq!(row.c_bytea.as_ref().unwrap().as_slice(), [0, 0xff, 0x10]);
    let set = |bits: &Bits| bits.iter().enumerate().filter(|bit| bit.1).map(|bit| bit.0).collect();
    let set: Vec<usize> = set(row.c_bit12.as_ref().unwrap());
    assert_eq!(set, [0, 11]);
    let row = &rows::<Others>("types_misc_default")[1];
    let point = row.c_point.as_ref().unwrap();
    assert_eq!((point.x, point.y, point.srid), (1.5, -2.25, None));
    assert_eq!(row.c_hstore.as_ref().unwrap().0["a"], "1");
    let shape: Geometry = from_json(br#"{"wkb":"AQEAAAA=","srid":4326}"#).unwrap();
    assert_eq!((shape.wkb.as_slice().len(), shape.srid), (5, Some(4326)));
}

#[derive(Debug, PartialEq, Deserialize)]
struct Memo {
    id: i32,
}

/// What older versions lack: the times in microseconds and nanoseconds (before 2.6), the sequence
/// (before 1.7), the block of the transaction (before 1.1), places in a snapshot as texts.
#[test]
fn events_of_older_versions() {
    let source = concat!(
        r#""connector":"postgresql","name":"cdc","ts_ms":5,"db":"shop","schema":"public","#,
        r#""table":"memo","txId":9,"lsn":10,"xmin":null"#
    );
    for (version, more, around) in [
        (
            "2.5.0.Final",
            r#","snapshot":"first","sequence":"[null,\"10\"]""#,
            r#","transaction":null"#,
        ),
        (
            "1.9.7.Final",
            r#","snapshot":"first","sequence":"[null,\"10\"]""#,
            r#","transaction":null"#,
        ),
        ("1.0.3.Final", r#","snapshot":"true""#, ""),
        ("0.10.0.Final", r#","snapshot":true"#, ""),
    ] {
        let json = format!(
            r#"{{"before":null,"after":{{"id":1}},"source":{{"version":"{version}",{source}{more}}},"op":"r","ts_ms":6{around}}}"#
        );
        let event = Envelope::<Memo>::from_json(json.as_bytes()).unwrap();
        assert_eq!((event.op, event.after), (Op::Read, Some(Memo { id: 1 })));
        let first = version.starts_with('2') || version.starts_with("1.9");
        let place = if first { Snapshot::First } else { Snapshot::True };
        assert_eq!(event.source.snapshot, Some(place), "{version}");
        assert_eq!(event.source.sequence.is_some(), first);
        assert_eq!((event.ts_us, event.ts_ns, event.source.ts_us), (None, None, None));
    }
}
