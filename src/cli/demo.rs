//! `lrem demo`: the whole method on the bundled shop, from a base model to search results and a report.
//!
//! Everything it makes lies in one folder and is used again by the next run: the numbers of steps, the
//! trained models (with their checkpoints, where a run was interrupted), the indexes and what was measured.

use super::Error;
use super::common::{self, DeviceName, Inference, Weights, on_device};
use super::curves::learning_curves;
use super::measurement::Measurement;
use super::searcher::Searching;
use super::trained::trained;
use clap::{Args, ValueEnum};
use lrem::bench::{ColdStartStep, engine};
use lrem::data::{Catalogue, Triplet, read_catalogue, read_triplets, write_atomic};
use lrem::recipe::{Contents, Recipe};
use lrem::report::{Cell, Report};
use lrem::retrieve::evaluate::{Summary, compare, kinds_of};
use lrem::retrieve::{Run, trec};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DIRECT: &str = "recipes/direct.toml";
const LREM: &str = "recipes/shop.toml";
const TEST: &str = "data/shop/test.jsonl";
/// Time that everything may take, with two minutes to spare of fifteen.
const WHOLE: Duration = Duration::from_secs(13 * 60);
/// What a step of the direct model, of the cold start and of the reinforcement stage costs in steps of
/// [`ColdStartStep`] with the recipe's pairs.
const COST: [f64; 3] = [0.6, 1.6, 1.4];
/// What the indexes, the answers and the report cost in such steps.
const REST: f64 = 27.0;
/// Fewest and most optimizer steps of each training.
const STEPS: (usize, usize) = (6, 60);
/// The method that the others are compared with.
const BASELINE: &str = "direct";
/// Titles shown for a query.
const SHOWN: usize = 5;
/// Queries timed one by one for each method, so that they take seconds.
const TIMED: usize = 24;

#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the models, the indexes and the report.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// Optimizer steps of each training; by default as many as fit into thirteen minutes on this machine.
    #[arg(long)]
    steps: Option<usize>,
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
    let catalogue = read_catalogue(&direct.data.catalogue)?;
    let test = read_triplets(Path::new(TEST), Some(&catalogue))?;
    std::fs::create_dir_all(&args.out)?;
    let steps = steps(&args, &direct)?;
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
        queries: Path::new(TEST),
        triplets: &test,
        searching: Searching::new((!thinks).then_some(0), inference),
        thoughts: Contents::Own,
        appended: None,
        timed: TIMED,
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

/// The steps of an earlier run in the folder, or what the machine's speed allows.
fn steps(args: &DemoArgs, recipe: &Recipe) -> Result<usize, Error> {
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
    /// The command line of these arguments.
    fn command(&self) -> String {
        let mut command = format!("lrem demo --out {}", self.out.display());
        if let Some(steps) = self.steps {
            command += &format!(" --steps {steps}");
        }
        if let Some(device) = self.device.to_possible_value() {
            command += &format!(" --device {}", device.get_name());
        }
        command
    }
}

/// The first query of every hard kind with its thoughts and its best products, the relevant ones
/// marked.
fn examples(catalogue: &Catalogue, test: &[Triplet], cell: &Cell, run: &Run) -> String {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for triplet in test {
        if !triplet.is_hard() || !seen.insert(&triplet.kind) {
            continue;
        }
        lines.push(format!("{}: {}", triplet.kind, triplet.query));
        let thoughts = cell.queries.get(&triplet.id).map(|query| &query.thoughts);
        for thought in thoughts.into_iter().flatten() {
            lines.push(format!("  <think> {} </think>", thought.escape_debug()));
        }
        let found = run.get(&triplet.id).map_or(&[][..], Vec::as_slice);
        for (rank, entry) in trec::rank(found).into_iter().take(SHOWN).enumerate() {
            let mark = match triplet.items.contains(&entry.id) {
                true => "✓",
                false => " ",
            };
            let title = catalogue.get(&entry.id).map_or("", |item| &item.title);
            lines.push(format!("  {mark} {}. {title}", rank + 1));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}
