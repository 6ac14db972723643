//! SwiGLU and its backward.
//!
//! Tolerance. Six roundings of the output, ten and eight of the gradients' terms: of the exponential, the sum, the
//! quotient and the products.

use super::{limits, normals, to_bf16, wide};
use crate::device::{Device, Result};
use crate::ops::philox::PhiloxStream;
use crate::ops::swiglu::reference;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;
/// Below this an exponential may come out as 0.
const TINY: f64 = 2e-38;

/// The contract of `swiglu`.
pub struct SwiGluContract;

/// Rows of activations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SwiGluShape {
    pub rows: usize,
    pub intermediate: usize,
}

impl Contract for SwiGluContract {
    type Shape = SwiGluShape;
    const OP: &'static str = "swiglu";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> SwiGluShape {
        let (rows, intermediate) = match draw {
            // SmolLM2-135M.
            Draw::Counted => (32, 1536),
            Draw::Model => (3, 1536),
            Draw::Smallest => (1, 1),
            _ => (
                1 + random.below(20),
                [1 + random.below(70), 500 + random.below(400)][random.below(2)],
            ),
        };
        SwiGluShape { rows, intermediate }
    }

    fn limits(s: &SwiGluShape) -> std::result::Result<(), String> {
        limits::sizes(
            &[("rows", s.rows), ("intermediate", s.intermediate)],
            &[&[2, s.rows, s.intermediate]],
        )
    }

    fn costs(s: &SwiGluShape, _: u64, real: usize) -> Vec<Cost> {
        let n = s.rows * s.intermediate;
        vec![
            Cost::new("swiglu", 3 * n * real, 5 * n),
            Cost::new("swiglu_backward", 5 * n * real, 11 * n),
        ]
    }

    fn run<D: Device>(
        s: &SwiGluShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let (n, len) = (s.intermediate, s.rows * s.intermediate);
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        let bytes = |kernel| Cost::bytes_of(kernel, &costs);
        let mut gate_up = normals(draw, seed, 0, 2 * len);
        if draw == Draw::Any {
            // Gates up to where the exponential leaves f32's range, both signs.
            let scale = 60.0 * PhiloxStream::new(seed, 2).uniform();
            for row in gate_up.chunks_exact_mut(2 * n) {
                row[..n].iter_mut().for_each(|g| *g = to_bf16(*g * scale));
            }
        }
        let dout = normals(Draw::Any, seed, 1, len);
        let wide_gate_up = wide(&gate_up);

        let gate_up_in = probe.reals("gate_up", &gate_up)?;
        let mut out = probe.new_reals(len)?;
        probe.call("swiglu", bytes("swiglu"), |device| {
            device.swiglu(s.rows, n, &gate_up_in, &mut out)
        })?;
        let want = reference::swiglu(n, &wide_gate_up);
        let error = (0..len).map(|i| {
            let at = i / n * 2 * n + i % n;
            let product = wide_gate_up[at] * wide_gate_up[at + n];
            // An exponential of 2 ulp and four roundings.
            6.0 * ULP * want[i].abs() + TINY * product.abs()
        });
        let error = error.collect();
        probe.take_reals("out", &out, want, error)?;

        let dout_in = probe.reals("dout", &dout)?;
        let mut dgate_up = probe.new_reals(2 * len)?;
        probe.call("swiglu_backward", bytes("swiglu_backward"), |device| {
            device.swiglu_backward(s.rows, n, &gate_up_in, &dout_in, &mut dgate_up)
        })?;
        let want = reference::swiglu_backward(n, &wide_gate_up, &wide(&dout));
        let error = gradient_errors(n, &gate_up, &dout);
        probe.take_reals("dgate_up", &dgate_up, want, error)
    }
}

/// Bounds of the errors of SwiGLU's gradients. Of a gate's gradient the terms, not the sum: it crosses
/// zero.
pub fn gradient_errors(intermediate: usize, gate_up: &[f32], dout: &[f32]) -> Vec<f64> {
    let n = intermediate;
    let mut errors = Vec::new();
    for (row, dout) in gate_up.chunks_exact(2 * n).zip(dout.chunks_exact(n)) {
        let (gate, up) = row.split_at(n);
        let (gate, up, dout) = (wide(gate), wide(up), wide(dout));
        let sigmoid = |g: f64| 1.0 / (1.0 + (-g).exp());
        errors.extend((0..n).map(|j| {
            let (g, s) = (gate[j].abs(), sigmoid(gate[j]));
            (dout[j] * up[j]).abs() * (10.0 * ULP * s * (1.0 + g) + TINY * (1.0 + g))
        }));
        errors.extend((0..n).map(|j| {
            let (g, s) = (gate[j].abs(), sigmoid(gate[j]));
            dout[j].abs() * g * (8.0 * ULP * s + TINY)
        }));
    }
    errors
}
