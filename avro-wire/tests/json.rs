//! Datums as JSON: known texts, a second way over the values of `apache-avro`, and fastavro.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

#[path = "support/typed.rs"]
mod typed;

use std::io;

use apache_avro::Schema as Theirs;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{SchemaKind, UuidSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::json::{self, Form};
use avro_wire::{ErrorKind, Schema, primitive};
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use typed::schema_and_value;

/// What the specification makes of a value, written down without regard to this crate.
fn expected(value: &Value, schema: &Theirs, form: Form) -> Json {
    let plain = form == Form::Plain;
    let latin1 =
        |bytes: &[u8]| json!(bytes.iter().map(|&byte| char::from(byte)).collect::<String>());
    let bytes = |bytes: &[u8]| {
        if plain {
            json!(base64::engine::general_purpose::STANDARD.encode(bytes))
        } else {
            latin1(bytes)
        }
    };
    let moment = |theirs: Result<jiff::Timestamp, jiff::Error>, units: i64, zone: &str| {
        let Some(theirs) = theirs.ok().filter(|_| plain) else { return json!(units) };
        json!({"moment": theirs.to_string(), "zone": zone})
    };
    let nanos = |units: i64| jiff::Timestamp::from_nanosecond(i128::from(units));
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::String(value) | Value::Enum(_, value) => json!(value),
        Value::Bytes(value) | Value::Fixed(_, value) => bytes(value),
        Value::Array(items) => {
            let Theirs::Array(schema) = schema else { panic!("{schema:?}") };
            items.iter().map(|item| expected(item, &schema.items, form)).collect()
        }
        Value::Map(entries) => {
            let Theirs::Map(schema) = schema else { panic!("{schema:?}") };
            let entry = |(key, value): (&String, &Value)| {
                (key.clone(), expected(value, &schema.types, form))
            };
            Json::Object(entries.iter().map(entry).collect())
        }
        Value::Record(fields) => {
            let Theirs::Record(schema) = schema else { panic!("{schema:?}") };
            let values = fields
                .iter()
                .zip(&schema.fields)
                .map(|((name, value), field)| (name.clone(), expected(value, &field.schema, form)));
            Json::Object(values.collect())
        }
        Value::Union(position, value) => {
            let Theirs::Union(schema) = schema else { panic!("{schema:?}") };
            let branch = &schema.variants()[*position as usize];
            let value = expected(value, branch, form);
            if plain || *branch == Theirs::Null {
                value
            } else {
                json!({branch_name(branch): value})
            }
        }
        Value::Date(days) if plain => {
            let days = jiff::Span::new().try_days(*days);
            let epoch = jiff::civil::date(1970, 1, 1);
            let date = days.and_then(|days| epoch.checked_add(days));
            date.map_or(Json::Null, |date| json!(date.to_string()))
        }
        Value::Date(units) => json!(units),
        Value::TimeMillis(units) => time(i64::from(*units), 1_000_000, plain),
        Value::TimeMicros(units) => time(*units, 1000, plain),
        Value::TimestampMillis(units) => {
            moment(jiff::Timestamp::from_millisecond(*units), *units, "Z")
        }
        Value::TimestampMicros(units) => {
            moment(jiff::Timestamp::from_microsecond(*units), *units, "Z")
        }
        Value::TimestampNanos(units) => moment(nanos(*units), *units, "Z"),
        Value::LocalTimestampMillis(units) => {
            moment(jiff::Timestamp::from_millisecond(*units), *units, "")
        }
        Value::LocalTimestampMicros(units) => {
            moment(jiff::Timestamp::from_microsecond(*units), *units, "")
        }
        Value::LocalTimestampNanos(units) => moment(nanos(*units), *units, ""),
        Value::Decimal(value) => {
            let raw = Vec::try_from(value).unwrap();
            let Theirs::Decimal(schema) = schema else { panic!("{schema:?}") };
            let scale = i64::try_from(schema.scale).unwrap();
            let number = apache_avro::BigDecimal::new(value.clone().into(), scale);
            if plain { json!(number.to_plain_string()) } else { latin1(&raw) }
        }
        Value::BigDecimal(value) if plain => json!({"number": value.to_plain_string()}),
        Value::BigDecimal(value) => {
            let (unscaled, scale) = value.as_bigint_and_exponent();
            let mut raw = Vec::new();
            primitive::write_bytes(&unscaled.to_signed_bytes_be(), &mut raw);
            primitive::write_long(scale, &mut raw);
            latin1(&raw)
        }
        Value::Duration(value) => {
            let raw: [u8; 12] = value.into();
            if !plain {
                return latin1(&raw);
            }
            let part = |start: usize| u32::from_le_bytes(raw[start..start + 4].try_into().unwrap());
            json!({"months": part(0), "days": part(4), "millis": part(8)})
        }
        Value::Uuid(value) => match schema {
            Theirs::Uuid(UuidSchema::Fixed(_)) if !plain => latin1(value.as_bytes()),
            _ => json!(value.to_string()),
        },
    }
}

fn time(units: i64, nanos: i64, plain: bool) -> Json {
    let nanos = units.checked_mul(nanos).filter(|nanos| (0..86_400_000_000_000).contains(nanos));
    match nanos.filter(|_| plain) {
        Some(nanos) => {
            let time = jiff::civil::Time::midnight() + jiff::Span::new().nanoseconds(nanos);
            json!({"time": time.to_string()})
        }
        None => json!(units),
    }
}

fn branch_name(branch: &Theirs) -> String {
    if let Some(name) = branch.name() {
        return name.to_string();
    }
    let name = match SchemaKind::from(branch) {
        SchemaKind::Boolean => "boolean",
        SchemaKind::Int | SchemaKind::Date | SchemaKind::TimeMillis => "int",
        SchemaKind::Float => "float",
        SchemaKind::Double => "double",
        SchemaKind::Bytes | SchemaKind::Decimal | SchemaKind::BigDecimal => "bytes",
        SchemaKind::String | SchemaKind::Uuid => "string",
        SchemaKind::Array => "array",
        SchemaKind::Map => "map",
        _ => "long",
    };
    match branch {
        Theirs::Decimal(decimal) => match &decimal.inner {
            apache_avro::schema::InnerDecimalSchema::Fixed(fixed) => fixed.name.to_string(),
            apache_avro::schema::InnerDecimalSchema::Bytes => name.into(),
        },
        Theirs::Uuid(UuidSchema::Fixed(fixed)) | Theirs::Duration(fixed) => fixed.name.to_string(),
        _ => name.into(),
    }
}

/// Whether what was written says the same; objects of `expected` in the place of text stand for
/// text that has more than one form.
#[allow(clippy::cast_possible_truncation, reason = "a float has fewer digits than its double")]
fn agree(found: &Json, expected: &Json) -> bool {
    let field = |name: &str| expected.get(name).and_then(Json::as_str);
    if let Json::String(found) = found {
        if let (Some(moment), Some(zone)) = (field("moment"), field("zone")) {
            let text = found.strip_suffix(zone).unwrap();
            let outside_of_four_digits = text.starts_with(['+', '-']);
            let parsed = format!("{text}Z").parse::<jiff::Timestamp>();
            return outside_of_four_digits || parsed.unwrap() == moment.parse().unwrap();
        }
        if let Some(time) = field("time") {
            let found: jiff::civil::Time = found.parse().unwrap();
            return found == time.parse().unwrap();
        }
        if let Some(number) = field("number") {
            let found: apache_avro::BigDecimal = found.parse().unwrap();
            return found == number.parse::<apache_avro::BigDecimal>().unwrap();
        }
        if let Some(months) = expected.get("months") {
            let part = |name: &str| expected[name].as_u64().unwrap();
            let (months, days, millis) = (months.as_u64().unwrap(), part("days"), part("millis"));
            let mut text = String::from("P");
            if months > 0 {
                text += &format!("{months}M");
            }
            if days > 0 {
                text += &format!("{days}D");
            }
            let seconds = format!("T{}.{:03}S", millis / 1000, millis % 1000);
            text += seconds.replace(".000S", "S").as_str();
            return text == *found || text.strip_suffix("T0S") == Some(found);
        }
        // A day that jiff does not have.
        if expected.is_null() {
            return found.starts_with(['+', '-']);
        }
    }
    match (found, expected) {
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| agree(a, b)))
        }
        (Json::Number(a), Json::Number(b)) if a != b => {
            a.as_f64().map(|a| a as f32) == b.as_f64().map(|b| b as f32)
        }
        // A moment that jiff does not have is a number above.
        (Json::String(a), Json::Number(_)) => a.starts_with(['+', '-']),
        _ => found == expected,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_forms_say_what_the_values_say((json, value) in schema_and_value()) {
        let schema = Schema::parse(&json).unwrap();
        let theirs = Theirs::parse_str(&json).unwrap();
        let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
        let datum = writer.write_value_to_vec(value).unwrap();
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();
        let value = reader.read_value(&mut &*datum).unwrap();
        for form in [Form::Avro, Form::Plain] {
            let text = json::to_string(&datum, &schema, form).unwrap();
            let found: Json = serde_json::from_str(&text).unwrap();
            let expected = expected(&value, &theirs, form);
            prop_assert!(agree(&found, &expected), "{}\n{}\n{}", text, expected, json);
            let mut bytes = b"kept".to_vec();
            json::encode(&datum, &schema, form, &mut bytes).unwrap();
            prop_assert_eq!(&bytes[4..], text.as_bytes());
            let mut written = Vec::new();
            json::write(&datum, &schema, form, &mut written).unwrap();
            prop_assert_eq!(&written, text.as_bytes());
        }
    }

    #[test]
    fn any_bytes_give_json_or_a_data_error(
        (json, _) in schema_and_value(),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let schema = Schema::parse(&json).unwrap();
        let decoded = avro_wire::decode::<serde::de::IgnoredAny>(&noise, &schema);
        for form in [Form::Avro, Form::Plain] {
            let mut out = b"kept".to_vec();
            match json::encode(&noise, &schema, form, &mut out) {
                Ok(()) => {
                    serde_json::from_slice::<Json>(&out[4..]).unwrap();
                    prop_assert!(decoded.is_ok());
                }
                Err(error) => {
                    prop_assert!(error.kind().is_data(), "{}", error);
                    prop_assert!(error.offset().is_some_and(|offset| offset <= noise.len()));
                    prop_assert_eq!(&out, b"kept");
                }
            }
        }
    }

    #[test]
    fn strings_and_bytes_are_escaped(text in ".{0,40}|[\\x00-\\x7f]{0,20}", bytes: Vec<u8>) {
        let mut datum = Vec::new();
        primitive::write_string(&text, &mut datum);
        let found = json::to_string(&datum, &Schema::parse(r#""string""#).unwrap(), Form::Avro);
        prop_assert_eq!(serde_json::from_str::<String>(&found.unwrap()).unwrap(), text);
        datum.clear();
        primitive::write_bytes(&bytes, &mut datum);
        let schema = Schema::parse(r#""bytes""#).unwrap();
        let found = json::to_string(&datum, &schema, Form::Avro).unwrap();
        let characters = serde_json::from_str::<String>(&found).unwrap();
        prop_assert_eq!(characters.chars().map(u32::from).collect::<Vec<_>>(),
            bytes.iter().copied().map(u32::from).collect::<Vec<_>>());
        let found = json::to_string(&datum, &schema, Form::Plain).unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        prop_assert_eq!(found, format!("\"{encoded}\""));
    }
}

fn both(schema: &str, datum: &[u8]) -> [String; 2] {
    let schema = Schema::parse(schema).unwrap();
    [Form::Avro, Form::Plain].map(|form| json::to_string(datum, &schema, form).unwrap())
}

#[test]
fn texts_of_the_specification() {
    // Avro 1.12, "JSON Encoding": a union of null, string and a record named Foo.
    let union = r#"["null","string",{"type":"record","name":"Foo","namespace":"a.b",
        "fields":[{"name":"f","type":["int","null"]}]}]"#;
    assert_eq!(both(union, b"\0"), ["null", "null"]);
    assert_eq!(both(union, b"\x02\x02a"), [r#"{"string":"a"}"#, r#""a""#]);
    let avro = r#"{"a.b.Foo":{"f":{"int":1}}}"#;
    assert_eq!(both(union, b"\x04\0\x02"), [avro, r#"{"f":1}"#]);
    assert_eq!(both(union, b"\x04\x02"), [r#"{"a.b.Foo":{"f":null}}"#, r#"{"f":null}"#]);
    assert_eq!(both(r#""bytes""#, b"\x04\xff\0"), ["\"\u{ff}\\u0000\"", "\"/wA=\""]);
    let fixed = r#"{"type":"fixed","name":"F","size":2}"#;
    assert_eq!(both(fixed, b"\"\\"), [r#""\"\\""#, "\"Ilw=\""]);
    assert_eq!(both(r#"{"type":"array","items":"int"}"#, b"\0"), ["[]", "[]"]);
    assert_eq!(both(r#"{"type":"map","values":"int"}"#, b"\0"), ["{}", "{}"]);
    assert_eq!(both(r#"{"type":"record","name":"E","fields":[]}"#, b""), ["{}", "{}"]);
    let blocks = b"\x01\x02\x02\x02\x04\x00";
    assert_eq!(both(r#"{"type":"array","items":"int"}"#, blocks), ["[1,2]", "[1,2]"]);
}

#[test]
fn numbers() {
    let double = |value: f64| both(r#""double""#, &value.to_le_bytes())[0].clone();
    let float = |value: f32| both(r#""float""#, &value.to_le_bytes())[1].clone();
    assert_eq!(double(1.0), "1.0");
    assert_eq!(double(-0.0), "-0.0");
    assert_eq!(double(0.1), "0.1");
    assert_eq!(double(f64::MAX), "1.7976931348623157e308");
    assert_eq!(double(5e-324), "5e-324");
    assert_eq!(float(0.1), "0.1");
    assert_eq!(float(f32::MIN_POSITIVE), "1.1754944e-38");
    assert_eq!(double(f64::NAN), "\"NaN\"");
    assert_eq!(float(f32::INFINITY), "\"Infinity\"");
    assert_eq!(double(f64::NEG_INFINITY), "\"-Infinity\"");
    let mut long = Vec::new();
    primitive::write_long(i64::MIN, &mut long);
    assert_eq!(both(r#""long""#, &long)[0], "-9223372036854775808");
}

#[test]
fn logical_types() {
    let logical = |of: &str, logical: &str, datum: &[u8]| {
        both(&format!(r#"{{"type":"{of}","logicalType":"{logical}"}}"#), datum)
    };
    let long = |value: i64| {
        let mut datum = Vec::new();
        primitive::write_long(value, &mut datum);
        datum
    };
    assert_eq!(logical("int", "date", &long(19_782)), ["19782", "\"2024-02-29\""]);
    let millis = long(34_200_500);
    assert_eq!(logical("int", "time-millis", &millis), ["34200500", "\"09:30:00.500\""]);
    assert_eq!(logical("int", "time-millis", &long(-1)), ["-1", "-1"]);
    let [_, micros] = logical("long", "time-micros", &long(86_400_000_001));
    assert_eq!(micros, "86400000001");
    let [_, moment] = logical("long", "timestamp-micros", &long(1));
    assert_eq!(moment, "\"1970-01-01T00:00:00.000001Z\"");
    let [_, moment] = logical("long", "local-timestamp-nanos", &long(1));
    assert_eq!(moment, "\"1970-01-01T00:00:00.000000001\"");
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":30,"scale":12}"#;
    assert_eq!(both(decimal, b"\x02\x01")[1], "\"0.000000000001\"");
    assert_eq!(both(decimal, b"\0")[1], "\"0.000000000000\"");
    let wide = decimal.replace("30", "3000000000").replace("12", "2999999999");
    assert_eq!(both(&wide, b"\x02\x01")[1], "\"1E-2147483647\"");
    let [avro, plain] = logical("bytes", "big-decimal", b"\x08\x04\x04\xd2\x04");
    assert_eq!([avro.as_str(), plain.as_str()], ["\"\\u0004\\u0004\u{d2}\\u0004\"", "\"12.34\""]);
    // Bytes that hold no number and scale.
    assert_eq!(logical("bytes", "big-decimal", b"\x02\x04")[1], "\"BA==\"");
    assert_eq!(logical("string", "uuid", b"\x02x"), ["\"x\"", "\"x\""]);
    let uuid = r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#;
    let text = "\"30313233-3435-3637-3839-414243444546\"";
    assert_eq!(both(uuid, b"0123456789ABCDEF"), ["\"0123456789ABCDEF\"", text]);
    let duration = r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#;
    assert_eq!(both(duration, b"\x01\0\0\0\x02\0\0\0\x70\x17\0\0")[1], "\"P1M2DT6S\"");
}

#[test]
fn decimals_of_64_kib_are_the_longest() {
    let schema = r#"{"type":"bytes","logicalType":"decimal","precision":1,"scale":0}"#;
    let schema = Schema::parse(schema).unwrap();
    for (size, fits) in [(64 << 10, true), ((64 << 10) + 1, false)] {
        let mut datum = Vec::new();
        // Small numbers, which take no time.
        primitive::write_bytes(&vec![0; size], &mut datum);
        match json::to_string(&datum, &schema, Form::Plain) {
            Ok(text) => assert!(fits && text == "\"0\""),
            Err(error) => assert!(!fits && error.kind() == ErrorKind::NumberSize { size }),
        }
        assert!(json::to_string(&datum, &schema, Form::Avro).is_ok());
    }
}

#[test]
fn errors_of_data_and_of_the_output() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},
            {"name":"b","type":{"type":"array","items":"string"}}]}"#,
    )
    .unwrap();
    let error = json::to_string(b"\x02\x02\x02\xff\0", &schema, Form::Plain).unwrap_err();
    let found = (error.kind(), error.offset(), error.field());
    assert_eq!(found, (ErrorKind::InvalidUtf8, Some(2), Some("b")));
    let error = json::to_string(b"\x02\0\0", &schema, Form::Avro).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TrailingBytes { count: 1 });
    let sized = json::to_string(b"\x02\x01\x04\x02x\0", &schema, Form::Avro).unwrap();
    assert_eq!(sized, r#"{"a":1,"b":["x"]}"#);
    let error = json::to_string(b"\x02\x01\x06\x02x\0\0", &schema, Form::Avro).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BlockSize { off: -1 });

    let mut out = Vec::new();
    let error = json::write(b"\x02\x02\x02\xff\0", &schema, Form::Plain, &mut out).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let inner = error.get_ref().unwrap().downcast_ref::<avro_wire::Error>().unwrap();
    assert_eq!(inner.kind(), ErrorKind::InvalidUtf8);
    assert_eq!(out, br#"{"a":1,"b":["#);

    let mut datum = b"\x02\x02".to_vec();
    primitive::write_string(&"x".repeat(100_000), &mut datum);
    datum.push(0);
    let mut small = [0; 50];
    let error = json::write(&datum, &schema, Form::Plain, &mut &mut small[..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    let node = r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#;
    let deep = json::to_string(&[2; 100], &Schema::parse(node).unwrap(), Form::Plain);
    assert_eq!(deep.unwrap_err().kind(), ErrorKind::DepthLimit);
}
