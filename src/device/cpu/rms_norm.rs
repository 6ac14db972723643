//! RMSNorm on the CPU: one pass a row, rows spread over the threads.

use super::Cpu;
use super::parallel::{self, Rows};
use super::reduce::{dot_lanes, sum_of};
use crate::device::{Result, at_least};
use crate::ops::rms_norm::*;
use crate::per_isa;

/// Rows whose weight gradients are summed before they join the others: fixed, so that results do not
/// depend on the threads.
const ROWS: usize = 32;

impl RmsNorm for Cpu {
    fn rms_norm(&self, s: NormShape, x: &Vec<f32>, w: &Vec<f32>, y: &mut Vec<f32>) -> Result<()> {
        let len = s.check("rms_norm", x.len(), w.len())?;
        at_least("rms_norm", "y", y.len(), len)?;
        let per = parallel::rows_per_task(s.dim) * s.dim;
        let y = Rows::new(&mut y[..len], per);
        parallel::run(y.count(), |i| {
            let y = y.take(i);
            forward(self.isa, s, &x[i * per..][..y.len()], w, y);
        });
        Ok(())
    }

    fn add_rms_norm(
        &self,
        s: NormShape,
        x: &Vec<f32>,
        delta: &Vec<f32>,
        w: &Vec<f32>,
        sum: &mut Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Result<()> {
        let len = s.check("add_rms_norm", x.len(), w.len())?;
        at_least("add_rms_norm", "delta", delta.len(), len)?;
        at_least("add_rms_norm", "sum", sum.len(), len)?;
        at_least("add_rms_norm", "y", y.len(), len)?;
        let per = parallel::rows_per_task(s.dim) * s.dim;
        let (sum, y) = (
            Rows::new(&mut sum[..len], per),
            Rows::new(&mut y[..len], per),
        );
        parallel::run(y.count(), |i| {
            let (sum, y) = (sum.take(i), y.take(i));
            let range = i * per..i * per + y.len();
            add_forward(self.isa, s, &x[range.clone()], &delta[range], w, sum, y);
        });
        Ok(())
    }

    fn rms_norm_backward(
        &self,
        s: NormShape,
        x: &Vec<f32>,
        w: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        dw: &mut Vec<f32>,
    ) -> Result<()> {
        let len = s.check("rms_norm_backward", x.len(), w.len())?;
        at_least("rms_norm_backward", "dy", dy.len(), len)?;
        at_least("rms_norm_backward", "dx", dx.len(), len)?;
        at_least("rms_norm_backward", "dw", dw.len(), s.dim)?;
        let dx = Rows::new(&mut dx[..len], ROWS * s.dim);
        let mut sums = vec![0.0; dx.count() * s.dim];
        let parts = Rows::new(&mut sums, s.dim);
        parallel::run(parts.count(), |i| {
            let (dx, dw) = (dx.take(i), parts.take(i));
            let range = i * ROWS * s.dim..i * ROWS * s.dim + dx.len();
            backward(self.isa, s, &x[range.clone()], w, &dy[range], dx, dw);
        });
        for part in sums.chunks_exact(s.dim) {
            dw.iter_mut().zip(part).for_each(|(d, p)| *d += p);
        }
        Ok(())
    }
}

/// `1 / sqrt(mean(x²) + eps)`.
#[inline(always)]
pub(super) fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot_lanes(x, x) / x.len() as f32 + eps).sqrt()
}

/// One row of the backward: `dx` from `dx_before + …`, and `dw += …`.
#[inline(always)]
pub(super) fn backward_row(
    eps: f32,
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    mut put: impl FnMut(usize, f32),
) {
    let inverse = inverse_rms(x, eps);
    let dot = sum_of(x.len(), |j| dy[j] * w[j] * x[j]);
    let back = dot * inverse * inverse * inverse / x.len() as f32;
    for (j, (((x, w), dy), dw)) in x.iter().zip(w).zip(dy).zip(dw).enumerate() {
        put(j, dy * w * inverse - back * x);
        *dw += dy * x * inverse;
    }
}

per_isa! {
    fn forward(s: NormShape, x: &[f32], w: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(s.dim).zip(y.chunks_exact_mut(s.dim)) {
            let inverse = inverse_rms(x, s.eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * inverse * w;
            }
        }
    }
}

per_isa! {
    fn add_forward(
        s: NormShape,
        x: &[f32],
        delta: &[f32],
        w: &[f32],
        sum: &mut [f32],
        y: &mut [f32],
    ) {
        let inputs = x.chunks_exact(s.dim).zip(delta.chunks_exact(s.dim));
        let outputs = sum.chunks_exact_mut(s.dim).zip(y.chunks_exact_mut(s.dim));
        for ((x, delta), (sum, y)) in inputs.zip(outputs) {
            for ((sum, x), delta) in sum.iter_mut().zip(x).zip(delta) {
                *sum = x + delta;
            }
            let inverse = inverse_rms(sum, s.eps);
            for ((y, x), w) in y.iter_mut().zip(&*sum).zip(w) {
                *y = x * inverse * w;
            }
        }
    }
}

per_isa! {
    fn backward(
        s: NormShape,
        x: &[f32],
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dw: &mut [f32],
    ) {
        let rows = x.chunks_exact(s.dim).zip(dy.chunks_exact(s.dim));
        for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(s.dim)) {
            backward_row(s.eps, x, w, dy, dw, |j, value| dx[j] += value);
        }
    }
}
