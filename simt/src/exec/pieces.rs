//! Memory that an instruction touches in more places than a [`Touch`](super::touch::Touch) can say, for
//! those who watch: bulk copies, values for other blocks, matrices of `wmma`.
//!
//! It comes from what the executor itself would do with the operands. Copies that will fail touch
//! nothing.

use super::block::Block;
use super::bulk::{End, Transfer};
use super::bulk_copy::{PREFETCHES, TO_GLOBAL};
use super::bulk_start::Call;
use super::mbarrier_object::Mbarrier;
use super::program::Inst;
use super::touch::{self, Kind};
use super::warp::Warp;
use super::{bulk_value, wmma};
use crate::numeric::matrix::descriptor::Swizzle;
use crate::ptx::types::Space;

/// Instructions whose memory is told in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mover {
    /// Bulk copies and prefetches. `reduces`: what comes is made one with what is there.
    Bulk { reduces: bool },
    /// `st.async`, `red.async`.
    Value { reduces: bool },
    /// `wmma.load`, `wmma.store`.
    Fragment { stores: bool },
}

/// When an access is over.
#[derive(Clone, Copy)]
pub enum Until<'a> {
    /// The instruction is.
    Now,
    /// An mbarrier completes the phase of that parity: its block, and its offset in shared memory.
    Phase {
        block: &'a Block,
        offset: u64,
        parity: u32,
    },
    /// The thread's bulk group is.
    Group,
}

/// Bytes that lie together, and what happens to them.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// Whose copy it is. A matrix is the first lane's.
    pub lane: u32,
    pub kind: Kind,
    /// Global or shared memory.
    pub space: Space,
    /// Whose shared memory it is.
    pub block: &'a Block,
    /// In shared memory an offset.
    pub address: u64,
    pub bytes: u64,
    pub until: Until<'a>,
}

/// Calls `f` with the pieces of an instruction, lane after lane, of each what is read first.
///
/// # Safety
/// `w` is about to execute the instruction, which is of that kind, for the lanes in `mask`.
pub unsafe fn pieces<'a>(
    mover: Mover,
    w: &'a Warp,
    i: &Inst,
    mask: u32,
    f: &mut dyn FnMut(Piece<'a>),
) {
    let lanes = (0..32usize).filter(|lane| mask >> lane & 1 != 0);
    // SAFETY: the caller's promise.
    unsafe {
        match mover {
            Mover::Bulk { .. } => {
                let call = Call::new(w, i);
                lanes.for_each(|lane| bulk(w, &call, lane, f));
            }
            Mover::Value { .. } => lanes.for_each(|lane| {
                if let Ok((barrier, _, transfer)) = bulk_value::value(w, i, lane) {
                    let until = phase(w, barrier);
                    written(&transfer, &mut part(w, lane, until, f));
                }
            }),
            Mover::Fragment { stores } => wmma::pieces(w, i, mask, stores, f),
        }
    }
}

/// The space that an address is in and the address there, an offset in that block's shared memory.
/// `None`: `bytes` there are in neither global nor shared memory.
pub fn resolve(w: &Warp, space: Space, address: u64, bytes: u64) -> Option<(&Block, Space, u64)> {
    match touch::resolve(space, address)? {
        (Space::Global, address) => Some((w.block(), Space::Global, address)),
        (Space::Shared, address) => {
            let (block, offset) = w.block().shared_at(address, bytes)?;
            Some((block, Space::Shared, offset))
        }
        _ => None,
    }
}

/// Makes pieces of a lane of kind, address and bytes, in a block's shared memory or in global memory.
fn part<'a, 'f>(
    w: &'a Warp,
    lane: usize,
    until: Until<'a>,
    f: &'f mut dyn FnMut(Piece<'a>),
) -> impl FnMut(Kind, Option<&'a Block>, u64, u64) {
    move |kind, shared, address, bytes| {
        if bytes > 0 {
            f(Piece {
                lane: lane as u32,
                kind,
                space: shared.map_or(Space::Global, |_| Space::Shared),
                block: shared.unwrap_or(w.block()),
                address,
                bytes,
                until,
            });
        }
    }
}

/// Takes kind, block of shared memory, address and bytes.
type Put<'p, 'a> = &'p mut dyn FnMut(Kind, Option<&'a Block>, u64, u64);

/// The pieces of a lane's bulk copy.
unsafe fn bulk<'a>(w: &'a Warp, call: &Call<'_>, lane: usize, f: &mut dyn FnMut(Piece<'a>)) {
    // SAFETY: the caller's promise.
    unsafe {
        if call.has(PREFETCHES) {
            if let Ok((from, bytes, ..)) = call.source(w, lane) {
                let mut put = part(w, lane, Until::Now, f);
                global(&from, bytes, Kind::Prefetch, &mut put);
            }
        } else if call.has(TO_GLOBAL) {
            if let Ok(transfer) = call.store(w, lane) {
                let mut put = part(w, lane, Until::Group, f);
                read(&transfer, &mut put);
                written(&transfer, &mut put);
            }
        } else {
            let mut transfers = Vec::new();
            let all = call.loads(w, lane, &mut |barrier, _, transfer| {
                transfers.push((barrier, transfer));
                Ok(())
            });
            if all.is_err() {
                return;
            }
            for (at, (barrier, transfer)) in transfers.iter().enumerate() {
                let mut put = part(w, lane, phase(w, *barrier), f);
                // What goes to several blocks is read once.
                if at == 0 {
                    read(transfer, &mut put);
                }
                written(transfer, &mut put);
            }
        }
    }
}

/// The phase that the mbarrier at an address is in; one that is none has no phases to tell apart.
fn phase(w: &Warp, address: u64) -> Until<'_> {
    match w.block().shared_at(address, 8) {
        Some((block, offset)) => Until::Phase {
            block,
            offset,
            parity: parity(block, offset),
        },
        None => Until::Now,
    }
}

/// The parity of the phase that the mbarrier at an offset is in.
fn parity(block: &Block, offset: u64) -> u32 {
    // SAFETY: the caller has found the eight bytes in the block's shared memory.
    let word = unsafe {
        let at = block.shared().add(offset as usize).cast::<u64>();
        at.read_unaligned()
    };
    Mbarrier::decode(word).map_or(0, |barrier| barrier.parity)
}

/// Bytes of global memory.
fn global(end: &End, bytes: usize, kind: Kind, put: Put<'_, '_>) {
    match end {
        End::Global(at) => put(kind, None, *at as u64, bytes as u64),
        End::Tile(tile) => tile.runs(|run| put(kind, None, run.address, run.bytes as u64)),
        End::Shared(..) | End::Read(_) => {}
    }
}

/// What a transfer reads. Of a box that leaves its tensor only what is inside is needed.
fn read<'a>(transfer: &Transfer, put: Put<'_, 'a>) {
    let End::Shared(block, offset, swizzle) = transfer.from else {
        return global(&transfer.from, transfer.bytes, Kind::CopyFrom, put);
    };
    // SAFETY: the block is of the warp's cluster, whose blocks stay while one of them runs.
    let block: &'a Block = unsafe { &*block };
    let mut inside = 0;
    if let End::Tile(tile) = &transfer.to {
        tile.runs(|run| inside += run.bytes);
        if inside < transfer.bytes {
            tile.runs(|run| {
                let range = (run.offset, run.offset + run.bytes);
                shared(block, offset, swizzle, range, Kind::CopyFrom, put);
            });
            return;
        }
    }
    let range = (0, transfer.bytes);
    shared(block, offset, swizzle, range, Kind::CopyFrom, put);
}

/// What a transfer writes; what is out of a tensor's bounds it fills.
fn written<'a>(transfer: &Transfer, put: Put<'_, 'a>) {
    let kind = match transfer.reduction {
        Some(_) => Kind::Reduce,
        None => Kind::CopyTo,
    };
    let End::Shared(block, offset, swizzle) = transfer.to else {
        return global(&transfer.to, transfer.bytes, kind, put);
    };
    // SAFETY: as in `read`.
    let block: &'a Block = unsafe { &*block };
    shared(block, offset, swizzle, (0, transfer.bytes), kind, put);
}

/// Bytes `first` up to `end` of what lies swizzled from an offset of shared memory on. Whole lines of the
/// swizzle's pattern are permuted within themselves.
fn shared<'a>(
    block: &'a Block,
    offset: u32,
    swizzle: Swizzle,
    (first, end): (usize, usize),
    kind: Kind,
    put: Put<'_, 'a>,
) {
    let line = 16usize << swizzle.exchanged();
    let mut bounds = [first, end, offset as usize].into_iter();
    let is_whole = bounds.all(|bound| bound.is_multiple_of(line));
    if swizzle == Swizzle::None || is_whole {
        let at = u64::from(offset) + first as u64;
        return put(kind, Some(block), at, (end - first) as u64);
    }
    let mut at = first;
    while at < end {
        let stop = end.min((at / 16 + 1) * 16);
        let unit = swizzle.apply(offset + (at / 16 * 16) as u32) + at as u32 % 16;
        put(kind, Some(block), unit.into(), (stop - at) as u64);
        at = stop;
    }
}
