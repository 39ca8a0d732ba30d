//! Where the bytes of open objects wait when memory is short: one nameless file, cut into blocks
//! that are used again.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A block of the file. What is spilled is seldom smaller, since the largest goes first.
const BLOCK: usize = 16 << 10;

/// A file without a name, which is gone with the process however that ends.
#[derive(Debug, Clone)]
pub(super) struct Spill(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Made when it is first needed.
    file: Option<File>,
    free: Vec<u32>,
    blocks: u32,
}

/// Bytes in the file; dropping them frees their blocks.
#[derive(Debug)]
pub(super) struct Chunk {
    spill: Spill,
    blocks: Vec<u32>,
    len: usize,
}

impl Spill {
    /// A file to be made in this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        let inner = Inner { folder, file: None, free: Vec::new(), blocks: 0 };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Puts bytes away.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<Chunk> {
        let mut chunk = Chunk { spill: self.clone(), blocks: Vec::new(), len: bytes.len() };
        let mut inner = self.inner();
        for piece in bytes.chunks(BLOCK) {
            let block = match inner.free.pop() {
                Some(block) => block,
                None => {
                    let block = inner.blocks;
                    inner.blocks = block.checked_add(1).ok_or(io::ErrorKind::StorageFull)?;
                    block
                }
            };
            // Before it is written, so that a failure gives the block back.
            chunk.blocks.push(block);
            if let Err(error) = inner.at(block).and_then(|file| file.write_all(piece)) {
                // Dropping the chunk takes the lock.
                drop(inner);
                return Err(error);
            }
        }
        Ok(chunk)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn at(&mut self, block: u32) -> io::Result<&mut File> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.seek(SeekFrom::Start(u64::from(block) * BLOCK as u64))?;
        Ok(file)
    }
}

impl Chunk {
    /// How many bytes it is.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends the bytes to `out`.
    pub(super) fn read(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.reserve(self.len);
        let mut inner = self.spill.inner();
        let mut left = self.len;
        for block in &self.blocks {
            let piece = left.min(BLOCK);
            let read = inner.at(*block)?.take(piece as u64).read_to_end(out)?;
            if read < piece {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= piece;
        }
        Ok(())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut inner = self.spill.inner();
        inner.free.append(&mut self.blocks);
        if inner.free.len() == inner.blocks as usize {
            inner.free.clear();
            inner.blocks = 0;
            if let Some(file) = &inner.file {
                // The space comes back when the process ends, otherwise.
                let _kept = file.set_len(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_away_comes_back_and_blocks_are_used_again() {
        let spill = Spill::new(std::env::temp_dir());
        let bytes = |seed: u8, len: usize| -> Vec<u8> {
            (0..len).map(|i| u8::try_from(i % 251).unwrap().wrapping_add(seed)).collect()
        };
        let small = spill.write(&bytes(1, 10)).unwrap();
        let large = spill.write(&bytes(2, 3 * BLOCK + 5)).unwrap();
        assert_eq!(spill.inner().blocks, 5);
        drop(small);
        let other = spill.write(&bytes(3, BLOCK)).unwrap();
        assert_eq!(spill.inner().blocks, 5, "the free block is taken");
        let mut out = vec![9];
        large.read(&mut out).unwrap();
        other.read(&mut out).unwrap();
        assert_eq!(out, [vec![9], bytes(2, 3 * BLOCK + 5), bytes(3, BLOCK)].concat());
        drop((large, other));
        assert_eq!(spill.inner().blocks, 0);
        assert_eq!(spill.inner().free.len(), 0);
        assert_eq!(spill.inner().file.as_ref().unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let spill = Spill::new("/nowhere/at/all".into());
        assert!(spill.write(b"x").is_err());
        assert_eq!(spill.inner().blocks, 0, "the block came back");
    }
}
