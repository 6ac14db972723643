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
    if let Some(checked) = checked(&args.op) {
        writeln!(out, "{}", head(checked, "//!"))?;
    }
    Ok(write!(out, "{}", head(text, "//"))?)
}

/// The file in `src/workbench/contracts/` of what is checked of an op, and how closely.
pub fn checked(op: &str) -> Option<&'static str> {
    let op = op_of(op)?;
    let found = CHECKED.iter().find(|(name, _)| *name == op);
    found.map(|(_, text)| *text)
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
    "linear" for "linear_int4", "linear_int8";
    "linear_cross_entropy";
    "pool";
    "rms_norm";
    "rope" for "qk_norm";
    "sample";
    "swiglu";
    "top_k";
}

macro_rules! checked {
    ($($op:literal)*) => {
        /// The files of the workbench's contracts.
        const CHECKED: &[(&str, &str)] = &[$((
            $op,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/src/workbench/contracts/", $op, ".rs"
            )),
        )),*];
    };
}
checked! {
    "adamw" "attention" "attention_combine" "embedding" "grpo" "info_nce" "kv_store" "linear"
    "linear_cross_entropy" "linear_int4" "linear_int8" "pool" "qk_norm" "rms_norm" "rope" "sample" "swiglu" "top_k"
}

#[cfg(test)]
mod tests {
    use super::{checked, contract};
    use lrem::workbench::contracts::OPS;

    #[test]
    fn every_op_says_what_it_does_and_how_closely_it_is_checked() {
        for (op, _) in OPS {
            assert!(contract(op).is_some(), "{op}");
            let checked = checked(op).unwrap_or_default();
            assert!(checked.contains("//! Tolerance. "), "{op}");
        }
    }
}
