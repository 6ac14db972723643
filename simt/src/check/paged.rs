//! Something for every page of the address space that anybody has touched.

use std::collections::HashMap;

/// Bytes of memory that a page stands for.
pub const PAGE: u64 = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 12;
/// Pages of a region.
const REGION: u64 = 4096;

type Region<P> = Box<[Option<Box<P>>]>;

/// Pages by address; those that were never asked for take no room.
#[derive(Debug)]
pub struct Paged<P> {
    regions: Vec<Region<P>>,
    numbers: HashMap<u64, usize>,
    /// The region asked for last, and its index.
    last: (u64, usize),
}

impl<P> Default for Paged<P> {
    fn default() -> Paged<P> {
        Paged {
            regions: Vec::new(),
            numbers: HashMap::new(),
            last: (u64::MAX, 0),
        }
    }
}

impl<P: Default> Paged<P> {
    /// The page that holds an address; a new one if there was none.
    #[inline(always)]
    pub fn page(&mut self, address: u64) -> &mut P {
        let page = address >> PAGE_BITS;
        let region = page / REGION;
        if self.last.0 != region {
            self.last = (region, self.index(region));
        }
        self.regions[self.last.1][(page % REGION) as usize].get_or_insert_with(Box::default)
    }

    #[cold]
    fn index(&mut self, region: u64) -> usize {
        let regions = &mut self.regions;
        *self.numbers.entry(region).or_insert_with(|| {
            regions.push((0..REGION).map(|_| None).collect());
            regions.len() - 1
        })
    }

    /// The page that holds an address, if anybody has asked for it to change it.
    pub fn get(&self, address: u64) -> Option<&P> {
        let page = address >> PAGE_BITS;
        let index = *self.numbers.get(&(page / REGION))?;
        self.regions[index][(page % REGION) as usize].as_deref()
    }

    /// Forgets the pages that lie in a range as a whole, and gives the parts that are left of it.
    pub fn forget(&mut self, first: u64, end: u64) -> [(u64, u64); 2] {
        let (from, to) = (first.next_multiple_of(PAGE), end / PAGE * PAGE);
        if from >= to {
            return [(first, end), (end, end)];
        }
        for region in from / PAGE / REGION..=(to - 1) / PAGE / REGION {
            if let Some(index) = self.numbers.get(&region) {
                for (at, page) in self.regions[*index].iter_mut().enumerate() {
                    let address = (region * REGION + at as u64) * PAGE;
                    if (from..to).contains(&address) {
                        *page = None;
                    }
                }
            }
        }
        [(first, from), (to, end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_until_they_are_forgotten() {
        let mut pages = Paged::<u64>::default();
        let far = 0x7f12_3456_7000;
        for (index, address) in [far, far + PAGE, far + (REGION + 3) * PAGE, 0]
            .into_iter()
            .enumerate()
        {
            *pages.page(address + 17) = index as u64 + 1;
        }
        assert_eq!(pages.get(far + PAGE - 1), Some(&1));
        assert_eq!(pages.get(far + 2 * PAGE), None);
        assert_eq!(*pages.page(far + PAGE + 5), 2);
        // Only the second page lies in the range as a whole.
        let rest = pages.forget(far + 100, far + 2 * PAGE + 7);
        assert_eq!(
            rest,
            [
                (far + 100, far + PAGE),
                (far + 2 * PAGE, far + 2 * PAGE + 7)
            ]
        );
        assert_eq!((pages.get(far), pages.get(far + PAGE)), (Some(&1), None));
        assert_eq!(pages.get(far + (REGION + 3) * PAGE), Some(&3));
        assert_eq!(
            pages.forget(far + 1, far + 2),
            [(far + 1, far + 2), (far + 2, far + 2)]
        );
    }
}
