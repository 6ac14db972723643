//! `lrem demo`: the whole method on the bundled shop, from a base model to search results and a report.
//!
//! On the virtual GPU it is short: a few steps, a part of the shop. Everything it makes lies in one folder and
//! is used again by the next run: the numbers of steps, the trained models (with their checkpoints, where a run
//! was interrupted), the indexes and what was measured.

mod examples;
mod short;
mod steps;

use super::Error;
use super::common::{DeviceName, Inference, Weights};
use super::curves::learning_curves;
use super::measurement::Measurement;
use super::searcher::Searching;
use super::trained::trained;
use clap::{Args, ValueEnum};
use examples::examples;
use lrem::data::{read_catalogue, read_triplets};
use lrem::recipe::{Contents, Recipe};
use lrem::report::{Cell, Report};
use lrem::retrieve::evaluate::{Summary, compare, kinds_of};
use std::path::{Path, PathBuf};

const DIRECT: &str = "recipes/direct.toml";
const LREM: &str = "recipes/shop.toml";
const TEST: &str = "data/shop/test.jsonl";
/// The method that the others are compared with.
const BASELINE: &str = "direct";
/// Queries timed one by one for each method, so that they take seconds; of the short demo.
const TIMED: (usize, usize) = (24, 1);

#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the models, the indexes and the report.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// Optimizer steps of each training; by default as many as fit into thirteen minutes on this machine.
    #[arg(long)]
    steps: Option<usize>,
    /// A few steps, two hundred products and ten queries, as on the virtual GPU.
    #[arg(long)]
    short: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

pub fn run(args: DemoArgs) -> Result<(), Error> {
    let (mut direct, mut lrem) = (
        Recipe::read(Path::new(DIRECT))?,
        Recipe::read(Path::new(LREM))?,
    );
    let base = direct.model.base.clone();
    if !base.exists() {
        let base = base.display();
        return Err(format!("{base} is missing; `make setup` fetches the base model").into());
    }
    std::fs::create_dir_all(&args.out)?;
    let short = args.is_short();
    let queries = match short {
        true => short::shorten([&mut direct, &mut lrem], Path::new(TEST), &args.out)?,
        false => PathBuf::from(TEST),
    };
    let catalogue = read_catalogue(&direct.data.catalogue)?;
    let test = read_triplets(&queries, Some(&catalogue))?;
    let steps = match (short, args.steps) {
        (true, None) => short::STEPS,
        _ => steps::steps(&args, &direct)?,
    };
    for recipe in [&mut direct, &mut lrem] {
        recipe.train.steps = steps;
        recipe.train.checkpoint_every = 10;
        if let Some(rl) = &mut recipe.rl {
            rl.steps = steps;
            rl.checkpoint_every = 10;
        }
    }
    let inference = Inference {
        device: args.device,
        weights: Weights::Bf16,
    };
    println!(
        "base model {}; {} products, {} test queries; {steps} steps of {} query-product pairs",
        base.display(),
        catalogue.len(),
        test.len(),
        direct.train.batch
    );
    let (plain, trained) = (
        trained(&args.out.join("direct"), "direct", &direct, args.device)?,
        trained(&args.out.join("lrem"), "lrem", &lrem, args.device)?,
    );
    let cold = args.out.join("lrem/model");
    let method = |method, model: &Path, place: &str, thinks: bool| Measurement {
        method,
        seed: lrem.train.seed,
        model: model.to_path_buf(),
        index: args.out.join(place).join("index"),
        catalogue: &direct.data.catalogue,
        queries: &queries,
        triplets: &test,
        searching: Searching::new((!thinks).then_some(0), inference),
        thoughts: Contents::Own,
        appended: None,
        timed: if short { TIMED.1 } else { TIMED.0 },
        asked: format!("{method} on {:?}", args.device),
        folder: args.out.join("cells").join(place),
    };
    let methods = [
        method("untrained", &base, "untrained", false),
        method(BASELINE, &plain, "direct", false),
        method("LREM cold start", &cold, "lrem", true),
        method("LREM + RL", &trained, "lrem/rl", true),
    ];
    let (mut cells, mut summaries) = (Vec::new(), Vec::new());
    let mut thoughts = String::new();
    for method in &methods {
        let cell = match method.kept()? {
            Some(cell) => cell,
            None => method.measured()?,
        };
        let run = method.run()?;
        let summary = method.evaluation(&run)?.summary(&kinds_of(&test));
        summaries.push((method.method, summary));
        thoughts = examples(&catalogue, &test, &cell, &run);
        cells.push(cell);
    }
    let columns: Vec<(&str, &Summary)> = summaries.iter().map(|(n, s)| (*n, s)).collect();
    println!("\n{}", compare(&columns));
    println!("{thoughts}");
    report(&args, steps, &cells, [(DIRECT, &direct), (LREM, &lrem)])?;
    println!(
        "Search it yourself: target/release/lrem search {} {} --titles {}",
        trained.display(),
        methods[3].index.display(),
        direct.data.catalogue.display()
    );
    Ok(())
}

/// Writes the report of the methods.
fn report(
    args: &DemoArgs,
    steps: usize,
    cells: &[Cell],
    recipes: [(&str, &Recipe); 2],
) -> Result<(), Error> {
    let mut curves = learning_curves(&args.out.join("direct"), "direct");
    curves.extend(learning_curves(&args.out.join("lrem"), "LREM"));
    let text = |(path, recipe): (&str, &Recipe)| -> Result<(String, String), Error> {
        Ok((path.to_string(), toml::to_string(recipe)?))
    };
    let recipes = recipes.into_iter().map(text);
    let report = Report {
        title: &format!("The bundled shop, {steps} steps a training"),
        baseline: BASELINE,
        cells,
        curves: &curves,
        recipes: &recipes.collect::<Result<Vec<_>, _>>()?,
        command: args.command(),
    };
    report.write(&args.out)?;
    println!("wrote {}", args.out.join("report.html").display());
    Ok(())
}

impl DemoArgs {
    fn is_short(&self) -> bool {
        self.short || self.device == DeviceName::Simt
    }

    /// The command line of these arguments.
    fn command(&self) -> String {
        let mut command = format!("lrem demo --out {}", self.out.display());
        if let Some(steps) = self.steps {
            command += &format!(" --steps {steps}");
        }
        if self.short {
            command += " --short";
        }
        if let Some(device) = self.device.to_possible_value() {
            command += &format!(" --device {}", device.get_name());
        }
        command
    }
}
