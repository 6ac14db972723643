//! What the host does wrong, which checks are on, and what they print.

use super::process::{Outcome, run_case};
use serde_json::json;

#[test]
fn frees_of_what_is_not_there() {
    let Outcome { findings, .. } = run_case("double_free", "all");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["kind"], "double-free");
    assert_eq!(findings[0]["allocation"]["bytes"], 100);
    let Outcome { findings, .. } = run_case("invalid_free", "all");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["kind"], "invalid-free");
    assert_eq!(findings[0]["allocation"]["offset"], 4);
}

#[test]
fn mistakes_with_memory_of_other_kinds() {
    for (case, kind) in [
        ("pool_free_bad", "double-free"),
        ("pinned_free_bad", "double-free"),
        ("long_rectangle_bad", "invalid-transfer"),
    ] {
        let Outcome { findings, .. } = run_case(case, "all");
        assert_eq!(findings.len(), 1, "{case}: {findings:#?}");
        assert_eq!(findings[0]["kind"], kind);
    }
}

#[test]
fn what_nobody_gives_back() {
    let Outcome { findings, .. } = run_case("leak", "all");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["kind"], "leak");
    let what = &findings[0]["allocation"]["what"];
    assert_eq!(what, "allocation 4 of 1000 bytes by cuMemAlloc_v2");
    // Many are told as one.
    let Outcome { findings, .. } = run_case("leaks", "all");
    assert_eq!(findings.len(), 17, "{findings:#?}");
    let action = &findings[16]["action"];
    assert_eq!(action, "4 more allocations, of 74 bytes, are never freed");
    // Other checks do not ask for it.
    for checks in ["racecheck,initcheck,synccheck", "all,-leakcheck"] {
        let Outcome { findings, .. } = run_case("leak", checks);
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

#[test]
fn copies_that_are_too_long() {
    let Outcome { findings, .. } = run_case("long_copy", "memcheck");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["kind"], "invalid-transfer");
    assert_eq!(findings[0]["allocation"]["bytes"], json!(100));
}

#[test]
fn checks_that_are_off_find_nothing() {
    for (case, checks) in [
        ("reduce_bad", "memcheck,initcheck,synccheck"),
        ("uninitialised_shared_bad", "memcheck,racecheck,synccheck"),
        ("mask_bad", "memcheck,initcheck,racecheck"),
        ("past_end_bad", "initcheck,racecheck,synccheck"),
    ] {
        let Outcome { findings, .. } = run_case(case, checks);
        assert!(findings.is_empty(), "{case}: {findings:#?}");
    }
}

#[test]
fn what_is_printed() {
    let Outcome { output, .. } = run_case("copy_bad", "all");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    for part in [
        "simt: copy-not-awaited (racecheck) in copy_bad\n",
        "  read of 4 bytes in shared memory at 0x0, offset 0 of the block's 1024 bytes\n",
        "    by thread (0, 0, 0) of block (0, 0, 0) at check.cu:",
        "  not ordered with an earlier asynchronous copy to 16 bytes\n",
        "  seen 32 times\n",
        "simt: the checks found 1 problem: copy-not-awaited 1 (seen 32 times)\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
