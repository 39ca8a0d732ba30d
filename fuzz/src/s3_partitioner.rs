//! Targets of `s3-partitioner`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use s3_partitioner::{
    CommitPlan, FieldPartitioner, Fields, Intent, Partitioner as _, Paths, Record, Rotate,
    RotationConfig, SchemaKey, TimePartitioner, TimeUnit, TimestampExtractor, Value,
};

/// A partitioner by time: eight bytes of timestamp, four of duration, then path format, time zone,
/// locale and delimiter, each on its line.
pub fn pattern(data: &[u8]) {
    let Some((time, data)) = data.split_first_chunk::<8>() else { return };
    let Some((span, data)) = data.split_first_chunk::<4>() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = |default| lines.next().unwrap_or(default);
    let (format, zone, locale, delimiter) = (line(""), line("UTC"), line("en"), line("/"));
    let span = Duration::from_millis(u32::from_be_bytes(*span).into());
    let partitioner = TimePartitioner::new(format, span, zone)
        .and_then(|partitioner| partitioner.with_locale(locale))
        .and_then(|partitioner| partitioner.with_delimiter(delimiter));
    let partitioner = match partitioner {
        Ok(partitioner) => partitioner.with_extractor(TimestampExtractor::Record),
        Err(error) => return drop(error.to_string()),
    };
    let record = Record::new("t", 0, 0).with_timestamp_ms(i64::from_be_bytes(*time));
    let (mut first, mut second) = (String::new(), String::new());
    match partitioner.encode(&record, UNIX_EPOCH, &mut first) {
        // A letter prints at most the name of a zone.
        Ok(()) => assert!(first.len() <= 64 * (format.len() + 1)),
        Err(error) => drop(error.to_string()),
    }
    let _ = partitioner.encode(&record, UNIX_EPOCH, &mut second);
    assert_eq!(first, second);

    // What is remembered is what would be printed, at the time and around it.
    let mut paths = Paths::from(partitioner.clone());
    let time = i64::from_be_bytes(*time);
    for distance in [0, 1, -1, 1_800_000, -90_000_000, 90_000_000, 0] {
        let record = Record::new("t", 0, 0).with_timestamp_ms(time.wrapping_add(distance));
        first.clear();
        let printed = partitioner.encode(&record, UNIX_EPOCH, &mut first);
        match (printed, paths.encode(&record, UNIX_EPOCH)) {
            (Ok(()), Ok(path)) => assert_eq!(path, first),
            (printed, remembered) => assert_eq!(printed.err(), remembered.map(drop).err()),
        }
    }
}

/// A timestamp as text in a field, in every unit, and the text as a directory.
pub fn timestamp(data: &[u8]) {
    #[derive(Debug)]
    struct Text<'a>(&'a str);

    impl Fields for Text<'_> {
        fn field(&self, path: &str) -> Option<Value<'_>> {
            (path == "ts").then_some(Value::String(self.0))
        }
    }

    let Ok(text) = std::str::from_utf8(data) else { return };
    let value = Text(text);
    let record = Record::new("t", 0, 0).with_value(&value);
    let extractor = TimestampExtractor::RecordField("ts".to_owned());
    match extractor.extract(&record, UNIX_EPOCH) {
        Ok(time) => assert!(time.is_some()),
        Err(error) => assert!(error.is_record_error(), "{error}"),
    }
    for unit in [
        TimeUnit::BySemanticType,
        TimeUnit::Days,
        TimeUnit::Seconds,
        TimeUnit::Microseconds,
        TimeUnit::Nanoseconds,
    ] {
        let extractor = TimestampExtractor::RecordFieldIn("ts".to_owned(), unit);
        match extractor.extract(&record, UNIX_EPOCH) {
            Ok(time) => assert!(time.is_some()),
            Err(error) => assert!(error.is_record_error(), "{error}"),
        }
    }
    let Ok(partitioner) = FieldPartitioner::new(["ts"]) else { return };
    let (mut plain, mut escaped) = (String::new(), String::new());
    let encode = |partitioner: &FieldPartitioner, out: &mut String| {
        assert!(partitioner.encode(&record, UNIX_EPOCH, out).is_ok());
        assert_eq!(Paths::from(partitioner.clone()).encode(&record, UNIX_EPOCH).ok(), Some(&**out));
    };
    encode(&partitioner, &mut plain);
    encode(&partitioner.with_hive_escaping(), &mut escaped);
    assert_eq!(plain.strip_prefix("ts="), Some(text));
    // One directory, and the text can be read back.
    let escaped = escaped.strip_prefix("ts=").unwrap_or("/");
    assert!(!escaped.contains(|c: char| c == '/' || c.is_ascii_control()));
    if !text.is_empty() {
        assert_eq!(unescape(escaped), text);
    }
}

fn unescape(escaped: &str) -> String {
    let mut pieces = escaped.split('%');
    let mut text = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).unwrap_or(("0", piece));
        text.extend(u8::from_str_radix(code, 16).map(char::from));
        text.push_str(rest);
    }
    text
}

/// Eight bytes of committed offset, then the metadata beside it.
pub fn commit(data: &[u8]) {
    let Some((committed, metadata)) = data.split_first_chunk::<8>() else { return };
    let Ok(metadata) = std::str::from_utf8(metadata) else { return };
    let committed = i64::from_be_bytes(*committed);
    let mut plan = match CommitPlan::recover(committed, metadata) {
        Ok(plan) => plan,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(plan.resume(), committed);
    let Some(end) = plan.announced_end() else { return };
    assert!(end >= committed);
    // Whatever the wall clock says now, the files close where it was announced.
    let Ok(partitioner) = TimePartitioner::hourly("UTC") else { return };
    let Ok(config) = RotationConfig::new(1) else { return };
    let mut paths = Paths::new(Arc::new(partitioner));
    let mut rotation = plan.rotation(config);
    for offset in [committed, end] {
        let record = Record::new("t", 0, offset);
        match rotation.place(&mut paths, &record, SchemaKey::new(1), UNIX_EPOCH) {
            Ok(decision) => assert_eq!(decision == Rotate::After, offset == end),
            // An announced time at the ends of the calendar.
            Err(error) => return drop(error.to_string()),
        }
        if offset == end {
            break;
        }
        assert_eq!(plan.intent(&rotation).ok(), Some(Intent::Bound));
    }
    assert_eq!(plan.intent(&rotation).ok(), Some(Intent::Announced));
    assert!(plan.objects(&rotation).is_ok_and(|files| files.count() > 0));
    assert_eq!(plan.commit().ok().map(|step| step.offset()), Some(end.saturating_add(1)));
    plan.acknowledged();
    assert_eq!(plan, CommitPlan::new(end.saturating_add(1)));
}
