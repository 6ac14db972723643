//! RMSNorm: `y = x / sqrt(mean(x²) + eps) · w` over each row (Zhang & Sennrich, arXiv 1910.07467).

use crate::device::{DeviceError, Memory, Result, at_least};
use serde::{Deserialize, Serialize};

/// Rows and width of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormShape {
    pub rows: usize,
    pub dim: usize,
    pub eps: f32,
}

impl NormShape {
    /// Checks the lengths of the rows and of the weight for `op`; returns the number of elements.
    pub fn check(self, op: &'static str, x: usize, w: usize) -> Result<usize> {
        if self.dim == 0 {
            let message = "rows of no elements have no norm".to_owned();
            return Err(DeviceError::Argument { op, message });
        }
        let len = self.rows * self.dim;
        at_least(op, "x", x, len)?;
        at_least(op, "weight", w, self.dim)?;
        Ok(len)
    }
}

/// The RMSNorm op, plain and fused with the residual addition.
pub trait RmsNorm: Memory {
    /// `y[rows,dim] = rms_norm(x[rows,dim]) · w[dim]`. Moves `2 · rows · dim` floats.
    ///
    /// # Errors
    /// A width of 0; a buffer that is too short.
    fn rms_norm(
        &self,
        shape: NormShape,
        x: &Self::Buffer<Self::Real>,
        w: &Self::Buffer<f32>,
        y: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// `sum = x + delta; y = rms_norm(sum) · w`, in one pass.
    fn add_rms_norm(
        &self,
        shape: NormShape,
        x: &Self::Buffer<Self::Real>,
        delta: &Self::Buffer<Self::Real>,
        w: &Self::Buffer<f32>,
        sum: &mut Self::Buffer<Self::Real>,
        y: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// `dx += ∂/∂x`, `dw += ∂/∂w` of [`RmsNorm::rms_norm`] at `x`. (`dx` accumulates because a
    /// residual stream's gradient also flows around the norm.)
    fn rms_norm_backward(
        &self,
        shape: NormShape,
        x: &Self::Buffer<Self::Real>,
        w: &Self::Buffer<f32>,
        dy: &Self::Buffer<Self::Real>,
        dx: &mut Self::Buffer<Self::Real>,
        dw: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::NormShape;

    fn inverse(s: NormShape, x: &[f64]) -> f64 {
        let square: f64 = x.iter().map(|v| v * v).sum();
        (square / s.dim as f64 + f64::from(s.eps)).sqrt().recip()
    }

    /// `y[rows, dim]`.
    pub fn rms_norm(s: NormShape, x: &[f64], w: &[f64]) -> Vec<f64> {
        let rows = x.chunks_exact(s.dim).take(s.rows);
        rows.flat_map(|x| {
            let inverse = inverse(s, x);
            x.iter().zip(w).map(move |(x, w)| x * inverse * w)
        })
        .collect()
    }

    /// `(dx[rows, dim], dw[dim])` of `Σ dy · y`. With `r = 1/rms(x)`:
    /// `dx = r·w·dy − x · r³ · Σ(w·dy·x) / dim`.
    pub fn rms_norm_backward(
        s: NormShape,
        x: &[f64],
        w: &[f64],
        dy: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        let (mut dx, mut dw) = (Vec::new(), vec![0.0; s.dim]);
        let rows = x.chunks_exact(s.dim).zip(dy.chunks_exact(s.dim));
        for (x, dy) in rows.take(s.rows) {
            let r = inverse(s, x);
            let dot: f64 = (0..s.dim).map(|j| w[j] * dy[j] * x[j]).sum();
            let back = dot * r.powi(3) / s.dim as f64;
            dx.extend((0..s.dim).map(|j| r * w[j] * dy[j] - back * x[j]));
            for j in 0..s.dim {
                dw[j] += dy[j] * x[j] * r;
            }
        }
        (dx, dw)
    }
}
