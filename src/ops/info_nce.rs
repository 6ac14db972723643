//! In-batch InfoNCE, fused: cosine similarities, softmax over the items, both gradients and the rank
//! of the true item, without the similarity matrix in memory (lrem eq. 7, 11, 12, 15).
//!
//! `s_ij = q_i·d_j / (|q_i||d_j|)`, `loss_i = logsumexp_j(s_ij/τ) − s_{i,target_i}/τ`, where `j` runs
//! over the items that are not masked for query `i`. Several queries may share a target (rollouts).

use crate::device::{Memory, Result};

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
    fn info_nce(
        &self,
        batch: &InfoNceBatch,
        queries: &Self::Buffer<f32>,
        items: &Self::Buffer<f32>,
    ) -> Result<InfoNceOutput<Self>>;

    /// Gradient of `Σ_i coefficients[i] · loss_i`: writes `dqueries[queries, hidden]` and
    /// `ditems[items, hidden]`.
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
