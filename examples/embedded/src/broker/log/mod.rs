//! One partition's batches: files that are only appended to, and where each offset begins.
//!
//! A *position* counts the bytes of all batches from the partition's first file on, so it stays
//! valid when a new file is begun.

mod compaction;
mod segment;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, BatchHeader, HEADER_LEN, Outcome};
use segment::{Segment, Span};

pub(super) use compaction::{Context, Rules};

/// A stored batch, as it is met when a log is opened.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) header: BatchHeader,
    pub(super) position: u64,
    /// Of a control batch.
    pub(super) outcome: Option<Outcome>,
}

#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    /// In order of their first offset; never empty. Only the last one grows.
    segments: Vec<Segment>,
    next_offset: i64,
    segment_bytes: u64,
    progress: compaction::Progress,
}

impl Log {
    /// Opens or begins the log in `dir` and shows every stored batch to `observe`. What a crash
    /// left unfinished at the end is cut off.
    pub(super) fn open(
        dir: &Path,
        segment_bytes: u64,
        mut observe: impl FnMut(&Seen),
    ) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        compaction::remove_unfinished(dir)?;
        let bases = segment_bases(dir)?;
        let mut segments: Vec<Segment> = Vec::with_capacity(bases.len().max(1));
        let mut next_offset = bases.first().copied().unwrap_or(0);
        for (index, &base) in bases.iter().enumerate() {
            let start = segments.last().map_or(0, Segment::end);
            let is_last = index + 1 == bases.len();
            let mut segment = Segment::open(dir, base, start)?;
            next_offset = segment.recover(base.max(next_offset), is_last, &mut observe)?;
            segments.push(segment);
        }
        if segments.is_empty() {
            segments.push(Segment::open(dir, 0, 0)?);
        }
        let progress = compaction::Progress::default();
        Ok(Self { dir: dir.to_owned(), segments, next_offset, segment_bytes, progress })
    }

    /// Stores one checked batch and returns the offset of its first record.
    pub(super) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<i64> {
        let base_offset = self.next_offset;
        let stamped = BatchHeader { base_offset, ..*header };
        let mut bytes = batch.to_vec();
        batch::stamp(&mut bytes, base_offset);
        self.roll_if_full(bytes.len())?;
        if let Some(active) = self.segments.last_mut() {
            active.append(&stamped, &bytes)?;
        }
        self.next_offset = stamped.next_offset();
        Ok(base_offset)
    }

    /// Flushes appended batches to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.segments.last().map_or(Ok(()), Segment::sync)
    }

    pub(super) fn first_offset(&self) -> i64 {
        self.segments.first().map_or(0, Segment::base_offset)
    }

    pub(super) const fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Position after the last batch.
    pub(super) fn end(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end)
    }

    /// Where to look for the batch that holds `offset`, or for the next one when compaction removed
    /// it; `None` when nothing follows.
    pub(super) fn around_offset(&self, offset: i64) -> Option<Span> {
        // The end of a file may be gone, so it is not always the one that began in front of it.
        let before = self.segments.partition_point(|segment| segment.next_offset() <= offset);
        self.segments.get(before)?.around_offset(offset)
    }

    /// Where to look for the first batch with a timestamp of at least `since`.
    pub(super) fn around_time(&self, since: i64) -> Option<Span> {
        self.segments.iter().find(|segment| segment.max_timestamp() >= since)?.around_time(since)
    }

    /// Where to look for the batch with the highest timestamp, and that timestamp.
    pub(super) fn around_max_timestamp(&self) -> Option<(Span, i64)> {
        let newest = self.segments.iter().map(Segment::max_timestamp).max()?;
        Some((self.around_time(newest)?, newest))
    }

    /// Removes old files: those in front of the newest `bytes` bytes, and those whose newest record
    /// is older than `since`. Records from offset `keep_from` on stay, and so does the newest file.
    pub(super) fn retire(
        &mut self,
        bytes: Option<u64>,
        since: Option<i64>,
        keep_from: i64,
    ) -> io::Result<()> {
        while let [oldest, next, ..] = self.segments.as_slice() {
            let without: u64 = self.segments.iter().skip(1).map(Segment::len).sum();
            let is_superfluous = bytes.is_some_and(|bytes| without >= bytes);
            let is_too_old = since.is_some_and(|since| oldest.max_timestamp() < since);
            if next.base_offset() > keep_from || !(is_superfluous || is_too_old) {
                return Ok(());
            }
            // Whoever reads the file at the moment can go on.
            fs::remove_file(segment::path(&self.dir, oldest.base_offset()))?;
            self.segments.remove(0);
        }
        Ok(())
    }

    fn roll_if_full(&mut self, incoming: usize) -> io::Result<()> {
        let Some(active) = self.segments.last() else { return Ok(()) };
        let room = self.segment_bytes.saturating_sub(active.len());
        if active.len() == 0 || u64::try_from(incoming).is_ok_and(|incoming| incoming <= room) {
            return Ok(());
        }
        // A closed file is always flushed: the next start trusts it without reading it through.
        active.sync()?;
        let next = Segment::open(&self.dir, self.next_offset, active.end())?;
        self.segments.push(next);
        Ok(())
    }
}

/// Reads whole batches, `limit` bytes at most. When not even the first one fits, `first_whole`
/// asks for that one anyway.
pub(super) fn read(span: &Span, limit: usize, first_whole: bool) -> io::Result<Bytes> {
    let available = usize::try_from(span.len()).unwrap_or(usize::MAX);
    let mut bytes = span.read(limit.min(available))?;
    let whole = batch::whole_batches(&bytes);
    if whole > 0 || available == 0 || !first_whole {
        bytes.truncate(whole);
        return Ok(bytes.into());
    }
    let head = span.read(HEADER_LEN.min(available))?;
    let header = BatchHeader::parse(&head).map_err(|_| damaged_batch())?;
    if header.len > available {
        return Err(damaged_batch());
    }
    Ok(span.read(header.len)?.into())
}

/// Position of the first batch in `span` that `wanted` says yes to, with its head.
pub(super) fn seek(
    span: &Span,
    mut wanted: impl FnMut(&BatchHeader) -> bool,
) -> io::Result<Option<(u64, BatchHeader)>> {
    let mut heads = span.heads();
    while let Some((position, header)) = heads.next()? {
        if wanted(&header) {
            return Ok(Some((position, header)));
        }
    }
    Ok(None)
}

fn segment_bases(dir: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(segment::SUFFIX));
        bases.extend(base.and_then(|digits| digits.parse::<i64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

fn damaged_batch() -> io::Error {
    super::persist::damaged("a stored batch has a damaged head")
}

/// A file that stays readable while the log moves on.
type SharedFile = Arc<fs::File>;

#[cfg(test)]
mod tests;
