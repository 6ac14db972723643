//! Which element of A, B, C and D each lane's registers hold in `mma.sync`
//! (ISA, "Matrix multiply-accumulate operation using mma instruction", one section per shape).
//!
//! All shapes but `.m8n8k4` of `.f16` follow one scheme. With `group = lane / 4`, `rank = lane % 4` and
//! `e` elements to a register, register `r` of A is an 8 × 4e block: its row is the group, its columns
//! the `e` from `e · rank` on; blocks go down the rows first, then along k. B is the same with k
//! downwards and one block row. C and D hold pairs of a row.

/// `.shape` of `mma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of A, C and D.
    pub m: usize,
    /// Columns of B, C and D.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
}

impl Shape {
    /// `.mMnNkK`.
    pub const fn new(m: usize, n: usize, k: usize) -> Shape {
        Shape { m, n, k }
    }

    /// Registers of A in each lane, where a register holds `per_register` elements.
    pub const fn a_registers(self, per_register: usize) -> usize {
        self.m * self.k / (32 * per_register)
    }

    /// Registers of B in each lane.
    pub const fn b_registers(self, per_register: usize) -> usize {
        self.n * self.k / (32 * per_register)
    }

    /// Elements of C and D in each lane.
    pub const fn c_elements(self) -> usize {
        self.m * self.n / 32
    }
}

/// Row and column.
pub type Position = (usize, usize);

/// Row and column of element `i` of A in `lane`; `i` counts through the registers from the low bits.
#[inline(always)]
pub fn a(shape: Shape, per_register: usize, lane: usize, i: usize) -> Position {
    let (group, rank) = (lane / 4, lane % 4);
    let (register, element) = (i / per_register, i % per_register);
    let blocks_down = shape.m / 8;
    let (down, along) = (register % blocks_down, register / blocks_down);
    (
        group + 8 * down,
        (4 * along + rank) * per_register + element,
    )
}

/// Row (k) and column (n) of element `i` of B in `lane`.
#[inline(always)]
pub fn b(per_register: usize, lane: usize, i: usize) -> Position {
    let (group, rank) = (lane / 4, lane % 4);
    let (register, element) = (i / per_register, i % per_register);
    ((4 * register + rank) * per_register + element, group)
}

/// Row and column of element `i` of C and D in `lane`.
#[inline(always)]
pub fn c(lane: usize, i: usize) -> Position {
    let (group, rank) = (lane / 4, lane % 4);
    (group + 8 * (i / 2), 2 * rank + i % 2)
}

/// `.alayout`, `.blayout` of `mma.m8n8k4` with `.f16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `.row`.
    Row,
    /// `.col`.
    Col,
}

/// Layouts of `mma.m8n8k4` with `.f16`: four products at once, one for each set of eight lanes
/// (ISA, "Matrix Fragments for mma.m8n8k4 with .f16 floating point type").
pub mod quad {
    use super::{Layout, Position};

    /// Which of the four products a lane takes part in.
    #[inline(always)]
    pub fn product(lane: usize) -> usize {
        lane % 16 / 4
    }

    /// Row and column of element `i` of A.
    #[inline(always)]
    pub fn a(layout: Layout, lane: usize, i: usize) -> Position {
        match layout {
            Layout::Row => (lane % 4 + lane / 16 * 4, i),
            Layout::Col => (i + lane / 16 * 4, lane % 4),
        }
    }

    /// Row (k) and column (n) of element `i` of B.
    #[inline(always)]
    pub fn b(layout: Layout, lane: usize, i: usize) -> Position {
        match layout {
            Layout::Row => (lane % 4, i + lane / 16 * 4),
            Layout::Col => (i, lane % 4 + lane / 16 * 4),
        }
    }

    /// Row and column of element `i` of C or D of `.f16`.
    #[inline(always)]
    pub fn c_f16(lane: usize, i: usize) -> Position {
        (lane % 4 + lane / 16 * 4, i)
    }

    /// Row and column of element `i` of C or D of `.f32`.
    #[inline(always)]
    pub fn c_f32(lane: usize, i: usize) -> Position {
        (
            (lane & 1) + (i & 2) + lane / 16 * 4,
            (i & 4) + (lane & 2) + (i & 1),
        )
    }
}
