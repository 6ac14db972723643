//! What remains (PTX ISA, "Miscellaneous Instructions").

use super::control::nothing;
use super::program::Step;
use super::{Entry, For};
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("nanosleep", For::All, |i| {
        i.ty()?;
        i.src(U32)?;
        // Sleeping is a way to wait for another thread.
        Ok(|w, _, _| {
            w.spin();
            Step::Next
        })
    }),
    Entry("pmevent", For::All, |i| {
        i.flag("mask");
        i.immediate()?;
        Ok(nothing)
    }),
    Entry("griddepcontrol", For::All, |i| {
        // Launches do not overlap, so that what one waits for has happened.
        match i.one_of(&["launch_dependents", "wait"]) {
            Some(_) => Ok(nothing),
            None => i.refuse(),
        }
    }),
    Entry("setmaxnreg", For::All, |i| {
        // Registers are not scarce here.
        i.one_of(&["inc", "dec"]);
        i.flag("sync");
        i.flag("aligned");
        i.ty()?;
        i.immediate()?;
        Ok(nothing)
    }),
    Entry("createpolicy", For::All, |i| {
        // A policy is a hint; its bits are never looked at.
        while i.modifier(Some).is_some() {}
        i.dst(B64)?;
        while i.left() > 0 {
            i.operand()?;
        }
        Ok(|w, i, mask| {
            // SAFETY: the decoder took a row of 64 bits.
            unsafe { w.put(i.places[0], mask, &[0u64; 32]) };
            Step::Next
        })
    }),
];
