//! Linear on the CPU: packed panels for inference, a general product for training.

use super::gemm::{Lanes, PackedMatrix, View, gemm, multiply_packed};
use super::{Cpu, at_least};
use crate::device::Result;
use crate::ops::linear::*;

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
        let LinearShape { m, n, k } = shape;
        shape.check("linear", x.len(), bias.map(Vec::len), y.len())?;
        match w {
            Weight::Master(w) => {
                shape.check_weight("linear", w.len())?;
                let (x, w) = (View::new(x, m, k), View::new(w, n, k).t());
                gemm(self.isa, self.multiply, x, w, y, n, accumulate);
            }
            Weight::Packed(w) => {
                shape.check_packed("linear", w.n(), w.k())?;
                multiply_packed(self.isa, x, m, w, y, accumulate);
            }
        }
        if let Some(bias) = bias {
            for row in y[..m * n].chunks_exact_mut(n.max(1)) {
                row.iter_mut().zip(&**bias).for_each(|(y, b)| *y += b);
            }
        }
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
        w: &Vec<f32>,
        dx: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        shape.check_backward_input(dy.len(), w.len(), dx.len())?;
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
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        let bias = dbias.as_ref().map(|dbias| dbias.len());
        shape.check_backward_weight(dy.len(), x.len(), dw.len(), bias)?;
        let (rows, x) = (View::new(dy, m, n), View::new(x, m, k));
        gemm(self.isa, self.multiply, rows.t(), x, dw, k, true);
        if let Some(dbias) = dbias {
            for row in dy[..m * n].chunks_exact(n.max(1)) {
                dbias.iter_mut().zip(row).for_each(|(b, d)| *b += d);
            }
        }
        Ok(())
    }
}
