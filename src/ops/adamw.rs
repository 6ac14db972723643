//! AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101) and the global norm.

use crate::device::{Memory, Result};

/// Hyper-parameters of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    pub learning_rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    /// 1-based number of this update, for the bias corrections.
    pub step: u32,
    /// Factor on the gradient (global norm clipping).
    pub gradient_scale: f32,
}

/// The optimizer op. Reads 16 and writes 12 bytes a parameter.
pub trait AdamW: Memory {
    /// `m ← β1 m + (1−β1) g`, `v ← β2 v + (1−β2) g²`, `p ← p − lr·(m̂/(√v̂+ε) + wd·p)` with
    /// `g = gradient_scale · grad`, over the first `len` elements.
    fn adamw(
        &self,
        step: &AdamWStep,
        len: usize,
        parameter: &mut Self::Buffer<f32>,
        gradient: &Self::Buffer<f32>,
        first_moment: &mut Self::Buffer<f32>,
        second_moment: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// Σ x² over the first `len` elements, summed in a fixed order.
    fn sum_of_squares(&self, len: usize, x: &Self::Buffer<f32>) -> Result<f64>;
}
