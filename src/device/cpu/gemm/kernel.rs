//! Microkernels: one panel of `a` by one panel of `b`, in registers, over all of k.

#[cfg(target_arch = "x86_64")]
use super::kernel_avx2 as avx2;
use super::{MR, NR, Tile};
use crate::device::cpu::{Isa, Multiply};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Elements of a tile.
pub const TILE: usize = MR * NR;

/// What the words of two panels hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// f32 by f32.
    F32,
    /// Pairs of bf16 by pairs of bf16, the processor's own product.
    Bf16,
    /// `a` in f32, `b` in pairs of bf16 that are widened as they are loaded.
    Widened,
}

impl Lanes {
    /// What a training product uses.
    pub fn for_training(isa: Isa, multiply: Multiply) -> Lanes {
        match multiply {
            Multiply::Bf16 if isa == Isa::Avx512Bf16 => Lanes::Bf16,
            _ => Lanes::F32,
        }
    }

    /// What a product with packed bf16 weights uses.
    pub fn for_bf16_weights(isa: Isa) -> Lanes {
        if isa == Isa::Avx512Bf16 {
            Lanes::Bf16
        } else {
            Lanes::Widened
        }
    }

    /// Whether a panel of `a` holds pairs.
    pub fn pairs(self) -> bool {
        self == Lanes::Bf16
    }

    /// Words along k in a panel of `a`.
    pub fn depth(self, k: usize) -> usize {
        if self.pairs() { k.div_ceil(2) } else { k }
    }

    /// Words along k in a panel of `b`.
    pub fn b_words(self, k: usize) -> usize {
        if self == Lanes::F32 { k } else { k.div_ceil(2) }
    }
}

/// `tile[..height] = a · b` with `depth` words along k in `a`. What is `ahead` is read soon, and may be
/// brought near.
pub fn tile(
    isa: Isa,
    lanes: Lanes,
    height: usize,
    depth: usize,
    (a, b, ahead): (&[f32], &[f32], &[f32]),
    tile: &mut Tile,
) {
    let b_depth = if lanes == Lanes::Widened {
        depth.div_ceil(2)
    } else {
        depth
    };
    assert!(a.len() >= depth * MR && b.len() >= b_depth * NR && (1..=MR).contains(&height));
    if depth == 0 {
        // There is no word of a panel to point to.
        tile.0[..height * NR].fill(0.0);
        return;
    }
    macro_rules! by_height {
        ($f:ident) => {
            match height {
                1 => $f::<1>(depth, a, b, tile),
                2 => $f::<2>(depth, a, b, tile),
                3 => $f::<3>(depth, a, b, tile),
                4 => $f::<4>(depth, a, b, tile),
                5 => $f::<5>(depth, a, b, tile),
                6 => $f::<6>(depth, a, b, tile),
                7 => $f::<7>(depth, a, b, tile),
                8 => $f::<8>(depth, a, b, tile),
                9 => $f::<9>(depth, a, b, tile),
                10 => $f::<10>(depth, a, b, tile),
                11 => $f::<11>(depth, a, b, tile),
                _ => $f::<12>(depth, a, b, tile),
            }
        };
    }
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: lengths are checked above, and an `Isa` is only made where the processor has it.
        unsafe {
            match (lanes, isa) {
                (Lanes::Bf16, _) => return by_height!(bf16_avx512),
                (Lanes::F32, Isa::Avx512 | Isa::Avx512Bf16) => return by_height!(f32_avx512),
                (Lanes::Widened, Isa::Avx512 | Isa::Avx512Bf16) => {
                    return by_height!(widened_avx512);
                }
                (Lanes::F32, Isa::Avx2) => return avx2::f32(height, depth, a, b, ahead, tile),
                (Lanes::Widened, Isa::Avx2) => {
                    return avx2::widened(height, depth, a, b, ahead, tile);
                }
                (_, Isa::Portable) => {}
            }
        }
    }
    let _ = (isa, ahead);
    if lanes == Lanes::F32 {
        by_height!(f32_portable);
    } else {
        by_height!(widened_portable);
    }
}

/// Stores a register tile.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn store<const M: usize>(sums: &[[__m512; 2]; M], tile: &mut Tile) {
    for (i, row) in sums.iter().enumerate() {
        for (j, &v) in row.iter().enumerate() {
            let at = &mut tile.0[i * NR + j * 16..][..16];
            // SAFETY: 16 floats are there; tiles are aligned.
            unsafe { _mm512_store_ps(at.as_mut_ptr(), v) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn f32_avx512<const M: usize>(depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for l in 0..depth {
        // SAFETY: the caller checked that panels hold `depth` lines.
        unsafe {
            let b0 = _mm512_loadu_ps(b.add(l * NR));
            let b1 = _mm512_loadu_ps(b.add(l * NR + 16));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(l * MR + i));
                sum[0] = _mm512_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm512_fmadd_ps(x, b1, sum[1]);
            }
        }
    }
    store(&sums, tile);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn bf16_avx512<const M: usize>(depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    // SAFETY: `__m512` and `__m512bh` are the same 64 bytes.
    let pairs = |v: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(v) };
    for l in 0..depth {
        // SAFETY: the caller checked that panels hold `depth` lines.
        unsafe {
            let b0 = pairs(_mm512_loadu_ps(b.add(l * NR)));
            let b1 = pairs(_mm512_loadu_ps(b.add(l * NR + 16)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = pairs(_mm512_set1_ps(*a.add(l * MR + i)));
                sum[0] = _mm512_dpbf16_ps(sum[0], x, b0);
                sum[1] = _mm512_dpbf16_ps(sum[1], x, b1);
            }
        }
    }
    store(&sums, tile);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn widened_avx512<const M: usize>(depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for l in 0..depth {
        // SAFETY: the caller checked that panels hold `depth` lines.
        unsafe {
            let words = b.add(l / 2 * NR);
            let half = |at: *const f32| {
                let w = _mm512_castps_si512(_mm512_loadu_ps(at));
                _mm512_castsi512_ps(if l.is_multiple_of(2) {
                    _mm512_slli_epi32::<16>(w)
                } else {
                    _mm512_and_si512(w, _mm512_set1_epi32(0xffff_0000u32 as i32))
                })
            };
            let (b0, b1) = (half(words), half(words.add(16)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(l * MR + i));
                sum[0] = _mm512_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm512_fmadd_ps(x, b1, sum[1]);
            }
        }
    }
    store(&sums, tile);
}

/// Element `lane` of a word of two bf16 along k, for step `l`.
#[inline(always)]
fn widen(word: f32, l: usize) -> f32 {
    let bits = word.to_bits();
    f32::from_bits(if l.is_multiple_of(2) {
        bits << 16
    } else {
        bits & 0xffff_0000
    })
}

fn f32_portable<const M: usize>(depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
    let mut sums = [[0.0f32; NR]; M];
    for (a, b) in a.chunks_exact(MR).zip(b.chunks_exact(NR)).take(depth) {
        for (sum, x) in sums.iter_mut().zip(a) {
            for (s, y) in sum.iter_mut().zip(b) {
                *s += x * y;
            }
        }
    }
    tile.0[..M * NR].copy_from_slice(sums.as_flattened());
}

fn widened_portable<const M: usize>(depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
    let mut sums = [[0.0f32; NR]; M];
    for (l, a) in a.chunks_exact(MR).take(depth).enumerate() {
        let b = &b[l / 2 * NR..][..NR];
        for (sum, x) in sums.iter_mut().zip(a) {
            for (s, &y) in sum.iter_mut().zip(b) {
                *s += x * widen(y, l);
            }
        }
    }
    tile.0[..M * NR].copy_from_slice(sums.as_flattened());
}
