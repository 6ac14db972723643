//! `mma` of `.f64`: shapes m8n8k4, m16n8k4, m16n8k8 and m16n8k16.

use super::super::fragment::Shape;
use crate::numeric::double;
use crate::numeric::isa::per_isa;
use crate::numeric::rounding::Rounding;

per_isa! {
    narrow
    /// `mma.sync` of `.f64`: one fused multiply-add for each k, ascending, in the given rounding.
    ///
    /// # Panics
    /// Where an operand has not the registers that its shape needs.
    pub fn mma_f64(
        shape: Shape,
        rounding: Rounding,
        a: &[[u64; 32]],
        b: &[[u64; 32]],
        d: &mut [[u64; 32]],
    ) {
        let (rows, blocks) = (shape.m / 8, shape.k / 4);
        assert!(a.len() == rows * blocks && b.len() == blocks && d.len() == 2 * rows);
        for (down, pair) in d.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            for row in 0..8 {
                let mut sums = [0f64; 8];
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum = f64::from_bits(pair[column % 2][4 * row + column / 2]);
                }
                for (along, b) in b.iter().enumerate() {
                    for rank in 0..4 {
                        let a = f64::from_bits(a[along * rows + down][4 * row + rank]);
                        for (column, sum) in sums.iter_mut().enumerate() {
                            let b = f64::from_bits(b[4 * column + rank]);
                            // Apart, so that the loop of the common mode is one of vectors.
                            *sum = match rounding {
                                Rounding::Rn => double::fma(Rounding::Rn, a, b, *sum),
                                _ => double::fma(rounding, a, b, *sum),
                            };
                        }
                    }
                }
                for (column, sum) in sums.into_iter().enumerate() {
                    pair[column % 2][4 * row + column / 2] = sum.to_bits();
                }
            }
        }
    }
}
