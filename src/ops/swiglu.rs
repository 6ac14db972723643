//! SwiGLU: `out = silu(gate) · up`, `silu(x) = x / (1 + e^-x)` (Shazeer, arXiv 2002.05202).

use crate::device::{Memory, Result};

/// The SwiGLU op. A row of `gate_up` is `intermediate` gates, then `intermediate` ups.
pub trait SwiGlu: Memory {
    /// `out[rows, intermediate]` from `gate_up[rows, 2·intermediate]`.
    fn swiglu(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// `dgate_up[rows, 2·intermediate]` from `dout` and the forward's `gate_up`.
    fn swiglu_backward(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Self::Buffer<f32>,
        dout: &Self::Buffer<f32>,
        dgate_up: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
