//! Floating-point `mma` against matrices multiplied plainly: A and B drawn, laid into registers by the
//! ISA's formulas (checked in `fragments`), D read back and compared with sums in f64.

use crate::reference::{self as exact, Spec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use simt::numeric::Rounding;
use simt::numeric::matrix::element::Element;
use simt::numeric::matrix::fragment::{self, Shape};
use simt::numeric::matrix::{mma, product};

const FLOATS: [(Element, Spec); 8] = [
    (Element::F16, exact::F16),
    (Element::Bf16, exact::BF16),
    (Element::Tf32, exact::TF32),
    (Element::E4m3, exact::E4M3),
    (Element::E5m2, exact::E5M2),
    (Element::E3m2, exact::E3M2),
    (Element::E2m3, exact::E2M3),
    (Element::E2m1, exact::E2M1),
];

fn spec(element: Element) -> Spec {
    FLOATS.into_iter().find(|f| f.0 == element).unwrap().1
}

/// Where in its container a code lies: tf32 is the top of a word, e2m1 the middle of a byte.
fn place(element: Element, code: u32) -> u32 {
    match element {
        Element::Tf32 => code << 13 | 0x1abc & 0x1fff,
        Element::E2m1 => code << 2,
        _ => code,
    }
}

/// Pseudo-random words of a seed (splitmix64).
pub struct Words(pub u64);

impl Words {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
    }

    /// A finite code of moderate size, so that sums round but do not overflow.
    pub fn code(&mut self, spec: &Spec) -> u32 {
        loop {
            let code = self.next() & ((1u64 << spec.bits()) - 1) as u32;
            let value = spec.decode(u64::from(code)).abs();
            if value <= 64.0 && (value >= 1e-6 || value == 0.0) {
                return code;
            }
        }
    }
}

pub type Matrix = Vec<Vec<f64>>;

/// Draws an operand of `rows × columns` and lays it into registers.
fn draw(
    words: &mut Words,
    element: Element,
    (rows, columns): (usize, usize),
    position: impl Fn(usize, usize) -> (usize, usize),
) -> (Matrix, Vec<[u32; 32]>) {
    let spec = spec(element);
    let codes: Vec<Vec<u32>> = (0..rows)
        .map(|_| (0..columns).map(|_| words.code(&spec)).collect())
        .collect();
    let per_register = element.per_register();
    let mut registers = vec![[0u32; 32]; rows * columns / 32 / per_register];
    for lane in 0..32 {
        for i in 0..registers.len() * per_register {
            let (row, column) = position(lane, i);
            let code = place(element, codes[row][column]);
            registers[i / per_register][lane] |= code << (i % per_register * element.bits());
        }
    }
    let value = |&code: &u32| spec.decode(u64::from(code));
    (
        codes
            .iter()
            .map(|row| row.iter().map(value).collect())
            .collect(),
        registers,
    )
}

/// The sum and the sum of magnitudes of `c + Σ a·b`.
pub fn plain(a: &Matrix, b: &Matrix, row: usize, column: usize, c: f64) -> (f64, f64) {
    let products = a[row].iter().zip(b).map(|(a, b)| a * b[column]);
    products.fold((c, c.abs()), |(sum, size), p| (sum + p, size + p.abs()))
}

/// Rounding errors of `k` additions in f32, each within 2^−24 of a partial sum, which no sum of
/// magnitudes falls short of; (1 + 2^−24)^k is taken as twice its first term.
pub fn bound(k: usize, size: f64) -> f64 {
    2.0 * (k + 1) as f64 * 2f64.powi(-24) * size
}

fn float_case(seed: u64, k: usize, a_type: Element, b_type: Element) -> Result<(), TestCaseError> {
    let mut words = Words(seed);
    let shape = Shape::new(16, 8, k);
    let (ea, eb) = (a_type.per_register(), b_type.per_register());
    let (a, ra) = draw(&mut words, a_type, (16, k), |l, i| {
        fragment::a(shape, ea, l, i)
    });
    let (b, rb) = draw(&mut words, b_type, (k, 8), |l, i| fragment::b(eb, l, i));
    let c: [[f32; 32]; 4] = std::array::from_fn(|_| {
        std::array::from_fn(|_| words.next() as i32 as f32 * 2f32.powi(-26))
    });
    let mut d = c.map(|c| c.map(f32::to_bits));
    mma::mma_f32(shape, a_type, b_type, &ra, &rb, &mut d);
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = fragment::c(lane, i);
            let (sum, size) = plain(&a, &b, row, column, f64::from(c[i][lane]));
            let got = f64::from(f32::from_bits(d[i][lane]));
            prop_assert!(
                (got - sum).abs() <= bound(k, size),
                "{:?} {:?} k{} {} {}",
                a_type,
                b_type,
                k,
                got,
                sum
            );
            // The documented order gives these bits.
            let ordered = (0..k).fold(c[i][lane], |sum, k| {
                (a[row][k] as f32).mul_add(b[k][column] as f32, sum)
            });
            prop_assert_eq!(d[i][lane], ordered.to_bits());
        }
    }
    // With accumulators of f16: the same sum from a rounded C, rounded once more.
    let pack = |low: f32, high: f32| {
        let code = |x: f32| u32::from(simt::numeric::narrow::f16_rn(x));
        code(high) << 16 | code(low)
    };
    let mut halves: [[u32; 32]; 2] =
        std::array::from_fn(|r| std::array::from_fn(|l| pack(c[2 * r][l], c[2 * r + 1][l])));
    let before = halves;
    mma::mma_f16(shape, a_type, b_type, &ra, &rb, &mut halves);
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = fragment::c(lane, i);
            let half = |r: &[[u32; 32]; 2]| {
                exact::F16.decode(u64::from(r[i / 2][lane] >> (16 * (i % 2)) & 0xffff))
            };
            let (sum, size) = plain(&a, &b, row, column, half(&before));
            let got = half(&halves);
            let bound = bound(k, size) + sum.abs() * 2f64.powi(-11) + 2f64.powi(-25);
            prop_assert!(
                (got - sum).abs() <= bound || sum.abs() > 65504.0,
                "f16 {} {}",
                got,
                sum
            );
        }
    }
    Ok(())
}

#[test]
fn floats_of_every_shape() {
    let mut runner = TestRunner::new(Config::with_cases(300));
    runner
        .run(&any::<u64>(), |seed| {
            for (a_type, _) in FLOATS {
                let ks: &[usize] = match a_type.bits() {
                    32 => &[4, 8],
                    16 => &[8, 16],
                    _ => &[16, 32],
                };
                for &k in ks {
                    for (b_type, _) in FLOATS {
                        // Types of eight bits mix freely, the others do not.
                        if a_type == b_type || a_type.bits() == 8 && b_type.bits() == 8 {
                            float_case(seed, k, a_type, b_type)?;
                        }
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn doubles_of_every_shape() {
    let mut words = Words(1);
    for (shape, rounding) in [(8, 4), (16, 4), (16, 8), (16, 16)]
        .into_iter()
        .flat_map(|(m, k)| {
            Rounding::ALL[..4]
                .iter()
                .map(move |&r| (Shape::new(m, 8, k), r))
        })
    {
        let mut value =
            || f64::from(words.next() as i32) + f64::from(words.next()) * 2f64.powi(-32);
        let a: Matrix = (0..shape.m)
            .map(|_| (0..shape.k).map(|_| value()).collect())
            .collect();
        let b: Matrix = (0..shape.k)
            .map(|_| (0..8).map(|_| value()).collect())
            .collect();
        let c: Matrix = (0..shape.m)
            .map(|_| (0..8).map(|_| value()).collect())
            .collect();
        let registers = |count: usize, at: &dyn Fn(usize, usize) -> f64| -> Vec<[u64; 32]> {
            (0..count)
                .map(|i| std::array::from_fn(|lane| at(lane, i).to_bits()))
                .collect()
        };
        let index = |m: &Matrix, (row, column): (usize, usize)| m[row][column];
        let ra = registers(shape.a_registers(1), &|l, i| {
            index(&a, fragment::a(shape, 1, l, i))
        });
        let rb = registers(shape.b_registers(1), &|l, i| {
            index(&b, fragment::b(1, l, i))
        });
        let mut d = registers(shape.c_elements(), &|l, i| index(&c, fragment::c(l, i)));
        mma::mma_f64(shape, rounding, &ra, &rb, &mut d);
        for lane in 0..32 {
            for (i, d) in d.iter().enumerate() {
                let (row, column) = fragment::c(lane, i);
                let (sum, size) = plain(&a, &b, row, column, c[row][column]);
                let got = f64::from_bits(d[lane]);
                let bound = 4.0 * (shape.k + 1) as f64 * 2f64.powi(-52) * size;
                assert!(
                    (got - sum).abs() <= bound,
                    "{shape:?} {rounding:?} {got} {sum}"
                );
                let fused = a[row]
                    .iter()
                    .zip(&b)
                    .fold(c[row][column], |s, (a, b)| a.mul_add(b[column], s));
                if rounding == Rounding::Rn {
                    assert_eq!(got, fused);
                }
            }
        }
    }
}

#[test]
fn plain_products_in_the_same_order() {
    let mut words = Words(7);
    let (m, n, k) = (64, 24, 16);
    let mut matrix = |len: usize| -> Vec<f32> {
        (0..len)
            .map(|_| words.next() as i32 as f32 * 2f32.powi(-30))
            .collect()
    };
    let (a, b, c) = (matrix(m * k), matrix(k * n), matrix(m * n));
    let mut d = c.clone();
    product::accumulate(m, n, k, &a, &b, &mut d);
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let ordered = (0..k).fold(c[row * n + column], |sum, step| {
            a[row * k + step].mul_add(b[step * n + column], sum)
        });
        assert_eq!(d[row * n + column].to_bits(), ordered.to_bits());
    }
}

#[test]
fn nan_and_infinity_pass_through() {
    let shape = Shape::new(16, 8, 16);
    // A and B all ones, one NaN in row 0 of A, infinities of both signs meeting in row 1.
    let one = 0x3f80_3f80u32;
    let mut a = [[one; 32]; 4];
    a[0][0] = 0x3f80_7fc1;
    a[0][4] = 0xff80_7f80;
    a[0][8] = 0x3f80_7f80;
    let mut d = [[0u32; 32]; 4];
    mma::mma_f32(
        shape,
        Element::Bf16,
        Element::Bf16,
        &a,
        &[[one; 32]; 2],
        &mut d,
    );
    for lane in 0..4 {
        assert_eq!([d[0][lane], d[1][lane]], [0x7fff_ffff; 2], "row 0");
        assert_eq!([d[0][4 + lane], d[1][4 + lane]], [0x7fff_ffff; 2], "row 1");
        assert_eq!(f32::from_bits(d[0][8 + lane]), f32::INFINITY, "row 2");
        assert_eq!(f32::from_bits(d[0][12 + lane]), 16.0, "row 3");
    }
}
