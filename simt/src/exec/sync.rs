//! Barriers of the block and of the warp (PTX ISA, `bar`, `barrier`).

use super::block::BARRIERS;
use super::diverge::State;
use super::facts::{Class, Effect};
use super::fault::Fault;
use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("bar", For::All, barrier),
    Entry("barrier", For::All, barrier),
];

/// In `aux`: the predicate of a reduction is negated; which reduction; nothing waits.
const NEGATED: u32 = 1;
const POPC: u32 = 2;
const AND: u32 = 4;
const OR: u32 = 8;
const ARRIVE: u32 = 16;

/// Operands in places: 0 the result, 1 the barrier, 2 the count of threads, 3 the predicate.
fn barrier(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.flag("warp") {
        if !i.flag("sync") {
            return i.refuse();
        }
        i.src(U32)?;
        i.facts.class = Class::Warp;
        i.facts.effect = Effect::Warp {
            members: i.last(),
            orders: true,
        };
        return Ok(|w, i, mask| {
            // SAFETY: the decoder took a row of 32 bits.
            match unsafe { super::warp_wide::members(w, i.places[0], mask) } {
                Ok(_) => Step::Next,
                Err(step) => step,
            }
        });
    }
    if i.has("cluster") {
        return super::cluster::barrier(i);
    }
    i.flag("cta");
    // `bar` is always aligned.
    let aligned = i.flag("aligned") || i.opcode == "bar";
    let (sync, arrive, red) = (i.flag("sync"), i.flag("arrive"), i.flag("red"));
    if red {
        i.aux = match i.one_of(&["popc", "and", "or"]) {
            Some(index) => POPC << index,
            None => return i.refuse(),
        };
        let ty = i.ty()?;
        if ty != if i.aux & POPC != 0 { U32 } else { Pred } {
            return i.refuse();
        }
        i.dst(ty)?;
    } else {
        i.push(NONE, true);
    }
    i.src(U32)?;
    if i.left() > usize::from(red) {
        i.src(U32)?;
    } else {
        i.push(NONE, false);
    }
    if red && i.predicate()? {
        i.aux |= NEGATED;
    }
    i.facts.effect = Effect::Barrier {
        index: i.uses[1].place,
        count: i.uses[2].place,
        waits: !arrive,
        aligned,
    };
    match (sync || red, arrive) {
        (true, false) => Ok(wait),
        (false, true) => {
            i.aux |= ARRIVE;
            Ok(wait)
        }
        _ => i.refuse(),
    }
}

fn wait(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: the decoder took these widths.
    unsafe {
        let first = mask.trailing_zeros() as usize;
        let index = w.row::<u32>(i.places[1])[first];
        if index >= BARRIERS {
            return w.fail(Fault::IllegalTarget(index.into()));
        }
        if w.has_passed() {
            let (count, all) = w.block().barriers[index as usize].borrow().result;
            if i.aux & POPC != 0 {
                w.put(i.places[0], mask, &[count; 32]);
            } else if i.aux & (AND | OR) != 0 {
                let holds = if i.aux & AND != 0 { all } else { count != 0 };
                w.put_predicate(i.places[0], mask, if holds { !0 } else { 0 });
            }
            return Step::Next;
        }
        let expected = match i.places[2] {
            NONE => 0,
            place => w.row::<u32>(place)[first],
        };
        let holding = match i.places[3] {
            NONE => 0,
            place => w.predicate(place) ^ if i.aux & NEGATED != 0 { !0 } else { 0 },
        };
        let warp = w.first_thread / 32;
        let goal = w.block().arrive(index, warp, mask, expected, holding);
        if i.aux & ARRIVE != 0 {
            return Step::Next;
        }
        w.wait_in(State::Barrier(index, goal), mask)
    }
}
