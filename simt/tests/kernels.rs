//! Kernels that NVRTC compiled, against plain host code: control flow, shared memory, shuffles, votes,
//! atomics, calls, wide integers, halves. `tests/ptx/kernels.cu` says what each computes.

mod support;

use bytemuck::cast_slice;
use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use half::{bf16, f16};
use std::sync::Arc;
use support::{Random, kernel, stream};

const KERNELS: &str = include_str!("ptx/kernels.ptx");

fn ours(name: &str) -> (Arc<CudaStream>, CudaFunction) {
    let stream = stream();
    let function = kernel(&stream, KERNELS, name);
    (stream, function)
}

fn config(grid: u32, block: u32, shared: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (grid, 1, 1),
        block_dim: (block, 1, 1),
        shared_mem_bytes: shared,
    }
}

/// Launches with the arguments given, each a buffer on the device or a number.
macro_rules! launch {
    ($stream:ident, $function:ident, $config:expr, $($argument:expr),*) => {{
        let mut builder = $stream.launch_builder(&$function);
        $(builder.arg($argument);)*
        // SAFETY: the arguments are those of the kernel.
        unsafe { builder.launch($config) }.unwrap();
    }};
}

#[test]
fn a_spin_lock_in_one_warp_ends() {
    let (stream, function) = ours("spin_lock");
    let mut lock = stream.clone_htod(&[0i32]).unwrap();
    let mut counter = stream.clone_htod(&[0i32]).unwrap();
    launch!(
        stream,
        function,
        config(3, 96, 0),
        &mut lock,
        &mut counter,
        &5i32
    );
    assert_eq!(stream.clone_dtoh(&counter).unwrap(), [3 * 96 * 5]);
    assert_eq!(stream.clone_dtoh(&lock).unwrap(), [0]);
}

#[test]
fn divergent_loops() {
    let (stream, function) = ours("collatz");
    let mut random = Random::new();
    let numbers: Vec<u32> = (0..1000).map(|_| 1 + random.below(1 << 20)).collect();
    let there = stream.clone_htod(&numbers).unwrap();
    let mut steps = stream.clone_htod(&vec![!0u32; 1000]).unwrap();
    launch!(
        stream,
        function,
        config(8, 128, 0),
        &there,
        &mut steps,
        &1000i32
    );
    let steps = stream.clone_dtoh(&steps).unwrap();
    for (number, found) in numbers.iter().zip(steps) {
        let (mut x, mut n) = (u64::from(*number), 0);
        while x > 1 {
            x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 };
            n += 1;
        }
        assert_eq!(found, n, "{number}");
    }
}

#[test]
fn sums_in_shared_memory() {
    let (stream, function) = ours("block_sum");
    let mut random = Random::new();
    let numbers: Vec<i32> = (0..7 * 512).map(|_| random.bits() as i32).collect();
    let there = stream.clone_htod(&numbers).unwrap();
    let mut sums = stream.clone_htod(&[-1i32; 7]).unwrap();
    launch!(stream, function, config(7, 512, 2048), &there, &mut sums);
    let expected: Vec<i32> = numbers
        .chunks(512)
        .map(|block| block.iter().fold(0i32, |a, b| a.wrapping_add(*b)))
        .collect();
    assert_eq!(stream.clone_dtoh(&sums).unwrap(), expected);
}

#[test]
fn shuffles_of_every_kind() {
    let (stream, function) = ours("shuffles");
    let mut random = Random::new();
    for width in [2i32, 4, 8, 16, 32] {
        for by in [0i32, 1, 3, 5, 16, 31] {
            let x: Vec<i32> = (0..32).map(|_| random.bits() as i32).collect();
            let there = stream.clone_htod(&x).unwrap();
            let mut out = stream.clone_htod(&[-1i32; 128]).unwrap();
            launch!(
                stream,
                function,
                config(1, 32, 0),
                &there,
                &mut out,
                &by,
                &width
            );
            let out = stream.clone_dtoh(&out).unwrap();
            for lane in 0..32i32 {
                let first = lane / width * width;
                // The CUDA C++ Programming Guide: segments of `width`, a lane outside keeps its own.
                let inside = |from: i32| {
                    let good = from >= first && from < first + width;
                    x[if good { from } else { lane } as usize]
                };
                let from_later = |from: i32| {
                    // An exclusive or may also reach into an earlier segment.
                    let good = from < first + width;
                    x[if good { from } else { lane } as usize]
                };
                let expected = [
                    x[(first + by % width) as usize],
                    inside(lane - by),
                    inside(lane + by),
                    from_later(lane ^ by),
                ];
                assert_eq!(
                    out[lane as usize * 4..][..4],
                    expected,
                    "lane {lane} by {by} of {width}"
                );
            }
        }
    }
}

#[test]
fn votes_and_matches() {
    let (stream, function) = ours("votes");
    let mut random = Random::new();
    let x: Vec<u32> = (0..32).map(|_| random.below(1 << 20)).collect();
    let there = stream.clone_htod(&x).unwrap();
    let mut out = stream.clone_htod(&[!0u32; 256]).unwrap();
    launch!(stream, function, config(1, 32, 0), &there, &mut out);
    let out = stream.clone_dtoh(&out).unwrap();
    let lanes = |f: &dyn Fn(u32) -> bool| {
        x.iter()
            .enumerate()
            .fold(0u32, |lanes, (l, x)| lanes | u32::from(f(*x)) << l)
    };
    for (lane, row) in out.chunks(8).enumerate() {
        let expected = [
            lanes(&|x| x & 1 != 0),
            x.iter().all(|x| *x < 1_000_000).into(),
            x.contains(&7).into(),
            lanes(&|other| other & 3 == x[lane] & 3),
            x.iter().sum(),
            *x.iter().max().unwrap(),
            !0,
            // All lanes hold 0 there: the full mask, plus 1 for the predicate.
            0,
        ];
        assert_eq!(row, expected, "lane {lane}");
    }
}

#[test]
fn atomics_of_many_blocks() {
    let (stream, function) = ours("histogram");
    let mut random = Random::new();
    let numbers: Vec<u32> = (0..20_000).map(|_| random.bits() as u32).collect();
    let there = stream.clone_htod(&numbers).unwrap();
    let mut bins = stream.clone_htod(&[0u32; 16]).unwrap();
    let mut least = stream.clone_htod(&[!0u32]).unwrap();
    let mut most = stream.clone_htod(&[i32::MIN]).unwrap();
    let mut sum = stream.clone_htod(&[0u64]).unwrap();
    let mut ring = stream.clone_htod(&[0u32]).unwrap();
    let count = numbers.len() as i32;
    launch!(
        stream,
        function,
        config(9, 96, 0),
        &there,
        &count,
        &mut bins,
        &mut least,
        &mut most,
        &mut sum,
        &mut ring
    );
    let mut expected = [0u32; 16];
    numbers
        .iter()
        .for_each(|x| expected[(x % 16) as usize] += 1);
    assert_eq!(stream.clone_dtoh(&bins).unwrap(), expected);
    assert_eq!(
        stream.clone_dtoh(&least).unwrap()[0],
        *numbers.iter().min().unwrap()
    );
    assert_eq!(
        stream.clone_dtoh(&most).unwrap()[0],
        numbers.iter().map(|x| *x as i32).max().unwrap()
    );
    assert_eq!(
        stream.clone_dtoh(&sum).unwrap()[0],
        numbers.iter().map(|x| u64::from(*x)).sum::<u64>()
    );
    assert_eq!(stream.clone_dtoh(&ring).unwrap(), [20_000 % 100]);
}

#[test]
fn calls_through_pointers() {
    let (stream, function) = ours("pointers");
    let mut random = Random::new();
    let choice: Vec<i32> = (0..64).map(|_| random.below(3) as i32).collect();
    let (a, b): (Vec<i32>, Vec<i32>) = (0..64)
        .map(|_| (random.bits() as i32, random.bits() as i32))
        .unzip();
    let there = [&choice, &a, &b].map(|x| stream.clone_htod(x).unwrap());
    let mut out = stream.clone_htod(&[-7i32; 64]).unwrap();
    launch!(
        stream,
        function,
        config(1, 64, 0),
        &there[0],
        &there[1],
        &there[2],
        &mut out
    );
    for (i, found) in stream.clone_dtoh(&out).unwrap().into_iter().enumerate() {
        let expected = match choice[i] {
            0 => a[i].wrapping_add(b[i]),
            1 => a[i].wrapping_sub(b[i]),
            _ => a[i].wrapping_mul(b[i]),
        };
        assert_eq!(found, expected, "{i}");
    }
}

#[test]
fn recursion_to_different_depths() {
    fn ackermann(m: u32, n: u32) -> u32 {
        match (m, n) {
            (0, n) => n + 1,
            (m, 0) => ackermann(m - 1, 1),
            (m, n) => ackermann(m - 1, ackermann(m, n - 1)),
        }
    }
    let (stream, function) = ours("recursion");
    let mut out = stream.clone_htod(&[!0u32; 32]).unwrap();
    launch!(stream, function, config(1, 32, 0), &mut out);
    let expected: Vec<u32> = (0..32).map(|t| ackermann(t % 3, t / 3)).collect();
    assert_eq!(stream.clone_dtoh(&out).unwrap(), expected);
}

#[test]
fn jump_tables() {
    let (stream, function) = ours("choices");
    let mut random = Random::new();
    let x: Vec<i32> = (0..96).map(|_| random.below(9) as i32 - 1).collect();
    let there = stream.clone_htod(&x).unwrap();
    let mut out = stream.clone_htod(&[-99i32; 96]).unwrap();
    launch!(stream, function, config(1, 96, 0), &there, &mut out);
    for (t, found) in stream.clone_dtoh(&out).unwrap().into_iter().enumerate() {
        let t = t as i32;
        let expected = match x[t as usize] {
            0 => 17,
            1 => 31 + t,
            2 => t.count_ones() as i32,
            3 => -t,
            4 => t ^ 0x55,
            5 => t << 3,
            6 => t / 3,
            _ => -1,
        };
        assert_eq!(found, expected, "thread {t}");
    }
}

#[test]
fn integers_of_128_bits() {
    let (stream, function) = ours("wide");
    let mut random = Random::new();
    let (a, b): (Vec<u64>, Vec<u64>) = (0..128).map(|_| (random.bits(), random.bits())).unzip();
    let there = [&a, &b].map(|x| stream.clone_htod(x).unwrap());
    let mut out = stream.clone_htod(&vec![1u64; 64 * 6]).unwrap();
    launch!(
        stream,
        function,
        config(1, 64, 0),
        &there[0],
        &there[1],
        &mut out
    );
    let out = stream.clone_dtoh(&out).unwrap();
    let whole = |x: &[u64]| u128::from(x[1]) << 64 | u128::from(x[0]);
    for i in 0..64 {
        let (x, y) = (whole(&a[2 * i..]), whole(&b[2 * i..]));
        let expected = [x.wrapping_add(y), x.wrapping_sub(y), x.wrapping_mul(y)];
        for (k, expected) in expected.into_iter().enumerate() {
            assert_eq!(whole(&out[6 * i + 2 * k..]), expected, "{i}");
        }
    }
}

#[test]
fn quotients_of_both_signs() {
    let (stream, function) = ours("quotients");
    let mut random = Random::new();
    let a: Vec<i64> = (0..96).map(|i| random.bits() as i64 >> (i % 60)).collect();
    let b: Vec<i64> = (0..96)
        .map(|i| (random.bits() as i64 >> (i % 50)) | 1)
        .collect();
    let there = [&a, &b].map(|x| stream.clone_htod(x).unwrap());
    let mut out = stream.clone_htod(&vec![-1i64; 384]).unwrap();
    launch!(
        stream,
        function,
        config(1, 96, 0),
        &there[0],
        &there[1],
        &mut out
    );
    for (i, row) in stream.clone_dtoh(&out).unwrap().chunks(4).enumerate() {
        let (x, y) = (a[i], b[i]);
        let expected = [
            x.wrapping_div(y),
            x.wrapping_rem(y),
            i64::from((x as i32).wrapping_div(y as i32 | 1)),
            i64::from(x as u32 % (y as u32 | 1)),
        ];
        assert_eq!(row, expected, "{x} by {y}");
    }
}

#[test]
fn halves_and_conversions() {
    let (stream, function) = ours("halves");
    let mut random = Random::new();
    let x: Vec<f32> = (0..128).map(|_| random.unit() * 100.0).collect();
    let there = stream.clone_htod(&x).unwrap();
    let mut out = stream.clone_htod(&vec![f32::NAN; 128 * 6]).unwrap();
    launch!(stream, function, config(1, 128, 0), &there, &mut out);
    for (x, row) in x.iter().zip(stream.clone_dtoh(&out).unwrap().chunks(6)) {
        let (h, b) = (f16::from_f32(*x), bf16::from_f32(*x));
        // Exact in f64, and so rounded once.
        let fused = |x: f16| f32::from(f16::from_f64(f64::from(x) * 2.0 + 1.0));
        let expected = [
            f32::from(h),
            f32::from(b),
            fused(h),
            fused(-h),
            f32::from(f16::from_f64(f64::from(h) + 0.5)),
            f32::from(bf16::from_f64(f64::from(b) * 3.0)),
        ];
        assert_eq!(row, expected, "{x}");
    }
}

#[test]
fn arrays_in_local_memory() {
    let (stream, function) = ours("local_array");
    let mut random = Random::new();
    let order: Vec<i32> = (0..32).map(|_| random.below(32) as i32).collect();
    let there = stream.clone_htod(&order).unwrap();
    let mut out = stream.clone_htod(&[-1i32; 64]).unwrap();
    launch!(stream, function, config(1, 64, 0), &there, &mut out);
    for (t, found) in stream.clone_dtoh(&out).unwrap().into_iter().enumerate() {
        let mut slots: Vec<i32> = (0..32).map(|i| i * i + t as i32).collect();
        let mut sum = 0i32;
        for i in 0..32 {
            slots[order[i] as usize & 31] += i as i32;
            sum = sum
                .wrapping_mul(3)
                .wrapping_add(slots[(order[i] as usize + t) & 31]);
        }
        assert_eq!(found, sum, "thread {t}");
    }
}

#[test]
fn functions_of_mathematics() {
    let (stream, function) = ours("functions");
    let mut random = Random::new();
    let x: Vec<f32> = (0..256).map(|_| random.unit() * 2.5).collect();
    let there = stream.clone_htod(&x).unwrap();
    let mut out = stream.clone_htod(&vec![f32::NAN; 256 * 8]).unwrap();
    launch!(stream, function, config(2, 128, 0), &there, &mut out);
    let first = stream.clone_dtoh(&out).unwrap();
    for (x, row) in x[..128].iter().zip(first.chunks(8)) {
        let x = f64::from(*x);
        let expected = [
            x.exp(),
            (x.abs() + 0.1).ln(),
            x.sin(),
            x.abs().sqrt(),
            x.tanh(),
            1.0 / (x + 3.0),
            (x.abs() + 0.5).powf(1.7),
        ];
        for (k, (found, expected)) in row.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= 1e-6 * expected.abs().max(0.3),
                "{k} of {x}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn barriers_that_count() {
    let (stream, function) = ours("barriers");
    let mut out = stream.clone_htod(&[-1i32; 384]).unwrap();
    launch!(stream, function, config(1, 128, 0), &mut out);
    let out = stream.clone_dtoh(&out).unwrap();
    for t in 0..128 {
        let exchanged = if t < 64 { (63 - t as i32) * 3 } else { -1 };
        assert_eq!(out[t], exchanged, "thread {t}");
        assert_eq!(out[128 + t], (0..128).filter(|t| t % 3 == 0).count() as i32);
        assert_eq!(out[256 + t], 1);
    }
}

#[test]
fn blocks_that_wait_for_later_ones() {
    let (stream, function) = ours("relay");
    let blocks = 12u32;
    let mut turn = stream.clone_htod(&[0u32]).unwrap();
    let mut sums = stream.clone_htod(&vec![!0u32; blocks as usize]).unwrap();
    let mut launch = stream.launch_builder(&function);
    launch.arg(&mut turn).arg(&mut sums);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch_cooperative(config(blocks, 64, 0)) }.unwrap();
    let expected: Vec<u32> = (0..blocks).map(|b| (b..blocks).sum()).collect();
    assert_eq!(stream.clone_dtoh(&sums).unwrap(), expected);
}

#[test]
fn norms_of_rows() {
    let (rows, dim, width, eps) = (5usize, 576usize, 576i32, 1e-5f32);
    let stream = stream();
    let mut random = Random::new();
    let x: Vec<bf16> = (0..rows * dim)
        .map(|_| bf16::from_f32(random.unit()))
        .collect();
    let w: Vec<bf16> = (0..dim).map(|_| bf16::from_f32(random.unit())).collect();
    let ptx = include_str!("ptx/rms_norm.ptx");
    let function = kernel(&stream, ptx, "_Z8rms_normI13__nv_bfloat16EvPKT_S3_PS1_if");
    let there = [&x, &w].map(|x| stream.clone_htod(cast_slice::<bf16, u16>(x)).unwrap());
    let mut out = stream.clone_htod(&vec![0x7fffu16; rows * dim]).unwrap();
    launch!(
        stream,
        function,
        config(rows as u32, 128, 0),
        &there[0],
        &there[1],
        &mut out,
        &width,
        &eps
    );
    let out = stream.clone_dtoh(&out).unwrap();
    for (row, found) in x.chunks(dim).zip(out.chunks(dim)) {
        let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        let scale = 1.0 / (squares / dim as f64 + f64::from(eps)).sqrt();
        for ((x, w), found) in row.iter().zip(&w).zip(found) {
            let expected = f64::from(*x) * scale * f64::from(*w);
            let found = f64::from(bf16::from_bits(*found));
            // Half a unit in the last of 8 bits, and a little for f32 sums.
            assert!(
                (found - expected).abs() <= expected.abs() / 250.0,
                "{found} for {expected}"
            );
        }
    }
}
