//! Feeds the cache with what blocks have accessed, in an order that does not depend on host threads.
//!
//! A chip works on as many blocks at once as fit: a wave. The blocks of a wave are replayed side by
//! side, one instruction's sectors of each in turn, waves one after another. Real blocks drift apart and
//! start as others end; what of a wave is shared is shared here as well.
//!
//! A block that reads what another one of its wave writes has waited for it, by atomic operations, or the
//! program has a race: such a read comes after the write, whichever block's turn it is. So does such a discard, and
//! the write then comes no more.

use super::cache::{Cache, Want};
use super::range::Range;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Sectors side by side that one instruction wants: number of the first, how many, and how.
#[derive(Clone, Copy)]
struct Run(u64);

impl Run {
    const MOST: u64 = 64;

    fn new(first: u64, count: u64, want: Want) -> Run {
        Run(first << 8 | (count - 1) << 2 | want as u64)
    }

    fn sectors(self) -> std::ops::Range<u64> {
        let first = self.0 >> 8;
        first..first + (self.0 >> 2 & (Run::MOST - 1)) + 1
    }

    fn want(self) -> Want {
        match self.0 & 3 {
            0 => Want::Read,
            1 => Want::Write,
            2 => Want::Atomic,
            _ => Want::Discard,
        }
    }
}

/// What a block has accessed, in its order.
#[derive(Default)]
pub struct Stream {
    runs: Vec<Run>,
    /// Where each instruction's runs end.
    ends: Vec<u32>,
}

impl Stream {
    /// Adds sectors of the instruction at work.
    pub fn push(&mut self, mut first: u64, mut count: u64, want: Want) {
        while count > 0 {
            let part = count.min(Run::MOST);
            self.runs.push(Run::new(first, part, want));
            (first, count) = (first + part, count - part);
        }
    }

    /// The instruction's sectors are all there.
    pub fn end_instruction(&mut self) {
        self.ends.push(self.runs.len() as u32);
    }

    /// How many runs of sectors it holds.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    fn instruction(&self, index: usize) -> &[Run] {
        let first = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.runs[first as usize..self.ends[index] as usize]
    }
}

/// Runs that are kept at most for the blocks of one wave, 8 bytes each and as much again.
const MOST_RUNS: u64 = 1 << 25;

/// The cache of a launch, and the blocks that it has not seen.
pub struct Replay {
    pub cache: Cache,
    /// Has a cache of its own, which wants the same.
    range: Option<Arc<Range>>,
    /// Streams of blocks that have ended, by their index.
    waiting: BTreeMap<u64, Stream>,
    /// First block of the wave that is awaited, blocks of a wave, blocks of the launch.
    next: u64,
    wave: u64,
    blocks: u64,
}

impl Replay {
    /// An empty cache of `bytes` for a launch of `blocks`, of which `wave` are at work at once, within `range` if
    /// there is one.
    pub fn new(bytes: u64, blocks: u64, wave: u64, range: Option<Arc<Range>>) -> Replay {
        Replay {
            cache: Cache::new(bytes),
            range,
            waiting: BTreeMap::new(),
            next: 0,
            wave: wave.clamp(1, blocks.max(1)),
            blocks,
        }
    }

    /// Runs that a block's stream may have.
    pub fn most_runs(&self) -> usize {
        (MOST_RUNS / self.wave).max(1 << 12) as usize
    }

    /// A block has ended; waves that are complete are replayed.
    pub fn block(&mut self, index: u64, stream: Stream) {
        self.waiting.insert(index, stream);
        loop {
            let end = (self.next + self.wave).min(self.blocks);
            let complete = self.next < end
                && self.waiting.range(self.next..end).count() as u64 == end - self.next;
            if !complete {
                return;
            }
            self.replay(end);
        }
    }

    /// The launch has ended, perhaps before all its blocks.
    pub fn finish(&mut self) {
        self.replay(u64::MAX);
        self.cache.flush();
    }

    /// Replays the blocks before `end` that wait.
    fn replay(&mut self, end: u64) {
        let later = self.waiting.split_off(&end);
        let wave: Vec<Stream> = std::mem::replace(&mut self.waiting, later)
            .into_values()
            .collect();
        let writers = writers(&wave);
        let longest = wave.iter().map(|s| s.ends.len()).max().unwrap_or(0);
        // Of one instruction of every block.
        let mut wanted = Vec::new();
        let mut gone = HashSet::new();
        for index in 0..longest {
            let at_work = |(_, stream): &(usize, &Stream)| index < stream.ends.len();
            for (block, stream) in wave.iter().enumerate().filter(at_work) {
                for run in stream.instruction(index) {
                    let want = run.want();
                    for sector in run.sectors() {
                        let is_others = writers.get(&sector).is_some_and(|by| *by != block);
                        match want {
                            Want::Read if is_others => wanted.push((sector, Want::Write)),
                            Want::Discard if is_others => _ = gone.insert(sector),
                            Want::Write if gone.contains(&sector) => continue,
                            _ => {}
                        }
                        wanted.push((sector, want));
                    }
                }
            }
            for (sector, want) in &wanted {
                self.cache.access(*sector, *want);
            }
            if let Some(range) = &self.range {
                range.access(&wanted);
            }
            wanted.clear();
        }
        self.next = end;
    }
}

/// Which block of a wave writes a sector; none where no block waits for another.
fn writers(wave: &[Stream]) -> HashMap<u64, usize> {
    let mut writers = HashMap::new();
    if !wave
        .iter()
        .flat_map(|s| &s.runs)
        .any(|r| r.want() == Want::Atomic)
    {
        return writers;
    }
    for (block, stream) in wave.iter().enumerate() {
        for run in stream.runs.iter().filter(|r| r.want() == Want::Write) {
            writers.extend(run.sectors().map(|sector| (sector, block)));
        }
    }
    writers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::cache::Tally;

    fn stream(runs: &[(u64, u64, Want)]) -> Stream {
        let mut stream = Stream::default();
        for (first, count, want) in runs {
            stream.push(*first, *count, *want);
            stream.end_instruction();
        }
        stream
    }

    #[test]
    fn runs_hold_what_was_put_in() {
        let stream = stream(&[(1 << 43, 130, Want::Atomic), (7, 64, Want::Write)]);
        let sectors = |index: usize| -> Vec<u64> {
            let runs = stream.instruction(index).iter();
            runs.flat_map(|run| run.sectors()).collect()
        };
        assert_eq!(sectors(0), ((1 << 43)..(1 << 43) + 130).collect::<Vec<_>>());
        assert_eq!(sectors(1), (7..71).collect::<Vec<_>>());
        assert!(
            stream
                .instruction(0)
                .iter()
                .all(|r| r.want() == Want::Atomic)
        );
        assert!(
            stream
                .instruction(1)
                .iter()
                .all(|r| r.want() == Want::Write)
        );
    }

    /// Blocks that stride through an array larger than the cache, all through the same.
    fn tally(order: impl Iterator<Item = u64>, wave: u64) -> Tally {
        let mut replay = Replay::new(1 << 16, 6, wave, None);
        for block in order {
            let reads: Vec<_> = (0..100).map(|at| (at * 64, 64, Want::Read)).collect();
            replay.block(block, stream(&reads));
        }
        replay.finish();
        replay.cache.tally
    }

    #[test]
    fn the_order_in_which_blocks_end_changes_nothing() {
        let expected = tally(0..6, 3);
        assert_eq!(tally([5, 0, 2, 1, 4, 3].into_iter(), 3), expected);
        assert_eq!(tally((0..6).rev(), 3), expected);
    }

    #[test]
    fn blocks_of_a_wave_share_what_they_read() {
        assert_eq!(tally(0..6, 6).fetched, 6400);
        assert_eq!(tally(0..6, 3).fetched, 2 * 6400);
        assert_eq!(tally(0..6, 1).fetched, 6 * 6400);
    }

    #[test]
    fn what_another_block_has_written_is_read_after_it() {
        // The first block is the last to end: it reads what the other has written.
        let add = (0, 1, Want::Atomic);
        let reads = |counts: &[(u64, u64, Want)]| {
            let mut replay = Replay::new(1 << 16, 2, 2, None);
            replay.block(0, stream(counts));
            replay.block(
                1,
                stream(&[(200, 4, Want::Read), (100, 4, Want::Write), add]),
            );
            replay.finish();
            replay.cache.tally
        };
        let waits = reads(&[add, (100, 4, Want::Read)]);
        assert_eq!((waits.fetched, waits.written), (1 + 4, 1 + 4));
        // What it gives up then is not written after all.
        let gives_up = reads(&[add, (100, 4, Want::Discard)]);
        assert_eq!((gives_up.fetched, gives_up.written), (1 + 4, 1));
        // Its own writes come when they come.
        let own = reads(&[add, (300, 4, Want::Read), (300, 4, Want::Write)]);
        assert_eq!((own.fetched, own.written), (1 + 4 + 4, 1 + 4 + 4));
    }
}
