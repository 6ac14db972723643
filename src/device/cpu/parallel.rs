//! A small fork-join pool. Decoding one token forks a hundred times, so a fork must cost about a
//! microsecond: workers spin for a moment before they sleep, tasks are claimed from one counter, and
//! the caller waits only for workers that have joined. One that the system has not scheduled yet is
//! simply late, so an oversubscribed machine is slow in proportion and no more.
//!
//! Results never depend on the number of threads: tasks write disjoint output, and whoever reduces
//! does so over a fixed partition.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};

/// A job as the workers see it: a task function with its lifetime erased, alive while the job is open
/// or a worker has joined it.
#[derive(Clone, Copy)]
struct Job {
    call: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

struct Pool {
    threads: usize,
    /// `epoch · EPOCH + (OPEN while workers may join) + workers that have joined`.
    state: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    next: AtomicUsize,
    /// Workers asleep.
    sleeping: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    /// Held by the one caller that forks at a time.
    caller: Mutex<()>,
    panicked: AtomicUsize,
}
// SAFETY: `job` is written only while the job is closed and nobody has joined, and read only by
// workers that have joined (see `fork` and `work`).
unsafe impl Sync for Pool {}

const OPEN: usize = 1 << 15;
const EPOCH: usize = 1 << 16;
/// Turns of the waiting loops before a worker sleeps or the caller yields: some 50 µs.
const SPINS: usize = 20_000;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<&'static Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let threads = std::env::var("LREM_THREADS")
            .ok()
            .and_then(|v| v.parse().ok())
            .filter(|&n: &usize| n > 0)
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1)
            .min(OPEN - 1);
        let pool: &'static Pool = Box::leak(Box::new(Pool {
            threads,
            state: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            sleeping: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            caller: Mutex::new(()),
            panicked: AtomicUsize::new(0),
        }));
        for i in 1..threads {
            std::thread::Builder::new()
                .name(format!("lrem-{i}"))
                .spawn(move || pool.work())
                .expect("the system starts a thread");
        }
        pool
    })
}

/// Number of threads that [`run`] uses: `LREM_THREADS`, or every core.
pub fn threads() -> usize {
    pool().threads
}

/// Rows of `width` elements that make a task of element-wise work: some microseconds.
pub fn rows_per_task(width: usize) -> usize {
    (1usize << 13).div_ceil(width.max(1))
}

/// Calls `f(0) … f(tasks - 1)`, spread over the threads, and returns when all are done. Nested and
/// concurrent calls run on the calling thread alone.
pub fn run(tasks: usize, f: impl Fn(usize) + Sync) {
    let alone = tasks <= 1 || INSIDE.get() || pool().threads == 1;
    let guard = if alone {
        None
    } else {
        pool().caller.try_lock().ok()
    };
    match guard {
        None => (0..tasks).for_each(f),
        Some(_guard) => pool().fork(tasks, &f),
    }
}

impl Pool {
    fn fork(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        // SAFETY: the lifetime is erased only until the job is closed and all who joined have left.
        let call: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute(f as *const (dyn Fn(usize) + Sync + '_)) };
        // SAFETY: the last job is closed and everybody has left it.
        unsafe { *self.job.get() = Some(Job { call, tasks }) };
        self.next.store(0, Ordering::Relaxed);
        let epoch = self.state.load(Ordering::Relaxed) / EPOCH;
        let opened = epoch.wrapping_add(1).wrapping_mul(EPOCH) | OPEN;
        self.state.store(opened, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            drop(self.sleep.lock().expect("no panic under this lock"));
            self.wake.notify_all();
        }
        INSIDE.set(true);
        let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.claim(f, tasks)));
        INSIDE.set(false);
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while !self.state.load(Ordering::Acquire).is_multiple_of(OPEN) {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let others = self.panicked.swap(0, Ordering::Relaxed);
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(others == 0, "a task on another thread panicked");
    }

    fn claim(&self, f: &(dyn Fn(usize) + Sync), tasks: usize) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= tasks {
                return;
            }
            f(i);
        }
    }

    fn work(&self) {
        INSIDE.set(true);
        let mut done = 0;
        loop {
            let state = self.wait_for_job(done);
            done = state / EPOCH;
            let joined =
                self.state
                    .compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed);
            if joined.is_err() {
                // Closed, or another worker joined at the same moment: look again.
                done = done.wrapping_sub(1);
                continue;
            }
            // SAFETY: this worker has joined, so the job stays until it leaves.
            if let Some(job) = unsafe { *self.job.get() } {
                // SAFETY: as above.
                let f = unsafe { &*job.call };
                let claim = std::panic::AssertUnwindSafe(|| self.claim(f, job.tasks));
                if std::panic::catch_unwind(claim).is_err() {
                    self.panicked.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open job other than epoch `done`; returns the state it was seen in.
    fn wait_for_job(&self, done: usize) -> usize {
        let fresh = |state: usize| state & OPEN != 0 && state / EPOCH != done;
        for _ in 0..SPINS {
            let state = self.state.load(Ordering::Acquire);
            if fresh(state) {
                return state;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.sleep.lock().expect("no panic under this lock");
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let state = loop {
            let state = self.state.load(Ordering::SeqCst);
            if fresh(state) {
                break state;
            }
            guard = self.wake.wait(guard).expect("no panic under this lock");
        };
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
        state
    }
}

/// A slice cut into rows (or runs of rows) that different tasks may write at the same time.
pub struct Rows<T> {
    data: *mut T,
    len: usize,
    row: usize,
}
// SAFETY: `take` hands out disjoint parts of an exclusively borrowed slice.
unsafe impl<T: Send> Sync for Rows<T> {}

impl<T> Rows<T> {
    /// Cuts `data` into parts of `row` elements; the last may be shorter.
    ///
    /// The borrow of `data` is not tracked: use the value within the caller's exclusive borrow.
    pub fn new(data: &mut [T], row: usize) -> Rows<T> {
        assert!(row > 0, "rows of no elements");
        Rows {
            data: data.as_mut_ptr(),
            len: data.len(),
            row,
        }
    }

    /// Number of parts.
    pub fn count(&self) -> usize {
        self.len.div_ceil(self.row)
    }

    /// Part `i`. Each part must be taken by one task only.
    #[allow(clippy::mut_from_ref)]
    pub fn take(&self, i: usize) -> &mut [T] {
        let start = i * self.row;
        assert!(start <= self.len);
        let len = self.row.min(self.len - start);
        // SAFETY: in bounds, and parts are disjoint; one task takes each.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for tasks in [0, 1, 2, 3, 17, 1000] {
            let mut seen = vec![0u32; tasks];
            let rows = Rows::new(&mut seen, 1);
            run(tasks, |i| rows.take(i)[0] += 1);
            assert!(seen.iter().all(|&n| n == 1));
        }
    }

    #[test]
    fn nested_calls_run_in_place() {
        let total = AtomicUsize::new(0);
        run(4, |_| {
            run(5, |_| {
                total.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(total.into_inner(), 20);
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| run(8, |i| assert!(i != 5)));
        assert!(caught.is_err());
        run(8, |_| ());
    }
}
