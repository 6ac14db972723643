//! Bulk copies with a fault, and the same without it.

use super::faults::{clean, found};

const UNWRITTEN: &str = "uninitialised-read";

#[test]
fn copies_of_what_nobody_has_written() {
    let finding = found("bulk/reads_bad", UNWRITTEN, ("load", 0, 0), None);
    assert_eq!(finding["space"], "global");
    assert_eq!(finding["action"], "bulk copy from 256 bytes");
    assert_eq!(finding["allocation"]["offset"], 48 * 4);
    let finding = found("bulk/writes_bad", UNWRITTEN, ("store", 0, 0), None);
    assert_eq!(finding["space"], "shared");
    let finding = found("bulk/known_bad", UNWRITTEN, ("load", 0, 0), None);
    assert_eq!(finding["allocation"]["offset"], 64 * 4);
    let finding = found("bulk/adds_bad", UNWRITTEN, ("add", 0, 0), None);
    assert_eq!(finding["action"], "bulk reduction of 256 bytes");
    clean(&[
        "bulk/reads_good",
        "bulk/writes_good",
        "bulk/known_good",
        "bulk/adds_good",
    ]);
}

#[test]
fn matrices_that_nobody_has_written() {
    let finding = found("bulk/matrix_bad", UNWRITTEN, ("matrix-read", 0, 0), None);
    assert_eq!(finding["space"], "shared");
    assert_eq!(finding["action"], "load of 64 bytes of a matrix");
    clean(&["bulk/matrix_good"]);
}

#[test]
fn reads_before_the_bytes_have_come() {
    let copy = Some(("load", 0, 0));
    let finding = found("bulk/early_bad", "race", ("early", 0, 32), copy);
    assert_eq!(finding["space"], "shared");
    assert_eq!(finding["other"]["action"], "bulk copy to these bytes");
    found("bulk/heard_bad", "race", ("heard", 0, 32), copy);
    found("bulk/other_bad", "race", ("other", 0, 32), copy);
    clean(&["bulk/reads_good", "bulk/heard_good"]);
}

#[test]
fn writes_over_what_is_being_read() {
    let copy = Some(("store", 0, 0));
    let finding = found("bulk/overwrite_bad", "race", ("overwrite", 0, 0), copy);
    assert_eq!(finding["action"], "write of 4 bytes");
    assert_eq!(finding["other"]["action"], "bulk copy from these bytes");
    found("bulk/groups_bad", "race", ("groups", 0, 0), copy);
    let finding = found("bulk/result_bad", "race", ("result", 0, 0), copy);
    assert_eq!(finding["space"], "global");
    clean(&["bulk/overwrite_good", "bulk/result_good"]);
}

#[test]
fn copies_over_what_is_being_read() {
    let read = Some(("again", 0, 31));
    let finding = found("bulk/again_bad", "race", ("load", 0, 0), read);
    assert_eq!(finding["action"], "bulk copy to 256 bytes");
    clean(&["bulk/again_good", "bulk/stages_good"]);
}

#[test]
fn blocks_that_store_to_one_place() {
    let other = Some(("store", 0, 0));
    let finding = found("bulk/blocks_bad", "race", ("store", 1, 0), other);
    assert_eq!(finding["space"], "global");
    // Additions come one after another.
    clean(&["bulk/adds_good"]);
}

#[test]
fn boxes_of_tensors() {
    let (load, store) = (Some(("load-box", 0, 0)), Some(("store-box", 0, 0)));
    found("bulk/boxes_bad", "race", ("box-early", 0, 224), load);
    found("bulk/boxes_bad", "race", ("box-overwrite", 0, 0), store);
    clean(&["bulk/boxes_good"]);
}

#[test]
fn blocks_of_a_cluster_reach_each_others_memory() {
    let write = Some(("write-other", 1, 31));
    let finding = found("bulk/pair_bad", "race", ("pair", 0, 0), write);
    assert_eq!(finding["space"], "shared");
    assert_eq!(finding["note"], "threads of different blocks");
    // The block that arrives last goes on first.
    let write = Some(("relaxed-write", 0, 0));
    let finding = found("bulk/relaxed_bad", "race", ("read-other", 1, 0), write);
    let what = finding["allocation"]["what"].as_str().expect("a text");
    assert!(what.ends_with(" bytes of block (0, 0, 0)"), "{what}");
    clean(&["bulk/pair_good"]);
}

#[test]
fn other_blocks_memory_that_nobody_has_written() {
    let finding = found("bulk/unwritten_bad", UNWRITTEN, ("read-other", 1, 31), None);
    assert_eq!(finding["space"], "shared");
    clean(&["bulk/unwritten_good"]);
}

#[test]
fn messages_between_blocks_of_a_cluster() {
    let copy = Some(("send", 1, 0));
    found("bulk/sends_bad", "race", ("sent", 0, 0), copy);
    let write = Some(("write-other", 1, 31));
    found("bulk/tells_bad", "race", ("told", 0, 0), write);
    clean(&["bulk/sends_good", "bulk/tells_good", "bulk/values_good"]);
}

#[test]
fn tiles_that_a_product_reads() {
    let product = Some(("product", 0, 64));
    let overwrite = ("product-overwrite", 0, 64);
    let finding = found("bulk/product_bad", "race", overwrite, product);
    assert_eq!(finding["other"]["action"], "read of 16 bytes");
    clean(&["bulk/product_good", "bulk/arrival_good"]);
}
