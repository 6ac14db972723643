//! Buffers in a GPU's memory, and copies.

use super::Cuda;
use super::context::{Context, failed};
use super::download::CudaDownload;
use crate::device::{Buffer, Memory, Real, Result, at_least};
use bytemuck::Pod;
use cudarc::driver::{result, sys};
use std::marker::PhantomData;
use std::sync::Arc;

/// An array in a GPU's memory. It is given back to its context's allocator when dropped.
pub struct CudaBuffer<E> {
    context: Arc<Context>,
    address: sys::CUdeviceptr,
    len: usize,
    elements: PhantomData<E>,
}

impl<E> CudaBuffer<E> {
    /// An array of `len` elements with nothing in particular in them.
    pub(super) fn new(context: &Arc<Context>, len: usize) -> Result<CudaBuffer<E>> {
        let bytes = len.saturating_mul(size_of::<E>());
        Ok(CudaBuffer {
            address: match bytes {
                0 => 0,
                _ => context.allocate(bytes)?,
            },
            context: context.clone(),
            len,
            elements: PhantomData,
        })
    }

    /// Where element `at` lies; 0 where there are no elements.
    pub(super) fn address(&self, at: usize) -> sys::CUdeviceptr {
        self.address + (at * size_of::<E>()) as u64
    }

    fn bytes(&self) -> usize {
        self.len * size_of::<E>()
    }

    /// Sets the first `len` elements, which it has, to zero; `E` is `Pod`.
    fn fill_with_zeros(&self, len: usize) -> Result<()> {
        let bytes = len * size_of::<E>();
        if bytes == 0 {
            return Ok(());
        }
        self.context.bind()?;
        self.context.count_copy();
        // SAFETY: the buffer has `len` elements, and all-zero bytes are one.
        unsafe { result::memset_d8_async(self.address, 0, bytes, self.context.stream) }
            .map_err(failed("clear"))
    }
}

impl<E> Drop for CudaBuffer<E> {
    fn drop(&mut self) {
        if self.bytes() > 0 {
            self.context.free(self.address, self.bytes());
        }
    }
}

impl<E: Send + Sync> Buffer<E> for CudaBuffer<E> {
    fn len(&self) -> usize {
        self.len
    }
}

impl<T: Real> Cuda<T> {
    /// A buffer of `len` elements with nothing in particular in them, for an op to write.
    pub(super) fn scratch<E>(&self, len: usize) -> Result<CudaBuffer<E>> {
        CudaBuffer::new(&self.context, len)
    }
}

impl<T: Real> Memory for Cuda<T> {
    type Real = T;
    type Buffer<E: Pod + Send + Sync> = CudaBuffer<E>;
    type Download<E: Pod + Send + Sync> = CudaDownload<E>;

    fn zeros<E: Pod + Send + Sync>(&self, len: usize) -> Result<CudaBuffer<E>> {
        let buffer = self.scratch(len)?;
        // Nothing that was put off knows it.
        buffer.fill_with_zeros(len)?;
        Ok(buffer)
    }

    fn upload<E: Pod + Send + Sync>(&self, data: &[E]) -> Result<CudaBuffer<E>> {
        let buffer = self.scratch(data.len())?;
        if buffer.bytes() > 0 {
            // SAFETY: the buffer is as long as `data`.
            unsafe {
                self.context
                    .upload(bytemuck::cast_slice(data), buffer.address)?;
            }
        }
        Ok(buffer)
    }

    fn download<E: Pod + Send + Sync>(&self, buffer: &CudaBuffer<E>, len: usize) -> Result<Vec<E>> {
        at_least("download", "buffer", buffer.len, len)?;
        let mut data = vec![E::zeroed(); len];
        if size_of_val(&data[..]) > 0 {
            self.context.flush()?;
            self.context.bind()?;
            self.context.count_copy();
            // SAFETY: the buffer has `len` elements, and `data` outlives the copy.
            unsafe { result::memcpy_dtoh_async(&mut data, buffer.address, self.context.stream) }
                .map_err(failed("copy from the GPU"))?;
        }
        self.context.synchronize()?;
        Ok(data)
    }

    fn start_download<E: Pod + Send + Sync>(
        &self,
        buffer: &CudaBuffer<E>,
        len: usize,
    ) -> Result<CudaDownload<E>> {
        CudaDownload::start(&self.context, buffer, len)
    }

    fn finish_download<E: Pod + Send + Sync>(&self, download: CudaDownload<E>) -> Result<Vec<E>> {
        download.finish()
    }

    fn copy<E: Pod + Send + Sync>(
        &self,
        src: &CudaBuffer<E>,
        src_at: usize,
        dst: &mut CudaBuffer<E>,
        dst_at: usize,
        len: usize,
    ) -> Result<()> {
        at_least("copy", "source", src.len, src_at.saturating_add(len))?;
        at_least("copy", "destination", dst.len, dst_at.saturating_add(len))?;
        let bytes = len * size_of::<E>();
        if bytes == 0 {
            return Ok(());
        }
        self.context.flush()?;
        self.context.bind()?;
        self.context.count_copy();
        let (from, to) = (src.address(src_at), dst.address(dst_at));
        // SAFETY: both ranges were checked above; a borrow keeps them apart.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.context.stream) }
            .map_err(failed("copy on the GPU"))
    }

    fn clear<E: Pod + Send + Sync>(&self, buffer: &mut CudaBuffer<E>, len: usize) -> Result<()> {
        at_least("clear", "buffer", buffer.len, len)?;
        self.context.flush()?;
        buffer.fill_with_zeros(len)
    }

    fn wait(&self) -> Result<()> {
        self.context.synchronize()
    }

    fn profiled<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.context.profiled(work)
    }

    fn recorded<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let recording = self.context.record();
        let done = work();
        let sent = recording.end();
        self.lists.forget();
        self.plans.forget();
        done.and_then(|result| sent.map(|()| result))
    }
}
