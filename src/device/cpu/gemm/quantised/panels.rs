//! Quantised weights as the kernels read them.

use crate::device::cpu::gemm::NR;
use crate::device::cpu::parallel::{self, Rows};
use crate::ops::linear::WeightFormat;
use half::bf16;

/// Inputs that share a scale.
pub(super) const GROUP: usize = 32;

/// What is kept of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// A byte a weight: scale · (byte − 128).
    Int8,
    /// A half byte a weight: scale · half byte + shift.
    Int4,
}

impl Form {
    /// The form of weights of `bits` bits.
    pub const fn of_bits(bits: usize) -> Form {
        match bits {
            8 => Form::Int8,
            _ => Form::Int4,
        }
    }

    pub fn format(self) -> WeightFormat {
        match self {
            Form::Int8 => WeightFormat::Int8,
            Form::Int4 => WeightFormat::Int4,
        }
    }

    /// The byte of 0: the processor multiplies u8 by s8.
    pub const fn zero(self) -> i32 {
        match self {
            Form::Int8 => 128,
            Form::Int4 => 0,
        }
    }

    /// Bytes of a panel's group.
    pub const fn group_bytes(self) -> usize {
        match self {
            Form::Int8 => GROUP * NR,
            Form::Int4 => GROUP * NR / 2,
        }
    }

    /// The scale of a group of weights, as it is kept, and their whole numbers.
    fn quantise(self, weights: &[f32]) -> (u32, [i32; GROUP]) {
        let (kept, least, most) = match self {
            Form::Int8 => ((largest(weights) / 127.0).to_bits(), -127.0, 127.0),
            Form::Int4 => {
                let (low, high) = (
                    lowest(weights.iter().copied()),
                    -lowest(weights.iter().map(|v| -v)),
                );
                let [scale, shift] = [(high - low) / 15.0, low].map(bf16::from_f32);
                let kept = u32::from(shift.to_bits()) << 16 | u32::from(scale.to_bits());
                (kept, 0.0, 15.0)
            }
        };
        let (scale, shift) = self.scale(kept);
        let inverse = inverse(scale);
        let mut whole = [0; GROUP];
        for (q, v) in whole.iter_mut().zip(weights) {
            *q = ((v - shift) * inverse).round_ties_even().clamp(least, most) as i32;
        }
        (kept, whole)
    }

    /// Scale and shift of what is kept of them.
    #[inline(always)]
    pub fn scale(self, kept: u32) -> (f32, f32) {
        match self {
            Form::Int8 => (f32::from_bits(kept), 0.0),
            Form::Int4 => (
                f32::from_bits(kept << 16),
                f32::from_bits(kept & 0xffff_0000),
            ),
        }
    }

    /// Writes a row's group.
    fn put(self, group: &mut [u8], lane: usize, whole: &[i32; GROUP]) {
        let at = |i: usize| (i / 4 * NR + lane) * 4 + i % 4;
        let byte = |i: usize| (whole[i] + self.zero()) as u8;
        match self {
            Form::Int8 => (0..GROUP).for_each(|i| group[at(i)] = byte(i)),
            Form::Int4 => {
                (0..GROUP / 2).for_each(|i| group[at(i)] = byte(i) | byte(i + GROUP / 2) << 4)
            }
        }
    }

    /// A row's weight `i` of a group.
    fn get(self, group: &[u8], lane: usize, i: usize) -> f32 {
        let byte = match self {
            Form::Int8 => group[(i / 4 * NR + lane) * 4 + i % 4],
            Form::Int4 => {
                let (i, high) = (i % (GROUP / 2), i / (GROUP / 2));
                group[(i / 4 * NR + lane) * 4 + i % 4] >> (4 * high) & 15
            }
        };
        (i32::from(byte) - self.zero()) as f32
    }
}

/// Panels of 32 rows: `[panel][group][GROUP / 4][NR][4]` bytes, or half as many of half bytes, of which the
/// lower are the group's first half; and `[panel][group][NR]` scales, in int8 an f32, in int4 a scale and a
/// shift in bf16.
pub(in super::super) struct QuantisedPanels {
    form: Form,
    bytes: Vec<[u8; 64]>,
    scales: Vec<u32>,
    groups: usize,
}

impl QuantisedPanels {
    /// Quantises a row-major matrix `w` `[n, k]`.
    pub fn new(form: Form, w: &[f32], n: usize, k: usize) -> QuantisedPanels {
        let (panels, groups) = (n.div_ceil(NR), k.div_ceil(GROUP));
        let group_bytes = form.group_bytes();
        let mut bytes = vec![[0u8; 64]; panels * groups * group_bytes / 64];
        let mut scales = vec![0u32; panels * groups * NR];
        if groups > 0 {
            let all_bytes = Rows::new(bytes.as_flattened_mut(), groups * group_bytes);
            let all_scales = Rows::new(&mut scales, groups * NR);
            parallel::run(panels, |panel| {
                let (bytes, scales) = (all_bytes.take(panel), all_scales.take(panel));
                for (lane, row) in (panel * NR..n.min((panel + 1) * NR)).enumerate() {
                    let weights = w[row * k..(row + 1) * k].chunks(GROUP);
                    for (g, weights) in weights.enumerate() {
                        let (scale, whole) = form.quantise(weights);
                        scales[g * NR + lane] = scale;
                        form.put(&mut bytes[g * group_bytes..][..group_bytes], lane, &whole);
                    }
                }
            });
        }
        QuantisedPanels {
            form,
            bytes,
            scales,
            groups,
        }
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// Groups of a row.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        64 * self.bytes.len() + 4 * self.scales.len()
    }

    /// Writes row `row` in f32 to `out`.
    pub fn row_into(&self, row: usize, out: &mut [f32]) {
        let lane = row % NR;
        let (bytes, scales) = self.panel(row / NR);
        let groups = bytes.chunks_exact(self.form.group_bytes());
        for ((out, group), scales) in out.chunks_mut(GROUP).zip(groups).zip(scales.chunks(NR)) {
            let (scale, shift) = self.form.scale(scales[lane]);
            for (i, o) in out.iter_mut().enumerate() {
                *o = self.form.get(group, lane, i) * scale + shift;
            }
        }
    }

    /// A panel's bytes and scales.
    pub fn panel(&self, panel: usize) -> (&[u8], &[u32]) {
        let (bytes, scales) = (self.groups * self.form.group_bytes(), self.groups * NR);
        (
            &self.bytes.as_flattened()[panel * bytes..][..bytes],
            &self.scales[panel * scales..][..scales],
        )
    }
}

/// The largest magnitude of a group at most. What is not a number counts as the largest.
#[inline(always)]
pub(super) fn largest(group: &[f32]) -> f32 {
    let mut sizes = [0.0f32; GROUP];
    for (size, v) in sizes.iter_mut().zip(group) {
        *size = v.abs();
    }
    // By halves, which the compiler vectorises.
    let mut half = GROUP / 2;
    while half > 0 {
        for i in 0..half {
            let (a, b) = (sizes[i], sizes[i + half]);
            sizes[i] = if b > a || b.is_nan() { b } else { a };
        }
        half /= 2;
    }
    sizes[0]
}

/// The lowest weight. What is not a number counts as the lowest.
fn lowest(group: impl Iterator<Item = f32>) -> f32 {
    let lower = |a: f32, v: f32| match v < a || v.is_nan() {
        true => v,
        false => a,
    };
    group.fold(f32::INFINITY, lower)
}

/// 0 where there is none. What is not a number makes the scale so too, since no whole number can.
#[inline(always)]
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}
