//! Waiting for the phase of an mbarrier (PTX ISA, `mbarrier.test_wait`, `mbarrier.try_wait`).

use super::block::Block;
use super::diverge::State;
use super::fault::Fault;
use super::mbarrier::{GENERIC, NARROW, PARITY, TRY};
use super::mbarrier_object::Mbarrier;
use super::pieces;
use super::program::{Inst, Step};
use super::warp::Warp;
use crate::ptx::types::Space;

/// `test_wait` looks, and `try_wait` waits while others can go on.
pub fn wait_for_phase(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let has_waited = w.has_passed();
    let is_try = i.aux & TRY != 0;
    let (mut complete, mut first) = (0u32, None);
    // SAFETY: the decoder took these operands.
    unsafe {
        let addresses = w.address_rows(&i.places, 1, i.aux & NARROW != 0);
        let space = if i.aux & GENERIC != 0 {
            Space::Generic
        } else {
            Space::Shared
        };
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let at = match w.reach(space, addresses[lane], 8, 8) {
                Ok(at) => at.cast::<u64>(),
                Err(fault) => return w.fail(fault),
            };
            let parity = parity_of(w, i, lane);
            if Mbarrier::decode(at.read()).is_none() {
                let address = addresses[lane];
                let problem = "it was not initialised";
                return w.fail(Fault::Mbarrier { address, problem });
            }
            let block = w.block();
            let left = if is_try {
                block.has_left(at as u64, parity)
            } else {
                Mbarrier::decode(at.read()).is_some_and(|barrier| barrier.parity != parity)
            };
            if left {
                complete |= 1 << lane;
            } else {
                first = first.or(Some((at as u64, parity)));
            }
        }
        // What threads only look at lands afterwards: the first look fails, as it may on a chip.
        if let Some((word, parity)) = first
            && !is_try
        {
            w.block().has_left(word, parity);
        }
        if let Some((word, parity)) = first
            && is_try
            && !has_waited
            && complete == 0
            && mask == w.active
        {
            return w.wait_in(State::Phase(word, parity), mask);
        }
        w.put_predicate(i.places[0], mask, complete);
    }
    w.spin();
    Step::Next
}

/// A lane's look at an mbarrier.
pub struct Look<'a> {
    pub lane: u32,
    /// The barrier's block, and its offset in shared memory.
    pub block: &'a Block,
    pub offset: u64,
    /// The phase of that parity has completed, or will have by what the look makes land.
    pub parity: u32,
}

/// Calls `f` with those lanes' looks that a wait for an mbarrier will answer with "complete".
///
/// # Safety
/// `w` is about to execute the instruction, a wait, for the lanes in `mask`.
pub unsafe fn looks<'a>(w: &'a Warp, i: &Inst, mask: u32, f: &mut dyn FnMut(Look<'a>)) {
    // SAFETY: the decoder took these operands.
    unsafe {
        let addresses = w.address_rows(&i.places, 1, i.aux & NARROW != 0);
        let space = match i.aux & GENERIC {
            0 => Space::Shared,
            _ => Space::Generic,
        };
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let found = pieces::resolve(w, space, addresses[lane], 8);
            let Some((block, Space::Shared, offset)) = found else {
                continue;
            };
            let at = block.shared().add(offset as usize).cast::<u64>();
            let parity = parity_of(w, i, lane);
            let is_complete = match i.aux & TRY {
                0 => Mbarrier::decode(at.read_unaligned()).is_some_and(|b| b.parity != parity),
                _ => w.block().will_have_left(at as u64, parity),
            };
            if is_complete {
                f(Look {
                    lane: lane as u32,
                    block,
                    offset,
                    parity,
                });
            }
        }
    }
}

/// The parity of the phase that a lane waits for.
unsafe fn parity_of(w: &Warp, i: &Inst, lane: usize) -> u32 {
    // SAFETY: the decoder took a row of this width.
    unsafe {
        match i.aux & PARITY {
            0 => (w.row::<u64>(i.places[3])[lane] >> 61) as u32 & 1,
            _ => w.row::<u32>(i.places[3])[lane] & 1,
        }
    }
}
