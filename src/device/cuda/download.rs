//! Downloads that are waited for later: a copy to pinned memory in the order of the stream, and an event behind it.
//!
//! A second stream would spare the kernels that follow the copy of a few kilobytes, and memory given back could no
//! longer be handed out in the order of one stream. So the copy stays on it.

use super::context::{Context, failed};
use super::memory::CudaBuffer;
use crate::device::{Buffer, Result, at_least};
use bytemuck::Pod;
use cudarc::driver::{result, sys};
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes of a pinned block at least.
const SMALLEST: usize = 64 << 10;

/// Pinned memory, and the event that passes when what was last copied there has arrived.
pub(super) struct Landing {
    memory: *mut u8,
    bytes: usize,
    arrived: sys::CUevent,
}

impl Landing {
    /// Takes the memory. The context has to be current.
    fn new(bytes: usize) -> Result<Landing> {
        let bytes = bytes.max(SMALLEST).next_power_of_two();
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let arrived = result::event::create(flags).map_err(failed("make an event"))?;
        // SAFETY: the context is current.
        let memory = unsafe { result::malloc_host(bytes, 0) };
        if memory.is_err() {
            // SAFETY: made above. A failure has nobody left to be told to.
            let _ = unsafe { result::event::destroy(arrived) };
        }
        Ok(Landing {
            memory: memory.map_err(failed("take pinned memory"))?.cast(),
            bytes,
            arrived,
        })
    }

    /// Waits until what was copied there has arrived. The context has to be current.
    fn wait(&self) -> Result<()> {
        // SAFETY: the event is this object's.
        unsafe { result::event::synchronize(self.arrived) }.map_err(failed("wait for a download"))
    }

    /// Returns the memory.
    ///
    /// # Safety
    /// The context is current, and no copy is under way.
    pub unsafe fn release(self) {
        // SAFETY: taken by `new`, returned once. A failure has nobody left to be told to.
        unsafe {
            let _ = result::free_host(self.memory.cast());
            let _ = result::event::destroy(self.arrived);
        }
    }
}

/// Elements on their way from a GPU.
pub struct CudaDownload<E> {
    context: Arc<Context>,
    /// None where there are no elements.
    landing: Option<Landing>,
    len: usize,
    elements: PhantomData<E>,
}

// SAFETY: the memory is this object's alone, and any thread may read it.
unsafe impl<E: Send> Send for CudaDownload<E> {}

impl<E: Pod + Send + Sync> CudaDownload<E> {
    /// Puts the copy of a buffer's first `len` elements on the stream.
    pub(super) fn start(
        context: &Arc<Context>,
        buffer: &CudaBuffer<E>,
        len: usize,
    ) -> Result<CudaDownload<E>> {
        at_least("download", "buffer", buffer.len(), len)?;
        let bytes = len * size_of::<E>();
        let mut download = CudaDownload {
            context: context.clone(),
            landing: None,
            len,
            elements: PhantomData,
        };
        if bytes == 0 {
            return Ok(download);
        }
        context.flush()?;
        context.bind()?;
        context.count_copy();
        let kept = {
            let mut landings = context.landings();
            let fits = landings.iter().position(|landing| landing.bytes >= bytes);
            fits.map(|at| landings.swap_remove(at))
        };
        let landing = match kept {
            Some(landing) => landing,
            None => Landing::new(bytes)?,
        };
        let landing = download.landing.insert(landing);
        // SAFETY: the landing has as many bytes, and stays until its event has passed.
        unsafe {
            let to = std::slice::from_raw_parts_mut(landing.memory, bytes);
            result::memcpy_dtoh_async(to, buffer.address(0), context.stream)
                .and_then(|()| result::event::record(landing.arrived, context.stream))
        }
        .map_err(failed("copy from the GPU"))?;
        Ok(download)
    }

    /// The elements, when they are there.
    pub(super) fn finish(self) -> Result<Vec<E>> {
        let mut data = vec![E::zeroed(); self.len];
        if let Some(landing) = &self.landing {
            self.context.bind()?;
            landing.wait()?;
            let bytes = bytemuck::cast_slice_mut::<E, u8>(&mut data);
            // SAFETY: as many bytes were copied there, and have arrived.
            unsafe {
                landing
                    .memory
                    .copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len())
            };
        }
        Ok(data)
    }
}

impl<E> Drop for CudaDownload<E> {
    fn drop(&mut self) {
        let Some(landing) = self.landing.take() else {
            return;
        };
        // Where the GPU has failed it writes no more.
        let _ = self.context.bind().and_then(|()| landing.wait());
        self.context.landings().push(landing);
    }
}
