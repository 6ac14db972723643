//! Which bytes of memory a launch has touched, each once.

use std::collections::HashMap;

/// Bytes of a page of the map.
const PAGE: u64 = 4096;

/// One bit a byte.
type Bits = [u64; (PAGE / 64) as usize];

/// A set of bytes.
#[derive(Default)]
pub struct Footprint {
    /// Page number to index in `bits`.
    pages: HashMap<u64, usize>,
    bits: Vec<Bits>,
    /// The page that was used last, and its index: accesses come in rows.
    last: Option<(u64, usize)>,
}

impl Footprint {
    /// Adds the bytes from `first` up to `end`.
    pub fn add(&mut self, mut first: u64, end: u64) {
        while first < end {
            let page = first / PAGE;
            let stop = end.min((page + 1) * PAGE);
            let bits = self.page(page);
            let (mut at, last) = (first % PAGE, (stop - 1) % PAGE);
            while at <= last {
                let (low, high) = (at % 64, (last - at + at % 64).min(63));
                bits[(at / 64) as usize] |= !0 >> (63 - (high - low)) << low;
                at += 64 - low;
            }
            first = stop;
        }
    }

    fn page(&mut self, page: u64) -> &mut Bits {
        let index = match self.last {
            Some((number, index)) if number == page => index,
            _ => {
                let fresh = self.bits.len();
                let index = *self.pages.entry(page).or_insert(fresh);
                if index == fresh {
                    self.bits.push([0; (PAGE / 64) as usize]);
                }
                self.last = Some((page, index));
                index
            }
        };
        &mut self.bits[index]
    }

    /// Adds all bytes of another set.
    pub fn merge(&mut self, other: &Footprint) {
        for (page, index) in &other.pages {
            let own = self.page(*page);
            for (word, more) in own.iter_mut().zip(&other.bits[*index]) {
                *word |= more;
            }
        }
    }

    /// How many bytes are in the set.
    pub fn bytes(&self) -> u64 {
        let ones = |bits: &Bits| bits.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
        self.bits.iter().map(ones).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_once() {
        let mut set = Footprint::default();
        for (first, end, bytes) in [
            (100, 100, 0),
            (100, 101, 1),
            (64, 128, 64),
            (4000, 4200, 264),
            (4090, 8192 + 3, 264 + 3995),
            (4000, 4200, 264 + 3995),
        ] {
            set.add(first, end);
            assert_eq!(set.bytes(), bytes, "{first}..{end}");
        }
    }

    #[test]
    fn a_union_counts_common_bytes_once() {
        let (mut a, mut b) = (Footprint::default(), Footprint::default());
        a.add(0, 10_000);
        b.add(9_000, 20_000);
        b.merge(&a);
        assert_eq!(b.bytes(), 20_000);
    }
}
