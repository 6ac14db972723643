//! An instruction that a warp is about to execute.

use crate::exec::block::Block;
use crate::exec::facts::{Effect, Facts};
use crate::exec::mbarrier_wait::{Look, looks};
use crate::exec::pieces::{Piece, pieces};
use crate::exec::program::NONE;
use crate::exec::touch::Touched;
use crate::exec::warp::Warp;

/// An instruction that a warp is about to execute, and for which lanes.
#[derive(Clone, Copy)]
pub struct Issue<'a> {
    warp: &'a Warp,
    facts: &'a Facts,
    pc: u32,
    mask: u32,
}

impl<'a> Issue<'a> {
    /// # Safety
    /// `warp` is about to execute the instruction at `pc` for the lanes in `mask`, which is not empty.
    pub(crate) unsafe fn new(warp: &'a Warp, pc: u32, mask: u32) -> Issue<'a> {
        let facts = &warp.program().facts[pc as usize];
        Issue {
            warp,
            facts,
            pc,
            mask,
        }
    }

    /// Index of the instruction in the program.
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// The lanes that execute it: those that run together, less those that its guard holds back.
    pub fn mask(&self) -> u32 {
        self.mask
    }

    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    pub fn block(&self) -> &'a Block {
        self.warp.block()
    }

    /// Linear index in the block of the warp's first thread.
    pub fn first_thread(&self) -> u32 {
        self.warp.first_thread
    }

    /// The warp's index in the block.
    pub fn warp(&self) -> u32 {
        self.warp.first_thread / 32
    }

    /// Lanes that run together here, whatever the guard says.
    pub fn active(&self) -> u32 {
        self.warp.active
    }

    /// Lanes that have exited, or never were.
    pub fn dead(&self) -> u32 {
        self.warp.dead
    }

    /// Bytes of a thread's local memory.
    pub fn local_bytes(&self) -> u32 {
        self.warp.local_stride
    }

    /// Whether the running function has been called by another; an [`Effect::Return`] ends the threads
    /// where it has not.
    pub fn is_called(&self) -> bool {
        self.warp.is_called()
    }

    /// What the instruction touches.
    pub fn touches(&self) -> impl Iterator<Item = Touched<'a>> {
        let (warp, mask) = (self.warp, self.mask);
        // SAFETY: `new` was promised that the warp is at the instruction, whose facts these are.
        let touched = move |touch| unsafe { Touched::new(warp, mask, touch) };
        self.facts.touches.iter().flatten().map(touched)
    }

    /// What the instruction touches that no [`Touched`] says.
    pub fn pieces(&self, mut f: impl FnMut(Piece<'a>)) {
        if let Some(mover) = self.facts.mover {
            let inst = &self.warp.program().code[self.pc as usize];
            // SAFETY: `new` was promised that the warp is at the instruction, whose facts these are.
            unsafe { pieces(mover, self.warp, inst, self.mask, &mut f) };
        }
    }

    /// The lanes that will hear from a wait for an mbarrier that its phase is complete.
    pub fn looks(&self, mut f: impl FnMut(Look<'a>)) {
        if self.facts.effect == Effect::MbarrierWait {
            let inst = &self.warp.program().code[self.pc as usize];
            // SAFETY: as in `pieces`.
            unsafe { looks(self.warp, inst, self.mask, &mut f) };
        }
    }

    /// How often the cluster's barrier has to have passed for the lanes to go on behind it.
    pub fn cluster_goal(&self) -> u64 {
        self.warp.cluster_goal(self.mask)
    }

    /// The threads that a `.sync` instruction names, all of the warp's where it names none; `None`: it
    /// is no such instruction.
    pub fn members(&self) -> Option<u32> {
        match self.facts.effect {
            Effect::Warp { members: NONE, .. } => Some(!0),
            Effect::Warp { members, .. } => {
                let lane = self.mask.trailing_zeros() as usize & 31;
                // SAFETY: the decoder took a row of 32 bits, and the frame is the instruction's.
                Some(unsafe { self.warp.row::<u32>(members) }[lane])
            }
            _ => None,
        }
    }

    /// The threads that each lane of a `.sync` instruction names; `None`: it takes no mask.
    pub fn member_masks(&self) -> Option<[u32; 32]> {
        match self.facts.effect {
            Effect::Warp { members, .. } if members != NONE => {
                // SAFETY: as in `members`.
                Some(unsafe { *self.warp.row::<u32>(members) })
            }
            _ => None,
        }
    }

    /// Index of the block's barrier that the instruction is about, and the count of threads, 0: all of
    /// the block. `None`: it is about none.
    pub fn barrier(&self) -> Option<(u32, u32)> {
        let Effect::Barrier { index, count, .. } = self.facts.effect else {
            return None;
        };
        let lane = self.mask.trailing_zeros() as usize & 31;
        // SAFETY: as in `members`.
        unsafe {
            let index = self.warp.row::<u32>(index)[lane];
            let count = match count {
                NONE => 0,
                place => self.warp.row::<u32>(place)[lane],
            };
            Some((index, count))
        }
    }

    /// Line in the PTX text.
    pub fn ptx_line(&self) -> u32 {
        self.warp.program().lines[self.pc as usize]
    }

    /// `.loc`: file number and line, zeros where there is none.
    pub fn source(&self) -> (u32, u32) {
        self.warp.program().sources[self.pc as usize]
    }
}
