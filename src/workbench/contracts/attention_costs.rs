//! What attention over a packed batch and its backward cannot do without.

use crate::ops::attention::Heads;
use crate::ops::forest::{Forest, Segment};
use crate::workbench::Cost;

/// Costs of the kernels, on tensor cores and without.
pub fn costs(h: &Heads, forest: &Forest, real: usize) -> Vec<Cost> {
    let (tokens, d) = (forest.tokens(), h.head_dim);
    let (rows, pairs) = (tokens * h.num_heads, h.num_heads * pairs(forest));
    let [q, kv] = [h.q_dim(), h.kv_dim()].map(|width| tokens * width * real);
    // A log-sum-exp; with the product of output and gradient, of which the backward reads both.
    let (lse, stats) = (4 * rows, 8 * rows);
    // Two products, then the scale, the maximum, the exponential and the sum.
    let forward = (2 * q + 2 * kv + lse, pairs * (4 * d + 4) + rows * d);
    // Three and four products, then the scale, lse, the exponential, delta and their product.
    let by_queries = (3 * q + 2 * kv + stats, pairs * (6 * d + 5) + rows * d);
    let by_keys = (
        2 * q + 4 * kv + stats,
        pairs * (8 * d + 5) + tokens * h.kv_dim(),
    );
    // Both gradients, in f32 and as they are stored.
    let gradients = 2 * tokens * h.kv_dim();
    [
        ("attention_plain".into(), forward),
        ("attention_few".into(), forward),
        (format!("attention_{d}"), forward),
        (
            "attention_delta".into(),
            (2 * q + lse + stats, rows * (2 * d + 1)),
        ),
        ("attention_plain_backward".into(), by_queries),
        (format!("attention_backward_{d}"), by_queries),
        ("attention_plain_backward_keys".into(), by_keys),
        (format!("attention_backward_keys_{d}"), by_keys),
        (
            "attention_backward_keys_fold".into(),
            (4 * gradients + 2 * kv, gradients),
        ),
    ]
    .map(|(kernel, (bytes, flops))| Cost::new(kernel, bytes, flops))
    .into()
}

/// Bytes that attention over a packed batch and its backward cannot do without: queries, keys and values, and what is
/// made of them. What the forest says of its segments is little beside them, and the lists that a device makes of it
/// are the device's.
pub fn calls(h: &Heads, tokens: usize, real: usize) -> [usize; 2] {
    let [q, kv] = [h.q_dim(), h.kv_dim()].map(|width| tokens * width * real);
    let lse = 4 * tokens * h.num_heads;
    // Of the backward three inputs beside the log-sum-exp: with the output and its gradient.
    [2 * q + 2 * kv + lse, 4 * q + 4 * kv + lse]
}

/// Tokens and keys that they see, of one head.
fn pairs(forest: &Forest) -> usize {
    let of = |s: &Segment| {
        let (new, above) = (
            s.rows.len(),
            s.ancestors.iter().map(|a| a.len).sum::<usize>(),
        );
        // The last sees all of its own segment, the one before it all but one, and so on.
        new * (above + s.own.len) - new * (new - 1) / 2
    };
    forest
        .segments
        .iter()
        .filter(|s| !s.rows.is_empty())
        .map(of)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::pairs;
    use crate::ops::attention::reference::visible;
    use crate::ops::forest::Forest;

    #[test]
    fn pairs_are_those_of_the_reference() {
        let forest = Forest::packed(&[(5, None), (3, Some(0)), (2, Some(1)), (4, None)]);
        let segments = forest.segments.iter();
        let seen = segments.flat_map(|s| (0..s.rows.len()).map(|i| visible(s, i).len()));
        assert_eq!(pairs(&forest), seen.sum::<usize>());
    }
}
