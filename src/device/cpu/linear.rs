//! linear on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::linear::*;

impl Linear for Cpu {
    type Packed = gemm::PackedMatrix;
    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<Self::Packed> {
        let _ = format;
        Ok(gemm::PackedMatrix {
            data: w[..n * k].to_vec(),
            k,
        })
    }
    #[allow(clippy::too_many_arguments)]
    fn linear(
        &self,
        shape: LinearShape,
        x: &Vec<f32>,
        w: Weight<'_, Self>,
        bias: Option<&Vec<f32>>,
        y: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        let (rows, k) = (
            match w {
                Weight::Master(b) => &b[..],
                Weight::Packed(p) => &p.data[..],
            },
            shape.k,
        );
        let a = gemm::View::new(&x[..shape.m * k], shape.m, k);
        gemm::gemm(
            self.isa,
            self.multiply,
            a,
            gemm::View::new(&rows[..shape.n * k], shape.n, k).t(),
            y,
            shape.n,
            accumulate,
        );
        if let Some(b) = bias {
            for i in 0..shape.m {
                for j in 0..shape.n {
                    y[i * shape.n + j] += b[j];
                }
            }
        }
        Ok(())
    }
    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &Vec<f32>,
        w: &Vec<f32>,
        dx: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        gemm::gemm(
            self.isa,
            self.multiply,
            gemm::View::new(dy, shape.m, shape.n),
            gemm::View::new(w, shape.n, shape.k),
            dx,
            shape.k,
            accumulate,
        );
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
        gemm::gemm(
            self.isa,
            self.multiply,
            gemm::View::new(dy, shape.m, shape.n).t(),
            gemm::View::new(x, shape.m, shape.k),
            dw,
            shape.k,
            true,
        );
        if let Some(b) = dbias {
            for i in 0..shape.m {
                for j in 0..shape.n {
                    b[j] += dy[i * shape.n + j];
                }
            }
        }
        Ok(())
    }
}
