//! Small uploads without waiting: bytes are copied to pinned memory, and the GPU fetches them from there
//! in the order of the stream.

use super::context::failed;
use crate::device::Result;
use cudarc::driver::{result, sys};

/// Bytes of each half of the pinned memory.
const HALF: usize = 2 << 20;
/// What every upload starts at a multiple of.
const ALIGNMENT: usize = 256;

/// Pinned memory in two halves: one is filled while the GPU may still read the other.
pub(super) struct Staging {
    memory: *mut u8,
    /// Recorded when a half is full; passed when the GPU has read it.
    read: [sys::CUevent; 2],
    /// The half that is filled now, and how far.
    half: usize,
    filled: usize,
}

impl Staging {
    /// Takes the memory. The context has to be current.
    pub fn new() -> Result<Staging> {
        let what = "take pinned memory";
        // SAFETY: the context is current.
        let memory = unsafe { result::malloc_host(2 * HALF, 0) }.map_err(failed(what))?;
        let event = || {
            let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
            result::event::create(flags).map_err(failed("make an event"))
        };
        Ok(Staging {
            memory: memory.cast(),
            read: [event()?, event()?],
            half: 0,
            filled: 0,
        })
    }

    /// Sends `bytes` to `address`; false where they are more than is staged at a time. Waits only where
    /// the GPU is more than half the memory behind.
    ///
    /// # Safety
    /// The context is current, and `bytes.len()` bytes at `address` are the stream's to write.
    pub unsafe fn send(
        &mut self,
        bytes: &[u8],
        address: sys::CUdeviceptr,
        stream: sys::CUstream,
    ) -> Result<bool> {
        if bytes.len() > HALF {
            return Ok(false);
        }
        if self.filled + bytes.len() > HALF {
            // SAFETY: both events are this object's; waiting for one that was never recorded ends at
            // once.
            unsafe {
                result::event::record(self.read[self.half], stream)
                    .and_then(|()| result::event::synchronize(self.read[1 - self.half]))
                    .map_err(failed("wait for an upload"))?;
            }
            (self.half, self.filled) = (1 - self.half, 0);
        }
        // SAFETY: what was filled, and these bytes, end within the half, which the GPU has read.
        let staged = unsafe {
            let at = self.memory.add(self.half * HALF + self.filled);
            at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            std::slice::from_raw_parts(at, bytes.len())
        };
        self.filled = (self.filled + bytes.len()).next_multiple_of(ALIGNMENT);
        // SAFETY: the staged bytes stay until the half's event has passed.
        unsafe { result::memcpy_htod_async(address, staged, stream) }
            .map_err(failed("copy to the GPU"))?;
        Ok(true)
    }

    /// Returns the memory.
    ///
    /// # Safety
    /// The context is current, and no copy is under way.
    pub unsafe fn release(self) {
        // SAFETY: taken by `new`, returned once. A failure here has nobody left to be told to.
        unsafe {
            let _ = result::free_host(self.memory.cast());
            for event in self.read {
                let _ = result::event::destroy(event);
            }
        }
    }
}
