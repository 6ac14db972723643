//! Devices: where buffers live and ops run.
//!
//! [`Device`] is the sum of [`Memory`] and one trait per op (`crate::ops`). The model is generic over
//! it with static dispatch, so a device is added by implementing the op traits, and nothing else.

pub mod cpu;
pub mod cuda;
mod real;

use crate::ops;
use bytemuck::Pod;
pub use real::Real;

/// What can go wrong on a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A buffer or parameter does not have the shape an op's contract asks for.
    #[error("{op}: {what} has {got}, expected {expected}")]
    Shape {
        op: &'static str,
        what: &'static str,
        expected: usize,
        got: usize,
    },
    /// A parameter is outside the range an op's contract allows.
    #[error("{op}: {message}")]
    Argument { op: &'static str, message: String },
    /// The device cannot give the memory asked for.
    #[error("out of memory on {device}: {needed} bytes were needed")]
    OutOfMemory { device: String, needed: usize },
    /// A call of the device's driver failed.
    #[error("{what}: {message}")]
    Driver { what: String, message: String },
    /// The device, or a part of it, is not there.
    #[error("{0}")]
    Unavailable(String),
}

/// Result of device calls.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// A linear array of `T` in a device's memory.
pub trait Buffer<T>: Send + Sync {
    /// Number of elements.
    fn len(&self) -> usize;
    /// Whether there are no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Allocation and copies. Ops accept buffers that are longer than their contract needs and leave the
/// rest untouched, so that a workspace can be reused between batches of different sizes.
pub trait Memory: Send + Sync {
    /// What activations and their gradients are stored in. Master weights, their gradients, losses and
    /// embeddings given out are f32 everywhere.
    type Real: Real;
    /// An array in this device's memory.
    type Buffer<T: Pod + Send + Sync>: Buffer<T>;
    /// Elements on their way to the host.
    type Download<T: Pod + Send + Sync>;

    /// A buffer of `len` zeros.
    fn zeros<T: Pod + Send + Sync>(&self, len: usize) -> Result<Self::Buffer<T>>;
    /// Copies host data into a new buffer.
    fn upload<T: Pod + Send + Sync>(&self, data: &[T]) -> Result<Self::Buffer<T>>;
    /// Copies the first `len` elements of a buffer to the host.
    fn download<T: Pod + Send + Sync>(
        &self,
        buffer: &Self::Buffer<T>,
        len: usize,
    ) -> Result<Vec<T>>;
    /// Begins to copy the first `len` elements of a buffer, as they are at this point, to the host. What is
    /// asked of the device next is not waited for.
    fn start_download<T: Pod + Send + Sync>(
        &self,
        buffer: &Self::Buffer<T>,
        len: usize,
    ) -> Result<Self::Download<T>>;
    /// Waits for what [`Memory::start_download`] began.
    fn finish_download<T: Pod + Send + Sync>(&self, download: Self::Download<T>) -> Result<Vec<T>>;
    /// Copies `len` elements from `src[src_at..]` to `dst[dst_at..]`.
    fn copy<T: Pod + Send + Sync>(
        &self,
        src: &Self::Buffer<T>,
        src_at: usize,
        dst: &mut Self::Buffer<T>,
        dst_at: usize,
        len: usize,
    ) -> Result<()>;
    /// Sets the first `len` elements to zero.
    fn clear<T: Pod + Send + Sync>(&self, buffer: &mut Self::Buffer<T>, len: usize) -> Result<()>;
    /// Waits until everything that was asked of the device is done, and tells what went wrong in it.
    fn wait(&self) -> Result<()>;
    /// Does `work`, whose ops a device may put off until their results are asked for or the work ends, and
    /// then start together. Nothing but time depends on it.
    ///
    /// # Errors
    /// What `work` returns, and what goes wrong with what was put off.
    fn recorded<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        work()
    }
    /// Does `work`, which a device's profiler sees as one range, if the device has one. Nothing but time depends on
    /// it.
    ///
    /// # Errors
    /// What `work` returns, and what goes wrong with what it asked of the device.
    fn profiled<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        work()
    }
}

/// Everything the engine asks of a device: memory and every op.
pub trait Device:
    Memory
    + ops::embedding::Embedding
    + ops::linear::Linear
    + ops::rms_norm::RmsNorm
    + ops::rope::Rope
    + ops::kv_store::KvStore
    + ops::attention::Attention
    + ops::swiglu::SwiGlu
    + ops::pool::Pool
    + ops::linear_cross_entropy::LinearCrossEntropy
    + ops::info_nce::InfoNce
    + ops::grpo::Grpo
    + ops::adamw::AdamW
    + ops::sample::Sample
    + ops::top_k::TopK
{
}

/// A buffer of activations.
pub type Activation<D> = <D as Memory>::Buffer<<D as Memory>::Real>;

/// Returns an error unless `what` holds at least `expected` elements.
pub fn at_least(op: &'static str, what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got < expected {
        return Err(DeviceError::Shape {
            op,
            what,
            expected,
            got,
        });
    }
    Ok(())
}
