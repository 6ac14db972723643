//! RoPE of every device against its f64 reference; the q/k norm in a module of its own.

#[path = "../common/mod.rs"]
mod common;

mod qk_norm;

use common::*;
use lrem::device::{Activation, Real};
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
fn angles(heads: &Heads, seed: u64) -> [Vec<f32>; 2] {
    let len = POSITIONS * heads.head_dim / 2;
    [10, 11].map(|stream| normals(seed, stream, len))
}

fn table<D: Rope>(device: &D, [cos, sin]: &[Vec<f32>; 2]) -> RopeTable<D> {
    RopeTable {
        cos: floats(device, cos),
        sin: floats(device, sin),
        positions: POSITIONS,
    }
}

/// Rotated forward and backward.
fn rotated<D: Rope>(
    device: &D,
    heads: &Heads,
    angles: &[Vec<f32>; 2],
    positions: &[u32],
    qkv: &[f32],
) -> [Vec<f32>; 2] {
    let table = table(device, angles);
    let (mut forward, mut backward) = (reals(device, qkv), reals(device, qkv));
    device.rope(heads, &table, positions, &mut forward).unwrap();
    device
        .rope_backward(heads, &table, positions, &mut backward)
        .unwrap();
    [forward, backward].map(|x| read_reals(device, "qkv", &x, qkv.len()))
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
        let (angles, positions) = (angles(&heads, seed), positions(tokens, seed));
        let len = tokens * heads.qkv_dim();
        let qkv = normals(seed, 0, len);
        let [cos, sin] = angles.clone().map(|x| wide(&x));
        let turned = |sign: f64, x: &[f32]| {
            reference::rope(&heads, &cos, &sin, &positions, sign, &wide(x))
        };
        let want = [turned(1.0, &qkv), turned(-1.0, &qkv)];
        // Three roundings of two products, which are the sums of the table's and the row's magnitudes.
        let [cos, sin] = angles.clone().map(|x| magnitudes(&x));
        let whole: Vec<f64> = magnitudes(&qkv);
        let [first, second] = [1.0, -1.0]
            .map(|sign| reference::rope(&heads, &cos, &sin, &positions, sign, &whole));
        let limit = |i: usize| 2.0 * ULP * first[i].abs().max(second[i].abs());
        let values = heads.num_heads + heads.num_kv_heads;
        let values = |x: &[f32]| bits(&of_heads(&heads, x, values..values + heads.num_kv_heads));
        on_every_device!(|device| {
            let got = rotated(device, &heads, &angles, &positions, &qkv);
            for (got, want) in got.iter().zip(&want) {
                assert_close_reals(device, "qkv", got, want, limit);
                assert_eq!(values(got), values(&qkv));
            }
            got.map(|x| bits(&x))
        });
    }

    #[test]
    fn the_reference_rotates_gradients_back(mut heads in heads(), tokens in 1usize..4, seed: u64) {
        heads.head_dim = 2 * (heads.head_dim % 3 + 1);
        let positions = positions(tokens, seed);
        let [cos, sin] = angles(&heads, seed).map(|x| wide(&x));
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
    let (angles, positions) = (angles(&heads, 1), positions(150, 1));
    let qkv = normals(1, 0, 150 * heads.qkv_dim());
    for device in devices() {
        same_on_one_thread(|| {
            rotated(&device, &heads, &angles, &positions, &qkv).map(|x| bits(&x))
        });
    }
}

#[test]
fn rotations_that_do_not_fit_are_errors() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Rope>(device: &D) {
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 4,
    };
    let say = |heads: &Heads, positions: &[u32], len: usize, table: [usize; 2]| {
        let [cos, sin] = table.map(|len| device.zeros(len).unwrap());
        let table = RopeTable {
            cos,
            sin,
            positions: 3,
        };
        let sevens = vec![D::Real::from_f32(7.0); len];
        let [mut qkv, mut dqkv] = [(); 2].map(|()| device.upload(&sevens).unwrap());
        let forward = device.rope(heads, &table, positions, &mut qkv);
        let backward = device.rope_backward(heads, &table, positions, &mut dqkv);
        let kept = |x: &Activation<D>| device.download(x, len).unwrap() == sevens;
        assert!(forward.is_ok() || (kept(&qkv) && kept(&dqkv)));
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
