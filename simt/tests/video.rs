//! Scalar video instructions on parts of registers, against plain arithmetic in 64 bits.

#[path = "hopper/run.rs"]
mod run;
mod support;

use run::{module, run};
use support::Random;

/// The part `.bN` or `.hN` of a register, or all of it.
fn part(word: u32, name: &str, signed: bool) -> i64 {
    let (bits, shift) = match name {
        "" => (32, 0),
        _ => {
            let index: u32 = name[2..].parse().unwrap();
            if name.starts_with(".b") {
                (8, 8 * index)
            } else {
                (16, 16 * index)
            }
        }
    };
    let value = i64::from(word >> shift) & ((1 << bits) - 1);
    if signed && value >> (bits - 1) & 1 != 0 {
        value - (1 << bits)
    } else {
        value
    }
}

fn clamp(value: i64, signed: bool) -> u32 {
    let (low, high) = if signed {
        (i64::from(i32::MIN), i64::from(i32::MAX))
    } else {
        (0, i64::from(u32::MAX))
    };
    value.clamp(low, high) as u32
}

#[test]
fn video_instructions() {
    let mut random = Random::new();
    let body = "mul.wide.u32 %d1, %t, 12;
        add.u64 %d1, %d1, %in;
        ld.global.u32 %r1, [%d1];
        ld.global.u32 %r2, [%d1+4];
        ld.global.u32 %r3, [%d1+8];
        vadd.s32.s32.u32.sat %r4, %r1, %r2.h1;
        vsub.u32.u32.s32 %r5, %r1.b3, %r2.b0;
        vabsdiff.u32.s32.s32.add %r6, %r1.h0, %r2.h1, %r3;
        vmin.s32.s32.s32.max %r7, %r1, %r2, %r3;
        mov.u32 %r8, 0;
        vmax.u32.u32.u32 %r8.b2, %r1.b1, %r2.b3, %r3;
        vshl.u32.u32.u32.wrap %r9, %r1, %r2;
        vshr.s32.s32.u32.clamp %r10, %r1, %r2.b0;
        vset.s32.u32.lt.add %r11, %r1, %r2, %r3;
        vmad.s32.s32.s32.sat.shr7 %r12, %r1.h1, %r2.h0, %r3;
        mul.wide.u32 %d2, %t, 36;
        add.u64 %d2, %d2, %out;
        st.global.u32 [%d2], %r4;
        st.global.u32 [%d2+4], %r5;
        st.global.u32 [%d2+8], %r6;
        st.global.u32 [%d2+12], %r7;
        st.global.u32 [%d2+16], %r8;
        st.global.u32 [%d2+20], %r9;
        st.global.u32 [%d2+24], %r10;
        st.global.u32 [%d2+28], %r11;
        st.global.u32 [%d2+32], %r12;";
    let input: Vec<u32> = (0..3 * 256).map(|_| random.bits() as u32).collect();
    let out = run(&module("", "", body), 1, 256, &input, 9 * 256);
    for (t, words) in input.chunks(3).enumerate() {
        let [a, b, c] = [words[0], words[1], words[2]];
        let signed = |word: u32| i64::from(word as i32);
        let shift = part(b, ".b0", false).min(32);
        let expected = [
            clamp(signed(a) + part(b, ".h1", false), true),
            (part(a, ".b3", false) - part(b, ".b0", true)) as u32,
            ((part(a, ".h0", true) - part(b, ".h1", true)).unsigned_abs() as u32).wrapping_add(c),
            signed(a).min(signed(b)).max(signed(c)) as u32,
            c & !0xff_0000 | (part(a, ".b1", false).max(part(b, ".b3", false)) as u32) << 16,
            a << (b % 32),
            (signed(a) >> shift) as u32,
            u32::from(signed(a) < i64::from(b)).wrapping_add(c),
            clamp(
                (part(a, ".h1", true) * part(b, ".h0", true) + signed(c)) >> 7,
                true,
            ),
        ];
        assert_eq!(out[9 * t..][..9], expected, "{a:#x}, {b:#x}, {c:#x}");
    }
}
