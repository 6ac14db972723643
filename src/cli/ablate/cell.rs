//! One cell of a study: a trained model, measured at a budget or behind a gate.

use super::grid::Place;
use super::unit::Unit;
use crate::cli::Error;
use crate::cli::common::Inference;
use crate::cli::latency::TIMED;
use crate::cli::measurement::Measurement;
use crate::cli::searcher::Searching;
use crate::cli::trained::write_recipe;
use lrem::data::Triplet;
use lrem::recipe::{Method, Rewriter, Study};
use lrem::report::Cell;
use std::path::{Path, PathBuf};

/// A cell to be measured.
pub struct Measured<'a> {
    /// The study's folder.
    pub out: &'a Path,
    pub study: &'a Study,
    pub triplets: &'a [Triplet],
    pub place: Place<'a>,
    /// The training of the model that embeds.
    pub unit: Unit,
    /// The model that rewrites queries.
    pub rewriter: Option<PathBuf>,
    pub inference: Inference,
}

impl Measured<'_> {
    /// The result that is there and was made of the same; else it is measured, written and printed.
    pub fn cell(&self) -> Result<Cell, Error> {
        let measurement = self.measurement()?;
        if let Some(cell) = measurement.kept()? {
            return Ok(cell);
        }
        let cell = measurement.measured()?;
        write_recipe(&measurement.folder.join("recipe.toml"), &self.unit.recipe)?;
        let last = cell.measures.len() - 1;
        let hard = cell.values(last, |kind| kind != lrem::data::triplet::PLAIN);
        let gate = cell.gate.map_or(String::new(), |g| format!(" gate {g}"));
        println!(
            "{} budget {}{gate} seed {}: {} {:.4} on {} hard queries, {:.1} ms a query",
            cell.method,
            cell.budget,
            cell.seed,
            cell.measures[last],
            hard.iter().sum::<f64>() / hard.len().max(1) as f64,
            hard.len(),
            cell.latency.mean
        );
        Ok(cell)
    }

    /// The result, where it is there and was made of the same; of any model, where its own is there no more.
    pub fn there(&self) -> Option<Cell> {
        self.measurement().ok()?.reported()
    }

    fn measurement(&self) -> Result<Measurement<'_>, Error> {
        let Place {
            method,
            budget,
            gate,
            seed,
        } = self.place;
        let searching = Searching::new(u32::try_from(budget).ok(), self.inference)
            .with_gate(gate)
            .with_rewriter(self.rewriter.clone());
        // The method's other gates have no part in it.
        let gated = Method {
            gates: gate.into_iter().collect(),
            ..method.clone()
        };
        Ok(Measurement {
            method: &method.name,
            seed,
            model: self.unit.model(method.stage),
            index: self.unit.index(method.stage),
            catalogue: &self.unit.recipe.data.catalogue,
            queries: &self.study.queries,
            triplets: self.triplets,
            searching: match method.query {
                Some(own) => searching.with_own(own),
                None => searching,
            },
            thoughts: method.thoughts,
            appended: method.rewriter.as_ref().and_then(Rewriter::given),
            timed: TIMED,
            asked: format!("{}\nbudget {budget}", toml::to_string(&gated)?),
            folder: self.folder(),
        })
    }

    fn folder(&self) -> PathBuf {
        let Place {
            method,
            budget,
            gate,
            seed,
        } = self.place;
        let gate = gate.map_or(String::new(), |g| format!("-gate-{g}"));
        let name = format!("{}-{budget}{gate}-{seed}", method.folder_name());
        self.out.join("cells").join(name)
    }
}
