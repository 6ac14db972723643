//! Fragment layouts: the ISA's formulas, one section after the other, and that each lays the matrix
//! out whole.

use simt::numeric::matrix::fragment::{self, Layout, Shape, quad};
use simt::numeric::matrix::{ldmatrix, wgmma};
use std::collections::BTreeSet;

type Formula = fn(usize, usize) -> (usize, usize);

/// A section: shape, elements to a register, formulas of A and B as functions of lane and `i`.
struct Section {
    shape: Shape,
    per_register: usize,
    a: Formula,
    b: Formula,
}

/// `groupID` and `threadID_in_group`.
fn split(lane: usize) -> (usize, usize) {
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
fn plus(first: usize, more: usize, condition: bool) -> usize {
    if condition { first } else { first + more }
}

const SECTIONS: [Section; 17] = [
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

/// Every position of a `rows × columns` matrix once.
fn whole(positions: impl Iterator<Item = (usize, usize)>, rows: usize, columns: usize) {
    let positions: Vec<_> = positions.collect();
    let distinct: BTreeSet<_> = positions.iter().copied().collect();
    assert_eq!(positions.len(), rows * columns);
    assert_eq!(distinct.len(), rows * columns, "an element is held twice");
    assert!(distinct.into_iter().all(|(r, c)| r < rows && c < columns));
}

fn lanes_and(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..32).flat_map(move |lane| (0..count).map(move |i| (lane, i)))
}

#[test]
fn multiplicands_follow_each_section() {
    for Section {
        shape,
        per_register,
        a,
        b,
    } in SECTIONS
    {
        let a_count = shape.a_registers(per_register) * per_register;
        let b_count = shape.b_registers(per_register) * per_register;
        for (lane, i) in lanes_and(a_count) {
            let got = fragment::a(shape, per_register, lane, i);
            assert_eq!(
                got,
                a(lane, i),
                "A of {shape:?}, {per_register}, lane {lane}, a{i}"
            );
        }
        for (lane, i) in lanes_and(b_count) {
            let got = fragment::b(per_register, lane, i);
            assert_eq!(
                got,
                b(lane, i),
                "B of {shape:?}, {per_register}, lane {lane}, b{i}"
            );
        }
        whole(
            lanes_and(a_count).map(|(l, i)| fragment::a(shape, per_register, l, i)),
            shape.m,
            shape.k,
        );
        whole(
            lanes_and(b_count).map(|(l, i)| fragment::b(per_register, l, i)),
            shape.k,
            shape.n,
        );
    }
}

#[test]
fn accumulators_follow_the_sections() {
    for (m, count) in [(8, 2), (16, 4)] {
        for (lane, i) in lanes_and(count) {
            let (g, t) = split(lane);
            let expected = (plus(g, 8, i < 2), t * 2 + (i & 1));
            assert_eq!(fragment::c(lane, i), expected, "lane {lane}, c{i}");
        }
        assert_eq!(Shape::new(m, 8, 4).c_elements(), count);
        whole(lanes_and(count).map(|(l, i)| fragment::c(l, i)), m, 8);
    }
}

#[test]
fn quads_follow_their_section() {
    for (lane, i) in lanes_and(8) {
        let (low, x) = (lane < 16, lane % 4);
        assert_eq!(quad::c_f16(lane, i), (plus(x, 4, low), i));
        let row = (lane & 0b1) + (i & 0b10);
        assert_eq!(
            quad::c_f32(lane, i),
            (plus(row, 4, low), (i & 0b100) + (lane & 0b10) + (i & 0b1))
        );
    }
    for (lane, i) in lanes_and(4) {
        let (low, x) = (lane < 16, lane % 4);
        assert_eq!(quad::a(Layout::Row, lane, i), (plus(x, 4, low), i));
        assert_eq!(quad::a(Layout::Col, lane, i), (plus(i % 4, 4, low), x));
        assert_eq!(quad::b(Layout::Row, lane, i), (x, plus(i, 4, low)));
        assert_eq!(quad::b(Layout::Col, lane, i), (i, plus(x, 4, low)));
    }
    // The table of "MMA Computation" and its lanes.
    let computations = [
        (0..4, 16..20),
        (4..8, 20..24),
        (8..12, 24..28),
        (12..16, 28..32),
    ];
    for (computation, (low, high)) in computations.into_iter().enumerate() {
        assert!(
            low.chain(high)
                .all(|lane| quad::product(lane) == computation)
        );
        let own =
            |count| lanes_and(count).filter(move |&(lane, _)| quad::product(lane) == computation);
        for layout in [Layout::Row, Layout::Col] {
            whole(own(4).map(|(l, i)| quad::a(layout, l, i)), 8, 4);
            whole(own(4).map(|(l, i)| quad::b(layout, l, i)), 4, 8);
        }
        whole(own(8).map(|(l, i)| quad::c_f16(l, i)), 8, 8);
        whole(own(8).map(|(l, i)| quad::c_f32(l, i)), 8, 8);
    }
}

#[test]
fn warpgroup_registers() {
    for n in [8, 24, 128, 256] {
        let held = (0..128).flat_map(|t| (0..n / 2).map(move |i| (t, i)));
        whole(held.clone().map(|(t, i)| wgmma::d(t, i)), 64, n);
        for (thread, i) in held {
            // Figure "WGMMA .m64nNk16 register fragment layout for accumulator matrix D".
            let row = 16 * (thread / 32) + thread % 32 / 4 + if i % 4 < 2 { 0 } else { 8 };
            let column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
            assert_eq!(wgmma::d(thread, i), (row, column));
        }
    }
    for (per_register, k) in [(1, 8), (2, 16), (4, 32), (32, 256)] {
        let count = 4 * per_register;
        let held = (0..128).flat_map(|t| (0..count).map(move |i| (t, i)));
        whole(held.map(|(t, i)| wgmma::a(per_register, t, i)), 64, k);
        for (lane, i) in lanes_and(count) {
            let shape = Shape::new(16, 8, k);
            let (row, column) = fragment::a(shape, per_register, lane, i);
            assert_eq!(wgmma::a(per_register, 64 + lane, i), (32 + row, column));
        }
    }
}

#[test]
fn matrices_load_and_store() {
    // Element (r, c) is 8r + c, in rows of 16 bytes.
    let rows: [[u32; 4]; 8] = std::array::from_fn(|r| {
        std::array::from_fn(|w| ((8 * r + 2 * w + 1) << 16 | (8 * r + 2 * w)) as u32)
    });
    for trans in [false, true] {
        let registers = ldmatrix::load(trans, &rows);
        for (lane, half) in lanes_and(2) {
            let got = registers[lane] >> (16 * half) & 0xffff;
            // Lane 4r + j receives columns 2j and 2j + 1 of row r; with .trans, of column r.
            let (r, c) = (lane / 4, 2 * (lane % 4) + half);
            let expected = if trans { 8 * c + r } else { 8 * r + c };
            assert_eq!(
                got as usize, expected,
                "trans {trans}, lane {lane}, half {half}"
            );
            assert_eq!(
                ldmatrix::element(trans, lane, half),
                (expected / 8, expected % 8)
            );
        }
        assert_eq!(ldmatrix::store(trans, &registers), rows);
    }
    assert_eq!(
        ldmatrix::transpose(&ldmatrix::load(false, &rows)),
        ldmatrix::load(true, &rows)
    );
    assert_eq!(
        (ldmatrix::address_lane(0, 7), ldmatrix::address_lane(3, 0)),
        (7, 24)
    );
}
