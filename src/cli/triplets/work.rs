//! The journal of what was made for each query, and the data sets that come of it.

use crate::cli::Error;
use lrem::data::{DataError, Query, write_atomic};
use lrem::ops::philox::PhiloxStream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Stream of the split's random numbers.
const SPLIT: u64 = 7 << 32;

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Kept,
    /// Direct search finds what is relevant already.
    Served,
    /// The rules left no keyword.
    NoKeywords,
    /// The thought finds nothing that the query does not.
    NoDifference,
    /// None of what only the thought finds is relevant.
    NoneRelevant,
}

impl Outcome {
    /// Why a query may be dropped.
    pub const DROPPED: [Outcome; 4] = [
        Outcome::Served,
        Outcome::NoKeywords,
        Outcome::NoDifference,
        Outcome::NoneRelevant,
    ];

    /// In words.
    pub fn why(self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Served => "direct search serves them",
            Outcome::NoKeywords => "no keyword was left",
            Outcome::NoDifference => "the thought finds nothing new",
            Outcome::NoneRelevant => "nothing new is relevant",
        }
    }
}

/// What was made for a query.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    pub id: String,
    pub query: String,
    pub outcome: Outcome,
    /// The teacher's free reasoning.
    pub reasoning: String,
    /// Keywords, comma-separated.
    pub cot: String,
    /// Relevant items that only the thought finds.
    pub items: Vec<String>,
    /// Tokens of all prompts and of all answers.
    pub tokens: (u64, u64),
}

/// A file with a line for every finished query.
pub struct Journal {
    path: PathBuf,
    works: HashMap<String, Work>,
}

impl Journal {
    /// Reads what an earlier run left; a last line that was cut off is dropped.
    pub fn open(path: &Path) -> Result<Journal, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(DataError::io("read", path)(error).into()),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut works = HashMap::new();
        for (number, line) in whole.lines().enumerate() {
            let work: Work = serde_json::from_str(line)
                .map_err(|error| DataError::line(path, number + 1, error.to_string()))?;
            works.insert(work.id.clone(), work);
        }
        if whole.len() < text.len() {
            write_atomic(path, |out| out.write_all(whole.as_bytes()))?;
        }
        Ok(Journal {
            path: path.to_path_buf(),
            works,
        })
    }

    /// Whether a query is done: its id is there with the same text.
    pub fn holds(&self, query: &Query) -> bool {
        let work = self.works.get(&query.id);
        work.is_some_and(|work| work.query == query.query)
    }

    /// Number of finished queries.
    pub fn len(&self) -> usize {
        self.works.len()
    }

    /// Adds a finished query.
    pub fn add(&mut self, work: Work) -> Result<(), Error> {
        let line = format!("{}\n", serde_json::to_string(&work)?);
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(DataError::io("write", &self.path))?;
        self.works.insert(work.id.clone(), work);
        Ok(())
    }

    /// Tokens of all prompts and of all answers.
    pub fn tokens(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), work: &Work| (sum.0 + work.tokens.0, sum.1 + work.tokens.1);
        self.works.values().fold((0, 0), add)
    }

    /// Number of `queries` with an outcome.
    pub fn count(&self, queries: &[Query], outcome: Outcome) -> usize {
        let works = queries.iter().filter_map(|q| self.works.get(&q.id));
        works.filter(|work| work.outcome == outcome).count()
    }

    /// Splits what was kept at random and writes `train.jsonl`, triplets, and `rl.jsonl`, pairs without
    /// a thought, in the order of `queries`; returns how many of each.
    pub fn split(
        &self,
        queries: &[Query],
        folder: &Path,
        rl_share: f64,
        seed: u64,
    ) -> Result<(usize, usize), Error> {
        let kept: Vec<(&Query, &Work)> = queries
            .iter()
            .filter_map(|q| Some((q, self.works.get(&q.id)?)))
            .filter(|(_, work)| work.outcome == Outcome::Kept)
            .collect();
        let mut order: Vec<usize> = (0..kept.len()).collect();
        PhiloxStream::new(seed, SPLIT).shuffle(&mut order);
        let pairs = (kept.len() as f64 * rl_share).round() as usize;
        let rl: HashSet<usize> = order.into_iter().take(pairs).collect();
        let write = |name: &str, of_rl: bool| {
            write_atomic(&folder.join(name), |out| {
                for (at, (query, work)) in kept.iter().enumerate() {
                    if rl.contains(&at) != of_rl {
                        continue;
                    }
                    let mut line = json!({"id": work.id, "query": work.query});
                    if let Some(kind) = &query.kind {
                        line["kind"] = json!(kind);
                    }
                    if !of_rl {
                        line["cot"] = json!(work.cot);
                    }
                    line["items"] = json!(work.items);
                    writeln!(out, "{line}")?;
                }
                Ok(())
            })
        };
        write("train.jsonl", false)?;
        write("rl.jsonl", true)?;
        Ok((kept.len() - pairs, pairs))
    }
}
