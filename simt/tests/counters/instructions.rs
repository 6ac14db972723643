//! Instructions by class, lanes at work, operations, barriers; nothing depends on host threads.

use crate::machine::{AROUND, Machine};
use simt::count::record::{Flops, Record};

fn class(record: &Record, name: &str) -> u64 {
    record.instructions.by_class.get(name).copied().unwrap_or(0)
}

#[test]
fn classes_of_a_straight_line() {
    let body = "cvt.rn.f32.u32 %f1, %tid; fma.rn.f32 %f2, %f1, %f1, %f1; add.f32 %f3, %f2, 0f3f800000;\
                ex2.approx.f32 %f4, %f1; div.rn.f32 %f5, %f1, %f2; setp.gt.f32 %p1, %f4, %f3;\
                selp.u32 %r1, 1, 2, %p1; xor.b32 %r1, %r1, 5; cvt.f64.f32 %e1, %f1;\
                mul.f64 %e2, %e1, %e1; fma.rn.f64 %e3, %e2, %e2, %e1; mov.b32 %r2, %r1;\
                fma.rn.f16x2 %r3, %r2, %r2, %r2; shfl.sync.bfly.b32 %r4, %r2, 1, 31, -1;\
                membar.gl; st.shared.f64 [tile], %e3;";
    let record = Machine::new().run(body, 2, 96, 64);
    let warps = 6;
    for (name, each) in [
        ("load.param", 2),
        ("move", 3),
        ("integer", 2),
        ("convert", 2),
        ("f32", 2),
        ("special", 2),
        ("predicate", 2),
        ("f64", 2),
        ("half", 1),
        ("warp", 1),
        ("fence", 1),
        ("store.shared", 1),
        ("control", 1),
    ] {
        assert_eq!(class(&record, name), each * warps, "{name}");
    }
    let instructions = &record.instructions;
    assert_eq!(instructions.warp, (AROUND + 16) * warps);
    assert_eq!(instructions.thread, instructions.warp * 32);
    assert_eq!(instructions.lane_activity, 1.0);
    let expected = Flops {
        f16: 4 * 192,
        f32: 3 * 192,
        f64: 3 * 192,
        ..Flops::default()
    };
    assert_eq!(record.flops, expected);
}

#[test]
fn divergent_branches() {
    // Eight lanes execute three instructions, the others one and a jump; both meet.
    let body = "setp.lt.u32 %p1, %tid, 8; @%p1 bra few;\
                add.u32 %r1, %tid, 1; bra.uni join;\
                few: add.u32 %r1, %tid, 2; mul.lo.u32 %r1, %r1, 3; xor.b32 %r1, %r1, 1;\
                join: add.u32 %r1, %r1, 1;";
    let record = Machine::new().run(body, 1, 32, 64);
    let instructions = &record.instructions;
    // The guarded branch is executed by the eight lanes that take it.
    let lanes = (AROUND + 2) * 32 + 8 + 2 * 24 + 3 * 8;
    assert_eq!(instructions.warp, AROUND + 2 + 1 + 2 + 3);
    assert_eq!(instructions.thread, lanes);
    let activity = lanes as f64 / (32 * instructions.warp) as f64;
    assert_eq!(instructions.lane_activity, activity);
}

#[test]
fn loops_of_different_lengths() {
    // Lane l goes round l + 1 times: 32 rounds of the warp, 528 of its lanes.
    let body = "mov.u32 %r1, 0; again: add.u32 %r1, %r1, 1; setp.le.u32 %p1, %r1, %tid;\
                @%p1 bra again;";
    let record = Machine::new().run(body, 1, 32, 64);
    let (rounds, lanes) = (32, 528);
    assert_eq!(record.instructions.warp, AROUND + 1 + 3 * rounds);
    // The branch back is executed by those that take it.
    let thread = (AROUND + 1) * 32 + 2 * lanes + lanes - 32;
    assert_eq!(record.instructions.thread, thread);
}

#[test]
fn a_record_keeps_the_hottest_lines() {
    // A hundred and fifty lines, of which the last hundred are executed twice.
    let lines = |count: usize| "add.u32 %r1, %r1, 1;\n".repeat(count);
    let body = format!(
        "\n{}again:\n{}not.pred %p1, %p1;\n@%p1 bra again;\n",
        lines(50),
        lines(98)
    );
    let record = Machine::new().run(&body, 1, 32, 64);
    let lines = &record.ptx_lines;
    assert_eq!(lines.len(), 100);
    assert!(lines.is_sorted_by_key(|l| l.line));
    assert!(lines.iter().all(|l| l.counts.instructions == 2));
    assert_eq!(record.instructions.warp, AROUND + 50 + 2 * 100);
}

#[test]
fn barriers_count_once_for_each_warp() {
    let body = "bar.sync 0; bar.sync 0; barrier.sync 1, 128; bar.red.popc.u32 %r1, 0, 0;";
    // The last operand of `bar.red` is a predicate.
    let body = body.replace("%r1, 0, 0", "%r1, 0, %p1");
    let record = Machine::new().run(&body, 3, 128, 64);
    assert_eq!(record.instructions.barriers, 3 * 4 * 4);
    assert_eq!(class(&record, "barrier"), 3 * 4 * 4);
    assert_eq!(record.instructions.warp, (AROUND + 4) * 12);
}

#[test]
fn threads_that_wait_for_their_warp_execute_once() {
    // One half spins for longer than the other one waits where they would meet: each comes to the
    // barrier by itself.
    let body = "setp.lt.u32 %p1, %tid, 16; mov.u32 %r1, 3; @%p1 mov.u32 %r1, 9000;\
                spin: sub.u32 %r1, %r1, 1; setp.ne.u32 %p2, %r1, 0; @%p2 bra spin;\
                bar.warp.sync -1; shfl.sync.idx.b32 %r2, %tid, 0, 31, -1;";
    let record = Machine::new().run(body, 1, 32, 64);
    assert_eq!(class(&record, "warp"), 2);
}

/// How often warps came by the line of `kernel(body)` with `what` in it.
fn times(body: &str, record: &Record, what: &str) -> u64 {
    let text = crate::machine::kernel(body);
    let line = text.lines().position(|l| l.contains(what)).unwrap() as u32 + 1;
    let line = record.ptx_lines.iter().find(|l| l.line == line);
    line.map_or(0, |line| line.counts.instructions)
}

#[test]
fn waits_for_an_mbarrier_count_once() {
    // Warp 0 comes first and waits for the arrivals of warp 1; warp 2 finds the phase complete.
    let body = "mov.u32 %r1, tile; setp.ne.u32 %p1, %tid, 0;\n\
                @%p1 bra ready;\nmbarrier.init.shared.b64 [%r1], 32;\n\
                ready: bar.sync 0; shr.u32 %r2, %tid, 5; setp.eq.u32 %p2, %r2, 1;\n\
                @%p2 mbarrier.arrive.shared.b64 _, [%r1];\n@%p2 bra done;\n\
                wait: mbarrier.try_wait.parity.shared.b64 %p3, [%r1], 0;\n\
                @!%p3 bra wait;\ndone:\n";
    let record = Machine::new().run(body, 1, 96, 64);
    assert_eq!(times(body, &record, "try_wait"), 2);
    assert_eq!(record.shared.loads.requests, 2);
    // Initialised by one, met by three, arrived at by one while two pass by, waited for by two.
    assert_eq!(record.instructions.barriers, 1 + 3 + 3 + 2);
    // One look that fails and two waits that nobody can end, each of which is one instruction.
    let body = "mov.u32 %r1, tile; mbarrier.init.shared.b64 [%r1], 1;\n\
                mbarrier.test_wait.parity.shared.b64 %p1, [%r1], 0;\n\
                mbarrier.try_wait.parity.shared.b64 %p1, [%r1], 0, 10;\n\
                mbarrier.try_wait.parity.shared.b64 %p1, [%r1], 0, 20;\n";
    let record = Machine::new().run(body, 1, 1, 64);
    for what in ["test_wait", "0, 10;", "0, 20;"] {
        assert_eq!(times(body, &record, what), 1, "{what}");
    }
    assert_eq!(record.instructions.warp, AROUND + 5);
}

#[test]
fn waits_for_the_cluster_count_once() {
    let body = "barrier.cluster.arrive;\nbarrier.cluster.wait;\n";
    for (blocks, size, warps) in [(8, 4, 2), (3, 1, 1)] {
        let mut machine = Machine::new();
        machine.cluster = Some([size, 1, 1]);
        let record = machine.run(body, blocks, 32 * warps, 64);
        let each = u64::from(blocks * warps);
        for what in ["arrive", "wait"] {
            assert_eq!(times(body, &record, what), each, "{what}");
        }
        assert_eq!(record.instructions.warp, (AROUND + 2) * each);
    }
}

#[test]
fn matrix_products() {
    let f32s = "{%f1, %f2, %f3, %f4}";
    let body = format!(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {f32s}, {{%r1, %r2, %r3, %r4}}, {{%r5, %r6}}, {f32s};\
         mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {f32s}, {{%r1, %r2, %r3, %r4}}, {{%r5, %r6}}, {f32s};\
         mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {{%e1, %e2}}, {{%e3}}, {{%e4}}, {{%e1, %e2}};\
         mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {{%r7, %r8, %r9, %r10}}, {{%r1, %r2, %r3, %r4}}, {{%r5, %r6}}, {{%r7, %r8, %r9, %r10}};"
    );
    let record = Machine::new().run(&body, 2, 64, 64);
    let products = 2 * (16 * 8 * 16 + 16 * 8 * 8 + 8 * 8 * 4);
    assert_eq!(record.flops.tensor, 4 * products);
    assert_eq!(record.flops.tensor_integer, 4 * 2 * 16 * 8 * 32);
    assert_eq!(record.flops.f32 + record.flops.f64, 0);
    assert_eq!(class(&record, "tensor"), 4 * 4);
}

#[test]
fn occupancy_and_what_limits_it() {
    use simt::driver::Chip;
    // 16,384 bytes of static shared memory and 1,024 of the driver's: 13 blocks in 228 KiB.
    let record = Machine::new().run("", 1, 128, 64);
    let shared = Chip::of(0).shared_per_multiprocessor / (16384 + 1024);
    assert_eq!(record.static_shared, 16384);
    assert_eq!(record.occupancy.blocks, shared);
    assert_eq!(record.occupancy.warps, 4 * shared);
    let limiter = serde_json::to_value(record.occupancy.limiter).unwrap();
    assert_eq!(limiter, "shared_memory");
    let record = Machine::new().run("", 1, 1024, 64);
    let warps = Chip::of(0).threads_per_multiprocessor / 1024;
    assert_eq!(record.occupancy.blocks, warps);
    let limiter = serde_json::to_value(record.occupancy.limiter).unwrap();
    assert_eq!(limiter, "warps");
}

#[test]
fn host_threads_change_nothing() {
    // Blocks differ in what they read and how often; all write to common places.
    let body = "and.b32 %r1, %id, 7; mul.lo.u32 %r2, %id, 52; and.b32 %r2, %r2, 0xfffc;\
                again: cvt.u64.u32 %d1, %r2; add.u64 %d1, %d1, %a; ld.global.u32 %r3, [%d1];\
                add.u32 %r2, %r2, 4096; and.b32 %r2, %r2, 0xfffc; add.u32 %r1, %r1, 1;\
                setp.lt.u32 %p1, %r1, 9; @%p1 bra again;\
                and.b32 %r4, %id, 255; mad.wide.u32 %d2, %r4, 4, %b;\
                red.global.add.u32 [%d2], %r3; bar.sync 0;";
    let mut records = Vec::new();
    for (threads, cooperative) in [(1, false), (2, false), (5, false), (1, true)] {
        let mut machine = Machine::new();
        (machine.threads, machine.cooperative, machine.l2) = (threads, cooperative, 8 << 10);
        let mut record = machine.run(body, 37, 96, 1 << 16);
        record.host_ms = 0.0;
        records.push(record);
    }
    assert!(records[0].l2.hit_sectors > 0 && records[0].l2.complete);
    assert_eq!(records[0], records[1]);
    assert_eq!(records[0], records[2]);
    assert_eq!(records[0], records[3]);
}
