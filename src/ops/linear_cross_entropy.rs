//! Linear + cross-entropy over the vocabulary, fused: no logits matrix in memory.
//!
//! `nll[i] = logsumexp_v(h_i·w_v) − h_i·w_{target_i}`; tiles of the vocabulary stream through a
//! running log-sum-exp (as in Liger-Kernel and Cut Cross-Entropy, arXiv 2411.09009). `−nll` is the
//! log-probability of the target, which the reinforcement stage needs.

use super::linear::{Linear, LinearShape};
use crate::device::Result;

/// The fused op. 2·m·n·k flops forward, three times that backward (the tile is recomputed).
pub trait LinearCrossEntropy: Linear {
    /// Shapes: `hidden[m,k]`, `w[n,k]` with `n` the vocabulary, `targets[m]`, `nll[m]`, `lse[m]`.
    fn linear_cross_entropy(
        &self,
        shape: LinearShape,
        hidden: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        targets: &[u32],
        nll: &mut Self::Buffer<f32>,
        lse: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// Gradient of `Σ_i coefficients[i] · nll[i]`: writes `dhidden[m,k]`, adds to `dw[n,k]`.
    #[allow(clippy::too_many_arguments)]
    fn linear_cross_entropy_backward(
        &self,
        shape: LinearShape,
        hidden: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        targets: &[u32],
        lse: &Self::Buffer<f32>,
        coefficients: &[f32],
        dhidden: &mut Self::Buffer<f32>,
        dw: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
