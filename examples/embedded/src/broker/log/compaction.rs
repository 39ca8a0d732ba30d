//! Compaction: of the records of a key only the last one stays.
//!
//! A pass reads the closed files twice. First it notes for each key where its newest record is,
//! then it writes each file anew without the records that are outdated, and puts it in the place of
//! the old one, the oldest file first. What stays keeps its offset. A crash at any point leaves
//! files that are each whole, and never a value whose removal was forgotten: a removal goes only
//! after everything in front of it.
//!
//! Left alone are the newest file, everything from the first open transaction on, the ends of
//! transactions, records without a key, and compressed batches, which would have to be unpacked.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::broker::batch::BatchHeader;
use crate::broker::records::{self, Record};
use crate::broker::stable::Aborted;

use super::Log;
use super::segment::{self, Segment, Span};

/// A topic's settings.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Rules {
    /// Share of the closed files, in bytes, that must be new for a pass to be worth it.
    pub(in crate::broker) dirty_ratio: f64,
    /// How long a tombstone stays after it became the newest record of its key.
    pub(in crate::broker) delete_retention_ms: i64,
    /// Files with younger records are left alone.
    pub(in crate::broker) min_lag_ms: i64,
}

/// What the partition knows about its records.
#[derive(Debug)]
pub(in crate::broker) struct Context {
    pub(in crate::broker) aborted: Vec<Aborted>,
    /// Offsets of each producer's newest batch. It stays, if need be without records, since the
    /// producer's sequence is read from it at the next start.
    pub(in crate::broker) newest: HashSet<i64>,
}

/// What earlier passes did since the log was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::broker) struct Progress {
    /// In front of this offset each key has one record at most.
    clean_to: i64,
    /// When a tombstone among those may go, in milliseconds since 1970.
    due: Option<i64>,
}

/// One run over the closed files of a log.
#[derive(Debug)]
pub(in crate::broker) struct Pass {
    dir: PathBuf,
    closed: Vec<Closed>,
    clean_to: i64,
    rules: Rules,
    now: i64,
}

#[derive(Debug)]
struct Closed {
    span: Span,
    base_offset: i64,
    /// First offset of the next file.
    end: i64,
    modified_ms: i64,
}

/// A file written anew, not yet in its place.
#[derive(Debug)]
pub(in crate::broker) struct Cleaned {
    path: PathBuf,
    segment: Segment,
}

impl Log {
    /// A pass over the files in front of `stable`, if there is enough for one to do.
    pub(in crate::broker) fn plan_compaction(
        &self,
        rules: &Rules,
        stable: i64,
        now: i64,
    ) -> io::Result<Option<Pass>> {
        let young = now.saturating_sub(rules.min_lag_ms);
        let mut closed = Vec::new();
        let (mut bytes, mut dirty) = (0u64, 0u64);
        for pair in self.segments.windows(2) {
            let [segment, next] = pair else { continue };
            let too_young = rules.min_lag_ms > 0 && segment.max_timestamp() > young;
            if next.base_offset() > stable || too_young {
                break;
            }
            bytes += segment.len();
            if next.base_offset() > self.progress.clean_to {
                dirty += segment.len();
            }
            closed.push(Closed {
                span: segment.whole(),
                base_offset: segment.base_offset(),
                end: next.base_offset(),
                modified_ms: modified_ms(segment)?,
            });
        }
        #[allow(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let is_dirty = dirty > 0 && dirty as f64 >= rules.dirty_ratio * bytes as f64;
        let is_due = self.progress.due.is_some_and(|due| due <= now);
        Ok((is_dirty || is_due).then(|| Pass {
            dir: self.dir.clone(),
            closed,
            clean_to: self.progress.clean_to,
            rules: *rules,
            now,
        }))
    }

    /// Puts a cleaned file into the place of the old one. Whoever reads the old one can go on.
    pub(in crate::broker) fn swap(&mut self, cleaned: Cleaned) -> io::Result<()> {
        let base_offset = cleaned.segment.base_offset();
        let found = self.segments.iter().position(|segment| segment.base_offset() == base_offset);
        let Some(index) = found else { return Ok(()) };
        let path = segment::path(&self.dir, base_offset);
        // The first file stays, though empty: its name is the first offset of the partition, and
        // offsets that consumers remember must not fall in front of it.
        if cleaned.segment.len() == 0 && index > 0 {
            fs::remove_file(path)?;
            self.segments.remove(index);
        } else {
            fs::rename(&cleaned.path, path)?;
            if let Some(place) = self.segments.get_mut(index) {
                *place = cleaned.segment;
            }
        }
        File::open(&self.dir)?.sync_all()
    }

    pub(in crate::broker) const fn finish_compaction(&mut self, progress: Progress) {
        self.progress = progress;
    }
}

impl Pass {
    /// Reads and writes files, without the log; each one that became smaller is handed to `swap`.
    /// Ends early with [`io::ErrorKind::Interrupted`] when `is_stopped` says so.
    pub(in crate::broker) fn run(
        &self,
        context: &Context,
        is_stopped: impl Fn() -> bool,
        mut swap: impl FnMut(Cleaned) -> io::Result<()>,
    ) -> io::Result<Progress> {
        let mut aborted: HashMap<i64, Vec<Aborted>> = HashMap::new();
        for one in &context.aborted {
            aborted.entry(one.producer_id).or_default().push(*one);
        }
        let mut sieve = Sieve {
            pass: self,
            newest: &context.newest,
            aborted,
            latest: Latest::default(),
            has_unread: false,
            due: None,
        };
        let clean_to = sieve.find_latest(&is_stopped)?;
        for closed in self.closed.iter().filter(|closed| closed.base_offset < clean_to) {
            if let Some(cleaned) = sieve.clean(closed, &is_stopped)? {
                let path = cleaned.path.clone();
                let swapped = swap(cleaned);
                // It is still there when it was empty, or when the swap failed.
                let _ = fs::remove_file(path);
                swapped?;
            }
        }
        Ok(Progress { clean_to, due: sieve.due })
    }
}

/// Decides which records stay.
struct Sieve<'a> {
    pass: &'a Pass,
    newest: &'a HashSet<i64>,
    aborted: HashMap<i64, Vec<Aborted>>,
    latest: Latest,
    /// There was a batch whose keys are unknown, so no tombstone can go.
    has_unread: bool,
    due: Option<i64>,
}

enum Sifted {
    All,
    Some(BatchHeader, Vec<u8>),
    Nothing,
}

impl Sieve<'_> {
    /// Notes the newest record of each key, as far as memory allows. Returns how far that was.
    fn find_latest(&mut self, is_stopped: &impl Fn() -> bool) -> io::Result<i64> {
        let clean_to = self.pass.clean_to;
        let mut end = clean_to;
        for closed in self.pass.closed.iter().filter(|closed| closed.end > clean_to) {
            let mut heads = closed.span.heads();
            while let Some((header, batch)) = heads.next_batch()? {
                stop_if(is_stopped())?;
                if header.is_control() || header.next_offset() <= clean_to {
                    continue;
                }
                if self.latest.is_full() {
                    return Ok(header.base_offset);
                }
                if self.is_aborted(&header) {
                    continue;
                }
                for record in records::parse(&header, &batch).unwrap_or_default() {
                    self.latest.note(&record);
                }
            }
            end = closed.end;
        }
        Ok(end)
    }

    /// Writes a file anew; `None` when nothing in it is outdated.
    fn clean(
        &mut self,
        closed: &Closed,
        is_stopped: &impl Fn() -> bool,
    ) -> io::Result<Option<Cleaned>> {
        let path = segment::path(&self.pass.dir, closed.base_offset).with_extension(UNFINISHED);
        let mut segment = closed.span.successor(&path, closed.base_offset)?;
        let written = self.write(closed, &mut segment, is_stopped);
        if written.is_err() || segment.len() == closed.span.len() {
            fs::remove_file(&path)?;
            return written.map(|()| None);
        }
        let modified = u64::try_from(closed.modified_ms).unwrap_or(0);
        segment.set_modified(UNIX_EPOCH + std::time::Duration::from_millis(modified))?;
        segment.sync()?;
        Ok(Some(Cleaned { path, segment }))
    }

    fn write(
        &mut self,
        closed: &Closed,
        segment: &mut Segment,
        is_stopped: &impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut heads = closed.span.heads();
        while let Some((header, batch)) = heads.next_batch()? {
            stop_if(is_stopped())?;
            match self.sift(&header, &batch, closed) {
                Sifted::All => segment.append(&header, &batch)?,
                Sifted::Some(header, batch) => segment.append(&header, &batch)?,
                Sifted::Nothing => {}
            }
        }
        Ok(())
    }

    fn sift(&mut self, header: &BatchHeader, batch: &[u8], closed: &Closed) -> Sifted {
        if header.is_control() {
            return Sifted::All;
        }
        let Some(mut records) = records::parse(header, batch) else {
            self.has_unread = true;
            return Sifted::All;
        };
        let count = records.len();
        let is_aborted = self.is_aborted(header);
        records.retain(|record| !is_aborted && self.stays(record, closed.modified_ms));
        let rebuilt = match (records.len(), self.newest.contains(&header.base_offset)) {
            (0, false) => return Sifted::Nothing,
            (kept, _) if kept == count => None,
            _ => records::rebuild(header, batch, &records),
        };
        rebuilt.map_or(Sifted::All, |(header, batch)| Sifted::Some(header, batch))
    }

    fn stays(&mut self, record: &Record<'_>, modified_ms: i64) -> bool {
        let Some(key) = record.key else { return true };
        if self.latest.is_outdated(key, record.offset) {
            return false;
        }
        if !record.is_tombstone || self.has_unread {
            return true;
        }
        // Readers that began in front of it need time to see it, counted from when its file was
        // last written; and what it removes has to be gone, so an earlier pass must have been here.
        let due = modified_ms.saturating_add(self.pass.rules.delete_retention_ms);
        let goes = record.offset < self.pass.clean_to && due <= self.pass.now;
        if !goes {
            self.due = Some(self.due.map_or(due, |other| other.min(due)));
        }
        !goes
    }

    fn is_aborted(&self, header: &BatchHeader) -> bool {
        let range = |one: &Aborted| one.first_offset..one.last_offset;
        header.is_transactional()
            && self
                .aborted
                .get(&header.producer_id)
                .is_some_and(|all| all.iter().any(|one| range(one).contains(&header.base_offset)))
    }
}

/// Where the newest record of each key is, by a hash of the key that is as good as the key.
#[derive(Default)]
struct Latest {
    offsets: HashMap<[u64; 2], i64>,
    hashers: [RandomState; 2],
}

impl Latest {
    fn note(&mut self, record: &Record<'_>) {
        if let Some(key) = record.key {
            let hash = self.hash(key);
            self.offsets.insert(hash, record.offset);
        }
    }

    fn is_outdated(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(&self.hash(key)).is_some_and(|&newest| newest > offset)
    }

    fn is_full(&self) -> bool {
        self.offsets.len() >= MAX_KEYS
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }
}

/// Removes what a pass that did not come to its end left behind.
pub(super) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn modified_ms(segment: &Segment) -> io::Result<i64> {
    let since = segment.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn stop_if(stopped: bool) -> io::Result<()> {
    if stopped { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

const UNFINISHED: &str = "cleaned";
/// Keys that one pass can tell apart: some 12 MiB. The next pass goes on from there.
const MAX_KEYS: usize = 400_000;

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
