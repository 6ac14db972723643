//! Several PTX texts as one image.

use super::support::stream;
use super::{Words, function, image, module, ok};
use cudarc::driver::sys::{self, CUjit_option, CUjitInputType, CUresult};
use std::ffi::c_void;

/// Calls `shift` of another text and reads `offset` of a third; has a private name that others have too.
const CALLER: &str = "
.version 8.0
.target sm_80
.address_size 64
.extern .func (.param .b32 out) shift(.param .b32 value);
.extern .global .u32 offset;
.global .u32 own = 5;
.func (.param .b32 out) helper(.param .b32 value) {
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [value];
    ld.global.u32 %r2, [own];
    add.u32 %r3, %r1, %r2;
    st.param.b32 [out], %r3;
    ret;
}
.visible .entry work(.param .u64 words) {
    .reg .b32 %r<8>;
    .reg .b64 %d<4>;
    ld.param.u64 %d1, [words];
    mov.u32 %r1, %tid.x;
    mad.wide.u32 %d2, %r1, 4, %d1;
    ld.global.u32 %r2, [%d2];
    { .param .b32 a; .param .b32 b;
      st.param.b32 [a], %r2;
      call (b), helper, (a);
      ld.param.b32 %r3, [b]; }
    { .param .b32 a; .param .b32 b;
      st.param.b32 [a], %r3;
      call (b), shift, (a);
      ld.param.b32 %r4, [b]; }
    ld.global.u32 %r5, [offset];
    add.u32 %r6, %r4, %r5;
    st.global.u32 [%d2], %r6;
    ret;
}
";

const CALLEE: &str = "
.version 8.0
.target sm_80
.address_size 64
.global .u32 own = 3;
.func (.param .b32 out) helper(.param .b32 value) {
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [value];
    ld.global.u32 %r2, [own];
    shl.b32 %r3, %r1, %r2;
    st.param.b32 [out], %r3;
    ret;
}
.visible .func (.param .b32 out) shift(.param .b32 value) {
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [value];
    { .param .b32 a; .param .b32 b;
      st.param.b32 [a], %r1;
      call (b), helper, (a);
      ld.param.b32 %r2, [b]; }
    st.param.b32 [out], %r2;
    ret;
}
";

const DATA: &str =
    ".version 7.0\n.target sm_70\n.address_size 64\n.visible .global .u32 offset = 1000;\n";

/// Links texts; the message of the error log where it is refused.
fn link(texts: &[&str]) -> Result<Vec<u8>, (CUresult, String)> {
    let mut log = vec![0u8; 500];
    let mut options = [
        CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
        CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
    ];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), 500 as *mut c_void];
    let mut state = std::ptr::null_mut();
    // SAFETY: options and their values live until the link is destroyed.
    unsafe {
        ok(sys::cuLinkCreate_v2(
            2,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
            &mut state,
        ));
        for text in texts {
            let mut bytes = image(text);
            ok(sys::cuLinkAddData_v2(
                state,
                CUjitInputType::CU_JIT_INPUT_PTX,
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                c"text".as_ptr(),
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            ));
        }
        let (mut made, mut bytes) = (std::ptr::null_mut(), 0);
        let result = sys::cuLinkComplete(state, &mut made, &mut bytes);
        let linked = match result {
            CUresult::CUDA_SUCCESS => {
                Ok(std::slice::from_raw_parts(made.cast::<u8>(), bytes).to_vec())
            }
            error => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
                Err((error, String::from_utf8_lossy(&log[..end]).into_owned()))
            }
        };
        ok(sys::cuLinkDestroy(state));
        linked
    }
}

#[test]
fn functions_and_variables_of_other_texts_are_found() {
    let _stream = stream();
    for order in [
        [CALLER, CALLEE, DATA],
        [DATA, CALLEE, CALLER],
        [CALLEE, CALLER, DATA],
    ] {
        let linked = link(&order).unwrap();
        let module = module(&linked).unwrap();
        let words = Words::new(&(0..32).collect::<Vec<u32>>());
        let mut at = words.0;
        let mut arguments = [(&raw mut at).cast::<c_void>()];
        // SAFETY: the argument is that of the kernel.
        unsafe {
            ok(sys::cuLaunchKernel(
                function(module, "work"),
                1,
                1,
                1,
                32,
                1,
                1,
                0,
                std::ptr::null_mut(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            ));
        }
        let expected: Vec<u32> = (0..32).map(|w| ((w + 5) << 3) + 1000).collect();
        assert_eq!(words.read(), expected);
    }
}

#[test]
fn what_is_missing_or_there_twice_is_named() {
    let _stream = stream();
    let (error, log) = link(&[CALLER, DATA]).unwrap_err();
    assert_eq!(error, CUresult::CUDA_ERROR_INVALID_PTX);
    assert!(log.contains("shift is not defined"), "{log}");
    let (_, log) = link(&[CALLER, CALLEE]).unwrap_err();
    assert!(log.contains("offset is external"), "{log}");
    let (_, log) = link(&[CALLEE, CALLEE]).unwrap_err();
    assert!(log.contains("shift is defined twice"), "{log}");
    let (_, log) = link(&[CALLER, "nonsense"]).unwrap_err();
    assert!(log.contains("module 1"), "{log}");
}

/// Every block writes its number, all meet, and every block reads its neighbour's.
const GRID: &str = "
.version 8.0
.target sm_80
.address_size 64
.extern .func (.param .b64 handle) cudaCGGetIntrinsicHandle(.param .b32 scope);
.extern .func (.param .b32 error) cudaCGSynchronize(.param .b64 handle, .param .b32 flags);
.visible .entry ring(.param .u64 words) {
    .reg .pred %p<2>;
    .reg .b32 %r<12>;
    .reg .b64 %d<8>;
    ld.param.u64 %d1, [words];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %nctaid.x;
    mad.wide.u32 %d2, %r1, 4, %d1;
    st.global.u32 [%d2], %r1;
    { .param .b32 a; .param .b64 b; .param .b64 c; .param .b32 f; .param .b32 e;
      mov.u32 %r3, 2;
      st.param.b32 [a], %r3;
      call (b), cudaCGGetIntrinsicHandle, (a);
      ld.param.b64 %d3, [b];
      st.param.b64 [c], %d3;
      mov.u32 %r4, 0;
      st.param.b32 [f], %r4;
      call (e), cudaCGSynchronize, (c, f);
      ld.param.b32 %r5, [e]; }
    add.u32 %r6, %r1, 1;
    setp.eq.u32 %p1, %r6, %r2;
    selp.b32 %r7, 0, %r6, %p1;
    mad.wide.u32 %d4, %r7, 4, %d1;
    ld.global.u32 %r8, [%d4];
    add.u32 %r9, %r8, %r5;
    mad.wide.u32 %d5, %r2, 4, %d2;
    st.global.u32 [%d5], %r9;
    ret;
}
";

#[test]
fn the_device_runtime_lets_all_blocks_meet() {
    let _stream = stream();
    let mut state = std::ptr::null_mut();
    // SAFETY: texts end with a zero, the image lives until the link is destroyed.
    unsafe {
        ok(sys::cuLinkCreate_v2(
            0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &mut state,
        ));
        let (mut text, mut archive) = (image(GRID), b"!<arch>\n".to_vec());
        for (kind, bytes) in [
            (CUjitInputType::CU_JIT_INPUT_PTX, &mut text),
            (CUjitInputType::CU_JIT_INPUT_LIBRARY, &mut archive),
        ] {
            ok(sys::cuLinkAddData_v2(
                state,
                kind,
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                c"part".as_ptr(),
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            ));
        }
        let (mut made, mut bytes) = (std::ptr::null_mut(), 0);
        ok(sys::cuLinkComplete(state, &mut made, &mut bytes));
        let linked = std::slice::from_raw_parts(made.cast::<u8>(), bytes);
        let ring = function(module(linked).unwrap(), "ring");
        ok(sys::cuLinkDestroy(state));
        for blocks in [1u32, 2, 37] {
            let words = Words::new(&vec![!0; 2 * blocks as usize]);
            let mut at = words.0;
            let mut arguments = [(&raw mut at).cast::<c_void>()];
            // Twice: the barrier is as it was before.
            for _ in 0..2 {
                ok(sys::cuLaunchCooperativeKernel(
                    ring,
                    blocks,
                    1,
                    1,
                    64,
                    1,
                    1,
                    0,
                    std::ptr::null_mut(),
                    arguments.as_mut_ptr(),
                ));
                let next = (0..blocks).map(|block| (block + 1) % blocks);
                let expected: Vec<u32> = (0..blocks).chain(next).collect();
                assert_eq!(words.read(), expected);
            }
        }
    }
}
