//! Kernels that CuTe and Triton compiled give the products of their matrices: what they hold in which
//! lane, in which bank and behind which address was not decided in this project.

mod support;

use bytemuck::cast_slice;
use cudarc::driver::sys::CUfunction_attribute_enum;
use cudarc::driver::{LaunchConfig, PushKernelArg};
use half::bf16;
use support::{Random, kernel, stream};

/// Small whole numbers, whose products and sums are exact in f32 in any order.
fn whole(random: &mut Random, count: usize) -> Vec<bf16> {
    (0..count)
        .map(|_| bf16::from_f32(random.below(17) as f32 - 8.0))
        .collect()
}

#[test]
fn cute_product() {
    let (m, n, k) = (256usize, 128usize, 96usize);
    let mut random = Random::new();
    let stream = stream();
    let gemm = kernel(&stream, include_str!("ptx/cute_sm80_gemm.ptx"), "gemm_tn");
    let (a, b) = (whole(&mut random, m * k), whole(&mut random, n * k));
    let (a_there, b_there) = (
        stream.clone_htod(cast_slice::<bf16, u16>(&a)).unwrap(),
        stream.clone_htod(cast_slice::<bf16, u16>(&b)).unwrap(),
    );
    let mut c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let config = LaunchConfig {
        grid_dim: (m as u32 / 128, n as u32 / 128, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 0,
    };
    let (m32, n32, k32) = (m as i32, n as i32, k as i32);
    let mut launch = stream.launch_builder(&gemm);
    launch
        .arg(&a_there)
        .arg(&b_there)
        .arg(&mut c)
        .arg(&m32)
        .arg(&n32)
        .arg(&k32);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    assert_product(&c, (m, n, k), |row, column, i| {
        f32::from(a[row * k + i]) * f32::from(b[column * k + i])
    });
}

/// Asserts that every element of `c[m, n]` is the sum of its `k` products.
#[track_caller]
fn assert_product(
    c: &[f32],
    (m, n, k): (usize, usize, usize),
    product: impl Fn(usize, usize, usize) -> f32,
) {
    for row in 0..m {
        for column in 0..n {
            let sum: f32 = (0..k).map(|i| product(row, column, i)).sum();
            assert_eq!(c[row * n + column], sum, "row {row}, column {column}");
        }
    }
}

/// Triton's kernel of one architecture: C = A · B.
fn triton_product(ptx: &str, shared: u32) {
    let (m, n, k) = (128usize, 256usize, 320usize);
    let mut random = Random::new();
    let stream = stream();
    let gemm = kernel(&stream, ptx, "mm");
    gemm.set_attribute(
        CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
        shared as i32,
    )
    .unwrap();
    let (a, b) = (whole(&mut random, m * k), whole(&mut random, k * n));
    let there = [&a, &b].map(|x| stream.clone_htod(cast_slice::<bf16, u16>(x)).unwrap());
    let mut c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let config = LaunchConfig {
        grid_dim: (m as u32 / 128, n as u32 / 128, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: shared,
    };
    let (m32, n32, k32, none) = (m as i32, n as i32, k as i32, 0u64);
    let mut launch = stream.launch_builder(&gemm);
    launch.arg(&there[0]).arg(&there[1]).arg(&mut c);
    launch.arg(&m32).arg(&n32).arg(&k32).arg(&none).arg(&none);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    assert_product(&c, (m, n, k), |row, column, i| {
        f32::from(a[row * k + i]) * f32::from(b[i * n + column])
    });
}

#[test]
fn triton_product_with_mma() {
    triton_product(include_str!("ptx/triton_matmul_sm80.ptx"), 65536);
}

#[test]
fn triton_product_with_wgmma() {
    triton_product(include_str!("ptx/triton_matmul_sm90.ptx"), 98304);
}

#[test]
fn cute_tile_with_wgmma() {
    let (m, n, k) = (64usize, 128usize, 64usize);
    let mut random = Random::new();
    let stream = stream();
    let tile = kernel(
        &stream,
        include_str!("ptx/cute_sm90_wgmma.ptx"),
        "wgmma_tile",
    );
    let (a, b) = (whole(&mut random, m * k), whole(&mut random, n * k));
    let there = [&a, &b].map(|x| stream.clone_htod(cast_slice::<bf16, u16>(x)).unwrap());
    let mut c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 24576,
    };
    let mut launch = stream.launch_builder(&tile);
    launch.arg(&there[0]).arg(&there[1]).arg(&mut c);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    assert_product(&c, (m, n, k), |row, column, i| {
        f32::from(a[row * k + i]) * f32::from(b[column * k + i])
    });
}
