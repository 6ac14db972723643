//! Bulk copies of plain bytes: sectors, lines of shared memory, bytes that are touched.

use crate::machine::Machine;
use simt::count::record::{Record, Traffic, Wavefronts};

fn traffic(requests: u64, bytes: u64, sectors: u64, ideal_sectors: u64) -> Traffic {
    Traffic {
        requests,
        bytes,
        sectors,
        ideal_sectors,
    }
}

fn fronts(requests: u64, bytes: u64, wavefronts: u64, ideal_wavefronts: u64) -> Wavefronts {
    Wavefronts {
        requests,
        bytes,
        wavefronts,
        ideal_wavefronts,
    }
}

/// A body in which thread 0 alone executes `body`; `%r1` is `tile`, `%r2` an mbarrier far behind.
fn first(body: &str) -> String {
    format!(
        "mov.u32 %r1, tile; add.u32 %r2, %r1, 12288; setp.ne.u32 %p1, %tid, 0; @%p1 bra done;\
         {body} done:"
    )
}

/// Thread 0 waits for `bytes` that `copy` brings.
fn load(copy: &str, bytes: u32) -> String {
    first(&format!(
        "mbarrier.init.shared.b64 [%r2], 1;\
         mbarrier.arrive.expect_tx.shared.b64 _, [%r2], {bytes}; {copy}\
         wait: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0; @!%p2 bra wait;"
    ))
}

/// Stores of a record but for the initialisation of an mbarrier of 8 bytes in each of some blocks.
fn stores(record: &Record, blocks: u64) -> Wavefronts {
    let Wavefronts {
        requests,
        bytes,
        wavefronts,
        ideal_wavefronts,
    } = record.shared.stores;
    fronts(
        requests - blocks,
        bytes - 8 * blocks,
        wavefronts - blocks,
        ideal_wavefronts - blocks,
    )
}

#[test]
fn loads() {
    // 416 bytes: from 16 to 432, sectors 0 to 13; to 112 up to 528, lines 0 to 4.
    let body = load(
        "add.u64 %d1, %a, 16; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes\
         [%r1+112], [%d1], 416, [%r2];",
        416,
    );
    let record = Machine::new().run(&body, 1, 64, 1 << 10);
    assert_eq!(record.global.loads, traffic(1, 416, 14, 13));
    assert_eq!(record.global.stores, Traffic::default());
    assert_eq!(stores(&record, 1), fronts(1, 416, 5, 4));
    let unique = &record.unique;
    assert_eq!((unique.read_bytes, unique.written_bytes), (416, 0));
    assert_eq!(record.l2.memory_read_bytes, 14 * 32);
    assert_eq!(record.instructions.by_class["async copy"], 1);
}

#[test]
fn stores_and_reductions() {
    let body = first(
        "st.shared.v4.u32 [%r1+16], {%r3, %r3, %r3, %r3};\
         cp.async.bulk.global.shared::cta.bulk_group [%b], [%r1+16], 96;\
         add.u64 %d1, %b, 240;\
         cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%d1], [%r1+112], 32;\
         cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;",
    );
    let record = Machine::new().run(&body, 3, 32, 1 << 10);
    assert_eq!(record.global.loads, Traffic::default());
    assert_eq!(record.global.stores, traffic(3, 3 * 96, 3 * 3, 3 * 3));
    // 240 to 272: two sectors for 32 bytes.
    assert_eq!(record.global.atomics, traffic(3, 3 * 32, 3 * 2, 3));
    // 16 to 112 is in one line, 112 to 144 in two.
    assert_eq!(record.shared.loads, fronts(6, 3 * 128, 3 * 3, 3 * 2));
    let unique = &record.unique;
    assert_eq!((unique.read_bytes, unique.written_bytes), (32, 96 + 32));
    assert_eq!(record.l2.memory_read_bytes, 64);
    assert_eq!(record.l2.memory_written_bytes, 96 + 64);
}

#[test]
fn every_lane_has_a_copy_of_its_own() {
    let body = "shl.b32 %r3, %tid, 6; mov.u32 %r1, tile; add.u32 %r1, %r1, %r3;\
                cvt.u64.u32 %d1, %r3; add.u64 %d1, %d1, %b;\
                cp.async.bulk.global.shared::cta.bulk_group [%d1], [%r1], 64;\
                cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
    let record = Machine::new().run(body, 1, 4, 1 << 10);
    assert_eq!(record.global.stores, traffic(4, 256, 8, 8));
    assert_eq!(record.shared.loads, fronts(4, 256, 4, 4));
    assert_eq!(record.unique.written_bytes, 256);
}

#[test]
fn prefetches_bring_to_l2() {
    let body = first(
        "cp.async.bulk.prefetch.L2.global [%a], 256;\
         ld.global.u32 %r3, [%a]; ld.global.u32 %r4, [%a+512];\
         mov.u64 %d1, 4096; cp.async.bulk.prefetch.L2.global [%d1], 64;",
    );
    let record = Machine::new().run(&body, 1, 32, 1 << 10);
    // What belongs to nobody is not brought.
    assert_eq!(record.global.loads, traffic(3, 256 + 8, 8 + 2, 8 + 2));
    assert_eq!(record.unique.read_bytes, 256 + 4);
    assert_eq!((record.l2.hit_sectors, record.l2.miss_sectors), (1, 9));
    assert_eq!(record.shared.loads, Wavefronts::default());
}

/// Two blocks of a cluster that meet before and after what their first threads do.
fn pair(body: &str, blocks: u32) -> Record {
    let mut machine = Machine::new();
    machine.cluster = Some([2, 1, 1]);
    let body = format!(
        "mov.u32 %r1, tile; add.u32 %r2, %r1, 12288; mov.u32 %r10, %cluster_ctarank;\
         setp.ne.u32 %p1, %tid, 0; @%p1 bra ready; mbarrier.init.shared.b64 [%r2], 1;\
         mbarrier.arrive.expect_tx.shared.b64 _, [%r2], 256;\
         ready: barrier.cluster.arrive; barrier.cluster.wait; @%p1 bra sent; {body}\
         sent: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0; @!%p2 bra sent;\
         barrier.cluster.arrive; barrier.cluster.wait;"
    );
    machine.run(&body, blocks, 32, 1 << 10)
}

#[test]
fn copies_from_block_to_block() {
    let to_other = "xor.b32 %r11, %r10, 1; mapa.shared::cluster.u32 %r12, %r1, %r11;\
                    mapa.shared::cluster.u32 %r13, %r2, %r11;";
    let record = pair(
        &format!(
            "{to_other} cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes\
             [%r12+512], [%r1], 256, [%r13];"
        ),
        4,
    );
    assert_eq!(stores(&record, 4), fronts(4, 4 * 256, 4 * 2, 4 * 2));
    // The waits load as well, one of each warp.
    let waits = fronts(4, 4 * 32 * 8, 4 * 2, 4 * 2);
    let loads = &record.shared.loads;
    assert_eq!(loads.requests - waits.requests, 4);
    assert_eq!(loads.bytes - waits.bytes, 4 * 256);
    assert_eq!(record.global.loads, Traffic::default());
    let record = pair(
        &format!(
            "{to_other} cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32\
             [%r12+528], [%r1], 256, [%r13];"
        ),
        2,
    );
    // Those of the mbarriers apart.
    let atomics = &record.shared.atomics;
    assert_eq!((atomics.requests, atomics.bytes), (2 + 2, 2 * 8 + 2 * 256));
    assert_eq!(atomics.wavefronts, 2 + 2 * 3);
}

#[test]
fn what_goes_to_several_blocks_is_read_once() {
    let record = pair(
        "setp.ne.u32 %p3, %r10, 0; mov.b16 %h1, 3;\
         @!%p3 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster\
         [%r1], [%a], 256, [%r2], %h1;",
        2,
    );
    assert_eq!(record.global.loads, traffic(1, 256, 8, 8));
    assert_eq!(record.unique.read_bytes, 256);
    assert_eq!(stores(&record, 2), fronts(2, 512, 4, 4));
}

#[test]
fn host_threads_change_nothing() {
    let body = load(
        "mul.wide.u32 %d1, %id, 16; add.u64 %d1, %d1, %a;\
         cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d1], 1024, [%r2];",
        1024,
    );
    let mut records = Vec::new();
    for threads in [1, 2, 5] {
        let mut machine = Machine::new();
        (machine.threads, machine.l2) = (threads, 4 << 10);
        let mut record = machine.run(&body, 37, 32, 1 << 15);
        record.host_ms = 0.0;
        records.push(record);
    }
    assert!(records[0].l2.complete && records[0].l2.hit_sectors > 0);
    // Each block begins 512 bytes further, so that all but the ends are read twice.
    assert_eq!(records[0].unique.read_bytes, 36 * 512 + 1024);
    assert_eq!(records[0], records[1]);
    assert_eq!(records[0], records[2]);
}
