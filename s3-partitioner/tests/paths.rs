//! Paths that are remembered are those that would be printed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    DefaultPartitioner, FieldPartitioner, Fields, Partitioner, Paths, Record, SchemaAffix,
    SchemaAffixPartitioner, Shape, TimePartitioner, TimestampExtractor, Tombstone,
    TombstonePartitioner, Value,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn assert_same<P>(partitioner: &P, paths: &mut Paths, record: &Record<'_>, now: SystemTime)
where
    P: Partitioner,
{
    let mut printed = String::new();
    let direct = partitioner.encode(record, now, &mut printed);
    match (direct, paths.encode(record, now)) {
        (Ok(()), Ok(path)) => assert_eq!(path, printed, "{record:?} {now:?}"),
        (Err(direct), Err(remembered)) => assert_eq!(direct, remembered),
        (direct, remembered) => panic!("{record:?}: {direct:?}, but {remembered:?}"),
    }
    assert_eq!(paths.wall_clock_bucket(now), partitioner.wall_clock_bucket(now));
}

fn at(ms: i64) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// Instants around everything that can go wrong, and many others, in no order.
fn instants() -> Vec<i64> {
    let mut all = Vec::new();
    let edges = [
        0,
        DAY,
        // Summer time begins and ends in Sydney, New York, Lord Howe; midnights that do not exist
        // in São Paulo and Beirut; a day that does not exist in Samoa.
        1_712_419_200_000,
        1_728_144_000_000,
        1_710_054_000_000,
        1_730_613_600_000,
        1_712_415_600_000,
        1_541_300_400_000,
        1_679_781_600_000,
        1_325_239_200_000,
        // The ends of what zone rules are known for.
        221_845_392_000_000,
        -346_200_000_000_000,
        253_402_300_799_999,
    ];
    for edge in edges {
        for halves in -30..30 {
            all.extend([-1, 0, 1].map(|ms| edge + halves * HOUR / 2 + ms));
        }
    }
    let mut seed = 7_u64;
    for _ in 0..500 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        all.push((seed >> 20).cast_signed() - (1 << 43));
        let other = usize::try_from(seed >> 33).unwrap() % all.len();
        let last = all.len() - 1;
        all.swap(last, other);
    }
    all.extend([i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]);
    all
}

#[test]
fn times_in_every_zone() {
    let instants = instants();
    for zone in [
        "UTC",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "America/New_York",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "-23:59:59",
    ] {
        for span in [1, 7 * 60_000, HOUR, 5 * HOUR, DAY, 7 * DAY, 400 * DAY] {
            let span = Duration::from_millis(span.unsigned_abs());
            let format = "YYYY-MM-dd'T'HH:mm:ss.SSS ZZ";
            let wall = TimePartitioner::new(format, span, zone).unwrap();
            let record = wall.clone().with_extractor(TimestampExtractor::Record);
            let (mut by_wall, mut by_record) =
                (Paths::from(wall.clone()), Paths::from(record.clone()));
            for &ms in &instants {
                let kafka = Record::new("t", 0, 0).with_timestamp_ms(ms);
                assert_same(&record, &mut by_record, &kafka, UNIX_EPOCH);
                // The clock of a system has no such range.
                if ms.unsigned_abs() < 1 << 60 {
                    assert_same(&wall, &mut by_wall, &Record::new("t", 0, 0), at(ms));
                }
            }
            assert_same(&record, &mut by_record, &Record::new("t", 0, 0), UNIX_EPOCH);
        }
    }
}

#[derive(Debug)]
struct Row<'a> {
    fields: Vec<(&'a str, Value<'a>)>,
    schema: &'a str,
}

impl Fields for Row<'_> {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        self.fields.iter().find(|(name, _)| *name == path).map(|(_, value)| *value)
    }

    fn schema_name(&self) -> Option<&str> {
        (self.schema != "none").then_some(self.schema)
    }
}

#[test]
fn fields_of_every_kind() {
    let values = [
        Value::Null,
        Value::String("null"),
        Value::String(""),
        Value::String("true"),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Int8(1),
        Value::Int64(1),
        Value::String("1"),
        Value::Int16(-7),
        Value::Int32(i32::MIN),
        Value::Int64(i64::MAX),
        Value::Float64(1.0),
        Value::DateOrTime(1),
        Value::Composite,
        Value::String("a/../b"),
    ];
    let fields = FieldPartitioner::new(["a", "b.", "c"]).unwrap().with_delimiter("//");
    let affixed = SchemaAffixPartitioner::new(fields.clone(), SchemaAffix::Prefix, "//");
    let whole = TombstonePartitioner::new(affixed, "gone");
    let mut paths = Paths::from(fields.clone());
    let mut outer = Paths::from(fields.clone())
        .with_schema_affix(SchemaAffix::Prefix, "//")
        .with_tombstones("gone");
    let mut any = Paths::new(std::sync::Arc::new(fields.clone()));
    for (index, &a) in values.iter().enumerate() {
        for &b in &values {
            for (c, schema) in [(values[index], "one"), (Value::Int8(3), "two"), (b, "none")] {
                let row = Row { fields: vec![("a", a), ("b", b), ("c", c)], schema };
                let record = Record::new("t", 0, 0).with_value(&row);
                assert_same(&fields, &mut paths, &record, UNIX_EPOCH);
                assert_same(&fields, &mut any, &record, UNIX_EPOCH);
                assert_same(&whole, &mut outer, &record, UNIX_EPOCH);
            }
            let row = Row { fields: vec![("a", a)], schema: "one" };
            assert_same(&fields, &mut paths, &Record::new("t", 0, 0).with_value(&row), UNIX_EPOCH);
        }
        assert_same(&fields, &mut paths, &Record::new("t", 0, 0), UNIX_EPOCH);
        let tombstone = Record::new("t", 0, 0).with_value(&Tombstone);
        assert_eq!(tombstone.value.shape(), Shape::Null);
        assert_same(&whole, &mut outer, &tombstone, UNIX_EPOCH);
    }
}

#[test]
fn partitions_in_turn() {
    let (partitioner, mut paths) =
        (DefaultPartitioner::new(), Paths::from(DefaultPartitioner::new()));
    let suffixed = SchemaAffixPartitioner::new(partitioner, SchemaAffix::Suffix, "/");
    let mut outer = Paths::from(partitioner).with_schema_affix(SchemaAffix::Suffix, "/");
    for partition in [0, 0, 1, i32::MAX, 0, 1, 1] {
        let record = Record::new("t", partition, 0);
        assert_same(&partitioner, &mut paths, &record, UNIX_EPOCH);
        assert_same(&suffixed, &mut outer, &record, UNIX_EPOCH);
    }
}
