//! The model of the L2 cache.

use crate::machine::Machine;
use simt::count::record::Record;

/// One block of 256 threads reads `bytes` twice from beginning to end, and with `store` writes them.
fn twice(l2: u64, bytes: u64, store: bool) -> Record {
    let store = if store {
        "st.global.u32 [%d2], %r3;"
    } else {
        ""
    };
    let body = format!(
        "mov.u32 %r1, 0; pass: mul.wide.u32 %d1, %tid, 4; mov.u32 %r2, 0;\
         part: add.u64 %d2, %a, %d1; ld.global.u32 %r3, [%d2]; {store}\
         bar.sync 0; add.u64 %d1, %d1, 1024; add.u32 %r2, %r2, 1024;\
         setp.lt.u32 %p1, %r2, {bytes}; @%p1 bra part;\
         add.u32 %r1, %r1, 1; setp.lt.u32 %p2, %r1, 2; @%p2 bra pass;"
    );
    let mut machine = Machine::new();
    machine.l2 = l2;
    let record = machine.run(&body, 1, 256, bytes);
    assert!(record.l2.complete);
    assert_eq!(record.global.loads.sectors, 2 * bytes / 32);
    assert_eq!(record.unique.read_bytes, bytes);
    record
}

#[test]
fn a_second_read_hits() {
    let bytes = 64 << 10;
    let l2 = twice(64 << 10, bytes, false).l2;
    assert_eq!(l2.bytes, 64 << 10);
    assert_eq!((l2.hit_sectors, l2.miss_sectors), (bytes / 32, bytes / 32));
    assert_eq!((l2.memory_read_bytes, l2.memory_written_bytes), (bytes, 0));
}

#[test]
fn more_than_the_cache_holds_misses_again() {
    let bytes = 128 << 10;
    let l2 = twice(64 << 10, bytes, false).l2;
    assert_eq!((l2.hit_sectors, l2.miss_sectors), (0, 2 * bytes / 32));
    assert_eq!(l2.memory_read_bytes, 2 * bytes);
}

#[test]
fn written_memory_goes_back_once_or_whenever_it_leaves() {
    let bytes = 64 << 10;
    let l2 = twice(64 << 10, bytes, true).l2;
    assert_eq!(
        (l2.memory_read_bytes, l2.memory_written_bytes),
        (bytes, bytes)
    );
    assert_eq!(l2.hit_sectors, 3 * bytes / 32);
    let bytes = 128 << 10;
    let l2 = twice(64 << 10, bytes, true).l2;
    assert_eq!(l2.memory_read_bytes, 2 * bytes);
    assert_eq!(l2.memory_written_bytes, 2 * bytes);
}

#[test]
fn blocks_share_what_one_of_them_has_read() {
    let body = "mad.wide.u32 %d1, %tid, 4, %a; ld.global.u32 %r1, [%d1];";
    let record = Machine::new().run(body, 100, 128, 1 << 10);
    assert_eq!(record.l2.miss_sectors, 512 / 32);
    assert_eq!(record.l2.hit_sectors, 99 * 512 / 32);
}
