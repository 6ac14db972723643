//! What the cases of bulk copies and clusters do. `tests/ptx/bulk.cu` says what each kernel does.

use super::hopper::maps::{Map, Tensor};
use crate::support::{kernel, stream};
use cudarc::driver::sys::CUtensorMapDataType;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg};
use std::sync::Arc;

/// Launches a kernel; the arguments are addresses, maps and numbers.
macro_rules! launch {
    ($stream:expr, $name:expr, ($grid:expr, $block:expr), $($argument:expr),*) => {{
        let function = kernel($stream, include_str!("../ptx/bulk.ptx"), $name);
        let config = LaunchConfig {
            grid_dim: ($grid, 1, 1),
            block_dim: ($block, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut builder = $stream.launch_builder(&function);
        $(builder.arg($argument);)*
        // SAFETY: the arguments are those of the kernel.
        unsafe { builder.launch(config) }.expect("a launch");
    }};
}

/// Words that nobody has written.
fn unwritten(stream: &Arc<CudaStream>, words: usize) -> CudaSlice<i32> {
    // SAFETY: numbers of any bits are numbers.
    unsafe { stream.alloc(words) }.expect("a buffer")
}

/// Runs the case of that name.
pub fn run(name: &str) {
    let stream = &stream();
    let numbers: Vec<i32> = (0..1024).collect();
    let from = stream.clone_htod(&numbers).expect("a buffer");
    let to = stream.clone_htod(&[-1i32; 1024]).expect("a buffer");
    let (from_at, to_at) = (from.device_ptr(stream).0, to.device_ptr(stream).0);
    let found = || stream.clone_dtoh(&to).expect("a copy");
    let is_good = name.ends_with("good");
    match name {
        "reads_bad" | "reads_good" => {
            let mut from = unwritten(stream, 64);
            let words = if is_good { 64 } else { 48 };
            stream
                .memset_zeros(&mut from.slice_mut(..words))
                .expect("a fill");
            let at = from.device_ptr(stream).0;
            launch!(stream, "bulk_reads", (1, 64), &at, &to_at);
        }
        "writes_bad" | "writes_good" => {
            let count = if is_good { 64i32 } else { 63 };
            launch!(stream, "bulk_writes", (1, 64), &to_at, &count);
        }
        "known_bad" | "known_good" => {
            // What one copy has written another may read, and no more.
            let buffer = unwritten(stream, 80);
            let at = buffer.device_ptr(stream).0;
            launch!(stream, "bulk_writes", (1, 64), &at, &64i32);
            let at = if is_good { at } else { at + 64 };
            launch!(stream, "bulk_reads", (1, 64), &at, &to_at);
            if is_good {
                assert!((0..64).all(|t| found()[t] == 63 - t as i32));
            }
        }
        "adds_bad" | "adds_good" => {
            let mut buffer = unwritten(stream, 64);
            if is_good {
                stream.memset_zeros(&mut buffer).expect("a fill");
            }
            let at = buffer.device_ptr(stream).0;
            launch!(stream, "bulk_adds", (2, 64), &at);
        }
        "matrix_bad" | "matrix_good" => {
            let rows = if is_good { 16i32 } else { 15 };
            launch!(stream, "matrix_reads", (1, 32), &to_at, &rows);
        }
        "early_bad" | "heard_bad" | "heard_good" | "other_bad" => {
            launch!(stream, name, (1, 64), &from_at, &to_at);
        }
        "overwrite_bad" | "overwrite_good" | "groups_bad" | "result_bad" | "result_good" => {
            launch!(stream, name, (1, 64), &to_at);
        }
        "stages_good" => {
            launch!(stream, name, (1, 96), &from_at, &to_at, &7i32);
            let sum = |t: i32| (0..7).map(|i| 64 * i + 63 - t).sum::<i32>();
            assert!((0..64).all(|t| found()[t as usize] == sum(t)));
        }
        "again_bad" | "again_good" => launch!(stream, name, (1, 64), &from_at, &to_at, &5i32),
        "product_bad" | "product_good" | "arrival_good" => {
            let threads = if name == "arrival_good" { 160 } else { 128 };
            launch!(stream, name, (1, threads), &to_at);
            let is_sum = |x: &i32| f32::from_bits(*x as u32) == 16.0;
            assert!(!is_good || found()[..128].iter().all(is_sum));
        }
        "blocks_bad" => launch!(stream, name, (2, 64), &to_at),
        "boxes_bad" | "boxes_good" => {
            let words = 50 * 104;
            let [from, stored] = [0, 1].map(|_| {
                let zeros = vec![0i32; words];
                stream.clone_htod(&zeros).expect("a buffer")
            });
            let [from, stored]: [Map; 2] = [&from, &stored].map(|matrix| {
                let ty = CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
                let address = matrix.device_ptr(stream).0;
                Tensor::matrix(ty, 4, address, [50, 100, 104], [8, 32], 0).map()
            });
            launch!(stream, name, (1, 256), &from, &stored, &to_at);
        }
        "pair_bad" | "pair_good" | "relaxed_bad" | "sends_bad" | "sends_good" | "values_good"
        | "tells_bad" | "tells_good" => {
            launch!(stream, name, (4, 32), &to_at);
        }
        "unwritten_bad" | "unwritten_good" => {
            let count = if is_good { 32i32 } else { 31 };
            launch!(stream, "unwritten", (4, 32), &to_at, &count);
        }
        _ => panic!("no case is called {name}"),
    }
}
