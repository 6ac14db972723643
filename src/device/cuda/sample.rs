//! Launch of sampling, `kernels/sample.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Buffer, Memory, Real, Result};
use crate::ops::sample::*;
use bytemuck::{Pod, Zeroable};

/// Threads of a block, as in the kernel.
const BLOCK: usize = 1024;

/// The options as the kernel sees them.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Options {
    seed: u64,
    top_p: f64,
    temperature: f32,
    min_p: f32,
    top_k: i32,
    unused: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Key {
    row: u64,
    position: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Chosen {
    token: i32,
    log_probability: f32,
    sampled_log_probability: f32,
    entropy: f32,
}

impl<T: Real> Sample for Cuda<T> {
    fn sample(
        &self,
        vocab: usize,
        logits: &CudaBuffer<f32>,
        sampling: &Sampling,
        keys: &[(u64, u32)],
        banned: &[u32],
    ) -> Result<Vec<Sampled>> {
        sampling.check(vocab, keys.len(), logits.len(), banned)?;
        let bits = match banned {
            [] => None,
            _ => Some(self.upload(&bit_set(vocab, banned))?),
        };
        let key = |&(row, position): &(u64, u32)| Key {
            row,
            position: u64::from(position),
        };
        let rows = self.upload(&keys.iter().map(key).collect::<Vec<Key>>())?;
        let mut chosen = self.scratch::<Chosen>(keys.len())?;
        let kernel = self.context.kernel("sample")?.input(logits);
        let kernel = kernel.value(bits.as_ref().map_or(0, |bits| bits.address(0)));
        let kernel = kernel.input(&rows).output(&mut chosen).int(vocab)?;
        let kernel = kernel.value(Options {
            seed: sampling.seed,
            top_p: f64::from(sampling.top_p),
            temperature: sampling.temperature,
            min_p: sampling.min_p,
            // All of the vocabulary is no filter, as is 0.
            top_k: if sampling.top_k < vocab {
                sampling.top_k as i32
            } else {
                0
            },
            unused: 0,
        });
        // SAFETY: a block reads its row of `vocab` logits and its key, and writes one token.
        unsafe { kernel.launch([keys.len(), 1, 1], BLOCK) }?;
        let chosen = self.download(&chosen, keys.len())?;
        let rows = chosen.into_iter().enumerate();
        rows.map(|(i, c)| match c.token {
            0.. => Ok(Sampled {
                token: c.token as u32,
                log_probability: c.log_probability,
                sampled_log_probability: c.sampled_log_probability,
                entropy: c.entropy,
            }),
            _ => Err(broken_row(i)),
        })
        .collect()
    }
}

/// A bit for every token, set where it is banned.
fn bit_set(vocab: usize, banned: &[u32]) -> Vec<u32> {
    let mut bits = vec![0; vocab.div_ceil(32)];
    for id in banned {
        bits[*id as usize / 32] |= 1 << (id % 32);
    }
    bits
}
