//! Launches of the products with weights, `kernels/linear.cu`, and with quantised ones,
//! `kernels/linear_int8.cu` and `kernels/linear_int4.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use super::product::{Kind, Product};
use super::tiling::Tiling;
use super::weight::{CudaWeight, Rows};
use crate::device::{Buffer, Memory, Real, Result};
use crate::ops::linear::*;
use crate::ops::swiglu::SwiGlu;
use cudarc::driver::sys::CUdeviceptr;

/// Rows of `dy` whose sums make one part of a bias's gradient.
const BIAS_ROWS: usize = 256;

impl<T: Real> Linear for Cuda<T> {
    type Packed = CudaWeight;

    fn training_format(&self) -> WeightFormat {
        match size_of::<T>() {
            2 => WeightFormat::Bf16,
            _ => WeightFormat::F32,
        }
    }

    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<CudaWeight> {
        self.packed_weight(w, n, k, format, false)
    }

    fn repack(&self, w: &CudaBuffer<f32>, packed: &mut CudaWeight) -> Result<()> {
        self.fill_weight(w, packed)
    }

    fn training_copy(&self, n: usize, k: usize) -> Result<Option<CudaWeight>> {
        match self.training_format() {
            WeightFormat::F32 => Ok(None),
            format => self.empty_weight(n, k, format, false).map(Some),
        }
    }

    fn linear(
        &self,
        shape: LinearShape,
        x: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        bias: Option<&CudaBuffer<f32>>,
        y: &mut CudaBuffer<T>,
        accumulate: bool,
    ) -> Result<()> {
        shape.check("linear", x.len(), bias.map(Buffer::len), y.len())?;
        let bias = bias.map_or(0, |bias| bias.address(0));
        self.forward(Kind::Linear, shape, x, w, bias, y.address(0), accumulate)
    }

    fn linear_swiglu(
        &self,
        shape: LinearShape,
        x: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        bias: Option<&CudaBuffer<f32>>,
        y: &mut CudaBuffer<T>,
    ) -> Result<()> {
        shape.check_swiglu(x.len(), bias.map(Buffer::len), y.len())?;
        let both = shape.gate_up();
        self.check_weight("linear_swiglu", both, w)?;
        if is_gated::<T>(w) {
            let bias = bias.map_or(0, |bias| bias.address(0));
            return self.forward(Kind::Gated, both, x, w, bias, y.address(0), false);
        }
        let LinearShape { m, n, .. } = shape;
        let mut gate_up = self.scratch(2 * m * n)?;
        self.linear(both, x, w, bias, &mut gate_up, false)?;
        self.swiglu(m, n, &gate_up, y)
    }

    fn logits(
        &self,
        shape: LinearShape,
        x: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        logits: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        shape.check("linear", x.len(), None, logits.len())?;
        let kind = match size_of::<T>() {
            2 => Kind::Logits,
            _ => Kind::Linear,
        };
        self.forward(kind, shape, x, w, 0, logits.address(0), false)
    }

    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        dx: &mut CudaBuffer<T>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        shape.check_backward_input(dy.len(), dx.len())?;
        let w = self.rounded("linear_backward_input", shape, w)?;
        let product = Product {
            a: dy.address(0),
            b: w.address,
            c: dx.address(0),
            m,
            n: k,
            k: n,
            accumulate,
        };
        self.multiply_nn(&product)
    }

    fn linear_backward_weight(
        &self,
        shape: LinearShape,
        dy: &CudaBuffer<T>,
        x: &CudaBuffer<T>,
        dw: &mut CudaBuffer<f32>,
        dbias: Option<&mut CudaBuffer<f32>>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        let bias = dbias.as_ref().map(|dbias| dbias.len());
        shape.check_backward_weight(dy.len(), x.len(), dw.len(), bias)?;
        let product = Product {
            a: dy.address(0),
            b: x.address(0),
            c: dw.address(0),
            m: n,
            n: k,
            k: m,
            accumulate,
        };
        self.multiply_tn(&product)?;
        let Some(dbias) = dbias else {
            return Ok(());
        };
        if !accumulate {
            self.clear(dbias, n)?;
        }
        let parts = m.div_ceil(BIAS_ROWS);
        let mut partials = self.scratch::<f32>(parts * n)?;
        let kernel = self.kernel("row_sums")?.input(dy).output(&mut partials);
        let kernel = kernel.int(m)?.int(n)?.int(BIAS_ROWS)?;
        // SAFETY: a block stays in its rows of `dy[m, n]` and in its row of `partials[parts, n]`.
        unsafe { kernel.launch([n.div_ceil(32), parts, 1], 256) }?;
        self.column_sums(parts, n, &partials, dbias)
    }
}

/// Whether there are instances that gate the columns of a product with this weight: with those in the type of the
/// activations. A product with any other leaves gates and ups for `swiglu`.
fn is_gated<T: Real>(w: Weight<'_, Cuda<T>>) -> bool {
    match w {
        Weight::Master(_) => true,
        Weight::Packed(packed) => match packed.format() {
            WeightFormat::F32 => size_of::<T>() == 4,
            WeightFormat::Bf16 => size_of::<T>() == 2,
            // Scales come in packs of 4 columns, of the ups from the middle on.
            WeightFormat::Int8 | WeightFormat::Int4 => (packed.n() / 2).is_multiple_of(4),
        },
    }
}

impl<T: Real> Cuda<T> {
    /// `y[m, n] = x · wᵀ + bias` as `kind` says. The buffers were checked.
    #[allow(clippy::too_many_arguments)]
    fn forward(
        &self,
        kind: Kind,
        shape: LinearShape,
        x: &CudaBuffer<T>,
        w: Weight<'_, Self>,
        bias: CUdeviceptr,
        y: CUdeviceptr,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        let product = |b| Product {
            a: x.address(0),
            b,
            c: y,
            m,
            n,
            k,
            accumulate,
        };
        let packed = match w {
            Weight::Master(_) => {
                let w = self.rounded("linear", shape, w)?;
                return self.multiply_nt(kind, "", size_of::<T>(), &product(w.address), bias);
            }
            Weight::Packed(w) => w,
        };
        packed.check("linear", shape)?;
        let by = |size: usize, name| if size == size_of::<T>() { "" } else { name };
        match &packed.data {
            Rows::F32(rows) => {
                self.multiply_nt(kind, by(4, "_by_f32"), 4, &product(rows.address(0)), bias)
            }
            Rows::Bf16(rows) => {
                self.multiply_nt(kind, by(2, "_by_bf16"), 2, &product(rows.address(0)), bias)
            }
            Rows::Quantised(rows) => {
                let (form, gated) = (rows.form, matches!(kind, Kind::Gated));
                let tiling = Tiling::quantised(size_of::<T>(), Self::wide(&[k]), m, gated);
                let name = format!("{}_{}_{}_{}", kind.name(), form.name, T::NAME, tiling.name);
                let kernel = self.context.kernel(&name)?.input(x).input(&rows.bytes);
                let kernel = kernel.input(&rows.scales).value(bias).value(y);
                let kernel = kernel.int(m)?.int(n)?.int(k)?.int(rows.scale_columns)?;
                let kernel = kernel.value(i32::from(accumulate));
                let kernel = kernel.shared(tiling.shared_quantised(size_of::<T>(), form));
                // SAFETY: reads and writes are guarded by m, n and k, which the buffers were checked to
                // hold; a packed weight holds its own.
                unsafe { kernel.launch([tiling.blocks(m, n), 1, 1], tiling.threads) }
            }
        }
    }
}
