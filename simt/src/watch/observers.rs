//! Between a warp's loop and those who look on.

use super::{Issue, LaunchWatch, Observer};
use crate::exec::block::Block;
use crate::exec::facts::Effect;
use crate::exec::warp::Warp;

/// What a warp's loop calls before each instruction.
pub trait Onlooker {
    /// # Safety
    /// As of `Issue::new`.
    unsafe fn see(&mut self, warp: &Warp, pc: u32, mask: u32);

    /// The guard holds all running lanes back.
    fn pass(&mut self, warp: &Warp, pc: u32);
}

/// Nobody looks on, and nothing is called.
pub struct Nobody;

impl Onlooker for Nobody {
    #[inline(always)]
    unsafe fn see(&mut self, _: &Warp, _: u32, _: u32) {}

    #[inline(always)]
    fn pass(&mut self, _: &Warp, _: u32) {}
}

/// The observers of one block after another.
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// One of each watch.
    pub fn new(watches: &[Box<dyn LaunchWatch>]) -> Observers {
        Observers(watches.iter().filter_map(|w| w.observer()).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn block_begins(&mut self, block: &Block) {
        self.0.iter_mut().for_each(|o| o.block_begins(block));
    }

    pub fn block_ends(&mut self, block: &Block) {
        self.0.iter_mut().for_each(|o| o.block_ends(block));
    }

    pub fn finish(self) {
        self.0.into_iter().for_each(|o| o.finish());
    }
}

impl Onlooker for Observers {
    unsafe fn see(&mut self, warp: &Warp, pc: u32, mask: u32) {
        // SAFETY: the caller's promise.
        let issue = unsafe { Issue::new(warp, pc, mask) };
        match issue.facts().effect {
            Effect::None if issue.facts().is_silent() => return,
            // It is not executed now: the warp comes back to it when the others have come.
            Effect::Warp { .. } if warp.would_wait(issue.members().unwrap_or(!0)) => return,
            Effect::Barrier { .. } | Effect::MbarrierWait | Effect::ClusterWait
                if warp.passes_now() =>
            {
                return self.0.iter_mut().for_each(|o| o.passed(&issue));
            }
            _ => {}
        }
        self.0.iter_mut().for_each(|o| o.before(&issue));
    }

    fn pass(&mut self, warp: &Warp, pc: u32) {
        self.0
            .iter_mut()
            .for_each(|o| o.held_back(warp.block(), pc));
    }
}
