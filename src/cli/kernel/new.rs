//! `lrem kernel new`: a kernel file to start from, which passes.

use crate::cli::Error;
use clap::Args;
use lrem::workbench::sources;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct NewArgs {
    /// The op that the kernels do.
    op: String,
    /// The file to write; one that is there is kept.
    file: PathBuf,
}

pub fn run(args: &NewArgs) -> Result<(), Error> {
    let name = format!("{}.cu", args.op);
    let Some((_, text)) = sources().iter().find(|(file, _)| *file == name) else {
        let ops = sources()
            .iter()
            .filter_map(|(name, _)| name.strip_suffix(".cu"));
        let ops: Vec<&str> = ops.collect();
        return Err(format!("no op `{}`; expected one of {}", args.op, ops.join(", ")).into());
    };
    let mut file = File::create_new(&args.file)
        .map_err(|error| format!("{}: {error}", args.file.display()))?;
    file.write_all(text.as_bytes())?;
    let (file, op) = (args.file.display(), &args.op);
    println!("wrote {file}: the built-in kernels of {op}. Change them, then run");
    println!("lrem kernel check {file} --op {op}");
    Ok(())
}
