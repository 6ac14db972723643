//! Launches of linear + cross-entropy, `kernels/linear_cross_entropy.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use super::product::Product;
use super::tiling::Tiling;
use crate::device::{Buffer, Memory, Real, Result};
use crate::ops::linear::{LinearShape, Weight};
use crate::ops::linear_cross_entropy::*;

/// Slices of the vocabulary at most: with few rows, two for each multiprocessor of any GPU so far.
const SLICES: usize = 256;
const FINISH_THREADS: usize = 256;
/// Elements of a strip's gradient at most, which then stays in the L2 cache, and what its columns are a
/// multiple of.
const STRIP: usize = 8 << 20;
const STRIP_COLUMNS: usize = 128;

/// Columns of a strip of the gradient by so many rows.
pub(crate) fn strip_columns(rows: usize) -> usize {
    (STRIP / rows / STRIP_COLUMNS).max(1) * STRIP_COLUMNS
}

impl<T: Real> LinearCrossEntropy for Cuda<T> {
    fn linear_cross_entropy(
        &self,
        shape: LinearShape,
        hidden: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        targets: &[u32],
        nll: &mut CudaBuffer<f32>,
        lse: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        check(shape, hidden.len(), targets)?;
        self.check_weight(OP, shape, w)?;
        check_outputs(shape, nll.len(), lse.len())?;
        if m == 0 {
            return Ok(());
        }
        let (width, tiling) = self.width(m, k);
        let slice = slice(n, &tiling);
        let slices = n.div_ceil(slice);
        let w = self.rounded(OP, shape, w)?;
        let targets = self.upload(&targets[..m])?;
        let mut partial = self.scratch::<[f32; 2]>(slices * m)?;
        let mut target_logit = self.scratch::<f32>(m)?;
        let kernel = self.kernel_in("lce_forward", width)?.input(hidden);
        let kernel = kernel.value(w.address).input(&targets);
        let kernel = kernel.output(&mut partial).output(&mut target_logit);
        let kernel = kernel.int(m)?.int(n)?.int(k)?.int(slice)?;
        let kernel = kernel.shared(tiling.shared(size_of::<T>(), size_of::<T>()));
        // SAFETY: reads are guarded by m, n and k, which the buffers were checked to hold; a block writes
        // its rows of one slice of `partial`, and a target is a column, so that its logit is written.
        unsafe { kernel.launch([m.div_ceil(tiling.m), slices, 1], tiling.threads) }?;
        let kernel = self.context.kernel("lce_finish")?.input(&partial);
        let kernel = kernel.input(&target_logit).output(nll).output(lse);
        let kernel = kernel.int(m)?.int(slices)?;
        // SAFETY: a lane a row of the m that all buffers hold.
        unsafe { kernel.launch([m.div_ceil(32), 1, 1], FINISH_THREADS) }
    }

    fn linear_cross_entropy_backward(
        &self,
        shape: LinearShape,
        hidden: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        targets: &[u32],
        lse: &CudaBuffer<f32>,
        coefficients: &[f32],
        dhidden: &mut CudaBuffer<T>,
        dw: &mut CudaBuffer<f32>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        check(shape, hidden.len(), targets)?;
        self.check_weight(OP, shape, w)?;
        GradientLengths {
            lse: lse.len(),
            coefficients: coefficients.len(),
            dhidden: dhidden.len(),
            dw: dw.len(),
        }
        .check(shape)?;
        let rows: Vec<u32> = (0..m as u32)
            .filter(|&i| coefficients[i as usize] != 0.0)
            .collect();
        if rows.is_empty() {
            if !accumulate {
                self.clear(dw, n * k)?;
            }
            return self.clear(dhidden, m * k);
        }
        let w = self.rounded(OP, shape, w)?;
        let active = self.gather(hidden, k, &rows, targets, coefficients)?;
        let gradient = self.scratch::<f32>(rows.len() * k)?;
        let columns = strip_columns(rows.len());
        let held = rows.len() * columns.min(n);
        let mut g = self.scratch::<T>(held)?;
        for first in (0..n).step_by(columns) {
            let strip = first..n.min(first + columns);
            self.strip_gradient(shape, &active, w.address, lse, &strip, &mut g)?;
            let part = (strip.start * k * size_of::<T>()) as u64;
            self.sums_nn(&Product {
                a: g.address(0),
                b: w.address + part,
                c: gradient.address(0),
                m: rows.len(),
                n: k,
                k: strip.len(),
                accumulate: first > 0,
            })?;
            self.multiply_tn(&Product {
                a: g.address(0),
                b: active.hidden.address(0),
                c: dw.address(strip.start * k),
                m: strip.len(),
                n: k,
                k: rows.len(),
                accumulate,
            })?;
        }
        let mut slots = vec![-1i32; m];
        for (slot, &row) in rows.iter().enumerate() {
            slots[row as usize] = slot as i32;
        }
        let slots = self.upload(&slots)?;
        let kernel = self.kernel("lce_scatter")?.input(&gradient).input(&slots);
        let kernel = kernel.input(&g).output(dhidden);
        // SAFETY: a block a row of `dhidden`; slots are rows of `gradient`; `g`, which nobody reads any more, is
        // dropped.
        unsafe {
            kernel
                .int(k)?
                .value(held as u64)
                .launch([m, 1, 1], row_threads(k))
        }
    }
}

/// The rows that have a coefficient.
struct Active<T> {
    count: usize,
    rows: CudaBuffer<u32>,
    hidden: CudaBuffer<T>,
    targets: CudaBuffer<u32>,
    coefficients: CudaBuffer<f32>,
}

impl<T: Real> Cuda<T> {
    /// The instance for `m` rows of `k` activations, and its tile.
    fn width(&self, m: usize, k: usize) -> (&'static str, Tiling) {
        let wide = Self::wide(&[k]);
        let tiling = Tiling::logits(size_of::<T>(), wide, m);
        let width = match (wide, tiling.name) {
            (_, "few") => "few",
            (true, _) => "wide",
            (false, _) => "any",
        };
        (width, tiling)
    }

    fn kernel_in(&self, name: &str, width: &str) -> Result<super::launch::Launch<'_>> {
        self.context.kernel(&format!("{name}_{}_{width}", T::NAME))
    }

    fn gather(
        &self,
        hidden: &CudaBuffer<T>,
        k: usize,
        rows: &[u32],
        targets: &[u32],
        coefficients: &[f32],
    ) -> Result<Active<T>> {
        let picked_targets: Vec<u32> = rows.iter().map(|&i| targets[i as usize]).collect();
        let picked: Vec<f32> = rows.iter().map(|&i| coefficients[i as usize]).collect();
        let mut active = Active {
            count: rows.len(),
            rows: self.upload(rows)?,
            hidden: self.scratch(rows.len() * k)?,
            targets: self.upload(&picked_targets)?,
            coefficients: self.upload(&picked)?,
        };
        let kernel = self.kernel("lce_gather")?.input(hidden).input(&active.rows);
        let kernel = kernel.output(&mut active.hidden).int(k)?;
        // SAFETY: a block a row of the result; `rows` are rows of `hidden`.
        unsafe { kernel.launch([rows.len(), 1, 1], row_threads(k)) }?;
        Ok(active)
    }

    /// The gradient by the logits of a strip of the vocabulary, in `g` `[rows, strip]`.
    fn strip_gradient(
        &self,
        shape: LinearShape,
        active: &Active<T>,
        w: u64,
        lse: &CudaBuffer<f32>,
        strip: &std::ops::Range<usize>,
        g: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let LinearShape { n, k, .. } = shape;
        let (width, tiling) = self.width(active.count, k);
        let kernel = self.kernel_in("lce_gradient", width)?;
        let kernel = kernel.input(&active.hidden).value(w);
        let kernel = kernel.input(&active.targets).input(&active.rows).input(lse);
        let kernel = kernel.input(&active.coefficients).output(g);
        let kernel = kernel.int(active.count)?.int(n)?.int(k)?;
        let kernel = kernel.int(strip.start)?.int(strip.len())?;
        let kernel = kernel.shared(tiling.shared(size_of::<T>(), size_of::<T>()));
        let blocks = tiling.blocks(active.count, strip.len());
        // SAFETY: reads are guarded by the rows, n and k; `rows` are rows of `lse`; `g` holds a strip.
        unsafe { kernel.launch([blocks, 1, 1], tiling.threads) }
    }
}

/// Columns of the vocabulary that a block of the forward walks through: whole tiles, which are as wide for any
/// number of rows, so that a row's bits depend on neither.
fn slice(n: usize, tiling: &Tiling) -> usize {
    n.div_ceil(SLICES).next_multiple_of(tiling.n)
}

/// Threads for a row of `k` elements, one after the other.
fn row_threads(k: usize) -> usize {
    k.next_multiple_of(32).clamp(32, 256)
}
