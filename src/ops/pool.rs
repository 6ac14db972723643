//! Pooling: weighted sums of hidden rows, one per embedding.
//!
//! One sparse form serves every pooling: at `<emb>` and last token (one row, weight 1), mean (every
//! row of the sequence, weight 1/len), and mean over the last four layers (called once per layer with
//! weight 1/4, accumulating).

use crate::device::{DeviceError, Memory, Real, Result, at_least};

/// Rows and weights of every output, compressed by rows: output `i` sums
/// `weights[j] · x[rows[j]]` for `j` in `offsets[i]..offsets[i+1]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolPlan {
    pub offsets: Vec<u32>,
    pub rows: Vec<u32>,
    pub weights: Vec<f32>,
}

impl PoolPlan {
    /// One row per output, each with `weight`.
    pub fn pick(rows: &[u32], weight: f32) -> PoolPlan {
        PoolPlan {
            offsets: (0..=rows.len() as u32).collect(),
            rows: rows.to_vec(),
            weights: vec![weight; rows.len()],
        }
    }
    /// The mean over each range of rows. An empty range gives a zero row.
    pub fn mean(ranges: &[std::ops::Range<usize>]) -> PoolPlan {
        let mut plan = PoolPlan {
            offsets: vec![0],
            ..PoolPlan::default()
        };
        for r in ranges {
            plan.rows.extend(r.clone().map(|i| i as u32));
            plan.weights.extend(r.clone().map(|_| 1.0 / r.len() as f32));
            plan.offsets.push(plan.rows.len() as u32);
        }
        plan
    }
    /// Checks that the plan's parts fit together, and that its rows are among the `len` elements of
    /// `what`.
    pub fn check(
        &self,
        op: &'static str,
        hidden: usize,
        what: &'static str,
        len: usize,
    ) -> Result<()> {
        let error = |message: String| Err(DeviceError::Argument { op, message });
        if self.rows.len() != self.weights.len() {
            let (rows, weights) = (self.rows.len(), self.weights.len());
            return error(format!("{rows} rows have {weights} weights"));
        }
        let end = self.offsets.last().map_or(0, |&end| end as usize);
        if !self.offsets.is_sorted() || end > self.rows.len() {
            return error("the offsets do not ascend within the rows".into());
        }
        match self.rows.iter().max() {
            Some(&row) => at_least(op, what, len, (row as usize + 1) * hidden),
            None => Ok(()),
        }
    }
    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The pooling op. What is pooled, and its gradient, is f32 (embeddings given out) or the activations'
/// type (rows that a head reads); sums are f32.
pub trait Pool: Memory {
    /// `out[i] (+)= Σ_j weights[j] · x[rows[j]]`: `[plan.len(), hidden]`.
    ///
    /// # Errors
    /// A plan whose parts do not fit together, or that names a row beyond `x`.
    fn pool<T: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        x: &Self::Buffer<Self::Real>,
        out: &mut Self::Buffer<T>,
        accumulate: bool,
    ) -> Result<()>;

    /// `dx[rows[j]] += weights[j] · dout[i]`, in the order of `i` and `j`.
    fn pool_backward<T: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &Self::Buffer<T>,
        dx: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::PoolPlan;

    fn terms(plan: &PoolPlan) -> impl Iterator<Item = (usize, usize, f64)> {
        (0..plan.len()).flat_map(move |i| {
            let range = plan.offsets[i] as usize..plan.offsets[i + 1] as usize;
            range.map(move |j| (i, plan.rows[j] as usize, f64::from(plan.weights[j])))
        })
    }

    /// `out[plan.len(), hidden]`.
    pub fn pool(plan: &PoolPlan, hidden: usize, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; plan.len() * hidden];
        for (i, row, weight) in terms(plan) {
            for c in 0..hidden {
                out[i * hidden + c] += weight * x[row * hidden + c];
            }
        }
        out
    }

    /// `dx[rows, hidden]` of `Σ dout · out`.
    pub fn pool_backward(plan: &PoolPlan, hidden: usize, rows: usize, dout: &[f64]) -> Vec<f64> {
        let mut dx = vec![0.0; rows * hidden];
        for (i, row, weight) in terms(plan) {
            for c in 0..hidden {
                dx[row * hidden + c] += weight * dout[i * hidden + c];
            }
        }
        dx
    }
}
