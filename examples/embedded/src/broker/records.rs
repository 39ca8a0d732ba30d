//! The records inside an uncompressed batch.

use super::batch::{self, BatchHeader, HEADER_LEN};

/// One record, as far as compaction looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// All of it, its length included.
    raw: &'a [u8],
    pub(super) offset: i64,
    timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    /// It says that its key is gone.
    pub(super) is_tombstone: bool,
}

/// The records of a batch; `None` when it is compressed or not what its head says.
pub(super) fn parse<'a>(header: &BatchHeader, batch: &'a [u8]) -> Option<Vec<Record<'a>>> {
    if header.compression() != 0 {
        return None;
    }
    let mut rest = batch.get(HEADER_LEN..)?;
    let mut records = Vec::new();
    for _ in 0..header.record_count {
        let from = rest;
        let mut body = batch::split_record(&mut rest)?;
        let raw = from.get(..from.len() - rest.len())?;
        let (timestamp_delta, offset_delta) = batch::record_deltas(&mut body)?;
        let key = field(&mut body)?;
        let value = field(&mut body)?;
        records.push(Record {
            raw,
            offset: header.base_offset.checked_add(offset_delta)?,
            timestamp: header.base_timestamp.saturating_add(timestamp_delta),
            key,
            is_tombstone: key.is_some() && value.is_none(),
        });
    }
    rest.is_empty().then_some(records)
}

/// The batch with only some of its records, which keep their offsets.
///
/// It still spans the offsets and sequence numbers that it spanned, also when nothing is left.
pub(super) fn rebuild(
    header: &BatchHeader,
    batch: &[u8],
    kept: &[Record<'_>],
) -> Option<(BatchHeader, Vec<u8>)> {
    let mut bytes = batch.get(..HEADER_LEN)?.to_vec();
    for record in kept {
        bytes.extend_from_slice(record.raw);
    }
    let newest = kept.iter().map(|record| record.timestamp).max();
    let mut rebuilt = BatchHeader {
        len: bytes.len(),
        max_timestamp: newest.unwrap_or(header.max_timestamp),
        record_count: i32::try_from(kept.len()).ok()?,
        ..*header
    };
    rebuilt.crc = batch::reseal(&mut bytes, rebuilt.max_timestamp, rebuilt.record_count)?;
    Some((rebuilt, bytes))
}

/// A key or a value: its length, -1 for none, and that many bytes.
fn field<'a>(body: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = batch::zigzag(body)?;
    if len == -1 {
        return Some(None);
    }
    let (field, rest) = body.split_at_checked(usize::try_from(len).ok()?)?;
    *body = rest;
    Some(Some(field))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch of these keys and values.
    pub(in crate::broker) fn batch(
        pairs: &[(Option<&str>, Option<&str>)],
    ) -> (BatchHeader, Vec<u8>) {
        let (template, marker) = batch::marker(-1, -1, batch::Outcome::Commit, 1000);
        let mut bytes = marker[..HEADER_LEN].to_vec();
        for (delta, (key, value)) in (0u8..).zip(pairs) {
            let mut body = vec![0, delta * 2, delta * 2];
            for field in [key, value] {
                match field {
                    None => body.push(1),
                    Some(text) => {
                        body.push(u8::try_from(text.len() * 2).unwrap());
                        body.extend_from_slice(text.as_bytes());
                    }
                }
            }
            body.push(0);
            bytes.push(u8::try_from(body.len() * 2).unwrap());
            bytes.extend(body);
        }
        let count = i32::try_from(pairs.len()).unwrap();
        bytes[21..23].fill(0);
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        let newest = template.base_timestamp + i64::from(count) - 1;
        batch::reseal(&mut bytes, newest, count).unwrap();
        (BatchHeader::accept(&bytes).unwrap(), bytes)
    }

    #[test]
    fn records_are_found_and_a_batch_can_do_without_some() {
        let pairs =
            [(Some("a"), Some("1")), (None, None), (Some("b"), None), (Some("a"), Some(""))];
        let (header, bytes) = batch(&pairs);
        let records = parse(&header, &bytes).unwrap();
        let keys: Vec<_> = records.iter().map(|record| record.key).collect();
        assert_eq!(keys, [Some(&b"a"[..]), None, Some(b"b"), Some(b"a")]);
        let tombstones: Vec<_> = records.iter().map(|record| record.is_tombstone).collect();
        assert_eq!(tombstones, [false, false, true, false]);

        let (smaller, rebuilt) = rebuild(&header, &bytes, &records[1..3]).unwrap();
        assert!(smaller.is_intact(&rebuilt));
        assert_eq!(BatchHeader::parse(&rebuilt).unwrap(), smaller);
        assert_eq!((smaller.next_offset(), smaller.max_timestamp), (4, 1002));
        let offsets: Vec<_> =
            parse(&smaller, &rebuilt).unwrap().iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [1, 2]);

        let (empty, rebuilt) = rebuild(&header, &bytes, &[]).unwrap();
        assert!(empty.is_intact(&rebuilt) && parse(&empty, &rebuilt).unwrap().is_empty());
        assert_eq!(empty.next_offset(), 4);
    }

    #[test]
    fn what_is_not_whole_is_not_read() {
        let (header, bytes) = batch(&[(Some("a"), Some("1")), (Some("b"), Some("2"))]);
        for len in HEADER_LEN..bytes.len() {
            assert_eq!(parse(&header, &bytes[..len]), None, "{len}");
        }
        for attributes in 1..=4 {
            assert_eq!(parse(&BatchHeader { attributes, ..header }, &bytes), None);
        }
    }
}
