//! `lrem ablate`: methods × thought budgets × seeds, measured and reported.
//!
//! A study's folder holds `models/` (one training a recipe and seed, shared by the methods that name the
//! recipe), `cells/` (one folder a method, budget, gate and seed: what came out, as JSON with the commit, a
//! TREC run, and the recipe), and the report. What is there and was made of the same is not made again, so an
//! interrupted study goes on.

mod cell;
mod grid;
mod jobs;
mod unit;

use super::Error;
use super::common::Inference;
use super::curves::learning_curves;
use super::trained::trained;
use cell::Measured;
use clap::Args;
use grid::{Place, grid};
use lrem::data::{Triplet, overlaps, read_catalogue, read_triplets};
use lrem::recipe::{Recipe, Rewriter, Stage, Study};
use lrem::report::{Cell, Curve, Report};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use unit::{Unit, stem};

#[derive(Args)]
pub struct AblateArgs {
    /// The study, TOML.
    study: PathBuf,
    /// Folder for models, results and the report.
    #[arg(long)]
    out: PathBuf,
    /// Write the report of what is there, and run nothing.
    #[arg(long)]
    report_only: bool,
    /// Trainings at a time, each in a process with its share of the threads. Nothing is measured before all
    /// are there: times would be those of a busy machine.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    #[command(flatten)]
    inference: Inference,
}

pub fn run(args: AblateArgs) -> Result<(), Error> {
    let study = Study::read(&args.study)?;
    let triplets = read_triplets(&study.queries, None)?;
    let recipes = recipes(&study)?;
    for (path, recipe) in &recipes {
        check_unseen(path, recipe, &study.queries, &triplets)?;
    }
    let grid = grid(&args.study, &study, &recipes)?;
    std::fs::create_dir_all(&args.out)?;
    if args.jobs > 1 && !args.report_only {
        let of_seed = |&seed: &u64| {
            let unit = |(path, recipe): (&PathBuf, &Recipe)| {
                Unit::new(&args.out, &study, path, recipe, seed)
            };
            recipes.iter().map(unit).collect::<Vec<_>>()
        };
        let units: Vec<Unit> = study.seeds.iter().flat_map(of_seed).collect();
        jobs::train_all(&units, args.jobs as usize, args.inference.device)?;
    }
    let mut cells: Vec<Option<Cell>> = vec![None; grid.len()];
    let mut curves = Vec::new();
    // Seed by seed, so that an unfinished study compares all methods already.
    for &seed in &study.seeds {
        let unit = |path: &Path| Unit::new(&args.out, &study, path, &recipes[path], seed);
        for path in recipes.keys() {
            let training = unit(path);
            if !args.report_only {
                let Unit {
                    name,
                    recipe,
                    folder,
                } = &training;
                trained(folder, name, recipe, args.inference.device)?;
            }
            let name = format!("{}, seed {seed}", stem(path));
            curves.extend(learning_curves(&training.folder, &name));
            // A method with two models waits for the later one.
            let last = |p: &Place| p.method.models().map(|(of, _)| of).max() == Some(path);
            let now = |p: &Place| p.seed == seed && last(p);
            for (at, &place) in grid.iter().enumerate().filter(|(_, p)| now(p)) {
                let rewriter = place.method.rewriter.as_ref().and_then(Rewriter::model);
                let measured = Measured {
                    out: &args.out,
                    study: &study,
                    triplets: &triplets,
                    place,
                    unit: unit(&place.method.recipe),
                    rewriter: rewriter.map(|(of, stage)| unit(of).model(stage)),
                    inference: args.inference,
                };
                cells[at] = match args.report_only {
                    true => measured.there(),
                    false => Some(measured.cell()?),
                };
            }
            report(&args, &study, &recipes, &cells, &curves)?;
        }
    }
    let written = args.out.join("report.html");
    println!("wrote {}", written.display());
    Ok(())
}

/// The recipes that the study's methods name. Where none of them asks for its last stage, a recipe is
/// its cold start.
fn recipes(study: &Study) -> Result<BTreeMap<PathBuf, Recipe>, Error> {
    let mut recipes = BTreeMap::new();
    for (path, _) in study.models() {
        let mut recipe = Recipe::read(path)?;
        let mut named = study.models().filter(|(other, _)| *other == path);
        if named.all(|(_, stage)| stage == Stage::ColdStart) {
            recipe = recipe.cold_start();
        }
        if study.steps > 0 {
            recipe.train.steps = study.steps;
            if let Some(rl) = &mut recipe.rl {
                rl.steps = study.steps;
            }
        }
        recipes.insert(path.to_path_buf(), recipe);
    }
    Ok(recipes)
}

/// A study measures on queries that no training has seen.
fn check_unseen(
    path: &Path,
    recipe: &Recipe,
    queries: &Path,
    test: &[Triplet],
) -> Result<(), Error> {
    let catalogue = read_catalogue(&recipe.data.catalogue)?;
    let rl = recipe.rl.as_ref().and_then(|rl| rl.train.as_ref());
    for train in std::iter::once(&recipe.data.train).chain(rl) {
        let seen = overlaps(&read_triplets(train, Some(&catalogue))?, test);
        if let Some(first) = seen.first() {
            let (path, queries, train) = (path.display(), queries.display(), train.display());
            return Err(format!(
                "{path}: {} of the queries in {queries} are in {train}: {first}; expected none",
                seen.len()
            )
            .into());
        }
    }
    Ok(())
}

fn report(
    args: &AblateArgs,
    study: &Study,
    recipes: &BTreeMap<PathBuf, Recipe>,
    cells: &[Option<Cell>],
    curves: &[Curve],
) -> Result<(), Error> {
    let cells: Vec<Cell> = cells.iter().flatten().cloned().collect();
    let text = |(path, recipe): (&PathBuf, &Recipe)| -> Result<(String, String), Error> {
        Ok((path.display().to_string(), toml::to_string(recipe)?))
    };
    let recipes = recipes.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let report = Report {
        title: &study.title,
        baseline: &study.baseline,
        cells: &cells,
        curves,
        recipes: &recipes,
        command: format!(
            "lrem ablate {} --out {}",
            args.study.display(),
            args.out.display()
        ),
    };
    Ok(report.write(&args.out)?)
}
