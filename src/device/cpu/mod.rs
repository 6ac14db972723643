//! The CPU device: native Rust, all cores, SIMD chosen at run time.

pub mod adamw;
pub mod attention;
pub mod embedding;
pub mod gemm;
pub mod grpo;
pub mod info_nce;
pub mod isa;
pub mod kv_store;
pub mod linear;
pub mod linear_cross_entropy;
pub mod math;
pub mod parallel;
pub mod pool;
pub mod reduce;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod sample_filter;
pub mod swiglu;
pub mod top_k;
pub mod transpose;

use super::{Buffer, Device, Memory, Result, at_least};
use bytemuck::Pod;
pub use isa::Isa;

/// How f32 matrices are multiplied in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiply {
    /// f32 × f32.
    F32,
    /// Both factors rounded to bf16, f32 accumulation; f32 where the processor has no bf16 products.
    Bf16,
}

/// The CPU device.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Instruction set in use.
    pub isa: Isa,
    /// Precision of training products.
    pub multiply: Multiply,
}

impl Cpu {
    /// The best instruction set of this processor (or the one `LREM_ISA` names) and `multiply`.
    pub fn new(multiply: Multiply) -> Cpu {
        Cpu {
            isa: Isa::detect(),
            multiply,
        }
    }
}

impl<T: Send + Sync> Buffer<T> for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }
}

impl Memory for Cpu {
    type Real = f32;
    type Buffer<T: Pod + Send + Sync> = Vec<T>;
    type Download<T: Pod + Send + Sync> = Vec<T>;

    fn zeros<T: Pod + Send + Sync>(&self, len: usize) -> Result<Vec<T>> {
        Ok(vec![T::zeroed(); len])
    }

    fn upload<T: Pod + Send + Sync>(&self, data: &[T]) -> Result<Vec<T>> {
        Ok(data.to_vec())
    }

    fn download<T: Pod + Send + Sync>(&self, buffer: &Vec<T>, len: usize) -> Result<Vec<T>> {
        at_least("download", "buffer", buffer.len(), len)?;
        Ok(buffer[..len].to_vec())
    }

    fn start_download<T: Pod + Send + Sync>(&self, buffer: &Vec<T>, len: usize) -> Result<Vec<T>> {
        self.download(buffer, len)
    }

    fn finish_download<T: Pod + Send + Sync>(&self, download: Vec<T>) -> Result<Vec<T>> {
        Ok(download)
    }

    fn copy<T: Pod + Send + Sync>(
        &self,
        src: &Vec<T>,
        src_at: usize,
        dst: &mut Vec<T>,
        dst_at: usize,
        len: usize,
    ) -> Result<()> {
        at_least("copy", "source", src.len(), src_at + len)?;
        at_least("copy", "destination", dst.len(), dst_at + len)?;
        dst[dst_at..dst_at + len].copy_from_slice(&src[src_at..src_at + len]);
        Ok(())
    }

    fn clear<T: Pod + Send + Sync>(&self, buffer: &mut Vec<T>, len: usize) -> Result<()> {
        at_least("clear", "buffer", buffer.len(), len)?;
        let rows = parallel::Rows::new(&mut buffer[..len], 1 << 16);
        parallel::run(rows.count(), |i| rows.take(i).fill(T::zeroed()));
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl Device for Cpu {}
