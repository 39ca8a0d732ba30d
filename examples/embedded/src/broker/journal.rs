//! A small append-only file of entries: what group offsets and transactions are kept in.
//!
//! An entry is a length (4 bytes), the CRC-32C of the rest (4 bytes) and a body. The owner keeps
//! the current state in memory and writes the file anew when most of it is out of date.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::{Buf as _, BufMut as _};
use kafka_protocol::protocol::StrBytes;

use super::config::{Config, Durability};
use super::faults::Faults;

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    len: u64,
    /// Length the file had when it held nothing superfluous.
    compact_len: u64,
    durability: Durability,
    faults: Faults,
}

impl Journal {
    /// Opens or begins a journal and shows each entry to `observe`. What a crash left half
    /// written was never acknowledged and is cut off; so is an entry `observe` says no to.
    pub(super) fn open(
        path: &Path,
        config: &Config,
        mut observe: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let stored = fs::read(path)?;
        let mut rest = stored.as_slice();
        while let Some((body, after)) = next_entry(rest) {
            if !observe(body) {
                break;
            }
            rest = after;
        }
        let len = u64::try_from(stored.len() - rest.len()).unwrap_or(u64::MAX);
        file.set_len(len)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            len,
            compact_len: len,
            durability: config.durability,
            faults: config.faults.clone(),
        })
    }

    /// Adds entries, made by [`put_entry`].
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        self.faults.before_write()?;
        self.file.write_all_at(entries, self.len)?;
        if self.durability == Durability::Disk {
            tokio::task::block_in_place(|| {
                self.faults.before_sync();
                self.file.sync_data()
            })?;
        }
        self.len += u64::try_from(entries.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    pub(super) fn is_mostly_old(&self) -> bool {
        self.len > MIN_REWRITE.max(self.compact_len.saturating_mul(4))
    }

    /// Replaces everything.
    pub(super) fn rewrite(&mut self, entries: &[u8]) -> io::Result<()> {
        super::persist::replace(&self.path, entries)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.len = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        self.compact_len = self.len;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Adds one entry to `out`.
pub(super) fn put_entry(out: &mut Vec<u8>, body: &[u8]) {
    out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.put_u32(crc32c::crc32c(body));
    out.extend_from_slice(body);
}

/// The body of the first entry, if it is there as it was written, and what follows.
fn next_entry(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    let crc = bytes.try_get_u32().ok()?;
    bytes.split_at_checked(len).filter(|(body, _)| crc32c::crc32c(body) == crc)
}

/// Names and metadata come from protocol strings, so two bytes are enough for their length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &StrBytes) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.put_u16(len);
    out.extend(text.bytes().take(usize::from(len)));
}

pub(super) fn text(body: &mut &[u8]) -> Option<StrBytes> {
    let len = usize::from(body.try_get_u16().ok()?);
    let (text, rest) = body.split_at_checked(len)?;
    *body = rest;
    std::str::from_utf8(text).ok().map(|text| StrBytes::from_string(text.to_owned()))
}

/// Below this length the file is left as it is.
const MIN_REWRITE: u64 = 4 * 1024 * 1024;
