//! Bulk copies between global and shared memory (PTX ISA, `cp.async.bulk`, `cp.async.bulk.tensor`,
//! `cp.reduce.async.bulk`, `cp.reduce.async.bulk.tensor`, their prefetches and groups).

use super::bulk::{Completion, End, Operation, Transfer, Work};
use super::facts::{Effect, Writer};
use super::fault::Fault;
use super::program::{Exec, Inst, NONE, Place, Step};
use super::reach;
use super::reduction::{OPERATIONS, Reduction};
use super::tensor_map::{TensorMap, Tile};
use super::warp::Warp;
use crate::numeric::matrix::descriptor::Swizzle;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::{Instr, Use};
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

/// In `aux`: base registers of 32 bits; where from and to; the number of dimensions, 0 for plain bytes;
/// a reduction's operation, and its type (an index in [`REDUCED`]).
const TO_NARROW: u32 = 1;
const FROM_NARROW: u32 = 2;
const BARRIER_NARROW: u32 = 4;
const TO_GLOBAL: u32 = 8;
const FROM_GLOBAL: u32 = 16;
const MULTICAST: u32 = 32;
const REDUCES: u32 = 64;
const DIMENSIONS_SHIFT: u32 = 8;
const OPERATION_SHIFT: u32 = 12;
const TYPE_SHIFT: u32 = 16;

/// Types of reductions of plain bytes.
const REDUCED: [Type; 10] = [U32, S32, U64, S64, F16, Bf16, F32, F64, B32, B64];
/// Types that only reductions in shared memory have.
const REDUCED_IN_SHARED: [Type; 3] = [U32, S32, U64];

/// Places in the list: two for each address, then the size or the coordinates, then who else gets it.
const TO: usize = 0;
const FROM: usize = 2;
const BARRIER: usize = 4;
const MASK: usize = 6;
const SIZE: usize = 7;
const PLACES: usize = 12;

/// A copy's modifiers and operands.
pub fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("bulk");
    if !i.flag("async") {
        return i.refuse();
    }
    if i.flag("commit_group") {
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
    i.facts.effect = Effect::Writes(Writer::Bulk);
    Ok(start)
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
    if dimensions != 0 {
        take_coordinates(i, dimensions as usize)?;
        i.has_parts = true;
        reach::take(i, Space::Generic, FROM_NARROW)?;
    } else {
        reach::take(i, Space::Global, FROM_NARROW)?;
        i.src(U32)?;
    }
    if hints {
        i.src(B64)?;
    }
    i.uses.clear();
    Ok(super::control::nothing)
}

/// What all lanes of one instruction have in common.
struct Call<'a> {
    places: &'a [Place],
    aux: u32,
}

impl Call<'_> {
    fn has(&self, bit: u32) -> bool {
        self.aux & bit != 0
    }

    fn dimensions(&self) -> usize {
        (self.aux >> DIMENSIONS_SHIFT & 15) as usize
    }

    /// The box of a tensor whose map lies at an address.
    unsafe fn tile(&self, w: &Warp, lane: usize, map: u64) -> std::result::Result<Tile, Fault> {
        let rank = self.dimensions();
        // SAFETY: the decoder took a coordinate of 32 bits for each dimension.
        unsafe {
            let map = TensorMap::read(w.reach(Space::Generic, map, 128, 64)?, rank)?;
            let mut at = [0; 5];
            for (axis, at) in at[..rank].iter_mut().enumerate() {
                *at = w.row::<i32>(self.places[SIZE + axis])[lane];
            }
            if map.box_bytes() > MOST {
                return Err(Fault::Operand("a box of more bytes than shared memory has"));
            }
            let tile = Tile { map, at };
            tile.check(&w.block().launch().memory)?;
            Ok(tile)
        }
    }

    fn reduction(&self, map: Option<&TensorMap>) -> std::result::Result<Option<Reduction>, Fault> {
        if !self.has(REDUCES) {
            return Ok(None);
        }
        let operation = (self.aux >> OPERATION_SHIFT & 15) as usize;
        match map {
            Some(map) => map.reduction(operation).map(Some),
            None => Ok(Reduction::find(
                operation,
                REDUCED[(self.aux >> TYPE_SHIFT & 15) as usize],
            )),
        }
    }
}

fn start(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let call = Call {
            places: w.list(i, PLACES),
            aux: i.aux,
        };
        let to = w.address_rows(call.places, TO, call.has(TO_NARROW));
        let from = w.address_rows(call.places, FROM, call.has(FROM_NARROW));
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let started = match call.has(TO_GLOBAL) {
                true => start_store(w, &call, lane, to[lane], from[lane]),
                false => start_load(w, &call, lane, to[lane], from[lane]),
            };
            if let Err(fault) = started {
                return w.fail(fault);
            }
        }
    }
    Step::Next
}

/// What a copy will write: spaces, addresses and bytes, of the block's own shared memory alone. Copies
/// that will fail write nothing.
///
/// # Safety
/// As of an [`Exec`].
pub unsafe fn written(w: &Warp, i: &Inst, mask: u32, mut f: impl FnMut(Space, u64, u64)) {
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let call = Call {
            places: w.list(i, PLACES),
            aux: i.aux,
        };
        let to = w.address_rows(call.places, TO, call.has(TO_NARROW));
        let from = w.address_rows(call.places, FROM, call.has(FROM_NARROW));
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let map = if call.has(TO_GLOBAL) { to } else { from };
            let tile = match call.dimensions() {
                0 => None,
                _ => call.tile(w, lane, map[lane]).ok(),
            };
            let bytes = match &tile {
                Some(tile) => tile.map.box_bytes() as u64,
                None => size(w, &call, lane).unwrap_or(0) as u64,
            };
            match tile {
                Some(tile) if call.has(TO_GLOBAL) => {
                    tile.runs(|run| f(Space::Global, run.address, run.bytes as u64));
                }
                None if call.has(TO_GLOBAL) => f(Space::Global, to[lane], bytes),
                _ => {
                    let offset = to[lane] & 0xff_ffff;
                    if w.block().shared_at(offset, bytes).is_some() {
                        f(Space::Shared, offset, bytes);
                    }
                }
            }
        }
    }
}

/// The size operand, a multiple of 16.
unsafe fn size(w: &Warp, call: &Call<'_>, lane: usize) -> std::result::Result<usize, Fault> {
    // SAFETY: the decoder took a row of 32 bits.
    let size = unsafe { w.row::<u32>(call.places[SIZE])[lane] };
    match size % 16 {
        0 => Ok(size as usize),
        _ => Err(Fault::Operand("a bulk copy's size is no multiple of 16")),
    }
}

/// Bytes of shared memory, as the end of a transfer.
fn shared_end(
    w: &Warp,
    address: u64,
    bytes: usize,
    align: u64,
    swizzle: Swizzle,
) -> std::result::Result<End, Fault> {
    w.reach(Space::Shared, address, bytes as u64, align)?;
    let found = w.block().shared_at(address, bytes as u64);
    let (block, offset) = found.ok_or(Fault::Operand("no shared memory"))?;
    Ok(End::Shared(block.shared(), offset as u32, swizzle))
}

/// More bytes than any block's shared memory has.
const MOST: usize = 1 << 20;
/// Alignment of a tensor's box in shared memory, and of plain bytes.
const BOX_ALIGN: u64 = 128;
const ALIGN: u64 = 16;

/// To shared memory, completing on an mbarrier of the same block.
unsafe fn start_load(
    w: &mut Warp,
    call: &Call<'_>,
    lane: usize,
    to: u64,
    from: u64,
) -> std::result::Result<(), Fault> {
    // SAFETY: the decoder took these operands.
    unsafe {
        let barrier = w.address_rows(call.places, BARRIER, call.has(BARRIER_NARROW))[lane];
        let (source, bytes, swizzle, align) = if call.dimensions() != 0 {
            let tile = call.tile(w, lane, from)?;
            let (bytes, swizzle) = (tile.map.box_bytes(), tile.map.swizzle());
            (End::Tile(Box::new(tile)), bytes, swizzle, BOX_ALIGN)
        } else {
            let bytes = size(w, call, lane)?;
            let source = if call.has(FROM_GLOBAL) {
                End::Global(w.reach(Space::Global, from, bytes as u64, ALIGN)?)
            } else {
                shared_end(w, from, bytes, ALIGN, Swizzle::None)?
            };
            (source, bytes, Swizzle::None, ALIGN)
        };
        let transfer = |to| {
            Ok(Transfer {
                from: source.clone(),
                to,
                bytes,
                reduction: call.reduction(None)?,
            })
        };
        if !call.has(MULTICAST) {
            let end = shared_end(w, to, bytes, align, swizzle)?;
            return begin(w, barrier, bytes, transfer(end)?);
        }
        // Every block named gets the bytes at the same place, and its own barrier is told.
        let ranks = w.row::<u16>(call.places[MASK])[lane];
        for rank in (0..16).filter(|rank| ranks >> rank & 1 != 0) {
            let in_rank = |address: u64| address & 0xff_ffff | (rank + 1) << 24;
            let end = shared_end(w, in_rank(to), bytes, align, swizzle)?;
            begin(w, in_rank(barrier), bytes, transfer(end)?)?;
        }
        Ok(())
    }
}

/// Hands a transfer to the block whose mbarrier is told when its bytes have come.
pub fn begin(
    w: &Warp,
    address: u64,
    bytes: usize,
    transfer: Transfer,
) -> std::result::Result<(), Fault> {
    let barrier = w.reach(Space::Shared, address, 8, 8)?.cast::<u64>();
    let found = w.block().shared_at(address, 8);
    let (block, _) = found.ok_or(Fault::Operand("no shared memory"))?;
    block.operations.borrow_mut().push(Operation {
        barrier,
        address,
        completion: Completion::Bytes(bytes as u32),
        work: Work::Transfer(transfer),
        owner: None,
    });
    Ok(())
}

/// To global memory, completing in the thread's bulk group.
unsafe fn start_store(
    w: &mut Warp,
    call: &Call<'_>,
    lane: usize,
    to: u64,
    from: u64,
) -> std::result::Result<(), Fault> {
    // SAFETY: the decoder took these operands.
    let transfer = unsafe {
        if call.dimensions() != 0 {
            let tile = call.tile(w, lane, to)?;
            let (bytes, swizzle) = (tile.map.box_bytes(), tile.map.swizzle());
            Transfer {
                from: shared_end(w, from, bytes, BOX_ALIGN, swizzle)?,
                reduction: call.reduction(Some(&tile.map))?,
                to: End::Tile(Box::new(tile)),
                bytes,
            }
        } else {
            let bytes = size(w, call, lane)?;
            Transfer {
                from: shared_end(w, from, bytes, ALIGN, Swizzle::None)?,
                to: End::Global(w.reach(Space::Global, to, bytes as u64, ALIGN)?),
                bytes,
                reduction: call.reduction(None)?,
            }
        }
    };
    w.stores.start(lane, transfer);
    Ok(())
}
