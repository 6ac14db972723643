//! The driver's interface as programs use it, through cudarc's bindings.

mod captures;
mod copies;
mod fatbins;
#[path = "../support/fuzz.rs"]
mod fuzz;
mod graphs;
mod launches;
mod linking;
mod names;
mod pools;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod virtual_memory;

use cudarc::driver::sys::{self, CUdeviceptr, CUfunction, CUmemorytype, CUmodule, CUresult};
use std::ffi::CString;

/// Adds a number to each of `n` words, in two kernels: `add` and `twice` (which multiplies).
const WORDS: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 words, .param .u32 n, .param .u32 by)
{
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %d<4>;
    ld.param.u64 %d1, [words];
    ld.param.u32 %r1, [n];
    ld.param.u32 %r2, [by];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.u32 %r6, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r6, %r1;
    @%p1 ret;
    mad.wide.u32 %d2, %r6, 4, %d1;
    ld.global.u32 %r7, [%d2];
    add.u32 %r7, %r7, %r2;
    st.global.u32 [%d2], %r7;
    ret;
}
.visible .entry twice(.param .u64 words, .param .u32 n)
{
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %d<4>;
    ld.param.u64 %d1, [words];
    ld.param.u32 %r1, [n];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.u32 %r6, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r6, %r1;
    @%p1 ret;
    mad.wide.u32 %d2, %r6, 4, %d1;
    ld.global.u32 %r7, [%d2];
    shl.b32 %r7, %r7, 1;
    st.global.u32 [%d2], %r7;
    ret;
}
";

/// Fails where a call did.
#[track_caller]
fn ok(result: CUresult) {
    assert_eq!(result, CUresult::CUDA_SUCCESS);
}

/// A loaded module.
fn module(image: &[u8]) -> Result<CUmodule, CUresult> {
    let mut module = std::ptr::null_mut();
    // SAFETY: the image is whole, text with a zero behind it.
    match unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) } {
        CUresult::CUDA_SUCCESS => Ok(module),
        error => Err(error),
    }
}

/// Text as an image.
fn image(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn function(module: CUmodule, name: &str) -> CUfunction {
    let name = CString::new(name).unwrap();
    let mut function = std::ptr::null_mut();
    // SAFETY: the module is loaded.
    ok(unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) });
    function
}

/// Words on the device, freed at the end.
struct Words(CUdeviceptr, usize);

impl Words {
    fn new(words: &[u32]) -> Words {
        let mut at = 0;
        // SAFETY: as many bytes as are copied.
        unsafe {
            ok(sys::cuMemAlloc_v2(&mut at, words.len().max(1) * 4));
            ok(sys::cuMemcpyHtoD_v2(
                at,
                words.as_ptr().cast(),
                words.len() * 4,
            ));
        }
        Words(at, words.len())
    }

    fn read(&self) -> Vec<u32> {
        let mut words = vec![!0; self.1];
        // SAFETY: as many bytes as there are.
        ok(unsafe { sys::cuMemcpyDtoH_v2(words.as_mut_ptr().cast(), self.0, self.1 * 4) });
        words
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { sys::cuMemFree_v2(self.0) };
    }
}

/// The arguments of `add`.
struct AddArguments {
    at: CUdeviceptr,
    count: u32,
    by: u32,
}

impl AddArguments {
    fn new(words: &Words, by: u32) -> AddArguments {
        AddArguments {
            at: words.0,
            count: words.1 as u32,
            by,
        }
    }

    fn pointers(&mut self) -> [*mut std::ffi::c_void; 3] {
        [
            (&raw mut self.at).cast(),
            (&raw mut self.count).cast(),
            (&raw mut self.by).cast(),
        ]
    }
}

/// A copy of nothing, from host to host, to be filled in.
fn blank_copy() -> sys::CUDA_MEMCPY3D {
    let mut copy = std::mem::MaybeUninit::<sys::CUDA_MEMCPY3D>::zeroed();
    let at = copy.as_mut_ptr();
    // SAFETY: zeros are valid for all fields but these two.
    unsafe {
        (&raw mut (*at).srcMemoryType).write(CUmemorytype::CU_MEMORYTYPE_HOST);
        (&raw mut (*at).dstMemoryType).write(CUmemorytype::CU_MEMORYTYPE_HOST);
        copy.assume_init()
    }
}
