use super::*;
use crate::broker::batch::{self, Outcome};
use crate::broker::records::tests::batch;

const RULES: Rules = Rules { dirty_ratio: 0.5, delete_retention_ms: 1000, min_lag_ms: 0 };

type Pairs<'a> = &'a [(Option<&'a str>, Option<&'a str>)];

/// Each batch closes the file of the one before it.
fn open(dir: &Path) -> Log {
    Log::open(dir, 14, |_| ()).unwrap()
}

fn write(log: &mut Log, pairs: Pairs<'_>) -> i64 {
    let (header, bytes) = batch(pairs);
    log.append(&header, &bytes).unwrap()
}

fn write_as(log: &mut Log, producer_id: i64, pairs: Pairs<'_>) -> i64 {
    let (mut header, bytes) = batch(pairs);
    // Written as it is: the heads that the log keeps are those of the file.
    let mut bytes = bytes;
    bytes[21..23].copy_from_slice(&(1i16 << 4).to_be_bytes());
    bytes[43..51].copy_from_slice(&producer_id.to_be_bytes());
    let count = header.record_count;
    batch::reseal(&mut bytes, header.max_timestamp, count).unwrap();
    header = BatchHeader::parse(&bytes).unwrap();
    log.append(&header, &bytes).unwrap()
}

fn context() -> Context {
    Context { aborted: Vec::new(), newest: HashSet::new() }
}

fn compact(log: &mut Log, context: &Context, now: i64) -> bool {
    let Some(pass) = log.plan_compaction(&RULES, i64::MAX, now).unwrap() else { return false };
    let mut swapped = Vec::new();
    let progress = pass.run(
        context,
        || false,
        |cleaned| {
            log.swap(cleaned)?;
            swapped.push(());
            Ok(())
        },
    );
    log.finish_compaction(progress.unwrap());
    true
}

/// Offset, key and whether it is a tombstone, of every record.
fn contents(log: &Log) -> Vec<(i64, Option<String>, bool)> {
    let mut all = Vec::new();
    for segment in &log.segments {
        let span = segment.whole();
        let mut heads = span.heads();
        while let Some((header, bytes)) = heads.next_batch().unwrap() {
            assert!(header.is_intact(&bytes));
            for record in records::parse(&header, &bytes).unwrap() {
                let key = record.key.map(|key| String::from_utf8(key.to_vec()).unwrap());
                all.push((record.offset, key, record.is_tombstone));
            }
        }
    }
    all
}

fn of(offset: i64, key: &str) -> (i64, Option<String>, bool) {
    (offset, Some(key.to_owned()), false)
}

fn now() -> i64 {
    crate::broker::node::now_ms()
}

#[test]
fn the_last_record_of_each_key_stays_and_every_offset_still_leads_somewhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    write(&mut log, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    write(&mut log, &[(Some("a"), Some("2")), (None, Some("keyless"))]);
    write(&mut log, &[(Some("a"), Some("3")), (Some("c"), Some("1"))]);
    write(&mut log, &[(Some("c"), Some("2"))]);
    write(&mut log, &[(Some("b"), Some("active"))]);
    let end = log.end();
    assert!(compact(&mut log, &context(), now()));
    let expected = [of(1, "b"), (3, None, false), of(4, "a"), of(6, "c"), of(7, "b")];
    assert_eq!(contents(&log), expected);
    assert_eq!((log.first_offset(), log.next_offset(), log.end()), (0, 8, end));
    assert!(!compact(&mut log, &context(), now()), "nothing is new");
    drop(log);

    let log = open(dir.path());
    assert_eq!(contents(&log), expected);
    assert_eq!((log.first_offset(), log.next_offset()), (0, 8));
    for offset in 0..8 {
        let span = log.around_offset(offset).unwrap();
        let found = super::super::seek(&span, |header| header.next_offset() > offset).unwrap();
        let next = found.unwrap().1.next_offset();
        assert!(next > offset, "{offset}: {next}");
    }
}

#[test]
fn files_that_become_empty_go_and_offsets_in_them_lead_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for _ in 0..10 {
        write(&mut log, &[(Some("a"), Some("1"))]);
    }
    assert!(compact(&mut log, &context(), now()));
    assert_eq!(contents(&log), [of(8, "a"), of(9, "a")]);
    // The first, the last that is closed, the newest.
    assert_eq!(log.segments.len(), 3);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    for mut log in [log, open(dir.path())] {
        for offset in 0..9 {
            let span = log.around_offset(offset).unwrap();
            let (_, header) = super::super::seek(&span, |_| true).unwrap().unwrap();
            assert_eq!(header.base_offset, 8);
        }
        assert_eq!(log.first_offset(), 0);
        assert!(log.around_offset(10).is_none());
        let (header, bytes) = batch(&[(Some("b"), None)]);
        assert!(log.append(&header, &bytes).unwrap() >= 10);
    }
}

#[test]
fn a_tombstone_goes_after_its_time_and_not_before_what_it_removes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    write(&mut log, &[(Some("a"), Some("1"))]);
    write(&mut log, &[(Some("a"), None)]);
    write(&mut log, &[(Some("b"), Some("active"))]);
    let late = now() + 10_000;
    // Its time is over, but readers have not had a log without the value yet.
    assert!(compact(&mut log, &context(), late));
    let tombstone = (1, Some("a".to_owned()), true);
    assert_eq!(contents(&log), [tombstone.clone(), of(2, "b")]);
    assert!(!compact(&mut log, &context(), now() - 10_000), "not yet");
    assert_eq!(contents(&log), [tombstone, of(2, "b")]);
    assert!(compact(&mut log, &context(), late));
    assert_eq!(contents(&log), [of(2, "b")]);
    assert!(!compact(&mut log, &context(), late), "it is gone");
}

#[test]
fn aborted_records_outdate_nothing_and_the_ends_of_transactions_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    write_as(&mut log, 7, &[(Some("a"), Some("committed"))]);
    let end = |log: &mut Log, outcome| {
        let (header, bytes) = batch::marker(7, 0, outcome, 0);
        log.append(&header, &bytes).unwrap()
    };
    end(&mut log, Outcome::Commit);
    write_as(&mut log, 7, &[(Some("a"), Some("aborted"))]);
    end(&mut log, Outcome::Abort);
    write(&mut log, &[(Some("b"), Some("active"))]);
    let aborted = Aborted { producer_id: 7, first_offset: 2, last_offset: 3 };
    let context = Context { aborted: vec![aborted], newest: HashSet::new() };
    assert!(compact(&mut log, &context, now()));
    let mut kept = Vec::new();
    drop(log);
    Log::open(dir.path(), 14, |seen| kept.push((seen.header.base_offset, seen.outcome))).unwrap();
    let markers = [(1, Some(Outcome::Commit)), (3, Some(Outcome::Abort))];
    assert_eq!(kept, [(0, None), markers[0], markers[1], (4, None)]);
}

#[test]
fn what_cannot_be_read_stays_and_so_do_tombstones_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let (_, mut bytes) = batch(&[(Some("a"), Some("packed"))]);
    bytes[22] = 4;
    let header = BatchHeader::parse(&bytes).unwrap();
    batch::reseal(&mut bytes, header.max_timestamp, 1).unwrap();
    log.append(&BatchHeader::parse(&bytes).unwrap(), &bytes).unwrap();
    write(&mut log, &[(Some("a"), None)]);
    write(&mut log, &[(Some("b"), Some("active"))]);
    for _ in 0..2 {
        compact(&mut log, &context(), now() + 10_000);
        let offsets = [0, 1, 2].map(|offset| {
            let span = log.around_offset(offset).unwrap();
            let found = super::super::seek(&span, |header| header.next_offset() > offset);
            found.unwrap().unwrap().1.base_offset
        });
        assert_eq!(offsets, [0, 1, 2]);
    }
}

#[test]
fn the_newest_batch_of_a_producer_stays_though_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    write(&mut log, &[(Some("a"), Some("1"))]);
    write(&mut log, &[(Some("a"), Some("2"))]);
    write(&mut log, &[(Some("a"), Some("active"))]);
    let context = Context { aborted: Vec::new(), newest: HashSet::from([0]) };
    assert!(compact(&mut log, &context, now()));
    drop(log);
    let mut kept = Vec::new();
    Log::open(dir.path(), 14, |seen| {
        kept.push((seen.header.base_offset, seen.header.record_count))
    })
    .unwrap();
    assert_eq!(kept, [(0, 0), (1, 1), (2, 1)]);
}

#[test]
fn a_pass_that_is_stopped_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for _ in 0..5 {
        write(&mut log, &[(Some("a"), Some("1"))]);
    }
    let pass = log.plan_compaction(&RULES, i64::MAX, now()).unwrap().unwrap();
    let left = std::cell::Cell::new(7);
    let is_stopped = || left.replace(left.get().max(1) - 1) == 1;
    let stopped = pass.run(&context(), is_stopped, |cleaned| log.swap(cleaned));
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    fs::write(dir.path().join("00000000000000000001.cleaned"), "torn").unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(contents(&log).last(), Some(&of(4, "a")));
    assert!(fs::read_dir(dir.path()).unwrap().all(|entry| {
        entry.unwrap().path().extension().is_some_and(|extension| extension == "log")
    }));
}
