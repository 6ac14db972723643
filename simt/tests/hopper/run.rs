//! Small kernels written as PTX.

use super::support::{kernel, stream};
use cudarc::driver::{LaunchConfig, PushKernelArg};

/// A module with an entry `k(.param .u64 in, .param .u64 out)`, whose body finds both addresses in `%in` and
/// `%out`, its thread in `%t`, and declares 16 registers of each kind.
pub fn module(directives: &str, shared: &str, body: &str) -> String {
    format!(
        ".version 8.6\n.target sm_90a\n.address_size 64\n\
         .visible .entry k(.param .u64 in, .param .u64 out)\n{directives}\n{{\n\
         .reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<16>, %t;\n.reg .b64 %d<16>, %in, %out;\n\
         {shared}\nld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nmov.u32 %t, %tid.x;\n\
         {body}\nret;\n}}\n"
    )
}

/// Runs such a module on `blocks` blocks of `threads`, with `input` and a poisoned output of `words`.
pub fn run(text: &str, blocks: u32, threads: u32, input: &[u32], words: usize) -> Vec<u32> {
    let stream = stream();
    let function = kernel(&stream, text, "k");
    let there = stream.clone_htod(input).unwrap();
    let mut out = stream.clone_htod(&vec![0xdead_beefu32; words]).unwrap();
    let config = LaunchConfig {
        grid_dim: (blocks, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&there).arg(&mut out);
    // SAFETY: the module's entry takes two addresses.
    unsafe { launch.launch(config) }.unwrap();
    stream.clone_dtoh(&out).unwrap()
}
