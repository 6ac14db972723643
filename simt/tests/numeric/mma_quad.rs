//! `mma.m8n8k4` of `.f16`, four products at once, against sums in f64.

use crate::mma::{Words, bound, plain};
use crate::reference as exact;
use proptest::prelude::*;
use simt::numeric::matrix::fragment::{Layout, quad};
use simt::numeric::matrix::mma::{self, Accumulator};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn quads(seed: u64) {
        let mut words = Words(seed);
        let layouts = [Layout::Row, Layout::Col];
        let types = [Accumulator::F16, Accumulator::F32];
        for (a_layout, b_layout) in layouts.into_iter().flat_map(|a| layouts.map(|b| (a, b))) {
            for (c_type, d_type) in types.into_iter().flat_map(|c| types.map(|d| (c, d))) {
                let mut pair = || words.code(&exact::F16) << 16 | words.code(&exact::F16);
                let mut operand = || std::array::from_fn(|_| std::array::from_fn(|_| pair()));
                let (ra, rb): ([[u32; 32]; 2], [[u32; 32]; 2]) = (operand(), operand());
                let half = |r: &[[u32; 32]], lane: usize, i: usize| {
                    exact::F16.decode(u64::from(r[i / 2][lane] >> (16 * (i % 2)) & 0xffff))
                };
                let rc: Vec<[u32; 32]> = match c_type {
                    Accumulator::F16 => (0..4).map(|_| std::array::from_fn(|_| pair())).collect(),
                    Accumulator::F32 => (0..8)
                        .map(|_| std::array::from_fn(|_| (words.next() as i32 as f32 * 2f32.powi(-26)).to_bits()))
                        .collect(),
                };
                let read = |kind: Accumulator, r: &[[u32; 32]], lane: usize, i: usize| match kind {
                    Accumulator::F16 => half(r, lane, i),
                    Accumulator::F32 => f64::from(f32::from_bits(r[i][lane])),
                };
                let place = |kind: Accumulator, lane: usize, i: usize| match kind {
                    Accumulator::F16 => quad::c_f16(lane, i),
                    Accumulator::F32 => quad::c_f32(lane, i),
                };
                let mut rd = vec![[0u32; 32]; if d_type == Accumulator::F16 { 4 } else { 8 }];
                mma::mma_quad(a_layout, b_layout, &ra, &rb, c_type, &rc, d_type, &mut rd);
                for product in 0..4 {
                    let own = |lane: &usize| quad::product(*lane) == product;
                    let (mut a, mut b) = (vec![vec![0.0; 4]; 8], vec![vec![0.0; 8]; 4]);
                    let mut c = vec![vec![0.0; 8]; 8];
                    for lane in (0..32).filter(own) {
                        for i in 0..4 {
                            let (row, k) = quad::a(a_layout, lane, i);
                            a[row][k] = half(&ra, lane, i);
                            let (k, column) = quad::b(b_layout, lane, i);
                            b[k][column] = half(&rb, lane, i);
                        }
                        for i in 0..8 {
                            let (row, column) = place(c_type, lane, i);
                            c[row][column] = read(c_type, &rc, lane, i);
                        }
                    }
                    for (lane, i) in (0..32).filter(own).flat_map(|l| (0..8).map(move |i| (l, i))) {
                        let (row, column) = place(d_type, lane, i);
                        let (sum, size) = plain(&a, &b, row, column, c[row][column]);
                        let got = read(d_type, &rd, lane, i);
                        let narrow = match d_type {
                            Accumulator::F16 => sum.abs() * 2f64.powi(-11) + 2f64.powi(-25),
                            Accumulator::F32 => 0.0,
                        };
                        prop_assert!((got - sum).abs() <= bound(4, size) + narrow, "{} {}", got, sum);
                    }
                }
            }
        }
    }
}
