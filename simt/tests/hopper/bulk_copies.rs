//! `cp.async.bulk` of plain bytes: what lands, when, and what a missing wait leaves.

use super::run::{module, run};
use super::support::Random;

const SHARED: &str = ".shared .align 8 .b64 bar;\n.shared .align 16 .b32 buffer[64];";

fn numbers(count: usize) -> Vec<u32> {
    let mut random = Random::new();
    (0..count).map(|_| random.bits() as u32).collect()
}

/// A thread of one block loads 256 bytes; all of the warp then wait, or not, and store what is there.
fn load(wait: &str) -> (Vec<u32>, Vec<u32>) {
    let body = format!(
        "shl.b32 %r1, %t, 2;
        mov.u32 %r2, buffer;
        add.u32 %r2, %r2, %r1;
        st.shared.u32 [%r2], 1;
        st.shared.u32 [%r2+128], 2;
        setp.ne.u32 %p1, %t, 0;
        @%p1 bra ISSUED;
        mbarrier.init.shared.b64 [bar], 1;
        fence.mbarrier_init.release.cluster;
        mbarrier.arrive.expect_tx.shared.b64 _, [bar], 256;
        cp.async.bulk.prefetch.L2.global [%in], 256;
        cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buffer], [%in], 256, [bar];
        ISSUED:
        bar.warp.sync -1;
        {wait}
        ld.shared.u32 %r3, [%r2];
        ld.shared.u32 %r4, [%r2+128];
        cvt.u64.u32 %d1, %r1;
        add.u64 %d1, %d1, %out;
        st.global.u32 [%d1], %r3;
        st.global.u32 [%d1+128], %r4;"
    );
    let input = numbers(64);
    let out = run(&module("", SHARED, &body), 1, 32, &input, 64);
    (input, out)
}

#[test]
fn loads_land_when_they_are_waited_for() {
    let wait = "WAIT:\nmbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;\n@!%p2 bra WAIT;";
    let (input, out) = load(wait);
    assert_eq!(out, input);
    // One look is no wait: it fails, as it may on a chip, and what it saw has come for the next.
    let (input, out) = load("mbarrier.test_wait.parity.shared.b64 %p2, [bar], 0;\n@%p2 trap;");
    assert_eq!(out, input);
    let (_, out) = load("");
    assert!(out[..32].iter().all(|x| *x == 1) && out[32..].iter().all(|x| *x == 2));
}

/// A thread stores shared memory to `out`, overwriting it after `wait`.
fn store(wait: &str) -> Vec<u32> {
    let body = format!(
        "setp.ne.u32 %p1, %t, 0;
        @%p1 ret;
        st.shared.v4.b32 [buffer], {{1, 2, 3, 4}};
        fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [buffer], 16;
        cp.async.bulk.commit_group;
        {wait}
        st.shared.v4.b32 [buffer], {{5, 6, 7, 8}};
        ld.global.u32 %r1, [%out];
        st.global.u32 [%out+16], %r1;"
    );
    run(&module("", SHARED, &body), 1, 32, &[0], 5)
}

#[test]
fn stores_read_and_write_when_they_are_waited_for() {
    let poison = 0xdead_beef;
    assert_eq!(store("cp.async.bulk.wait_group 0;"), [1, 2, 3, 4, 1]);
    // The reads are over, the writes are not.
    assert_eq!(
        store("cp.async.bulk.wait_group.read 0;"),
        [1, 2, 3, 4, poison]
    );
    assert_eq!(store("cp.async.bulk.wait_group 1;"), [5, 6, 7, 8, poison]);
    assert_eq!(store(""), [5, 6, 7, 8, poison]);
}

#[test]
fn reductions_in_global_memory() {
    for (operation, f) in [
        ("add.u32", (|a, b| a + b) as fn(u32, u32) -> u32),
        ("min.s32", |a, b| (a as i32).min(b as i32) as u32),
        ("max.u32", |a, b| a.max(b)),
        ("inc.u32", |a, b| if a >= b { 0 } else { a + 1 }),
        ("dec.u32", |a, b| if a == 0 || a > b { b } else { a - 1 }),
        ("and.b32", |a, b| a & b),
        ("or.b32", |a, b| a | b),
        ("xor.b32", |a, b| a ^ b),
        ("add.f32", |a, b| {
            (f32::from_bits(a) + f32::from_bits(b)).to_bits()
        }),
    ] {
        // What is there first comes by a plain copy.
        let body = format!(
            "setp.ne.u32 %p1, %t, 0;
            @%p1 ret;
            ld.global.v4.u32 {{%r1, %r2, %r3, %r4}}, [%in];
            st.shared.v4.u32 [buffer], {{%r1, %r2, %r3, %r4}};
            ld.global.v4.u32 {{%r1, %r2, %r3, %r4}}, [%in+16];
            st.global.v4.u32 [%out], {{%r1, %r2, %r3, %r4}};
            cp.reduce.async.bulk.global.shared::cta.bulk_group.{operation} [%out], [buffer], 16;
            cp.async.bulk.commit_group;
            cp.async.bulk.wait_group 0;"
        );
        let mut random = Random::new();
        let mut draw = |_| match operation {
            "add.f32" => random.unit().to_bits(),
            _ => random.bits() as u32 >> (random.below(2) * 29) >> 1,
        };
        let input: Vec<u32> = (0..8).map(&mut draw).collect();
        let out = run(&module("", SHARED, &body), 1, 32, &input, 4);
        let expected: Vec<u32> = (0..4).map(|i| f(input[4 + i], input[i])).collect();
        assert_eq!(out, expected, "{operation} of {input:x?}");
    }
}
