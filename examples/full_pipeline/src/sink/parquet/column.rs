//! A column of a row group: its pages, and what the footer says of it.

use super::{
    compress::Compressor,
    dictionary::{Dictionary, Source},
    encoding::{hybrid, run, truths, width},
    plan::Physical,
    shred::Column,
    thrift::Struct,
};

/// A page holds about so many bytes of values, as Confluent's sink has it.
const PAGE: usize = 64 << 10;
/// And no more than so many values, as parquet-mr has it.
const PAGE_VALUES: usize = 20_000;
/// Bounds that are longer are left out.
const BOUND: usize = 64;

/// `Encoding` of the format's Thrift definition.
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const RLE_DICTIONARY: i32 = 8;

/// What columns are written with, one after another.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    dictionary: Dictionary,
    page: Vec<u8>,
    compressor: Compressor,
}

/// Where pages go, and their sizes.
struct Pages<'p> {
    out: &'p mut Vec<u8>,
    compressor: &'p mut Compressor,
    codec: super::Codec,
    uncompressed: usize,
}

impl Pages<'_> {
    /// Adds a page with the header's fields of its own.
    fn add(
        &mut self,
        page: &[u8],
        kind: i32,
        header: impl FnOnce(&mut Struct<'_>),
    ) -> std::io::Result<()> {
        let packed = self.compressor.compress(self.codec, page)?;
        let start = self.out.len();
        Struct::write(self.out, |all| {
            all.i32(1, kind);
            all.i32(2, size(page.len()));
            all.i32(3, size(packed.len()));
            header(all);
        });
        self.uncompressed += self.out.len() - start + page.len();
        self.out.extend_from_slice(packed);
        Ok(())
    }
}

/// Pages are far smaller than this allows.
fn size(len: usize) -> i32 {
    len.try_into().unwrap_or(i32::MAX)
}

impl Encoder {
    /// Appends the pages of a column to `out`, which lies at `offset` in the file, and the
    /// `ColumnChunk` of the format's Thrift definition to `footer`. Gives the size before
    /// compression.
    pub(super) fn write(
        &mut self,
        column: &Column,
        source: Source<'_>,
        codec: super::Codec,
        offset: u64,
        out: &mut Vec<u8>,
        footer: &mut Vec<u8>,
    ) -> std::io::Result<usize> {
        let leaf = source.leaf;
        let start = out.len();
        let by_bytes = matches!(leaf.physical, Physical::Bytes | Physical::Fixed(_));
        let bytes = by_bytes.then_some(source);
        let plain_width = match leaf.physical {
            Physical::Int32 | Physical::Float => 4,
            _ => 8,
        };
        let indexed = leaf.physical != Physical::Boolean
            && self.dictionary.fill(&column.words, bytes, plain_width);
        let mut pages = Pages { out, compressor: &mut self.compressor, codec, uncompressed: 0 };
        if indexed {
            self.page.clear();
            plain(&self.dictionary.words, source, &mut self.page);
            let distinct = size(self.dictionary.words.len());
            pages.add(&self.page, 2, |header| {
                header.structure(7, |page| {
                    page.i32(1, distinct);
                    page.i32(2, PLAIN);
                });
            })?;
        }
        let data = pages.out.len() - start;
        let width_in_page = match (indexed, by_bytes) {
            // Numbers of so few bits that the count of values ends the page.
            (true, _) => Some(1),
            (false, false) => Some(plain_width),
            (false, true) => None,
        };
        let mut rest = Rest { column, levels: 0, words: 0 };
        while let Some((levels, words)) = rest.page(source, width_in_page) {
            self.page.clear();
            if leaf.max_rep > 0 {
                let reps = column.reps.get(levels.clone()).unwrap_or_default();
                level(leaf.max_rep, &mut self.page, |bits, page| hybrid(reps, bits, page));
            }
            if leaf.max_def > 0 {
                level(leaf.max_def, &mut self.page, |bits, page| {
                    match column.defs.get(levels.clone()) {
                        Some(defs) if !column.defs.is_empty() => hybrid(defs, bits, page),
                        _ => run(leaf.max_def.into(), levels.len(), bits, page),
                    }
                });
            }
            if indexed {
                let bits = width(self.dictionary.most());
                self.page.push(bits.to_le_bytes()[0]);
                let ids = self.dictionary.ids.get(words).unwrap_or_default();
                hybrid(ids, bits, &mut self.page);
            } else {
                plain(column.words.get(words).unwrap_or_default(), source, &mut self.page);
            }
            pages.add(&self.page, 0, |header| {
                header.structure(5, |page| {
                    page.i32(1, size(levels.len()));
                    page.i32(2, if indexed { RLE_DICTIONARY } else { PLAIN });
                    page.i32(3, RLE);
                    page.i32(4, RLE);
                });
            })?;
        }
        let uncompressed = pages.uncompressed;
        let compressed = pages.out.len() - start;
        let bounds = bounds(if indexed { &self.dictionary.words } else { &column.words }, source);
        Struct::write(footer, |chunk| {
            chunk.i64(2, 0);
            chunk.structure(3, |meta| {
                meta.i32(1, leaf.physical.number());
                let used =
                    if indexed { [PLAIN, RLE, RLE_DICTIONARY].as_slice() } else { &[PLAIN, RLE] };
                meta.i32s(2, used);
                meta.binaries(3, &leaf.path);
                meta.i32(4, codec.number());
                meta.count(5, column.len());
                meta.count(6, uncompressed);
                meta.count(7, compressed);
                meta.i64(9, position(offset, data));
                if indexed {
                    meta.i64(11, position(offset, 0));
                }
                meta.structure(12, |statistics| {
                    statistics.count(3, column.len() - column.words.len());
                    if let Some((least, greatest)) = &bounds {
                        statistics.binary(5, greatest);
                        statistics.binary(6, least);
                    }
                });
            });
        });
        Ok(uncompressed)
    }
}

fn position(offset: u64, within: usize) -> i64 {
    i64::try_from(offset + within as u64).unwrap_or(i64::MAX)
}

/// What is left of a column to write.
struct Rest<'c> {
    column: &'c Column,
    levels: usize,
    words: usize,
}

impl Rest<'_> {
    /// The levels and values of the next page, which begins where a record does. Its values take
    /// `width` bytes each, or as many as they have.
    fn page(
        &mut self,
        source: Source<'_>,
        width: Option<usize>,
    ) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let (first, first_word) = (self.levels, self.words);
        if first == self.column.len() {
            return None;
        }
        let (max_def, mut bytes) = (source.leaf.max_def, 0);
        if let Some(width) = width
            && source.leaf.max_rep == 0
        {
            let values = (PAGE / width.max(1)).clamp(1, PAGE_VALUES);
            self.levels = (first + values).min(self.column.len());
            self.words += match self.column.defs.get(first..self.levels) {
                Some(defs) => defs.iter().filter(|def| **def == max_def).count(),
                None => self.levels - first,
            };
            return Some((first..self.levels, first_word..self.words));
        }
        while self.levels < self.column.len() {
            let full = bytes >= PAGE || self.levels - first >= PAGE_VALUES;
            if full && self.column.reps.get(self.levels).is_none_or(|rep| *rep == 0) {
                break;
            }
            if self.column.defs.get(self.levels).is_none_or(|def| *def == max_def) {
                bytes += width.unwrap_or_else(|| {
                    let word = self.column.words.get(self.words);
                    word.map_or(0, |word| source.len(*word) + 4)
                });
                self.words += 1;
            }
            self.levels += 1;
        }
        Some((first..self.levels, first_word..self.words))
    }
}

/// Levels with their length in front; `write` is told how many bits they have.
fn level(most: u8, page: &mut Vec<u8>, write: impl FnOnce(u32, &mut Vec<u8>)) {
    let start = page.len();
    page.extend([0; 4]);
    write(width(most.into()), page);
    let len = u32::try_from(page.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = page.get_mut(start..start + 4) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

/// Values one behind another.
fn plain(words: &[u64], source: Source<'_>, page: &mut Vec<u8>) {
    match source.leaf.physical {
        Physical::Boolean => truths(words, page),
        Physical::Int32 | Physical::Float => {
            let start = page.len();
            page.resize(start + words.len() * 4, 0);
            let (places, _) = page.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
            for (place, word) in places.iter_mut().zip(words) {
                let [a, b, c, d, ..] = word.to_le_bytes();
                *place = [a, b, c, d];
            }
        }
        Physical::Int64 | Physical::Double => {
            let start = page.len();
            page.resize(start + words.len() * 8, 0);
            let (places, _) = page.get_mut(start..).unwrap_or_default().as_chunks_mut::<8>();
            for (place, word) in places.iter_mut().zip(words) {
                *place = word.to_le_bytes();
            }
        }
        Physical::Bytes => {
            for word in words {
                let bytes = source.bytes(*word);
                page.extend_from_slice(
                    &u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes(),
                );
                page.extend_from_slice(bytes);
            }
        }
        Physical::Fixed(_) => {
            for word in words {
                page.extend_from_slice(source.bytes(*word));
            }
        }
    }
}

/// The least and the greatest value as the footer has them, of those that can be compared.
fn bounds(words: &[u64], source: Source<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    if !source.leaf.ordered {
        return None;
    }
    let numbers = |width: usize| {
        let numbers = || words.iter().map(|word| word.cast_signed());
        let cut = |number: i64| number.to_le_bytes().get(..width).map(<[u8]>::to_vec);
        Some((cut(numbers().min()?)?, cut(numbers().max()?)?))
    };
    match source.leaf.physical {
        Physical::Boolean => numbers(1),
        Physical::Int32 => numbers(4),
        Physical::Int64 => numbers(8),
        Physical::Float => {
            let float = |word: &u64| f64::from(f32::from_bits(u32::try_from(*word).unwrap_or(0)));
            let (least, greatest) = floats(words.iter().map(float))?;
            // They were 32 bits before.
            #[allow(clippy::cast_possible_truncation, reason = "widened above")]
            let narrow = |value: f64| (value as f32).to_le_bytes().to_vec();
            Some((narrow(least), narrow(greatest)))
        }
        Physical::Double => {
            let (least, greatest) = floats(words.iter().map(|word| f64::from_bits(*word)))?;
            Some((least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec()))
        }
        Physical::Bytes | Physical::Fixed(_) => {
            let (mut least, mut greatest) = {
                let first = source.bytes(*words.first()?);
                (first, first)
            };
            for word in words {
                let bytes = source.bytes(*word);
                if bytes < least {
                    least = bytes;
                } else if bytes > greatest {
                    greatest = bytes;
                }
            }
            let short = least.len() <= BOUND && greatest.len() <= BOUND;
            short.then(|| (least.to_vec(), greatest.to_vec()))
        }
    }
}

/// Bounds without what is no number; zeros of either sign lie between -0 and 0.
fn floats(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut bounds: Option<(f64, f64)> = None;
    for value in values.filter(|value| !value.is_nan()) {
        let (least, greatest) = bounds.get_or_insert((value, value));
        *least = least.min(value);
        *greatest = greatest.max(value);
    }
    let (least, greatest) = bounds?;
    Some((if least == 0.0 { -0.0 } else { least }, if greatest == 0.0 { 0.0 } else { greatest }))
}
