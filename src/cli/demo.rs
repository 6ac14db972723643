//! `lrem demo`: the whole method on the bundled shop, from a base model to search results.
//!
//! Everything it makes lies in one folder and is used again by the next run: the numbers of steps, the
//! trained models (with their checkpoints, where a run was interrupted) and the indexes.

use super::Error;
use super::common::{self, DeviceName, Inference, Weights, on_device};
use super::searcher::{Searcher, Searching};
use super::trained::{indexed, trained};
use clap::Args;
use lrem::bench::{ColdStartStep, engine};
use lrem::data::{Catalogue, Triplet, read_catalogue, read_triplets, write_atomic};
use lrem::device::Device;
use lrem::embed::ThoughtText;
use lrem::recipe::Recipe;
use lrem::retrieve::evaluate::{Summary, compare, kinds_of};
use lrem::retrieve::{Metric, Missing, Run, Scored, evaluate, trec};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DIRECT: &str = "recipes/direct.toml";
const LREM: &str = "recipes/shop.toml";
const TEST: &str = "data/shop/test.jsonl";
/// Time that all trainings together may take. Indexes and tables take four minutes more.
const TRAINING: Duration = Duration::from_secs(8 * 60 + 30);
/// What a step of the direct model, of the cold start and of the reinforcement stage costs in steps of
/// [`ColdStartStep`] with the recipe's pairs.
const COST: [f64; 3] = [0.6, 1.6, 1.4];
/// Fewest and most optimizer steps of each training.
const STEPS: (usize, usize) = (12, 60);
/// Titles shown for a query.
const SHOWN: usize = 5;

#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the models and indexes.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// Optimizer steps of each training; by default as many as all take this machine eight and a half minutes.
    #[arg(long)]
    steps: Option<usize>,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

/// One row of the comparison.
struct Method {
    name: &'static str,
    model: PathBuf,
    /// Where its index lies.
    index: PathBuf,
    thinks: bool,
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
    let method = |name, model: &Path, index: &str, thinks| Method {
        name,
        model: model.to_path_buf(),
        index: args.out.join(index),
        thinks,
    };
    let methods = [
        method("untrained", &base, "untrained/index", false),
        method("direct", &plain, "direct/index", false),
        method("LREM cold start", &cold, "lrem/index", true),
        method("LREM + RL", &trained, "lrem/rl/index", true),
    ];
    let mut summaries = Vec::new();
    let mut thoughts = None;
    for method in &methods {
        let (summary, shown) = on_device!(args.device.for_inference()?, |device| {
            let searcher = searcher(device, args.device, method, &direct.data.catalogue)?;
            let (summary, found) = measure(&searcher, &test)?;
            (summary, examples(&searcher, &catalogue, &test, &found))
        });
        summaries.push((method.name, summary));
        if method.thinks {
            thoughts = Some(shown);
        }
    }
    let columns: Vec<(&str, &Summary)> = summaries.iter().map(|(n, s)| (*n, s)).collect();
    println!("\n{}", compare(&columns));
    println!("{}", thoughts.unwrap_or_default());
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
    let steps = (TRAINING.as_secs_f64() / (step * COST.iter().sum::<f64>())) as usize;
    let steps = steps.clamp(STEPS.0, STEPS.1);
    write_atomic(&path, |out| writeln!(out, "{steps}"))?;
    Ok(steps)
}

/// The method's model with its index of the catalogue.
fn searcher<D: Device>(
    device: Arc<D>,
    name: DeviceName,
    method: &Method,
    catalogue: &Path,
) -> Result<Searcher<D>, Error> {
    let inference = Inference {
        device: name,
        weights: Weights::Bf16,
    };
    let think = (!method.thinks).then_some(0);
    let searching = Searching::new(think, inference);
    let Method {
        name, model, index, ..
    } = method;
    indexed(device, model, index, catalogue, name, searching, inference)
}

/// Thoughts (none without thinking) and hits of every query.
type Found = Vec<(Vec<ThoughtText>, Vec<Scored>)>;

fn measure<D: Device>(searcher: &Searcher<D>, test: &[Triplet]) -> Result<(Summary, Found), Error> {
    let metrics: Vec<Metric> = ["hit@10", "precision@10", "ndcg@10"]
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    let texts: Vec<&str> = test.iter().map(|t| t.query.as_str()).collect();
    let embedded = searcher
        .loaded
        .embedder()
        .queries(&texts, &searcher.own_thinking())?;
    let hits = searcher.search(&embedded.rows, 10)?;
    let entries =
        |(t, hits): (&Triplet, &Vec<Scored>)| (t.id.clone(), searcher.index.run_entries(hits));
    let run: Run = test.iter().zip(&hits).map(entries).collect();
    let evaluation = evaluate(&trec::qrels_of(test), &run, &metrics, Missing::Zero);
    let mut thoughts = embedded.thoughts.into_iter();
    let found = hits
        .into_iter()
        .map(|hits| (thoughts.next().unwrap_or_default(), hits))
        .collect();
    Ok((evaluation.summary(&kinds_of(test)), found))
}

/// The first query of every hard kind with its thoughts and its best products, the relevant ones
/// marked.
fn examples<D: Device>(
    searcher: &Searcher<D>,
    catalogue: &Catalogue,
    test: &[Triplet],
    found: &Found,
) -> String {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for (triplet, (thoughts, hits)) in test.iter().zip(found) {
        if !triplet.is_hard() || !seen.insert(&triplet.kind) {
            continue;
        }
        lines.push(format!("{}: {}", triplet.kind, triplet.query));
        for thought in thoughts {
            lines.push(format!(
                "  <think> {} </think>",
                thought.text.escape_debug()
            ));
        }
        for (rank, hit) in hits.iter().take(SHOWN).enumerate() {
            let id = &searcher.index.ids()[hit.index as usize];
            let mark = if triplet.items.contains(id) {
                "✓"
            } else {
                " "
            };
            let title = catalogue.get(id).map_or("", |item| &item.title);
            lines.push(format!("  {mark} {}. {title}", rank + 1));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}
