//! What an index answers to a file of judged queries, with the model's own thoughts or given ones.

use super::gate::MarginGate;
use super::searcher::Searcher;
use super::{Error, common};
use lrem::data::{DataError, Triplet};
use lrem::device::Device;
use lrem::embed::{Thinking, ThoughtText};
use lrem::ops::philox::PhiloxStream;
use lrem::recipe::Contents;
use lrem::retrieve::Run;
use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

/// Queries embedded at a time.
const BATCH: usize = 64;
/// Stream of the random numbers that choose other queries' thoughts.
const OTHERS: u64 = 6 << 32;

/// Answers to all queries of a file.
pub struct Answers {
    pub run: Run,
    /// Thoughts of every query; empty for direct embeddings.
    pub thoughts: Vec<Vec<ThoughtText>>,
    /// Time spent on embedding, a gate's searches and a rewriter's thoughts included.
    pub seconds: f64,
}

impl Answers {
    /// Share of the queries that were thought about.
    pub fn thought_about(&self) -> f64 {
        let thought_about = self.thoughts.iter().filter(|t| !t.is_empty()).count();
        thought_about as f64 / self.thoughts.len().max(1) as f64
    }
}

/// Finds `depth` items for every query of the file `path`, embedded with the thoughts in `given`, else
/// with the model's own; a bar shows how far it is.
pub fn answer<D: Device>(
    searcher: &Searcher<D>,
    triplets: &[Triplet],
    path: &Path,
    given: Option<&[String]>,
    depth: usize,
) -> Result<Answers, Error> {
    let bar = common::bar("evaluating", Some(triplets.len()));
    let mut answers = Answers {
        run: Run::new(),
        thoughts: Vec::new(),
        seconds: 0.0,
    };
    for (at, batch) in triplets.chunks(BATCH).enumerate() {
        let texts = given.map(|t| &t[at * BATCH..][..batch.len()]);
        let thinking = thinking(texts, searcher);
        let queries: Vec<&str> = batch.iter().map(|t| t.query.as_str()).collect();
        let place = |n: usize| format!("{}: query `{}`", path.display(), batch[n - 1].id);
        let started = Instant::now();
        let mut search = MarginGate::new(searcher, depth);
        let embedded = searcher.embedded(&queries, &thinking, search.gate());
        let embedded = embedded.map_err(|e| common::placed(e, place))?;
        answers.seconds += started.elapsed().as_secs_f64();
        let found = search.hits(&embedded.rows)?;
        for (triplet, hits) in batch.iter().zip(&found) {
            let entries = searcher.index.run_entries(hits);
            answers.run.insert(triplet.id.clone(), entries);
        }
        let mut thoughts = embedded.thoughts;
        thoughts.resize(batch.len(), Vec::new());
        answers.thoughts.extend(thoughts);
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(answers)
}

/// How queries with these thoughts are embedded.
pub fn thinking<D: Device>(texts: Option<&[String]>, searcher: &Searcher<D>) -> Thinking {
    match texts {
        None => searcher.own_thinking(),
        Some(texts) => Thinking::Given {
            texts: texts.to_vec(),
            budget: searcher.budget,
        },
    }
}

/// Items that the index lacks could never be found: it is most likely of another catalogue.
pub fn check_items<D: Device>(
    triplets: &[Triplet],
    path: &Path,
    searcher: &Searcher<D>,
    index: &Path,
) -> Result<(), Error> {
    let ids: HashSet<&str> = searcher.index.ids().iter().map(String::as_str).collect();
    for triplet in triplets {
        if let Some(item) = triplet
            .items
            .iter()
            .find(|item| !ids.contains(item.as_str()))
        {
            let message = format!(
                "query `{}`: item `{item}` is not in the index {}",
                triplet.id,
                index.display()
            );
            return Err(DataError::file(path, message).into());
        }
    }
    Ok(())
}

/// The thoughts of all queries of `path`; none where they are the model's own.
pub fn given_thoughts(
    contents: Contents,
    triplets: &[Triplet],
    path: &Path,
) -> Result<Option<Vec<String>>, Error> {
    let field = |name: &str, of: fn(&Triplet) -> &Option<String>| {
        let text = |t: &Triplet| {
            of(t).clone().ok_or_else(|| {
                DataError::file(path, format!("query `{}` has no `{name}`", t.id)).into()
            })
        };
        triplets
            .iter()
            .map(text)
            .collect::<Result<Vec<String>, Error>>()
    };
    Ok(Some(match contents {
        Contents::Own => return Ok(None),
        Contents::Gold => field("cot", |t| &t.cot)?,
        Contents::GoldLong => field("cot_long", |t| &t.cot_long)?,
        Contents::Query => triplets.iter().map(|t| t.query.clone()).collect(),
        Contents::Empty => vec![String::new(); triplets.len()],
        Contents::Random => others(field("cot", |t| &t.cot)?),
    }))
}

/// Every text at another's place: along one drawn cycle through all of them.
fn others(texts: Vec<String>) -> Vec<String> {
    let mut cycle: Vec<usize> = (0..texts.len()).collect();
    PhiloxStream::new(0, OTHERS).shuffle(&mut cycle);
    let mut moved = texts.clone();
    for (at, &from) in cycle.iter().enumerate() {
        moved[cycle[(at + 1) % cycle.len()]] = texts[from].clone();
    }
    moved
}
