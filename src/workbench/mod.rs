//! The kernel workbench: what a kernel has to do, whether it does, and what it costs.
//!
//! A [contract](Contract) draws shapes and inputs for an op, the ugly ones first, runs the op on a device
//! and says what its f64 reference expects and how far off each number may be. A [`Probe`] holds the
//! buffers: inputs that must not be written, outputs that are wrong wherever they are not. [`check`] runs a
//! contract in the ways in which a wrong kernel gives itself away, and [`diagnose`] names how.

mod balance;
mod case;
mod check;
mod chips;
// For the tests of modules below.
#[cfg_attr(test, macro_use)]
pub mod contracts;
mod diagnose;
mod errors;
mod inspect;
mod predict;
mod probe;
pub mod workload;
mod workspace;

pub use case::{Call, Contract, Cost, Draw};
pub use check::{Checked, Ran, Runs, check};
pub use chips::{CHIPS, Chip, Limit};
pub use diagnose::{Reason, Verdict, diagnose};
pub use errors::Errors;
pub use inspect::{Inspection, first_of_each, inspect, measure};
pub use predict::{Prediction, Waits, Work, predict};
pub use probe::{Output, Probe};
pub use workload::Workload;
pub use workspace::{ARCH, MachineCode, Workspace, WorkspaceError, sources};
