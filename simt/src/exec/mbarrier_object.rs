//! The 64 bits of an `mbarrier` in shared memory, opaque to programs (PTX ISA, "Contents of the mbarrier
//! object").
//!
//! Pending arrivals (bits 0 to 19), expected arrivals (20 to 39), bytes expected less bytes completed (40 to
//! 60, signed), parity of the phase (61), and 10 in the two highest, so that memory that was never
//! initialised is no barrier. A state, as arrivals give it, is a copy of them.

use super::bulk::Completion;
use super::fault::Fault;

/// Most arrivals, and most bytes either way.
pub const MOST: u32 = (1 << 20) - 1;
const MARK: u64 = 0b10 << 62;

/// A barrier taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mbarrier {
    pub pending: u32,
    pub expected: u32,
    pub bytes: i32,
    pub parity: u32,
}

impl Mbarrier {
    /// The barrier that a word holds.
    #[inline(always)]
    pub fn decode(word: u64) -> Option<Mbarrier> {
        (word >> 62 == MARK >> 62).then_some(Mbarrier {
            pending: word as u32 & MOST,
            expected: (word >> 20) as u32 & MOST,
            bytes: ((word << 3) as i64 >> 43) as i32,
            parity: (word >> 61 & 1) as u32,
        })
    }

    /// Its word.
    pub fn encode(self) -> u64 {
        MARK | u64::from(self.parity) << 61
            | (self.bytes as u64 & 0x1f_ffff) << 40
            | u64::from(self.expected) << 20
            | u64::from(self.pending)
    }

    /// Begins the next phase where nothing is left to wait for.
    pub fn settle(&mut self) {
        if self.pending == 0 && self.bytes == 0 {
            self.parity ^= 1;
            self.pending = self.expected;
        }
    }

    /// Counts arrivals down.
    ///
    /// # Errors
    /// There are more of them than are pending.
    pub fn arrive(&mut self, count: u32) -> std::result::Result<(), &'static str> {
        let left = self.pending.checked_sub(count);
        self.pending = left.ok_or("more arrivals than the phase expects")?;
        self.settle();
        Ok(())
    }

    /// Adds bytes to wait for, or, negative, that have come.
    ///
    /// # Errors
    /// There are more of them than the object can count.
    pub fn expect(&mut self, bytes: i64) -> std::result::Result<(), &'static str> {
        let sum = i64::from(self.bytes) + bytes;
        if sum.unsigned_abs() > MOST.into() {
            return Err("more bytes than a phase can count");
        }
        self.bytes = sum as i32;
        Ok(())
    }

    /// Bytes of an asynchronous operation have come, or it arrives.
    ///
    /// # Errors
    /// There are more of them than the object can count, or than it expects.
    pub fn complete(&mut self, what: Completion) -> std::result::Result<(), &'static str> {
        match what {
            Completion::Bytes(bytes) => {
                self.expect(-i64::from(bytes))?;
                self.settle();
                Ok(())
            }
            Completion::Arrival => self.arrive(1),
        }
    }
}

/// Changes the barrier at a host address; the answer is its word before.
///
/// # Errors
/// It is none, or the change is not allowed; `address` is what the program calls it.
///
/// # Safety
/// Eight bytes of a block's shared memory are there.
pub unsafe fn change(
    at: *mut u64,
    address: u64,
    f: impl FnOnce(&mut Mbarrier) -> std::result::Result<(), &'static str>,
) -> std::result::Result<u64, Fault> {
    // SAFETY: the caller's promise; one host thread has the whole cluster.
    unsafe {
        let word = at.read();
        let fault = |problem| Fault::Mbarrier { address, problem };
        let mut barrier = Mbarrier::decode(word).ok_or(fault("it was not initialised"))?;
        f(&mut barrier).map_err(fault)?;
        at.write(barrier.encode());
        Ok(word)
    }
}

/// Does [`Mbarrier::complete`] at a host address.
///
/// # Errors
/// As for [`change`].
///
/// # Safety
/// As for [`change`].
pub unsafe fn complete(
    at: *mut u64,
    address: u64,
    what: Completion,
) -> std::result::Result<(), Fault> {
    // SAFETY: the caller's promise.
    unsafe { change(at, address, |barrier| barrier.complete(what)) }.map(drop)
}
