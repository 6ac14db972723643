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

/// Plain f64 implementation.
pub mod reference {
    use super::AdamWStep;

    /// Updates parameter and moments in place.
    pub fn adamw(s: &AdamWStep, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64]) {
        let [lr, b1, b2, eps, decay, scale] = [
            s.learning_rate,
            s.beta1,
            s.beta2,
            s.eps,
            s.weight_decay,
            s.gradient_scale,
        ]
        .map(f64::from);
        for i in 0..p.len() {
            let g = scale * g[i];
            m[i] = b1 * m[i] + (1.0 - b1) * g;
            v[i] = b2 * v[i] + (1.0 - b2) * g * g;
            let m_hat = m[i] / (1.0 - b1.powf(f64::from(s.step)));
            let v_hat = v[i] / (1.0 - b2.powf(f64::from(s.step)));
            p[i] -= lr * (m_hat / (v_hat.sqrt() + eps) + decay * p[i]);
        }
    }
}
