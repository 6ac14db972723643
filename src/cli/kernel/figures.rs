//! What a kernel file does at workloads: how far off its results are, what it was counted to do, and how long
//! that takes.

use super::calls::{CountedCall, calls};
use super::counted::{Counted, counted};
use super::looks::{self, Activations, Gpu, Look};
use super::source::KernelSource;
use crate::cli::Error;
use clap::Args;
use lrem::device::cuda::kernel;
use lrem::workbench::{
    Errors, Inspection, MachineCode, Workload, Workspace, WorkspaceError, workload,
};
use serde::Serialize;
use std::path::PathBuf;

/// Which workloads a kernel is measured at, and where.
#[derive(Args, Default)]
pub struct At {
    /// JSON Lines of workloads; by default shapes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-3B.
    #[arg(long)]
    pub workloads: Option<PathBuf>,
    /// Where to time; counts are the virtual GPU's.
    #[arg(long, value_enum, default_value = "simt")]
    pub device: Gpu,
}

impl At {
    /// The workloads of `op`.
    pub fn workloads(&self, op: &str) -> Result<Vec<Workload>, Error> {
        Ok(match &self.workloads {
            Some(path) => workload::read(path, op)?,
            None => workload::built_in(op)?,
        })
    }
}

/// A kernel file that compiles.
pub struct Side {
    pub source: KernelSource,
    workspace: Workspace,
    /// By instance.
    code: MachineCode,
}

/// What came out at a workload.
#[derive(Serialize)]
pub struct Figures {
    pub device: String,
    /// By type of activations.
    pub errors: Vec<(String, Errors)>,
    pub kernels: Vec<Counted>,
    /// Those that launch any of the kernels.
    pub calls: Vec<CountedCall>,
}

impl Side {
    /// Compiles a kernel file.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn new(source: KernelSource) -> Result<Side, WorkspaceError> {
        let mut workspace = source.workspace()?;
        let code = workspace.machine_code()?;
        Ok(Side {
            source,
            workspace,
            code,
        })
    }

    /// The built-in kernels that this side's stand for: the file in `kernels/` that has the first of them.
    ///
    /// # Errors
    /// As of [`Side::new`].
    pub fn built_in(&self) -> Result<Side, Error> {
        let first = self.workspace.instances().next();
        let file = first.and_then(kernel).map_or(self.source.op, |k| k.op);
        Ok(Side::new(KernelSource::built_in(file)?)?)
    }

    /// Runs a workload; `Err` within says why the kernel failed.
    pub fn figures(
        &self,
        workload: &Workload,
        device: Gpu,
    ) -> Result<Result<Figures, String>, Error> {
        self.figures_in(workload, device, None)
    }

    /// The same with one type of activations, which the op has; counts alone.
    pub fn figures_in(
        &self,
        workload: &Workload,
        device: Gpu,
        activations: Option<Activations>,
    ) -> Result<Result<Figures, String>, Error> {
        let logs = tempfile::tempdir()?;
        let profile = logs.path().join("counts.jsonl");
        let (op, seed) = (self.source.op, workload.seed()?);
        let counts = Look::Counts(&profile, Some(workload), activations);
        let counts = looks::start(counts, op, seed, &self.workspace)?;
        let seen = match looks::finish(counts, &self.workspace)? {
            Ok(seen) => seen,
            Err(said) => return Ok(Err(said)),
        };
        let (text, code) = (&self.source.text, &self.code);
        let mut kernels = counted(&profile, &seen, text, code, &self.workspace);
        let calls = calls(&profile, &seen, &self.workspace)?;
        let mut results = seen;
        if device == Gpu::Cuda {
            let times = looks::start(Look::Times(Some(workload)), op, seed, &self.workspace)?;
            results = match looks::finish(times, &self.workspace)? {
                Ok(seen) => seen,
                Err(said) => return Ok(Err(said)),
            };
            for kernel in &mut kernels {
                let mut times = results.iter().flat_map(|look| &look.times);
                let time = times.find(|(instance, _)| *instance == kernel.instance);
                kernel.measured = time.map(|(_, seconds)| *seconds);
            }
        }
        let device = results.first().map(|look| look.device.clone());
        let of = |look: Inspection| (look.real, look.errors.unwrap_or_default());
        Ok(Ok(Figures {
            device: device.unwrap_or_default(),
            errors: results.into_iter().map(of).collect(),
            kernels,
            calls,
        }))
    }
}

impl Figures {
    /// The largest errors, of the type of activations that is furthest off.
    pub fn worst(&self) -> Errors {
        let worst = self
            .errors
            .iter()
            .max_by(|a, b| a.1.of_allowed.total_cmp(&b.1.of_allowed));
        worst.map(|(_, errors)| errors.clone()).unwrap_or_default()
    }

    /// The largest error over what is allowed, by type of activations.
    pub fn errors(&self) -> String {
        let each = |(real, errors): &(String, Errors)| format!("{real} {:.2}", errors.of_allowed);
        self.errors.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    /// Whether every number is as near as the op's error analysis allows.
    pub fn right(&self) -> bool {
        self.worst().of_allowed <= 1.0
    }
}
