//! What each block of a launch does, as some may have more of it than others.

use crate::exec::facts::Work;
use serde::{Deserialize, Serialize};

/// Blocks of a launch that are told apart: where there are more, one does not weigh much.
const MOST_BLOCKS: u64 = 1 << 14;
/// Shares of a launch.
const MOST_SHARES: usize = 512;

/// What neighbouring blocks of a grid do, all of them together; each about as much as the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub blocks: u64,
    /// Of warps.
    pub instructions: u64,
    /// Of shared memory.
    pub wavefronts: u64,
    /// Floating-point operations of tensor cores, and in f32.
    pub tensor: u64,
    pub f32: u64,
}

impl Share {
    fn amounts(&self) -> [u64; 4] {
        [self.instructions, self.wavefronts, self.tensor, self.f32]
    }

    /// Whether each of its blocks does what each of the other's does.
    fn is_like(&self, other: &Share) -> bool {
        let mut pairs = self.amounts().into_iter().zip(other.amounts());
        pairs.all(|(a, b)| a * other.blocks == b * self.blocks)
    }

    fn add(&mut self, other: &Share) {
        self.blocks += other.blocks;
        self.instructions += other.instructions;
        self.wavefronts += other.wavefronts;
        self.tensor += other.tensor;
        self.f32 += other.f32;
    }
}

/// Counts one block after another.
#[derive(Default)]
pub struct Blocks {
    at_work: Share,
    /// By their places in the grid.
    ended: Vec<(u64, Share)>,
}

impl Blocks {
    /// A warp takes its turn, with so many lanes at work of that kind.
    pub fn instruction(&mut self, work: Work, lanes: u32) {
        self.at_work.instructions += 1;
        match work {
            Work::F32(each) => self.at_work.f32 += u64::from(each) * u64::from(lanes),
            Work::Tensor(each) => self.at_work.tensor += u64::from(each),
            _ => {}
        }
    }

    pub fn wavefronts(&mut self, count: u64) {
        self.at_work.wavefronts += count;
    }

    /// The block at work, of a grid of so many, has ended.
    pub fn ends(&mut self, index: u64, blocks: u64) {
        let share = Share {
            blocks: 1,
            ..std::mem::take(&mut self.at_work)
        };
        if blocks <= MOST_BLOCKS {
            self.ended.push((index, share));
        }
    }

    /// Adds what another host thread has counted.
    pub fn merge(&mut self, other: &Blocks) {
        self.ended.extend(&other.ended);
    }

    /// The grid's blocks in their order; none where they are too many.
    pub fn shares(&self) -> Vec<Share> {
        let mut ended = self.ended.clone();
        ended.sort_unstable_by_key(|(index, _)| *index);
        let mut shares: Vec<Share> = Vec::new();
        for (_, share) in &ended {
            match shares.last_mut().filter(|last| last.is_like(share)) {
                Some(last) => last.add(share),
                None => shares.push(*share),
            }
        }
        while shares.len() > MOST_SHARES {
            let pairs = shares.chunks(2).map(|pair| {
                let mut both = pair[0];
                pair[1..].iter().for_each(|share| both.add(share));
                both
            });
            shares = pairs.collect();
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::{Blocks, MOST_BLOCKS, Share};
    use crate::exec::facts::Work;

    /// Of a grid in which block `i` has `turns(i)`.
    fn shares(blocks: u64, turns: impl Fn(u64) -> u64) -> Vec<Share> {
        let (mut even, mut odd) = (Blocks::default(), Blocks::default());
        for index in (0..blocks).rev() {
            let counts = if index % 2 == 0 { &mut even } else { &mut odd };
            (0..turns(index)).for_each(|_| counts.instruction(Work::F32(2), 32));
            counts.wavefronts(3);
            counts.ends(index, blocks);
        }
        even.merge(&odd);
        even.shares()
    }

    #[test]
    fn neighbours_that_do_the_same_are_one_share() {
        let share = |blocks, instructions| Share {
            blocks,
            instructions,
            wavefronts: 3 * blocks,
            tensor: 0,
            f32: 64 * instructions,
        };
        assert_eq!(shares(100, |_| 5), [share(100, 500)]);
        assert_eq!(shares(5, |i| 1 + i / 4), [share(4, 4), share(1, 2)]);
        assert_eq!(shares(0, |_| 1), []);
        assert_eq!(shares(MOST_BLOCKS + 1, |_| 1), []);
        // More than are told apart: nothing is lost.
        let many = shares(1500, |i| i);
        assert!((256..=512).contains(&many.len()));
        let sum = |of: fn(&Share) -> u64| many.iter().map(of).sum::<u64>();
        assert_eq!(sum(|s| s.blocks), 1500);
        assert_eq!(sum(|s| s.instructions), 1499 * 1500 / 2);
    }
}
