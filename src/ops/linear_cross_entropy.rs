//! Linear + cross-entropy over the vocabulary, fused: no logits matrix in memory.
//!
//! `nll[i] = logsumexp_v(h_i·w_v) − h_i·w_{target_i}`; tiles of the vocabulary stream through a
//! running log-sum-exp (as in Liger-Kernel and Cut Cross-Entropy, arXiv 2411.09009). `−nll` is the
//! log-probability of the target, which the reinforcement stage needs.
//!
//! Tolerance: a logit is off by at most `k` roundings of `Σ|h·w|` (of the product's precision), `nll`
//! and `lse` by twice that and a few f32 roundings of `lse`; gradients by the same relative to
//! `Σ|coefficient|`.

use super::linear::{Linear, LinearShape, Weight};
use crate::device::{DeviceError, Result, at_least};

/// The fused op. 2·m·n·k flops forward, three times that backward (the tile is recomputed).
pub trait LinearCrossEntropy: Linear {
    /// Shapes: `hidden[m,k]`, `w[n,k]` with `n` the vocabulary, `targets[m]`, `nll[m]`, `lse[m]`.
    ///
    /// # Errors
    /// A target outside the vocabulary, a buffer that is too short, and a packed weight that is not a
    /// [training copy](Linear::training_copy).
    fn linear_cross_entropy(
        &self,
        shape: LinearShape,
        hidden: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        targets: &[u32],
        nll: &mut Self::Buffer<f32>,
        lse: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// Gradient of `Σ_i coefficients[i] · nll[i]`: writes `dhidden[m,k]` and `dw[n,k]`, which is added to
    /// with `accumulate`. Rows with
    /// coefficient 0 get a zero gradient, cost nothing and may hold anything.
    #[allow(clippy::too_many_arguments)]
    fn linear_cross_entropy_backward(
        &self,
        shape: LinearShape,
        hidden: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        targets: &[u32],
        lse: &Self::Buffer<f32>,
        coefficients: &[f32],
        dhidden: &mut Self::Buffer<Self::Real>,
        dw: &mut Self::Buffer<f32>,
        accumulate: bool,
    ) -> Result<()>;
}

/// What errors call the op.
pub const OP: &str = "linear_cross_entropy";

/// Lengths of the gradient's buffers.
pub struct GradientLengths {
    pub lse: usize,
    pub coefficients: usize,
    pub dhidden: usize,
    pub dw: usize,
}

impl GradientLengths {
    /// Checks them.
    pub fn check(&self, shape: LinearShape) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        at_least(OP, "lse", self.lse, m)?;
        at_least(OP, "coefficients", self.coefficients, m)?;
        at_least(OP, "dhidden", self.dhidden, m * k)?;
        at_least(OP, "dw", self.dw, n * k)
    }
}

/// Checks the lengths of `nll` and `lse`.
pub fn check_outputs(shape: LinearShape, nll: usize, lse: usize) -> Result<()> {
    at_least(OP, "nll", nll, shape.m)?;
    at_least(OP, "lse", lse, shape.m)
}

/// Checks the lengths of `hidden` and `targets`, and that every target is in the vocabulary.
pub fn check(shape: LinearShape, hidden: usize, targets: &[u32]) -> Result<()> {
    at_least(OP, "hidden", hidden, shape.m * shape.k)?;
    at_least(OP, "targets", targets.len(), shape.m)?;
    let outside = targets[..shape.m].iter().find(|&&t| t as usize >= shape.n);
    outside.map_or(Ok(()), |t| {
        Err(DeviceError::Argument {
            op: OP,
            message: format!("target {t} is outside the vocabulary of {}", shape.n),
        })
    })
}

/// Plain f64 implementation.
pub mod reference {
    use crate::ops::linear::{LinearShape, reference as linear};

    /// `(nll[m], lse[m])`.
    pub fn linear_cross_entropy(
        s: LinearShape,
        hidden: &[f64],
        w: &[f64],
        targets: &[u32],
    ) -> (Vec<f64>, Vec<f64>) {
        let logits = linear::linear(s, hidden, w, None);
        let row = |i: usize| &logits[i * s.n..(i + 1) * s.n];
        let lse: Vec<f64> = (0..s.m).map(|i| log_sum_exp(row(i))).collect();
        let nll = (0..s.m).map(|i| lse[i] - row(i)[targets[i] as usize]);
        (nll.collect(), lse)
    }

    /// `(dhidden[m,k], dw[n,k])` of `Σ coefficients · nll`.
    pub fn linear_cross_entropy_backward(
        s: LinearShape,
        hidden: &[f64],
        w: &[f64],
        targets: &[u32],
        coefficients: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        let mut gradient = linear::linear(s, hidden, w, None);
        for i in 0..s.m {
            let row = &mut gradient[i * s.n..(i + 1) * s.n];
            let lse = log_sum_exp(row);
            for x in row.iter_mut() {
                *x = coefficients[i] * (*x - lse).exp();
            }
            row[targets[i] as usize] -= coefficients[i];
        }
        let (dhidden, dw, _) = linear::linear_backward(s, hidden, w, &gradient);
        (dhidden, dw)
    }

    /// `ln Σ exp x`, safe for large `x`.
    pub fn log_sum_exp(x: &[f64]) -> f64 {
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        max + x.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
    }
}
