use super::*;
use std::os::unix::fs::FileExt as _;

/// A batch of `count` records whose payload is filler: the log never looks inside.
fn batch(count: i32, timestamp: i64, payload: usize) -> (BatchHeader, Vec<u8>) {
    let mut bytes = vec![0u8; HEADER_LEN];
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
    bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
    bytes[43..51].copy_from_slice(&(-1i64).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.resize(HEADER_LEN + payload, 0xAB);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    (BatchHeader::accept(&bytes).unwrap(), bytes)
}

fn fill(log: &mut Log, batches: i64) {
    for i in 0..batches {
        let (header, bytes) = batch(3, 1000 + i, 200);
        assert_eq!(log.append(&header, &bytes).unwrap(), i * 3);
    }
}

fn find(log: &Log, offset: i64) -> BatchHeader {
    let span = log.around_offset(offset).unwrap();
    seek(&span, |header| header.next_offset() > offset).unwrap().unwrap().1
}

#[test]
fn every_offset_is_found_across_files_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), 300_000, |_| ()).unwrap();
    fill(&mut log, 3000);
    assert!(log.segments.len() > 2, "{} files", log.segments.len());
    let end = log.end();
    drop(log);
    let mut seen = 0;
    let log = Log::open(dir.path(), 300_000, |stored| seen += stored.header.record_count).unwrap();
    assert_eq!((seen, log.next_offset(), log.end()), (9000, 9000, end));
    for offset in (0..9000).step_by(7) {
        assert_eq!(find(&log, offset).base_offset, offset / 3 * 3);
    }
    for time in [0, 1000, 1001, 2500, 3999] {
        let span = log.around_time(time).unwrap();
        let (_, header) = seek(&span, |header| header.max_timestamp >= time).unwrap().unwrap();
        assert_eq!(header.max_timestamp, time.max(1000));
    }
    assert!(log.around_time(4000).is_none());
}

#[test]
fn a_torn_tail_is_cut_and_appending_goes_on_behind_the_last_good_batch() {
    for damage in ["short", "flipped", "junk"] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), u64::MAX, |_| ()).unwrap();
        fill(&mut log, 10);
        let good = log.end();
        drop(log);
        let path = dir.path().join("00000000000000000000.log");
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let kept = match damage {
            "short" => {
                file.set_len(good - 1).unwrap();
                9
            }
            "flipped" => {
                file.write_all_at(&[0], good - 1).unwrap();
                9
            }
            _ => {
                file.write_all_at(&[7; 500], good).unwrap();
                10
            }
        };
        let mut log = Log::open(dir.path(), u64::MAX, |_| ()).unwrap();
        assert_eq!(log.next_offset(), kept * 3, "{damage}");
        assert_eq!(file.metadata().unwrap().len(), log.end(), "{damage}");
        let (header, bytes) = batch(3, 1, 200);
        assert_eq!(log.append(&header, &bytes).unwrap(), kept * 3);
        assert_eq!(find(&log, kept * 3).base_offset, kept * 3);
    }
}

#[test]
fn reading_keeps_to_the_limit_in_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), u64::MAX, |_| ()).unwrap();
    fill(&mut log, 10);
    let one = HEADER_LEN + 200;
    let span = log.around_offset(0).unwrap();
    assert_eq!(read(&span, one * 3 - 1, true).unwrap().len(), one * 2);
    assert_eq!(read(&span, one - 1, false).unwrap().len(), 0);
    assert_eq!(read(&span, 1, true).unwrap().len(), one);
    assert_eq!(read(&span, usize::MAX, true).unwrap().len(), one * 10);
    assert_eq!(read(&span.part(log.end(), log.end()), 100, true).unwrap().len(), 0);
}
