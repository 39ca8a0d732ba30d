use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    vec::Vec,
};

use super::spool::{Spool, SpoolError, copy};
use crate::Xid;

/// Tells the files of one process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A [`Spool`] that keeps transactions in memory until they are too many bytes together, and puts
/// the largest of them into files then, one for each.
///
/// Its calls block for as long as the disk takes. Nothing is synced: the files are of no use after
/// the process ends, and are gone with it (on Unix however it ends, elsewhere when it is dropped).
#[derive(Debug)]
pub struct FileSpool {
    folder: PathBuf,
    budget: usize,
    /// Bytes in memory.
    buffered: usize,
    transactions: BTreeMap<Xid, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    file: Option<Spilled>,
    /// What comes behind the file's end.
    tail: Vec<u8>,
}

#[derive(Debug)]
struct Spilled {
    file: File,
    length: u64,
    /// Where it has to be removed from in the end.
    path: Option<PathBuf>,
}

impl FileSpool {
    /// A spool with files in this folder, which must exist, and at most so many bytes in memory.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, memory: usize) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            budget: memory,
            buffered: 0,
            transactions: BTreeMap::new(),
        }
    }

    /// How many bytes are in memory.
    #[must_use]
    pub const fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    /// How many transactions have a file.
    #[must_use]
    pub fn files(&self) -> usize {
        self.transactions.values().filter(|entry| entry.file.is_some()).count()
    }

    /// Writes the longest tail into its file.
    fn spill(&mut self) -> io::Result<bool> {
        let longest = self.transactions.iter_mut().max_by_key(|(_, entry)| entry.tail.len());
        let Some((_, entry)) = longest.filter(|(_, entry)| !entry.tail.is_empty()) else {
            return Ok(false);
        };
        let spilled = match &mut entry.file {
            Some(spilled) => spilled,
            None => entry.file.insert(Spilled::create(&self.folder)?),
        };
        // Whatever a failed attempt has left behind the end is written over.
        spilled.file.seek(SeekFrom::Start(spilled.length))?;
        spilled.file.write_all(&entry.tail)?;
        let written = entry.tail.len();
        spilled.length = spilled.length.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        self.buffered = self.buffered.saturating_sub(written);
        // The memory is given back, too.
        entry.tail = Vec::new();
        Ok(true)
    }
}

impl Spilled {
    fn create(folder: &Path) -> io::Result<Self> {
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("pgoutput-{}-{number}.spool", process::id()));
            // It holds rows of tables, so nobody else may read it.
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = match options.open(&path) {
                // Left by another process with the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            // An open file without a name lives on Unix for as long as it is open.
            let path = if cfg!(unix) {
                std::fs::remove_file(&path)?;
                None
            } else {
                Some(path)
            };
            return Ok(Self { file, length: 0, path });
        }
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // There is nobody to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Spool for FileSpool {
    fn append(&mut self, transaction: Xid, bytes: &[u8]) -> Result<(), SpoolError> {
        self.transactions.entry(transaction).or_default().tail.extend_from_slice(bytes);
        self.buffered += bytes.len();
        while self.buffered > self.budget && self.spill()? {}
        Ok(())
    }

    fn read(
        &mut self,
        transaction: Xid,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, SpoolError> {
        let Some(entry) = self.transactions.get_mut(&transaction) else { return Ok(0) };
        let Some(spilled) = &mut entry.file else { return Ok(copy(&entry.tail, offset, buffer)) };
        let in_file = spilled.length.saturating_sub(offset);
        let in_file = usize::try_from(in_file).unwrap_or(usize::MAX).min(buffer.len());
        let (from_file, from_tail) = buffer.split_at_mut_checked(in_file).unwrap_or_default();
        if !from_file.is_empty() {
            spilled.file.seek(SeekFrom::Start(offset))?;
            spilled.file.read_exact(from_file)?;
        }
        Ok(in_file + copy(&entry.tail, offset.saturating_sub(spilled.length), from_tail))
    }

    fn remove(&mut self, transaction: Xid) -> Result<(), SpoolError> {
        if let Some(entry) = self.transactions.remove(&transaction) {
            self.buffered = self.buffered.saturating_sub(entry.tail.len());
        }
        Ok(())
    }
}
