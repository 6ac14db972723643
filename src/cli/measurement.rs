//! A model measured on judged queries: how good, and how fast. The result is kept in a folder, and counts
//! as long as it is of the same.

use super::answers::{answer, check_items, given_thoughts};
use super::common::on_device;
use super::latency::{Timing, latency};
use super::rewriter::rewritten;
use super::searcher::{Searcher, Searching};
use super::trained::indexed;
use super::{Error, common, origin};
use lrem::data::{Triplet, read_catalogue, write_atomic};
use lrem::device::Device;
use lrem::embed::ThoughtText;
use lrem::reason::Ending;
use lrem::recipe::Contents;
use lrem::report::{Cell, QueryResult};
use lrem::retrieve::{Evaluation, Metric, Missing, Run, evaluate, trec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is measured; the last decides.
const MEASURES: [&str; 3] = ["hit@10", "precision@10", "ndcg@10"];
/// Items found for a query, and how many of them a report names.
const DEPTH: usize = 100;
const NAMED: usize = 3;

/// What is measured, and where the result is kept.
pub struct Measurement<'a> {
    /// Name of the method, and the seed of its training.
    pub method: &'a str,
    pub seed: u64,
    pub model: PathBuf,
    /// The model's index of the catalogue, which is made where it is missing.
    pub index: PathBuf,
    pub catalogue: &'a Path,
    /// The file of the queries, and what it holds.
    pub queries: &'a Path,
    pub triplets: &'a [Triplet],
    pub searching: Searching,
    /// With whose thoughts queries are embedded, where the model thinks.
    pub thoughts: Contents,
    /// Whose thoughts are appended to the queries' text before.
    pub appended: Option<Contents>,
    /// Most queries that are timed one by one.
    pub timed: usize,
    /// What decides on the result beside the model, the queries and the weights' format.
    pub asked: String,
    /// For `cell.json`, the result, and `run`, what was found.
    pub folder: PathBuf,
}

impl Measurement<'_> {
    /// The result that is there, if it is of the same.
    ///
    /// # Errors
    /// Where the model or the queries cannot be read.
    pub fn kept(&self) -> Result<Option<Cell>, Error> {
        let made_of = self.made_of()?;
        let kept = self.result().filter(|cell| cell.made_of == made_of);
        Ok(kept.filter(|_| self.run_path().exists()))
    }

    /// The result for a report alone: of any model, where its own is there no more.
    pub fn reported(&self) -> Option<Cell> {
        if self.models().all(|model| model.exists()) {
            let made_of = self.made_of().ok()?;
            return self.result().filter(|cell| cell.made_of == made_of);
        }
        let asked = self.asked().ok()?;
        self.result()
            .filter(|cell| cell.made_of.starts_with(&asked))
    }

    /// What was found; [`Measurement::kept`] or [`Measurement::measured`] came before.
    ///
    /// # Errors
    /// Where its file cannot be read.
    pub fn run(&self) -> Result<Run, Error> {
        Ok(trec::read_run(&self.run_path())?)
    }

    /// The values of all queries of a run.
    pub fn evaluation(&self, run: &Run) -> Result<Evaluation, Error> {
        let metrics = MEASURES.iter().map(|name| name.parse());
        let metrics = metrics.collect::<Result<Vec<Metric>, _>>()?;
        let qrels = trec::qrels_of(self.triplets);
        Ok(evaluate(&qrels, run, &metrics, Missing::Zero))
    }

    /// Measures, and keeps the result.
    ///
    /// # Errors
    /// Where the model or a file cannot be read, a query cannot be embedded, or one has no thought of the
    /// kind.
    pub fn measured(&self) -> Result<Cell, Error> {
        let made_of = self.made_of()?;
        let opened = self.searching.inference.device.for_inference()?;
        let machine = origin::machine(&opened);
        let cell = on_device!(opened, |device| self.measure(device, machine, made_of)?);
        let text = serde_json::to_string(&cell)?;
        write_atomic(&self.folder.join("cell.json"), |out| {
            out.write_all(text.as_bytes())
        })?;
        Ok(cell)
    }

    fn result(&self) -> Option<Cell> {
        let text = std::fs::read_to_string(self.folder.join("cell.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn run_path(&self) -> PathBuf {
        self.folder.join("run")
    }

    fn made_of(&self) -> Result<String, Error> {
        let made_of = |model: &Path| -> Result<String, Error> {
            let folder = common::open(model)?;
            let (model, settings) = (folder.origin()?.model, &folder.settings);
            Ok(format!(
                "{model} settings {}",
                serde_json::to_string(settings)?
            ))
        };
        let models: Vec<String> = self.models().map(made_of).collect::<Result<_, _>>()?;
        Ok(self.asked()? + &models.join(" rewriter "))
    }

    /// The model that embeds, and the one that rewrites queries where there is one.
    fn models(&self) -> impl Iterator<Item = &Path> {
        let rewriter = self.searching.rewriter.as_deref();
        std::iter::once(self.model.as_path()).chain(rewriter)
    }

    /// What [`Measurement::made_of`] begins with: everything but the models.
    fn asked(&self) -> Result<String, Error> {
        let queries = std::fs::read(self.queries)?;
        Ok(format!(
            "{} weights {:?} queries {:016x} model ",
            self.asked,
            self.searching.inference.weights,
            xxhash_rust::xxh3::xxh3_64(&queries),
        ))
    }

    fn measure<D: Device>(
        &self,
        device: Arc<D>,
        machine: String,
        made_of: String,
    ) -> Result<Cell, Error> {
        let searcher = self.searcher(device)?;
        let triplets = self.triplets;
        check_items(triplets, self.queries, &searcher, &self.index)?;
        let contents = match searcher.budget {
            0 => Contents::Own,
            _ => self.thoughts,
        };
        let given = given_thoughts(contents, triplets, self.queries)?;
        let given = given.as_deref();
        let appended = self.appended.unwrap_or(Contents::Own);
        let appended = given_thoughts(appended, triplets, self.queries)?;
        let asked = appended.as_ref().map(|texts| rewritten(triplets, texts));
        let asked = asked.as_deref().unwrap_or(triplets);
        let mut answers = answer(&searcher, asked, self.queries, given, DEPTH)?;
        if let Some(texts) = appended {
            answers.thoughts = appended_thoughts(&searcher, texts)?;
        }
        let timing = Timing {
            most: self.timed,
            top: DEPTH,
            throughput: triplets.len() as f64 / answers.seconds.max(1e-9),
        };
        let evaluation = self.evaluation(&answers.run)?;
        std::fs::create_dir_all(&self.folder)?;
        trec::write_run(&self.run_path(), &answers.run, "lrem")?;
        Ok(Cell {
            method: self.method.to_string(),
            seed: self.seed,
            budget: searcher
                .rewriter
                .as_ref()
                .map_or(searcher.budget, |r| r.budget),
            gate: searcher.gate,
            made_of,
            machine,
            date: origin::date(),
            commit: origin::commit(),
            measures: evaluation.metrics.iter().map(Metric::to_string).collect(),
            queries: self.results(&evaluation, &answers.run, &answers.thoughts)?,
            closed: closed(&answers.thoughts),
            latency: latency(&searcher, asked, given, timing)?,
        })
    }

    fn searcher<D: Device>(&self, device: Arc<D>) -> Result<Searcher<D>, Error> {
        indexed(
            device,
            &self.model,
            &self.index,
            self.catalogue,
            self.method,
            &self.searching,
            self.searching.inference,
        )
    }

    fn results(
        &self,
        evaluation: &Evaluation,
        run: &Run,
        thoughts: &[Vec<ThoughtText>],
    ) -> Result<BTreeMap<String, QueryResult>, Error> {
        let titles = read_catalogue(self.catalogue)?;
        let title = |id: &String| titles.get(id).map_or(id.clone(), |item| item.title.clone());
        let result = |(t, thoughts): (&Triplet, &Vec<ThoughtText>)| {
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
        };
        Ok(self.triplets.iter().zip(thoughts).map(result).collect())
    }
}

/// Thoughts that were appended to queries' text, one a query, in tokens of the model that embedded it.
fn appended_thoughts<D: Device>(
    searcher: &Searcher<D>,
    texts: Vec<String>,
) -> Result<Vec<Vec<ThoughtText>>, Error> {
    let thought = |text: String| {
        Ok(vec![ThoughtText {
            tokens: searcher.loaded.folder.tokenizer.encode(&text)?.len(),
            text,
            ending: None,
        }])
    };
    texts.into_iter().map(thought).collect()
}

/// Share of the model's own thoughts that it closed itself.
fn closed(thoughts: &[Vec<ThoughtText>]) -> Option<f64> {
    let endings: Vec<Ending> = thoughts.iter().flatten().filter_map(|t| t.ending).collect();
    let closed = endings.iter().filter(|&&e| e == Ending::Closed).count();
    (!endings.is_empty()).then(|| closed as f64 / endings.len() as f64)
}
