//! The `wgmma` matrix descriptor against the ISA's canonical layouts and examples, evaluated as CuTe
//! defines layouts: a coordinate is split into modes, from the first on, and each is multiplied by its
//! stride.

use simt::numeric::matrix::descriptor::{Descriptor, Major, Swizzle};
use std::collections::BTreeSet;

/// One mode of a layout: extents and strides in elements, the first fastest.
type Mode<'a> = &'a [(u32, u32)];

fn offset(mode: Mode, mut coordinate: u32) -> u32 {
    let mut sum = 0;
    for &(extent, stride) in mode {
        sum += coordinate % extent * stride;
        coordinate /= extent;
    }
    assert_eq!(coordinate, 0, "the coordinate lies outside");
    sum
}

/// CuTe's `Swizzle<b, 4, 3>` on a byte address: bits 4 to 4 + b − 1 XORed with those 3 above.
fn swizzled(b: u32, address: u32) -> u32 {
    let mask = ((1 << b) - 1) << (4 + 3);
    address ^ (address & mask) >> 3
}

/// The register of the ISA's table of bit fields.
fn encode(start: u32, leading: u32, stride: u32, base: u32, mode: u64) -> u64 {
    let field = |x: u32| u64::from((x & 0x3ffff) >> 4);
    field(start) | field(leading) << 16 | field(stride) << 32 | u64::from(base) << 49 | mode << 62
}

/// A case: major, swizzle bits, element bits, the modes of rows and of k as the ISA's examples print
/// them, LBO and SBO in elements.
struct Example {
    major: Major,
    b: u32,
    bits: u32,
    rows: Mode<'static>,
    k: Mode<'static>,
    leading: u32,
    stride: u32,
}

const MODES: [(u64, Swizzle); 4] = [
    (0, Swizzle::None),
    (3, Swizzle::B32),
    (2, Swizzle::B64),
    (1, Swizzle::B128),
];

/// The examples of "Canonical Layouts", with their figures' numbers.
const EXAMPLES: [Example; 5] = [
    // Swizzle<0,4,3> o ((8,2),(4,4)):((4,32),(1,64))
    Example {
        major: Major::K,
        b: 0,
        bits: 32,
        rows: &[(8, 4), (2, 32)],
        k: &[(4, 1), (4, 64)],
        leading: 64,
        stride: 32,
    },
    // Swizzle<1,4,3> o ((8,2),(4,4)):((8,64),(1,4)); its k of 16 runs over two lines, here one.
    Example {
        major: Major::K,
        b: 1,
        bits: 32,
        rows: &[(8, 8), (2, 64)],
        k: &[(4, 1), (2, 4)],
        leading: 0,
        stride: 64,
    },
    // Swizzle<0,4,3> o ((8,1,2),(8,2)):((1,8,64),(8,128))
    Example {
        major: Major::Mn,
        b: 0,
        bits: 16,
        rows: &[(8, 1), (1, 8), (2, 64)],
        k: &[(8, 8), (2, 128)],
        leading: 128,
        stride: 64,
    },
    // Swizzle<1,4,3> o ((8,2,2),(8,2)):((1,8,128),(16,256))
    Example {
        major: Major::Mn,
        b: 1,
        bits: 16,
        rows: &[(8, 1), (2, 8), (2, 128)],
        k: &[(8, 16), (2, 256)],
        leading: 128,
        stride: 256,
    },
    // Swizzle<2,4,3> o ((8,4,2),(8,2)):((1,8,256),(32,512))
    Example {
        major: Major::Mn,
        b: 2,
        bits: 16,
        rows: &[(8, 1), (4, 8), (2, 256)],
        k: &[(8, 32), (2, 512)],
        leading: 256,
        stride: 512,
    },
];

fn check(example: &Example, start: u32) {
    let Example {
        major,
        b,
        bits,
        rows,
        k,
        leading,
        stride,
    } = *example;
    let bytes = bits / 8;
    let (mode, swizzle) = MODES[b as usize];
    let descriptor = Descriptor::decode(encode(start, leading * bytes, stride * bytes, 0, mode));
    assert_eq!(descriptor.swizzle, swizzle);
    let extent = |mode: Mode| mode.iter().map(|m| m.0).product::<u32>();
    let mut addresses = BTreeSet::new();
    for row in 0..extent(rows) {
        for step in 0..extent(k) {
            let plain = start + (offset(rows, row) + offset(k, step)) * bytes;
            let got = descriptor.address(major, bits, row, step);
            assert_eq!(
                got,
                swizzled(b, plain),
                "{major:?} {swizzle:?} row {row} k {step}"
            );
            assert!(addresses.insert(got), "two elements share an address");
        }
    }
}

#[test]
fn examples_of_the_isa() {
    for example in &EXAMPLES {
        for start in [0, 1024, 3072, 0x2_0000] {
            check(example, start);
        }
    }
}

/// The table of canonical layouts for element types of 8, 16 and 32 bits, tiles of 64 and 256 rows.
#[test]
fn canonical_layouts() {
    for bits in [8, 16, 32] {
        let t = 128 / bits;
        // K = 32 bytes in every wgmma.
        let k = 2 * t;
        for b in 0..4 {
            let s = 1 << b;
            for rows in [64, 256] {
                // Strides of tiles that are packed and of tiles that leave room.
                for spread in [1, 2] {
                    let groups = rows / 8;
                    if b == 0 {
                        let (sbo, lbo) = (8 * t * spread, 8 * t * spread * groups);
                        check_table(
                            Major::K,
                            b,
                            bits,
                            &[(8, t), (groups, sbo)],
                            &[(t, 1), (2, lbo)],
                            lbo,
                            sbo,
                        );
                    } else {
                        let sbo = 8 * s * t * spread;
                        check_table(
                            Major::K,
                            b,
                            bits,
                            &[(8, s * t), (groups, sbo)],
                            &[(t, 1), (2, t)],
                            0,
                            sbo,
                        );
                    }
                    if bits == 16 && rows >= s * t {
                        let m = rows / (s * t);
                        // k of 16 are two groups of 8.
                        if b == 0 {
                            let (sbo, lbo) = (8 * t * spread, 8 * t * spread * m);
                            check_table(
                                Major::Mn,
                                b,
                                bits,
                                &[(t, 1), (1, t), (m, sbo)],
                                &[(8, t), (k / 8, lbo)],
                                lbo,
                                sbo,
                            );
                        } else {
                            let lbo = 8 * s * t * spread;
                            let sbo = lbo * m;
                            check_table(
                                Major::Mn,
                                b,
                                bits,
                                &[(t, 1), (s, t), (m, lbo)],
                                &[(8, s * t), (k / 8, sbo)],
                                lbo,
                                sbo,
                            );
                        }
                    }
                }
            }
        }
    }
}

fn check_table(major: Major, b: u32, bits: u32, rows: Mode, k: Mode, leading: u32, stride: u32) {
    let bytes = bits / 8;
    let descriptor = Descriptor::decode(encode(
        1024,
        leading * bytes,
        stride * bytes,
        0,
        MODES[b as usize].0,
    ));
    let extent = |mode: Mode| mode.iter().map(|m| m.0).product::<u32>();
    for row in 0..extent(rows) {
        for step in 0..extent(k) {
            let plain = 1024 + (offset(rows, row) + offset(k, step)) * bytes;
            let got = descriptor.address(major, bits, row, step);
            assert_eq!(
                got,
                swizzled(b, plain),
                "{major:?} {b} {bits} row {row} k {step}"
            );
        }
    }
}

/// Stepping along k inside a swizzled line by moving the start address, as kernels do, addresses the
/// same elements as one descriptor of the whole tile.
#[test]
fn start_addresses_move_inside_a_line() {
    for b in 1..4u32 {
        let line = 16u32 << b;
        let whole = Descriptor::decode(encode(2048, 0, 8 * line, 0, MODES[b as usize].0));
        for step in 0..line / 32 {
            let start = 2048 + 32 * step;
            let moved = Descriptor::decode(encode(start, 0, 8 * line, 0, MODES[b as usize].0));
            for row in 0..64 {
                for k in 0..16 {
                    let got = moved.address(Major::K, 16, row, k);
                    assert_eq!(got, whole.address(Major::K, 16, row, 16 * step + k));
                }
            }
        }
    }
}

/// A pattern that starts off its boundary, with the base offset the ISA's formula gives for it, is
/// swizzled as it would be at a boundary.
#[test]
fn base_offset_moves_the_pattern() {
    for start_line in 0..8u32 {
        let start = 4096 + 128 * start_line;
        let base = start >> 7 & 7;
        let descriptor = Descriptor::decode(encode(start, 0, 1024, base, 1));
        assert_eq!(descriptor.base, base);
        let aligned = Descriptor::decode(encode(4096, 0, 1024, 0, 1));
        for row in 0..64 {
            for k in 0..16 {
                let within = descriptor.address(Major::K, 16, row, k) - start;
                assert_eq!(within, aligned.address(Major::K, 16, row, k) - 4096);
            }
        }
    }
}

#[test]
fn swizzles_permute_their_lines() {
    for (b, (_, swizzle)) in MODES.into_iter().enumerate() {
        let all: BTreeSet<u32> = (0..4096).map(|address| swizzle.apply(address)).collect();
        assert_eq!(all.len(), 4096);
        for address in 0..4096 {
            assert_eq!(swizzle.apply(address), swizzled(b as u32, address));
            assert_eq!(swizzle.apply(swizzle.apply(address)), address);
        }
    }
}

/// Tiles as Triton 3.9 lays them out for sm_90a in a product of A `[128, 64]` by B `[64, 128]`, bf16 by
/// rows: the address a thread's `cp.async` writes 16 bytes of a row to, and the descriptors of its
/// `wgmma`, which read A along k and B along n.
#[test]
fn tiles_of_a_compiler() {
    // Thread t writes columns 8 · (t % 8) of row t / 8, and of every 16th row after it.
    let a_address = |row: u32, k: u32| {
        let (thread, more) = (row % 16 * 8 + k / 8, row / 16);
        (((thread * 16) & 2032) ^ ((thread * 2) & 112)) + more * 2048
    };
    // Thread t writes columns 8 · (t % 16) of row t / 16, and of every 8th row after it.
    let b_address = |k: u32, column: u32| {
        let (thread, more) = (k % 8 * 16 + column / 8, k / 8);
        let line = (thread & 7) << 4 | (thread & 112) << 3;
        (line ^ (thread & 112) | thread << 10 & 8192) + more * 1024
    };
    for (step, k) in (0..4).flat_map(|step| (0..16).map(move |k| (step, k))) {
        for row in 0..128 {
            let start = u64::from(2 * step + row / 64 * 512);
            let a = Descriptor::decode(0x4000_0040_0000_0000 | start);
            assert_eq!((a.leading, a.stride, a.swizzle), (0, 1024, Swizzle::B128));
            let got = a.address(Major::K, 16, row % 64, k);
            let k = 16 * step + k;
            assert_eq!(got, a_address(row, k) + k % 8 * 2, "A {row} {k}");
        }
        for column in 0..128 {
            let b = Descriptor::decode(0x4000_0040_0200_0000 | u64::from(128 * step));
            assert_eq!((b.leading, b.stride), (8192, 1024));
            let got = b.address(Major::Mn, 16, column, k);
            let expected = b_address(16 * step + k, column) + column % 8 * 2;
            assert_eq!(got, expected, "B {column} {k}");
        }
    }
}
