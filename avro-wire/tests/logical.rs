//! Values of logical types: known texts, and the arithmetic of other crates.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use avro_wire::logical::{Date, Decimal, Duration, LocalTimestamp, Time, Timestamp, Uuid};
use avro_wire::{ErrorKind, Logical, Schema};
use proptest::prelude::*;

fn big(unscaled: &[u8], scale: i64) -> apache_avro::BigDecimal {
    apache_avro::BigDecimal::new(apache_avro::Decimal::from(unscaled).into(), scale)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn decimals_of_any_length_are_those_of_a_big_integer(
        unscaled in prop::collection::vec(any::<u8>(), 1..300),
        scale in -30..900_i32,
    ) {
        let decimal = Decimal::new(&unscaled, scale);
        let theirs = big(&unscaled, scale.into());
        prop_assert_eq!(format!("{decimal:#}"), theirs.to_plain_string());
        prop_assert_eq!(decimal.precision(), usize::try_from(theirs.digits()).unwrap());

        for text in [format!("{decimal:#}"), decimal.to_string()] {
            let parsed = Decimal::parse(&text, scale).unwrap();
            prop_assert_eq!(&parsed, &decimal);
            // In the fewest bytes.
            let minimal = theirs.as_bigint_and_exponent().0.to_signed_bytes_be();
            prop_assert_eq!(parsed.unscaled(), minimal);
        }
        let text = decimal.to_string();
        prop_assert_eq!(text.parse::<Decimal<'_>>().unwrap().to_string(), text);

        let mut fixed = Vec::new();
        decimal.write_fixed(unscaled.len(), &mut fixed).unwrap();
        prop_assert_eq!(&fixed, &unscaled);
        let mut encoded = Vec::new();
        decimal.encode_big(&mut encoded);
        prop_assert_eq!(Decimal::decode_big(&encoded).unwrap(), decimal);
    }

    #[test]
    fn small_decimals_are_numbers(number in any::<i128>(), shift in 0..128_u32, scale in 0..9_i32) {
        let number = number >> shift;
        let decimal = Decimal::from_i128(number, scale);
        prop_assert_eq!(decimal.to_i128(), Some(number));
        prop_assert_eq!(Decimal::from_i128(number, 0).to_string(), number.to_string());
        let wider = decimal.with_scale(scale + 3).unwrap();
        prop_assert_eq!(wider.with_scale(scale).unwrap(), decimal);
    }

    #[test]
    fn moments_are_those_of_jiff(nanos in any::<i64>(), shift in 0..64_u32, unit in 0..3_usize) {
        let units = nanos >> shift;
        let ours = [Timestamp::from_nanos, Timestamp::from_micros, Timestamp::from_millis];
        let of_jiff = [
            |value| jiff::Timestamp::from_nanosecond(i128::from(value)),
            jiff::Timestamp::from_microsecond,
            jiff::Timestamp::from_millisecond,
        ];
        let back = [Timestamp::to_nanos, Timestamp::to_micros, Timestamp::to_millis];
        let ours = ours[unit](units);
        prop_assert_eq!(back[unit](ours), Some(units));
        let text = ours.to_string();
        prop_assert_eq!(text.parse::<Timestamp>().unwrap(), ours);
        let local = [
            LocalTimestamp::from_nanos,
            LocalTimestamp::from_micros,
            LocalTimestamp::from_millis,
        ][unit](units);
        prop_assert_eq!(format!("{local}Z"), text.as_str());
        prop_assert_eq!(local.to_string().parse::<LocalTimestamp>().unwrap(), local);
        if let Ok(theirs) = of_jiff[unit](units) && (0..=9999).contains(&year(theirs)) {
            prop_assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), theirs);
            prop_assert_eq!(theirs.to_string().parse::<Timestamp>().unwrap(), ours);
        }
    }

    #[test]
    fn days_have_one_text(days in any::<i32>(), shift in 0..32_u32) {
        let date = Date::from_days(days >> shift);
        prop_assert_eq!(date.to_string().parse::<Date>().unwrap(), date);
        let (year, month, day) = date.ymd();
        prop_assert_eq!(Date::from_ymd(year, month, day), Some(date));
    }

    #[test]
    fn no_text_panics(text in "[-+0-9eE.:TZ ]{0,40}|.{0,20}") {
        let _ = text.parse::<Date>();
        let _ = text.parse::<Time>();
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Uuid>();
        let _ = Decimal::parse(&text, 3);
        let _ = text.parse::<Decimal<'_>>().map(|decimal| decimal.to_string());
    }
}

fn year(moment: jiff::Timestamp) -> i16 {
    moment.to_zoned(jiff::tz::TimeZone::UTC).year()
}

#[test]
fn decimals_as_java_shows_them() {
    for (unscaled, scale, text, plain) in [
        (123, 0, "123", "123"),
        (-123, 0, "-123", "-123"),
        (123, -1, "1.23E+3", "1230"),
        (123, -3, "1.23E+5", "123000"),
        (123, 1, "12.3", "12.3"),
        (123, 5, "0.00123", "0.00123"),
        (123, 10, "1.23E-8", "0.0000000123"),
        (-123, 12, "-1.23E-10", "-0.000000000123"),
        (0, 0, "0", "0"),
        (0, 2, "0.00", "0.00"),
        (0, 6, "0.000000", "0.000000"),
        (0, 7, "0E-7", "0.0000000"),
        (0, -2, "0E+2", "0"),
        (5, 6, "0.000005", "0.000005"),
        (5, 7, "5E-7", "0.0000005"),
    ] {
        let decimal = Decimal::from_i128(unscaled, scale);
        assert_eq!(decimal.to_string(), text);
        assert_eq!(format!("{decimal:#}"), plain);
        assert_eq!(text.parse::<Decimal<'_>>().unwrap(), decimal);
    }
    assert_eq!(Decimal::new(b"", 0).to_string(), "0");
    assert_eq!(Decimal::new(b"", 0), Decimal::new(b"\0\0", 0));
    assert_ne!(Decimal::new(b"\x01", 0), Decimal::new(b"\x0a", 1));
    // A scale that a few bytes can claim does not become gigabytes of zeros.
    assert_eq!(Decimal::new(b"\x01", i32::MAX).to_string(), "1E-2147483647");
    assert_eq!(Decimal::new(b"\x01", i32::MIN).to_string(), "1E+2147483648");
}

#[test]
fn decimals_are_not_rounded() {
    let parse = |text, scale| Decimal::parse(text, scale).map(|decimal| decimal.to_i128());
    assert_eq!(parse("12.3400", 2), Ok(Some(1234)));
    assert_eq!(parse("+.5", 1), Ok(Some(5)));
    assert_eq!(parse("7.", 2), Ok(Some(700)));
    assert_eq!(parse("1200", -2), Ok(Some(12)));
    assert_eq!(parse("12e3", 0), Ok(Some(12_000)));
    assert_eq!(parse("1.2E-3", 4), Ok(Some(12)));
    assert_eq!(parse("-0", 3), Ok(Some(0)));
    assert_eq!(parse("0e999999999", 0), Ok(Some(0)));
    for (text, scale) in [("12.345", 2), ("1", -1), ("1e999999999", 0), ("1e-999999999", 0)] {
        assert_eq!(parse(text, scale).unwrap_err().kind(), ErrorKind::NumberRange, "{text}");
    }
    for (text, offset) in
        [("", 0), ("-", 1), (".", 1), ("1x", 1), ("1.2.3", 3), ("NaN", 0), ("1e", 2), ("--1", 1)]
    {
        let error = parse(text, 2).unwrap_err();
        assert_eq!(
            (error.kind(), error.offset()),
            (ErrorKind::InvalidText, Some(offset)),
            "{text}"
        );
        assert!(error.kind().is_value());
    }
    let error = Decimal::from_i128(128, 0).write_fixed(1, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NumberRange);
    let mut out = Vec::new();
    Decimal::from_i128(-128, 0).write_fixed(3, &mut out).unwrap();
    assert_eq!(out, [0xff, 0xff, 0x80]);
    assert_eq!(Decimal::new(&[0x7f; 17], 0).to_i128(), None);
}

#[test]
fn a_number_of_100_000_digits_goes_both_ways() {
    let text = "9876543210".repeat(10_000);
    let decimal = Decimal::parse(&text, 0).unwrap();
    assert_eq!(decimal.to_string(), text);
    let error = Decimal::parse(&"1".repeat(200_000), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NumberRange);
}

#[test]
fn times_of_day() {
    for (micros, text) in [
        (0, "00:00:00"),
        (1, "00:00:00.000001"),
        (34_200_500_000, "09:30:00.500"),
        (86_399_999_999, "23:59:59.999999"),
        (86_400_000_000, "24:00:00"),
    ] {
        let time = Time::from_micros(micros).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(text.parse::<Time>().unwrap(), time);
        assert_eq!((time.to_micros(), i64::from(time.to_millis())), (micros, micros / 1000));
    }
    assert_eq!(Time::from_nanos(1).unwrap().to_string(), "00:00:00.000000001");
    assert_eq!(Time::from_micros(86_400_000_001), None);
    assert_eq!(Time::from_micros(i64::MAX), None);
    assert_eq!(Time::from_millis(-1), None);
    for text in ["24:00:01", "23:60:00", "23:00:60", "1:00:00", "00:00", "00:00:00.", "00:00:00Z"] {
        assert_eq!(text.parse::<Time>().unwrap_err().kind(), ErrorKind::InvalidText, "{text}");
    }
}

#[test]
fn the_ends_of_time() {
    for (moment, text) in [
        (Timestamp::from_millis(i64::MAX), "+292278994-08-17T07:12:55.807Z"),
        (Timestamp::from_millis(i64::MIN), "-292275055-05-16T16:47:04.192Z"),
        (Timestamp::from_micros(i64::MAX), "+294247-01-10T04:00:54.775807Z"),
        (Timestamp::from_nanos(i64::MIN), "1677-09-21T00:12:43.145224192Z"),
        (Timestamp::from_micros(-62_135_596_800_000_000), "0001-01-01T00:00:00Z"),
        (Timestamp::from_millis(-62_198_755_200_000), "-0001-01-01T00:00:00Z"),
    ] {
        assert_eq!(moment.to_string(), text);
        assert_eq!(text.parse::<Timestamp>().unwrap(), moment);
    }
    assert_eq!(Timestamp::from_millis(i64::MAX).to_nanos(), None);
    assert_eq!(Timestamp::from_nanos(-1).to_millis(), Some(-1));
    assert_eq!(Date::from_days(i32::MAX).to_string(), "+5881580-07-11");
    assert_eq!(Date::from_days(i32::MIN).ymd(), (-5_877_641, 6, 23));
    assert_eq!("+999999999-01-01".parse::<Date>().unwrap_err().kind(), ErrorKind::NumberRange);
    for text in ["2024-02-30", "2023-02-29", "1900-02-29", "2024-13-01", "2024-1-01", "24-01-01"] {
        assert_eq!(text.parse::<Date>().unwrap_err().kind(), ErrorKind::InvalidText, "{text}");
    }
    for text in ["2024-01-01T00:00:00", "2024-01-01T00:00:00+1:00", "2024-01-01T00:00:00+24:00"] {
        assert_eq!(text.parse::<Timestamp>().unwrap_err().kind(), ErrorKind::InvalidText);
    }
}

#[test]
fn uuids_and_durations() {
    for text in [
        "",
        "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233-4455-6677-8899-aabbccddeefg",
        "00112233-4455-6677-8899-aabbccddeefé",
        "{0112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899aabbccddeeff-",
    ] {
        assert_eq!(text.parse::<Uuid>().unwrap_err().kind(), ErrorKind::InvalidText, "{text}");
    }
    for (duration, text) in [
        (Duration::default(), "PT0S"),
        (Duration::new(1, 0, 0), "P1M"),
        (Duration::new(0, 2, 0), "P2D"),
        (Duration::new(0, 0, 4), "PT0.004S"),
        (Duration::new(u32::MAX, u32::MAX, u32::MAX), "P4294967295M4294967295DT4294967.295S"),
    ] {
        assert_eq!(duration.to_string(), text);
        assert_eq!(Duration::from_bytes(duration.to_bytes()), duration);
    }
}

#[test]
fn big_decimals_are_a_logical_type() {
    let schema = Schema::parse(r#"{"type":"bytes","logicalType":"big-decimal"}"#).unwrap();
    assert_eq!(schema.root_type().logical(), Some(Logical::BigDecimal));
    let schema = Schema::parse(r#"{"type":"string","logicalType":"big-decimal"}"#).unwrap();
    assert_eq!(schema.root_type().logical(), None);
    let decimal = Decimal::decode_big(b"\x04\x04\xd2\x04").unwrap();
    assert_eq!(decimal.to_string(), "12.34");
    for bytes in [&b""[..], b"\x04\x04", b"\x04\x04\xd2", b"\x04\x04\xd2\x04\x00"] {
        assert!(Decimal::decode_big(bytes).unwrap_err().kind().is_data());
    }
}
