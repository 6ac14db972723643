//! The ISA's formulas of rows and columns, one section of "Matrix Fragments for mma" after the other.

use simt::numeric::matrix::fragment::Shape;

pub type Formula = fn(usize, usize) -> (usize, usize);

/// A section: shape, elements to a register, formulas of A and B as functions of lane and `i`.
pub struct Section {
    pub shape: Shape,
    pub per_register: usize,
    pub a: Formula,
    pub b: Formula,
}

/// `groupID` and `threadID_in_group`.
pub fn split(lane: usize) -> (usize, usize) {
    (lane >> 2, lane % 4)
}

const fn section(
    shape: (usize, usize, usize),
    per_register: usize,
    a: Formula,
    b: Formula,
) -> Section {
    Section {
        shape: Shape::new(shape.0, shape.1, shape.2),
        per_register,
        a,
        b,
    }
}

/// `first` if the condition holds, else `first + more`.
pub fn plus(first: usize, more: usize, condition: bool) -> usize {
    if condition { first } else { first + more }
}

pub const SECTIONS: [Section; 17] = [
    // mma.m8n8k4 with .f64
    section(
        (8, 8, 4),
        1,
        |l, _| {
            let (g, t) = split(l);
            (g, t)
        },
        |l, _| {
            let (g, t) = split(l);
            (t, g)
        },
    ),
    // mma.m8n8k16 with .s8, .u8
    section(
        (8, 8, 16),
        4,
        |l, i| {
            let (g, t) = split(l);
            (g, t * 4 + i)
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 4 + i, g)
        },
    ),
    // mma.m8n8k32 with .s4, .u4
    section(
        (8, 8, 32),
        8,
        |l, i| {
            let (g, t) = split(l);
            (g, t * 8 + i)
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 8 + i, g)
        },
    ),
    // mma.m8n8k128 with .b1
    section(
        (8, 8, 128),
        32,
        |l, i| {
            let (g, t) = split(l);
            (g, t * 32 + i)
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 32 + i, g)
        },
    ),
    // mma.m16n8k4 with .tf32 and .f64
    section(
        (16, 8, 4),
        1,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i == 0), t)
        },
        |l, _| {
            let (g, t) = split(l);
            (t, g)
        },
    ),
    // mma.m16n8k8 with .f16, .bf16
    section(
        (16, 8, 8),
        2,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i < 2), t * 2 + (i & 1))
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 2 + i, g)
        },
    ),
    // mma.m16n8k8 with .tf32 and .f64
    section(
        (16, 8, 8),
        1,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i == 0 || i == 2), plus(t, 4, i < 2))
        },
        |l, i| {
            let (g, t) = split(l);
            (plus(t, 4, i == 0), g)
        },
    ),
    // mma.m16n8k16 with .f16, .bf16
    section(
        (16, 8, 16),
        2,
        |l, i| {
            let (g, t) = split(l);
            (
                plus(g, 8, i < 2 || (4..6).contains(&i)),
                plus(t * 2 + (i & 1), 8, i < 4),
            )
        },
        |l, i| {
            let (g, t) = split(l);
            (plus(t * 2 + (i & 1), 8, i < 2), g)
        },
    ),
    // mma.m16n8k16 with .f64
    section(
        (16, 8, 16),
        1,
        |l, i| {
            let (g, t) = split(l);
            if i % 2 == 0 {
                (g, i * 2 + t)
            } else {
                (g + 8, i * 2 - 2 + t)
            }
        },
        |l, i| {
            let (g, t) = split(l);
            (t + i * 4, g)
        },
    ),
    // mma.m16n8k16 with .s8, .u8 (.e4m3, .e5m2)
    section(
        (16, 8, 16),
        4,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i < 4), t * 4 + (i & 3))
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 4 + i, g)
        },
    ),
    // mma.m16n8k32 with .s4, .u4
    section(
        (16, 8, 32),
        8,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i < 8), t * 8 + (i & 7))
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 8 + (i & 7), g)
        },
    ),
    // mma.m16n8k32 with .s8, .u8, .e4m3, .e5m2
    section(
        (16, 8, 32),
        4,
        |l, i| {
            let (g, t) = split(l);
            (
                plus(g, 8, i < 4 || (8..12).contains(&i)),
                plus(t * 4 + (i & 3), 16, i < 8),
            )
        },
        |l, i| {
            let (g, t) = split(l);
            (plus(t * 4 + (i & 3), 16, i < 4), g)
        },
    ),
    // mma.m16n8k64 with .s4, .u4
    section(
        (16, 8, 64),
        8,
        |l, i| {
            let (g, t) = split(l);
            (
                plus(g, 8, i < 8 || (16..24).contains(&i)),
                plus(t * 8 + (i & 7), 32, i < 16),
            )
        },
        |l, i| {
            let (g, t) = split(l);
            (plus(t * 8 + (i & 7), 32, i < 8), g)
        },
    ),
    // mma.m16n8k128 with .b1
    section(
        (16, 8, 128),
        32,
        |l, i| {
            let (g, t) = split(l);
            (plus(g, 8, i < 32), t * 32 + (i & 0x1f))
        },
        |l, i| {
            let (g, t) = split(l);
            (t * 32 + i, g)
        },
    ),
    // mma.m16n8k256 with .b1; the ISA leaves out a mask for i of 32 to 63, without which columns
    // would be held twice.
    section(
        (16, 8, 256),
        32,
        |l, i| {
            let (g, t) = split(l);
            let row = plus(g, 8, i < 32 || (64..96).contains(&i));
            (row, plus(t * 32 + (i & 0x1f), 128, i < 64))
        },
        |l, i| {
            let (g, t) = split(l);
            (plus(t * 32 + (i & 0x1f), 128, i < 32), g)
        },
    ),
    // wgmma.m64nNk16 in registers, first warp, is mma.m16n8k16.
    section(
        (16, 8, 16),
        2,
        |l, i| (l / 4 + 8 * (i / 2 % 2), l % 4 * 2 + i % 2 + 8 * (i / 4)),
        |l, i| (l % 4 * 2 + i % 2 + 8 * (i / 2), l / 4),
    ),
    // wgmma.m64nNk32 in registers, first warp, is mma.m16n8k32.
    section(
        (16, 8, 32),
        4,
        |l, i| (l / 4 + 8 * (i / 4 % 2), l % 4 * 4 + i % 4 + 16 * (i / 8)),
        |l, i| (l % 4 * 4 + i % 4 + 16 * (i / 4), l / 4),
    ),
];
