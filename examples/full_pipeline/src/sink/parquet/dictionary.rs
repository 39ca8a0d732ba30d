//! The distinct values of a column, in the order they first appear in.

use super::{plan::Leaf, shred};

/// A dictionary takes no more bytes; what parquet-mr allows it.
const LIMIT: usize = 1 << 20;
/// After so many values there must be few distinct ones among them.
const TRIAL: usize = 2048;
/// How often the table may be asked for a value. What needs more was made to.
const PROBES: usize = 16;

/// Where the values of a column lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'s> {
    pub(super) group: &'s [u8],
    pub(super) leaf: &'s Leaf,
}

impl<'s> Source<'s> {
    /// The bytes that a word stands for.
    #[inline]
    pub(super) fn bytes(self, word: u64) -> &'s [u8] {
        if self.leaf.symbols.is_empty() {
            return shred::at(self.group, word);
        }
        let symbol = usize::try_from(word).ok().and_then(|index| self.leaf.symbols.get(index));
        symbol.map_or(&[], Vec::as_slice)
    }
}

impl Source<'_> {
    /// How many bytes a word stands for.
    #[inline]
    pub(super) fn len(self, word: u64) -> usize {
        if self.leaf.symbols.is_empty() { shred::len(word) } else { self.bytes(word).len() }
    }
}

/// A dictionary that is used for one column after another.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The distinct values, as words.
    pub(super) words: Vec<u64>,
    /// For each value of the column its place among those.
    pub(super) ids: Vec<u32>,
    /// The hash of each distinct value.
    hashes: Vec<u64>,
    /// 1 more than the place of a value, or 0; as many as a power of two.
    table: Vec<u32>,
}

impl Dictionary {
    /// Finds the distinct values of a column; false when it is better written as it is. That hangs
    /// on the values alone, since the same values must give the same bytes.
    pub(super) fn fill(&mut self, words: &[u64], bytes: Option<Source<'_>>, width: usize) -> bool {
        match bytes {
            None => self.distinct(words, hash, |one, other| one == other, |_| width),
            Some(source) => self.distinct(
                words,
                |word| hash_bytes(source.bytes(word)),
                |one, other| source.bytes(one) == source.bytes(other),
                |word| source.len(word) + 4,
            ),
        }
    }

    fn distinct(
        &mut self,
        words: &[u64],
        hash: impl Fn(u64) -> u64,
        same: impl Fn(u64, u64) -> bool,
        size: impl Fn(u64) -> usize,
    ) -> bool {
        self.words.clear();
        self.hashes.clear();
        self.ids.clear();
        self.ids.reserve(words.len());
        self.table.clear();
        self.table.resize(1024, 0);
        let (mut held, mut plain, mut probes) = (0, 0, words.len() * PROBES);
        let mut last: Option<(u64, u32)> = None;
        for word in words {
            plain += size(*word);
            // Many columns say the same again and again.
            if let Some((before, id)) = last
                && same(before, *word)
            {
                self.ids.push(id);
                continue;
            }
            let found = hash(*word);
            let Some(id) = self.find(*word, found, &same, &mut probes) else { return false };
            if id as usize == self.words.len() {
                held += size(*word);
                self.words.push(*word);
                self.hashes.push(found);
                if held > LIMIT {
                    return false;
                }
                if self.words.len() * 2 > self.table.len() {
                    self.grow();
                }
            }
            self.ids.push(id);
            last = Some((*word, id));
            if self.ids.len() == TRIAL && self.words.len() > TRIAL / 4 * 3 {
                return false;
            }
        }
        let width = super::encoding::width(self.most());
        held + (words.len() * width as usize).div_ceil(8) < plain
    }

    /// The largest number of a value.
    pub(super) fn most(&self) -> u32 {
        u32::try_from(self.words.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The number of a value, the next one if it is new, which then has its place in the table.
    #[inline]
    fn find(
        &mut self,
        word: u64,
        hash: u64,
        same: &impl Fn(u64, u64) -> bool,
        probes: &mut usize,
    ) -> Option<u32> {
        let mask = self.table.len() - 1;
        let mut at = usize::try_from(hash >> 32).unwrap_or(0) & mask;
        loop {
            let place = self.table.get_mut(at)?;
            let Some(id) = place.checked_sub(1) else {
                let id = u32::try_from(self.words.len()).ok()?;
                *place = id + 1;
                return Some(id);
            };
            if *self.hashes.get(id as usize)? == hash && same(*self.words.get(id as usize)?, word) {
                return Some(id);
            }
            *probes = probes.checked_sub(1)?;
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = self.table.len() * 4;
        self.table.clear();
        self.table.resize(size, 0);
        let mut number = 0;
        for hash in &self.hashes {
            let mut at = usize::try_from(hash >> 32).unwrap_or(0) & (size - 1);
            while self.table.get(at).is_some_and(|place| *place != 0) {
                at = (at + 1) & (size - 1);
            }
            number += 1;
            if let Some(place) = self.table.get_mut(at) {
                *place = number;
            }
        }
    }
}

/// An odd number without a pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
const fn hash(word: u64) -> u64 {
    let mixed = (word ^ (word >> 32)).wrapping_mul(FACTOR);
    (mixed ^ (mixed >> 29)).wrapping_mul(FACTOR)
}

#[inline]
fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = bytes.len() as u64;
    for word in words {
        state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        state ^= state >> 32;
    }
    let tail = rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
    hash(state.rotate_left(23) ^ tail)
}
