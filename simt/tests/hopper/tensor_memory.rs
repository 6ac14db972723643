//! Kernels of CuTe and Triton that copy by tensor maps: which element lies where in shared memory, for
//! every swizzle and both majors, was not decided in this project.

use super::maps::{Map, Tensor};
use super::support::{Random, kernel, stream};
use bytemuck::cast_slice;
use cudarc::driver::sys::{CUfunction_attribute_enum, CUtensorMapDataType};
use cudarc::driver::{CudaFunction, CudaStream, DevicePtr, LaunchConfig, PushKernelArg};
use half::bf16;
use std::sync::Arc;

/// The parts of CuTe's kernels.
const CUTE: [&str; 4] = [
    include_str!("../ptx/cute_sm90_tma0.ptx"),
    include_str!("../ptx/cute_sm90_tma1.ptx"),
    include_str!("../ptx/cute_sm90_tma2.ptx"),
    include_str!("../ptx/cute_sm90_tma3.ptx"),
];
pub const BF16: CUtensorMapDataType = CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;

/// Small whole numbers, whose products and sums are exact in f32 in any order.
fn whole(random: &mut Random, count: usize) -> Vec<bf16> {
    (0..count)
        .map(|_| bf16::from_f32(random.below(17) as f32 - 8.0))
        .collect()
}

pub fn with_shared(function: &CudaFunction, bytes: u32) {
    let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    function.set_attribute(attribute, bytes as i32).unwrap();
}

/// How an operand of some rows lies in global and shared memory.
#[derive(Clone, Copy)]
struct Operand {
    is_mn_major: bool,
    /// 0 to 3: none, 32, 64, 128 bytes.
    swizzle: u32,
}

impl Operand {
    /// Elements in a swizzled line.
    fn width(self) -> usize {
        8 << self.swizzle
    }

    fn at(self, rows: usize, k: usize, row: usize, step: usize) -> usize {
        if self.is_mn_major {
            step * rows + row
        } else {
            row * k + step
        }
    }

    /// Boxes as CuTe's layouts of shared memory want them: one line wide, and 64 steps or all rows long.
    fn map(self, address: u64, rows: usize, k: usize, box_rows: usize) -> Map {
        let (shape, extent) = if self.is_mn_major {
            ([k, rows, rows], [64, self.width()])
        } else {
            ([rows, k, k], [box_rows, self.width()])
        };
        Tensor::matrix(BF16, 2, address, shape, extent, self.swizzle).map()
    }
}

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

pub fn there(stream: &Arc<CudaStream>, x: &[bf16]) -> cudarc::driver::CudaSlice<u16> {
    stream.clone_htod(cast_slice::<bf16, u16>(x)).unwrap()
}

/// `k` is no multiple of a tile's 64: the copies fill what is beyond it with zeros.
fn cute_product(part: usize, name: &str, a: Operand, b: Operand) {
    let (m, n, k) = (64usize, 128usize, 296usize);
    let shared = (2 * (m + n) * 64 * 2 + 64) as u32;
    let mut random = Random::new();
    let stream = stream();
    let gemm = kernel(&stream, CUTE[part], name);
    with_shared(&gemm, shared);
    let (x, y) = (whole(&mut random, m * k), whole(&mut random, n * k));
    let (x_there, y_there) = (there(&stream, &x), there(&stream, &y));
    let map_a = a.map(x_there.device_ptr(&stream).0, m, k, m);
    let map_b = b.map(y_there.device_ptr(&stream).0, n, k, n);
    let mut c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (256, 1, 1),
        shared_mem_bytes: shared,
    };
    let tiles = k.div_ceil(64) as i32;
    let mut launch = stream.launch_builder(&gemm);
    launch.arg(&map_a).arg(&map_b).arg(&mut c).arg(&tiles);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    assert_product(&c, (m, n, k), |row, column, i| {
        f32::from(x[a.at(m, k, row, i)]) * f32::from(y[b.at(n, k, column, i)])
    });
}

#[test]
fn cute_products_of_every_swizzle_and_major() {
    let operand = |is_mn_major, swizzle| Operand {
        is_mn_major,
        swizzle,
    };
    let (k, mn) = (
        |swizzle| operand(false, swizzle),
        |swizzle| operand(true, swizzle),
    );
    for (part, name, a, b) in [
        (0, "k_sw128_k_sw128", k(3), k(3)),
        (0, "k_sw64_k_sw32", k(2), k(1)),
        (0, "k_inter_k_inter", k(0), k(0)),
        (1, "mn_sw128_mn_sw128", mn(3), mn(3)),
        (1, "mn_sw64_mn_sw64", mn(2), mn(2)),
        (1, "mn_sw32_mn_sw32", mn(1), mn(1)),
        (2, "mn_inter_mn_inter", mn(0), mn(0)),
        (2, "k_sw32_mn_sw128", k(1), mn(3)),
        (2, "registers_k_sw128", k(3), k(3)),
        (3, "registers_mn_sw128", mn(3), mn(3)),
    ] {
        println!("{name}");
        cute_product(part, name, a, b);
    }
}

#[test]
fn cute_tile_by_stmatrix_and_tensor_map() {
    // Rows beyond the tensor, and what lies between its rows, stay as they are.
    let (rows, pitch) = (50usize, 80usize);
    let mut random = Random::new();
    let stream = stream();
    let store = kernel(&stream, CUTE[3], "store_tile");
    let c: Vec<f32> = (0..64 * 64)
        .map(|_| random.below(65) as f32 - 32.0)
        .collect();
    let old = whole(&mut random, 64 * pitch);
    let c_there = stream.clone_htod(&c).unwrap();
    let (stored, added) = (there(&stream, &old), there(&stream, &old));
    let maps = [&stored, &added].map(|to| {
        let address = to.device_ptr(&stream).0;
        Tensor::matrix(BF16, 2, address, [rows, 64, pitch], [64, 64], 3).map()
    });
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 8192,
    };
    let mut launch = stream.launch_builder(&store);
    launch.arg(&c_there).arg(&maps[0]).arg(&maps[1]);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let [stored, added] = [stored, added].map(|x| stream.clone_dtoh(&x).unwrap());
    for row in 0..64 {
        for column in 0..pitch {
            let at = row * pitch + column;
            let before = f32::from(old[at]);
            let inside = row < rows && column < 64;
            let value = if inside { c[row * 64 + column] } else { before };
            let sum = if inside { before + value } else { before };
            assert_eq!(
                f32::from(bf16::from_bits(stored[at])),
                value,
                "stored: {row}, {column}"
            );
            assert_eq!(
                f32::from(bf16::from_bits(added[at])),
                sum,
                "added: {row}, {column}"
            );
        }
    }
}

#[test]
fn cute_tile_by_columns() {
    let mut random = Random::new();
    let stream = stream();
    let store = kernel(&stream, CUTE[3], "store_columns");
    let c: Vec<f32> = (0..64 * 64)
        .map(|_| random.below(65) as f32 - 32.0)
        .collect();
    let c_there = stream.clone_htod(&c).unwrap();
    let stored = stream.clone_htod(&vec![!0u16; 64 * 64]).unwrap();
    let address = stored.device_ptr(&stream).0;
    let map = Tensor::matrix(BF16, 2, address, [64; 3], [64, 64], 3).map();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 8192,
    };
    let mut launch = stream.launch_builder(&store);
    launch.arg(&c_there).arg(&map);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let stored = stream.clone_dtoh(&stored).unwrap();
    for row in 0..64 {
        for column in 0..64 {
            let found = f32::from(bf16::from_bits(stored[column * 64 + row]));
            assert_eq!(found, c[row * 64 + column], "row {row}, column {column}");
        }
    }
}

#[test]
fn cute_blocks_of_a_cluster_share_what_they_load() {
    let (m, n, k) = (64usize, 256usize, 320usize);
    let shared = (2 * (m + n / 2) * 64 * 2 + 64) as u32;
    let mut random = Random::new();
    let stream = stream();
    let gemm = kernel(&stream, CUTE[3], "shared_a");
    with_shared(&gemm, shared);
    let (x, y) = (whole(&mut random, m * k), whole(&mut random, n * k));
    let (x_there, y_there) = (there(&stream, &x), there(&stream, &y));
    let operand = Operand {
        is_mn_major: false,
        swizzle: 3,
    };
    let map_a = operand.map(x_there.device_ptr(&stream).0, m, k, m / 2);
    let map_b = operand.map(y_there.device_ptr(&stream).0, n, k, n / 2);
    let mut c = stream.clone_htod(&vec![f32::NAN; m * n]).unwrap();
    let config = LaunchConfig {
        grid_dim: (2, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: shared,
    };
    let tiles = (k / 64) as i32;
    let mut launch = stream.launch_builder(&gemm);
    launch.arg(&map_a).arg(&map_b).arg(&mut c).arg(&tiles);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let c = stream.clone_dtoh(&c).unwrap();
    assert_product(&c, (m, n, k), |row, column, i| {
        f32::from(x[row * k + i]) * f32::from(y[column * k + i])
    });
}
