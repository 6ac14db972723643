//! The record of a run: JSON Lines beside the checkpoint, and a progress bar.

use super::TrainError;
use crate::data::write_atomic;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Appends one JSON object a line.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens `path`, keeping the lines whose `step` is at most `keep` (a resumed run writes the later
    /// ones again).
    pub fn open(path: &Path, keep: usize) -> Result<MetricsLog, TrainError> {
        let io = || TrainError::io(path);
        let mut kept = Vec::new();
        if let Ok(old) = File::open(path) {
            for line in BufReader::new(old).lines() {
                let line = line.map_err(io())?;
                let step = serde_json::from_str::<Value>(&line)
                    .ok()
                    .and_then(|v| v.get("step").and_then(Value::as_u64));
                if step.is_some_and(|s| s as usize <= keep) {
                    kept.push(line);
                }
            }
        }
        write_atomic(path, |out| {
            kept.iter().try_for_each(|line| writeln!(out, "{line}"))
        })?;
        let file = OpenOptions::new().append(true).open(path).map_err(io())?;
        Ok(MetricsLog {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Appends a line.
    pub fn write(&mut self, line: &Value) -> Result<(), TrainError> {
        writeln!(self.file, "{line}").map_err(TrainError::io(&self.path))
    }
}

/// A bar on a terminal; elsewhere a plain line every half minute.
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    steps: usize,
    last: Instant,
    started: Instant,
    first_step: usize,
    label: String,
}

impl Progress {
    /// A bar over `steps` that starts at `done`.
    pub fn new(label: &str, done: usize, steps: usize) -> Progress {
        let plain = !std::io::stderr().is_terminal();
        let target = if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let style = "{prefix} {bar:28} {pos}/{len} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_string());
        bar.set_position(done as u64);
        bar.reset_eta();
        Progress {
            bar,
            plain,
            steps,
            last: Instant::now(),
            started: Instant::now(),
            first_step: done,
            label: label.to_string(),
        }
    }

    /// Says that `done` steps are done.
    pub fn update(&mut self, done: usize, message: &str) {
        self.bar.set_position(done as u64);
        self.bar.set_message(message.to_string());
        let due = self.last.elapsed() > Duration::from_secs(30) || done == self.steps;
        if self.plain && due {
            self.last = Instant::now();
            let rate =
                self.started.elapsed().as_secs_f64() / (done - self.first_step).max(1) as f64;
            let left = rate * (self.steps - done) as f64;
            eprintln!(
                "{} {done}/{} {message} {left:.0} s left",
                self.label, self.steps
            );
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
