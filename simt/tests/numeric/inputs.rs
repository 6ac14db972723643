//! Drawn inputs: all bit patterns, and more often the ones at borders.

use proptest::prelude::*;

/// f32: any bits, edges, numbers close to 1 and to each other's magnitude.
pub fn f32s() -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => any::<u32>().prop_map(f32::from_bits),
        2 => (0x3f00_0000u32..0x4100_0000, any::<bool>())
            .prop_map(|(bits, minus)| f32::from_bits(bits | u32::from(minus) << 31)),
        1 => (0u32..0x0180_0000, any::<bool>())
            .prop_map(|(bits, minus)| f32::from_bits(bits | u32::from(minus) << 31)),
        2 => (0u32..9, -2i32..3, any::<bool>()).prop_map(|(which, step, minus)| {
            let edges = [0, 1, 0x0080_0000, 0x3f80_0000, 0x4b80_0000, 0x7f7f_ffff, 0x7f80_0000,
                0x3f00_0000, 0x7f00_0000];
            let bits = edges[which as usize].max(2) + step;
            f32::from_bits(bits as u32 | u32::from(minus) << 31)
        }),
        1 => (any::<u8>(), 0u32..24, any::<bool>()).prop_map(|(exponent, zeros, minus)| {
            let fraction = 0x7f_ffffu32 << zeros & 0x7f_ffff;
            f32::from_bits(u32::from(exponent) << 23 | fraction | u32::from(minus) << 31)
        }),
    ]
}

/// f64: any bits, edges, numbers close to 1, and singles.
pub fn f64s() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<u64>().prop_map(f64::from_bits),
        3 => (0x3fe0_0000_0000_0000u64..0x4020_0000_0000_0000, any::<bool>())
            .prop_map(|(bits, minus)| f64::from_bits(bits | u64::from(minus) << 63)),
        1 => (0u64..0x0030_0000_0000_0000, any::<bool>())
            .prop_map(|(bits, minus)| f64::from_bits(bits | u64::from(minus) << 63)),
        2 => (0usize..7, -2i64..3, any::<bool>()).prop_map(|(which, step, minus)| {
            let edges = [2, 1 << 52, 0x3ff << 52, 0x7fef_ffff_ffff_ffff, 0x7ff << 52,
                0x3fe << 52, 0x433 << 52];
            f64::from_bits((edges[which] + step) as u64 | u64::from(minus) << 63)
        }),
        1 => f32s().prop_map(f64::from),
        1 => (0u64..2048, 0u32..53, any::<bool>()).prop_map(|(exponent, zeros, minus)| {
            let fraction = ((1u64 << 52) - 1) << zeros & ((1 << 52) - 1);
            f64::from_bits(exponent << 52 | fraction | u64::from(minus) << 63)
        }),
    ]
}

/// Doubles at, just beside and halfway between singles, where `cvt.f32.f64` decides.
pub fn near_singles() -> impl Strategy<Value = f64> {
    (f32s(), 0usize..6).prop_map(|(x, which)| {
        let (here, next) = (f64::from(x), f64::from(x.next_up()));
        let middle = here / 2.0 + next / 2.0;
        [
            here,
            here.next_up(),
            here.next_down(),
            middle,
            middle.next_up(),
            middle.next_down(),
        ][which]
    })
}
