//! Kernels that Triton compiled to tensor maps, mbarriers and `wgmma`.

use super::maps::{Map, Tensor};
use super::support::{Random, kernel, stream};
use super::tensor_memory::{BF16, there, with_shared};
use cudarc::driver::sys::CUtensorMapDataType;
use cudarc::driver::{DevicePtr, LaunchConfig, PushKernelArg};
use half::bf16;

/// A tensor descriptor as Triton's kernels take it: the map, rows, columns, pitch, 1.
struct Descriptor(Map, i32, i32, i64, i64);

impl Descriptor {
    fn new(
        ty: CUtensorMapDataType,
        bytes: u64,
        address: u64,
        [rows, columns]: [usize; 2],
        extent: [usize; 2],
    ) -> Descriptor {
        let shape = [rows, columns, columns];
        let map = Tensor::matrix(ty, bytes, address, shape, extent, 3).map();
        Descriptor(map, rows as i32, columns as i32, columns as i64, 1)
    }
}

/// Pushes descriptors' parameters.
macro_rules! push {
    ($launch:ident, $descriptors:expr) => {
        for Descriptor(map, rows, columns, pitch, one) in $descriptors {
            $launch.arg(map).arg(rows).arg(columns).arg(pitch).arg(one);
        }
    };
}

#[test]
fn triton_product_by_descriptors() {
    product_by_descriptors(256, 256, 320);
}

#[test]
fn triton_product_of_1024() {
    product_by_descriptors(1024, 1024, 1024);
}

fn product_by_descriptors(m: usize, n: usize, k: usize) {
    let shared = 98328;
    let mut random = Random::new();
    let stream = stream();
    let text = include_str!("../ptx/triton_descriptors_sm90.ptx");
    let gemm = kernel(&stream, text, "descriptors");
    with_shared(&gemm, shared);
    let small = |random: &mut Random, count: usize| -> Vec<bf16> {
        (0..count)
            .map(|_| bf16::from_f32(random.below(3) as f32 - 1.0))
            .collect()
    };
    // Sums are exact in f32 in any order; what is stored is rounded once, here as there.
    let (a, b) = (small(&mut random, m * k), small(&mut random, k * n));
    let (a_there, b_there) = (there(&stream, &a), there(&stream, &b));
    let c = stream.clone_htod(&vec![!0u16; m * n]).unwrap();
    let matrix = |x: &cudarc::driver::CudaSlice<u16>, shape, extent| {
        Descriptor::new(BF16, 2, x.device_ptr(&stream).0, shape, extent)
    };
    let descriptors = [
        matrix(&a_there, [m, k], [128, 64]),
        matrix(&b_there, [k, n], [64, 64]),
        matrix(&c, [m, n], [128, 64]),
    ];
    let config = LaunchConfig {
        grid_dim: (m as u32 / 128, n as u32 / 128, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: shared,
    };
    let (k32, none) = (k as i32, 0u64);
    let mut launch = stream.launch_builder(&gemm);
    push!(launch, &descriptors);
    launch.arg(&k32).arg(&none).arg(&none);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    for row in 0..m {
        for column in 0..n {
            let product = |i| f32::from(a[row * k + i]) * f32::from(b[i * n + column]);
            let sum: f32 = (0..k).map(product).sum();
            let found = bf16::from_bits(c[row * n + column]);
            assert_eq!(found, bf16::from_f32(sum), "row {row}, column {column}");
        }
    }
}

#[test]
fn triton_product_of_f8() {
    let (m, n, k) = (128usize, 256usize, 256usize);
    let shared = 65536;
    let mut random = Random::new();
    let stream = stream();
    let text = include_str!("../ptx/triton_f8_sm90.ptx");
    let gemm = kernel(&stream, text, "f8");
    with_shared(&gemm, shared);
    // Whole numbers from -4 to 4 and their codes in e4m3.
    let mut draw =
        |count: usize| -> Vec<i32> { (0..count).map(|_| random.below(9) as i32 - 4).collect() };
    let (a, b) = (draw(m * k), draw(n * k));
    let codes = |x: &[i32]| -> Vec<u8> { x.iter().map(|v| super::warpgroup::e4m3(*v)).collect() };
    let a_there = stream.clone_htod(&codes(&a)).unwrap();
    let b_there = stream.clone_htod(&codes(&b)).unwrap();
    let c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let byte = CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT8;
    let single = CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    let descriptors = [
        Descriptor::new(byte, 1, a_there.device_ptr(&stream).0, [m, k], [128, 128]),
        Descriptor::new(byte, 1, b_there.device_ptr(&stream).0, [n, k], [128, 128]),
        Descriptor::new(single, 4, c.device_ptr(&stream).0, [m, n], [128, 32]),
    ];
    let config = LaunchConfig {
        grid_dim: (m as u32 / 128, n as u32 / 128, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: shared,
    };
    let (k32, none) = (k as i32, 0u64);
    let mut launch = stream.launch_builder(&gemm);
    push!(launch, &descriptors);
    launch.arg(&k32).arg(&none).arg(&none);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    for row in 0..m {
        for column in 0..n {
            let sum: i32 = (0..k).map(|i| a[row * k + i] * b[column * k + i]).sum();
            assert_eq!(
                c[row * n + column],
                sum as f32,
                "row {row}, column {column}"
            );
        }
    }
}

#[test]
fn triton_attention() {
    let (m, n, d) = (128usize, 192usize, 64usize);
    let shared = 40992;
    let mut random = Random::new();
    let stream = stream();
    let text = include_str!("../ptx/triton_attention_sm90.ptx");
    let function = kernel(&stream, text, "attention");
    with_shared(&function, shared);
    let mut draw = |count: usize| -> Vec<bf16> {
        (0..count)
            .map(|_| bf16::from_f32(2.0 * random.unit()))
            .collect()
    };
    let (q, k, v) = (draw(m * d), draw(n * d), draw(n * d));
    let [q_there, k_there, v_there] = [&q, &k, &v].map(|x| there(&stream, x));
    let o = stream.clone_htod(&vec![!0u16; m * d]).unwrap();
    let matrix = |x: &cudarc::driver::CudaSlice<u16>, rows| {
        Descriptor::new(BF16, 2, x.device_ptr(&stream).0, [rows, d], [64, 64])
    };
    let descriptors = [
        matrix(&q_there, m),
        matrix(&k_there, n),
        matrix(&v_there, n),
        matrix(&o, m),
    ];
    let config = LaunchConfig {
        grid_dim: (m as u32 / 64, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: shared,
    };
    // Scores are powers of two.
    let (scale, n32, none) = (0.25f32, n as i32, 0u64);
    let mut launch = stream.launch_builder(&function);
    push!(launch, &descriptors);
    launch.arg(&scale).arg(&n32).arg(&none).arg(&none);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let o = stream.clone_dtoh(&o).unwrap();
    let get = |x: &[bf16], row: usize, i: usize| f64::from(x[row * d + i]);
    for row in 0..m {
        let score = |key: usize| {
            let products = (0..d).map(|i| get(&q, row, i) * get(&k, key, i));
            f64::from(scale) * products.sum::<f64>()
        };
        let scores: Vec<f64> = (0..n).map(score).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp2()).collect();
        let sum: f64 = weights.iter().sum();
        for i in 0..d {
            let mean = (0..n)
                .map(|key| weights[key] * get(&v, key, i))
                .sum::<f64>()
                / sum;
            let found = f64::from(bf16::from_bits(o[row * d + i]));
            // Weights and the result are rounded to 8 bits; values are below 2.
            assert!(
                (found - mean).abs() < 0.02,
                "row {row}, {i}: {found} for {mean}"
            );
        }
    }
}
