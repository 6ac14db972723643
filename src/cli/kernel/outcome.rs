//! What came of a check, and how it is printed.

use super::counted::Counted;
use crate::cli::Error;
use lrem::workbench::Verdict;
use serde::Serialize;
use std::io::Write;

/// All that came out.
#[derive(Serialize)]
pub struct Outcome {
    pub file: String,
    pub op: &'static str,
    pub seed: u64,
    pub accepted: bool,
    pub verdicts: Vec<Verdict>,
    pub shapes: Vec<String>,
    pub seconds: f64,
    /// Instances of the file that no case launched, and that nothing is known of.
    pub unlaunched: Vec<String>,
    pub kernels: Vec<Counted>,
}

impl Outcome {
    /// As one JSON object, or as lines for people.
    pub fn print(&self, json: bool) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
            return Ok(());
        }
        let Outcome {
            file,
            op,
            seed,
            seconds,
            ..
        } = self;
        let verdict = if self.accepted { "accepted" } else { "refused" };
        writeln!(
            out,
            "{file} as {op}: {verdict} ({} shapes, seed {seed}, {seconds:.1} s)",
            self.shapes.len()
        )?;
        for verdict in &self.verdicts {
            writeln!(out, "  {verdict}")?;
        }
        if self.accepted && !self.unlaunched.is_empty() {
            writeln!(out, "  no shape launched {}", self.unlaunched.join(", "))?;
        }
        for kernel in &self.kernels {
            write!(out, "\n{kernel}")?;
        }
        Ok(())
    }
}
