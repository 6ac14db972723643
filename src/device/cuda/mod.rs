//! The CUDA device: kernels compiled by `build.rs`, launched through the driver, or through the virtual
//! GPU's driver, which is the same path to the last bit.
//!
//! An op's launch code is in the file of its name. It checks the shapes, then launches; nothing waits
//! for the GPU but `download`.

mod allocator;
mod context;
mod driver;
mod edited;
mod kernels;
mod launch;
mod memory;
mod modules;

mod column_sums;
mod kv_store;
mod packs;
mod pool;
mod rms_norm;
mod rope;
mod swiglu;

pub use allocator::Usage;
pub use context::Context;
pub use driver::Driver;
pub use kernels::{Cubin, Kernel, compiler, kernel, kernels};
pub use memory::CudaBuffer;

use super::{Real, Result};
use column_sums::rows_per_block;
use packs::Packs;
use std::marker::PhantomData;
use std::sync::Arc;

/// A GPU whose activations are of type `T`: bf16 to work, f32 to test. Buffers belong to the device
/// that made them.
pub struct Cuda<T> {
    context: Arc<Context>,
    real: PhantomData<T>,
}

impl<T: Real> Cuda<T> {
    /// The first GPU of a driver.
    ///
    /// # Errors
    /// In one line: no driver, no GPU, one that is too old, or a program without kernels.
    pub fn new(driver: Driver) -> Result<Cuda<T>> {
        Ok(Cuda {
            context: Arc::new(Context::open(driver, 0)?),
            real: PhantomData,
        })
    }

    /// The GPU.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// Whether an NVIDIA GPU can be used. The error says in one line what is missing.
pub fn available() -> Result<()> {
    Context::open(Driver::Nvidia, 0).map(drop)
}
