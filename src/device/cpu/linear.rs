//! Linear on the CPU: packed panels for inference, a general product for training.

use super::gemm::{Lanes, PackedMatrix, View, gemm, multiply_packed};
use super::swiglu::activate;
use super::{Cpu, at_least};
use crate::device::Result;
use crate::ops::linear::*;
use std::cell::RefCell;

/// Rows whose gates and ups are in memory at a time: so many that reading the weights again for others costs little,
/// and so few that the activation finds what the product has left in a cache. 96 and 512 take as long within
/// what timings differ by (`benches/linear.rs`).
const GATED_ROWS: usize = 192;

thread_local! {
    /// Gates and ups, kept between products.
    static GATE_UP: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Linear for Cpu {
    type Packed = PackedMatrix;

    fn training_format(&self) -> WeightFormat {
        match Lanes::for_training(self.isa, self.multiply) {
            Lanes::Bf16 => WeightFormat::Bf16,
            _ => WeightFormat::F32,
        }
    }

    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<PackedMatrix> {
        at_least("pack", "weight", w.len(), n * k)?;
        Ok(PackedMatrix::new(self.isa, w, n, k, format))
    }

    fn repack(&self, w: &Vec<f32>, packed: &mut PackedMatrix) -> Result<()> {
        at_least("repack", "weight", w.len(), packed.n() * packed.k())?;
        packed.fill(self.isa, w);
        Ok(())
    }

    fn linear(
        &self,
        shape: LinearShape,
        x: &Vec<f32>,
        w: Weight<'_, Self>,
        bias: Option<&Vec<f32>>,
        y: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        shape.check("linear", x.len(), bias.map(Vec::len), y.len())?;
        check_factor("linear", shape, w)?;
        self.product(shape, x, w, bias, y, accumulate);
        Ok(())
    }

    fn linear_swiglu(
        &self,
        shape: LinearShape,
        x: &Vec<f32>,
        w: Weight<'_, Self>,
        bias: Option<&Vec<f32>>,
        y: &mut Vec<f32>,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        shape.check_swiglu(x.len(), bias.map(Vec::len), y.len())?;
        check_factor("linear_swiglu", shape.gate_up(), w)?;
        GATE_UP.with_borrow_mut(|gate_up| {
            for start in (0..m).step_by(GATED_ROWS) {
                let rows = GATED_ROWS.min(m - start);
                let part = LinearShape { m: rows, ..shape };
                gate_up.resize(gate_up.len().max(2 * rows * n), 0.0);
                self.product(part.gate_up(), &x[start * k..], w, bias, gate_up, false);
                activate(self.isa, n, gate_up, &mut y[start * n..][..rows * n]);
            }
        });
        Ok(())
    }

    fn logits(
        &self,
        shape: LinearShape,
        x: &Vec<f32>,
        w: Weight<'_, Self>,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        self.linear(shape, x, w, None, logits, false)
    }

    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &Vec<f32>,
        w: Weight<'_, Self>,
        dx: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        shape.check_backward_input(dy.len(), dx.len())?;
        let w = w.master("linear_backward_input", shape)?;
        let (dy, w) = (View::new(dy, m, n), View::new(w, n, k));
        gemm(self.isa, self.multiply, dy, w, dx, k, accumulate);
        Ok(())
    }

    fn linear_backward_weight(
        &self,
        shape: LinearShape,
        dy: &Vec<f32>,
        x: &Vec<f32>,
        dw: &mut Vec<f32>,
        dbias: Option<&mut Vec<f32>>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        let bias = dbias.as_ref().map(|dbias| dbias.len());
        shape.check_backward_weight(dy.len(), x.len(), dw.len(), bias)?;
        let (rows, x) = (View::new(dy, m, n), View::new(x, m, k));
        gemm(self.isa, self.multiply, rows.t(), x, dw, k, accumulate);
        if let Some(dbias) = dbias {
            if !accumulate {
                dbias[..n].fill(0.0);
            }
            for row in dy[..m * n].chunks_exact(n.max(1)) {
                dbias.iter_mut().zip(row).for_each(|(b, d)| *b += d);
            }
        }
        Ok(())
    }
}

/// Checks a weight's shape for `op`.
pub(super) fn check_factor(op: &'static str, shape: LinearShape, w: Weight<'_, Cpu>) -> Result<()> {
    match w {
        Weight::Master(w) => shape.check_weight(op, w.len()),
        Weight::Packed(w) => shape.check_packed(op, w.n(), w.k()),
    }
}

impl Cpu {
    /// `y = x · wᵀ + bias`, or on top of what is there, of slices that were checked.
    fn product(
        &self,
        LinearShape { m, n, k }: LinearShape,
        x: &[f32],
        w: Weight<'_, Self>,
        bias: Option<&Vec<f32>>,
        y: &mut [f32],
        accumulate: bool,
    ) {
        match w {
            Weight::Master(w) => {
                let (x, w) = (View::new(x, m, k), View::new(w, n, k).t());
                gemm(self.isa, self.multiply, x, w, y, n, accumulate);
            }
            Weight::Packed(w) => multiply_packed(self.isa, x, m, w, y, accumulate),
        }
        if let Some(bias) = bias {
            for row in y[..m * n].chunks_exact_mut(n.max(1)) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
    }
}
