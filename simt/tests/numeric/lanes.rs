//! The forms of 32 lanes give in each lane what the form of one gives, on this processor's vectors.

use crate::inputs::{f32s, f64s};
use proptest::prelude::*;
use simt::numeric::Rounding::Rn;
use simt::numeric::{approx, double, lanes, narrow, single};

fn warp<T: std::fmt::Debug>(lane: impl Strategy<Value = T>) -> impl Strategy<Value = [T; 32]> {
    proptest::collection::vec(lane, 32).prop_map(|lanes| lanes.try_into().expect("32 lanes"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn singles(a in warp(f32s()), b in warp(f32s()), c in warp(f32s()), ftz: bool) {
        let (add, sub, mul) = (lanes::add_f32(&a, &b), lanes::sub_f32(&a, &b), lanes::mul_f32(&a, &b));
        let (fma, ex2) = (lanes::fma_f32(&a, &b, &c), lanes::ex2(ftz, &a));
        let (lg2, tanh) = (lanes::lg2(ftz, &a), lanes::tanh(&a));
        let (f16, bf16) = (lanes::f16x2_from_f32(&a, &b), lanes::bf16x2_from_f32(&a, &b));
        for i in 0..32 {
            let got = [add[i], sub[i], mul[i], fma[i], ex2[i], lg2[i], tanh[i]].map(f32::to_bits);
            let expected = [
                single::add(Rn, a[i], b[i]),
                single::sub(Rn, a[i], b[i]),
                single::mul(Rn, a[i], b[i]),
                single::fma(Rn, a[i], b[i], c[i]),
                approx::ex2(ftz, a[i]),
                approx::lg2(ftz, a[i]),
                approx::tanh(a[i]),
            ];
            prop_assert_eq!(got, expected.map(f32::to_bits));
            let pair = |code: fn(f32) -> u16| u32::from(code(a[i])) << 16 | u32::from(code(b[i]));
            prop_assert_eq!((f16[i], bf16[i]), (pair(narrow::f16_rn), pair(narrow::bf16_rn)));
        }
    }

    #[test]
    fn doubles(a in warp(f64s()), b in warp(f64s()), c in warp(f64s())) {
        let (add, mul) = (lanes::add_f64(&a, &b), lanes::mul_f64(&a, &b));
        let fma = lanes::fma_f64(&a, &b, &c);
        for i in 0..32 {
            let expected = [
                double::add(Rn, a[i], b[i]),
                double::mul(Rn, a[i], b[i]),
                double::fma(Rn, a[i], b[i], c[i]),
            ];
            prop_assert_eq!([add[i], mul[i], fma[i]].map(f64::to_bits), expected.map(f64::to_bits));
        }
    }

    #[test]
    fn halves(a in warp(any::<u16>())) {
        let (f16, bf16) = (lanes::f16_to_f32s(&a), lanes::bf16_to_f32s(&a));
        for i in 0..32 {
            let expected = (narrow::f16_to_f32(a[i]).to_bits(), narrow::bf16_to_f32(a[i]).to_bits());
            prop_assert_eq!((f16[i].to_bits(), bf16[i].to_bits()), expected);
        }
    }
}
