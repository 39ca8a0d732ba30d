//! Targets of `s3-partitioner`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use s3_partitioner::{
    CommitPlan, Fields, Intent, Partitioner as _, Paths, Record, Rotate, RotationConfig, SchemaKey,
    TimePartitioner, TimestampExtractor, Value,
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
}

/// A timestamp as text in a field.
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
