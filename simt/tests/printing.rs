//! What kernels print comes out of the process.

mod support;

use cudarc::driver::{LaunchConfig, PushKernelArg};
use support::{kernel, stream};

/// Set in the process whose output is looked at.
const CHILD: &str = "SIMT_TEST_PRINTS";

#[test]
fn prints() {
    if std::env::var_os(CHILD).is_some() {
        let stream = stream();
        let greet = kernel(&stream, include_str!("ptx/kernels.ptx"), "greet");
        let config = LaunchConfig {
            grid_dim: (3, 1, 1),
            block_dim: (64, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the argument is that of the kernel.
        unsafe { stream.launch_builder(&greet).arg(&2.5f32).launch(config) }.unwrap();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "prints", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for block in 0..3 {
        for thread in 0..2 {
            let line = format!("block {block} thread {thread} x 2.50 ok|   42|42   |000ff");
            assert_eq!(text.matches(&line).count(), 1, "{line} in {text}");
        }
    }
    assert_eq!(text.matches("block ").count(), 6);
}
