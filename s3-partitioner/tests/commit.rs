//! The commit plan, step by step.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed call is a failed test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    CommitPlan, ErrorKind, Intent, OffsetCommit, Paths, Reason, Record, Rotate, Rotation,
    RotationConfig, SchemaKey, Settings,
};

const SCHEMA: SchemaKey = SchemaKey::new(1);

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn place(rotation: &mut Rotation, paths: &mut Paths, offset: i64, now: SystemTime) -> Rotate {
    rotation.place(paths, &Record::new("t", 0, offset), SCHEMA, now).unwrap()
}

fn announce(plan: &mut CommitPlan, rotation: &Rotation) -> OffsetCommit {
    match plan.intent(rotation).unwrap() {
        Intent::Announce(step) => step,
        other => panic!("{other:?}"),
    }
}

fn paths() -> Paths {
    Settings::from_properties([("flush.size", "1")]).unwrap().paths()
}

fn by_the_minute(properties: &[(&str, &str)]) -> Settings {
    let all = [
        ("flush.size", "1000"),
        ("partitioner.class", "TimeBasedPartitioner"),
        ("path.format", "mm"),
        ("partition.duration.ms", "60000"),
        ("timezone", "UTC"),
        ("locale", "en"),
    ];
    Settings::from_properties(all.into_iter().chain(properties.iter().copied())).unwrap()
}

#[test]
fn a_crash_after_the_intent_repeats_the_rotation() {
    let config = RotationConfig::new(1_000).unwrap().with_schedule_ms(60_000, "UTC").unwrap();
    let (mut plan, mut paths) = (CommitPlan::new(800), paths());
    let mut rotation = plan.rotation(config.clone());
    for offset in 800..829 {
        assert_eq!(place(&mut rotation, &mut paths, offset, at(10)), Rotate::Keep);
    }
    assert_eq!(rotation.deadline(), Some(at(60)));
    assert!(!rotation.due(at(59)));
    assert!(rotation.due(at(60)));
    assert_eq!(rotation.reason(), Some(Reason::Schedule));
    let intent = announce(&mut plan, &rotation);

    // Another owner reads on, when the wall clock would rotate elsewhere and more is there.
    let mut plan = CommitPlan::recover(intent.offset(), intent.metadata()).unwrap();
    let mut rotation = plan.rotation(config);
    for offset in plan.resume()..828 {
        let now = at(1_000 + 60 * offset.unsigned_abs());
        assert_eq!(place(&mut rotation, &mut paths, offset, now), Rotate::Keep);
        assert!(!rotation.due(now));
        assert_eq!(rotation.deadline(), None);
        assert_eq!(plan.intent(&rotation).unwrap(), Intent::Bound);
    }
    let now = at(100_000);
    assert_eq!(place(&mut rotation, &mut paths, 828, now), Rotate::After);
    assert_eq!(rotation.reason(), Some(Reason::Forced));
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Announced);
    let files: Vec<_> = plan.objects(&rotation).unwrap().collect();
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].start_offset(), files[0].records()), (800, 29));
    assert_eq!(plan.commit().unwrap().offset(), 829);
    plan.acknowledged();
    rotation.closed(now);
    assert!(!rotation.is_bound());
    assert_eq!(place(&mut rotation, &mut paths, 829, now), Rotate::Keep);
    assert!(rotation.due(now + Duration::from_secs(60)));
}

#[test]
fn the_wall_clock_is_repeated_too() {
    let settings = by_the_minute(&[]);
    let (mut plan, mut paths) = (CommitPlan::new(0), settings.paths());
    let mut rotation = plan.rotation(settings.rotation().clone());
    // A clock that is put back is as good as one that goes on.
    let minutes = [0, 0, 1, 1, 3, 2, 2];
    for (offset, minute) in (0..).zip(minutes) {
        let _ = place(&mut rotation, &mut paths, offset, at(minute * 60 + 7));
    }
    let starts = |rotation: &Rotation| -> Vec<(String, i64, u64)> {
        let files = rotation.open_files();
        files.map(|f| (f.encoded().to_owned(), f.start_offset(), f.records())).collect()
    };
    let written = starts(&rotation);
    assert_eq!(written.len(), 4);
    let intent = announce(&mut plan, &rotation);
    let points = "[[0,7000],[2,67000],[4,187000],[5,127000]]";
    assert_eq!(intent.metadata(), format!("{{\"end\":6,\"clock\":{points}}}"));

    let plan = CommitPlan::recover(0, intent.metadata()).unwrap();
    let mut rotation = plan.rotation(settings.rotation().clone());
    for offset in 0..7 {
        let _ = place(&mut rotation, &mut paths, offset, at(1_000_000));
    }
    assert_eq!(starts(&rotation), written);
}

#[test]
fn what_does_not_fit_the_metadata_is_closed_before() {
    let settings = by_the_minute(&[]);
    let config = settings.rotation().clone().with_metadata_limit(128).unwrap();
    let (mut plan, mut paths) = (CommitPlan::new(0), settings.paths());
    let mut rotation = plan.rotation(config);
    let mut rotations = 0;
    for offset in 0..1_000_i64 {
        let now = at(60 * offset.unsigned_abs());
        loop {
            if place(&mut rotation, &mut paths, offset, now) != Rotate::Before {
                break;
            }
            assert_eq!(rotation.reason(), Some(Reason::Metadata));
            let intent = announce(&mut plan, &rotation);
            assert!(intent.metadata().len() <= 128, "{}", intent.metadata());
            plan.acknowledged();
            plan.commit().unwrap();
            plan.acknowledged();
            rotation.closed(now);
            rotations += 1;
        }
    }
    assert!((100..600).contains(&rotations), "{rotations}");
    assert!(settings.rotation().clone().with_metadata_limit(127).is_err());
}

#[test]
fn steps_are_taken_in_their_order() {
    let (mut plan, mut paths) = (CommitPlan::new(0), paths());
    let mut rotation = plan.rotation(RotationConfig::new(10).unwrap());
    let is_step = |error: s3_partitioner::Error| {
        assert_eq!(error.kind(), &ErrorKind::Step);
        assert!(!error.is_record_error());
    };
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Nothing);
    let _ = place(&mut rotation, &mut paths, 0, at(0));
    is_step(plan.objects(&rotation).map(Iterator::count).unwrap_err());
    is_step(plan.commit().unwrap_err());
    let first = announce(&mut plan, &rotation);
    // Nothing becomes visible before the broker has answered, which may be asked again.
    is_step(plan.objects(&rotation).map(Iterator::count).unwrap_err());
    is_step(plan.commit().unwrap_err());
    assert_eq!(announce(&mut plan, &rotation), first);
    let _ = place(&mut rotation, &mut paths, 1, at(0));
    is_step(plan.intent(&rotation).unwrap_err());

    let mut refused = plan.clone();
    refused.refused();
    refused.acknowledged();
    is_step(refused.intent(&rotation).unwrap_err());
    is_step(refused.objects(&rotation).map(Iterator::count).unwrap_err());
    is_step(refused.commit().unwrap_err());

    plan.acknowledged();
    is_step(plan.intent(&rotation).unwrap_err());
    assert_eq!(plan.announced_end(), Some(0));
    assert_eq!(plan.commit().unwrap(), plan.commit().unwrap());
    is_step(plan.objects(&rotation).map(Iterator::count).unwrap_err());
    plan.acknowledged();
    assert_eq!((plan.resume(), plan.announced_end()), (1, None));
    assert_eq!(plan, CommitPlan::new(1));
}

#[test]
fn a_rotation_that_forgot_the_announcement_is_caught() {
    let mut plan = CommitPlan::recover(0, r#"{"end":5}"#).unwrap();
    let mut rotation = Rotation::new(RotationConfig::new(1).unwrap());
    let _ = place(&mut rotation, &mut paths(), 0, at(0));
    assert_eq!(plan.intent(&rotation).unwrap_err().kind(), &ErrorKind::Step);
}

#[test]
fn an_announced_end_that_compaction_removed_still_bounds() {
    let config = RotationConfig::new(1_000).unwrap();
    let recovered = CommitPlan::recover(2, r#"{"end":5}"#).unwrap();
    let mut paths = paths();

    // The next record shows it...
    let (mut plan, mut rotation) = (recovered.clone(), recovered.rotation(config.clone()));
    assert_eq!(place(&mut rotation, &mut paths, 3, at(0)), Rotate::Keep);
    assert_eq!(place(&mut rotation, &mut paths, 7, at(0)), Rotate::Before);
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Announced);
    assert_eq!(plan.commit().unwrap().offset(), 6);
    plan.acknowledged();
    rotation.closed(at(0));
    assert_eq!(place(&mut rotation, &mut paths, 7, at(0)), Rotate::Keep);
    assert_eq!(announce(&mut plan, &rotation).metadata(), r#"{"end":7}"#);

    // ...or the end of the log.
    let (mut plan, mut rotation) = (recovered.clone(), recovered.rotation(config.clone()));
    assert_eq!(place(&mut rotation, &mut paths, 3, at(0)), Rotate::Keep);
    assert!(!rotation.passed(5));
    assert!(rotation.passed(6));
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Announced);
    assert_eq!(plan.objects(&rotation).unwrap().count(), 1);

    // With nothing left of it there is nothing to repeat.
    let (mut plan, mut rotation) = (recovered.clone(), recovered.rotation(config));
    assert!(rotation.is_bound());
    assert!(!rotation.passed(6));
    assert!(!rotation.is_bound());
    assert_eq!(place(&mut rotation, &mut paths, 7, at(0)), Rotate::Keep);
    let intent = announce(&mut plan, &rotation);
    assert_eq!((intent.offset(), intent.metadata()), (2, r#"{"end":7}"#));
}

#[test]
fn only_our_metadata_is_believed() {
    for foreign in ["{}", "{\"end\":}", "{\"end\":1", "x", "{\"end\":1,\"x\":2}", "{\"end\": 1 }"] {
        let error = CommitPlan::recover(0, foreign).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Metadata, "{foreign}");
        assert!(!error.is_record_error());
    }
    assert_eq!(CommitPlan::recover(5, "").unwrap(), CommitPlan::new(5));
    // Step 3 went through, but an old metadata string came back.
    assert_eq!(CommitPlan::recover(5, "{\"end\":4}").unwrap().announced_end(), None);
}

#[test]
fn what_goes_into_no_object_is_not_read_again() {
    let (mut plan, mut paths) = (CommitPlan::new(0), paths());
    let config = RotationConfig::new(1).unwrap();
    let mut rotation = plan.rotation(config.clone());
    rotation.skipped(0);
    assert_eq!(place(&mut rotation, &mut paths, 1, at(0)), Rotate::After);
    rotation.rejected();
    let Intent::Skip(step) = plan.intent(&rotation).unwrap() else { panic!("nothing is open") };
    assert_eq!((step.offset(), step.metadata()), (2, ""));
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Skip(step));
    plan.acknowledged();
    rotation.closed(at(0));
    assert_eq!(plan, CommitPlan::new(2));

    // Behind what is written it belongs to the rotation, also when that is repeated.
    assert_eq!(place(&mut rotation, &mut paths, 2, at(0)), Rotate::After);
    rotation.skipped(3);
    assert_eq!((rotation.last_offset(), rotation.end()), (Some(2), Some(3)));
    let intent = announce(&mut plan, &rotation);
    assert_eq!(intent.metadata(), r#"{"end":3}"#);
    let mut plan = CommitPlan::recover(2, intent.metadata()).unwrap();
    let mut rotation = plan.rotation(config);
    assert_eq!(place(&mut rotation, &mut paths, 2, at(0)), Rotate::Keep);
    assert!(!rotation.due(at(0)));
    rotation.skipped(3);
    assert!(rotation.due(at(0)));
    assert_eq!(plan.intent(&rotation).unwrap(), Intent::Announced);
}
