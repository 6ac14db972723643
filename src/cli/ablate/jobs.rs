//! Trainings of a study beside each other, each in a process of its own.

use super::unit::Unit;
use crate::cli::common::{DeviceName, Interrupted};
use crate::cli::trained::{finish, is_trained, write_recipe};
use crate::cli::{Error, train};
use clap::ValueEnum;
use lrem::device::cpu::parallel;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often processes are looked at.
const APART: Duration = Duration::from_millis(50);
/// Time that they have to save after a signal, which the terminal gives them too; a killed one goes on from
/// its last checkpoint.
const GRACE: Duration = Duration::from_secs(20);

/// A training under way.
struct Job<'u> {
    unit: &'u Unit,
    process: Child,
}

/// Trains those of `units` that are not there, at most `jobs` at a time, which share this
/// machine's threads.
///
/// # Errors
/// The first that fails, after the others have ended; [`Interrupted`] after a signal.
pub fn train_all(units: &[Unit], jobs: usize, device: DeviceName) -> Result<(), Error> {
    let mut left = Vec::new();
    for unit in units {
        if !is_trained(&unit.folder, &unit.recipe)? {
            left.push(unit);
        }
    }
    let stop = train::interrupts()?;
    let threads = (parallel::threads() / jobs).max(1);
    let mut left = left.into_iter();
    let (mut running, mut failed): (Vec<Job>, Option<String>) = (Vec::new(), None);
    loop {
        while running.len() < jobs && failed.is_none() {
            let Some(unit) = left.next() else {
                break;
            };
            println!("{}: training, {}", unit.name, log(unit));
            running.push(start(unit, device, threads)?);
        }
        if running.is_empty() {
            break;
        }
        if stop.load(Ordering::Relaxed) {
            end(&mut running);
            let message = "trainings have been saved; run again to go on".to_string();
            return Err(Interrupted(message).into());
        }
        let mut still = Vec::new();
        for mut job in running {
            match job.process.try_wait()? {
                None => still.push(job),
                Some(status) if status.success() => finish(&job.unit.folder, &job.unit.recipe)?,
                Some(status) => {
                    let message =
                        format!("{}: {status}, {} says why", job.unit.name, log(job.unit));
                    failed.get_or_insert(message);
                }
            }
        }
        running = still;
        sleep(APART);
    }
    failed.map_or(Ok(()), |message| Err(message.into()))
}

/// Where a training says what it does.
fn log(unit: &Unit) -> String {
    unit.folder.join("train.log").display().to_string()
}

fn start(unit: &Unit, device: DeviceName, threads: usize) -> Result<Job<'_>, Error> {
    std::fs::create_dir_all(&unit.folder)?;
    let recipe = unit.folder.join("training.toml");
    write_recipe(&recipe, &unit.recipe)?;
    let log = File::create(unit.folder.join("train.log"))?;
    let device = device.to_possible_value();
    let process = Command::new(std::env::current_exe()?)
        .arg("train")
        .arg(recipe)
        .arg("--out")
        .arg(&unit.folder)
        .args(["--resume", "--device"])
        .arg(device.as_ref().map_or("cpu", |device| device.get_name()))
        .env("LREM_THREADS", threads.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(Job { unit, process })
}

/// Waits for the jobs to save what they have, and ends those that do not.
fn end(running: &mut [Job]) {
    let since = Instant::now();
    for job in running {
        while since.elapsed() < GRACE && matches!(job.process.try_wait(), Ok(None)) {
            sleep(APART);
        }
        // An error says that it has ended.
        let _ = job.process.kill();
        let _ = job.process.wait();
    }
}
