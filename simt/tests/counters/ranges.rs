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

/// Copies from `from` to `to`.
fn copy(machine: &mut Machine, profile: &Arc<Profile>, from: u64, to: u64) {
    run(machine, profile, COPY, [from, to]);
}

/// Runs a kernel of a thread for each word of two buffers, in blocks of 256.
fn run(machine: &mut Machine, profile: &Arc<Profile>, body: &str, [from, to]: [u64; 2]) {
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

/// What one launch leaves for another to read, which says that nobody needs it any more, is not written back.
#[test]
fn what_is_discarded_is_not_written_back() {
    let discard = format!(
        "{COPY} bar.warp.sync 0xffffffff; and.b32 %r1, %id, 31; setp.ne.u32 %p1, %r1, 0;\
         @!%p1 discard.global.L2 [%d2], 128;"
    );
    let written = |second: &str| {
        let mut machine = Machine::new();
        let [a, b, c] = [(); 3].map(|()| machine.allocate(BYTES));
        let (profile, kept) = machine.counters();
        profile.profiler(true);
        run(&mut machine, &profile, COPY, [a, b]);
        run(&mut machine, &profile, second, [b, c]);
        profile.profiler(false);
        let ranges = kept.ranges.lock().unwrap();
        let stores: Vec<u64> = kept
            .launches
            .lock()
            .unwrap()
            .iter()
            .map(|l| l.global.stores.sectors)
            .collect();
        assert_eq!(stores, [BYTES / 32; 2]);
        assert_eq!(ranges[0].unique.written_bytes, 2 * BYTES);
        (
            ranges[0].l2.memory_read_bytes,
            ranges[0].l2.memory_written_bytes,
        )
    };
    assert_eq!(written(COPY), (BYTES, 2 * BYTES));
    assert_eq!(written(&discard), (BYTES, BYTES));
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
