//! Lines of memory that a kernel gives up.

use super::faults::{clean, found};
use crate::support::{kernel, stream};
use cudarc::driver::sys::CUresult;
use cudarc::driver::{LaunchConfig, PushKernelArg};
use serde_json::json;

/// Words of a line.
const WORDS: usize = 32;

/// A warp reads words and discards the line that they are, of a buffer of two lines.
pub fn run(name: &str) {
    let (entry, words, at, reads, breaks) = match name {
        "late" => ("discard_good", 2 * WORDS, WORDS as i32, false, None),
        "early" => ("discard_bad", 2 * WORDS, WORDS as i32, false, None),
        "read_other" => ("discard_good", 2 * WORDS, WORDS as i32, true, None),
        "read_again" => ("discard_good", 2 * WORDS, 0, true, None),
        "odd" => {
            let broken = CUresult::CUDA_ERROR_MISALIGNED_ADDRESS;
            ("discard_good", 2 * WORDS, 16, false, Some(broken))
        }
        "part" => {
            let broken = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
            (
                "discard_good",
                2 * WORDS - 1,
                WORDS as i32,
                false,
                Some(broken),
            )
        }
        _ => panic!("no case {name}"),
    };
    let stream = stream();
    let text = include_str!("../ptx/check.ptx");
    let (function, reader) = (kernel(&stream, text, entry), kernel(&stream, text, "reads"));
    let from = stream.clone_htod(&vec![7i32; words]).expect("a buffer");
    let mut to = stream.clone_htod(&[0i32; WORDS]).expect("a buffer");
    let config = |threads| LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    };
    // The last word of the part of a line is nobody's.
    let threads = if name == "part" { 31 } else { 32 };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&from).arg(&mut to).arg(&at);
    // SAFETY: the arguments are those of the kernel; the library has to survive what it does.
    unsafe { launch.launch(config(threads)) }.expect("a launch");
    if let Some(expected) = breaks {
        let error = stream.synchronize().expect_err("a broken context");
        assert_eq!(error.0, expected);
        return std::mem::forget((from, to, function, reader, stream));
    }
    assert_eq!(stream.clone_dtoh(&to).expect("a copy"), [7; WORDS]);
    if reads {
        let mut launch = stream.launch_builder(&reader);
        launch.arg(&from).arg(&mut to);
        // SAFETY: as above.
        unsafe { launch.launch(config(32)) }.expect("a launch");
        let is_kept = stream.clone_dtoh(&to).expect("a copy") == [7; WORDS];
        assert_eq!(is_kept, name == "read_other");
    }
}

#[test]
fn a_line_that_others_may_still_read() {
    let read = Some(("discard-read", 0, 1));
    let finding = found("discard/early", "race", ("discard", 0, 0), read);
    assert_eq!(finding["action"], "discard of 128 bytes");
    clean(&["discard/late"]);
}

#[test]
fn what_was_discarded_is_written_by_nobody() {
    let kind = "uninitialised-read";
    let finding = found("discard/read_again", kind, ("reads", 0, 0), None);
    assert_eq!(finding["count"], 32);
    clean(&["discard/read_other"]);
}

#[test]
fn lines_are_whole_and_inside_of_an_allocation() {
    let finding = found("discard/odd", "misaligned", ("discard", 0, 0), None);
    assert_eq!(finding["allocation"]["offset"], 64);
    let finding = found("discard/part", "out-of-bounds", ("discard", 0, 0), None);
    assert_eq!(finding["allocation"]["bytes"], json!(63 * 4));
}
