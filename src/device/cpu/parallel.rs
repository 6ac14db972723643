//! A small fork-join pool. Decoding one token forks a hundred times, so a fork must cost about a
//! microsecond: workers spin for a moment before they sleep, and tasks are claimed from one counter.
//!
//! Results never depend on the number of threads: tasks write disjoint output, and whoever reduces
//! does so over a fixed partition.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};

/// A job as the workers see it: a task function with its lifetime erased, alive until `run` returns.
#[derive(Clone, Copy)]
struct Job {
    call: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}
// SAFETY: `call` points to a `Sync` closure that outlives the job (see `run`).
unsafe impl Send for Job {}

struct Pool {
    threads: usize,
    /// Number of the current job; a worker that sees it change takes part.
    epoch: AtomicUsize,
    next: AtomicUsize,
    /// Workers that have finished the current job.
    done: AtomicUsize,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    /// Held by the one caller that forks at a time.
    caller: Mutex<()>,
    panicked: AtomicUsize,
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

const SPINS: usize = 20_000;

fn pool() -> &'static Pool {
    static POOL: OnceLock<&'static Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let threads = std::env::var("LREM_THREADS")
            .ok()
            .and_then(|v| v.parse().ok())
            .filter(|&n: &usize| n > 0)
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1);
        let pool: &'static Pool = Box::leak(Box::new(Pool {
            threads,
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            job: Mutex::new(None),
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
        // SAFETY: the lifetime is erased only until every worker has counted itself done below.
        let call: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute(f as *const (dyn Fn(usize) + Sync + '_)) };
        {
            let mut job = self.job.lock().expect("no panic under this lock");
            *job = Some(Job { call, tasks });
            self.next.store(0, Ordering::Relaxed);
            self.done.store(0, Ordering::Relaxed);
            self.epoch.fetch_add(1, Ordering::Release);
        }
        self.wake.notify_all();
        INSIDE.set(true);
        let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.claim(f, tasks)));
        INSIDE.set(false);
        let mut spins = 0;
        while self.done.load(Ordering::Acquire) < self.threads - 1 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(
            self.panicked.swap(0, Ordering::Relaxed) == 0,
            "a task on another thread panicked"
        );
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
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.epoch.load(Ordering::Acquire) == seen && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            let job = {
                let mut job = self.job.lock().expect("no panic under this lock");
                while self.epoch.load(Ordering::Acquire) == seen {
                    job = self.wake.wait(job).expect("no panic under this lock");
                }
                seen = self.epoch.load(Ordering::Acquire);
                *job
            };
            if let Some(job) = job {
                // SAFETY: `fork` does not return before this worker adds itself to `done`.
                let f = unsafe { &*job.call };
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    self.claim(f, job.tasks)
                }));
                if result.is_err() {
                    self.panicked.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.done.fetch_add(1, Ordering::Release);
        }
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
            run(5, |_| drop(total.fetch_add(1, Ordering::Relaxed)))
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
