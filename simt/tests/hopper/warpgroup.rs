//! `wgmma` of every type, by CuTe's atoms, and what is left without its waits.

use super::support::{Random, kernel, stream};
use bytemuck::Pod;
use cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg, ValidAsZeroBits};
use half::f16;

const TYPES: &str = include_str!("../ptx/cute_sm90_types.ptx");

/// Runs a tile `C[64, 64] = A[64, k] · B[64, k]ᵀ` of whole numbers, written as the types' codes, and
/// compares it with plain sums.
fn tile<A, B, C>(
    name: &str,
    (low, high): (i32, i32),
    a: impl Fn(i32) -> A,
    b: impl Fn(i32) -> B,
    c: impl Fn(C) -> i32,
    poison: C,
) where
    A: DeviceRepr + Pod,
    B: DeviceRepr + Pod,
    C: DeviceRepr + Pod + ValidAsZeroBits,
{
    let k = 64 / size_of::<A>();
    let mut random = Random::new();
    let stream = stream();
    let function = kernel(&stream, TYPES, name);
    let mut draw = |low: i32, high: i32| -> Vec<i32> {
        (0..64 * k)
            .map(|_| low + random.below((high - low + 1) as u32) as i32)
            .collect()
    };
    // Where A has no sign, B has one.
    let low_of_b = if high == 255 { -128 } else { low };
    let (x, y) = (draw(low, high), draw(low_of_b, high.min(127)));
    let x_there = stream
        .clone_htod(&x.iter().map(|v| a(*v)).collect::<Vec<_>>())
        .unwrap();
    let y_there = stream
        .clone_htod(&y.iter().map(|v| b(*v)).collect::<Vec<_>>())
        .unwrap();
    let mut out = stream.clone_htod(&vec![poison; 64 * 64]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 8192,
    };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&x_there).arg(&y_there).arg(&mut out);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let out = stream.clone_dtoh(&out).unwrap();
    for row in 0..64 {
        for column in 0..64 {
            let sum: i32 = (0..k).map(|i| x[row * k + i] * y[column * k + i]).sum();
            assert_eq!(
                c(out[row * 64 + column]),
                sum,
                "{name}: row {row}, column {column}"
            );
        }
    }
}

/// The code of a whole number from -4 to 4 in a format of 8 bits.
fn eight_bits(codes: [u8; 5], value: i32) -> u8 {
    codes[value.unsigned_abs() as usize] | if value < 0 { 0x80 } else { 0 }
}

pub fn e4m3(value: i32) -> u8 {
    eight_bits([0x00, 0x38, 0x40, 0x44, 0x48], value)
}

fn e5m2(value: i32) -> u8 {
    eight_bits([0x00, 0x3c, 0x40, 0x42, 0x44], value)
}

fn f16_code(value: i32) -> u16 {
    f16::from_f32(value as f32).to_bits()
}

fn of_half(code: u16) -> i32 {
    f16::from_bits(code).to_f32() as i32
}

#[test]
fn products_of_every_type() {
    let small = (-4, 4);
    tile("f16_f16", small, f16_code, f16_code, of_half, 0xffffu16);
    tile(
        "f32_f16",
        small,
        f16_code,
        f16_code,
        |c: f32| c as i32,
        f32::NAN,
    );
    tile(
        "f32_tf32",
        small,
        |x| x as f32,
        |x| x as f32,
        |c: f32| c as i32,
        f32::NAN,
    );
    tile("f32_e4m3", small, e4m3, e4m3, |c: f32| c as i32, f32::NAN);
    tile(
        "f32_e5m2_e4m3",
        small,
        e5m2,
        e4m3,
        |c: f32| c as i32,
        f32::NAN,
    );
    tile("f16_e4m3_e5m2", small, e4m3, e5m2, of_half, 0xffffu16);
    tile(
        "s32_s8",
        (-128, 127),
        |x| x as i8,
        |x| x as i8,
        |c: i32| c,
        !0,
    );
    tile(
        "s32_u8_s8",
        (0, 255),
        |x| x as u8,
        |x| x as i8,
        |c: i32| c,
        !0,
    );
}

/// CuTe's bf16 tile, from a text that may lack something.
fn bf16_tile(text: &str) -> Vec<f32> {
    let stream = stream();
    let function = kernel(&stream, text, "wgmma_tile");
    let one = half::bf16::from_f32(1.0).to_bits();
    let a = stream.clone_htod(&vec![one; 64 * 64]).unwrap();
    let b = stream.clone_htod(&vec![one; 128 * 64]).unwrap();
    let mut c = stream.clone_htod(&vec![f32::NAN; 64 * 128]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 24576,
    };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&a).arg(&b).arg(&mut c);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    stream.clone_dtoh(&c).unwrap()
}

#[test]
fn without_its_wait_a_product_does_not_come() {
    let text = include_str!("../ptx/cute_sm90_wgmma.ptx");
    assert!(bf16_tile(text).iter().all(|x| *x == 64.0));
    for missing in [
        "wgmma.wait_group.sync.aligned 0;",
        "wgmma.commit_group.sync.aligned;",
    ] {
        assert_eq!(text.matches(missing).count(), 1);
        let broken = text.replace(missing, "");
        assert!(bf16_tile(&broken).iter().all(|x| *x == 0.0), "{missing}");
    }
}
