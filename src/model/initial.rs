//! Values that training begins with, of tensors that no file has.

use super::config::ModelConfig;
use crate::ops::philox::PhiloxStream;

/// Standard deviation of the weights (Radford et al., "Language Models are Unsupervised Multitask
/// Learners", 2019; the released code).
const DEVIATION: f32 = 0.02;
/// Streams of the random numbers, one a tensor.
const STREAMS: u64 = 7 << 32;

/// Which tensors are drawn in place of being read.
#[derive(Clone, Copy, Debug)]
pub struct Initial {
    /// All of them, or those of latent attention where the files have none.
    pub all: bool,
    pub seed: u64,
}

impl Initial {
    /// Values of the tensor `name`, the `index`-th of the model: norms are 1, biases 0, weights normal;
    /// those that write to the residual stream are smaller by the root of their number, as in GPT-2, and
    /// latent vectors have deviation 1, as in NV-Embed.
    pub(super) fn fill(self, config: &ModelConfig, index: usize, name: &str, out: &mut [f32]) {
        if name.ends_with("norm.weight") {
            return out.fill(1.0);
        }
        if name.ends_with(".bias") {
            return out.fill(0.0);
        }
        let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let writers = match residual {
            true => 2 * config.num_hidden_layers,
            false => 1,
        };
        // What is normed before it is read has no scale; a small one would make its gradients large.
        let deviation = match name.ends_with(".vectors") {
            true => 1.0,
            false => DEVIATION / (writers as f32).sqrt(),
        };
        let mut random = PhiloxStream::new(self.seed, STREAMS + index as u64);
        out.fill_with(|| deviation * random.normal());
    }
}
