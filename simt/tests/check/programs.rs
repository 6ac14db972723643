//! Programs that are known to be right: compilers and templates made them, or other tests say what they
//! compute. Nothing may be found in them.

use super::process::{Outcome, run};

#[test]
fn kernels_that_are_right() {
    all_clean("kernels::", 17);
}

#[test]
fn products_that_are_right() {
    all_clean("matrix_products::", 4);
}

#[test]
fn hopper_kernels_that_are_right() {
    for (tests, count) in [
        ("hopper::tensor_memory::", 4),
        ("hopper::triton::", 3),
        ("hopper::tensor_maps::", 2),
        ("hopper::fragments::products", 1),
        ("hopper::clusters::", 5),
        ("hopper::mbarriers::", 5),
    ] {
        all_clean(tests, count);
    }
}

/// Runs this program's tests whose names begin so, of which there are at least `count`.
fn all_clean(tests: &str, count: usize) {
    let Outcome { findings, output } = run(&[tests], "", "all");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(
        text.matches(" ... ok").count() + text.matches("\nok").count() >= count,
        "{text}"
    );
}
