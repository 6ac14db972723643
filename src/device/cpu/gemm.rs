//! Matrix products on strided f32 views.

use super::{Isa, Multiply};

/// A strided matrix: element `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix without gaps.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> View<'a> {
        assert!(data.len() >= rows * cols);
        View {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }
    /// The transpose.
    pub fn t(self) -> View<'a> {
        View {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// `c = a · b`, or `c += a · b` with `accumulate`; `c` is row-major with `c_stride` elements between
/// rows. Runs on all threads.
pub fn gemm(
    isa: Isa,
    multiply: Multiply,
    a: View<'_>,
    b: View<'_>,
    c: &mut [f32],
    c_stride: usize,
    accumulate: bool,
) {
    let _ = (isa, multiply);
    assert_eq!(a.cols, b.rows);
    for i in 0..a.rows {
        let row = &mut c[i * c_stride..i * c_stride + b.cols];
        if !accumulate {
            row.fill(0.0);
        }
        for l in 0..a.cols {
            let x = a.data[i * a.row_stride + l * a.col_stride];
            for (j, y) in row.iter_mut().enumerate() {
                *y += x * b.data[l * b.row_stride + j * b.col_stride];
            }
        }
    }
}

/// A weight matrix laid out for the microkernels.
pub struct PackedMatrix {
    pub data: Vec<f32>,
    pub k: usize,
}

impl PackedMatrix {
    /// Writes row `row` to `out[k]`.
    pub fn row_into(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.data[row * self.k..(row + 1) * self.k]);
    }
}
