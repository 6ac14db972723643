//! `lrem kernel list` and `show`: kernel files, the contracts of their ops and their kernels.

use super::{built_in, head};
use crate::cli::Error;
use clap::Args;
use lrem::device::cuda;
use lrem::workbench::contracts::op_of;
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
    for (file, instances) in &instances {
        let op = op_of(file).map_or(String::new(), |op| format!("contract {op}"));
        writeln!(out, "{file:<24} {:>3} kernels  {op}", instances.len())?;
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
    let op = op_of(op).unwrap_or(op);
    let found = CONTRACTS.iter().find(|(ops, _)| ops.contains(&op));
    found.map(|(_, text)| *text)
}

macro_rules! contracts {
    ($($file:literal $(for $($op:literal),+)?;)*) => {
        /// The files of the ops' contracts, and the ops in each.
        const CONTRACTS: &[(&[&str], &str)] = &[$((
            &[$file $(, $($op),+)?],
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/", $file, ".rs")),
        )),*];
    };
}
contracts! {
    "adamw";
    "attention" for "attention_combine";
    "embedding";
    "grpo";
    "info_nce";
    "kv_store";
    "linear" for "linear_int8";
    "linear_cross_entropy";
    "pool";
    "rms_norm";
    "rope" for "qk_norm";
    "sample";
    "swiglu";
    "top_k";
}
