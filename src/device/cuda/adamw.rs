//! Launches of AdamW and of the global norm, `kernels/adamw.cu`: one for all tensors.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Memory, Real, Result};
use crate::ops::adamw::*;
use bytemuck::{Pod, Zeroable};
use half::bf16;

/// Elements of a block, as in the kernel.
const CHUNK: usize = 1 << 16;
/// Threads of a block.
const BLOCK: usize = 256;

/// A tensor as the kernel sees it: addresses, its length, and whether it decays.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Tensor {
    parameter: u64,
    gradient: u64,
    first_moment: u64,
    second_moment: u64,
    /// 0: none.
    copy: u64,
    len: u64,
    decays: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Chunk {
    tensor: i32,
    index: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Factors {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    decay: f32,
    rate: f32,
    root: f32,
    eps: f32,
}

impl<T: Real> AdamW for Cuda<T> {
    fn adamw(&self, step: &AdamWStep, tensors: &mut [AdamWTensor<'_, Self>]) -> Result<()> {
        let described = tensors.iter().map(|t| {
            t.check(|copy| copy.n() * copy.k())?;
            let copy = t.copy.as_ref();
            let copy = copy.map(|copy| copy.elements("adamw", size_of::<bf16>()));
            Ok(Tensor {
                parameter: t.parameter.address(0),
                gradient: t.gradient.address(0),
                first_moment: t.first_moment.address(0),
                second_moment: t.second_moment.address(0),
                copy: copy.transpose()?.unwrap_or(0),
                len: t.len as u64,
                decays: u64::from(t.decays),
            })
        });
        let described = described.collect::<Result<Vec<Tensor>>>()?;
        let chunks = chunks(&described);
        if chunks.is_empty() {
            return Ok(());
        }
        let corrected = step.corrected();
        let factors = Factors {
            gradient: step.gradient_scale,
            beta1: step.beta1,
            beta2: step.beta2,
            decay: corrected.decay,
            rate: corrected.rate,
            root: corrected.root,
            eps: step.eps,
        };
        let (table, list) = (self.upload(&described)?, self.upload(&chunks)?);
        let kernel = self.context.kernel("adamw")?.input(&table).input(&list);
        // SAFETY: a block stays in its chunk of a tensor, whose buffers were checked above; they outlive the
        // launch, as memory is given back in the order of the stream.
        unsafe { kernel.value(factors).launch([chunks.len(), 1, 1], BLOCK) }
    }

    fn sum_of_squares(&self, tensors: &[(usize, &CudaBuffer<f32>)]) -> Result<f64> {
        check_squares::<Self>(tensors)?;
        let described = tensors.iter().map(|(len, x)| Tensor {
            gradient: x.address(0),
            len: *len as u64,
            ..Tensor::default()
        });
        let described: Vec<Tensor> = described.collect();
        let chunks = chunks(&described);
        if chunks.is_empty() {
            return Ok(0.0);
        }
        let (table, list) = (self.upload(&described)?, self.upload(&chunks)?);
        let mut sums = self.scratch::<f64>(chunks.len())?;
        let kernel = self.context.kernel("sum_of_squares")?.input(&table);
        let kernel = kernel.input(&list).output(&mut sums);
        // SAFETY: a block reads its chunk of a tensor, whose length was checked above, and writes one
        // sum.
        unsafe { kernel.launch([chunks.len(), 1, 1], BLOCK) }?;
        Ok(self.download(&sums, chunks.len())?.iter().sum())
    }
}

/// The chunks of all tensors, in their order.
fn chunks(tensors: &[Tensor]) -> Vec<Chunk> {
    let of = |(tensor, t): (usize, &Tensor)| {
        let count = (t.len as usize).div_ceil(CHUNK);
        (0..count).map(move |index| Chunk {
            tensor: tensor as i32,
            index: index as i32,
        })
    };
    tensors.iter().enumerate().flat_map(of).collect()
}
