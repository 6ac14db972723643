//! How many optimizer steps the demo takes.

use super::DemoArgs;
use crate::cli::Error;
use crate::cli::common::{self, on_device};
use lrem::bench::{ColdStartStep, engine};
use lrem::data::write_atomic;
use lrem::recipe::Recipe;
use std::time::Duration;

/// Time that everything may take, with two minutes to spare of fifteen.
const WHOLE: Duration = Duration::from_secs(13 * 60);
/// What a step of the direct model, of the cold start and of the reinforcement stage costs in steps of
/// [`ColdStartStep`] with the recipe's pairs.
const COST: [f64; 3] = [0.6, 1.6, 1.4];
/// What the indexes, the answers and the report cost in such steps.
const REST: f64 = 27.0;
/// Fewest and most optimizer steps of each training.
const STEPS: (usize, usize) = (6, 60);

/// The steps of an earlier run in the folder, or what the machine's speed allows.
pub fn steps(args: &DemoArgs, recipe: &Recipe) -> Result<usize, Error> {
    let path = args.out.join("steps");
    if let Some(steps) = args.steps {
        return Ok(steps.max(1));
    }
    if let Ok(text) = std::fs::read_to_string(&path) {
        return text.trim().parse().map_err(|_| {
            format!(
                "{}: `{}` is not a number of steps",
                path.display(),
                text.trim()
            )
            .into()
        });
    }
    eprintln!("measuring the speed of this machine");
    let folder = common::open(&recipe.model.base)?;
    let opened = args.device.for_training(recipe.train.precision)?;
    let pairs = args.device.sizes().pairs;
    let seconds = on_device!(opened, |device| {
        let masters = folder.load(device.clone(), None, common::CONTEXT)?;
        let mut workload = ColdStartStep::new(masters, pairs)?;
        engine::time(&*device, &mut workload)?;
        // The slower of two: a processor that has just been idle is faster than one that trains.
        let first = engine::time(&*device, &mut workload)?;
        engine::time(&*device, &mut workload)?
            .max(first)
            .as_secs_f64()
    });
    let step = seconds * recipe.train.batch as f64 / pairs as f64;
    let steps = (WHOLE.as_secs_f64() / step - REST) / COST.iter().sum::<f64>();
    let steps = (steps as usize).clamp(STEPS.0, STEPS.1);
    write_atomic(&path, |out| writeln!(out, "{steps}"))?;
    Ok(steps)
}
