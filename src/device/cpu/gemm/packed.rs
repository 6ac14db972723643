//! Weights packed once for inference.

use super::kernel::Lanes;
use super::pack::Panels;
use super::quantised::{self, Form, QuantisedPanels};
use super::{MR, NR, Output, View, multiply_panels};
use crate::device::cpu::Isa;
use crate::ops::linear::WeightFormat;
use std::cell::RefCell;
use std::ops::Range;

/// A weight matrix `[n, k]` in panels of `NR` rows, as the microkernels read it.
pub struct PackedMatrix {
    n: usize,
    k: usize,
    data: Data,
}

enum Data {
    F32(Panels),
    Bf16(Panels),
    Quantised(QuantisedPanels),
}

thread_local! {
    static ROWS: RefCell<Panels> = const { RefCell::new(Panels::new()) };
}

impl PackedMatrix {
    /// Packs a row-major matrix `w` `[n, k]`.
    pub fn new(isa: Isa, w: &[f32], n: usize, k: usize, format: WeightFormat) -> PackedMatrix {
        let quantised = |form| Data::Quantised(QuantisedPanels::new(form, w, n, k));
        let data = match format {
            WeightFormat::F32 => Data::F32(Panels::new()),
            WeightFormat::Bf16 => Data::Bf16(Panels::new()),
            WeightFormat::Int8 => quantised(Form::Int8),
            WeightFormat::Int4 => quantised(Form::Int4),
        };
        let mut packed = PackedMatrix { n, k, data };
        if !matches!(packed.data, Data::Quantised(_)) {
            packed.fill(isa, w);
        }
        packed
    }

    /// Packs other values, of the same shape, in their place.
    pub fn fill(&mut self, isa: Isa, w: &[f32]) {
        let view = View::new(w, self.n, self.k);
        match &mut self.data {
            Data::F32(panels) => panels.fill(isa, Lanes::F32, view, NR),
            Data::Bf16(panels) => panels.fill(isa, Lanes::Bf16, view, NR),
            Data::Quantised(panels) => {
                *panels = QuantisedPanels::new(panels.form(), w, self.n, self.k)
            }
        }
    }

    /// Rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns.
    pub fn k(&self) -> usize {
        self.k
    }

    /// What a weight is kept in.
    pub fn format(&self) -> WeightFormat {
        match &self.data {
            Data::F32(_) => WeightFormat::F32,
            Data::Bf16(_) => WeightFormat::Bf16,
            Data::Quantised(p) => p.form().format(),
        }
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::F32(p) | Data::Bf16(p) => 4 * p.view().len(),
            Data::Quantised(p) => p.bytes(),
        }
    }

    /// Writes row `row` in f32 to `out[k]`.
    pub fn row_into(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.n && out.len() == self.k,
            "row {row} of {} × {}",
            self.n,
            self.k
        );
        let (panel, lane) = (row / NR, row % NR);
        match &self.data {
            Data::F32(p) => {
                let panel = &p.view()[panel * NR * self.k..];
                for (l, o) in out.iter_mut().enumerate() {
                    *o = panel[l * NR + lane];
                }
            }
            Data::Bf16(p) => {
                let panel = &p.view()[panel * NR * self.k.div_ceil(2)..];
                for (l, o) in out.iter_mut().enumerate() {
                    let bits = panel[l / 2 * NR + lane].to_bits();
                    let half = if l % 2 == 0 {
                        bits << 16
                    } else {
                        bits & 0xffff_0000
                    };
                    *o = f32::from_bits(half);
                }
            }
            Data::Quantised(p) => p.row_into(row, out),
        }
    }
}

/// `y[m, n] (+)= x[m, k] · wᵀ`.
pub fn multiply_packed(
    isa: Isa,
    x: &[f32],
    m: usize,
    w: &PackedMatrix,
    y: &mut [f32],
    accumulate: bool,
) {
    multiply_packed_rows(isa, x, m, w, 0..w.n, y, accumulate);
}

/// `y[m, rows.len()] (+)= x[m, k] · w[rows]ᵀ`; `rows` starts at a multiple of 32.
pub fn multiply_packed_rows(
    isa: Isa,
    x: &[f32],
    m: usize,
    w: &PackedMatrix,
    rows: Range<usize>,
    y: &mut [f32],
    accumulate: bool,
) {
    assert!(
        rows.start.is_multiple_of(NR) && rows.end <= w.n,
        "rows of a packed matrix"
    );
    if m == 0 || rows.is_empty() {
        return;
    }
    let (n, k, first) = (rows.len(), w.k, rows.start);
    let output = Output::new(y, n, m, n, accumulate);
    let product = |lanes: Lanes, panels: &Panels| {
        ROWS.with_borrow_mut(|a| {
            a.fill(isa, lanes, View::new(x, m, k), MR);
            let b = &panels.view()[first * lanes.b_words(k)..];
            multiply_panels(isa, lanes, (m, n, k), a.view(), b, &output);
        });
    };
    match &w.data {
        Data::F32(p) => product(Lanes::F32, p),
        Data::Bf16(p) => product(Lanes::for_bf16_weights(isa), p),
        Data::Quantised(p) => quantised::multiply(isa, View::new(x, m, k), p, first, n, &output),
    }
}
