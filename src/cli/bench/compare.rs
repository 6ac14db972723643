//! `lrem bench compare`: two builds' benchmarks side by side.

use super::columns;
use crate::cli::{Error, common};
use clap::Args;
use lrem::bench::compare::{
    Executable, Line, Plan, Verdict, chart, counts, executables, folders, json, table,
};
use lrem::bench::criterion::Folder;
use lrem::data::write_atomic;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub struct CompareArgs {
    /// Criterion folder, DIR@BASELINE, or bench executable.
    base: PathBuf,
    /// The same of the build to judge.
    new: PathBuf,
    /// Only the benchmarks whose names contain this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Smallest change that counts, as a share of the time.
    #[arg(long, default_value = "0.02", value_parser = share)]
    threshold: f64,
    /// Most rounds of a benchmark of two executables; a round runs each of them twice.
    #[arg(long, default_value = "120")]
    rounds: usize,
    /// Seconds that one run of a benchmark measures, of two executables.
    #[arg(long, default_value = "0.1", value_parser = seconds)]
    time: f64,
    /// Write a Markdown table, for a pull request; `-` prints it.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Write a plot.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print one JSON object a line, times in nanoseconds.
    #[arg(long)]
    json: bool,
    /// End with exit code 1 where a benchmark is slower.
    #[arg(long)]
    fail_on_slower: bool,
}

pub fn run(args: &CompareArgs) -> Result<(), Error> {
    let lines = match [args.base.is_file(), args.new.is_file()] {
        [true, true] => args.run_in_turns()?,
        [false, false] => {
            let [base, new] = [&args.base, &args.new].map(|path| Folder::named(path));
            folders(&base, &new, &args.filter, args.threshold)?
        }
        _ => {
            let message = format!(
                "{} and {}: expected two criterion folders or two bench executables",
                args.base.display(),
                args.new.display()
            );
            return Err(message.into());
        }
    };
    args.show(&lines)?;
    let slower = lines.iter().any(|l| l.verdict == Verdict::Slower);
    match args.fail_on_slower && slower {
        true => Err(format!("of the benchmarks, {}", counts(&lines)).into()),
        false => Ok(()),
    }
}

impl CompareArgs {
    fn run_in_turns(&self) -> Result<Vec<Line>, Error> {
        let plan = Plan {
            filter: self.filter.clone(),
            rounds: self.rounds,
            time: Duration::from_secs_f64(self.time),
            threshold: self.threshold,
        };
        let (base, new) = (Executable::new(&self.base)?, Executable::new(&self.new)?);
        let bar = common::bar("rounds", Some(0));
        let lines = executables(&base, &new, &plan, &mut |name, done, most| {
            bar.set_length(most as u64);
            bar.set_position(done as u64);
            bar.set_message(name.to_string());
        })?;
        bar.finish_and_clear();
        Ok(lines)
    }

    fn show(&self, lines: &[Line]) -> Result<(), Error> {
        let table = table(lines, self.threshold);
        let printed = self.markdown.as_deref() == Some(Path::new("-"));
        if self.json {
            for line in lines {
                println!("{}", json(line));
            }
        }
        match &self.markdown {
            Some(_) if printed => print!("{}", table.markdown()),
            Some(path) => write_atomic(path, |out| out.write_all(table.markdown().as_bytes()))?,
            None => {}
        }
        if let Some(path) = &self.svg {
            let svg = chart(lines, self.threshold).svg();
            write_atomic(path, |out| out.write_all(svg.as_bytes()))?;
        }
        if !self.json && !printed {
            columns(&table);
        }
        Ok(())
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number between 0 and 1".to_string()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0.01 to 3600".to_string()),
    }
}
