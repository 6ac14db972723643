//! `lrem train`: a recipe becomes a model folder.

use super::Error;
use super::common::{DeviceName, on_device};
use clap::Args;
use lrem::recipe::Recipe;
use lrem::train::Training;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Args)]
pub struct TrainArgs {
    /// The recipe, TOML.
    recipe: PathBuf,
    /// Folder for metrics (also of TensorBoard: `tensorboard --logdir` reads it), checkpoints and the model.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the newest checkpoint in the folder.
    #[arg(long)]
    resume: bool,
    /// Model of an earlier cold start: only the reinforcement stage is run, from it.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Seed, in place of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Base model, in place of the recipe's.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

pub fn run(args: TrainArgs) -> Result<(), Error> {
    let mut recipe = Recipe::read(&args.recipe)?;
    recipe.train.seed = args.seed.unwrap_or(recipe.train.seed);
    if let Some(base) = args.base {
        recipe.model.base = base;
    }
    if args.from.is_some() && recipe.rl.is_none() {
        let recipe = args.recipe.display();
        return Err(format!("{recipe}: --from needs a recipe with a table [rl]").into());
    }
    let stop = interrupts()?;
    let opened = args.device.for_training(recipe.train.precision)?;
    let model = on_device!(opened, |device| {
        let training = Training {
            device,
            recipe: &recipe,
            folder: &args.out,
            resume: args.resume,
            from: args.from.as_deref(),
            stop: &stop,
            label: "train",
        };
        training.run()?
    });
    println!("trained model in {}", model.display());
    Ok(())
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
pub fn interrupts() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}
