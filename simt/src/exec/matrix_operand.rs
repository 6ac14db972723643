//! Operands of a warpgroup's product, out of shared memory and registers.

use super::fault::Fault;
use super::matrix_queue::{Product, Source};
use super::warp::Warp;
use super::warpgroup::{ROWS, Shape};
use crate::numeric::matrix::descriptor::{Descriptor, Major, Unit};
use crate::numeric::matrix::fragment;
use crate::ptx::types::Space;

/// The sixteen bytes of a unit.
fn words(w: &Warp, unit: Unit) -> Result<[u32; 4], Fault> {
    let address = unit.address;
    if address + 16 > w.block().shared_bytes {
        return Err(Fault::IllegalAddress {
            space: Space::Shared,
            address: address.into(),
            bytes: 16,
        });
    }
    // SAFETY: the sixteen bytes are in the block's shared memory.
    Ok(unsafe {
        let at = w.block().shared().add(address as usize);
        at.cast::<[u32; 4]>().read_unaligned()
    })
}

/// An operand of `rows` (m of A, n of B) from row `first` on, in shared memory, into `put(row, k, word, element of the
/// word)`.
fn fetch(
    w: &Warp,
    descriptor: u64,
    major: Major,
    bits: usize,
    (first, rows): (usize, usize),
    mut put: impl FnMut(usize, usize, u32, usize),
) -> Result<(), Fault> {
    let (per_unit, per_word) = (128 / bits, 32 / bits);
    for unit in Descriptor::decode(descriptor).units(major, bits as u32, first as u32, rows as u32)
    {
        let (words, other) = (words(w, unit)?, unit.other as usize);
        for at in 0..per_unit {
            let (word, element) = (words[at / per_word], at % per_word);
            let along = unit.along as usize * per_unit + at;
            match major {
                Major::K => put(other - first, along, word, element),
                Major::Mn => put(along - first, other, word, element),
            }
        }
    }
    Ok(())
}

/// Both operands, element by element: `a(row, k, word, element)`, `b(column, k, word, element)`.
pub fn operands(
    w: &Warp,
    p: &Product,
    shape: &Shape,
    bits: usize,
    mut a: impl FnMut(usize, usize, u32, usize),
    b: impl FnMut(usize, usize, u32, usize),
) -> Result<(), Fault> {
    match &p.a {
        Source::Descriptor(descriptor) => {
            fetch(w, *descriptor, shape.a_major, bits, (own_rows(w), ROWS), a)?;
        }
        Source::Registers(registers) => {
            let per_register = 32 / bits;
            let layout = fragment::Shape::new(ROWS, 8, 256 / bits);
            for (at, row) in registers.iter().enumerate() {
                for lane in 0..32 {
                    for part in 0..per_register {
                        let index = at * per_register + part;
                        let (r, k) = fragment::a(layout, per_register, lane, index);
                        a(r, k, row[lane], part);
                    }
                }
            }
        }
    }
    fetch(w, p.b, shape.b_major, bits, (0, shape.n), b)
}

/// The first row of A that is this warp's.
fn own_rows(w: &Warp) -> usize {
    ROWS * (w.first_thread as usize / 32 % 4)
}

/// Elements of bf16 in f32.
fn widened(words: [u32; 4]) -> [f32; 8] {
    std::array::from_fn(|i| {
        let word = words[i / 2];
        f32::from_bits(if i % 2 == 0 {
            word << 16
        } else {
            word & 0xffff_0000
        })
    })
}

/// Steps along k of a product of bf16.
pub const BF16_STEPS: usize = 16;

/// Both operands of bf16, what most products are of: A by rows, `[ROWS][16]`, B in strips of eight columns,
/// `[n / 8][16][8]`.
pub fn bf16_operands(
    w: &Warp,
    p: &Product,
    shape: &Shape,
    a: &mut [[f32; BF16_STEPS]; ROWS],
    b: &mut [[[f32; 8]; BF16_STEPS]],
) -> Result<(), Fault> {
    match &p.a {
        Source::Descriptor(descriptor) => {
            let (first, major) = (own_rows(w), shape.a_major);
            for unit in Descriptor::decode(*descriptor).units(major, 16, first as u32, ROWS as u32)
            {
                let eight = widened(words(w, unit)?);
                let (along, other) = (8 * unit.along as usize, unit.other as usize);
                match major {
                    Major::K => a[other - first][along..][..8].copy_from_slice(&eight),
                    Major::Mn => {
                        let rows = a[along - first..].iter_mut();
                        rows.zip(eight).for_each(|(row, x)| row[other] = x);
                    }
                }
            }
        }
        Source::Registers(registers) => {
            for (at, register) in registers.iter().enumerate() {
                for (lane, &word) in register.iter().enumerate() {
                    let (row, k) = (lane / 4 + at % 2 * 8, lane % 4 * 2 + at / 2 * 8);
                    a[row][k] = f32::from_bits(word << 16);
                    a[row][k + 1] = f32::from_bits(word & 0xffff_0000);
                }
            }
        }
    }
    let major = shape.b_major;
    for unit in Descriptor::decode(p.b).units(major, 16, 0, shape.n as u32) {
        let eight = widened(words(w, unit)?);
        let (along, other) = (unit.along as usize, unit.other as usize);
        match major {
            Major::Mn => b[along][other] = eight,
            Major::K => {
                let steps = b[other / 8][8 * along..].iter_mut();
                steps.zip(eight).for_each(|(step, x)| step[other % 8] = x);
            }
        }
    }
    Ok(())
}
