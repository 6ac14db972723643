//! Barriers of a block (PTX ISA, `bar`, `barrier`).

use super::block::Block;

/// One of a block's sixteen barriers.
#[derive(Debug, Default)]
pub struct Barrier {
    /// Lanes of each warp that have arrived since it last passed.
    arrived: Vec<u32>,
    /// Threads that it waits for; 0: all of the block.
    expected: u32,
    /// How often it has passed.
    pub passes: u64,
    /// Of the threads that have arrived: how many hold the predicate, and how many do not.
    holding: u32,
    lacking: u32,
    /// What `bar.red` gives: the number of threads that held the predicate, and whether all did.
    pub result: (u32, bool),
}

impl Block {
    /// Lanes of a warp arrive at a barrier. `expected` is a count of threads, or 0 for the block;
    /// `holding` are the lanes that hold the predicate of a reduction. The answer is how often the
    /// barrier has to have passed for them to go on.
    pub fn arrive(&self, index: u32, warp: u32, lanes: u32, expected: u32, holding: u32) -> u64 {
        let goal = {
            let mut barrier = self.barriers[index as usize].borrow_mut();
            let warps = self.living.borrow().len();
            barrier.arrived.resize(warps, 0);
            barrier.arrived[warp as usize] |= lanes;
            barrier.expected = expected;
            barrier.holding += (holding & lanes).count_ones();
            barrier.lacking += (!holding & lanes).count_ones();
            barrier.passes + 1
        };
        self.pass(index);
        goal
    }

    /// Threads of a warp have exited, which barriers no longer wait for.
    pub fn exited(&self, warp: usize, dead: u32) {
        self.living.borrow_mut()[warp] &= !dead;
        for index in 0..self.barriers.len() {
            self.pass(index as u32);
        }
        self.cluster().pass();
    }

    /// Lets a barrier pass if all that it waits for have come.
    fn pass(&self, index: u32) {
        let mut barrier = self.barriers[index as usize].borrow_mut();
        let living = self.living.borrow();
        if barrier.arrived.iter().all(|lanes| *lanes == 0) {
            return;
        }
        // A warp that is there with all its threads counts as 32 of them, as the ISA counts.
        let arrived: u32 = barrier
            .arrived
            .iter()
            .zip(living.iter())
            .map(|(here, all)| {
                if *here != 0 && here & all == *all {
                    32
                } else {
                    here.count_ones()
                }
            })
            .sum();
        let everyone = || {
            barrier
                .arrived
                .iter()
                .zip(living.iter())
                .all(|(here, all)| here & all == *all)
        };
        let complete = match barrier.expected {
            0 => everyone(),
            expected => arrived >= expected,
        };
        if complete {
            barrier.arrived.fill(0);
            barrier.passes += 1;
            barrier.result = (barrier.holding, barrier.lacking == 0);
            (barrier.holding, barrier.lacking) = (0, 0);
            self.stir();
        }
    }
}
