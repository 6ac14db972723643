//! The longest chain of a block.

use crate::machine::Machine;
use simt::count::record::Chain;

const BYTES: u64 = 64 << 10;

/// Of a body's block of so many threads.
fn chain(body: &str, threads: u32) -> Chain {
    let chain = Machine::new().run(body, 1, threads, BYTES).chain;
    assert_eq!(
        (chain.cycles as f64, chain.loads as f64),
        (chain.mean_cycles, chain.mean_loads)
    );
    chain
}

/// A load from `%d2`, `offset` bytes on, whose address needs the one before.
fn next(offset: u64) -> String {
    format!(
        "and.b32 %r3, %r3, 0; cvt.u64.u32 %d1, %r3; add.u64 %d2, %d2, %d1; ld.global.u32 %r3, [%d2+{offset}];"
    )
}

#[test]
fn loads_that_need_another_wait_for_it() {
    // What is loaded has to be waited for, or nothing does.
    let of = |offsets: &[u64]| {
        let loads: String = offsets.iter().map(|at| next(*at)).collect();
        let body = format!("mov.u64 %d2, %a; mov.u32 %r3, 0; {loads} st.global.u32 [%d2], %r3;");
        chain(&body, 32)
    };
    let two = of(&[0, 1024]);
    assert_eq!(two.loads, 2);
    let three = of(&[0, 1024, 2048]);
    // The third needs an `and`, a `cvt` and an `add` first.
    assert_eq!((three.loads, three.cycles - two.cycles), (3, 12));
    // A line that is in L2 takes no load from memory.
    let again = of(&[0, 1024, 0]);
    assert_eq!((again.loads, again.cycles - two.cycles), (2, 12 + 262));
}

#[test]
fn turns_of_a_loop_overlap_where_none_needs_another() {
    let body = "mov.u64 %d2, %a; mov.u32 %r2, 0; mov.u32 %r1, 0;\
        part: ld.global.u32 %r3, [%d2]; add.u32 %r1, %r1, %r3; add.u64 %d2, %d2, 1024;\
        add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, 16; @%p1 bra part;\
        st.global.u32 [%a], %r1;";
    assert_eq!(chain(body, 32).loads, 1);
}

#[test]
fn warps_wait_at_barriers_for_the_slowest() {
    // One warp of two has loads; behind the barrier both have one more.
    let body = |barrier: &str| {
        format!(
            "mov.u64 %d2, %a; mov.u32 %r3, 0; setp.gt.u32 %p1, %tid, 31; @%p1 bra meet; {} {}\
             st.global.u32 [%d2], %r3; meet: {barrier} ld.global.u32 %r2, [%d2+4096];\
             st.global.u32 [%d2+4096], %r2;",
            next(0),
            next(1024)
        )
    };
    assert_eq!(chain(&body("bar.sync 0;"), 64).loads, 3);
}
