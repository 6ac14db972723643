//! A model of the L2 cache.
//!
//! What it assumes: lines of 128 bytes in sets of 16, the least recently used of a set leaves, sets are
//! chosen by the line's number; each of a line's four sectors of 32 bytes comes from memory by itself,
//! when it is first read; a write brings nothing in and reaches memory when the line leaves; an atomic
//! operation reads and writes; what is discarded leaves as if it had never come. The cache is empty before a launch
//! and is written back after it, that of a range of launches before and after the range. There is no L1 before it, and its two halves, as some chips have, are
//! one.

const WAYS: usize = 16;
/// Sectors of a line.
const SECTORS: u64 = 4;
const LINE_BYTES: u64 = 32 * SECTORS;

/// How a sector is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Read,
    Write,
    /// Both.
    Atomic,
    /// Not any more: what differs from memory is dropped.
    Discard,
}

#[derive(Clone, Copy, Default)]
struct Line {
    number: u64,
    /// When it was last used; 0: the line is empty.
    used: u64,
    /// Sectors that are there, and those that differ from memory.
    valid: u8,
    dirty: u8,
}

/// What has happened, in sectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub hits: u64,
    pub misses: u64,
    /// From memory, and to it.
    pub fetched: u64,
    pub written: u64,
}

/// The cache.
pub struct Cache {
    /// Made when they are first used: most launches touch few of them.
    sets: Vec<Option<Box<[Line; WAYS]>>>,
    clock: u64,
    pub tally: Tally,
}

impl Cache {
    /// An empty cache of about that many bytes.
    pub fn new(bytes: u64) -> Cache {
        let sets = (bytes / (LINE_BYTES * WAYS as u64)).max(1);
        Cache {
            sets: vec![None; sets as usize],
            clock: 0,
            tally: Tally::default(),
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.sets.len() as u64 * WAYS as u64 * LINE_BYTES
    }

    /// A sector is wanted, by its number in memory.
    pub fn access(&mut self, sector: u64, want: Want) {
        self.clock += 1;
        let (number, bit) = (sector / SECTORS, 1 << (sector % SECTORS));
        let set = (number % self.sets.len() as u64) as usize;
        let set = self.sets[set].get_or_insert_default();
        let found = set.iter().position(|l| l.used != 0 && l.number == number);
        if want == Want::Discard {
            if let Some(way) = found {
                let line = &mut set[way];
                line.valid &= !bit;
                line.dirty &= !bit;
                if line.valid == 0 {
                    *line = Line::default();
                }
            }
            return;
        }
        let way = found.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|way| set[*way].used).unwrap_or(0);
            self.tally.written += u64::from(set[oldest].dirty.count_ones());
            set[oldest] = Line {
                number,
                ..Line::default()
            };
            oldest
        });
        let line = &mut set[way];
        line.used = self.clock;
        if line.valid & bit != 0 {
            self.tally.hits += 1;
        } else {
            self.tally.misses += 1;
            self.tally.fetched += u64::from(want != Want::Write);
            line.valid |= bit;
        }
        if want != Want::Read {
            line.dirty |= bit;
        }
    }

    /// Writes back what differs from memory.
    pub fn flush(&mut self) {
        for line in self
            .sets
            .iter_mut()
            .flatten()
            .flat_map(|set| set.iter_mut())
        {
            self.tally.written += u64::from(line.dirty.count_ones());
            line.dirty = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an array twice.
    fn twice(cache: u64, sectors: u64) -> Tally {
        let mut cache = Cache::new(cache);
        for sector in (0..sectors).chain(0..sectors) {
            cache.access(sector + 12_345 * 4, Want::Read);
        }
        cache.flush();
        cache.tally
    }

    #[test]
    fn what_fits_is_read_once() {
        let sectors = (1 << 20) / 32;
        let tally = twice(1 << 20, sectors);
        assert_eq!(
            (tally.hits, tally.fetched, tally.written),
            (sectors, sectors, 0)
        );
    }

    #[test]
    fn the_least_recently_used_leaves() {
        // One line a set too many: in a cyclic order every line has just left when it is wanted.
        let sectors = (17 << 20) / 16 / 32;
        let tally = twice(1 << 20, sectors);
        assert_eq!((tally.hits, tally.fetched), (0, 2 * sectors));
    }

    #[test]
    fn writes_bring_nothing_in_and_leave_once() {
        let mut cache = Cache::new(1 << 16);
        for _ in 0..3 {
            (0..100).for_each(|sector| cache.access(sector, Want::Write));
        }
        cache.flush();
        let expected = Tally {
            hits: 200,
            misses: 100,
            fetched: 0,
            written: 100,
        };
        assert_eq!(cache.tally, expected);
    }

    #[test]
    fn a_discarded_line_is_not_written_back() {
        let mut cache = Cache::new(1);
        // Half of the second of three lines, all of the third, and one that is not there.
        (0..12).for_each(|sector| cache.access(sector, Want::Write));
        let before = cache.tally;
        (6..16).for_each(|sector| cache.access(sector, Want::Discard));
        assert_eq!(cache.tally, before);
        // It is fetched again, and the room that it leaves is the first to be taken.
        cache.access(11, Want::Read);
        (4..17).for_each(|line| cache.access(4 * line, Want::Read));
        assert_eq!((cache.tally.fetched, cache.tally.written), (1 + 13, 0));
        cache.flush();
        assert_eq!(cache.tally.written, 6);
    }

    #[test]
    fn dirty_lines_are_written_when_they_leave() {
        let mut cache = Cache::new(1);
        // A single set: seventeen lines, of which the first leaves.
        (0..17).for_each(|line| cache.access(4 * line, Want::Atomic));
        assert_eq!((cache.tally.fetched, cache.tally.written), (17, 1));
    }
}
