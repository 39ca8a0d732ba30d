//! The options that the connector does not have, and input that is out of the ordinary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    BadRecords, Error, ErrorKind, FieldPartitioner, Fields, Partitioner, Reason, Record, Rotate,
    Rotation, SchemaKey, Settings, Shape, TimeUnit, TimestampExtractor, Value,
};

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn settings(properties: &[(&str, &str)]) -> Settings {
    read(properties).unwrap()
}

fn read(properties: &[(&str, &str)]) -> Result<Settings, Error> {
    let flush = [("flush.size", "1000")];
    Settings::from_properties(properties.iter().copied().chain(flush))
}

fn rotation(properties: &[(&str, &str)]) -> (Settings, Rotation) {
    let settings = settings(properties);
    let rotation = Rotation::new(settings.rotation().clone());
    (settings, rotation)
}

/// A value with one field, whose schema has a name.
#[derive(Debug)]
struct One<'a> {
    value: Value<'a>,
    semantic: Option<&'a str>,
    shape: Shape,
}

impl<'a> One<'a> {
    const fn new(value: Value<'a>) -> Self {
        Self { value, semantic: None, shape: Shape::Struct }
    }
}

impl Fields for One<'_> {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        (path == "f").then_some(self.value)
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn semantic_type(&self, path: &str) -> Option<&str> {
        self.semantic.filter(|_| path == "f")
    }
}

#[test]
fn closes_by_bytes() {
    let (settings, mut rotation) = rotation(&[("rotate.bytes", "100")]);
    let mut paths = settings.paths();
    let mut place = |rotation: &mut Rotation, offset, size| {
        let record = Record::new("t", 0, offset).with_size(size);
        rotation.place(&mut paths, &record, SchemaKey::new(1), at(0)).unwrap()
    };
    assert_eq!(place(&mut rotation, 0, 60), Rotate::Keep);
    assert_eq!(place(&mut rotation, 1, 60), Rotate::After);
    assert_eq!(rotation.reason(), Some(Reason::Bytes));
    // A record that was refused does not count.
    rotation.rejected();
    assert_eq!(place(&mut rotation, 2, 39), Rotate::Keep);
    assert_eq!(place(&mut rotation, 3, 1), Rotate::After);
    rotation.closed(at(0));
    assert_eq!(place(&mut rotation, 4, u64::MAX), Rotate::After);
    rotation.closed(at(0));
    assert_eq!(place(&mut rotation, 5, 99), Rotate::Keep);
}

#[test]
fn closes_when_idle() {
    let (settings, mut rotation) = rotation(&[("rotate.idle.ms", "5000")]);
    let mut paths = settings.paths();
    let mut place = |rotation: &mut Rotation, offset, ms| {
        let record = Record::new("t", 0, offset);
        rotation.place(&mut paths, &record, SchemaKey::new(1), at(ms)).unwrap()
    };
    assert!(!rotation.due(at(90_000)), "nothing is open");
    assert_eq!(rotation.deadline(), None);
    assert_eq!(place(&mut rotation, 0, 100_000), Rotate::Keep);
    assert_eq!(place(&mut rotation, 1, 104_000), Rotate::Keep);
    assert_eq!(rotation.deadline(), Some(at(109_000)));
    assert!(!rotation.due(at(108_999)));
    assert!(rotation.due(at(109_000)));
    assert_eq!(rotation.reason(), Some(Reason::Idle));
    rotation.closed(at(109_000));

    // A clock that is put back by an hour does not make the files wait for an hour.
    assert_eq!(place(&mut rotation, 2, 10_000_000), Rotate::Keep);
    assert!(!rotation.due(at(6_400_000)));
    assert_eq!(rotation.deadline(), Some(at(6_405_000)));
    assert!(rotation.due(at(6_405_000)));
}

#[test]
fn keeps_a_file_for_each_schema() {
    let (settings, mut rotation) = rotation(&[("schema.files", "separate")]);
    let mut paths = settings.paths();
    for offset in 0..100 {
        let record = Record::new("t", 0, offset);
        let schema = SchemaKey::new(offset.unsigned_abs() % 3);
        let decision = rotation.place(&mut paths, &record, schema, at(0)).unwrap();
        assert_eq!(decision, Rotate::Keep);
        assert_eq!(rotation.file().unwrap().schema(), schema);
    }
    let mut names = Vec::new();
    for file in rotation.open_files() {
        let mut name = String::new();
        settings.namer().file("t", 0, file, settings.extension(), &mut name);
        assert!((33..=34).contains(&file.records()));
        names.push(name);
    }
    let name = |start: i64| format!("topics/t/partition=0/t+0+{start:010}.avro");
    assert_eq!(names, [name(0), name(1), name(2)]);

    // With one file for all, each alternation makes another.
    let (settings, mut rotation) = self::rotation(&[]);
    let mut paths = settings.paths();
    let _ = rotation.place(&mut paths, &Record::new("t", 0, 0), SchemaKey::new(0), at(0)).unwrap();
    let next = rotation.place(&mut paths, &Record::new("t", 0, 1), SchemaKey::new(1), at(0));
    assert_eq!(next.unwrap(), Rotate::Before);
}

#[test]
fn a_number_counts_what_it_is_said_to() {
    const MS: i64 = 1_709_622_489_123;
    let extract = |unit, one: &One<'_>| {
        let record = Record::new("t", 0, 0).with_value(one);
        TimestampExtractor::RecordFieldIn("f".to_owned(), unit).extract(&record, at(0))
    };
    for (unit, value, expected) in [
        (TimeUnit::Days, Value::Int32(19_787), 19_787 * 86_400_000),
        (TimeUnit::Days, Value::DateOrTime(-1), -86_400_000),
        (TimeUnit::Seconds, Value::Int64(MS / 1_000), MS / 1_000 * 1_000),
        (TimeUnit::Seconds, Value::Float64(1.5), 1_500),
        (TimeUnit::Milliseconds, Value::Int64(MS), MS),
        (TimeUnit::Microseconds, Value::Int64(MS * 1_000 + 999), MS),
        (TimeUnit::Microseconds, Value::Int64(-1), -1),
        (TimeUnit::Microseconds, Value::Float64(2_000.0), 2),
        (TimeUnit::Nanoseconds, Value::Int64(MS * 1_000_000 + 1), MS),
        (TimeUnit::Nanoseconds, Value::String("1709622489123000000"), MS),
        (TimeUnit::Nanoseconds, Value::Float32(1e6), 1),
        (TimeUnit::Microseconds, Value::String("2024-03-05T07:08:09.123456Z"), MS),
        (TimeUnit::Microseconds, Value::Timestamp(MS), MS),
        (TimeUnit::Seconds, Value::Int8(-7), -7_000),
        (TimeUnit::Seconds, Value::Int16(7), 7_000),
    ] {
        assert_eq!(extract(unit, &One::new(value)).unwrap(), Some(expected), "{value:?} {unit:?}");
    }
    for (semantic, value, expected) in [
        ("io.debezium.time.Date", Value::Int32(19_787), 19_787 * 86_400_000),
        ("org.apache.kafka.connect.data.Date", Value::DateOrTime(1), 86_400_000),
        ("io.debezium.time.Timestamp", Value::Int64(MS), MS),
        ("org.apache.kafka.connect.data.Timestamp", Value::Timestamp(MS), MS),
        ("io.debezium.time.MicroTimestamp", Value::Int64(MS * 1_000), MS),
        ("io.debezium.time.NanoTimestamp", Value::Int64(MS * 1_000_000), MS),
        ("io.debezium.time.ZonedTimestamp", Value::String("2024-03-05T18:08:09.123+11:00"), MS),
        ("io.debezium.time.IsoTimestamp", Value::String("2024-03-05T07:08:09.123456Z"), MS),
        ("io.debezium.time.IsoDate", Value::String("1970-01-02Z"), 86_400_000),
        ("io.debezium.time.Year", Value::Int32(1971), 365 * 86_400_000),
    ] {
        let one = One { semantic: Some(semantic), ..One::new(value) };
        assert_eq!(extract(TimeUnit::BySemanticType, &one).unwrap(), Some(expected), "{semantic}");
        // The connector takes every number for milliseconds.
        let record = Record::new("t", 0, 0).with_value(&one);
        let plain = TimestampExtractor::RecordField("f".to_owned()).extract(&record, at(0));
        if let Value::Int64(number) = value {
            assert_eq!(plain.unwrap(), Some(number));
        }
    }
    let plain = extract(TimeUnit::BySemanticType, &One::new(Value::Int64(MS)));
    assert_eq!(plain.unwrap(), Some(MS));

    let path = || "f".to_owned();
    for (semantic, value, expected) in [
        ("io.debezium.time.MicroTime", Value::Int64(1), ErrorKind::UnsupportedType(path())),
        ("io.debezium.time.MicroDuration", Value::Int64(1), ErrorKind::UnsupportedType(path())),
        ("io.debezium.data.Json", Value::String("1"), ErrorKind::UnsupportedType(path())),
        ("io.debezium.time.Date", Value::Null, ErrorKind::MissingField(path())),
        ("io.debezium.time.Date", Value::Int64(i64::MAX), ErrorKind::TimeRange),
        ("io.debezium.time.Year", Value::Int64(i64::MIN), ErrorKind::TimeRange),
        ("io.debezium.time.Year", Value::Float32(1.0), ErrorKind::UnsupportedType(path())),
        ("io.debezium.time.Timestamp", Value::Boolean(true), ErrorKind::UnsupportedType(path())),
        ("io.debezium.time.Timestamp", Value::DateOrTime(1), ErrorKind::LogicalType(path())),
        (
            "io.debezium.time.ZonedTimestamp",
            Value::String("infinity"),
            ErrorKind::TimestampText(path()),
        ),
    ] {
        let one = One { semantic: Some(semantic), ..One::new(value) };
        let error = extract(TimeUnit::BySemanticType, &one).unwrap_err();
        assert_eq!(error.kind(), &expected, "{semantic} {value:?}");
        assert!(error.is_record_error());
    }
    let other = One { shape: Shape::Other, ..One::new(Value::Null) };
    assert_eq!(extract(TimeUnit::Days, &other).unwrap_err().kind(), &ErrorKind::NotStruct);
}

#[test]
fn a_microsecond_field_lands_in_its_hour() {
    let properties = [
        ("partitioner.class", "HourlyPartitioner"),
        ("timezone", "UTC"),
        ("locale", "en"),
        ("timestamp.extractor", "RecordField"),
        ("timestamp.field", "f"),
        ("rotate.interval.ms", "1000"),
    ];
    let one = One::new(Value::Int64(1_709_622_489_123_456));
    let record = Record::new("t", 0, 0).with_value(&one);
    let path = |properties: &[(&str, &str)]| {
        settings(properties).paths().encode(&record, at(0)).unwrap().to_owned()
    };
    assert!(path(&properties).starts_with("year=56145/"));
    let with_unit: Vec<_> =
        properties.into_iter().chain([("timestamp.field.unit", "us")]).collect();
    assert_eq!(path(&with_unit), "year=2024/month=03/day=05/hour=07");
}

/// What may be in a text, as it is and as Hive writes it.
const TEXTS: [(&str, &str); 9] = [
    ("eu", "eu"),
    ("", "__HIVE_DEFAULT_PARTITION__"),
    ("..", ".."),
    ("a/../../b", "a%2F..%2F..%2Fb"),
    ("nul\0 and \u{1f} and \u{7f}", "nul%00 and %1F and %7F"),
    ("\"#%'*/:=?\\{[]^", "%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E"),
    ("grüße 🦀", "grüße 🦀"),
    ("🦀/🦀", "🦀%2F🦀"),
    ("__HIVE_DEFAULT_PARTITION__", "__HIVE_DEFAULT_PARTITION__"),
];

#[test]
fn values_are_verbatim_or_as_hive_writes_them() {
    let plain = settings(&[("partitioner.class", "field"), ("partition.field.name", "f")]);
    let hive = settings(&[
        ("partitioner.class", "field"),
        ("partition.field.name", "f"),
        ("partition.value.escape", "hive"),
    ]);
    let encode = |settings: &Settings, value| {
        let one = One::new(value);
        let record = Record::new("t", 0, 0).with_value(&one);
        let mut path = String::new();
        settings.partitioner().encode(&record, at(0), &mut path).unwrap();
        assert_eq!(settings.paths().encode(&record, at(0)).unwrap(), path);
        path
    };
    for (text, escaped) in TEXTS {
        assert_eq!(encode(&plain, Value::String(text)), format!("f={text}"));
        assert_eq!(encode(&hive, Value::String(text)), format!("f={escaped}"));
        assert!(!escaped.contains('/'));
    }
    assert_eq!(encode(&plain, Value::Null), "f=null");
    assert_eq!(encode(&hive, Value::Null), "f=__HIVE_DEFAULT_PARTITION__");
    assert_eq!(encode(&hive, Value::Int64(-7)), "f=-7");
    assert_eq!(encode(&hive, Value::Boolean(true)), "f=true");
    // What comes between fields is no value.
    let two = FieldPartitioner::new(["f", "f"]).unwrap().with_hive_escaping();
    let (one, mut path) = (One::new(Value::String("a/b")), String::new());
    two.encode(&Record::new("t", 0, 0).with_value(&one), at(0), &mut path).unwrap();
    assert_eq!(path, "f=a%2Fb/f=a%2Fb");
}

#[test]
fn a_key_that_the_store_would_refuse_is_the_records_fault() {
    let field = [("partitioner.class", "field"), ("partition.field.name", "f")];
    let long = "k".repeat(5_000);
    let emoji = "🦀".repeat(300);
    let encode = |properties: &[(&str, &str)], text: &str| {
        let settings = settings(&field.iter().chain(properties).copied().collect::<Vec<_>>());
        let one = One::new(Value::String(text));
        let record = Record::new("orders", i32::MAX, i64::MAX).with_value(&one);
        let encoded = settings.paths().encode(&record, at(0)).map(str::to_owned)?;
        let mut key = String::new();
        settings.namer().object(&encoded, &record, settings.extension(), &mut key);
        Ok::<_, Error>(key)
    };
    for text in [&long, &emoji] {
        let error = encode(&[], text).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::KeyTooLong);
        assert!(error.is_record_error() && !error.is_reported_by_connector());
        assert!(encode(&[("object.key.max.bytes", "-1")], text).is_ok());
    }
    let mut longest = 0;
    for length in 0..1_100 {
        match encode(&[], &long[..length]) {
            Ok(key) => longest = longest.max(key.len()),
            Err(error) => assert_eq!(error.kind(), &ErrorKind::KeyTooLong),
        }
    }
    // Room is kept for what the largest numbers and the objects of headers need.
    assert!((1_000..=1_024).contains(&longest), "{longest}");
    // A record that could not be placed leaves nothing open.
    let (settings, mut rotation) =
        rotation(&field.into_iter().chain([("object.key.max.bytes", "80")]).collect::<Vec<_>>());
    let one = One::new(Value::String(&long));
    let record = Record::new("t", 0, 9).with_value(&one);
    let mut paths = settings.paths();
    assert!(rotation.place(&mut paths, &record, SchemaKey::NONE, at(0)).is_err());
    assert_eq!((rotation.record_count(), rotation.end()), (0, None));
}

#[test]
fn bad_records_are_told_apart() {
    let every: Vec<Error> = [
        (Value::Null, "f"),
        (Value::Composite, "f"),
        (Value::DateOrTime(1), "f"),
        (Value::String("yesterday"), "f"),
    ]
    .into_iter()
    .map(|(value, name)| {
        let one = One::new(value);
        let record = Record::new("t", 0, 0).with_value(&one);
        TimestampExtractor::RecordField(name.to_owned()).extract(&record, at(0)).unwrap_err()
    })
    .collect();
    let class = |error: &Error| error.java_class().unwrap().rsplit('.').next().unwrap();
    assert_eq!(
        every.iter().map(class).collect::<Vec<_>>(),
        ["DataException", "PartitionException", "ClassCastException", "IllegalArgumentException"]
    );
    let (all, strict) = (settings(&[]), settings(&[("errors.scope", "connector")]));
    assert_eq!(
        (all.bad_records(), strict.bad_records()),
        (BadRecords::All, BadRecords::AsConnector)
    );
    assert!(every.iter().all(|error| all.may_skip(error)));
    let skipped: Vec<_> = every.iter().map(|error| strict.may_skip(error)).collect();
    assert_eq!(skipped, [false, true, false, false]);
    // What no other record would escape is nobody's to skip.
    let config = read(&[("partitioner.class", "moon")]).unwrap_err();
    assert!(!all.may_skip(&config) && config.java_class().is_none());
}

#[test]
fn wrong_values_of_our_own_keys_are_named() {
    for (key, value) in [
        ("rotate.bytes", "0"),
        ("rotate.bytes", "-2"),
        ("rotate.bytes", "many"),
        ("rotate.idle.ms", "0"),
        ("schema.files", "merge"),
        ("timestamp.field.unit", "fortnights"),
        ("partition.value.escape", "url"),
        ("object.key.max.bytes", "0"),
        ("offset.metadata.max.bytes", "127"),
        ("errors.scope", "none"),
    ] {
        let error = read(&[(key, value)]).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Property(key.to_owned()), "{key}={value}");
    }
    let both = [("schema.files", "separate"), ("schema.compatibility", "BACKWARD")];
    assert_eq!(read(&both).unwrap_err().kind(), &ErrorKind::Property("schema.files".to_owned()));
    let off = [
        ("rotate.bytes", "-1"),
        ("rotate.idle.ms", "-1"),
        ("object.key.max.bytes", "-1"),
        ("offset.metadata.max.bytes", "4096"),
        ("schema.files", "rotate"),
        ("partition.value.escape", "none"),
        ("errors.scope", "all"),
        ("timestamp.field.unit", "semantic"),
    ];
    assert!(settings(&off).unused_keys().is_empty());
}
