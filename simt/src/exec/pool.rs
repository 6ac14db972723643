//! Host threads that wait for launches, so that a launch does not pay for making them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, OnceLock};

/// A piece of work, its lifetime hidden; see [`on_all`].
type Task = &'static (dyn Fn() + Sync);

struct Worker {
    tasks: Sender<(Task, &'static Done)>,
}

/// Counts the workers that have not finished.
#[derive(Default)]
struct Done {
    left: Mutex<usize>,
    changed: Condvar,
}

/// Calls `task` on `threads` host threads at once, this one among them, and waits for all.
///
/// `task` must not panic: a panic of a worker ends the process.
pub fn on_all(threads: usize, task: &(dyn Fn() + Sync)) {
    static WORKERS: OnceLock<Mutex<Vec<Worker>>> = OnceLock::new();
    let done = Done::default();
    let pointer = &raw const done;
    // SAFETY: this function does not return before every worker has finished with both, which the
    // loop at the end waits for; neither it nor `task` unwinds (a panic aborts below).
    let still: Task = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), Task>(task) };
    // SAFETY: as above.
    let shared: &'static Done = unsafe { &*pointer };
    *lock(&done.left) = threads - 1;
    {
        let mut workers = lock(WORKERS.get_or_init(Mutex::default));
        while workers.len() < threads - 1 {
            workers.push(worker());
        }
        for worker in workers.iter().take(threads - 1) {
            if worker.tasks.send((still, shared)).is_err() {
                std::process::abort();
            }
        }
    }
    guarded(task);
    let mut left = lock(&done.left);
    while *left > 0 {
        left = match done.changed.wait(left) {
            Ok(left) => left,
            Err(poisoned) => poisoned.into_inner(),
        };
    }
}

fn worker() -> Worker {
    let (tasks, received) = channel::<(Task, &'static Done)>();
    std::thread::spawn(move || {
        for (task, done) in received {
            guarded(task);
            // Notified under the lock: once it is free, the waiter may be gone with `done`.
            let mut left = lock(&done.left);
            *left -= 1;
            done.changed.notify_one();
        }
    });
    Worker { tasks }
}

/// Others hold pointers into this thread's work: it must not be unwound.
fn guarded(task: &(dyn Fn() + Sync)) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)).is_err() {
        std::process::abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
