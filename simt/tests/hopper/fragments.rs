//! `wmma` as `<mma.h>` uses it, vectors of atomics, and the rarer products.

use super::run::{module, run};
use super::support::{Random, kernel, stream};
use bytemuck::Pod;
use cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use half::{bf16, f16};

const TEXT: &str = include_str!("../ptx/wmma.ptx");

/// `D = A · B + C` of one tile of whole numbers, from `<mma.h>`'s functions: A by rows, B by columns.
fn product<T: DeviceRepr + Pod, C: DeviceRepr + Pod>(
    name: &str,
    [m, n, k]: [usize; 3],
    (low, high): (i32, i32),
    of: impl Fn(i32) -> T,
    sum_of: impl Fn(i32) -> C,
    back: impl Fn(C) -> i32,
) {
    let mut random = Random::new();
    let stream = stream();
    let function = kernel(&stream, TEXT, name);
    let mut draw = |count: usize| -> Vec<i32> {
        (0..count)
            .map(|_| low + random.below((high - low + 1) as u32) as i32)
            .collect()
    };
    let (a, b, c) = (draw(m * k), draw(n * k), draw(m * n));
    let a_there = stream.clone_htod(&a.iter().map(|v| of(*v)).collect::<Vec<_>>());
    let b_there = stream.clone_htod(&b.iter().map(|v| of(*v)).collect::<Vec<_>>());
    let mut c_there = stream
        .clone_htod(&c.iter().map(|v| sum_of(*v)).collect::<Vec<_>>())
        .unwrap();
    let (a_there, b_there) = (a_there.unwrap(), b_there.unwrap());
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (32, 1, 1),
        shared_mem_bytes: 0,
    };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&a_there).arg(&b_there).arg(&mut c_there);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let found = stream.clone_dtoh(&c_there).unwrap();
    for row in 0..m {
        for column in 0..n {
            let products = (0..k).map(|i| a[row * k + i] * b[column * k + i]);
            let sum = c[row * n + column] + products.sum::<i32>();
            let found = back(found[row * n + column]);
            assert_eq!(found, sum, "{name}: row {row}, column {column}");
        }
    }
}

#[test]
fn products_of_fragments() {
    let half = |v: i32| f16::from_f32(v as f32).to_bits();
    let brain = |v: i32| bf16::from_f32(v as f32).to_bits();
    let of_half = |c: u16| f16::from_bits(c).to_f32() as i32;
    let single = |v: i32| v as f32;
    let of_single = |c: f32| c as i32;
    let small = (-4, 4);
    product("f16_f32", [16, 16, 16], small, half, single, of_single);
    product("f16_f16_wide", [8, 32, 16], small, half, half, of_half);
    product("bf16_tall", [32, 8, 16], small, brain, single, of_single);
    product("tf32", [16, 16, 8], small, single, single, of_single);
    product("f64", [8, 8, 4], small, f64::from, f64::from, |c: f64| {
        c as i32
    });
    product("s8", [16, 16, 16], (-128, 127), |v| v as i8, |v| v, |c| c);
    product("u8_wide", [8, 32, 16], (0, 255), |v| v as u8, |v| v, |c| c);
}

#[test]
fn vectors_of_atomics() {
    // Two lanes add vectors to the same place; the one that comes second sees the first one's sum.
    let body = "setp.gt.u32 %p1, %t, 1;
        @%p1 ret;
        add.u32 %r1, %t, 1;
        cvt.rn.f32.u32 %r2, %r1;
        mov.b32 %r3, 0x40000000;
        atom.global.v4.f32.add {%r4, %r5, %r6, %r7}, [%out], {%r2, %r3, %r2, %r3};
        red.global.add.noftz.v2.f16x2 [%out+16], {0x3c003c00, 0x40003c00};
        red.relaxed.gpu.global.max.noftz.v2.bf16 [%out+24], {%h1, %h2};
        setp.eq.u32 %p2, %t, 1;
        @%p2 st.global.v2.u32 [%out+32], {%r4, %r5};";
    let zero = "st.global.v4.u32 [%out], {%r0, %r0, %r0, %r0};
        st.global.v4.u32 [%out+16], {%r0, %r0, %r0, %r0};";
    let body = format!(
        "mov.u32 %r0, 0;\nmov.b16 %h1, 0x3f80;\nmov.b16 %h2, 0xbf80;\n{zero}\nbar.warp.sync -1;\n{body}"
    );
    let out = run(&module("", "", &body), 1, 32, &[0], 10);
    let f = |x: f32| x.to_bits();
    // 1 + 2 and 2 + 2; halves 1 + 1 and 2 + 2 in pairs; the larger of 0 and ±1.
    let expected = [
        f(3.0),
        f(4.0),
        f(3.0),
        f(4.0),
        0x4000_4000,
        0x4400_4000,
        0x0000_3f80,
        0,
        f(1.0),
        f(2.0),
    ];
    assert_eq!(out, expected, "{out:x?}");
}

#[test]
fn single_bits() {
    // Each lane's word is a row's part of A and a column's part of B: m8n8k128 of equal operands has the
    // ones of each row on its diagonal.
    let mut random = Random::new();
    let input: Vec<u32> = (0..32).map(|_| random.bits() as u32).collect();
    for (operation, f) in [
        ("xor", (|a, b| a ^ b) as fn(u32, u32) -> u32),
        ("and", |a, b| a & b),
    ] {
        let body = format!(
            "mul.wide.u32 %d1, %t, 4;
            add.u64 %d1, %d1, %in;
            ld.global.u32 %r1, [%d1];
            mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.{operation}.popc {{%r2, %r3}}, {{%r1}}, {{%r1}}, {{5, 6}};
            mul.wide.u32 %d2, %t, 8;
            add.u64 %d2, %d2, %out;
            st.global.v2.u32 [%d2], {{%r2, %r3}};"
        );
        let out = run(&module("", "", &body), 1, 32, &input, 64);
        for lane in 0..32 {
            for half in 0..2 {
                let (row, column) = (lane / 4, 2 * (lane % 4) + half);
                let ones =
                    (0..4).map(|i| f(input[row * 4 + i], input[column * 4 + i]).count_ones());
                let sum = 5 + half as u32 + ones.sum::<u32>();
                assert_eq!(out[lane * 2 + half], sum, "{operation}: lane {lane}");
            }
        }
    }
}

#[test]
fn lookups_with_a_predicate() {
    let body = "and.b32 %r1, %t, 12;
        setp.lt.u32 %p1, %t, 10;
        lop3.and.b32 %r2|%p2, %r1, 4, %t, 0x80, %p1;
        lop3.or.b32 _|%p3, %r1, 4, %t, 0x80, !%p1;
        selp.u32 %r3, 1, 0, %p2;
        selp.u32 %r4, 1, 0, %p3;
        shl.b32 %r4, %r4, 1;
        or.b32 %r3, %r3, %r4;
        mul.wide.u32 %d1, %t, 8;
        add.u64 %d1, %d1, %out;
        st.global.v2.u32 [%d1], {%r2, %r3};";
    let out = run(&module("", "", body), 1, 32, &[0], 64);
    for t in 0..32u32 {
        let all = t & 12 & 4 & t;
        let (and, or) = (all != 0 && t < 10, all != 0 || t >= 10);
        let expected = [all, u32::from(and) | u32::from(or) << 1];
        assert_eq!(out[2 * t as usize..][..2], expected, "thread {t}");
    }
}
