//! Keys and values in a cache: spans anywhere in it, new tokens behind earlier ones.

use crate::bounds::bounds;
use crate::cases::{Case, heads, join, parts};
use crate::common::*;
use lrem::device::cpu::Cpu;
use lrem::ops::attention::{KeysValues, reference};
use lrem::ops::forest::{Forest, Segment, Span};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

/// The last rows of some segments of a packed batch, with all keys in a cache.
struct Cached {
    /// Rows of the packed batch that are computed again, in order.
    rows: Vec<usize>,
    /// Their queries, and the cache as keys and values. Output gradients are not used.
    case: Case,
    /// Queries, and NaN for keys and values.
    qkv: Vec<f32>,
}

impl Cached {
    /// Draws a place in a cache for every segment and how many of its rows are new.
    fn new(packed: &Case, seed: u64) -> Cached {
        let mut random = PhiloxStream::new(seed, 9);
        let segments = &packed.forest.segments;
        let mut order: Vec<usize> = (0..segments.len()).collect();
        random.shuffle(&mut order);
        let (mut starts, mut capacity) = (vec![0; segments.len()], 0);
        for i in order {
            capacity += random.below(4);
            starts[i] = capacity;
            capacity += segments[i].own.len;
        }
        capacity += random.below(70);

        let width = packed.heads.kv_dim();
        let fill = |x: &[f32]| {
            let mut cache = vec![f32::NAN; capacity * width];
            for (segment, start) in segments.iter().zip(&starts) {
                let rows = &x[segment.rows.start * width..segment.rows.end * width];
                cache[start * width..][..rows.len()].copy_from_slice(rows);
            }
            cache
        };
        // Spans of the packed batch and of the cache have the same lengths and other starts.
        let moved = |span: &Span| {
            let at = segments.iter().position(|s| s.own == *span).unwrap();
            Span {
                start: starts[at],
                len: span.len,
            }
        };
        let (mut forest, mut rows) = (Forest::default(), Vec::new());
        for segment in segments {
            // A segment without new rows is a trunk that was computed earlier.
            let len = segment.rows.len();
            let new = [0, 1, len, random.below(len + 1)][random.below(4)];
            if new == 0 {
                continue;
            }
            let first = rows.len();
            rows.extend(segment.rows.end - new..segment.rows.end);
            forest.segments.push(Segment {
                rows: first..rows.len(),
                own: moved(&segment.own),
                ancestors: segment.ancestors.iter().map(moved).collect(),
                parent: None,
            });
        }
        let mut case = packed.gather(forest, &rows);
        let nothing = vec![f32::NAN; rows.len() * width];
        let qkv = join(&packed.heads, &case.queries, &nothing, &nothing);
        case.keys = fill(&packed.keys);
        case.values = fill(&packed.values);
        Cached { rows, case, qkv }
    }

    fn forward(&self, device: &Cpu) -> (Vec<f32>, Vec<f32>) {
        let kv = KeysValues::Cache {
            keys: &self.case.keys,
            values: &self.case.values,
        };
        self.case.forward_with(device, &self.qkv, kv)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_cache_gives_the_reference_and_the_bits_of_the_packed_batch(
        heads in heads(), parts in parts(), sharpness in 0.1f32..3.0, seed: u64,
    ) {
        let packed = Case::new(heads, Forest::packed(&parts), sharpness, seed);
        let cached = Cached::new(&packed, seed);
        let [q, k, v, dout] = cached.case.wide();
        let forest = &cached.case.forest;
        let (want_out, want_lse) = reference::attention(&heads, forest, &q, &k, &v);
        let limit = bounds(&heads, forest, &[q, k, v, dout]);
        for device in devices() {
            let (out, lse) = cached.forward(&device);
            assert_close("out", &out, &want_out, |i| limit.out[i]);
            assert_close("lse", &lse, &want_lse, |i| limit.lse[i]);

            let (packed_out, packed_lse) = packed.forward(&device);
            let (q_dim, num_heads) = (heads.q_dim(), heads.num_heads);
            for (i, &row) in cached.rows.iter().enumerate() {
                let (new, old) = (&out[i * q_dim..], &packed_out[row * q_dim..]);
                prop_assert_eq!(bits(&new[..q_dim]), bits(&old[..q_dim]));
                let (new, old) = (&lse[i * num_heads..], &packed_lse[row * num_heads..]);
                prop_assert_eq!(bits(&new[..num_heads]), bits(&old[..num_heads]));
            }
        }
    }
}

/// Prefill, then one token at a time: every token's row is that of the whole sequence.
#[test]
fn decoding_token_by_token_has_the_bits_of_one_pass() {
    let heads = lrem::ops::attention::Heads {
        num_heads: 6,
        num_kv_heads: 2,
        head_dim: 12,
    };
    let (trunk, len) = (70, 150);
    let packed = Case::new(
        heads,
        Forest::packed(&[(trunk, None), (len, Some(0))]),
        1.0,
        5,
    );
    for device in devices() {
        let (whole, _) = packed.forward(&device);
        for i in 0..len {
            let row = trunk + i;
            let forest = Forest {
                segments: vec![Segment {
                    rows: 0..1,
                    own: Span {
                        start: trunk,
                        len: i + 1,
                    },
                    ancestors: vec![Span {
                        start: 0,
                        len: trunk,
                    }],
                    parent: None,
                }],
            };
            let step = packed.gather(forest, &[row]);
            let kv = KeysValues::Cache {
                keys: &packed.keys,
                values: &packed.values,
            };
            let (out, _) = step.forward_with(&device, &step.qkv(), kv);
            assert_eq!(
                bits(&out),
                bits(&whole[row * heads.q_dim()..][..heads.q_dim()])
            );
        }
    }
}
