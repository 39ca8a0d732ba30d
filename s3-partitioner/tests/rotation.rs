//! Rotation and the commit plan, where the conformance cases do not reach.
#![allow(clippy::unwrap_used, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    ErrorKind, FieldPartitioner, Opaque, Partitioner, Reason, Record, Rotate, Rotation,
    RotationConfig, SchemaKey, Settings, TimePartitioner, TimestampExtractor, Tombstone,
};

const SCHEMA: SchemaKey = SchemaKey::new(1);

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn record(offset: i64) -> Record<'static> {
    Record::new("t", 0, offset)
}

#[test]
fn a_rejected_record_leaves_the_files_open() {
    let mut rotation = Rotation::new(RotationConfig::new(2).unwrap());
    assert_eq!(rotation.observe(&record(0), "a", SCHEMA, at(0)).unwrap(), Rotate::Keep);
    assert_eq!(rotation.observe(&record(1), "b", SCHEMA, at(0)).unwrap(), Rotate::After);
    rotation.rejected();
    assert_eq!((rotation.record_count(), rotation.last_offset()), (1, Some(0)));
    assert_eq!(rotation.reason(), None);
    rotation.rejected();
    assert_eq!(rotation.record_count(), 1, "only the last record can be taken back");
    assert_eq!(rotation.observe(&record(2), "b", SCHEMA, at(0)).unwrap(), Rotate::After);
    let starts: Vec<_> = rotation.open_files().map(|f| (f.encoded(), f.start_offset())).collect();
    assert_eq!(starts, [("a", 0), ("b", 2)]);
}

#[test]
fn tombstones_get_a_directory_of_their_own() {
    let settings = Settings::from_properties([
        ("flush.size", "100"),
        ("behavior.on.null.values", "write"),
        ("tombstone.encoded.partition", "gone"),
    ])
    .unwrap();
    let mut path = String::new();
    settings.partitioner().encode(&record(0).with_value(&Tombstone), at(0), &mut path).unwrap();
    assert_eq!(path, "gone");
    path.clear();
    settings.partitioner().encode(&record(0).with_value(&Opaque), at(0), &mut path).unwrap();
    assert_eq!(path, "partition=0");
}

#[test]
fn the_original_demo() {
    // 829 snapshot rows in files of 100, 29 of them by the minute, then 5 with another schema.
    let settings = Settings::from_properties([
        ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
        ("format.class", "io.confluent.connect.s3.format.avro.AvroFormat"),
        ("partitioner.class", "io.confluent.connect.storage.partitioner.DefaultPartitioner"),
        ("flush.size", "100"),
        ("rotate.schedule.interval.ms", "60000"),
        ("timezone", "Australia/Sydney"),
    ])
    .unwrap();
    assert_eq!(settings.unused_keys(), ["connector.class"]);
    let mut rotation = Rotation::new(settings.rotation().clone());
    let mut starts = Vec::new();
    let mut close = |rotation: &mut Rotation, now| {
        starts.extend(rotation.open_files().map(|file| file.start_offset()));
        rotation.closed(now);
    };
    for offset in 0..829 {
        if rotation.observe(&record(offset), "partition=0", SCHEMA, at(5)).unwrap() != Rotate::Keep
        {
            close(&mut rotation, at(5));
        }
    }
    assert!(rotation.due(at(61)));
    close(&mut rotation, at(61));
    for offset in 829..834 {
        let second = SchemaKey::new(2);
        let keep = rotation.observe(&record(offset), "partition=0", second, at(62)).unwrap();
        assert_eq!(keep, Rotate::Keep);
    }
    let third = rotation.observe(&record(834), "partition=0", SchemaKey::new(3), at(62)).unwrap();
    assert_eq!((third, rotation.reason()), (Rotate::Before, Some(Reason::Schema)));
    close(&mut rotation, at(62));
    assert_eq!(starts, [0, 100, 200, 300, 400, 500, 600, 700, 800, 829]);
}

#[test]
fn bad_configuration_is_named() {
    let kind = |properties: &[(&str, &str)]| {
        let all = properties.iter().copied().chain([("flush.size", "1")]);
        Settings::from_properties(all).unwrap_err().kind().clone()
    };
    let property = |key: &str| ErrorKind::Property(key.to_owned());
    assert_eq!(
        Settings::from_properties([]).unwrap_err().kind(),
        &ErrorKind::MissingProperty("flush.size")
    );
    assert_eq!(kind(&[("rotate.schedule.interval.ms", "1")]), property("timezone"));
    assert_eq!(
        kind(&[("partitioner.max.open.files", "0")]),
        property("partitioner.max.open.files")
    );
    assert_eq!(kind(&[("s3.compression.type", "gzip")]), property("s3.compression.type"));
    assert_eq!(kind(&[("partitioner.class", "Moon")]), property("partitioner.class"));
    assert_eq!(
        kind(&[("partitioner.class", "daily"), ("timezone", "utc"), ("locale", "en")]),
        ErrorKind::TimeZone("utc".to_owned())
    );
    for fields in [&[][..], &[""], &["a..b"], &[".a"], &[" "], &["."]] {
        assert!(FieldPartitioner::new(fields.iter().copied()).is_err(), "{fields:?}");
    }
    assert!(FieldPartitioner::new(["a.b."]).is_ok());
    assert_eq!(
        TimePartitioner::new("yyyy-QQ", Duration::from_secs(1), "UTC").unwrap_err().kind(),
        &ErrorKind::PathFormat { offset: 5 }
    );
}

#[test]
fn any_time_can_be_partitioned() {
    for zone in ["UTC", "America/New_York", "Asia/Kathmandu", "-23:59:59"] {
        let partitioner =
            TimePartitioner::hourly(zone).unwrap().with_extractor(TimestampExtractor::Record);
        for ms in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            let mut path = String::new();
            // Refused or printed, but never a panic.
            match partitioner.encode(&record(0).with_timestamp_ms(ms), at(0), &mut path) {
                Ok(()) => assert!(path.starts_with("year=")),
                Err(error) => assert_eq!(error.kind(), &ErrorKind::TimeRange),
            }
        }
    }
}

#[test]
fn public_types_can_cross_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Settings>();
    check::<Rotation>();
    check::<RotationConfig>();
    check::<s3_partitioner::CommitPlan>();
    check::<TimePartitioner>();
    check::<s3_partitioner::Error>();
}
