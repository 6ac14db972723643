//! Lines of memory that are of no value any more (PTX ISA, `discard`).

use super::access::{Generic, Global, Memory, addresses};
use super::operand::take_address;
use super::program::{Exec, Inst, Step};
use super::touch::{Kind, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;

pub const TABLE: &[Entry] = &[Entry("discard", For::All, discard)];

/// Bytes that `discard` is for, and a multiple of which it begins at.
const LINE: u32 = 128;
/// What a line holds when it has been discarded, so that who reads it finds out.
const DISCARDED: u8 = 0xdd;

fn discard(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let space = i.space();
    if !i.flag("L2") || !matches!(space, Space::Global | Space::Generic) {
        return i.refuse();
    }
    let access = take_address(i, space)?;
    if i.immediate()? != i64::from(LINE) {
        return i.error("expected a size of 128");
    }
    i.facts.touch(Touch::new(Kind::Discard, &access, LINE, 1));
    Ok(match space {
        Space::Global => wipe::<Global>,
        _ => wipe::<Generic>,
    })
}

fn wipe<S: Memory>(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: the decoder took an address, and `writable` checks that all of the line may be written.
    unsafe {
        let mut at = addresses(w, i, i.places[0], mask);
        if let Err(step) = S::writable(w, i, &mut at, LINE) {
            return step;
        }
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            (at[lane] as *mut u8).write_bytes(DISCARDED, LINE as usize);
        }
    }
    Step::Next
}
