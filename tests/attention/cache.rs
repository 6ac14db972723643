//! Keys and values in a cache: spans anywhere in it, new tokens behind earlier ones.

use crate::cases::{Case, MOST_WORK, heads, join, parts, tensor_core_heads};
use crate::common::*;
use lrem::device::Real;
use lrem::ops::attention::{Attention, KeysValues, reference};
use lrem::ops::forest::{Forest, Mask, Segment, Span};
use lrem::ops::philox::PhiloxStream;
use lrem::workbench::contracts::attention_bounds::bounds;
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
                mask: Mask::Causal,
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

    fn forward<D: Attention>(&self, device: &D) -> (Vec<f32>, Vec<f32>) {
        let [keys, values] = [&self.case.keys, &self.case.values].map(|x| reals(device, x));
        let kv = KeysValues::Cache {
            keys: &keys,
            values: &values,
        };
        self.case
            .forward_with(device, &reals(device, &self.qkv), kv)
    }

    /// The reference's results over the cache, and the bits of the packed batch's.
    fn check<D: Attention>(&self, device: &D, packed: &Case) -> [Vec<u32>; 2] {
        let heads = packed.heads;
        let [q, k, v, dout] = self.case.wide();
        let forest = &self.case.forest;
        let (want_out, want_lse) = reference::attention(&heads, forest, &q, &k, &v);
        let limit = bounds(&heads, forest, &[q, k, v, dout], D::Real::ROUNDING);
        let (out, lse) = self.forward(device);
        assert_close_reals(device, "out", &out, &want_out, |i| limit.out[i]);
        assert_close("lse", &lse, &want_lse, |i| limit.lse[i]);

        let (packed_out, packed_lse) = packed.forward(device);
        for (i, &row) in self.rows.iter().enumerate() {
            for (new, old, width) in [
                (&out, &packed_out, heads.q_dim()),
                (&lse, &packed_lse, heads.num_heads),
            ] {
                let (new, old) = (&new[i * width..], &old[row * width..]);
                assert_eq!(bits(&new[..width]), bits(&old[..width]), "row {row}");
            }
        }
        [bits(&out), bits(&lse)]
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
        for device in devices() {
            cached.check(&device, &packed);
        }
        if packed.work() <= MOST_WORK {
            on_gpus!(|device| cached.check(device, &packed));
        }
    }

    #[test]
    fn tensor_cores_give_the_reference_and_the_bits_of_the_packed_batch(
        heads in tensor_core_heads(), parts in parts(), sharpness in 0.1f32..3.0, seed: u64,
    ) {
        let packed = Case::new(heads, Forest::packed(&parts), sharpness, seed);
        let cached = Cached::new(&packed, seed);
        if let Some(device) = gpu_bf16().filter(|_| packed.work() <= 4 * MOST_WORK) {
            cached.check(device, &packed);
        }
    }
}

/// Asserts that tokens behind a trunk, each computed alone over the cache, have the bits of one pass; these.
fn decode<D: Attention>(device: &D, packed: &Case, trunk: usize, tokens: &[usize]) -> Vec<u32> {
    let heads = packed.heads;
    let (whole, whole_lse) = packed.forward(device);
    let [keys, values] = [&packed.keys, &packed.values].map(|x| reals(device, x));
    for &i in tokens {
        let row = trunk + i;
        let forest = Forest {
            segments: vec![Segment {
                rows: 0..1,
                own: Span {
                    start: trunk,
                    len: i + 1,
                },
                mask: Mask::Causal,
                ancestors: vec![Span {
                    start: 0,
                    len: trunk,
                }],
                parent: None,
            }],
        };
        let step = packed.gather(forest, &[row]);
        let kv = KeysValues::Cache {
            keys: &keys,
            values: &values,
        };
        let (out, lse) = step.forward_with(device, &reals(device, &step.qkv()), kv);
        let old = &whole[row * heads.q_dim()..][..heads.q_dim()];
        assert_eq!(bits(&out), bits(old), "token {i}");
        // In f32 on every device, so that nothing hides in the rounding of the output.
        let old = &whole_lse[row * heads.num_heads..][..heads.num_heads];
        assert_eq!(bits(&lse), bits(old), "token {i}");
    }
    bits(&whole)
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
    let forest = Forest::packed(&[(trunk, None), (len, Some(0))]);
    let packed = Case::new(heads, forest, 1.0, 5);
    let all: Vec<usize> = (0..len).collect();
    for device in devices() {
        decode(&device, &packed, trunk, &all);
    }
    on_gpus!(|device| decode(device, &packed, trunk, &[0, 1, 31, 32, 70, 149]));
}

/// A trunk and an own span of several pieces, whose partial results the GPU folds in the one way within
/// a block and in the other by a second kernel.
#[test]
fn decoding_over_long_spans_has_the_bits_of_one_pass() {
    for head_dim in [64, 80, 96, 128] {
        let heads = lrem::ops::attention::Heads {
            num_heads: 5,
            num_kv_heads: 1,
            head_dim,
        };
        let (trunk, len) = (530, 650);
        let forest = Forest::packed(&[(trunk, None), (len, Some(0)), (3, Some(0))]);
        let packed = Case::new(heads, forest, 1.0, head_dim as u64);
        if let Some(device) = gpu_bf16() {
            decode(device, &packed, trunk, &[0, 63, 64, 511, 512, 649]);
        }
    }
}
