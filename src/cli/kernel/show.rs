//! `lrem kernel list` and `show`: ops, their contracts and their kernels.

use super::{built_in, head};
use crate::cli::Error;
use clap::Args;
use lrem::device::cuda;
use lrem::workbench::contracts::OPS;
use std::collections::BTreeMap;
use std::io::Write;

#[derive(Args)]
pub struct ShowArgs {
    /// The op, as its file in `kernels/` is called.
    op: String,
    /// Print the whole kernel file.
    #[arg(long)]
    source: bool,
}

pub fn list() -> Result<(), Error> {
    let mut instances: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kernel in cuda::kernels() {
        instances
            .entry(kernel.op)
            .or_default()
            .push(kernel.instance);
    }
    let mut out = std::io::stdout().lock();
    for (op, instances) in &instances {
        let contract = if OPS.contains(op) { "contract" } else { "" };
        writeln!(out, "{op:<24} {:>3} kernels  {contract}", instances.len())?;
    }
    if instances.is_empty() {
        return Err("this program was built without NVRTC and has no kernels; run `make setup`, then build again".into());
    }
    Ok(())
}

pub fn run(args: &ShowArgs) -> Result<(), Error> {
    let text = built_in(&args.op)?;
    let mut out = std::io::stdout().lock();
    if args.source {
        return Ok(write!(out, "{text}")?);
    }
    if let Some(contract) = contract(&args.op) {
        writeln!(out, "{}", head(contract, "//!"))?;
    }
    Ok(write!(out, "{}", head(text, "//"))?)
}

/// The file of an op's contract in `src/ops/`.
pub fn contract(op: &str) -> Option<&'static str> {
    let found = CONTRACTS.iter().find(|(name, _)| *name == op);
    found.map(|(_, text)| *text)
}

macro_rules! contracts {
    ($($op:literal),*) => {
        /// The files of the ops' contracts.
        const CONTRACTS: &[(&str, &str)] = &[
            $(($op, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/", $op, ".rs"))),)*
        ];
    };
}
contracts!(
    "adamw",
    "attention",
    "embedding",
    "grpo",
    "info_nce",
    "kv_store",
    "linear",
    "linear_cross_entropy",
    "pool",
    "rms_norm",
    "rope",
    "sample",
    "swiglu",
    "top_k"
);
