//! What the cases do. `tests/ptx/check.cu` says what each kernel does.

use crate::support::{kernel, stream};
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use std::sync::Arc;

/// Launches a kernel; the arguments are buffers on the device or numbers.
macro_rules! launch {
    ($case:ident, $shape:expr, $($argument:expr),*) => {{
        let (grid, block, shared) = $shape;
        let config = LaunchConfig {
            grid_dim: (grid, 1, 1),
            block_dim: (block, 1, 1),
            shared_mem_bytes: shared,
        };
        let mut builder = $case.stream.launch_builder(&$case.function);
        $(builder.arg($argument);)*
        // SAFETY: the arguments are those of the kernel; the library has to survive what it does.
        unsafe {
            if $case.cooperative { builder.launch_cooperative(config) } else { builder.launch(config) }
        }
        .expect("a launch");
    }};
}

/// A kernel and how it is launched.
struct Case {
    stream: Arc<CudaStream>,
    function: CudaFunction,
    cooperative: bool,
}

impl Case {
    fn new(name: &str, cooperative: bool) -> Case {
        let stream = stream();
        let function = kernel(&stream, include_str!("../ptx/check.ptx"), name);
        Case {
            stream,
            function,
            cooperative,
        }
    }

    fn buffer<T: cudarc::driver::DeviceRepr>(&self, values: &[T]) -> cudarc::driver::CudaSlice<T> {
        self.stream.clone_htod(values).expect("a buffer")
    }

    /// Ends a case whose kernel has broken the context: its objects cannot be given back.
    fn end_broken<T>(self, buffers: T, expected: CUresult) {
        let error = self.stream.synchronize().expect_err("a broken context");
        assert_eq!(error.0, expected);
        std::mem::forget((self, buffers));
    }
}

/// Runs the case of that name.
pub fn run(name: &str) {
    let zeros = [0i32; 256];
    let case = |name| Case::new(name, false);
    let together = |name| Case::new(name, true);
    match name {
        "reduce_bad" | "reduce_good" => {
            let case = case(name);
            let (from, mut to) = (case.buffer(&[1i32; 256]), case.buffer(&zeros));
            launch!(case, (1, 256, 1024), &from, &mut to);
            if name == "reduce_good" {
                assert_eq!(case.stream.clone_dtoh(&to).expect("a copy")[0], 256);
            }
        }
        "tiles_bad" | "tiles_good" => {
            let case = case(name);
            let (from, mut to) = (case.buffer(&[3i32; 256]), case.buffer(&zeros));
            launch!(case, (1, 64, 256), &from, &mut to, &4i32);
        }
        "past_end_bad" => {
            let case = case(name);
            let mut to = case.buffer(&zeros[..100]);
            launch!(case, (1, 128, 0), &mut to, &100i32);
            case.end_broken(to, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        }
        "past_end_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros[..100]);
            launch!(case, (1, 128, 0), &mut to, &100i32);
        }
        "misaligned_bad" | "misaligned_good" => {
            let case = case(name);
            let (from, mut to) = (case.buffer(&[1u8; 64]), case.buffer(&zeros));
            launch!(case, (1, 1, 0), &from, &mut to);
            if name == "misaligned_bad" {
                case.end_broken((from, to), CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
            }
        }
        "shared_end_bad" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 32, 128), &mut to, &1i32);
            case.end_broken(to, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        }
        "uninitialised_global_bad" | "uninitialised_global_good" => {
            let case = case("reads");
            let mut to = case.buffer(&zeros);
            // SAFETY: numbers of any bits are numbers.
            let mut from = unsafe { case.stream.alloc::<i32>(256) }.expect("a buffer");
            if name == "uninitialised_global_good" {
                case.stream.memset_zeros(&mut from).expect("a fill");
            }
            launch!(case, (1, 64, 0), &from, &mut to);
        }
        "copied_uninitialised_bad" | "copied_uninitialised_good" => {
            let case = case("reads");
            let mut to = case.buffer(&zeros);
            // SAFETY: as above.
            let mut from = unsafe { case.stream.alloc::<i32>(256) }.expect("a buffer");
            if name == "copied_uninitialised_good" {
                case.stream.memset_zeros(&mut from).expect("a fill");
            }
            let copy = case.stream.clone_dtod(&from).expect("a copy");
            launch!(case, (1, 64, 0), &copy, &mut to);
        }
        "after_free_bad" => {
            let case = case("reads");
            let mut to = case.buffer(&zeros);
            let from = allocate(400);
            free(from);
            launch!(case, (1, 64, 0), &from, &mut to);
            case.end_broken(to, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        }
        "uninitialised_shared_bad" | "uninitialised_shared_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 64, 256), &mut to);
        }
        "uninitialised_local_bad" | "uninitialised_local_good" => {
            let case = case("uninitialised_local");
            let at = if name.ends_with("bad") { 5i32 } else { 2 };
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 32, 0), &mut to, &3i32, &at);
        }
        "mask_bad" | "mask_good" | "absent_bad" | "absent_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 32, 0), &mut to);
        }
        "divergent_bad" | "divergent_good" | "exited_bad" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 64, 256), &mut to);
        }
        "copy_bad" | "copy_unseen" | "copy_good" => {
            let case = case(name);
            let (from, mut to) = (case.buffer(&zeros), case.buffer(&zeros));
            launch!(case, (1, 32, 1024), &from, &mut to);
        }
        "sum_bad" | "sum_good" => {
            let case = case(name);
            let mut to = case.buffer(&[0f32]);
            launch!(case, (2, 32, 0), &mut to);
        }
        "sum_narrow" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (2, 32, 0), &mut to);
        }
        "last_bad" | "last_good" => {
            let case = case(name);
            let (mut parts, mut to) = (case.buffer(&zeros), case.buffer(&zeros));
            launch!(case, (4, 64, 0), &mut parts, &mut to);
            assert_eq!(case.stream.clone_dtoh(&to).expect("a copy")[0], 1 + 2 + 3);
        }
        "lanes_bad" | "lanes_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 32, 128), &mut to);
        }
        "message_bad" | "message_good" | "message_ordered" => {
            let case = together(name);
            let mut buffers = [(); 3].map(|()| case.buffer(&zeros));
            let [data, flag, to] = &mut buffers;
            launch!(case, (2, 32, 0), data, flag, to);
        }
        "grid_bad" | "grid_good" => {
            let case = together(name);
            let (mut arrived, mut ring) = (case.buffer(&[0u32]), case.buffer(&zeros));
            launch!(case, (3, 64, 0), &mut arrived, &mut ring, &3i32);
            if name == "grid_good" {
                let ring = case.stream.clone_dtoh(&ring).expect("a copy");
                assert!(ring[..192].iter().all(|x| *x == 3));
            }
        }
        "lock_bad" | "lock_good" => {
            let case = case(name);
            let (mut lock, mut counter) = (case.buffer(&[0i32]), case.buffer(&[0i32]));
            launch!(case, (3, 32, 0), &mut lock, &mut counter);
            assert_eq!(case.stream.clone_dtoh(&counter).expect("a copy"), [3]);
        }
        "narrow_good" => {
            let case = case(name);
            let (mut bytes, mut halves) = (case.buffer(&[0u8; 64]), case.buffer(&[0u16; 64]));
            let mut to = case.buffer(&[0u32; 64]);
            launch!(case, (1, 64, 64), &mut bytes, &mut halves, &mut to);
        }
        "histogram_bad" | "histogram_good" => {
            let case = case(name);
            let numbers: Vec<u32> = (1..33).collect();
            let (from, mut to) = (case.buffer(&numbers), case.buffer(&[0u32; 16]));
            launch!(case, (1, 32, 0), &from, &mut to);
        }
        "writes_bad" | "writes_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (2, 64, 256), &mut to);
        }
        "queue_bad" | "queue_good" => {
            let case = case(name);
            let mut to = case.buffer(&zeros);
            launch!(case, (1, 64, 256), &mut to, &5i32);
        }
        "double_free" => {
            let case = case("reads");
            let at = allocate(100);
            free(at);
            // SAFETY: what is asked for has to be refused.
            let again = unsafe { sys::cuMemFree_v2(at) };
            assert_eq!(again, CUresult::CUDA_ERROR_INVALID_VALUE);
            drop(case);
        }
        "invalid_free" => {
            let case = case("reads");
            let at = allocate(100);
            // SAFETY: as above.
            let inside = unsafe { sys::cuMemFree_v2(at + 4) };
            assert_eq!(inside, CUresult::CUDA_ERROR_INVALID_VALUE);
            free(at);
            drop(case);
        }
        "leak" => {
            let case = case("reads");
            let kept = allocate(10);
            allocate(1000);
            free(kept);
            drop(case);
        }
        "leaks" => {
            let case = case("reads");
            for bytes in 1..=20 {
                allocate(bytes);
            }
            drop(case);
        }
        "long_copy" => {
            let case = case("reads");
            let at = allocate(100);
            let bytes = [0u8; 101];
            // SAFETY: as above.
            let copied = unsafe { sys::cuMemcpyHtoD_v2(at, bytes.as_ptr().cast(), 101) };
            assert_eq!(copied, CUresult::CUDA_ERROR_INVALID_VALUE);
            free(at);
            drop(case);
        }
        _ => match name.split_once('/') {
            Some(("bulk", name)) => super::bulk_cases::run(name),
            Some(("discard", name)) => super::discards::run(name),
            _ => super::paths::run(name),
        },
    }
}

/// Memory by the driver's own call.
fn allocate(bytes: usize) -> u64 {
    let mut at = 0;
    // SAFETY: a pointer to a number.
    let allocated = unsafe { sys::cuMemAlloc_v2(&mut at, bytes) };
    assert_eq!(allocated, CUresult::CUDA_SUCCESS);
    at
}

fn free(at: u64) {
    // SAFETY: nobody uses the memory any more, but for kernels that are there to do just that.
    assert_eq!(unsafe { sys::cuMemFree_v2(at) }, CUresult::CUDA_SUCCESS);
}
