//! Products of matrices in memory: which instance of `kernels/linear.cu`, or on Hopper of
//! `kernels/linear.sm_90a.cu`, and what it is launched with.

use super::Cuda;
use super::launch::Launch;
use super::tensor_map::Boxes;
use super::tiling::{MULTIPROCESSORS, Tiling};
use crate::device::{Real, Result};
use cudarc::driver::sys::CUdeviceptr;

/// Steps along the depth of a part of a weight's gradient at least.
const PART_STEPS: usize = 16;

/// Operands and sizes of `c[m, n] = a · b` over a depth of `k`, as the kernels count them. The
/// addresses are those of whole matrices.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub a: CUdeviceptr,
    pub b: CUdeviceptr,
    pub c: CUdeviceptr,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub accumulate: bool,
}

/// What a product with a weight is for, as kernels are called by it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Activations.
    Linear,
    /// Their like in f32.
    Logits,
    /// Activations, `n / 2` of a row: the first half of the columns gates the second (SwiGLU).
    Gated,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::Logits => "logits",
            Kind::Gated => "linear_swiglu",
        }
    }
}

/// Which of a product's operands lie along its depth in memory, as kernels are called by it.
#[derive(Clone, Copy)]
enum Majors {
    /// `a[m, k]`, `b[n, k]`.
    Nt,
    /// The same, with tiles of `b` that come from both of its halves.
    GatedNt,
    /// `a[m, k]`, `b[k, n]`.
    Nn,
    /// `a[k, m]`, `b[k, n]`.
    Tn,
}

impl<T: Real> Cuda<T> {
    /// Whether rows of so many activations start at multiples of 16 bytes.
    pub(super) fn wide(widths: &[usize]) -> bool {
        let pack = 16 / size_of::<T>();
        widths.iter().all(|width| width.is_multiple_of(pack))
    }

    /// `c = a[m, k] · b[n, k]ᵀ` with `b` in elements of `size` bytes, named `by` where they are not the
    /// activations'.
    pub(super) fn multiply_nt(
        &self,
        kind: Kind,
        by: &str,
        size: usize,
        p: &Product,
        bias: CUdeviceptr,
    ) -> Result<()> {
        // Rows of both operands.
        let wide = p.k.is_multiple_of(16 / size.min(size_of::<T>()));
        let widest = size.max(size_of::<T>());
        let gated = matches!(kind, Kind::Gated);
        let tiling = match by {
            "" => self.fitting(Tiling::of_weight(size, wide, p.m, p.n, gated), p),
            _ => Tiling::new(widest, wide, p.m, p.n),
        };
        let name = format!("{}_nt_{}{by}_{}", kind.name(), T::NAME, tiling.name);
        let majors = if gated { Majors::GatedNt } else { Majors::Nt };
        let kernel = self.operands(&name, tiling, majors, p)?.value(bias);
        let shared = tiling.shared(size_of::<T>(), size);
        multiply(kernel.shared(shared), tiling, p, (1, tiling.steps(p.k)))
    }

    /// `c = a[m, k] · b[k, n]`.
    pub(super) fn multiply_nn(&self, p: &Product) -> Result<()> {
        let size = size_of::<T>();
        let tiling = Tiling::new(size, Self::wide(&[p.k, p.n]), p.m, p.n);
        let tiling = self.fitting(tiling, p);
        let name = format!("linear_nn_{}_{}", T::NAME, tiling.name);
        let kernel = self.operands(&name, tiling, Majors::Nn, p)?.value(0u64);
        let shared = tiling.shared(size, size);
        multiply(kernel.shared(shared), tiling, p, (1, tiling.steps(p.k)))
    }

    /// `c = a[m, k] · b[k, n]` in f32, the depth in parts where the result has few tiles.
    pub(super) fn sums_nn(&self, p: &Product) -> Result<()> {
        let kind = match size_of::<T>() {
            2 => "sums_nn",
            _ => "linear_nn",
        };
        self.multiply_in_parts(kind, Majors::Nn, Self::wide(&[p.k, p.n]), p)
    }

    /// `c = a[k, m]ᵀ · b[k, n]` in f32, the depth in parts where the result has few tiles.
    pub(super) fn multiply_tn(&self, p: &Product) -> Result<()> {
        self.multiply_in_parts("linear_tn", Majors::Tn, Self::wide(&[p.m, p.n]), p)
    }

    /// Whether warpgroups may multiply it. Tensor maps have no empty dimensions.
    fn suits_groups(&self, p: &Product) -> bool {
        self.context.is_hopper() && size_of::<T>() == 2 && ![p.m, p.n, p.k].contains(&0)
    }

    /// The tile for this GPU.
    fn fitting(&self, tiling: Tiling, p: &Product) -> Tiling {
        match self.suits_groups(p) {
            true => tiling.on_hopper(p.m, p.n),
            false => tiling,
        }
    }

    /// The kernel of that name with both operands: their addresses, or tensor maps of them.
    fn operands(
        &self,
        name: &str,
        tiling: Tiling,
        majors: Majors,
        p: &Product,
    ) -> Result<Launch<'_>> {
        let kernel = self.context.kernel(name)?;
        if !tiling.by_groups() {
            return Ok(kernel.value(p.a).value(p.b));
        }
        let along_depth = |data, outer, tile| Boxes {
            data,
            rows: outer,
            columns: p.k,
            stride: p.k,
            box_rows: tile,
        };
        let along_outer = |data, outer| Boxes {
            data,
            rows: p.k,
            columns: outer,
            stride: outer,
            box_rows: tiling.depth,
        };
        let a = match majors {
            Majors::Nt | Majors::GatedNt | Majors::Nn => along_depth(p.a, p.m, tiling.m),
            Majors::Tn => along_outer(p.a, p.m),
        };
        let b = match majors {
            Majors::Nt => along_depth(p.b, p.n, tiling.n),
            Majors::GatedNt => along_depth(p.b, p.n, tiling.n / 2),
            Majors::Nn | Majors::Tn => along_outer(p.b, p.n),
        };
        Ok(kernel.value(a.map()?).value(b.map()?))
    }

    /// A product in f32. Where the result has few tiles, the depth is cut into parts, by a rule that knows the
    /// shape alone, and their sums are added in their order.
    fn multiply_in_parts(&self, kind: &str, majors: Majors, wide: bool, p: &Product) -> Result<()> {
        let size = size_of::<T>();
        let largest = Tiling::largest(size, wide);
        let tiling = match self.suits_groups(p) {
            true => largest.largest_on_hopper(),
            false => largest,
        };
        let (blocks, steps) = (tiling.blocks(p.m, p.n), tiling.steps(p.k).max(1));
        if blocks == 0 {
            return Ok(());
        }
        // More blocks than that would take turns.
        let parts = (MULTIPROCESSORS / blocks).min(steps / PART_STEPS).max(1);
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
        let kernel = self.operands(&name, tiling, majors, p)?;
        let kernel = kernel.value(0u64).shared(tiling.shared(size, size));
        let part = Product {
            c: to,
            accumulate: partials.is_none() && p.accumulate,
            ..*p
        };
        multiply(kernel, tiling, &part, (parts, part_steps))?;
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

/// Launches a kernel that has its operands and the bias, for so many parts of the depth of so many steps each, whose
/// results lie `m · n` apart.
fn multiply(
    kernel: Launch<'_>,
    tiling: Tiling,
    p: &Product,
    (parts, steps): (usize, usize),
) -> Result<()> {
    let kernel = kernel.value(p.c).int(p.m)?.int(p.n)?;
    let kernel = match tiling.by_groups() {
        // The tensor maps know the depth.
        true => kernel,
        false => kernel.int(p.k)?,
    };
    let kernel = kernel.int(steps)?.value(i32::from(p.accumulate));
    // SAFETY: reads and writes are guarded by m, n and k, which the caller checked the buffers to hold; every part
    // has its own m · n sums.
    unsafe { kernel.launch([tiling.blocks(p.m, p.n), parts, 1], tiling.threads) }
}
