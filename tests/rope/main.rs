//! RoPE of every device against its f64 reference; the q/k norm in a module of its own.

#[path = "../common/mod.rs"]
mod common;

mod qk_norm;

use common::*;
use lrem::device::cpu::Cpu;
use lrem::ops::attention::Heads;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::rope::{Rope, RopeTable, reference};
use proptest::prelude::*;
use std::ops::Range;

const ULP: f64 = f32::EPSILON as f64;
/// Positions of the tables here.
const POSITIONS: usize = 50;

fn heads() -> impl Strategy<Value = Heads> {
    (1usize..4, 1usize..4, 1usize..66).prop_map(|(group, num_kv_heads, head_dim)| Heads {
        num_heads: group * num_kv_heads,
        num_kv_heads,
        head_dim,
    })
}

/// Any numbers as cosines and sines: the op does not care.
fn table(heads: &Heads, seed: u64) -> RopeTable<Cpu> {
    let len = POSITIONS * heads.head_dim / 2;
    RopeTable {
        cos: normals(seed, 10, len),
        sin: normals(seed, 11, len),
        positions: POSITIONS,
    }
}

/// Positions in any order, some of them several times.
fn positions(tokens: usize, seed: u64) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, 12);
    (0..tokens)
        .map(|_| random.below(POSITIONS) as u32)
        .collect()
}

/// The elements of some heads of every row, a row per head.
fn of_heads<T: Copy>(h: &Heads, qkv: &[T], heads: Range<usize>) -> Vec<T> {
    let rows = qkv.chunks_exact(h.qkv_dim());
    let part = |row: &[T]| row[heads.start * h.head_dim..heads.end * h.head_dim].to_vec();
    rows.flat_map(part).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn rotations_agree_with_the_reference(mut heads in heads(), tokens in 0usize..40, seed: u64) {
        heads.head_dim += heads.head_dim % 2;
        let (table, positions) = (table(&heads, seed), positions(tokens, seed));
        let len = tokens * heads.qkv_dim();
        let qkv = normals(seed, 0, len);
        let (cos, sin) = (wide(&table.cos), wide(&table.sin));
        let rotated = |sign: f64, x: &[f32]| {
            reference::rope(&heads, &cos, &sin, &positions, sign, &wide(x))
        };
        let want = [rotated(1.0, &qkv), rotated(-1.0, &qkv)];
        // Three roundings of two products, which are the sums of the table's and the row's magnitudes.
        let (cos, sin) = (magnitudes(&table.cos), magnitudes(&table.sin));
        let whole: Vec<f64> = magnitudes(&qkv);
        let [first, second] = [1.0, -1.0]
            .map(|sign| reference::rope(&heads, &cos, &sin, &positions, sign, &whole));
        let limit = |i: usize| 2.0 * ULP * first[i].abs().max(second[i].abs());
        let mut results = Vec::new();
        for device in devices() {
            let start = [&qkv[..], &[f32::NAN; 3]].concat();
            let (mut forward, mut backward) = (start.clone(), start);
            device.rope(&heads, &table, &positions, &mut forward).unwrap();
            device.rope_backward(&heads, &table, &positions, &mut backward).unwrap();
            for (got, want) in [&forward, &backward].into_iter().zip(&want) {
                assert_close("qkv", got, want, limit);
                assert_untouched("qkv", got, len);
                let values = heads.num_heads + heads.num_kv_heads;
                let values = |x: &[f32]| {
                    bits(&of_heads(&heads, x, values..values + heads.num_kv_heads))
                };
                prop_assert_eq!(values(&got[..len]), values(&qkv));
            }
            results.push([bits(&forward), bits(&backward)]);
        }
        // No fused multiply-add and no reduction: all instruction sets agree bit for bit.
        prop_assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn the_reference_rotates_gradients_back(mut heads in heads(), tokens in 1usize..4, seed: u64) {
        heads.head_dim = 2 * (heads.head_dim % 3 + 1);
        let (table, positions) = (table(&heads, seed), positions(tokens, seed));
        let (cos, sin) = (wide(&table.cos), wide(&table.sin));
        let len = tokens * heads.qkv_dim();
        let (qkv, dout) = (wide(&normals(seed, 0, len)), wide(&normals(seed, 1, len)));
        let rope = |sign: f64, x: &[f64]| {
            reference::rope(&heads, &cos, &sin, &positions, sign, x)
        };
        assert_gradient("dqkv", &qkv, &rope(-1.0, &dout), |x| {
            rope(1.0, x).iter().zip(&dout).map(|(a, b)| a * b).sum()
        });
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let heads = Heads {
        num_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
    };
    let (table, positions) = (table(&heads, 1), positions(150, 1));
    for device in devices() {
        same_on_one_thread(|| {
            let mut rotated = normals(1, 0, 150 * heads.qkv_dim());
            device
                .rope(&heads, &table, &positions, &mut rotated)
                .unwrap();
            bits(&rotated)
        });
    }
}

#[test]
fn rotations_that_do_not_fit_are_errors() {
    let device = &devices()[0];
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 4,
    };
    let say = |heads: &Heads, positions: &[u32], len: usize, table: [usize; 2]| {
        let [cos, sin] = table.map(|len| vec![1.0; len]);
        let table = RopeTable {
            cos,
            sin,
            positions: 3,
        };
        let (mut qkv, mut dqkv) = (vec![7.0; len], vec![7.0; len]);
        let forward = device.rope(heads, &table, positions, &mut qkv);
        let backward = device.rope_backward(heads, &table, positions, &mut dqkv);
        assert!(forward.is_ok() || (qkv == vec![7.0; len] && dqkv == qkv));
        [message(forward), message(backward)]
    };
    assert_eq!(say(&heads, &[0, 2], 32, [6, 6]), ["", ""]);
    let odd = Heads {
        head_dim: 5,
        ..heads
    };
    for (got, want) in [
        (say(&odd, &[0], 25, [6, 6]), "a head of 5 has no halves"),
        (
            say(&heads, &[0, 3], 32, [6, 6]),
            "position 3 is beyond the table of 3",
        ),
        (say(&heads, &[0, 2], 31, [6, 6]), "qkv has 31, expected 32"),
        (
            say(&heads, &[0, 2], 32, [5, 6]),
            "cosines has 5, expected 6",
        ),
        (say(&heads, &[0, 2], 32, [6, 5]), "sines has 5, expected 6"),
    ] {
        assert_eq!(
            got,
            [format!("rope: {want}"), format!("rope_backward: {want}")]
        );
    }
}
