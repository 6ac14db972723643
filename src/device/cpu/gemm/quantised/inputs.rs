//! Inputs in whole numbers of a byte, row by row, with the groups of the weights.

use super::panels::{GROUP, inverse, largest};
use crate::device::cpu::Isa;
use crate::device::cpu::gemm::View;
use crate::per_isa;

/// Quantised rows: four inputs a word, with scale and sum of every group.
#[derive(Default)]
pub(super) struct Inputs {
    words: Vec<i32>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    groups: usize,
}

/// A few rows of quantised inputs.
pub(super) struct InputRows<'a> {
    pub words: &'a [i32],
    pub scales: &'a [f32],
    pub sums: &'a [i32],
    pub groups: usize,
}

impl Inputs {
    /// Quantises the rows of `x`, of `groups` groups.
    pub fn fill(&mut self, isa: Isa, x: View<'_>, groups: usize) {
        let row_words = groups * GROUP / 4;
        self.groups = groups;
        self.words.resize(x.rows * row_words, 0);
        self.scales.resize(x.rows * groups, 0.0);
        self.sums.resize(x.rows * groups, 0);
        for r in 0..x.rows {
            quantise(
                isa,
                &x.data[r * x.row_stride..][..x.cols],
                &mut self.words[r * row_words..][..row_words],
                &mut self.scales[r * groups..][..groups],
                &mut self.sums[r * groups..][..groups],
            );
        }
    }

    /// The rows from `row` on.
    pub fn from(&self, row: usize) -> InputRows<'_> {
        InputRows {
            words: &self.words[row * self.groups * GROUP / 4..],
            scales: &self.scales[row * self.groups..],
            sums: &self.sums[row * self.groups..],
            groups: self.groups,
        }
    }
}

per_isa! {
    /// Quantises one row into words, scales and sums.
    fn quantise(x: &[f32], words: &mut [i32], scales: &mut [f32], sums: &mut [i32]) {
        for (g, group) in x.chunks(GROUP).enumerate() {
            let mut values = [0.0f32; GROUP];
            values[..group.len()].copy_from_slice(group);
            scales[g] = largest(&values) / 127.0;
            let inverse = inverse(scales[g]);
            let mut q = [0i32; GROUP];
            for (q, v) in q.iter_mut().zip(&values) {
                *q = (v * inverse).round_ties_even() as i32;
            }
            sums[g] = q.iter().sum();
            for (w, q) in words[g * GROUP / 4..].iter_mut().zip(q.chunks_exact(4)) {
                *w = i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]);
            }
        }
    }
}
