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
