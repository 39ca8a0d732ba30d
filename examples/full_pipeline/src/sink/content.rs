//! Bytes of an open object on their way to the store, within the memory that all of them share.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use object_store::PutPayload;
use tokio::sync::Semaphore;

#[cfg(feature = "parquet")]
use super::parquet::Workbench;
use super::spill::{Chunk, Spill};

/// Blocks of this size grow by an eighth.
const LARGE: usize = 1 << 20;

/// The memory of all open objects together.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    limit: usize,
    held: Arc<AtomicUsize>,
    spill: Spill,
    /// Of the parts that are sent off while others are filled.
    turn: Arc<Semaphore>,
    #[cfg(feature = "parquet")]
    workbench: Workbench,
}

impl Budget {
    /// A budget of `limit` bytes; what exceeds it waits in a file in `folder`.
    pub(super) fn new(limit: usize, folder: PathBuf) -> Self {
        Self {
            limit,
            held: Arc::default(),
            spill: Spill::new(folder),
            turn: Arc::new(Semaphore::new(1)),
            #[cfg(feature = "parquet")]
            workbench: Workbench::default(),
        }
    }

    /// How many bytes have to be spilled, down to three quarters of the limit; 0 below it.
    pub(super) fn excess(&self) -> usize {
        let held = self.held.load(Ordering::Relaxed);
        if held <= self.limit { 0 } else { held - self.limit / 4 * 3 }
    }

    /// The memory beyond the limit, in which row groups are written one after another.
    #[cfg(feature = "parquet")]
    pub(super) const fn workbench(&self) -> &Workbench {
        &self.workbench
    }

    /// Whether an object may take the block at once that it is going to need.
    fn is_ample(&self, block: usize) -> bool {
        self.held.load(Ordering::Relaxed) + block <= self.limit / 4
    }

    /// A share for one object, empty yet.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), held: 0 }
    }
}

/// What one object holds of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    held: usize,
}

impl Share {
    fn set(&mut self, held: usize) {
        // All objects belong to one task, so nothing is between the two steps.
        self.budget.held.fetch_add(held, Ordering::Relaxed);
        self.budget.held.fetch_sub(self.held, Ordering::Relaxed);
        self.held = held;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[derive(Debug)]
enum Segment {
    Memory(Bytes),
    Disk(Chunk),
}

/// Bytes in their order: what is complete, in segments, and behind it the block begun.
#[derive(Debug)]
pub(super) struct Content {
    segments: VecDeque<Segment>,
    /// Bytes in the segments.
    pending: usize,
    /// Those of them in memory.
    in_memory: usize,
    /// The begin of the block begun.
    spilled: Vec<Chunk>,
    spilled_len: usize,
    /// The rest of it.
    block: Vec<u8>,
    share: Share,
}

impl Content {
    /// Nothing yet.
    pub(super) const fn new(share: Share) -> Self {
        Self {
            segments: VecDeque::new(),
            pending: 0,
            in_memory: 0,
            spilled: Vec::new(),
            spilled_len: 0,
            block: Vec::new(),
            share,
        }
    }

    /// Bytes of the block begun.
    pub(super) fn block_len(&self) -> usize {
        self.spilled_len + self.block.len()
    }

    /// Adds to the block begun, which is going to have some `block` bytes.
    pub(super) fn append(&mut self, bytes: &[u8], block: usize) {
        let wanted = self.block.len() + bytes.len();
        if wanted > self.block.capacity() {
            // Doubling would give the last step nearly twice what the block needs, and large ones
            // are not copied to grow.
            let held = self.block.capacity();
            let more = match held {
                0 if self.share.budget.is_ample(block) => (block + block / 16).min(LARGE),
                0..LARGE => held.max(1024),
                _ => held / 8,
            };
            let grown = (held + more).min(block + block / 16);
            self.block.reserve_exact(grown.max(wanted) - self.block.len());
            self.recount();
        }
        self.block.extend_from_slice(bytes);
    }

    /// Takes the block begun, all of it in memory.
    pub(super) fn take_block(&mut self) -> io::Result<Vec<u8>> {
        if self.spilled.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.recount();
            return Ok(block);
        }
        let mut block = Vec::with_capacity(self.block_len());
        for chunk in self.spilled.drain(..) {
            chunk.read(&mut block)?;
        }
        self.spilled_len = 0;
        block.append(&mut self.block);
        self.block = Vec::new();
        self.recount();
        Ok(block)
    }

    /// Adds complete bytes.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        self.pending += bytes.len();
        self.in_memory += bytes.capacity();
        self.segments.push_back(Segment::Memory(Bytes::from(bytes)));
        self.recount();
    }

    /// Complete bytes that wait to be sent off.
    pub(super) const fn pending(&self) -> usize {
        self.pending
    }

    /// Whose turn it is to send a part off beyond the memory of all.
    pub(super) fn turn(&self) -> Arc<Semaphore> {
        Arc::clone(&self.share.budget.turn)
    }

    /// Bytes in memory.
    pub(super) const fn held(&self) -> usize {
        self.share.held
    }

    /// Takes the first `wanted` complete bytes, or all there are.
    pub(super) fn take(&mut self, wanted: usize) -> io::Result<PutPayload> {
        let mut taken = Vec::new();
        let mut missing = wanted.min(self.pending);
        while missing > 0 {
            let Some(segment) = self.segments.pop_front() else { break };
            let mut bytes = match segment {
                Segment::Memory(bytes) => bytes,
                Segment::Disk(chunk) => {
                    let mut read = Vec::with_capacity(chunk.len());
                    chunk.read(&mut read)?;
                    Bytes::from(read)
                }
            };
            if bytes.len() > missing {
                self.segments.push_front(Segment::Memory(bytes.split_off(missing)));
            }
            missing -= bytes.len();
            self.pending -= bytes.len();
            taken.push(bytes);
        }
        self.in_memory = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Memory(bytes) => bytes.len(),
                Segment::Disk(_) => 0,
            })
            .sum();
        self.recount();
        Ok(taken.into_iter().collect())
    }

    /// Puts away what is in memory.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        let spill = self.share.budget.spill.clone();
        if self.in_memory > 0 {
            for segment in &mut self.segments {
                if let Segment::Memory(bytes) = segment {
                    *segment = Segment::Disk(spill.write(bytes)?);
                }
            }
            self.in_memory = 0;
        }
        if !self.block.is_empty() {
            self.spilled.push(spill.write(&self.block)?);
            self.spilled_len += self.block.len();
        }
        self.block = Vec::new();
        self.recount();
        Ok(())
    }

    fn recount(&mut self) {
        self.share.set(self.in_memory + self.block.capacity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(payload: &PutPayload) -> Vec<u8> {
        payload.iter().flat_map(|bytes| bytes.to_vec()).collect()
    }

    #[test]
    fn spilling_anywhere_changes_no_byte() {
        for spills in 0..64_u32 {
            let budget = Budget::new(1 << 20, std::env::temp_dir());
            let mut content = Content::new(budget.share());
            let spill = |content: &mut Content, step: u32| {
                if spills & (1 << step) != 0 {
                    content.spill().unwrap();
                    assert_eq!(content.held(), 0);
                }
            };
            content.append(b"abc", 100);
            spill(&mut content, 0);
            content.append(b"de", 100);
            spill(&mut content, 1);
            assert_eq!(content.block_len(), 5);
            let block = content.take_block().unwrap();
            assert_eq!(block, b"abcde");
            content.push(block);
            spill(&mut content, 2);
            content.push(b"12345".to_vec());
            spill(&mut content, 3);
            assert_eq!(all(&content.take(7).unwrap()), b"abcde12");
            assert_eq!(content.pending(), 3);
            spill(&mut content, 4);
            content.append(b"z", 100);
            spill(&mut content, 5);
            let block = content.take_block().unwrap();
            content.push(block);
            assert_eq!(all(&content.take(100).unwrap()), b"345z");
            assert_eq!(content.pending(), 0);
            drop(content);
            assert_eq!(budget.held.load(Ordering::Relaxed), 0, "all is given back");
        }
    }

    #[test]
    fn the_budget_counts_what_is_allocated() {
        let budget = Budget::new(10_000, std::env::temp_dir());
        let mut contents: Vec<Content> = (0..10).map(|_| Content::new(budget.share())).collect();
        for content in &mut contents {
            content.append(&[0; 1000], 64_000);
        }
        assert_eq!(budget.excess(), 10 * 1024 - 7500);
        contents.truncate(5);
        assert_eq!(budget.excess(), 0);
    }
}
