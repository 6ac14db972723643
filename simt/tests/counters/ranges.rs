//! Ranges of launches, which share a cache.

use crate::machine::{Machine, Setup, kernel};
use simt::count::Profile;
use simt::count::record::{RangeRecord, Record};
use simt::watch::{Event, Transfer, TransferKind, Watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that a launch reads from one buffer and writes to another.
const BYTES: u64 = 64 << 10;

const COPY: &str = "mul.wide.u32 %d1, %id, 4; add.u64 %d2, %a, %d1; add.u64 %d3, %b, %d1;\
                    ld.global.u32 %r1, [%d2]; st.global.u32 [%d3], %r1;";

/// As `COPY`, of lines that nobody reads after it: the first lane of each warp gives its own up.
const LAST_COPY: &str = "mul.wide.u32 %d1, %id, 4; add.u64 %d2, %a, %d1; add.u64 %d3, %b, %d1;\
                         ld.global.u32 %r1, [%d2]; st.global.u32 [%d3], %r1; bar.warp.sync -1;\
                         and.b32 %r2, %id, 31; setp.eq.u32 %p1, %r2, 0;\
                         @%p1 discard.global.L2 [%d2], 128;";

/// Copies from `from` to `to`, in blocks of 256 threads.
fn copy(machine: &mut Machine, profile: &Arc<Profile>, from: u64, to: u64) {
    copy_by(COPY, machine, profile, from, to);
}

fn copy_by(body: &str, machine: &mut Machine, profile: &Arc<Profile>, from: u64, to: u64) {
    let params = [from.to_le_bytes(), to.to_le_bytes()].concat();
    let setup = Setup {
        grid: [(BYTES / 1024) as u32, 1, 1],
        block: 256,
        shared: 0,
        params: &params,
    };
    machine.watched(&kernel(body), "k", &setup, profile);
}

/// Hands a buffer on from launch to launch, `launches` of them in one range, over a cache of `l2` bytes.
fn chain(l2: u64, launches: usize, threads: usize) -> (Vec<Record>, RangeRecord) {
    let mut machine = Machine::new();
    (machine.l2, machine.threads) = (l2, threads);
    let buffers: Vec<u64> = (0..=launches).map(|_| machine.allocate(BYTES)).collect();
    let (profile, kept) = machine.counters();
    profile.profiler(true);
    for ends in buffers.windows(2) {
        copy(&mut machine, &profile, ends[0], ends[1]);
    }
    profile.profiler(false);
    let ranges = kept.ranges.lock().unwrap();
    assert_eq!(ranges.len(), 1);
    let launched = kept.launches.lock().unwrap().clone();
    (launched, ranges[0].clone())
}

#[test]
fn what_a_launch_hands_on_is_fetched_by_no_range_but_by_the_launch() {
    let (launches, range) = chain(1 << 20, 2, 1);
    for launch in &launches {
        assert_eq!(launch.l2.memory_read_bytes, BYTES);
        assert_eq!(launch.l2.memory_written_bytes, BYTES);
    }
    assert_eq!(range.launches, ["k", "k"]);
    assert!(range.l2.complete);
    // The first buffer in; the one in the middle is written back as the last is.
    assert_eq!(range.l2.memory_read_bytes, BYTES);
    assert_eq!(range.l2.memory_written_bytes, 2 * BYTES);
    assert_eq!(range.unique.read_bytes, 2 * BYTES);
    assert_eq!(range.unique.written_bytes, 2 * BYTES);
}

#[test]
fn what_its_last_reader_discards_is_not_written_back() {
    let range = |last| {
        let mut machine = Machine::new();
        machine.l2 = 1 << 20;
        let [a, b, c] = [0; 3].map(|_| machine.allocate(BYTES));
        let (profile, kept) = machine.counters();
        profile.profiler(true);
        copy(&mut machine, &profile, a, b);
        copy_by(last, &mut machine, &profile, b, c);
        profile.profiler(false);
        let launch = kept.launches.lock().unwrap()[1].clone();
        (kept.ranges.lock().unwrap()[0].clone(), launch)
    };
    let ((kept, plain), (discarded, last)) = (range(COPY), range(LAST_COPY));
    assert_eq!(kept.l2.memory_written_bytes, 2 * BYTES);
    assert_eq!(discarded.l2.memory_written_bytes, BYTES);
    assert_eq!(discarded.l2.memory_read_bytes, BYTES);
    // Instructions, but no traffic.
    assert_eq!(discarded.unique, kept.unique);
    assert_eq!(last.global, plain.global);
    let stores = |record: &Record| record.instructions.by_class["store.global"];
    assert_eq!(stores(&last), 2 * stores(&plain));
}

#[test]
fn what_the_cache_does_not_hold_is_fetched_again() {
    // It holds half a buffer.
    let (_, range) = chain(BYTES / 2, 2, 1);
    assert_eq!(range.l2.memory_read_bytes, 2 * BYTES);
    assert_eq!(range.l2.memory_written_bytes, 2 * BYTES);
}

#[test]
fn a_range_of_one_launch_is_as_the_launch() {
    for l2 in [BYTES / 2, 1 << 20] {
        let (launches, range) = chain(l2, 1, 1);
        assert_eq!(range.l2, launches[0].l2);
        assert_eq!(range.unique, launches[0].unique);
    }
}

#[test]
fn the_number_of_host_threads_changes_nothing() {
    assert_eq!(chain(BYTES, 3, 1).1, chain(BYTES, 3, 4).1);
}

#[test]
fn ranges_begin_once_end_once_and_know_nothing_of_each_other() {
    let mut machine = Machine::new();
    let (from, to) = (machine.allocate(BYTES), machine.allocate(BYTES));
    let (profile, kept) = machine.counters();
    // No range ends where none has begun.
    profile.profiler(false);
    copy(&mut machine, &profile, from, to);
    assert!(kept.ranges.lock().unwrap().is_empty());
    for _ in 0..2 {
        profile.profiler(true);
        copy(&mut machine, &profile, from, to);
        // Within a range none begins.
        profile.profiler(true);
        copy(&mut machine, &profile, from, to);
        profile.profiler(false);
        profile.profiler(false);
    }
    // One that nobody ends.
    profile.profiler(true);
    copy(&mut machine, &profile, from, to);
    drop(profile);
    let ranges = kept.ranges.lock().unwrap();
    assert_eq!(ranges.len(), 2);
    for (number, range) in ranges.iter().enumerate() {
        assert_eq!(range.range, number as u64);
        assert_eq!(range.launches.len(), 2);
        assert_eq!(range.l2.memory_read_bytes, BYTES);
        assert_eq!(range.l2.memory_written_bytes, BYTES);
    }
    assert_eq!(kept.launches.lock().unwrap().len(), 1 + 2 * 2 + 1);
}

#[test]
fn fills_and_copies_on_the_device_are_accesses() {
    let mut machine = Machine::new();
    let [a, b, c] = [0; 3].map(|_| machine.allocate(BYTES));
    let (profile, kept) = machine.counters();
    let transferred = |kind, to, from| {
        profile.host(&Event::Transferred(Transfer {
            kind,
            to,
            from,
            bytes: BYTES,
            started: Instant::now(),
            took: Duration::ZERO,
        }));
    };
    profile.profiler(true);
    transferred(TransferKind::Fill, a, 0);
    // Finds the zeros.
    copy(&mut machine, &profile, a, b);
    transferred(TransferKind::OnDevice, c, b);
    // The host's are none.
    transferred(TransferKind::ToDevice, machine.allocate(BYTES), 0);
    profile.profiler(false);
    let ranges = kept.ranges.lock().unwrap();
    assert_eq!(ranges[0].l2.memory_read_bytes, 0);
    assert_eq!(ranges[0].l2.memory_written_bytes, 3 * BYTES);
    assert_eq!(ranges[0].unique.written_bytes, 3 * BYTES);
}
