//! From the addresses of 32 lanes to bytes of the host, checked.

use super::call::frame_offset;
use super::fault::Fault;
use super::program::{Inst, NONE, Step};
use super::warp::Warp;
use crate::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW_MASK};
use crate::ptx::types::Space;

/// In `aux`: the base register has 32 bits.
pub const BASE_32: u32 = 1;
/// In `aux`: other threads may be waiting for, or changing, what is there.
pub const STRONG: u32 = 2;
/// In `aux`: elements of a vector, shifted by this.
pub const COUNT_SHIFT: u32 = 8;

/// A host pointer of each lane, as a number; lanes that are not in the mask have that of one that is.
pub type Pointers = [u64; 32];

/// The addresses of an instruction whose base is at `place`.
///
/// # Safety
/// `place` is a row of 32 bits where `aux` says so, else of 64, or [`NONE`].
#[inline(always)]
pub unsafe fn addresses(w: &Warp, i: &Inst, place: u32, mask: u32) -> Pointers {
    let mut at = [i.imm; 32];
    if place != NONE {
        // SAFETY: the caller's promise.
        unsafe {
            if i.aux & BASE_32 != 0 {
                let base = w.row::<u32>(place);
                for lane in 0..32 {
                    at[lane] = u64::from(base[lane]).wrapping_add(i.imm);
                }
            } else {
                let base = w.row::<u64>(place);
                for lane in 0..32 {
                    at[lane] = base[lane].wrapping_add(i.imm);
                }
            }
        }
    }
    if mask != !0 {
        let first = at[mask.trailing_zeros() as usize];
        for lane in 0..32 {
            at[lane] = if mask >> lane & 1 != 0 {
                at[lane]
            } else {
                first
            };
        }
    }
    at
}

/// A kind of memory.
pub trait Memory: 'static {
    /// Turns addresses into host pointers to `bytes` (a power of two) that the program may touch.
    ///
    /// # Errors
    /// [`Step::Fault`], with the warp's fault set.
    fn pointers(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step>;

    /// The same for memory that is written: all but parameters.
    ///
    /// # Errors
    /// As [`Memory::pointers`].
    #[inline(always)]
    fn writable(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        Self::pointers(w, i, at, bytes)
    }
}

#[cold]
#[inline(never)]
fn illegal(w: &mut Warp, space: Space, address: u64, bytes: u32) -> Step {
    w.fail(Fault::IllegalAddress {
        space,
        address,
        bytes,
    })
}

#[cold]
#[inline(never)]
fn misaligned(w: &mut Warp, space: Space, at: &Pointers, bytes: u32) -> Step {
    let odd = at.iter().find(|a| *a & u64::from(bytes - 1) != 0);
    let address = odd.copied().unwrap_or(0);
    w.fail(Fault::Misaligned {
        space,
        address,
        bytes,
    })
}

#[inline(always)]
fn is_aligned(at: &Pointers, bytes: u32) -> bool {
    let mut all = 0;
    for lane in 0..32 {
        all |= at[lane];
    }
    all & u64::from(bytes - 1) == 0
}

/// Whether all addresses are in `first..=last`. Addresses from 2^63 on are none of the host's.
#[inline(always)]
fn all_within(at: &Pointers, first: u64, last: u64) -> bool {
    let mut outside = false;
    for lane in 0..32 {
        outside |= ((at[lane] as i64) < first as i64) | (at[lane] as i64 > last as i64);
    }
    !outside
}

/// Global and constant memory: device addresses are the host's.
pub struct Global;

impl Memory for Global {
    #[inline(always)]
    fn pointers(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        if !is_aligned(at, bytes) {
            return Err(misaligned(w, Space::Global, at, bytes));
        }
        let slot = (std::ptr::from_ref(i) as usize / size_of::<Inst>()) % w.ranges.len();
        let (first, end) = w.ranges[slot];
        if all_within(at, first, end.wrapping_sub(u64::from(bytes))) {
            return Ok(());
        }
        find_allocations(w, slot, at, bytes)
    }
}

/// The allocations of addresses that are not in the one that this instruction hit last.
#[inline(never)]
fn find_allocations(w: &mut Warp, slot: usize, at: &Pointers, bytes: u32) -> Result<(), Step> {
    let Some((first, end)) = w.block().launch().memory.find(at[0]) else {
        return Err(illegal(w, Space::Global, at[0], bytes));
    };
    if end - first >= u64::from(bytes) && all_within(at, first, end - u64::from(bytes)) {
        w.ranges[slot] = (first, end);
        return Ok(());
    }
    for address in at {
        if !w.block().launch().memory.holds(*address, bytes.into()) {
            return Err(illegal(w, Space::Global, *address, bytes));
        }
    }
    Ok(())
}

/// Shared memory of the block.
pub struct Shared;

impl Memory for Shared {
    #[inline(always)]
    fn pointers(w: &mut Warp, _: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        shared(w, at, bytes)
    }
}

#[inline(always)]
fn shared(w: &mut Warp, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
    if !is_aligned(at, bytes) {
        return Err(misaligned(w, Space::Shared, at, bytes));
    }
    let size = u64::from(w.block().shared_bytes);
    let last = size.wrapping_sub(u64::from(bytes));
    if size < u64::from(bytes) || !all_within(at, 0, last) {
        return distant(w, at, bytes);
    }
    let base = w.block().shared() as u64;
    for lane in 0..32 {
        at[lane] += base;
    }
    Ok(())
}

/// Addresses that are not all in the block's own shared memory: another block's of the cluster.
#[cold]
#[inline(never)]
fn distant(w: &mut Warp, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
    for lane in 0..32 {
        match w.block().shared_at(at[lane], bytes.into()) {
            Some((block, offset)) => at[lane] = block.shared() as u64 + offset,
            None => return Err(illegal(w, Space::Shared, at[lane], bytes)),
        }
    }
    Ok(())
}

/// Local memory of each thread.
pub struct Local;

impl Memory for Local {
    #[inline(always)]
    fn pointers(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        // A variable's address counts from the frame's start, a register's from that of the memory.
        if i.aux & FRAME != 0 {
            for lane in 0..32 {
                at[lane] = frame_offset(w, i.imm);
            }
        }
        local(w, at, bytes)
    }
}

/// In `aux`: the address is an offset in the function's frame, with no register.
pub const FRAME: u32 = 4;

#[inline(always)]
fn local(w: &mut Warp, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
    if !is_aligned(at, bytes) {
        return Err(misaligned(w, Space::Local, at, bytes));
    }
    let size = u64::from(w.local_stride);
    if size < u64::from(bytes) || !all_within(at, 0, size - u64::from(bytes)) {
        let bad = at
            .iter()
            .copied()
            .find(|a| a.saturating_add(bytes.into()) > size);
        return Err(illegal(w, Space::Local, bad.unwrap_or(0), bytes));
    }
    let base = w.local.as_mut_ptr() as u64;
    for lane in 0..32 {
        at[lane] += base + lane as u64 * size;
    }
    Ok(())
}

/// The parameters of the entry, which no thread may write.
pub struct EntryParam;

impl Memory for EntryParam {
    #[inline(always)]
    fn pointers(w: &mut Warp, _: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        param(w, at, bytes)
    }
}

#[inline(always)]
fn param(w: &mut Warp, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
    if !is_aligned(at, bytes) {
        return Err(misaligned(w, Space::Param, at, bytes));
    }
    let launch = w.block().launch();
    let size = launch.params.len() as u64;
    let base = launch.params.as_ptr() as u64;
    if size < u64::from(bytes) || !all_within(at, 0, size - u64::from(bytes)) {
        return Err(illegal(w, Space::Param, at[0], bytes));
    }
    for lane in 0..32 {
        at[lane] += base;
    }
    Ok(())
}

/// Any memory, by window.
pub struct Generic;

impl Memory for Generic {
    #[inline(always)]
    fn pointers(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        let window = at[0] & WINDOW_MASK;
        let mut differ = 0;
        for lane in 0..32 {
            differ |= at[lane] ^ window;
        }
        if differ & WINDOW_MASK != 0 {
            return mixed(w, i, at, bytes);
        }
        if window == 0 {
            return Global::pointers(w, i, at, bytes);
        }
        within(w, at, window, bytes)
    }

    #[inline(always)]
    fn writable(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
        let in_params = |a: &u64| a & WINDOW_MASK == PARAM_WINDOW;
        if let Some(bad) = at.iter().copied().find(in_params) {
            return Err(illegal(w, Space::Param, bad, bytes));
        }
        Self::pointers(w, i, at, bytes)
    }
}

#[inline(always)]
fn within(w: &mut Warp, at: &mut Pointers, window: u64, bytes: u32) -> Result<(), Step> {
    for lane in 0..32 {
        at[lane] -= window;
    }
    match window {
        SHARED_WINDOW => shared(w, at, bytes),
        LOCAL_WINDOW => local(w, at, bytes),
        PARAM_WINDOW => param(w, at, bytes),
        _ => Err(illegal(w, Space::Generic, at[0] + window, bytes)),
    }
}

/// Lanes in different windows.
#[cold]
#[inline(never)]
fn mixed(w: &mut Warp, i: &Inst, at: &mut Pointers, bytes: u32) -> Result<(), Step> {
    let mut out = *at;
    for lane in 0..32 {
        let window = at[lane] & WINDOW_MASK;
        let mut same = [at[lane]; 32];
        match window {
            0 => Global::pointers(w, i, &mut same, bytes)?,
            _ => within(w, &mut same, window, bytes)?,
        }
        out[lane] = same[lane];
    }
    *at = out;
    Ok(())
}
