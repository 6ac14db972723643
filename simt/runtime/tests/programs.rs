//! What nvcc's code and a program around it ask of the runtime, on the virtual GPU.

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use simt_runtime::context;
use simt_runtime::copies::{cudaMemcpy, cudaMemcpy2D, cudaMemcpyAsync, cudaMemset};
use simt_runtime::copies_3d::{Extent, PitchedPtr, cudaMemcpy3D, cudaMemcpy3DParms};
use simt_runtime::device::{
    cudaDeviceSynchronize, cudaGetDevice, cudaGetDeviceCount, cudaSetDevice,
};
use simt_runtime::event::{
    cudaEventCreate, cudaEventElapsedTime, cudaEventRecord, cudaEventSynchronize,
};
use simt_runtime::function::{cudaFuncAttributes, cudaFuncGetAttributes};
use simt_runtime::graph::{cudaGraphExecDestroy, cudaGraphInstantiate, cudaGraphLaunch};
use simt_runtime::launch::*;
use simt_runtime::memory::*;
use simt_runtime::properties::{cudaDeviceProp, cudaGetDeviceProperties_v2};
use simt_runtime::registry::*;
use simt_runtime::stream::*;
use simt_runtime::symbols::*;
use simt_runtime::unsupported::cudaCreateTextureObject;
use simt_runtime::*;
use std::ffi::{CStr, c_void};
use std::mem::zeroed;
use std::ptr::{null, null_mut};
use std::sync::Once;

/// nvcc's, with PTX for compute_75, 80 and 100 and code for sm_80: `scale(float* x, float a, int n)`.
const SCALE: &[u8] = include_bytes!("../../tests/ptx/fatbin/mixed.fatbin");
/// Machine code alone.
const MACHINE: &[u8] = include_bytes!("../../tests/ptx/fatbin/machine.fatbin");
/// A constant, a variable, and a kernel that adds the one to the other.
const VARIABLES: &CStr = c"
.version 8.0
.target sm_80
.address_size 64
.const .align 4 .b8 step[4];
.global .align 4 .u32 sum = 7;
.visible .entry count()
{
    .reg .b32 %r<4>;
    ld.const.u32 %r1, [step];
    atom.global.add.u32 %r2, [sum], %r1;
    ret;
}
";

/// Opens the virtual GPU before the runtime looks for the driver: the loader knows it by its name then.
fn driver() {
    static OPENED: Once = Once::new();
    OPENED.call_once(|| {
        let program = std::env::current_exe().unwrap();
        let place = program.with_file_name("libsimt.so");
        // SAFETY: its initialisers only set it up; it stays open.
        let library = unsafe { Library::open(Some(&place), RTLD_NOW | RTLD_GLOBAL) };
        std::mem::forget(library.unwrap_or_else(|e| panic!("{}: {e}", place.display())));
    });
}

#[track_caller]
fn ok(code: cudaError_t) {
    // SAFETY: names are texts that stay.
    let name = unsafe { CStr::from_ptr(cudaGetErrorName(code)) };
    assert_eq!(code, 0, "{}", name.to_string_lossy());
}

/// What nvcc writes around a fatbin: its wrapper and the stubs of its kernels, by address.
struct Registered {
    handle: *mut c_void,
    _wrapper: Box<Wrapper>,
}

impl Registered {
    fn new(data: &'static [u8]) -> Registered {
        driver();
        let wrapper = Box::new(Wrapper {
            magic: MAGIC,
            version: 1,
            data: data.as_ptr().cast(),
            others: null(),
        });
        // SAFETY: the wrapper lives as long as the handle.
        let handle = unsafe { __cudaRegisterFatBinary(&*wrapper) };
        Registered {
            handle,
            _wrapper: wrapper,
        }
    }

    fn kernel(&self, stub: *const c_void, name: &CStr) {
        let none = null_mut();
        // SAFETY: the name is a text.
        unsafe {
            __cudaRegisterFunction(
                self.handle,
                stub,
                name.as_ptr().cast_mut(),
                name.as_ptr(),
                -1,
                none,
                none,
                none,
                none,
                null_mut(),
            );
        }
    }

    fn variable(&self, shadow: *const c_void, name: &CStr) {
        // SAFETY: the name is a text.
        unsafe {
            __cudaRegisterVar(self.handle, shadow, null_mut(), name.as_ptr(), 0, 4, 0, 0);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        __cudaUnregisterFatBinary(self.handle);
    }
}

const fn one(x: u32) -> dim3 {
    dim3 { x, y: 1, z: 1 }
}

/// Device memory with these numbers.
fn upload(numbers: &[f32]) -> *mut c_void {
    let mut at = null_mut();
    // SAFETY: as many bytes as there are.
    unsafe {
        ok(cudaMalloc(&mut at, size_of_val(numbers)));
        ok(cudaMemcpy(
            at,
            numbers.as_ptr().cast(),
            size_of_val(numbers),
            1,
        ));
    }
    at
}

fn download(at: *const c_void, count: usize) -> Vec<f32> {
    let mut numbers = vec![f32::NAN; count];
    // SAFETY: as many bytes as there are.
    ok(unsafe { cudaMemcpy(numbers.as_mut_ptr().cast(), at, count * 4, 2) });
    numbers
}

/// Numbers that differ from run to run.
fn fresh(count: usize) -> Vec<f32> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut state = seed.unwrap().subsec_nanos() | 1;
    println!("seed {state}");
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 65_536.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

static STUB: u8 = 0;

#[test]
fn a_kernel_is_launched_as_nvccs_code_does_it() {
    let scale = Registered::new(SCALE);
    let stub = (&raw const STUB).cast::<c_void>();
    scale.kernel(stub, c"scale");
    for count in [1, 31, 1000] {
        let numbers = fresh(count);
        let (at, factor) = (upload(&numbers), 1.5f32);
        let n = count as i32;
        let (mut grid, mut block) = (one(0), one(0));
        let (mut shared, mut stream) = (1, null_mut());
        let mut arguments = [
            (&raw const at).cast_mut().cast::<c_void>(),
            (&raw const factor).cast_mut().cast(),
            (&raw const n).cast_mut().cast(),
        ];
        // SAFETY: the kernel's arguments; its memory.
        unsafe {
            // scale<<<(n + 127) / 128, 128>>>, and the stub's own part.
            let grid_of = one(n.cast_unsigned().div_ceil(128));
            assert_eq!(
                __cudaPushCallConfiguration(grid_of, one(128), 0, null_mut()),
                0
            );
            ok(__cudaPopCallConfiguration(
                &mut grid,
                &mut block,
                &mut shared,
                &mut stream,
            ));
            assert_eq!((grid, block, shared), (grid_of, one(128), 0));
            ok(cudaLaunchKernel(
                stub,
                grid,
                block,
                arguments.as_mut_ptr(),
                shared,
                stream,
            ));
            ok(cudaDeviceSynchronize());
            // Later compilers launch the kernel and not the stub.
            let mut kernel = null_mut();
            ok(__cudaGetKernel(&mut kernel, stub));
            ok(__cudaLaunchKernel(
                kernel.cast(),
                grid,
                block,
                arguments.as_mut_ptr(),
                0,
                stream,
            ));
        }
        let expected: Vec<f32> = numbers.iter().map(|x| x * 1.5 * 1.5).collect();
        assert_eq!(download(at, count), expected);
        // SAFETY: nobody uses it any more.
        ok(unsafe { cudaFree(at) });
    }
    // SAFETY: a structure of numbers.
    let mut attributes: cudaFuncAttributes = unsafe { zeroed() };
    // SAFETY: valid for writing.
    ok(unsafe { cudaFuncGetAttributes(&mut attributes, stub) });
    // The newest PTX that sm_90 runs is that for compute_80.
    assert_eq!(
        (attributes.ptxVersion, attributes.maxThreadsPerBlock),
        (80, 1024)
    );
}

#[test]
fn errors_have_the_runtimes_numbers_and_are_remembered() {
    let scale = Registered::new(SCALE);
    let machine = Registered::new(MACHINE);
    let stubs = [0u8; 3];
    let stub = |i: usize| stubs[i..].as_ptr().cast::<c_void>();
    scale.kernel(stub(0), c"scale");
    scale.kernel(stub(1), c"absent");
    machine.kernel(stub(2), c"scale");
    let launch = |stub, threads| {
        let mut arguments = [0u64; 3];
        let mut arguments = arguments.each_mut().map(|a| (&raw mut *a).cast::<c_void>());
        // SAFETY: nothing is launched.
        unsafe {
            cudaLaunchKernel(
                stub,
                one(1),
                one(threads),
                arguments.as_mut_ptr(),
                0,
                null_mut(),
            )
        }
    };
    let text = |code| {
        // SAFETY: names and texts stay.
        let [name, text] = unsafe {
            [cudaGetErrorName(code), cudaGetErrorString(code)].map(|t| CStr::from_ptr(t))
        };
        format!("{}: {}", name.to_string_lossy(), text.to_string_lossy())
    };
    let invalid = "cudaErrorInvalidDeviceFunction: invalid device function";
    let none =
        "cudaErrorNoKernelImageForDevice: no kernel image is available for execution on the device";
    let configuration = "cudaErrorInvalidConfiguration: invalid configuration argument";
    for (stub, threads, expected) in [
        (stub(0), 4096, configuration),
        (stub(0), 0, configuration),
        (stub(1), 32, invalid),
        (stub(2), 32, none),
        (null(), 32, invalid),
    ] {
        let code = launch(stub, threads);
        assert_eq!(text(code), expected);
        assert_eq!(cudaPeekAtLastError(), code);
        assert_eq!(cudaGetLastError(), code);
        assert_eq!(cudaGetLastError(), 0);
    }
    // The other ways to launch say the same of too many threads.
    let mut nothing = null_mut::<c_void>();
    let config = cudaLaunchConfig_t {
        gridDim: one(1),
        blockDim: one(4096),
        dynamicSmemBytes: 0,
        stream: null_mut(),
        attrs: null_mut(),
        numAttrs: 0,
    };
    // SAFETY: no kernel runs, so no argument is read.
    unsafe {
        let (grid, block) = (config.gridDim, config.blockDim);
        let together =
            cudaLaunchCooperativeKernel(stub(0), grid, block, &mut nothing, 0, null_mut());
        assert_eq!(text(together), configuration);
        assert_eq!(
            text(cudaLaunchKernelExC(&config, stub(0), &mut nothing)),
            configuration
        );
    }
    // SAFETY: no address is used.
    unsafe {
        assert_eq!(
            text(cudaMemcpy(null_mut(), null(), 4, 77)),
            "cudaErrorInvalidMemcpyDirection: invalid copy direction for memcpy"
        );
        assert_eq!(
            text(cudaSetDevice(5)),
            "cudaErrorInvalidDevice: invalid device ordinal"
        );
        assert_eq!(
            text(cudaStreamDestroy(77 as cudaStream_t)),
            "cudaErrorInvalidResourceHandle: invalid resource handle"
        );
    }
    assert_eq!(
        text(cudaCreateTextureObject()),
        "cudaErrorNotSupported: operation not supported"
    );
    assert_eq!(
        text(77_777),
        "unrecognized error code: unrecognized error code"
    );
}

#[test]
fn variables_are_found_by_their_shadows() {
    let variables = Registered::new(VARIABLES.to_bytes_with_nul());
    let shadows = [0u8; 3];
    let shadow = |i: usize| shadows[i..].as_ptr().cast::<c_void>();
    variables.kernel(shadow(0), c"count");
    variables.variable(shadow(1), c"step");
    variables.variable(shadow(2), c"sum");
    let (step, mut sum) = (5u32, 0u32);
    let mut bytes = 0;
    // SAFETY: as many bytes as the variables have; a kernel without arguments.
    unsafe {
        ok(cudaMemcpyToSymbol(
            shadow(1),
            (&raw const step).cast(),
            4,
            0,
            1,
        ));
        ok(cudaLaunchKernel(
            shadow(0),
            one(2),
            one(32),
            null_mut(),
            0,
            null_mut(),
        ));
        ok(cudaMemcpyFromSymbol(
            (&raw mut sum).cast(),
            shadow(2),
            4,
            0,
            2,
        ));
        ok(cudaGetSymbolSize(&mut bytes, shadow(1)));
        assert_eq!((sum, bytes), (7 + 2 * 32 * 5, 4));
        assert_eq!(
            cudaMemcpyFromSymbol((&raw mut sum).cast(), shadow(2), 4, 1, 2),
            1
        );
        assert_eq!(cudaGetSymbolSize(&mut bytes, shadow(0)), 13);
    }
}

#[test]
fn rows_and_boxes_lie_where_they_are_put() {
    driver();
    const PITCH: usize = 7;
    let numbers = fresh(PITCH * 6);
    let at = upload(&[0.0; PITCH * 6]);
    let pitch = PITCH * 4;
    // SAFETY: inside of the memory.
    unsafe {
        ok(cudaMemset(at, 0, pitch * 6));
        // 3 rows of 2 numbers.
        ok(cudaMemcpy2D(
            at,
            pitch,
            numbers.as_ptr().cast(),
            pitch,
            8,
            3,
            1,
        ));
    }
    let expected = |inside: &dyn Fn(usize, usize) -> bool| -> Vec<f32> {
        let at = |i: usize| {
            if inside(i % PITCH, i / PITCH) {
                numbers[i]
            } else {
                0.0
            }
        };
        (0..numbers.len()).map(at).collect()
    };
    assert_eq!(download(at, PITCH * 6), expected(&|x, y| x < 2 && y < 3));

    let place = |ptr: *mut c_void| PitchedPtr {
        ptr,
        pitch,
        xsize: pitch,
        ysize: 3,
    };
    let corner = Extent {
        width: 4,
        height: 1,
        depth: 0,
    };
    let copy = cudaMemcpy3DParms {
        srcArray: null_mut(),
        srcPos: corner,
        srcPtr: place(numbers.as_ptr().cast_mut().cast()),
        dstArray: null_mut(),
        dstPos: corner,
        dstPtr: place(at),
        extent: Extent {
            width: 12,
            height: 2,
            depth: 2,
        },
        kind: 4,
    };
    // SAFETY: two layers of three rows, inside of the memory.
    unsafe {
        ok(cudaMemset(at, 0, pitch * 6));
        ok(cudaMemcpy3D(&copy));
    }
    let inside = |x: usize, y: usize| (1..4).contains(&x) && (1..3).contains(&(y % 3));
    assert_eq!(download(at, PITCH * 6), expected(&inside));
}

#[test]
fn streams_events_and_graphs() {
    driver();
    let numbers = fresh(100);
    let at = upload(&numbers);
    let (mut stream, mut graph, mut ready) = (null_mut(), null_mut(), null_mut());
    let (mut start, mut end) = (null_mut(), null_mut());
    let mut host = vec![f32::NAN; 100];
    let mut milliseconds = -1.0;
    // SAFETY: handles as they were given; memory that stays.
    unsafe {
        ok(cudaStreamCreateWithFlags(&mut stream, 1));
        ok(cudaStreamBeginCapture(stream, 0));
        ok(cudaMemcpyAsync(
            host.as_mut_ptr().cast(),
            at,
            400,
            2,
            stream,
        ));
        let mut status = 0;
        ok(cudaStreamIsCapturing(stream, &mut status));
        assert_eq!(status, 1);
        ok(cudaStreamEndCapture(stream, &mut graph));
        assert!(host[0].is_nan(), "what is recorded does not happen");
        ok(cudaGraphInstantiate(&mut ready, graph, 0));
        ok(cudaEventCreate(&mut start));
        ok(cudaEventCreate(&mut end));
        ok(cudaEventRecord(start, stream));
        ok(cudaGraphLaunch(ready, stream));
        ok(cudaEventRecord(end, stream));
        ok(cudaEventSynchronize(end));
        ok(cudaEventElapsedTime(&mut milliseconds, start, end));
        ok(cudaGraphExecDestroy(ready));
        ok(cudaStreamDestroy(stream));
    }
    assert_eq!(host, numbers);
    assert!(milliseconds >= 0.0);
}

#[test]
fn pointers_and_devices_say_what_they_are() {
    driver();
    let (mut count, mut device) = (0, -1);
    let (at, mut pinned, mut managed) = (upload(&[1.0]), null_mut(), null_mut());
    let local = 1u8;
    // SAFETY: valid for writing.
    unsafe {
        ok(cudaGetDeviceCount(&mut count));
        ok(cudaSetDevice(count - 1));
        ok(cudaGetDevice(&mut device));
        assert_eq!(device, count - 1);
        ok(cudaMallocHost(&mut pinned, 64));
        ok(cudaMallocManaged(&mut managed, 64, 1));
        let kind = |pointer: *const c_void| {
            let mut found: cudaPointerAttributes = zeroed();
            ok(cudaPointerGetAttributes(&mut found, pointer));
            (found.kind, found.device)
        };
        assert_eq!(kind((&raw const local).cast()), (0, -2));
        assert_eq!(kind(pinned), (1, 0));
        assert_eq!(kind(at), (2, 0));
        assert_eq!(kind(managed), (3, 0));
        // Nothing is allocated, nothing is freed.
        let mut nothing = at;
        ok(cudaMalloc(&mut nothing, 0));
        assert!(nothing.is_null());
        ok(cudaFree(null_mut()));
        ok(cudaFreeHost(pinned));

        let mut found: cudaDeviceProp = zeroed();
        ok(cudaGetDeviceProperties_v2(&mut found, 0));
        let name = CStr::from_ptr(found.name.as_ptr()).to_string_lossy();
        assert!(name.contains("H100"), "{name}");
        assert_eq!((found.major, found.minor, found.warpSize), (9, 0, 32));
        assert_eq!(
            (found.multiProcessorCount, found.maxThreadsDim),
            (132, [1024, 1024, 64])
        );
        assert_eq!(found.sharedMemPerBlockOptin, 227 << 10);
    }
    // Another thread begins on the first device.
    std::thread::spawn(|| assert_eq!(context::device(), Ok(0)))
        .join()
        .unwrap();
}
