//! In-batch InfoNCE, fused: cosine similarities, softmax over the items, both gradients and the rank
//! of the true item, without the similarity matrix in memory (lrem eq. 7, 11, 12, 15).
//!
//! `s_ij = q_i·d_j / (|q_i||d_j|)`, `loss_i = logsumexp_j(s_ij/τ) − s_{i,target_i}/τ`, where `j` runs
//! over the items that are not masked for query `i`. Several queries may share a target (rollouts).
//!
//! Products are f32 whatever the device trains in, as 1/τ multiplies their error. Tolerance: a cosine is
//! off by `hidden` f32 roundings, loss and lse by twice that over τ. A rank compares cosines as they
//! come out of one product, so exact copies of the target never outrank it.

use crate::device::{DeviceError, Memory, Result, at_least};
use std::ops::Range;

const OP: &str = "info_nce";

/// Sizes, targets and masks of one InfoNCE batch.
#[derive(Clone, Debug, Default)]
pub struct InfoNceBatch {
    /// Number of queries (rows of `queries`).
    pub queries: usize,
    /// Number of items (rows of `items`).
    pub items: usize,
    /// Width of both.
    pub hidden: usize,
    /// τ.
    pub temperature: f32,
    /// Row of the true item of every query.
    pub targets: Vec<u32>,
    /// Items left out of query `i`'s softmax and rank: `masked[mask_offsets[i]..mask_offsets[i+1]]`,
    /// ascending, never the target. Empty `mask_offsets`: no masks.
    pub mask_offsets: Vec<u32>,
    pub masked: Vec<u32>,
}

impl InfoNceBatch {
    /// Fills the masks from keys: item `j` is left out of query `i` where it is not `i`'s target but
    /// `item_keys[j]` is among `positives[i]` (other relevant items, and duplicates of the target).
    pub fn mask_positives(&mut self, item_keys: &[u64], positives: &[Vec<u64>]) {
        self.mask_offsets = vec![0];
        self.masked.clear();
        for (positive, &target) in positives.iter().zip(&self.targets) {
            for (j, key) in item_keys.iter().enumerate() {
                if j != target as usize && positive.contains(key) {
                    self.masked.push(j as u32);
                }
            }
            self.mask_offsets.push(self.masked.len() as u32);
        }
    }

    /// Where the masks of a query lie in `masked`.
    pub fn masks(&self, query: usize) -> Range<usize> {
        self.mask_offsets[query] as usize..self.mask_offsets[query + 1] as usize
    }

    /// Checks the batch and the lengths of both inputs.
    ///
    /// # Errors
    /// As [`InfoNce::info_nce`] says.
    pub fn check(&self, queries: usize, items: usize) -> Result<()> {
        at_least(OP, "queries", queries, self.queries * self.hidden)?;
        at_least(OP, "items", items, self.items * self.hidden)?;
        at_least(OP, "targets", self.targets.len(), self.queries)?;
        let wrong = |message| Err(DeviceError::Argument { op: OP, message });
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return wrong(format!("temperature {} is not positive", self.temperature));
        }
        let targets = &self.targets[..self.queries];
        if let Some(t) = targets.iter().find(|&&t| t as usize >= self.items) {
            return wrong(format!("target {t} is outside the {} items", self.items));
        }
        if self.mask_offsets.is_empty() {
            return Ok(());
        }
        let offsets = self.mask_offsets.len();
        at_least(OP, "mask offsets", offsets, self.queries + 1)?;
        let last = self.mask_offsets[self.queries] as usize;
        at_least(OP, "masked items", self.masked.len(), last)?;
        for (i, &target) in targets.iter().enumerate() {
            let Some(masked) = self.masked.get(self.masks(i)) else {
                return wrong(format!("the mask offsets of query {i} do not ascend"));
            };
            if let Some(j) = masked
                .iter()
                .find(|&&j| j == target || j as usize >= self.items)
            {
                return wrong(format!("query {i} masks item {j}, its target or no item"));
            }
        }
        Ok(())
    }
}

/// Lengths of what the gradient reads and writes beside both inputs.
pub struct GradientLengths {
    pub lse: usize,
    pub coefficients: usize,
    pub dqueries: usize,
    pub ditems: usize,
}

impl GradientLengths {
    /// Checks them.
    pub fn check(&self, batch: &InfoNceBatch) -> Result<()> {
        at_least(OP, "lse", self.lse, batch.queries)?;
        at_least(OP, "coefficients", self.coefficients, batch.queries)?;
        let hidden = batch.hidden;
        at_least(OP, "dqueries", self.dqueries, batch.queries * hidden)?;
        at_least(OP, "ditems", self.ditems, batch.items * hidden)
    }
}

/// What the forward pass leaves for the caller and for the backward pass.
pub struct InfoNceOutput<D: Memory + ?Sized> {
    /// Loss of every query, `[queries]`.
    pub loss: D::Buffer<f32>,
    /// Log-sum-exp of every query's scaled similarities, `[queries]`.
    pub lse: D::Buffer<f32>,
    /// 1 + number of unmasked items that score strictly higher than the target, `[queries]`.
    pub rank: D::Buffer<u32>,
    /// 1/|q_i|, `[queries]`, and 1/|d_j|, `[items]`; 0 for a zero row.
    pub inverse_query_norm: D::Buffer<f32>,
    pub inverse_item_norm: D::Buffer<f32>,
}

/// The fused InfoNCE op. About 2·queries·items·hidden flops forward, three times that backward.
pub trait InfoNce: Memory {
    /// Forward over `queries[queries, hidden]` and `items[items, hidden]` (not normalised).
    ///
    /// A temperature that is not positive, a target or mask outside the items and a masked target are
    /// errors.
    fn info_nce(
        &self,
        batch: &InfoNceBatch,
        queries: &Self::Buffer<f32>,
        items: &Self::Buffer<f32>,
    ) -> Result<InfoNceOutput<Self>>;

    /// Gradient of `Σ_i coefficients[i] · loss_i`: writes `dqueries[queries, hidden]` and
    /// `ditems[items, hidden]`. A zero row's gradient is zero.
    #[allow(clippy::too_many_arguments)]
    fn info_nce_backward(
        &self,
        batch: &InfoNceBatch,
        queries: &Self::Buffer<f32>,
        items: &Self::Buffer<f32>,
        output: &InfoNceOutput<Self>,
        coefficients: &[f32],
        dqueries: &mut Self::Buffer<f32>,
        ditems: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::InfoNceBatch;
    use crate::ops::linear_cross_entropy::reference::log_sum_exp;

    /// Loss, log-sum-exp and rank of every query.
    pub struct Output {
        pub loss: Vec<f64>,
        pub lse: Vec<f64>,
        pub rank: Vec<u32>,
    }

    /// Forward.
    pub fn info_nce(b: &InfoNceBatch, queries: &[f64], items: &[f64]) -> Output {
        let mut out = Output {
            loss: Vec::new(),
            lse: Vec::new(),
            rank: Vec::new(),
        };
        for (row, &target) in scores(b, queries, items).iter().zip(&b.targets) {
            let target = row[target as usize];
            out.lse.push(log_sum_exp(row));
            out.loss.push(log_sum_exp(row) - target);
            out.rank
                .push(1 + row.iter().filter(|s| **s > target).count() as u32);
        }
        out
    }

    /// `(dqueries, ditems)` of `Σ coefficients · loss`.
    pub fn info_nce_backward(
        b: &InfoNceBatch,
        queries: &[f64],
        items: &[f64],
        coefficients: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        let h = b.hidden;
        let (q, d) = (
            unit_rows(queries, b.queries, h),
            unit_rows(items, b.items, h),
        );
        let (mut dq, mut dd) = (vec![0.0; b.queries * h], vec![0.0; b.items * h]);
        for (i, row) in scores(b, queries, items).iter().enumerate() {
            let lse = log_sum_exp(row);
            for (j, s) in row.iter().enumerate() {
                let hit = f64::from(u8::from(j == b.targets[i] as usize));
                let g = coefficients[i] * ((s - lse).exp() - hit) / f64::from(b.temperature);
                for l in 0..h {
                    dq[i * h + l] += g * d.0[j * h + l];
                    dd[j * h + l] += g * q.0[i * h + l];
                }
            }
        }
        through_norm(&mut dq, &q, h);
        through_norm(&mut dd, &d, h);
        (dq, dd)
    }

    /// Cosines over the temperature, `[queries][items]`; −∞ where masked.
    pub fn scores(b: &InfoNceBatch, queries: &[f64], items: &[f64]) -> Vec<Vec<f64>> {
        let h = b.hidden;
        let (q, d) = (
            unit_rows(queries, b.queries, h).0,
            unit_rows(items, b.items, h).0,
        );
        let score = |i: usize, j: usize| {
            let range = b.mask_offsets.get(i).zip(b.mask_offsets.get(i + 1));
            let range = range.map_or(0..0, |(a, z)| *a as usize..*z as usize);
            if b.masked[range].contains(&(j as u32)) {
                return f64::NEG_INFINITY;
            }
            let dot: f64 = (0..h).map(|l| q[i * h + l] * d[j * h + l]).sum();
            dot / f64::from(b.temperature)
        };
        let row = |i| (0..b.items).map(|j| score(i, j)).collect();
        (0..b.queries).map(row).collect()
    }

    /// Rows of length 1, and the reciprocal of every row's length before (0 for a zero row).
    fn unit_rows(x: &[f64], rows: usize, h: usize) -> (Vec<f64>, Vec<f64>) {
        let row = |i: usize| &x[i * h..(i + 1) * h];
        let norm = |i| row(i).iter().map(|v| v * v).sum::<f64>().sqrt();
        let inverse: Vec<f64> = (0..rows)
            .map(|i| if norm(i) > 0.0 { 1.0 / norm(i) } else { 0.0 })
            .collect();
        let unit = (0..rows * h).map(|l| x[l] * inverse[l / h]).collect();
        (unit, inverse)
    }

    fn through_norm(dx: &mut [f64], (unit, inverse): &(Vec<f64>, Vec<f64>), h: usize) {
        for (i, inverse) in inverse.iter().enumerate() {
            let (dx, unit) = (&mut dx[i * h..(i + 1) * h], &unit[i * h..(i + 1) * h]);
            let along: f64 = dx.iter().zip(unit).map(|(g, u)| g * u).sum();
            for (g, u) in dx.iter_mut().zip(unit) {
                *g = (*g - u * along) * inverse;
            }
        }
    }
}
