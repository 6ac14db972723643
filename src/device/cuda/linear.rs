//! Launches of the products with weights, `kernels/linear.cu` and `kernels/linear_int8.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use super::tiling::Tiling;
use super::weight::{CudaWeight, Rows};
use crate::device::{Buffer, Memory, Real, Result, at_least};
use crate::ops::linear::*;
use cudarc::driver::sys::CUdeviceptr;

/// Rows of `dy` whose sums make one part of a bias's gradient.
const BIAS_ROWS: usize = 256;
/// Steps along the depth of a part of a weight's gradient at least, and blocks that fill a GPU.
const PART_STEPS: usize = 16;
const FILLING_BLOCKS: usize = 128;

impl<T: Real> Linear for Cuda<T> {
    type Packed = CudaWeight;

    fn training_format(&self) -> WeightFormat {
        match size_of::<T>() {
            2 => WeightFormat::Bf16,
            _ => WeightFormat::F32,
        }
    }

    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<CudaWeight> {
        at_least("pack", "weight", w.len(), n * k)?;
        let mut weight = self.empty_weight(n, k, format)?;
        self.fill_weight(&self.upload(&w[..n * k])?, &mut weight)?;
        Ok(weight)
    }

    fn repack(&self, w: &CudaBuffer<f32>, packed: &mut CudaWeight) -> Result<()> {
        self.fill_weight(w, packed)
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
        self.forward("linear", shape, x, w, bias, y.address(0), accumulate)
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
            2 => "logits",
            _ => "linear",
        };
        self.forward(kind, shape, x, w, 0, logits.address(0), false)
    }

    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &CudaBuffer<T>,
        w: &CudaBuffer<f32>,
        dx: &mut CudaBuffer<T>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        shape.check_backward_input(dy.len(), w.len(), dx.len())?;
        let w = self.rounded(w, n * k)?;
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
            accumulate: true,
        };
        self.multiply_tn(&product)?;
        let Some(dbias) = dbias else {
            return Ok(());
        };
        let parts = m.div_ceil(BIAS_ROWS);
        let mut partials = self.scratch::<f32>(parts * n)?;
        let kernel = self.kernel("row_sums")?.input(dy).output(&mut partials);
        let kernel = kernel.int(m)?.int(n)?.int(BIAS_ROWS)?;
        // SAFETY: a block stays in its rows of `dy[m, n]` and in its row of `partials[parts, n]`.
        unsafe { kernel.launch([n.div_ceil(32), parts, 1], 256) }?;
        self.column_sums(parts, n, &partials, dbias)
    }
}

/// Operands and sizes of `c[m, n] = a · b` over a depth of `k`, as the kernels count them. The
/// addresses are those of whole matrices.
pub(super) struct Product {
    pub a: CUdeviceptr,
    pub b: CUdeviceptr,
    pub c: CUdeviceptr,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub accumulate: bool,
}

impl<T: Real> Cuda<T> {
    /// Whether rows of so many activations start at multiples of 16 bytes.
    pub(super) fn wide(widths: &[usize]) -> bool {
        let pack = 16 / size_of::<T>();
        widths.iter().all(|width| width.is_multiple_of(pack))
    }

    /// `y[m, n] = x · wᵀ + bias` by the instances that are called `kind`. The buffers were checked.
    #[allow(clippy::too_many_arguments)]
    fn forward(
        &self,
        kind: &str,
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
            Weight::Master(w) => {
                shape.check_weight("linear", w.len())?;
                let w = self.rounded(w, n * k)?;
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
            Rows::Int8(rows) => {
                let tiling = Tiling::int8(size_of::<T>(), Self::wide(&[k]), m);
                let name = format!("{kind}_int8_{}_{}", T::NAME, tiling.name);
                let kernel = self.context.kernel(&name)?.input(x).input(&rows.bytes);
                let kernel = kernel.input(&rows.scales).value(bias).value(y);
                let kernel = kernel.int(m)?.int(n)?.int(k)?.int(rows.scale_columns)?;
                let kernel = kernel.value(i32::from(accumulate));
                let kernel = kernel.shared(tiling.shared_int8(size_of::<T>()));
                // SAFETY: reads and writes are guarded by m, n and k, which the buffers were checked to
                // hold; a packed weight holds its own.
                unsafe { kernel.launch([tiling.blocks(m, n), 1, 1], tiling.threads) }
            }
        }
    }

    /// `c = a[m, k] · b[n, k]ᵀ` with `b` in elements of `size` bytes, named `by` where they are not the
    /// activations'.
    pub(super) fn multiply_nt(
        &self,
        kind: &str,
        by: &str,
        size: usize,
        p: &Product,
        bias: CUdeviceptr,
    ) -> Result<()> {
        let wide = by.is_empty() && Self::wide(&[p.k]);
        let widest = size.max(size_of::<T>());
        let tiling = match by {
            "" => Tiling::with_skinny(size, wide, p.m, p.n),
            _ => Tiling::new(widest, wide, p.m, p.n),
        };
        self.multiply(&format!("{kind}_nt"), by, tiling, size, p, bias)
    }

    /// `c = a[m, k] · b[k, n]`.
    pub(super) fn multiply_nn(&self, p: &Product) -> Result<()> {
        let tiling = Tiling::new(size_of::<T>(), Self::wide(&[p.k, p.n]), p.m, p.n);
        self.multiply("linear_nn", "", tiling, size_of::<T>(), p, 0)
    }

    /// `c = a[m, k] · b[k, n]` in f32, the depth in parts where the result has few tiles.
    pub(super) fn sums_nn(&self, p: &Product) -> Result<()> {
        let kind = match size_of::<T>() {
            2 => "sums_nn",
            _ => "linear_nn",
        };
        self.multiply_in_parts(kind, Self::wide(&[p.k, p.n]), p)
    }

    /// `c += a[k, m]ᵀ · b[k, n]` in f32, the depth in parts where the result has few tiles.
    pub(super) fn multiply_tn(&self, p: &Product) -> Result<()> {
        self.multiply_in_parts("linear_tn", Self::wide(&[p.m, p.n]), p)
    }

    fn multiply(
        &self,
        kind: &str,
        by: &str,
        tiling: Tiling,
        size: usize,
        p: &Product,
        bias: CUdeviceptr,
    ) -> Result<()> {
        let name = format!("{kind}_{}{by}_{}", T::NAME, tiling.name);
        let kernel = self.context.kernel(&name)?.value(p.a).value(p.b);
        let kernel = kernel.value(bias).value(p.c);
        let kernel = kernel.int(p.m)?.int(p.n)?.int(p.k)?;
        let kernel = kernel
            .int(tiling.steps(p.k))?
            .value(i32::from(p.accumulate));
        let kernel = kernel.shared(tiling.shared(size_of::<T>(), size));
        // SAFETY: reads and writes are guarded by m, n and k, which the caller checked the buffers to
        // hold.
        unsafe { kernel.launch([tiling.blocks(p.m, p.n), 1, 1], tiling.threads) }
    }

    /// A product in f32. Where the result has few tiles, the depth is cut into parts, by a rule that knows the
    /// shape alone, and their sums are added in their order.
    fn multiply_in_parts(&self, kind: &str, wide: bool, p: &Product) -> Result<()> {
        let size = size_of::<T>();
        let tiling = Tiling::largest(size, wide);
        let (blocks, steps) = (tiling.blocks(p.m, p.n), tiling.steps(p.k).max(1));
        if blocks == 0 {
            return Ok(());
        }
        let parts = (FILLING_BLOCKS / blocks).min(steps / PART_STEPS).max(1);
        let part_steps = steps.div_ceil(parts);
        let parts = steps.div_ceil(part_steps);
        let count = p.m * p.n;
        let partials = match parts {
            1 => None,
            _ => Some(self.scratch::<f32>(parts * count)?),
        };
        let to = partials
            .as_ref()
            .map_or(p.c, |partials| partials.address(0));
        let name = format!("{kind}_{}_{}", T::NAME, tiling.name);
        let kernel = self.context.kernel(&name)?.value(p.a).value(p.b);
        let kernel = kernel.value(0u64).value(to);
        let kernel = kernel.int(p.m)?.int(p.n)?.int(p.k)?;
        let kernel = kernel
            .int(part_steps)?
            .value(i32::from(partials.is_none() && p.accumulate));
        let kernel = kernel.shared(tiling.shared(size, size));
        // SAFETY: reads and writes are guarded by m, n and k, which the caller checked the buffers to
        // hold; every part has its own m · n sums.
        unsafe { kernel.launch([blocks, parts, 1], tiling.threads) }?;
        let Some(partials) = partials else {
            return Ok(());
        };
        let kernel = self.context.kernel("add_parts")?.input(&partials);
        let kernel = kernel.value(p.c).int(count)?.int(parts)?;
        let kernel = kernel.value(i32::from(p.accumulate));
        // SAFETY: threads stay below the m · n elements of the result and of each part.
        unsafe { kernel.launch([count.div_ceil(256), 1, 1], 256) }
    }
}
