//! The sanitizer: finds what a program does wrong while it runs (`SIMT_CHECK`).
//!
//! It looks on at every instruction and every call of the host ([`crate::watch`]). Of memory it keeps
//! who made it (`allocations`), which bytes anybody has written (`bits`) and the last accesses to each
//! (`shadow`, `cell`, `reads`); of threads, what each knows of the others (`clock`, `order`, `meeting`,
//! `messages`), and of the machine's own copies (`engines`). A race is found from any schedule: it is two accesses that nothing orders, whether or not
//! they came in the wrong order this time. `accesses`, `pieces`, `races`, `barriers` and `waits` put it
//! together for an instruction; `ledger` keeps what was found, `finding` says it.

mod accesses;
mod allocations;
mod barriers;
mod bits;
mod block;
mod cell;
mod clock;
mod copies;
mod engines;
mod exit;
mod finding;
mod host;
mod kernel;
mod lanes;
mod ledger;
mod meeting;
mod messages;
mod order;
mod paged;
mod pieces;
mod races;
mod reads;
mod settings;
mod shadow;
mod shared_memory;
mod state;
mod subject;
mod waits;

pub use settings::Checks;

use crate::exec::fault::{Fault, Report};
use crate::exec::grid::Launch;
use crate::watch::{Event, LaunchWatch, Observer, Watch};
use block::BlockCheck;
use clock::Time;
use finding::{Finding, Kind, Site};
use kernel::Kernel;
use ledger::{Key, Ledger};
use state::Shared;
use std::fs::File;
use std::sync::Arc;

/// The checks that `SIMT_CHECK` asks for, if it asks for any. Findings go to stderr and, as lines of
/// JSON, to `SIMT_CHECK_FILE`; when the process ends, the summary.
pub fn make() -> Option<Arc<dyn Watch>> {
    let checks = Checks::asked_for();
    if checks.is_empty() {
        return None;
    }
    let file = std::env::var_os("SIMT_CHECK_FILE").and_then(|path| {
        // A program may be several processes.
        let file = File::options().append(true).create(true).open(&path);
        if let Err(problem) = &file {
            eprintln!("simt: SIMT_CHECK_FILE: {}: {problem}", path.display());
        }
        file.ok()
    });
    let check = Check::new(checks, file);
    let shared = Arc::clone(&check.0);
    exit::at_exit(move || {
        let mut state = shared.lock();
        if shared.checks.leaks {
            state.find_leaks();
        }
        state.ledger.tell();
        eprintln!("{}", state.ledger.summary());
        !state.ledger.is_empty()
    });
    Some(Arc::new(check))
}

/// Whether freed memory should stay unused for a while, so that those who still use it are found.
pub fn keeps_freed() -> bool {
    Checks::asked_for().memory
}

/// Checks of a process.
pub struct Check(Arc<Shared>);

impl Check {
    /// These checks, whose findings are written to a file as well.
    pub fn new(checks: Checks, file: Option<File>) -> Check {
        Check(Arc::new(Shared::new(checks, Ledger::new(file))))
    }

    /// What was found, in one line.
    pub fn summary(&self) -> String {
        self.0.lock().ledger.summary()
    }
}

impl Watch for Check {
    fn launch(&self, launch: &Launch) -> Option<Box<dyn LaunchWatch>> {
        let name = &launch.program.functions[launch.function].name;
        let (launched, id) = self.0.lock().launch(name);
        Some(Box::new(LaunchCheck {
            shared: Arc::clone(&self.0),
            kernel: Arc::new(Kernel::new(launch, id)),
            launched,
        }))
    }

    fn host(&self, event: &Event<'_>) {
        self.0.lock().host_event(self.0.checks, event);
    }
}

struct LaunchCheck {
    shared: Arc<Shared>,
    kernel: Arc<Kernel>,
    launched: Time,
}

impl LaunchWatch for LaunchCheck {
    fn observer(&self) -> Option<Box<dyn Observer>> {
        let (shared, kernel) = (Arc::clone(&self.shared), Arc::clone(&self.kernel));
        Some(Box::new(BlockCheck::new(shared, kernel, self.launched)))
    }

    /// What is found, and in which words, should not depend on how host threads happen to run.
    fn wants_one_thread(&self) -> bool {
        true
    }

    fn end(self: Box<Self>, _: &Launch, fault: Option<&Report>) {
        let mut state = self.shared.lock();
        state.is_broken |= fault.is_some();
        if let Some(report) = fault
            && report.fault == Fault::Deadlock
            && self.shared.checks.sync
        {
            let pc = self.kernel.at_ptx_line(report.ptx_line);
            let mut finding = Finding::new(Kind::Deadlock, report.fault.to_string());
            finding.site = Some(Site {
                block: report.block,
                ..self.kernel.site(pc, 0, report.warp * 32)
            });
            let key = Key {
                kind: Kind::Deadlock,
                kernel: self.kernel.id,
                pc,
                other: 0,
            };
            if !state.ledger.count(key) {
                state.ledger.add(key, finding);
            }
        }
        state.ledger.tell();
    }
}
