//! Launches of pooling, `kernels/pool.cu`.

use super::memory::CudaBuffer;
use super::{Cuda, Packs};
use crate::device::{Buffer, Memory, Real, Result, at_least};
use crate::ops::pool::*;

impl<T: Real> Pool for Cuda<T> {
    fn pool<O: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        x: &CudaBuffer<T>,
        out: &mut CudaBuffer<O>,
        accumulate: bool,
    ) -> Result<()> {
        plan.check("pool", hidden, "x", x.len())?;
        at_least("pool", "out", out.len(), plan.len() * hidden)?;
        self.sum_rows(plan, None, hidden, x, out, accumulate)
    }

    fn pool_backward<O: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &CudaBuffer<O>,
        dx: &mut CudaBuffer<T>,
    ) -> Result<()> {
        plan.check("pool_backward", hidden, "dx", dx.len())?;
        let len = plan.len() * hidden;
        at_least("pool_backward", "dout", dout.len(), len)?;
        self.add_rows(plan, hidden, dout, dx)
    }
}

impl<T: Real> Cuda<T> {
    /// Adds to the rows of `dx` what the plan's outputs `dout` pass back to them, in the order of the
    /// outputs. The plan was checked against both.
    pub(super) fn add_rows<I: Real, O: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &CudaBuffer<I>,
        dx: &mut CudaBuffer<O>,
    ) -> Result<()> {
        let (by_row, targets) = transposed(plan);
        self.sum_rows(&by_row, Some(&targets), hidden, dout, dx, true)
    }

    /// Row `targets[i]` of `out` from the rows of `x` that the plan names for its output `i`. The plan
    /// was checked against both.
    fn sum_rows<I: Real, O: Real>(
        &self,
        plan: &PoolPlan,
        targets: Option<&[u32]>,
        hidden: usize,
        x: &CudaBuffer<I>,
        out: &mut CudaBuffer<O>,
        accumulate: bool,
    ) -> Result<()> {
        if plan.is_empty() || hidden == 0 {
            return Ok(());
        }
        let packs = match size_of::<I>() > size_of::<O>() {
            true => Packs::of::<I>(&[hidden]),
            false => Packs::of::<O>(&[hidden]),
        };
        let [offsets, rows] = [&plan.offsets, &plan.rows].map(|x| self.upload(x));
        let (offsets, rows, weights) = (offsets?, rows?, self.upload(&plan.weights)?);
        let targets = targets.map(|targets| self.upload(targets)).transpose()?;
        let target = targets.as_ref().map_or(0, |targets| targets.address(0));
        let kernel = self
            .context
            .kernel(&format!("pool_{}_{}", I::NAME, O::NAME))?;
        let kernel = kernel.input(x).output(out).input(&offsets).input(&rows);
        let kernel = kernel.input(&weights).value(target).int(hidden)?;
        let kernel = kernel.value(i32::from(accumulate));
        // SAFETY: a thread stays in its pack of the rows that the plan names, which both buffers have.
        unsafe { kernel.launch([plan.len(), packs.blocks, 1], packs.threads) }
    }
}

/// The terms of each row that the plan names, in the order of its outputs: a plan whose rows are the
/// outputs, and the row that each of its outputs is.
fn transposed(plan: &PoolPlan) -> (PoolPlan, Vec<u32>) {
    let outputs = plan.offsets.windows(2).enumerate();
    let mut terms: Vec<(u32, u32, f32)> = outputs
        .flat_map(|(i, ends)| {
            let terms = ends[0] as usize..ends[1] as usize;
            terms.map(move |j| (plan.rows[j], i as u32, plan.weights[j]))
        })
        .collect();
    // Stable, so that a row's terms stay in the order of the outputs.
    terms.sort_by_key(|term| term.0);
    let mut targets: Vec<u32> = terms.iter().map(|term| term.0).collect();
    targets.dedup();
    let ends = terms.chunk_by(|a, b| a.0 == b.0).scan(0, |end, chunk| {
        *end += chunk.len() as u32;
        Some(*end)
    });
    let by_row = PoolPlan {
        offsets: std::iter::once(0).chain(ends).collect(),
        rows: terms.iter().map(|term| term.1).collect(),
        weights: terms.iter().map(|term| term.2).collect(),
    };
    (by_row, targets)
}
