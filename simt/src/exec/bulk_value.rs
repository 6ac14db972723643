//! Registers to another block's shared memory, completing on an mbarrier there (PTX ISA, `st.async`,
//! `red.async`).

use super::bulk::{End, Transfer};
use super::bulk_start::begin;
use super::fault::Fault;
use super::pieces::Mover;
use super::program::{Exec, Inst, Step};
use super::reach;
use super::reduction::{OPERATIONS, Reduction};
use super::warp::Warp;
use crate::numeric::matrix::descriptor::Swizzle;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

/// In `aux`: base registers of 32 bits; bytes of a value; how many; a reduction's operation and type.
const TO_NARROW: u32 = 1;
const BARRIER_NARROW: u32 = 2;
const REDUCES: u32 = 4;
const BYTES_SHIFT: u32 = 4;
const COUNT_SHIFT: u32 = 8;
const OPERATION_SHIFT: u32 = 12;
const TYPE_SHIFT: u32 = 16;

/// Types of reductions.
const REDUCED: [Type; 5] = [U32, S32, U64, B32, B64];

/// Places in the list: two for each address, then the values.
const TO: usize = 0;
const BARRIER: usize = 2;
const VALUES: usize = 4;

/// `st.async{.weak}{.shared::cluster}.mbarrier::complete_tx::bytes{.v2,.v4}.type [a], b, [mbar]`,
/// `red.async.relaxed.cluster{.shared::cluster}.mbarrier::complete_tx::bytes.op.type [a], b, [mbar]`
pub fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("async");
    i.one_of(&["weak", "relaxed"]);
    i.flag("cluster");
    i.flag("shared::cluster");
    if !i.flag("mbarrier::complete_tx::bytes") {
        return i.refuse();
    }
    let operation = i.one_of(&OPERATIONS);
    let count = match i.one_of(&["v2", "v4"]) {
        Some(index) => 2 << index,
        None => 1,
    };
    let ty = i.ty()?;
    if i.opcode == "red" {
        let kind = REDUCED.iter().position(|t| *t == ty);
        let (Some(operation), Some(kind), 1) = (operation, kind, count) else {
            return i.refuse();
        };
        if Reduction::find(operation, ty).is_none() {
            return i.refuse();
        }
        i.aux |= REDUCES | (operation as u32) << OPERATION_SHIFT | (kind as u32) << TYPE_SHIFT;
    } else if operation.is_some() || !matches!(ty, B32 | U32 | S32 | F32 | B64 | U64 | S64 | F64) {
        return i.refuse();
    }
    i.aux |= ty.bytes() << BYTES_SHIFT | count << COUNT_SHIFT;
    reach::take(i, Space::Shared, TO_NARROW)?;
    i.srcs(ty, count as usize)?;
    let values = i.uses.split_off(BARRIER);
    reach::take(i, Space::Shared, BARRIER_NARROW)?;
    i.uses.extend(values);
    i.in_list = true;
    i.facts.mover = Some(Mover::Value {
        reduces: i.aux & REDUCES != 0,
    });
    Ok(start)
}

fn start(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
        // SAFETY: the decoder gives this to these instructions alone.
        let started = unsafe { value(w, i, lane) };
        let begun =
            started.and_then(|(barrier, bytes, transfer)| begin(w, barrier, bytes, transfer));
        if let Err(fault) = begun {
            return w.fail(fault);
        }
    }
    Step::Next
}

/// The address of the mbarrier that is told, the bytes, and what a lane will do.
///
/// # Errors
/// What is wrong with the operands.
///
/// # Safety
/// `w` is about to execute the instruction, in that lane.
pub unsafe fn value(
    w: &Warp,
    i: &Inst,
    lane: usize,
) -> std::result::Result<(u64, usize, Transfer), Fault> {
    let each = (i.aux >> BYTES_SHIFT & 15) as usize;
    let count = (i.aux >> COUNT_SHIFT & 15) as usize;
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, VALUES + count);
        let to = w.address_rows(places, TO, i.aux & TO_NARROW != 0)[lane];
        let barrier = w.address_rows(places, BARRIER, i.aux & BARRIER_NARROW != 0)[lane];
        let mut data = Vec::with_capacity(16);
        for place in &places[VALUES..] {
            match each {
                4 => data.extend(w.row::<u32>(*place)[lane].to_le_bytes()),
                _ => data.extend(w.row::<u64>(*place)[lane].to_le_bytes()),
            }
        }
        let bytes = data.len();
        w.reach(Space::Shared, to, bytes as u64, bytes as u64)?;
        let found = w.block().shared_at(to, bytes as u64);
        let (block, offset) = found.ok_or(Fault::Operand("no shared memory"))?;
        let reduction = match i.aux & REDUCES {
            0 => None,
            _ => Reduction::find(
                (i.aux >> OPERATION_SHIFT & 15) as usize,
                REDUCED[(i.aux >> TYPE_SHIFT & 15) as usize],
            ),
        };
        let transfer = Transfer {
            from: End::Read(data),
            to: End::Shared(block, offset as u32, Swizzle::None),
            bytes,
            reduction,
        };
        Ok((barrier, bytes, transfer))
    }
}
