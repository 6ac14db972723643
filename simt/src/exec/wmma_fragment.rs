//! Fragments of `wmma`, whose layout a program does not know (PTX ISA, "Matrix Fragments for WMMA").
//!
//! A and B lie in the lanes in the order of their rows; C and D as `mma` has them, since programs are known
//! that count on it. f16 operands have more registers than elements: the rest is zero.

use super::program::Place;
use super::warp::Warp;
use crate::numeric::matrix::fragment;
use crate::ptx::types::Type::{self, *};

/// m, n and k by name.
pub const SHAPES: [(&str, [usize; 3]); 7] = [
    ("m16n16k16", [16, 16, 16]),
    ("m8n32k16", [8, 32, 16]),
    ("m32n8k16", [32, 8, 16]),
    ("m16n16k8", [16, 16, 8]),
    ("m8n8k4", [8, 8, 4]),
    ("m8n8k32", [8, 8, 32]),
    ("m8n8k128", [8, 8, 128]),
];
/// Element types.
pub const TYPES: [Type; 11] = [F16, Bf16, Tf32, F64, S8, U8, S4, U4, B1, F32, S32];

/// Which matrix a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    A,
    B,
    C,
}

/// Them by number.
pub const MATRICES: [Matrix; 3] = [Matrix::A, Matrix::B, Matrix::C];

/// Elements of a fragment and where they lie.
#[derive(Debug, Clone, Copy)]
pub struct Fragment {
    pub matrix: Matrix,
    pub shape: [usize; 3],
    pub ty: Type,
}

impl Fragment {
    /// Rows and columns.
    pub fn extent(self) -> [usize; 2] {
        let [m, n, k] = self.shape;
        match self.matrix {
            Matrix::A => [m, k],
            Matrix::B => [k, n],
            Matrix::C => [m, n],
        }
    }

    /// Whether PTX has such a fragment.
    pub fn is_allowed(self) -> bool {
        let sixteen = self.shape[2] == 16;
        match (self.matrix, self.ty) {
            (Matrix::C, F32) => sixteen || self.shape[2] == 8,
            (Matrix::C, F16) => sixteen,
            (Matrix::C, S32) => sixteen || matches!(self.shape[2], 32 | 128),
            (_, F64) => self.shape[2] == 4,
            (Matrix::C, _) => false,
            (_, F16 | Bf16 | S8 | U8) => sixteen,
            (_, Tf32) => self.shape[2] == 8,
            (_, S4 | U4) => self.shape[2] == 32,
            (_, B1) => self.shape[2] == 128,
            _ => false,
        }
    }

    /// Elements of a lane.
    fn elements(self) -> usize {
        self.extent().iter().product::<usize>() / 32
    }

    fn per_register(self) -> usize {
        (32 / self.ty.bits() as usize).max(1)
    }

    /// Registers of a lane, and their type.
    pub fn registers(self) -> (usize, Type) {
        match self.ty {
            F64 => (self.elements(), F64),
            F16 if self.matrix != Matrix::C => (8, B32),
            _ => (self.elements() / self.per_register(), B32),
        }
    }

    /// Row and column of an element of a lane.
    fn place(self, lane: usize, i: usize) -> [usize; 2] {
        let (group, rank) = (lane / 4, lane % 4);
        match (self.matrix, self.shape) {
            (Matrix::C, [16, 16, _]) => {
                let (row, column) = fragment::c(lane, i % 4);
                [row, column + 8 * (i / 4)]
            }
            (Matrix::C, [32, ..]) => {
                let (row, column) = fragment::c(lane, i % 4);
                [row + 16 * (i / 4), column]
            }
            (Matrix::C, _) => [group, 2 * rank + i % 2 + 8 * (i / 2)],
            _ => {
                let at = lane * self.elements() + i;
                let columns = self.extent()[1];
                [at / columns, at % columns]
            }
        }
    }

    /// Reads all elements, by rows, as bits.
    ///
    /// # Safety
    /// The places are rows of the fragment's registers.
    pub unsafe fn read(self, w: &Warp, places: &[Place]) -> Vec<u64> {
        let columns = self.extent()[1];
        let (bits, per_register) = (self.ty.bits(), self.per_register());
        let mut matrix = vec![0; 32 * self.elements()];
        for i in 0..self.elements() {
            // SAFETY: the decoder took that many registers of this width.
            let row: [u64; 32] = unsafe {
                match bits {
                    64 => *w.row::<u64>(places[i]),
                    _ => w.row::<u32>(places[i / per_register]).map(u64::from),
                }
            };
            for lane in 0..32 {
                let [r, c] = self.place(lane, i);
                let shift = (i % per_register) as u32 * bits;
                matrix[r * columns + c] = row[lane] >> shift & mask_of(bits);
            }
        }
        matrix
    }

    /// Writes all elements.
    ///
    /// # Safety
    /// As for [`Fragment::read`].
    pub unsafe fn write(self, w: &mut Warp, places: &[Place], lanes: u32, matrix: &[u64]) {
        let columns = self.extent()[1];
        let (bits, per_register) = (self.ty.bits(), self.per_register());
        let value = |lane: usize, i: usize| {
            let [r, c] = self.place(lane, i);
            matrix[r * columns + c]
        };
        for (at, place) in places.iter().enumerate() {
            let first = at * per_register;
            // SAFETY: as for `read`.
            unsafe {
                if bits == 64 {
                    let row: [u64; 32] = std::array::from_fn(|lane| value(lane, at));
                    w.put(*place, lanes, &row);
                    continue;
                }
                let row: [u32; 32] = std::array::from_fn(|lane| {
                    let parts = first..(first + per_register).min(self.elements());
                    parts.fold(0, |all, i| {
                        all | (value(lane, i) as u32) << ((i - first) as u32 * bits)
                    })
                });
                w.put(*place, lanes, &row);
            }
        }
    }
}

/// That many low bits.
pub fn mask_of(bits: u32) -> u64 {
    !0 >> (64 - bits)
}
