//! Fragment layouts: the ISA's formulas, one section after the other, and that each lays the matrix
//! out whole.

use crate::sections::{SECTIONS, Section, plus, split};
use simt::numeric::matrix::fragment::{self, Layout, Shape, quad};
use simt::numeric::matrix::{ldmatrix, wgmma};
use std::collections::BTreeSet;

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
