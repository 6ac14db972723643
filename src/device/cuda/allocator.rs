//! A caching allocator: memory that was given back is kept, by size class, and handed out again.
//!
//! The driver's own allocation waits for the GPU, and a training step would ask for the same sizes over
//! and over.

use cudarc::driver::{result, sys};
use std::collections::{BTreeMap, BTreeSet};

/// What a caching allocator holds, in bytes of its size classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Handed out now.
    pub used: usize,
    /// Most that was ever handed out.
    pub peak: usize,
    /// Taken from the driver and not returned to it.
    pub held: usize,
    /// Allocations that the driver was asked for.
    pub allocations: usize,
}

/// Set: every buffer is an allocation of the driver's, as long as was asked for, so that a sanitizer sees
/// where it ends.
const EXACT: &str = "LREM_EXACT_ALLOCATIONS";

/// Free blocks by their size. The lowest is handed out first, so that who asks for the same again, as one
/// token after the other does, gets the same.
pub(super) struct Allocator {
    free: BTreeMap<usize, BTreeSet<sys::CUdeviceptr>>,
    /// Blocks given back, with their bytes, while launches that may use them were put off.
    held_back: Option<Vec<(sys::CUdeviceptr, usize)>>,
    held_back_bytes: usize,
    usage: Usage,
    exact: bool,
}

impl Default for Allocator {
    fn default() -> Allocator {
        Allocator {
            free: BTreeMap::new(),
            held_back: None,
            held_back_bytes: 0,
            usage: Usage::default(),
            exact: std::env::var_os(EXACT).is_some(),
        }
    }
}

impl Allocator {
    /// A block of at least `bytes`; `None` where the driver has none, even after all that is kept was
    /// returned to it. The context has to be current.
    pub fn allocate(&mut self, bytes: usize, stream: sys::CUstream) -> Option<sys::CUdeviceptr> {
        let size = self.size(bytes)?;
        let kept = self.free.get_mut(&size).and_then(BTreeSet::pop_first);
        let address = match kept {
            Some(address) => address,
            None => self.fresh(size, stream)?,
        };
        self.usage.used += size;
        self.usage.peak = self.usage.peak.max(self.usage.used);
        Some(address)
    }

    fn fresh(&mut self, size: usize, stream: sys::CUstream) -> Option<sys::CUdeviceptr> {
        // SAFETY: the context is current. Before blocks are returned, the work that may use them ends.
        let address = unsafe {
            result::malloc_sync(size).or_else(|error| {
                result::stream::synchronize(stream)?;
                self.release();
                result::malloc_sync(size).map_err(|_| error)
            })
        };
        let address = address.ok()?;
        self.usage.held += size;
        self.usage.allocations += 1;
        Some(address)
    }

    /// Keeps a block of `bytes` that [`Allocator::allocate`] handed out.
    pub fn free(&mut self, address: sys::CUdeviceptr, bytes: usize) {
        let Some(size) = self.size(bytes) else {
            return;
        };
        if let Some(held_back) = &mut self.held_back {
            held_back.push((address, bytes));
            self.held_back_bytes += size;
            return;
        }
        self.usage.used -= size;
        if self.exact {
            self.usage.held -= size;
            // SAFETY: allocated by `fresh`; the driver waits for the work that uses it.
            let _ = unsafe { result::free_sync(address) };
            return;
        }
        self.free.entry(size).or_default().insert(address);
    }

    /// From now on blocks that are given back are not handed out again; returns how many bytes that are so
    /// far.
    pub fn hold_back(&mut self) -> usize {
        self.held_back.get_or_insert_default();
        self.held_back_bytes
    }

    /// The launches for which blocks were held back have been sent.
    pub fn let_go(&mut self) {
        self.held_back_bytes = 0;
        for (address, bytes) in self.held_back.take().into_iter().flatten() {
            self.free(address, bytes);
        }
    }

    fn size(&self, bytes: usize) -> Option<usize> {
        match self.exact {
            true => Some(bytes),
            false => size_class(bytes),
        }
    }

    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Returns all kept blocks to the driver.
    ///
    /// # Safety
    /// The context is current, and no work under way uses them.
    pub unsafe fn release(&mut self) {
        for (size, blocks) in std::mem::take(&mut self.free) {
            for address in blocks {
                // SAFETY: allocated by `fresh`, and freed once as it leaves the list. Where the driver
                // refuses, the context is broken and the memory lost anyway.
                let _ = unsafe { result::free_sync(address) };
                self.usage.held -= size;
            }
        }
    }
}

/// The size that a request of `bytes` is rounded up to: four classes an octave, so at most a quarter is
/// wasted. `None` beyond the address space.
fn size_class(bytes: usize) -> Option<usize> {
    const SMALLEST: usize = 512;
    let bytes = bytes.max(SMALLEST);
    let step = (1 << bytes.ilog2()) / 4;
    bytes.checked_next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_fit_and_waste_a_quarter_at_most() {
        let asked = (0..70_000usize).chain((20..62).map(|bit| (1 << bit) + 1));
        for bytes in asked {
            let size = size_class(bytes).unwrap();
            assert!(size >= bytes && size.is_multiple_of(128), "{bytes}: {size}");
            assert!(size <= 512.max(bytes + bytes / 4), "{bytes}: {size}");
            assert_eq!(size_class(size), Some(size), "{bytes}");
        }
        assert_eq!(size_class(usize::MAX), None);
    }
}
