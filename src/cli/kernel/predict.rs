//! `lrem kernel predict`: what any program's kernels would take on real GPUs, from what the virtual one counted.

use super::counts::Counts;
use crate::cli::Error;
use clap::Args;
use lrem::data::jsonl::{Lines, parse};
use lrem::retrieve::TextTable;
use serde::Serialize;
use simt::count::record::{RangeRecord, Record};
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct PredictArgs {
    /// What `SIMT_PROFILE=FILE simt run -- PROGRAM` wrote: a line of JSON a launch.
    profile: PathBuf,
    /// Print one JSON object a launch.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Launch {
    kernel: String,
    #[serde(flatten)]
    counts: Counts,
}

pub fn run(args: &PredictArgs) -> Result<(), Error> {
    let mut lines = Lines::open(&args.profile)?;
    let mut launches = Vec::new();
    while let Some((number, text)) = lines.next_line()? {
        // What a program's ranges moved is no launch.
        if serde_json::from_str::<RangeRecord>(text).is_ok() {
            continue;
        }
        let record = parse::<Record>(text, "a launch that SIMT_PROFILE wrote");
        let record = record.and_then(|record| match &record.fault {
            Some(fault) => Err(format!("{} ended early: {fault}", record.kernel)),
            None => Ok(record),
        });
        let record = record.map_err(|message| lines.error(number, message))?;
        launches.push(Launch {
            counts: Counts::of(&record),
            kernel: record.kernel,
        });
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        for launch in &launches {
            writeln!(out, "{}", serde_json::to_string(launch)?)?;
        }
        return Ok(());
    }
    Ok(write!(out, "{}", table(&launches))?)
}

fn table(launches: &[Launch]) -> TextTable {
    let chips = launches.first().map_or(&[][..], |l| &l.counts.predictions);
    let mut header: Vec<String> = [
        "kernel",
        "blocks",
        "HBM bytes",
        "sectors",
        "wavefronts",
        "instructions",
    ]
    .map(String::from)
    .into();
    header.extend(chips.iter().map(|(chip, _)| format!("{chip} us")));
    header.push("limit".into());
    let mut table = TextTable::new(header);
    for Launch { kernel, counts } in launches {
        let mut row = vec![
            kernel.clone(),
            counts.blocks().to_string(),
            counts.memory_bytes.to_string(),
            counts.sectors.to_string(),
            counts.wavefronts.to_string(),
            counts.warp_instructions.to_string(),
        ];
        let times = counts
            .predictions
            .iter()
            .map(|(_, p)| format!("{:.2}", 1e6 * p.seconds));
        row.extend(times);
        let limit = counts.predicted().map_or("", |p| p.limit.name());
        row.push(limit.into());
        table.push(row);
    }
    table
}
