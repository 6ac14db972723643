//! One cell of a study: a trained model, measured at a budget or behind a gate.

use super::grid::Place;
use super::{common, origin};
use crate::cli::Error;
use crate::cli::answers::{answer, check_items, given_thoughts};
use crate::cli::common::{Inference, on_device};
use crate::cli::latency::latency;
use crate::cli::searcher::{Searcher, Searching};
use crate::cli::trained::indexed;
use lrem::data::{Triplet, read_catalogue, write_atomic};
use lrem::device::Device;
use lrem::embed::ThoughtText;
use lrem::reason::Ending;
use lrem::recipe::{Contents, Method, Recipe, Stage, Study};
use lrem::report::{Cell, QueryResult};
use lrem::retrieve::{Metric, Missing, evaluate, trec};
use lrem::train::RL;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is measured; the last decides.
const MEASURES: [&str; 3] = ["hit@10", "precision@10", "ndcg@10"];
/// Items found for a query, and how many of them a report names.
const DEPTH: usize = 100;
const NAMED: usize = 3;

/// A cell to be measured.
pub struct Measured<'a> {
    /// The study's folder.
    pub out: &'a Path,
    pub study: &'a Study,
    pub triplets: &'a [Triplet],
    pub place: Place<'a>,
    /// The recipe that was trained by, into the folder `unit`.
    pub recipe: &'a Recipe,
    pub unit: &'a Path,
    pub inference: Inference,
}

impl Measured<'_> {
    /// The result that is there and was made of the same; else it is measured and written.
    pub fn cell(&self) -> Result<Cell, Error> {
        let made_of = self.made_of()?;
        if let Some(cell) = self.written(&made_of) {
            return Ok(cell);
        }
        let opened = self.inference.device.for_inference()?;
        let machine = origin::machine(&opened);
        let cell = on_device!(opened, |device| self.measure(device, machine, made_of)?);
        std::fs::create_dir_all(self.folder())?;
        let text = serde_json::to_string(&cell)?;
        write_atomic(&self.folder().join("cell.json"), |out| {
            out.write_all(text.as_bytes())
        })?;
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
        if self.model().0.exists() {
            return self.written(&self.made_of().ok()?);
        }
        let asked = self.asked().ok()?;
        self.result()
            .filter(|cell| cell.made_of.starts_with(&asked))
    }

    fn written(&self, made_of: &str) -> Option<Cell> {
        self.result().filter(|cell| cell.made_of == made_of)
    }

    fn result(&self) -> Option<Cell> {
        let text = std::fs::read_to_string(self.folder().join("cell.json")).ok()?;
        serde_json::from_str(&text).ok()
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

    /// Where the method's model lies, and its index.
    fn model(&self) -> (PathBuf, PathBuf) {
        let stage = match (self.place.method.stage, &self.recipe.rl) {
            (Stage::Last, Some(_)) => self.unit.join(RL),
            _ => self.unit.to_path_buf(),
        };
        (stage.join("model"), stage.join("index"))
    }

    fn made_of(&self) -> Result<String, Error> {
        let model = common::open(&self.model().0)?.origin()?.model;
        Ok(format!("{}{model}", self.asked()?))
    }

    /// What [`Measured::made_of`] begins with: everything but the model.
    fn asked(&self) -> Result<String, Error> {
        let queries = std::fs::read(&self.study.queries)?;
        // The method's other gates have no part in it.
        let method = Method {
            gates: self.place.gate.into_iter().collect(),
            ..self.place.method.clone()
        };
        Ok(format!(
            "{}\nbudget {} weights {:?} queries {:016x} model ",
            toml::to_string(&method)?,
            self.place.budget,
            self.inference.weights,
            xxhash_rust::xxh3::xxh3_64(&queries),
        ))
    }

    fn searcher<D: Device>(&self, device: Arc<D>) -> Result<Searcher<D>, Error> {
        let (model, index) = self.model();
        let Place {
            method,
            budget,
            gate,
            ..
        } = self.place;
        let inference = self.inference;
        let mut searching = Searching::new(u32::try_from(budget).ok(), inference).with_gate(gate);
        if let Some(own) = method.query {
            searching = searching.with_own(own);
        }
        let (catalogue, name) = (&self.recipe.data.catalogue, &method.name);
        indexed(
            device, &model, &index, catalogue, name, searching, inference,
        )
    }

    fn measure<D: Device>(
        &self,
        device: Arc<D>,
        machine: String,
        made_of: String,
    ) -> Result<Cell, Error> {
        let searcher = self.searcher(device)?;
        let (triplets, path) = (self.triplets, &self.study.queries);
        check_items(triplets, path, &searcher, &self.model().1)?;
        let contents = match searcher.budget {
            0 => Contents::Own,
            _ => self.place.method.thoughts,
        };
        let given = given_thoughts(contents, triplets, path)?;
        let answers = answer(&searcher, triplets, path, given.as_deref(), DEPTH)?;
        let (run, thoughts) = (&answers.run, &answers.thoughts);
        let throughput = triplets.len() as f64 / answers.seconds.max(1e-9);
        let measures: Vec<Metric> = MEASURES
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?;
        let evaluation = evaluate(&trec::qrels_of(triplets), run, &measures, Missing::Zero);
        let titles = read_catalogue(&self.recipe.data.catalogue)?;
        let title = |id: &String| titles.get(id).map_or(id.clone(), |item| item.title.clone());
        let queries: BTreeMap<String, QueryResult> = triplets
            .iter()
            .zip(thoughts)
            .map(|(t, thoughts)| {
                let found = trec::rank(&run[&t.id]);
                let result = QueryResult {
                    kind: t.kind.clone(),
                    query: t.query.clone(),
                    values: evaluation.queries[&t.id].clone(),
                    thoughts: thoughts.iter().map(|t| t.text.clone()).collect(),
                    tokens: thoughts.iter().map(|t| t.tokens).collect(),
                    found: found.iter().take(NAMED).map(|e| title(&e.id)).collect(),
                };
                (t.id.clone(), result)
            })
            .collect();
        std::fs::create_dir_all(self.folder())?;
        trec::write_run(&self.folder().join("run"), run, "lrem")?;
        Ok(Cell {
            method: self.place.method.name.clone(),
            seed: self.place.seed,
            budget: searcher.budget,
            gate: searcher.gate,
            made_of,
            machine,
            date: origin::date(),
            commit: origin::commit(),
            measures: measures.iter().map(Metric::to_string).collect(),
            queries,
            closed: closed(thoughts),
            latency: latency(&searcher, triplets, given.as_deref(), DEPTH, throughput)?,
        })
    }
}

/// Share of the model's own thoughts that it closed itself.
fn closed(thoughts: &[Vec<ThoughtText>]) -> Option<f64> {
    let endings: Vec<Ending> = thoughts.iter().flatten().filter_map(|t| t.ending).collect();
    let closed = endings.iter().filter(|&&e| e == Ending::Closed).count();
    (!endings.is_empty()).then(|| closed as f64 / endings.len() as f64)
}
