//! Instructions with several addresses: each is two places, a base register and a constant offset.

use super::access::{BASE_32, FRAME};
use super::fault::Fault;
use super::operand::{Access, take_address};
use super::program::{NONE, Place};
use super::warp::Warp;
use crate::memory::{PARAM_WINDOW, SHARED_WINDOW, WINDOW_MASK};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::decode::scope::Symbol;
use crate::ptx::types::Space;

/// Takes an address operand as two places. `narrow` is the bit of `aux` that says that its base register
/// has 32 bits.
pub fn take(i: &mut Instr<'_, '_, '_>, space: Space, narrow: u32) -> Result<Access> {
    let facts = std::mem::take(&mut i.aux);
    let access = take_address(i, space)?;
    if i.aux & FRAME != 0 {
        return i.error("an address in local memory");
    }
    i.aux = facts | if i.aux & BASE_32 != 0 { narrow } else { 0 };
    let window = match (space, access.symbol) {
        (Space::Generic, Some(Symbol::Shared(_))) => SHARED_WINDOW,
        (Space::Generic, Some(Symbol::EntryParam(_))) => PARAM_WINDOW,
        _ => 0,
    };
    let offset = std::mem::take(&mut i.imm).wrapping_add(window);
    let place = i.scope.constants.place(offset.into(), 64);
    i.push(place, false);
    Ok(access)
}

impl Warp {
    /// The addresses of an operand that `take` took at `places[at]` and the next.
    ///
    /// # Safety
    /// The places are those, and the base has 32 bits just if `is_narrow`.
    #[inline(always)]
    pub unsafe fn address_rows(&self, places: &[Place], at: usize, is_narrow: bool) -> [u64; 32] {
        // SAFETY: the caller's promise.
        unsafe {
            let offset = self.row::<u64>(places[at + 1])[0];
            match (places[at], is_narrow) {
                (NONE, _) => [offset; 32],
                (base, true) => self
                    .row::<u32>(base)
                    .map(|a| u64::from(a).wrapping_add(offset) & 0xffff_ffff),
                (base, false) => self.row::<u64>(base).map(|a| a.wrapping_add(offset)),
            }
        }
    }

    /// The host address of `bytes` in a space, aligned to `align`.
    ///
    /// # Errors
    /// The fault that an access there is.
    pub fn reach(
        &self,
        space: Space,
        address: u64,
        bytes: u64,
        align: u64,
    ) -> std::result::Result<*mut u8, Fault> {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        if !address.is_multiple_of(align) {
            return Err(Fault::Misaligned {
                space,
                address,
                bytes: align as u32,
            });
        }
        let block = self.block();
        let launch = block.launch();
        let shared = |address| {
            let found = block.shared_at(address, bytes);
            found.map(|(block, offset)| block.shared() as u64 + offset)
        };
        let found = match (space, address & WINDOW_MASK) {
            (Space::Shared, _) => shared(address),
            (Space::Generic, SHARED_WINDOW) => shared(address - SHARED_WINDOW),
            (Space::Generic, PARAM_WINDOW) => {
                let (offset, size) = (address - PARAM_WINDOW, launch.params.len() as u64);
                let fits = offset.checked_add(bytes).is_some_and(|end| end <= size);
                fits.then_some(launch.params.as_ptr() as u64 + offset)
            }
            _ => launch.memory.holds(address, bytes).then_some(address),
        };
        match found {
            Some(at) => Ok(at as *mut u8),
            None => Err(Fault::IllegalAddress {
                space,
                address,
                bytes: length,
            }),
        }
    }
}
