//! `mbarrier`: what the PTX ISA says of counts, phases and states, hand-counted.

use super::run::{module, run};

const BARRIER: &str = ".shared .align 8 .b64 bar;";

/// One thread does something and stores words.
fn one(body: &str, words: usize) -> Vec<u32> {
    run(&module("", BARRIER, body), 1, 1, &[0], words)
}

#[test]
fn phases_and_pending_counts() {
    // Three arrivals a phase: the states tell how many were pending before each of them.
    let body = "mbarrier.init.shared::cta.b64 [bar], 3;
        mbarrier.arrive.shared.b64 %d1, [bar];
        mbarrier.arrive.noComplete.release.cta.shared::cta.b64 %d2, [bar], 1;
        mbarrier.test_wait.shared.b64 %p1, [bar], %d1;
        mbarrier.arrive.b64 %d3, [%d0];
        mbarrier.test_wait.acquire.cta.shared::cta.b64 %p2, [bar], %d1;
        mbarrier.arrive.shared::cta.b64 %d4, [bar], 2;
        mbarrier.test_wait.shared.b64 %p3, [bar], %d4;
        mbarrier.test_wait.parity.shared.b64 %p4, [bar], 0;
        mbarrier.test_wait.parity.shared.b64 %p5, [bar], 1;
        mbarrier.pending_count.b64 %r1, %d1;
        mbarrier.pending_count.b64 %r2, %d2;
        mbarrier.pending_count.b64 %r3, %d3;
        mbarrier.pending_count.b64 %r4, %d4;
        selp.u32 %r5, 1, 0, %p1;
        selp.u32 %r6, 1, 0, %p2;
        selp.u32 %r7, 1, 0, %p3;
        selp.u32 %r8, 1, 0, %p4;
        selp.u32 %r9, 1, 0, %p5;
        st.global.v4.u32 [%out], {%r1, %r2, %r3, %r4};
        st.global.v4.u32 [%out+16], {%r5, %r6, %r7, %r8};
        st.global.u32 [%out+32], %r9;";
    let body = format!("mov.u64 %d0, bar;\ncvta.shared.u64 %d0, %d0;\n{body}");
    assert_eq!(one(&body, 9), [3, 2, 1, 3, 0, 1, 0, 1, 0]);
}

#[test]
fn drops_lower_the_count_of_later_phases() {
    let body = "mbarrier.init.shared.b64 [bar], 4;
        mbarrier.arrive_drop.shared.b64 %d1, [bar], 2;
        mbarrier.arrive.shared.b64 %d2, [bar], 2;
        mbarrier.test_wait.shared.b64 %p1, [bar], %d1;
        mbarrier.arrive.shared.b64 %d3, [bar];
        mbarrier.test_wait.parity.shared.b64 %p2, [bar], 1;
        mbarrier.arrive.shared.b64 _, [bar];
        mbarrier.test_wait.parity.shared.b64 %p3, [bar], 1;
        mbarrier.pending_count.b64 %r1, %d3;
        mbarrier.inval.shared.b64 [bar];
        selp.u32 %r2, 1, 0, %p1;
        selp.u32 %r3, 1, 0, %p2;
        selp.u32 %r4, 1, 0, %p3;
        st.global.v4.u32 [%out], {%r1, %r2, %r3, %r4};";
    // Two of four are gone: the second phase waits for two.
    assert_eq!(one(body, 4), [2, 1, 0, 1]);
}

#[test]
fn bytes_count_both_ways() {
    // Bytes may come before they are expected, and a phase needs arrivals and bytes.
    let body = "mbarrier.init.shared.b64 [bar], 1;
        mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [bar], 48;
        mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 64;
        mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %d1, [bar], 32;
        mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0;
        mbarrier.complete_tx.shared::cta.b64 [bar], 47;
        mbarrier.test_wait.parity.shared.b64 %p2, [bar], 0;
        mbarrier.complete_tx.shared::cta.b64 [bar], 1;
        mbarrier.test_wait.parity.shared.b64 %p3, [bar], 0;
        selp.u32 %r1, 1, 0, %p1;
        selp.u32 %r2, 1, 0, %p2;
        selp.u32 %r3, 1, 0, %p3;
        st.global.u32 [%out], %r1;
        st.global.v2.u32 [%out+8], {%r2, %r3};";
    assert_eq!(one(body, 4), [0, 0xdead_beef, 0, 1]);
}

#[test]
fn waiting_lets_other_warps_run() {
    // Warps 1 to 3 hand a token round, eight times, each waiting for its own barrier; warp 0 only waits
    // for the end. Half of the waits have a hint of time.
    let body = "setp.ne.u32 %p1, %t, 0;
        @%p1 bra READY;
        mbarrier.init.shared.b64 [bars], 32;
        mbarrier.init.shared.b64 [bars+8], 32;
        mbarrier.init.shared.b64 [bars+16], 32;
        mbarrier.init.shared.b64 [bars+24], 96;
        st.shared.u32 [token], 0;
        READY:
        bar.sync 0;
        shr.u32 %r1, %t, 5;
        setp.eq.u32 %p2, %r1, 0;
        @%p2 bra LAST;
        sub.u32 %r2, %r1, 1;
        mov.u32 %r3, bars;
        shl.b32 %r4, %r2, 3;
        add.u32 %r5, %r3, %r4;
        rem.u32 %r6, %r1, 3;
        shl.b32 %r7, %r6, 3;
        add.u32 %r7, %r3, %r7;
        mov.u32 %r8, 0;
        setp.eq.u32 %p3, %r1, 1;
        @%p3 mbarrier.arrive.shared.b64 _, [%r5];
        ROUND:
        and.b32 %r9, %r8, 1;
        AGAIN:
        mbarrier.try_wait.parity.shared.b64 %p4, [%r5], %r9, 1000;
        @!%p4 bra AGAIN;
        ld.shared.u32 %r10, [token];
        mad.lo.u32 %r10, %r10, 3, %r1;
        bar.warp.sync -1;
        st.shared.u32 [token], %r10;
        mbarrier.arrive.shared.b64 _, [%r7];
        add.u32 %r8, %r8, 1;
        setp.lt.u32 %p5, %r8, 8;
        @%p5 bra ROUND;
        mbarrier.arrive.shared.b64 _, [bars+24];
        ret;
        LAST:
        mbarrier.try_wait.parity.shared.b64 %p4, [bars+24], 0;
        @!%p4 bra LAST;
        ld.shared.u32 %r10, [token];
        st.global.u32 [%out], %r10;";
    let shared = ".shared .align 8 .b64 bars[4];\n.shared .align 4 .b32 token;";
    let out = run(&module("", shared, body), 1, 128, &[0], 1);
    let mut token = 0u32;
    for _ in 0..8 {
        for warp in 1..4 {
            token = token.wrapping_mul(3) + warp;
        }
    }
    assert_eq!(out, [token]);
}

#[test]
fn arrivals_of_copies_wait_for_their_bytes() {
    // Before the wait nothing has landed, after it everything has; the barrier counts the 32 arrivals of
    // `.noinc` besides the thread's own, and none of those that add themselves.
    for (arrive, count) in [("arrive.noinc", 64), ("arrive", 32)] {
        let body = format!(
            "setp.eq.u32 %p1, %t, 0;
            @%p1 mbarrier.init.shared.b64 [bar], {count};
            shl.b32 %r1, %t, 2;
            mov.u32 %r2, buffer;
            add.u32 %r2, %r2, %r1;
            st.shared.u32 [%r2], 7;
            cvt.u64.u32 %d1, %r1;
            add.u64 %d2, %in, %d1;
            add.u64 %d3, %out, %d1;
            bar.sync 0;
            cp.async.ca.shared.global [%r2], [%d2], 4;
            cp.async.mbarrier.{arrive}.shared::cta.b64 [bar];
            mbarrier.arrive.shared.b64 %d4, [bar];
            ld.shared.u32 %r3, [%r2];
            WAIT:
            mbarrier.try_wait.shared.b64 %p2, [bar], %d4;
            @!%p2 bra WAIT;
            ld.shared.u32 %r4, [%r2];
            st.global.u32 [%d3], %r3;
            st.global.u32 [%d3+128], %r4;"
        );
        let shared = ".shared .align 8 .b64 bar;\n.shared .align 16 .b32 buffer[32];";
        let input: Vec<u32> = (100..132).collect();
        let out = run(&module("", shared, &body), 1, 32, &input, 64);
        assert!(out[..32].iter().all(|x| *x == 7), "{arrive}: {out:?}");
        assert_eq!(out[32..], input, "{arrive}");
    }
}
