//! One bit for every byte of memory.

use super::paged::{PAGE, Paged};
use std::ops::Range;

/// Bits of 64 bytes.
const WORD: u64 = 64;

/// Bits of a small memory: shared or local.
#[derive(Debug, Clone, Default)]
pub struct Bits(Vec<u64>);

/// The words of a range of bits, with the bits of the range in each.
fn words(range: Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = range;
    let words = start / WORD..end.div_ceil(WORD).max(start / WORD);
    words.map(move |word| {
        let first = start.max(word * WORD) - word * WORD;
        let last = end.min((word + 1) * WORD) - word * WORD;
        let mask = match last.saturating_sub(first) {
            0 => 0,
            WORD => !0,
            count => ((1 << count) - 1) << first,
        };
        (word as usize, mask)
    })
}

/// Whether a whole word of 4 bytes of an access is missing, or all of a narrower access. Single missing
/// bytes are the padding of structures, which compilers copy as words. `bits` are those of the access,
/// from its first byte on.
#[inline(always)]
fn lacks_word(bits: u64, bytes: u32) -> bool {
    if bytes < 4 {
        return bits == 0;
    }
    const LOWEST: u64 = 0x1111_1111_1111_1111;
    let any = bits | bits >> 1;
    let any = (any | any >> 2) & LOWEST;
    let words = LOWEST & (!0 >> (64 - bytes.min(64) / 4 * 4));
    any & words != words
}

impl Bits {
    /// All clear, for that many bytes.
    pub fn reset(&mut self, bytes: usize) {
        self.0.clear();
        self.0.resize(bytes.div_ceil(WORD as usize), 0);
    }

    /// Sets or clears the bits of a range; what lies outside is ignored.
    #[inline]
    pub fn put(&mut self, range: Range<u64>, value: bool) {
        for (word, mask) in words(range) {
            if let Some(word) = self.0.get_mut(word) {
                *word = if value { *word | mask } else { *word & !mask };
            }
        }
    }

    /// Whether any bit of a range is set.
    #[inline]
    pub fn any(&self, range: Range<u64>) -> bool {
        words(range).any(|(word, mask)| self.0.get(word).is_some_and(|bits| bits & mask != 0))
    }

    /// Whether an access is to bytes of which a word is not set.
    #[inline]
    pub fn lacks(&self, at: u64, bytes: u32) -> bool {
        let read = |word: u64| self.0.get(word as usize).copied().unwrap_or(0);
        lacks(read, at, bytes)
    }
}

/// As [`Bits::lacks`], by a function that gives the word of that index.
#[inline(always)]
fn lacks(word: impl Fn(u64) -> u64, at: u64, bytes: u32) -> bool {
    let (index, shift) = (at / WORD, at % WORD);
    let mut bits = word(index) >> shift;
    if shift + u64::from(bytes) > WORD {
        bits |= word(index + 1) << (WORD - shift);
    }
    if bytes < 64 {
        bits &= (1 << bytes) - 1;
    }
    lacks_word(bits, bytes)
}

/// Bits of the whole address space.
#[derive(Debug, Default)]
pub struct SparseBits(Paged<Page>);

#[derive(Debug)]
struct Page([u64; (PAGE / WORD) as usize]);

impl Default for Page {
    fn default() -> Page {
        Page([0; (PAGE / WORD) as usize])
    }
}

/// The parts of a range that lie in one page each.
fn pages(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let Range { mut start, end } = range;
    std::iter::from_fn(move || {
        let stop = end.min((start / PAGE + 1) * PAGE);
        let part = start..stop;
        start = stop;
        (!part.is_empty()).then_some(part)
    })
}

impl SparseBits {
    /// Sets the bits of a range.
    pub fn set(&mut self, range: Range<u64>) {
        for part in pages(range) {
            let page = self.0.page(part.start);
            let first = part.start / PAGE * PAGE;
            for (word, mask) in words(part.start - first..part.end - first) {
                page.0[word] |= mask;
            }
        }
    }

    /// Clears the bits of a range.
    pub fn clear(&mut self, range: Range<u64>) {
        for (start, end) in self.0.forget(range.start, range.end) {
            for part in pages(start..end) {
                if self.0.get(part.start).is_none() {
                    continue;
                }
                let page = self.0.page(part.start);
                let first = part.start / PAGE * PAGE;
                for (word, mask) in words(part.start - first..part.end - first) {
                    page.0[word] &= !mask;
                }
            }
        }
    }

    /// Copies the bits of `bytes` from one place to another that does not overlap it.
    pub fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        let mut at = 0;
        while at < bytes {
            let (source, target) = (from + at, to + at);
            let is_whole = source % WORD == 0 && target % WORD == 0 && bytes - at >= WORD;
            if is_whole {
                let index = |address: u64| (address % PAGE / WORD) as usize;
                let word = self.0.get(source).map_or(0, |page| page.0[index(source)]);
                self.0.page(target).0[index(target)] = word;
                at += WORD;
                continue;
            }
            if self.get(source) {
                self.set(target..target + 1);
            } else {
                self.clear(target..target + 1);
            }
            at += 1;
        }
    }

    fn get(&self, at: u64) -> bool {
        let page = self.0.get(at);
        page.is_some_and(|page| page.0[(at % PAGE / WORD) as usize] >> (at % WORD) & 1 != 0)
    }

    /// Whether an access, which does not cross a page's end, is to bytes of which a word is not set.
    #[inline]
    pub fn lacks(&mut self, at: u64, bytes: u32) -> bool {
        let page = self.0.page(at);
        let read = |word: u64| page.0.get(word as usize).copied().unwrap_or(0);
        lacks(read, at % PAGE, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_any_length() {
        let mut plain = vec![false; 700];
        let mut bits = Bits::default();
        bits.reset(700);
        let mut sparse = SparseBits::default();
        let base = 5 * PAGE - 300;
        for (start, end, value) in [
            (3, 69, true),
            (64, 128, true),
            (100, 101, false),
            (290, 700, true),
            (310, 311, false),
            (400, 400, false),
            (512, 576, false),
        ] {
            plain[start..end].fill(value);
            bits.put(start as u64..end as u64, value);
            let range = base + start as u64..base + end as u64;
            if value {
                sparse.set(range);
            } else {
                sparse.clear(range);
            }
        }
        for at in 0..700u64 {
            assert_eq!(bits.any(at..at + 1), plain[at as usize], "{at}");
            assert_eq!(sparse.get(base + at), plain[at as usize], "{at}");
        }
        // To places aligned as the source is, and otherwise.
        for distance in [10_001, 40_960] {
            sparse.set(base + distance..base + distance + 700);
            sparse.copy(base, base + distance, 700);
            for at in 0..700u64 {
                assert_eq!(sparse.get(base + distance + at), plain[at as usize], "{at}");
            }
        }
    }

    #[test]
    fn padding_is_not_missed_and_words_are() {
        let mut bits = Bits::default();
        bits.reset(256);
        // A structure of one byte and a word, at 64.
        bits.put(64..65, true);
        bits.put(68..72, true);
        assert!(!bits.lacks(64, 8));
        assert!(bits.lacks(64, 16));
        assert!(bits.lacks(65, 1));
        assert!(!bits.lacks(64, 2));
        assert!(bits.lacks(66, 2));
        for only in [96, 101, 106, 111] {
            bits.put(only..only + 1, true);
        }
        assert!(!bits.lacks(96, 16));
        bits.put(128..192, true);
        assert!(!bits.lacks(128, 64));
        assert!(bits.lacks(160, 64));
    }
}
