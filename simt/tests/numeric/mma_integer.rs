//! `mma` of integers and single bits against sums in i64.

use crate::mma::Words;
use proptest::prelude::*;
use simt::numeric::matrix::element::Element;
use simt::numeric::matrix::fragment::{self, Shape};
use simt::numeric::matrix::mma::{self, BitOperation};

fn integer_case(
    seed: u64,
    shape: Shape,
    a_type: Element,
    b_type: Element,
) -> Result<(), TestCaseError> {
    let mut words = Words(seed);
    let per_register = a_type.per_register();
    let mut operand = |count: usize| -> Vec<[u32; 32]> {
        // Often all elements are extreme, to overflow the accumulator.
        let fill = match words.next() % 4 {
            0 => {
                0x8888_8888
                    & if per_register == 8 {
                        u32::MAX
                    } else {
                        0x8080_8080
                    }
            }
            1 => u32::MAX,
            _ => {
                return (0..count)
                    .map(|_| std::array::from_fn(|_| words.next()))
                    .collect();
            }
        };
        vec![[fill; 32]; count]
    };
    let ra = operand(shape.a_registers(per_register));
    let rb = operand(shape.b_registers(per_register));
    let c: Vec<[u32; 32]> = (0..shape.c_elements())
        .map(|_| {
            std::array::from_fn(|_| match words.next() % 4 {
                0 => i32::MAX as u32 - words.next() % 99,
                1 => i32::MIN as u32 + words.next() % 99,
                _ => words.next(),
            })
        })
        .collect();
    let value = |element: Element, registers: &[[u32; 32]], lane: usize, i: usize| {
        let bits = element.bits() as u32;
        let code = registers[i / per_register][lane] >> (bits as usize * (i % per_register));
        let code = i64::from(code) & ((1 << bits) - 1);
        let signed = matches!(element, Element::S8 | Element::S4);
        code - if signed && code >> (bits - 1) == 1 {
            1 << bits
        } else {
            0
        }
    };
    let mut a = vec![vec![0i64; shape.k]; shape.m];
    let mut b = vec![vec![0i64; 8]; shape.k];
    for lane in 0..32 {
        for i in 0..ra.len() * per_register {
            let (row, k) = fragment::a(shape, per_register, lane, i);
            a[row][k] = value(a_type, &ra, lane, i);
        }
        for i in 0..rb.len() * per_register {
            let (k, column) = fragment::b(per_register, lane, i);
            b[k][column] = value(b_type, &rb, lane, i);
        }
    }
    for satfinite in [false, true] {
        let mut d = c.clone();
        mma::mma_s32(shape, satfinite, a_type, b_type, &ra, &rb, &mut d);
        for lane in 0..32 {
            for (i, d) in d.iter().enumerate() {
                let (row, column) = fragment::c(lane, i);
                let sum: i64 = a[row].iter().zip(&b).map(|(a, b)| a * b[column]).sum();
                let sum = sum + i64::from(c[i][lane] as i32);
                let clamped = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                let expected = if satfinite { clamped } else { sum } as u32;
                prop_assert_eq!(
                    d[lane],
                    expected,
                    "{:?} {:?} {:?} {}",
                    shape,
                    a_type,
                    b_type,
                    satfinite
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn integers_of_every_shape(seed: u64) {
        for (m, k, types) in [
            (8, 16, [Element::S8, Element::U8]), (16, 16, [Element::S8, Element::U8]),
            (16, 32, [Element::S8, Element::U8]), (8, 32, [Element::S4, Element::U4]),
            (16, 32, [Element::S4, Element::U4]), (16, 64, [Element::S4, Element::U4]),
        ] {
            for a_type in types {
                for b_type in types {
                    integer_case(seed, Shape::new(m, 8, k), a_type, b_type)?;
                }
            }
        }
    }

    #[test]
    fn single_bits(seed: u64) {
        let mut words = Words(seed);
        for shape in [Shape::new(8, 8, 128), Shape::new(16, 8, 128), Shape::new(16, 8, 256)] {
            let mut operand = |count: usize| -> Vec<[u32; 32]> {
                (0..count).map(|_| std::array::from_fn(|_| words.next())).collect()
            };
            let (ra, rb) = (operand(shape.a_registers(32)), operand(shape.b_registers(32)));
            let c = operand(shape.c_elements());
            let mut a = vec![vec![false; shape.k]; shape.m];
            let mut b = vec![vec![false; 8]; shape.k];
            for lane in 0..32 {
                for i in 0..ra.len() * 32 {
                    let (row, k) = fragment::a(shape, 32, lane, i);
                    a[row][k] = ra[i / 32][lane] >> (i % 32) & 1 == 1;
                }
                for i in 0..rb.len() * 32 {
                    let (k, column) = fragment::b(32, lane, i);
                    b[k][column] = rb[i / 32][lane] >> (i % 32) & 1 == 1;
                }
            }
            for operation in [BitOperation::Xor, BitOperation::And] {
                let mut d = c.clone();
                mma::mma_b1(shape, operation, &ra, &rb, &mut d);
                for lane in 0..32 {
                    for (i, d) in d.iter().enumerate() {
                        let (row, column) = fragment::c(lane, i);
                        let ones = a[row].iter().zip(&b).filter(|(a, b)| match operation {
                            BitOperation::Xor => **a != b[column],
                            BitOperation::And => **a && b[column],
                        });
                        prop_assert_eq!(d[lane], c[i][lane].wrapping_add(ones.count() as u32));
                    }
                }
            }
        }
    }
}
