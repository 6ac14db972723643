//! Launch of the policy loss, `kernels/grpo.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Buffer, Memory, Real, Result, at_least};
use crate::ops::grpo::*;
use bytemuck::{Pod, Zeroable};

/// Thoughts of a block, a warp each, as in the kernel.
const THOUGHTS: usize = 16;

/// The options as the kernel sees them; the ratio by its number there.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Options {
    low: f64,
    high: f64,
    beta: f64,
    ratio: i64,
}

/// What a thought adds to the loss and its measures.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Terms {
    loss: f64,
    kl: f64,
    clipped: i64,
}

impl<T: Real> Grpo for Cuda<T> {
    fn grpo(
        &self,
        options: &GrpoOptions,
        batch: &GrpoBatch<'_>,
        nll: &CudaBuffer<f32>,
    ) -> Result<GrpoOutput> {
        batch.check(options)?;
        let (tokens, thoughts) = (batch.tokens(), batch.advantages.len());
        at_least("grpo", "nll", nll.len(), tokens)?;
        let lengths = batch.offsets.windows(2).map(|w| (w[1] - w[0]) as usize);
        let weight = |tokens| options.average.weight(tokens, batch.total);
        let weights: Vec<f64> = lengths.map(weight).collect();
        let reference = match options.kl > 0.0 {
            true => Some(self.upload(batch.reference)?),
            false => None,
        };
        let (old, offsets) = (self.upload(batch.old)?, self.upload(batch.offsets)?);
        let advantages = self.upload(batch.advantages)?;
        let weights = self.upload(&weights)?;
        let mut coefficients = self.scratch::<f32>(tokens)?;
        let mut terms = self.scratch::<Terms>(thoughts)?;
        let kernel = self.context.kernel("grpo")?.input(nll).input(&old);
        let kernel = kernel.value(reference.as_ref().map_or(0, |r| r.address(0)));
        let kernel = kernel.input(&offsets).input(&advantages).input(&weights);
        let kernel = kernel.output(&mut coefficients).output(&mut terms);
        let kernel = kernel.int(thoughts)?;
        let kernel = kernel.value(Options {
            low: f64::from(options.clip.0),
            high: f64::from(options.clip.1),
            beta: f64::from(options.kl),
            ratio: match options.ratio {
                Ratio::Thought => 0,
                Ratio::Mean => 1,
                Ratio::Token => 2,
            },
        });
        // SAFETY: a block stays in its thoughts' tokens, which `check` found to be within the lists.
        unsafe { kernel.launch([thoughts.div_ceil(THOUGHTS), 1, 1], 32 * THOUGHTS) }?;
        let terms = self.download(&terms, thoughts)?;
        let kl: f64 = terms.iter().map(|t| t.kl).sum();
        let loss: f64 = terms.iter().map(|t| t.loss).sum();
        Ok(GrpoOutput {
            loss: loss + f64::from(options.kl) * kl,
            coefficients: self.download(&coefficients, tokens)?,
            clipped: terms.iter().map(|t| t.clipped as usize).sum(),
            ratios: match options.ratio {
                Ratio::Token => tokens,
                _ => thoughts,
            },
            kl,
        })
    }
}
