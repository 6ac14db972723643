//! Bulk copies between global and shared memory (PTX ISA, `cp.async.bulk`, `cp.async.bulk.tensor`,
//! `cp.reduce.async.bulk`, `cp.reduce.async.bulk.tensor`, their prefetches and groups).

use super::facts::Effect;
use super::pieces::Mover;
use super::program::{Exec, NONE, Step};
use super::reach;
use super::reduction::{OPERATIONS, Reduction};
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::{Instr, Use};
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

/// In `aux`: base registers of 32 bits; where from and to; the number of dimensions, 0 for plain bytes;
/// a reduction's operation, and its type (an index in [`REDUCED`]).
pub const TO_NARROW: u32 = 1;
pub const FROM_NARROW: u32 = 2;
pub const BARRIER_NARROW: u32 = 4;
pub const TO_GLOBAL: u32 = 8;
pub const FROM_GLOBAL: u32 = 16;
pub const MULTICAST: u32 = 32;
pub const REDUCES: u32 = 64;
pub const PREFETCHES: u32 = 128;
pub const DIMENSIONS_SHIFT: u32 = 8;
pub const OPERATION_SHIFT: u32 = 12;
pub const TYPE_SHIFT: u32 = 16;

/// Types of reductions of plain bytes.
pub const REDUCED: [Type; 10] = [U32, S32, U64, S64, F16, Bf16, F32, F64, B32, B64];
/// Types that only reductions in shared memory have.
const REDUCED_IN_SHARED: [Type; 3] = [U32, S32, U64];

/// Places in the list: two for each address, then the size or the coordinates, then who else gets it.
pub const TO: usize = 0;
pub const FROM: usize = 2;
pub const BARRIER: usize = 4;
pub const MASK: usize = 6;
pub const SIZE: usize = 7;
pub const PLACES: usize = 12;

/// A copy's modifiers and operands.
pub fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("bulk");
    if !i.flag("async") {
        return i.refuse();
    }
    if i.flag("commit_group") {
        i.facts.effect = Effect::BulkCommit;
        return Ok(|w, _, mask| {
            w.stores.commit(mask);
            Step::Next
        });
    }
    if i.flag("wait_group") {
        i.imm = i.flag("read").into();
        i.aux = match u32::try_from(i.immediate()?) {
            Ok(count) => count,
            Err(_) => return i.error("a negative number of groups"),
        };
        i.facts.effect = Effect::BulkWait {
            keep: i.aux,
            only_reads: i.imm != 0,
        };
        return Ok(|w, i, mask| {
            // SAFETY: the launch's memory is there as long as the warp runs.
            unsafe { w.stores.wait(mask, i.aux, i.imm != 0) };
            Step::Next
        });
    }
    let reduces = i.flag("reduce");
    let prefetches = i.flag("prefetch");
    let dimensions = match i.flag("tensor") {
        true => match i.one_of(&["1d", "2d", "3d", "4d", "5d"]) {
            Some(index) => index as u32 + 1,
            None => return i.refuse(),
        },
        false => 0,
    };
    i.flag("tile");
    let hints = i.flag("L2::cache_hint");
    if prefetches {
        return prefetch(i, dimensions, hints);
    }
    let from_global = !reduces && i.has("global") && !i.has("bulk_group");
    let to_global = !from_global && i.flag("global");
    if from_global {
        i.flag("global");
        i.aux |= FROM_GLOBAL;
        if !i.flag("shared::cluster") && !i.flag("shared::cta") {
            return i.refuse();
        }
    } else if to_global {
        i.aux |= TO_GLOBAL;
        if !i.flag("shared::cta") {
            return i.refuse();
        }
    } else if !(i.flag("shared::cluster") & i.flag("shared::cta")) || dimensions != 0 {
        return i.refuse();
    }
    let completes = match to_global {
        true => i.flag("bulk_group"),
        false => i.flag("mbarrier::complete_tx::bytes"),
    };
    if !completes {
        return i.refuse();
    }
    let multicasts = from_global && i.flag("multicast::cluster");
    if reduces {
        take_reduction(i, to_global, dimensions)?;
    }
    i.aux |= dimensions << DIMENSIONS_SHIFT;
    take_operands(i, multicasts, hints)?;
    i.facts.mover = Some(Mover::Bulk { reduces });
    Ok(super::bulk_start::start)
}

fn take_reduction(i: &mut Instr<'_, '_, '_>, to_global: bool, dimensions: u32) -> Result<()> {
    let Some(operation) = i.one_of(&OPERATIONS) else {
        return i.refuse();
    };
    i.aux |= REDUCES | (operation as u32) << OPERATION_SHIFT;
    if dimensions != 0 {
        return Ok(());
    }
    i.flag("noftz");
    let ty = i.ty()?;
    let known = Reduction::find(operation, ty).is_some()
        && (to_global || REDUCED_IN_SHARED.contains(&ty) || matches!(ty, B32 | B64));
    match REDUCED.iter().position(|t| *t == ty) {
        Some(index) if known => i.aux |= (index as u32) << TYPE_SHIFT,
        _ => return i.refuse(),
    }
    Ok(())
}

/// The operands, in the order in which the text has them, then sorted as the list has them.
fn take_operands(i: &mut Instr<'_, '_, '_>, multicasts: bool, hints: bool) -> Result<()> {
    let dimensions = (i.aux >> DIMENSIONS_SHIFT & 15) as usize;
    let (to_global, from_global) = (i.aux & TO_GLOBAL != 0, i.aux & FROM_GLOBAL != 0);
    let space = |is_global: bool| match (is_global, dimensions) {
        (false, _) => Space::Shared,
        (true, 0) => Space::Global,
        // A tensor map may be a parameter.
        (true, _) => Space::Generic,
    };
    let mut coordinates = Vec::new();
    for (is_global, narrow) in [(to_global, TO_NARROW), (from_global, FROM_NARROW)] {
        if is_global && dimensions != 0 {
            coordinates = take_coordinates(i, dimensions)?;
            i.has_parts = true;
        }
        reach::take(i, space(is_global), narrow)?;
        i.has_parts = false;
    }
    let nothing = Use {
        place: NONE,
        is_write: false,
    };
    let mut more = vec![];
    if dimensions == 0 {
        i.src(U32)?;
        more.extend(i.uses.pop());
    }
    if to_global {
        i.uses.extend([nothing; 2]);
    } else {
        reach::take(i, Space::Shared, BARRIER_NARROW)?;
    }
    if multicasts {
        i.aux |= MULTICAST;
        i.src(U16)?;
    } else {
        i.uses.push(nothing);
    }
    if hints {
        i.src(B64)?;
        i.uses.pop();
    }
    more.extend(coordinates);
    i.uses.extend(more);
    i.uses.resize(PLACES, nothing);
    i.in_list = true;
    Ok(())
}

/// Coordinates of `[map, {x, y}]`, whose base is not taken.
fn take_coordinates(i: &mut Instr<'_, '_, '_>, dimensions: usize) -> Result<Vec<Use>> {
    let parts = match i.address_parts() {
        Some([Operand::Vector(parts)]) => &parts[..],
        // One coordinate may stand without braces.
        Some([single]) => std::slice::from_ref(single),
        _ => return i.error("expected a tensor map and coordinates"),
    };
    if parts.len() != dimensions {
        return i.error(format_args!("expected {dimensions} coordinates"));
    }
    let before = i.uses.len();
    parts.iter().try_for_each(|part| i.src_of(part, B32))?;
    Ok(i.uses.split_off(before))
}

/// There are no caches to fill; addresses that are no one's do not matter.
fn prefetch(i: &mut Instr<'_, '_, '_>, dimensions: u32, hints: bool) -> Result<Exec> {
    if !(i.flag("L2") & i.flag("global")) {
        return i.refuse();
    }
    i.aux |= PREFETCHES | FROM_GLOBAL | dimensions << DIMENSIONS_SHIFT;
    let nothing = Use {
        place: NONE,
        is_write: false,
    };
    let mut more = vec![];
    i.uses.extend([nothing; FROM]);
    if dimensions != 0 {
        more = take_coordinates(i, dimensions as usize)?;
        i.has_parts = true;
        reach::take(i, Space::Generic, FROM_NARROW)?;
    } else {
        reach::take(i, Space::Global, FROM_NARROW)?;
        i.src(U32)?;
        more.extend(i.uses.pop());
    }
    if hints {
        i.src(B64)?;
        i.uses.pop();
    }
    i.uses.resize(SIZE, nothing);
    i.uses.extend(more);
    i.uses.resize(PLACES, nothing);
    i.in_list = true;
    i.facts.mover = Some(Mover::Bulk { reduces: false });
    Ok(super::control::nothing)
}
