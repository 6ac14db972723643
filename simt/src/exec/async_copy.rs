//! Copies from global to shared memory that threads wait for (PTX ISA, `cp.async`).

use super::access::{Global, Memory, Shared, addresses};
use super::facts::Effect;
use super::operand::take_address;
use super::program::{Exec, NONE, Step};
use super::touch::{Extent, Kind, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[Entry("cp", For::All, copy)];

/// `cp.async.{ca,cg}.shared.global [to], [from], bytes{, read}{, policy}`, `cp.async.commit_group`,
/// `cp.async.wait_group n`, `cp.async.wait_all`
fn copy(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.has("bulk") {
        return super::bulk_copy::decode(i);
    }
    if !i.flag("async") {
        return i.refuse();
    }
    if i.has("mbarrier") {
        return super::mbarrier::arrive_after_copies(i);
    }
    if i.flag("commit_group") {
        i.facts.effect = Effect::CopyCommit;
        return Ok(|w, _, mask| {
            w.copies.commit(mask);
            Step::Next
        });
    }
    if i.flag("wait_all") {
        i.facts.effect = Effect::CopyWait { keep: None };
        return Ok(|w, _, mask| {
            // SAFETY: the launch's memory is there as long as the warp runs.
            unsafe { w.copies.wait_all(mask) };
            w.land_copies(mask);
            Step::Next
        });
    }
    if i.flag("wait_group") {
        i.aux = match u32::try_from(i.immediate()?) {
            Ok(count) => count,
            Err(_) => return i.error("a negative number of groups"),
        };
        i.facts.effect = Effect::CopyWait { keep: Some(i.aux) };
        return Ok(|w, i, mask| {
            // SAFETY: as above.
            unsafe { w.copies.wait(mask, i.aux) };
            w.land_copies(mask);
            Step::Next
        });
    }
    start(i)
}

impl Warp {
    /// Has the copies of some lanes done that an mbarrier tracks: who waits for a thread's copies waits
    /// for those as well.
    fn land_copies(&mut self, lanes: u32) {
        let first = self.first_thread;
        self.block().land_if(|operation| {
            let lane = operation.owner.and_then(|owner| owner.checked_sub(first));
            lane.is_some_and(|lane| lane < 32 && lanes >> lane & 1 != 0)
        });
    }
}

/// In `aux`: see [`super::access`]; both addresses may have 32-bit bases, so that the first one's
/// facts are moved up by this.
const TO_SHIFT: u32 = 16;
/// In `aux`: bytes written, shifted by this; the fourth operand is a predicate.
const BYTES_SHIFT: u32 = 24;
const IGNORE: u32 = 1 << 23;

fn start(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let cached = i.one_of(&["ca", "cg"]);
    if !i.flag("shared") && !i.flag("shared::cta") || !i.flag("global") {
        return i.refuse();
    }
    let hint = |m: &str| m.starts_with("L2::");
    while i.modifier(|m| hint(m).then_some(())).is_some() {}
    let shared = take_address(i, Space::Shared)?;
    let to = (i.aux, i.imm);
    i.aux = 0;
    let global = take_address(i, Space::Global)?;
    let from = (i.aux, i.imm);
    let bytes = i.immediate()?;
    match (cached, bytes) {
        (Some(0), 4 | 8 | 16) | (Some(1), 16) => {}
        _ => return i.error(format_args!("a copy of {bytes} bytes")),
    }
    let mut read = Touch::new(Kind::CopyFrom, &global, bytes as u32, 1);
    // Both offsets share `imm`, 32 bits each.
    let fits = |offset: u64| i32::try_from(offset as i64).ok();
    let (Some(to_offset), Some(from_offset)) = (fits(to.1), fits(from.1)) else {
        return i.error("an offset of more than 31 bits");
    };
    i.imm = u64::from(to_offset as u32) << 32 | u64::from(from_offset as u32);
    i.aux = from.0 | to.0 << TO_SHIFT | (bytes as u32) << BYTES_SHIFT;
    if i.left() > 0 {
        let is_predicate = match i.peek() {
            Some(crate::ptx::ast::Operand::Not(_)) => true,
            Some(crate::ptx::ast::Operand::Name(name, None)) => {
                let register = i.scope.find_register(name);
                register.is_some_and(|r| i.scope.registers[r as usize].ty == Pred)
            }
            _ => false,
        };
        if is_predicate {
            i.aux |= IGNORE;
            if i.predicate()? {
                return i.error("a negated predicate");
            }
            read.extent = Extent::Unless(i.last());
        } else if matches!(i.peek(), Some(crate::ptx::ast::Operand::Name(name, None)) if i.scope.find_register(name).is_some_and(|r| i.scope.registers[r as usize].ty.bits() == 64))
        {
            i.src(B64)?;
            i.uses.pop();
        } else {
            i.src(B32)?;
            read.extent = Extent::AtMost(i.last());
        }
    }
    if i.left() > 0 {
        i.src(B64)?;
        i.uses.pop();
    }
    i.facts.touch(read);
    i.facts
        .touch(Touch::new(Kind::CopyTo, &shared, bytes as u32, 1));
    Ok(|w, i, mask| {
        let bytes = i.aux >> BYTES_SHIFT;
        let mut one = *i;
        // SAFETY: the decoder took rows of these widths; `pointers` checks the addresses.
        unsafe {
            one.imm = (i.imm >> 32) as i32 as i64 as u64;
            one.aux = i.aux >> TO_SHIFT & 7;
            let mut to = addresses(w, &one, i.places[0], mask);
            one.imm = i.imm as i32 as i64 as u64;
            one.aux = i.aux & 7;
            let mut from = addresses(w, &one, i.places[1], mask);
            let mut read = [bytes; 32];
            if i.places[2] != NONE {
                if i.aux & IGNORE != 0 {
                    let ignored = w.predicate(i.places[2]);
                    read = std::array::from_fn(|l| if ignored >> l & 1 != 0 { 0 } else { bytes });
                } else {
                    let asked = w.row::<u32>(i.places[2]);
                    read = asked.map(|r| r.min(bytes));
                }
                // A lane that reads nothing may point anywhere.
                if let Some(good) = (0..32).find(|l| mask >> l & 1 != 0 && read[*l] != 0) {
                    for lane in 0..32 {
                        if read[lane] == 0 || mask >> lane & 1 == 0 {
                            from[lane] = from[good];
                        }
                    }
                }
            }
            if let Err(step) = Shared::pointers(w, i, &mut to, bytes) {
                return step;
            }
            let some = (0..32).any(|l| mask >> l & 1 != 0 && read[l] != 0);
            if some && let Err(step) = Global::pointers(w, i, &mut from, bytes) {
                return step;
            }
            w.copies.start(
                mask,
                &to.map(|a| a as *mut u8),
                &from.map(|a| a as *const u8),
                bytes,
                &read,
            );
        }
        Step::Next
    })
}
