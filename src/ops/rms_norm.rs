//! RMSNorm: `y = x / sqrt(mean(x²) + eps) · w` over each row (Zhang & Sennrich, arXiv 1910.07467).

use crate::device::{Memory, Result};

/// Rows and width of a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    pub rows: usize,
    pub dim: usize,
    pub eps: f32,
}

/// The RMSNorm op, plain and fused with the residual addition.
pub trait RmsNorm: Memory {
    /// `y[rows,dim] = rms_norm(x[rows,dim]) · w[dim]`.
    fn rms_norm(
        &self,
        shape: NormShape,
        x: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// `sum = x + delta; y = rms_norm(sum) · w`, in one pass.
    fn add_rms_norm(
        &self,
        shape: NormShape,
        x: &Self::Buffer<f32>,
        delta: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        sum: &mut Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// `dx += ∂/∂x`, `dw += ∂/∂w` of [`RmsNorm::rms_norm`] at `x`. (`dx` accumulates because a
    /// residual stream's gradient also flows around the norm.)
    fn rms_norm_backward(
        &self,
        shape: NormShape,
        x: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        dy: &Self::Buffer<f32>,
        dx: &mut Self::Buffer<f32>,
        dw: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
