//! Bulk copies begin: addresses are checked, and what is to be moved is handed to the block whose mbarrier
//! is told, or to the thread's group. The operands are those of `bulk_copy`.

use super::bulk::{Completion, End, Operation, Transfer, Work};
use super::bulk_copy::*;
use super::fault::Fault;
use super::program::{Inst, Place, Step};
use super::reduction::Reduction;
use super::tensor_map::{TensorMap, Tile};
use super::warp::Warp;
use crate::numeric::matrix::descriptor::Swizzle;
use crate::ptx::types::Space;

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
            let map = TensorMap::read(w.reach(Space::Generic, map, 128, 64)?)?;
            if usize::from(map.rank) != rank {
                return Err(Fault::Operand(
                    "the tensor map has another number of dimensions than the instruction",
                ));
            }
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

/// Begins a copy in every lane.
pub fn start(w: &mut Warp, i: &Inst, mask: u32) -> Step {
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
/// As of an instruction's `Exec`.
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
