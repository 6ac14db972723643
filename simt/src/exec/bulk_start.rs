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

type Result<T> = std::result::Result<T, Fault>;

/// What all lanes of one instruction have in common.
pub struct Call<'a> {
    places: &'a [Place],
    aux: u32,
}

impl<'a> Call<'a> {
    /// That of an instruction.
    ///
    /// # Safety
    /// It is a bulk copy or a prefetch.
    pub unsafe fn new(w: &Warp, i: &Inst) -> Call<'a> {
        Call {
            // SAFETY: the decoder made a list of just these.
            places: unsafe { w.list(i, PLACES) },
            aux: i.aux,
        }
    }

    /// Whether a bit of `aux` is set.
    pub fn has(&self, bit: u32) -> bool {
        self.aux & bit != 0
    }

    /// The address at one of the list's places.
    unsafe fn address(&self, w: &Warp, at: usize, narrow: u32, lane: usize) -> u64 {
        // SAFETY: the caller gives an address's place and its bit.
        unsafe { w.address_rows(self.places, at, self.has(narrow))[lane] }
    }

    fn dimensions(&self) -> usize {
        (self.aux >> DIMENSIONS_SHIFT & 15) as usize
    }

    /// The box of a tensor whose map lies at an address.
    unsafe fn tile(&self, w: &Warp, lane: usize, map: u64) -> Result<Tile> {
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

    fn reduction(&self, map: Option<&TensorMap>) -> Result<Option<Reduction>> {
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
    // SAFETY: the decoder gives this to bulk copies alone.
    unsafe {
        let call = Call::new(w, i);
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let started = match call.has(TO_GLOBAL) {
                true => call.store(w, lane).map(|t| w.stores.start(lane, t)),
                false => call.loads(w, lane, &mut |barrier, bytes, transfer| {
                    begin(w, barrier, bytes, transfer)
                }),
            };
            if let Err(fault) = started {
                return w.fail(fault);
            }
        }
    }
    Step::Next
}

/// The size operand, a multiple of 16.
unsafe fn size(w: &Warp, call: &Call<'_>, lane: usize) -> Result<usize> {
    // SAFETY: the decoder took a row of 32 bits.
    let size = unsafe { w.row::<u32>(call.places[SIZE])[lane] };
    match size % 16 {
        0 => Ok(size as usize),
        _ => Err(Fault::Operand("a bulk copy's size is no multiple of 16")),
    }
}

/// Bytes of shared memory, as the end of a transfer.
fn shared_end(w: &Warp, address: u64, bytes: usize, align: u64, swizzle: Swizzle) -> Result<End> {
    w.reach(Space::Shared, address, bytes as u64, align)?;
    let found = w.block().shared_at(address, bytes as u64);
    let (block, offset) = found.ok_or(Fault::Operand("no shared memory"))?;
    Ok(End::Shared(block, offset as u32, swizzle))
}

/// More bytes than any block's shared memory has.
const MOST: usize = 1 << 20;
/// Alignment of a tensor's box in shared memory, and of plain bytes.
const BOX_ALIGN: u64 = 128;
const ALIGN: u64 = 16;

impl Call<'_> {
    /// What a lane's copy to shared memory will do: calls `f` with the address of the mbarrier that is told,
    /// the bytes and the transfer, once for each block that gets them.
    ///
    /// # Errors
    /// What is wrong with the operands, and what `f` finds.
    ///
    /// # Safety
    /// `w` is about to execute the instruction, in that lane.
    pub unsafe fn loads(
        &self,
        w: &Warp,
        lane: usize,
        f: &mut dyn FnMut(u64, usize, Transfer) -> Result<()>,
    ) -> Result<()> {
        // SAFETY: the decoder took these operands.
        unsafe {
            let to = self.address(w, TO, TO_NARROW, lane);
            let barrier = self.address(w, BARRIER, BARRIER_NARROW, lane);
            let (source, bytes, swizzle, align) = self.source(w, lane)?;
            let transfer = |to| {
                Ok(Transfer {
                    from: source.clone(),
                    to,
                    bytes,
                    reduction: self.reduction(None)?,
                })
            };
            if !self.has(MULTICAST) {
                let end = shared_end(w, to, bytes, align, swizzle)?;
                return f(barrier, bytes, transfer(end)?);
            }
            // Every block named gets the bytes at the same place, and its own barrier is told.
            let ranks = w.row::<u16>(self.places[MASK])[lane];
            for rank in (0..16).filter(|rank| ranks >> rank & 1 != 0) {
                let in_rank = |address: u64| address & 0xff_ffff | (rank + 1) << 24;
                let end = shared_end(w, in_rank(to), bytes, align, swizzle)?;
                f(in_rank(barrier), bytes, transfer(end)?)?;
            }
            Ok(())
        }
    }

    /// Where a lane's copy or prefetch reads, its bytes, how they lie in shared memory, and their alignment
    /// there.
    ///
    /// # Errors
    /// What is wrong with the operands.
    ///
    /// # Safety
    /// As for [`Call::loads`].
    pub unsafe fn source(&self, w: &Warp, lane: usize) -> Result<(End, usize, Swizzle, u64)> {
        // SAFETY: the decoder took these operands.
        unsafe {
            let from = self.address(w, FROM, FROM_NARROW, lane);
            if self.dimensions() != 0 {
                let tile = self.tile(w, lane, from)?;
                let (bytes, swizzle) = (tile.map.box_bytes(), tile.map.swizzle());
                return Ok((End::Tile(Box::new(tile)), bytes, swizzle, BOX_ALIGN));
            }
            let bytes = size(w, self, lane)?;
            let source = if self.has(FROM_GLOBAL) {
                End::Global(w.reach(Space::Global, from, bytes as u64, ALIGN)?)
            } else {
                shared_end(w, from, bytes, ALIGN, Swizzle::None)?
            };
            Ok((source, bytes, Swizzle::None, ALIGN))
        }
    }

    /// What a lane's copy to global memory will do.
    ///
    /// # Errors
    /// What is wrong with the operands.
    ///
    /// # Safety
    /// As for [`Call::loads`].
    pub unsafe fn store(&self, w: &Warp, lane: usize) -> Result<Transfer> {
        // SAFETY: the decoder took these operands.
        unsafe {
            let to = self.address(w, TO, TO_NARROW, lane);
            let from = self.address(w, FROM, FROM_NARROW, lane);
            if self.dimensions() != 0 {
                let tile = self.tile(w, lane, to)?;
                let (bytes, swizzle) = (tile.map.box_bytes(), tile.map.swizzle());
                return Ok(Transfer {
                    from: shared_end(w, from, bytes, BOX_ALIGN, swizzle)?,
                    reduction: self.reduction(Some(&tile.map))?,
                    to: End::Tile(Box::new(tile)),
                    bytes,
                });
            }
            let bytes = size(w, self, lane)?;
            Ok(Transfer {
                from: shared_end(w, from, bytes, ALIGN, Swizzle::None)?,
                to: End::Global(w.reach(Space::Global, to, bytes as u64, ALIGN)?),
                bytes,
                reduction: self.reduction(None)?,
            })
        }
    }
}

/// Hands a transfer to the block whose mbarrier is told when its bytes have come.
///
/// # Errors
/// The barrier's address leads nowhere.
pub fn begin(w: &Warp, address: u64, bytes: usize, transfer: Transfer) -> Result<()> {
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
