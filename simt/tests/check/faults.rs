//! Kernels with a fault, and the same without it.

use super::process::{Outcome, run_case};
use serde_json::{Value, json};

/// The sources of the kernels.
const SOURCES: [(&str, &str); 2] = [
    ("check.cu", include_str!("../ptx/check.cu")),
    ("bulk.cu", include_str!("../ptx/bulk.cu")),
];

/// The file, and the line of it, that ends in a comment with this name.
fn line(name: &str) -> (&'static str, u64) {
    let mark = format!("// {name}:");
    let lines: Vec<_> = SOURCES
        .into_iter()
        .flat_map(|(file, text)| text.lines().enumerate().map(move |(at, l)| (file, at, l)))
        .filter(|(_, _, line)| line.trim_end().ends_with(&mark))
        .collect();
    let [(file, at, _)] = lines[..] else {
        panic!("{} lines are called {name}", lines.len());
    };
    (file, at as u64 + 1)
}

/// Where something has to be found: the line's name, the block, the thread.
pub type Place<'a> = (&'a str, u32, u32);

fn is_at(site: &Value, (name, block, thread): Place<'_>) -> bool {
    let (file, line) = line(name);
    site["line"] == line
        && site["file"] == file
        && site["block"] == json!([block, 0, 0])
        && site["thread"] == json!([thread, 0, 0])
}

/// Runs a case, which has to make a finding of a kind at a place, and of no other kind.
#[track_caller]
pub fn found(case: &str, kind: &str, place: Place<'_>, other: Option<Place<'_>>) -> Value {
    let Outcome { findings, .. } = run_case(case, "all");
    assert!(findings.iter().all(|f| f["kind"] == kind), "{findings:#?}");
    let finding = findings
        .iter()
        .find(|f| is_at(f, place) && other.is_none_or(|other| is_at(&f["other"], other)));
    let finding = finding.unwrap_or_else(|| panic!("not there: {findings:#?}"));
    finding.clone()
}

#[track_caller]
pub fn clean(cases: &[&str]) {
    for case in cases {
        let Outcome { findings, .. } = run_case(case, "all");
        assert!(findings.is_empty(), "{case}: {findings:#?}");
    }
}

#[test]
fn a_tree_without_barriers() {
    // Lanes of one warp are the first that meet: the level of 16.
    let finding = found(
        "reduce_bad",
        "race",
        ("reduce", 0, 0),
        Some(("reduce", 0, 16)),
    );
    assert_eq!(finding["space"], "shared");
    assert_eq!(finding["address"], 64);
    assert_eq!(finding["kernel"], "reduce_bad");
    assert_eq!(finding["action"], "read of 4 bytes");
    assert_eq!(finding["other"]["action"], "write of 4 bytes");
    clean(&["reduce_good"]);
}

#[test]
fn tiles_without_a_second_barrier() {
    let (read, write) = (("tiles-read", 0, 32), ("tiles-write", 0, 31));
    found("tiles_bad", "race", read, Some(write));
    clean(&["tiles_good"]);
}

#[test]
fn one_past_the_end() {
    let finding = found("past_end_bad", "out-of-bounds", ("past-end", 0, 100), None);
    let allocation = &finding["allocation"];
    assert_eq!(
        (&allocation["bytes"], &allocation["offset"]),
        (&json!(400), &json!(400))
    );
    let what = allocation["what"].as_str().expect("a text");
    assert!(
        what.starts_with("allocation 3 of 400 bytes by cuMemAlloc"),
        "{what}"
    );
    clean(&["past_end_good"]);
}

#[test]
fn a_word_at_an_odd_address() {
    let finding = found("misaligned_bad", "misaligned", ("misaligned", 0, 0), None);
    assert_eq!(finding["allocation"]["offset"], 2);
    clean(&["misaligned_good"]);
}

#[test]
fn behind_shared_memory() {
    let finding = found(
        "shared_end_bad",
        "out-of-bounds",
        ("shared-end", 0, 31),
        None,
    );
    assert_eq!(
        (&finding["space"], &finding["address"]),
        (&json!("shared"), &json!(128))
    );
}

#[test]
fn after_free() {
    let finding = found("after_free_bad", "use-after-free", ("reads", 0, 0), None);
    let what = finding["allocation"]["what"].as_str().expect("a text");
    assert!(
        what.ends_with(" of 400 bytes by cuMemAlloc_v2, freed by cuMemFree_v2"),
        "{what}"
    );
}

#[test]
fn nobody_has_written_it() {
    let kind = "uninitialised-read";
    found("uninitialised_global_bad", kind, ("reads", 0, 0), None);
    found("copied_uninitialised_bad", kind, ("reads", 0, 0), None);
    found(
        "uninitialised_shared_bad",
        kind,
        ("uninitialised-shared", 0, 0),
        None,
    );
    let finding = found(
        "uninitialised_local_bad",
        kind,
        ("uninitialised-local", 0, 0),
        None,
    );
    assert_eq!(
        (&finding["space"], &finding["count"]),
        (&json!("local"), &json!(32))
    );
    clean(&[
        "uninitialised_global_good",
        "copied_uninitialised_good",
        "uninitialised_shared_good",
        "uninitialised_local_good",
    ]);
}

#[test]
fn bytes_come_in_many_ways() {
    let kind = "uninitialised-read";
    found("captured_bad", kind, ("reads", 0, 0), None);
    // The last word of each row is missing.
    found("rectangle_bad", kind, ("reads", 0, 7), None);
    clean(&[
        "captured_good",
        "captured_copy_good",
        "rectangle_good",
        "word_good",
        "managed_good",
        "mapped_good",
    ]);
}

#[test]
fn masks() {
    let finding = found("mask_bad", "caller-not-in-mask", ("mask", 0, 16), None);
    assert_eq!(finding["count"], 16);
    found(
        "absent_bad",
        "mask-names-absent-threads",
        ("absent", 0, 0),
        None,
    );
    clean(&["mask_good", "absent_good"]);
}

#[test]
fn barriers_for_some() {
    let Outcome { findings, .. } = run_case("divergent_bad", "synccheck");
    assert_eq!(findings.len(), 2, "{findings:#?}");
    for kind in ["divergent-barrier", "barrier-without-exited-threads"] {
        let finding = findings.iter().find(|f| f["kind"] == kind);
        let is_there = finding.is_some_and(|f| is_at(f, ("divergent", 0, 0)));
        assert!(is_there, "{kind}: {findings:#?}");
    }
    found(
        "exited_bad",
        "barrier-without-exited-threads",
        ("exited", 0, 0),
        None,
    );
    clean(&["divergent_good"]);
}

#[test]
fn asynchronous_copies() {
    let copied = Some(("copy", 0, 0));
    found("copy_bad", "copy-not-awaited", ("copy-read", 0, 0), copied);
    let finding = found(
        "copy_unseen",
        "race",
        ("copy-unseen", 0, 0),
        Some(("copy", 0, 31)),
    );
    assert_eq!(finding["other"]["action"], "asynchronous copy to 16 bytes");
    clean(&["copy_good"]);
}

#[test]
fn blocks_that_add_to_one_number() {
    let finding = found("sum_bad", "race", ("sum", 1, 0), Some(("sum", 0, 0)));
    assert_eq!(finding["space"], "global");
    // Atomic, but not for one another.
    found(
        "sum_narrow",
        "race",
        ("sum-narrow", 1, 0),
        Some(("sum-narrow", 0, 0)),
    );
    clean(&["sum_good"]);
}

#[test]
fn the_last_block() {
    found(
        "last_bad",
        "race",
        ("last-read", 3, 0),
        Some(("last-write", 0, 0)),
    );
    clean(&["last_good"]);
}

#[test]
fn lanes_of_a_warp() {
    found(
        "lanes_bad",
        "race",
        ("lanes", 0, 0),
        Some(("lanes-write", 0, 1)),
    );
    clean(&["lanes_good"]);
}

#[test]
fn messages_between_blocks() {
    found(
        "message_bad",
        "race",
        ("message", 1, 0),
        Some(("message-write", 0, 0)),
    );
    clean(&["message_good", "message_ordered"]);
}

#[test]
fn barriers_of_the_grid() {
    // Blocks read before their neighbours write, and after.
    let (read, write) = (("grid-read", 0, 0), ("grid-write", 1, 0));
    found("grid_bad", "race", write, Some(read));
    let (read, write) = (("grid-read", 2, 0), ("grid-write", 0, 0));
    found("grid_bad", "race", read, Some(write));
    clean(&["grid_good"]);
}

#[test]
fn locks() {
    found("lock_bad", "race", ("lock", 1, 0), Some(("lock", 0, 0)));
    clean(&["lock_good"]);
}

#[test]
fn atomics_in_shared_memory() {
    let write = ("histogram-write", 0, 1);
    found("histogram_bad", "race", ("histogram", 0, 0), Some(write));
    clean(&["histogram_good"]);
}

#[test]
fn producers_and_consumers() {
    let (read, write) = (("queue-read", 0, 32), ("queue-write", 0, 31));
    found("queue_bad", "race", read, Some(write));
    clean(&["queue_good"]);
}

#[test]
fn threads_that_write_what_others_write() {
    found(
        "writes_bad",
        "race",
        ("writes", 0, 1),
        Some(("writes", 0, 0)),
    );
    clean(&["writes_good"]);
}

#[test]
fn neighbouring_bytes() {
    clean(&["narrow_good"]);
}
