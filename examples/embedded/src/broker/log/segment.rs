//! One file of a log, with a sparse index of it in memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::broker::batch::{self, BatchHeader, HEADER_LEN};

use super::{Seen, SharedFile};

/// Files are named by the offset of their first record, in twenty digits.
pub(super) const SUFFIX: &str = ".log";

#[derive(Debug)]
pub(super) struct Segment {
    base_offset: i64,
    /// Position of the file's first byte.
    start: u64,
    len: u64,
    file: SharedFile,
    index: Vec<Landmark>,
    max_timestamp: i64,
    /// After the last record; the file's own first offset when there is none.
    next_offset: i64,
}

/// A place where a batch begins.
#[derive(Debug, Clone, Copy)]
struct Landmark {
    offset: i64,
    /// From the start of the file.
    at: u64,
    /// Highest timestamp of the batches in front of this one.
    max_timestamp_before: i64,
}

pub(super) fn path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}{SUFFIX}"))
}

impl Segment {
    pub(super) fn open(dir: &Path, base_offset: i64, start: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Self::new(options.open(path(dir, base_offset))?, base_offset, start))
    }

    fn new(file: File, base_offset: i64, start: u64) -> Self {
        Self {
            base_offset,
            start,
            len: 0,
            file: Arc::new(file),
            index: Vec::new(),
            max_timestamp: i64::MIN,
            next_offset: base_offset,
        }
    }

    /// Reads the file through, fills the index and returns the offset after the last record.
    ///
    /// The newest file is checked to the last byte and cut after its last good batch. Older files
    /// were flushed when they were closed, so a bad head in one is damage.
    pub(super) fn recover(
        &mut self,
        mut next_offset: i64,
        is_last: bool,
        observe: &mut impl FnMut(&Seen),
    ) -> io::Result<i64> {
        let file_len = self.file.metadata()?.len();
        let whole = Span { file: Arc::clone(&self.file), start: self.start, from: 0, to: file_len };
        let mut heads = whole.heads();
        while let Some((position, header)) = heads.next()? {
            let at = position - self.start;
            let in_order = header.base_offset >= next_offset;
            if !in_order || (is_last && !whole.is_intact(at, &header)?) {
                break;
            }
            next_offset = header.next_offset();
            self.note(&header, at);
            let outcome =
                if header.is_control() { batch::outcome(&whole.batch(at, &header)?) } else { None };
            observe(&Seen { header, position, outcome });
        }
        if self.len < file_len {
            if !is_last {
                return Err(crate::broker::persist::damaged("a closed log file is damaged"));
            }
            self.file.set_len(self.len)?;
        }
        Ok(next_offset)
    }

    pub(super) fn append(&mut self, header: &BatchHeader, bytes: &[u8]) -> io::Result<()> {
        // At a fixed place, so that a write cut short by a full disk is overwritten by the next.
        self.file.write_all_at(bytes, self.len)?;
        self.note(header, self.len);
        Ok(())
    }

    fn note(&mut self, header: &BatchHeader, at: u64) {
        if self.index.last().is_none_or(|landmark| at - landmark.at >= INDEX_INTERVAL) {
            self.index.push(Landmark {
                offset: header.base_offset,
                at,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.next_offset = header.next_offset();
        self.len = at.saturating_add(u64::try_from(header.len).unwrap_or(u64::MAX));
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) const fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(super) const fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// When the file was last written, which a compacted file takes over from the original.
    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    pub(super) fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    pub(super) const fn end(&self) -> u64 {
        self.start + self.len
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// All of it.
    pub(super) fn whole(&self) -> Span {
        Span { file: Arc::clone(&self.file), start: self.start, from: 0, to: self.len }
    }

    pub(super) fn around_offset(&self, offset: i64) -> Option<Span> {
        let after = self.index.partition_point(|landmark| landmark.offset <= offset);
        // Compaction may have removed what was in front of the first one.
        self.span(self.index.get(after.saturating_sub(1))?.at)
    }

    pub(super) fn around_time(&self, since: i64) -> Option<Span> {
        let after = self.index.partition_point(|landmark| landmark.max_timestamp_before < since);
        self.span(self.index.get(after.checked_sub(1)?)?.at)
    }

    fn span(&self, from: u64) -> Option<Span> {
        (from <= self.len).then(|| Span {
            file: Arc::clone(&self.file),
            start: self.start,
            from,
            to: self.len,
        })
    }
}

/// A stretch of one file that holds whole batches. It can be read without holding the log.
#[derive(Debug)]
pub(in crate::broker) struct Span {
    file: SharedFile,
    /// Position of the file's first byte.
    start: u64,
    from: u64,
    to: u64,
}

impl Span {
    /// Begins what is to replace the file, which is named by `base_offset`, in another one.
    pub(super) fn successor(&self, path: &Path, base_offset: i64) -> io::Result<Segment> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Segment::new(options.open(path)?, base_offset, self.start))
    }

    pub(super) const fn len(&self) -> u64 {
        self.to - self.from
    }

    pub(super) fn read(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, self.from)?;
        Ok(bytes)
    }

    pub(super) const fn heads(&self) -> Heads<'_> {
        Heads { span: self, next: self.from, window: Vec::new(), window_at: 0 }
    }

    /// The part between two positions, as far as this span goes.
    pub(in crate::broker) fn part(&self, first: u64, end: u64) -> Self {
        let from = first.saturating_sub(self.start).clamp(self.from, self.to);
        let to = end.saturating_sub(self.start).clamp(from, self.to);
        Self { file: Arc::clone(&self.file), start: self.start, from, to }
    }

    fn is_intact(&self, at: u64, header: &BatchHeader) -> io::Result<bool> {
        Ok(header.is_intact(&self.batch(at, header)?))
    }

    /// The batch that begins at this byte of the file.
    pub(super) fn batch(&self, at: u64, header: &BatchHeader) -> io::Result<Vec<u8>> {
        let mut batch = vec![0; header.len];
        self.file.read_exact_at(&mut batch, at)?;
        Ok(batch)
    }
}

/// Walks over the batches of a span, reading little more than their heads.
pub(super) struct Heads<'a> {
    span: &'a Span,
    next: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Heads<'_> {
    /// As [`next`](Self::next), with the batch itself in place of its position.
    pub(super) fn next_batch(&mut self) -> io::Result<Option<(BatchHeader, Vec<u8>)>> {
        let Some((position, header)) = self.next()? else { return Ok(None) };
        Ok(Some((header, self.span.batch(position - self.span.start, &header)?)))
    }

    /// The next batch that lies in the span as a whole, with its position.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, BatchHeader)>> {
        let at = self.next;
        let header = match self.window_head(at) {
            ControlFlow::Break(header) => header,
            ControlFlow::Continue(()) => {
                self.load(at)?;
                match self.window_head(at) {
                    ControlFlow::Break(header) => header,
                    ControlFlow::Continue(()) => return Ok(None),
                }
            }
        };
        let Some(header) = header else { return Ok(None) };
        let end = u64::try_from(header.len).ok().and_then(|len| at.checked_add(len));
        match end {
            Some(end) if end <= self.span.to => self.next = end,
            _ => return Ok(None),
        }
        Ok(Some((self.span.start + at, header)))
    }

    /// Breaks with the head at `at`, or with nothing if it is no head; continues when the window
    /// does not hold enough of it.
    fn window_head(&self, at: u64) -> ControlFlow<Option<BatchHeader>> {
        let skip = at.checked_sub(self.window_at).and_then(|skip| usize::try_from(skip).ok());
        let head =
            skip.and_then(|skip| self.window.get(skip..)).filter(|rest| rest.len() >= HEADER_LEN);
        match head {
            Some(head) => ControlFlow::Break(BatchHeader::parse(head).ok()),
            None => ControlFlow::Continue(()),
        }
    }

    fn load(&mut self, at: u64) -> io::Result<()> {
        let left = usize::try_from(self.span.to.saturating_sub(at)).unwrap_or(usize::MAX);
        self.window.resize(left.min(WINDOW), 0);
        self.window_at = at;
        self.span.file.read_exact_at(&mut self.window, at)
    }
}

/// Bytes between two landmarks: some 400 KiB of index for each GiB of log.
const INDEX_INTERVAL: u64 = 64 * 1024;
/// Bytes read at once when looking for heads.
const WINDOW: usize = 16 * 1024;
