//! `lrem kernel new`: a kernel file to start from, which passes.

use super::built_in;
use crate::cli::Error;
use clap::Args;
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
    let text = built_in(&args.op)?;
    let mut file = File::create_new(&args.file)
        .map_err(|error| format!("{}: {error}", args.file.display()))?;
    file.write_all(text.as_bytes())?;
    let (file, op) = (args.file.display(), &args.op);
    println!("wrote {file}: the built-in kernels of {op}. Change them, then run");
    println!("lrem kernel check {file} --op {op}");
    Ok(())
}
