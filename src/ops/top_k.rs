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
