//! SwiGLU: `out = silu(gate) · up`, `silu(x) = x / (1 + e^-x)` (Shazeer, arXiv 2002.05202).

use crate::device::{Memory, Result, at_least};

/// The SwiGLU op. A row of `gate_up` is `intermediate` gates, then `intermediate` ups.
pub trait SwiGlu: Memory {
    /// `out[rows, intermediate]` from `gate_up[rows, 2·intermediate]`. Moves
    /// `3 · rows · intermediate` floats.
    ///
    /// # Errors
    /// A buffer that is too short.
    fn swiglu(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Self::Buffer<Self::Real>,
        out: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// `dgate_up[rows, 2·intermediate]` from `dout` and the forward's `gate_up`.
    fn swiglu_backward(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Self::Buffer<Self::Real>,
        dout: &Self::Buffer<Self::Real>,
        dgate_up: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;
}

/// Checks the lengths of `gate_up` and `out` for `len` activations.
pub fn check(len: usize, gate_up: usize, out: usize) -> Result<()> {
    at_least("swiglu", "gate_up", gate_up, 2 * len)?;
    at_least("swiglu", "out", out, len)
}

/// Checks the lengths of the backward's buffers for `len` activations.
pub fn check_backward(len: usize, gate_up: usize, dout: usize, dgate_up: usize) -> Result<()> {
    const OP: &str = "swiglu_backward";
    at_least(OP, "gate_up", gate_up, 2 * len)?;
    at_least(OP, "dout", dout, len)?;
    at_least(OP, "dgate_up", dgate_up, 2 * len)
}

/// Plain f64 implementation.
pub mod reference {
    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// `out[rows, intermediate]`.
    pub fn swiglu(intermediate: usize, gate_up: &[f64]) -> Vec<f64> {
        let rows = gate_up.chunks_exact(2 * intermediate.max(1));
        rows.flat_map(|row| {
            let (gate, up) = row.split_at(intermediate);
            gate.iter().zip(up).map(|(g, u)| g * sigmoid(*g) * u)
        })
        .collect()
    }

    /// `dgate_up[rows, 2·intermediate]` of `Σ dout · out`.
    pub fn swiglu_backward(intermediate: usize, gate_up: &[f64], dout: &[f64]) -> Vec<f64> {
        let mut dgate_up = Vec::with_capacity(gate_up.len());
        let rows = gate_up.chunks_exact(2 * intermediate.max(1));
        for (row, dout) in rows.zip(dout.chunks_exact(intermediate.max(1))) {
            let (gate, up) = row.split_at(intermediate);
            dgate_up.extend((0..intermediate).map(|j| {
                let s = sigmoid(gate[j]);
                dout[j] * up[j] * s * (1.0 + gate[j] * (1.0 - s))
            }));
            dgate_up.extend((0..intermediate).map(|j| dout[j] * gate[j] * sigmoid(gate[j])));
        }
        dgate_up
    }
}
