//! Launching a kernel.

use super::Cuda;
use super::context::Context;
use super::kernel_call::KernelCall;
use super::memory::CudaBuffer;
use crate::device::{DeviceError, Real, Result};
use bytemuck::Pod;

/// A kernel and the arguments that it gets, in their order.
pub(super) struct Launch<'c> {
    context: &'c Context,
    call: KernelCall,
    shared: usize,
}

impl<T: Real> Cuda<T> {
    /// The instance of a kernel for this device's activations: `rms_norm_bf16` of `rms_norm`.
    pub(super) fn kernel(&self, name: &str) -> Result<Launch<'_>> {
        self.context.kernel(&format!("{name}_{}", T::NAME))
    }
}

impl Context {
    /// A kernel by the name of its instance.
    pub(super) fn kernel(&self, instance: &str) -> Result<Launch<'_>> {
        Ok(Launch {
            context: self,
            call: KernelCall::new(instance, self.function(instance)?),
            shared: 0,
        })
    }
}

impl Launch<'_> {
    /// A pointer that the kernel only reads.
    pub fn input<E>(self, buffer: &CudaBuffer<E>) -> Self {
        self.value(buffer.address(0))
    }

    /// A pointer that the kernel writes.
    pub fn output<E>(self, buffer: &mut CudaBuffer<E>) -> Self {
        self.value(buffer.address(0))
    }

    /// A number or structure, as C++ lays it out.
    pub fn value<V: Pod>(mut self, value: V) -> Self {
        self.call.push(bytemuck::bytes_of(&value));
        self
    }

    /// A count or size as the kernel's `int`.
    ///
    /// # Errors
    /// Where it does not fit.
    pub fn int(self, value: usize) -> Result<Self> {
        let value =
            i32::try_from(value).map_err(|_| self.wrong(format!("{value} is too large")))?;
        Ok(self.value(value))
    }

    /// Bytes of dynamic shared memory of a block.
    pub fn shared(mut self, bytes: usize) -> Self {
        self.shared = bytes;
        self
    }

    /// Puts the kernel on the stream, or with what is [recorded](Context::record), with `grid` blocks of
    /// `block` threads; an empty grid is no work.
    ///
    /// # Errors
    /// A grid that the GPU cannot have, more shared memory than it has, and what the driver refuses.
    ///
    /// # Safety
    /// The arguments are those of the kernel in number, order and type, and with this grid it stays
    /// inside the buffers.
    pub unsafe fn launch(self, grid: [usize; 3], block: usize) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        let limits = [i32::MAX as usize, 65_535, 65_535];
        if grid
            .iter()
            .zip(limits)
            .any(|(&blocks, limit)| blocks > limit)
        {
            return Err(self.wrong(format!("a grid of {grid:?} blocks is too large")));
        }
        let most = self.context.shared_memory;
        if self.shared > most {
            let message = format!(
                "needs {} bytes of shared memory a block; {} has {most}",
                self.shared, self.context.name
            );
            return Err(self.wrong(message));
        }
        let mut call = self.call;
        call.grid = grid.map(|blocks| blocks as u32);
        (call.block, call.shared) = (block as u32, self.shared as u32);
        // SAFETY: the caller's promise. Memory that is given back meanwhile is kept for the kernel.
        unsafe { self.context.put(call) }
    }

    fn wrong(&self, message: String) -> DeviceError {
        DeviceError::Driver {
            what: format!("launch {}", self.call.instance),
            message,
        }
    }
}
