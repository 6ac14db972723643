//! Exact top-k similarity search: a streaming pass over the items, no score matrix.

use super::linear::Linear;
use crate::device::Result;

/// One hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub index: u32,
    pub score: f32,
}

/// The search op. 2·queries·items·hidden flops.
pub trait TopK: Linear {
    /// The `k` items with the highest inner product for each row of `queries[queries, hidden]` among
    /// the packed `items[items, hidden]`, best first; equal scores in the order of their index. Fewer
    /// than `k` only where there are fewer items.
    fn top_k(
        &self,
        queries: usize,
        hidden: usize,
        query_rows: &Self::Buffer<f32>,
        items: usize,
        item_rows: &Self::Packed,
        k: usize,
    ) -> Result<Vec<Vec<Scored>>>;
}

/// Plain f64 implementation.
pub mod reference {
    /// `(index, score)` of the `k` best items for each query, best first, by a full sort.
    pub fn top_k(hidden: usize, queries: &[f64], items: &[f64], k: usize) -> Vec<Vec<(u32, f64)>> {
        let search = |query: &[f64]| {
            let rows = items.chunks_exact(hidden).enumerate();
            let mut hits: Vec<(u32, f64)> = rows
                .map(|(j, item)| (j as u32, item.iter().zip(query).map(|(a, b)| a * b).sum()))
                .collect();
            hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            hits.truncate(k);
            hits
        };
        queries.chunks_exact(hidden).map(search).collect()
    }
}
