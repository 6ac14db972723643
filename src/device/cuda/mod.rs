//! The CUDA device: kernels compiled by `build.rs`, launched through the driver, or through the virtual
//! GPU's driver, which is the same path to the last bit.
//!
//! An op's launch code is in the file of its name. It checks the shapes, then launches; nothing waits
//! for the GPU but `download`. What is launched within [`Memory::recorded`](super::Memory::recorded) goes to
//! the driver together, as a graph.

mod allocator;
mod context;
mod download;
mod driver;
mod edited;
mod graph;
mod graphs;
mod kernel_call;
mod kernels;
mod launch;
mod launches;
mod lists;
mod memory;
mod modules;
mod recorder;
mod staging;

mod adamw;
mod attention;
mod column_sums;
mod embedding;
mod grpo;
mod info_nce;
mod kv_store;
mod linear;
mod linear_cross_entropy;
mod packs;
mod peaks;
mod pool;
mod product;
mod profiler;
mod rms_norm;
mod rope;
mod sample;
mod swiglu;
mod tensor_map;
mod tiling;
mod top_k;
mod weight;

pub use allocator::Usage;
pub use context::Context;
pub use download::CudaDownload;
pub use driver::Driver;
pub use edited::{
    Edited, FOLDER as KERNEL_FOLDER, architecture, assemble, machine_code, sass, use_kernels_of,
};
pub(crate) use info_nce::strip_rows;
pub use kernels::{Cubin, Kernel, compiler, kernel, kernels, sources};
pub(crate) use linear_cross_entropy::strip_columns;
pub use memory::CudaBuffer;
pub use peaks::Multiplier;
pub use recorder::Calls;
pub use weight::CudaWeight;

use super::{Device, Real, Result};
use column_sums::rows_per_block;
use packs::Packs;
use std::marker::PhantomData;
use std::sync::Arc;

/// A GPU whose activations are of type `T`: bf16 to work, f32 to test. Buffers belong to the device
/// that made them.
pub struct Cuda<T> {
    context: Arc<Context>,
    /// Of attention.
    plans: attention::Plans,
    lists: lists::Lists,
    real: PhantomData<T>,
}

impl<T: Real> Cuda<T> {
    /// The first GPU of a driver.
    ///
    /// # Errors
    /// In one line: no driver, no GPU, one that is too old, or a program without kernels.
    pub fn new(driver: Driver) -> Result<Cuda<T>> {
        Cuda::on(driver, 0)
    }

    /// GPU `ordinal` of a driver.
    ///
    /// # Errors
    /// As of [`Cuda::new`].
    pub fn on(driver: Driver, ordinal: usize) -> Result<Cuda<T>> {
        Ok(Cuda {
            context: Arc::new(Context::open(driver, ordinal)?),
            plans: attention::Plans::default(),
            lists: lists::Lists::default(),
            real: PhantomData,
        })
    }

    /// The GPU.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl<T: Real> Device for Cuda<T> {}

/// Whether an NVIDIA GPU can be used. The error says in one line what is missing.
pub fn available() -> Result<()> {
    Context::open(Driver::Nvidia, 0).map(drop)
}
