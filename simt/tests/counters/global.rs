//! Sectors of global memory, and bytes that are touched.

use crate::machine::Machine;
use simt::count::record::Traffic;

fn traffic(requests: u64, bytes: u64, sectors: u64, ideal_sectors: u64) -> Traffic {
    Traffic {
        requests,
        bytes,
        sectors,
        ideal_sectors,
    }
}

/// A load of an f32 at `%a` plus `stride` bytes a thread plus `offset`.
fn strided(stride: u32, offset: u32) -> String {
    format!("mad.wide.u32 %d1, %id, {stride}, %a; ld.global.f32 %f1, [%d1+{offset}];")
}

#[test]
fn coalesced_loads() {
    // Three blocks of four warps: 128 bytes a warp, four sectors.
    let record = Machine::new().run(&strided(4, 0), 3, 128, 1 << 16);
    assert_eq!(record.global.loads, traffic(12, 1536, 48, 48));
    assert_eq!(record.global.stores, Traffic::default());
    assert_eq!(record.unique.read_bytes, 1536);
    assert_eq!(record.unique.written_bytes, 0);
}

#[test]
fn misaligned_loads_touch_one_sector_more() {
    let record = Machine::new().run(&strided(4, 4), 1, 64, 1 << 16);
    assert_eq!(record.global.loads, traffic(2, 256, 10, 8));
    assert_eq!(record.unique.read_bytes, 256);
}

#[test]
fn strided_loads() {
    for (stride, sectors) in [(8, 8), (16, 16), (32, 32), (128, 32)] {
        let record = Machine::new().run(&strided(stride, 0), 1, 32, 1 << 16);
        assert_eq!(record.global.loads, traffic(1, 128, sectors, 4), "{stride}");
        assert_eq!(record.unique.read_bytes, 128);
    }
}

#[test]
fn lanes_with_one_address() {
    let record = Machine::new().run("ld.global.f32 %f1, [%a+64];", 2, 96, 1 << 10);
    assert_eq!(record.global.loads, traffic(6, 6 * 128, 6, 6));
    assert_eq!(record.unique.read_bytes, 4);
}

#[test]
fn lanes_in_reverse() {
    let body = "sub.u32 %r1, 31, %tid; mad.wide.u32 %d1, %r1, 4, %a; ld.global.f32 %f1, [%d1];";
    let record = Machine::new().run(body, 1, 32, 1 << 10);
    assert_eq!(record.global.loads, traffic(1, 128, 4, 4));
}

#[test]
fn vectors() {
    let body = "mad.wide.u32 %d1, %id, 16, %a; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d1];";
    let record = Machine::new().run(body, 1, 64, 1 << 16);
    assert_eq!(record.global.loads, traffic(2, 1024, 32, 32));
    assert_eq!(record.unique.read_bytes, 1024);
}

#[test]
fn warps_that_are_not_full_and_guards() {
    // A warp of 32 and one of 8; then the odd lanes only.
    let record = Machine::new().run(&strided(4, 0), 1, 40, 1 << 10);
    assert_eq!(record.global.loads, traffic(2, 160, 5, 5));
    let body = "and.b32 %r1, %tid, 1; setp.eq.u32 %p1, %r1, 1; mad.wide.u32 %d1, %id, 4, %a;\
                @%p1 ld.global.f32 %f1, [%d1];";
    let record = Machine::new().run(body, 1, 32, 1 << 10);
    assert_eq!(record.global.loads, traffic(1, 64, 4, 2));
    // Nobody executes it.
    let body = "setp.gt.u32 %p1, %tid, 99; @%p1 ld.global.f32 %f1, [%a];";
    let record = Machine::new().run(body, 1, 32, 1 << 10);
    assert_eq!(record.global.loads, Traffic::default());
}

#[test]
fn stores_and_atomics() {
    let body = "mad.wide.u32 %d1, %id, 2, %a; mov.b16 %h1, 7; st.global.b16 [%d1], %h1;\
                red.global.add.u32 [%b], 1; mad.wide.u32 %d2, %id, 4, %b;\
                atom.global.add.u32 %r1, [%d2], 1;";
    let record = Machine::new().run(body, 2, 64, 1 << 10);
    assert_eq!(record.global.loads, Traffic::default());
    assert_eq!(record.global.stores, traffic(4, 256, 8, 8));
    // `red`: one sector a warp; `atom`: four.
    assert_eq!(record.global.atomics, traffic(8, 2 * 512, 4 + 16, 4 + 16));
    assert_eq!(record.unique.read_bytes, 512);
    assert_eq!(record.unique.written_bytes, 256 + 512);
}

#[test]
fn generic_addresses_count_where_they_lead() {
    let body = "mad.wide.u32 %d1, %id, 4, %a; ld.f32 %f1, [%d1];\
                mov.u64 %d2, tile; cvta.shared.u64 %d3, %d2; mad.wide.u32 %d4, %tid, 8, %d3;\
                st.f32 [%d4], %f1;";
    let record = Machine::new().run(body, 1, 32, 1 << 10);
    assert_eq!(record.global.loads, traffic(1, 128, 4, 4));
    assert_eq!(record.global.stores, Traffic::default());
    assert_eq!(record.shared.stores.requests, 1);
    assert_eq!(record.shared.stores.wavefronts, 2);
    assert_eq!(record.instructions.by_class["load.generic"], 1);
}

#[test]
fn asynchronous_copies_read_global_and_write_shared_memory() {
    let body = "mad.wide.u32 %d1, %id, 16, %a; shl.b32 %r1, %tid, 4; mov.u32 %r2, tile;\
                add.u32 %r1, %r1, %r2; cp.async.cg.shared.global [%r1], [%d1], 16;\
                cp.async.commit_group; cp.async.wait_group 0;";
    let record = Machine::new().run(body, 1, 64, 1 << 16);
    assert_eq!(record.global.loads, traffic(2, 1024, 32, 32));
    let stores = &record.shared.stores;
    assert_eq!((stores.requests, stores.bytes), (2, 1024));
    assert_eq!((stores.wavefronts, stores.ideal_wavefronts), (8, 8));
    assert_eq!(record.unique.read_bytes, 1024);
    assert_eq!(record.instructions.by_class["async copy"], 6);
    // Half of the lanes read nothing and write zeros.
    let half = body.replace("[%d1], 16;", "[%d1], 16, %r3;").replace(
        "cp.async.cg",
        "setp.lt.u32 %p1, %tid, 16; selp.u32 %r3, 16, 0, %p1; cp.async.cg",
    );
    let record = Machine::new().run(&half, 1, 32, 1 << 16);
    assert_eq!(record.global.loads, traffic(1, 256, 8, 8));
    assert_eq!(record.shared.stores.bytes, 512);
}

#[test]
fn what_is_read_again_is_unique_once() {
    // Every block reads all 4 KiB, eight times over, and writes its own 512 bytes.
    let body = "mov.u32 %r1, 0;\
                again: mad.wide.u32 %d1, %tid, 4, %a; ld.global.f32 %f1, [%d1];\
                ld.global.f32 %f2, [%d1+512]; ld.global.v2.f32 {%f3, %f4}, [%a+1024];\
                add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 8; @%p1 bra again;\
                mad.wide.u32 %d2, %id, 4, %b; st.global.f32 [%d2], %f1;";
    let record = Machine::new().run(body, 5, 128, 1 << 12);
    assert_eq!(record.unique.read_bytes, 1024 + 8);
    assert_eq!(record.unique.written_bytes, 5 * 512);
    assert_eq!(record.global.loads.requests, 5 * 4 * 8 * 3);
}
