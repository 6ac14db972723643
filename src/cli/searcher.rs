//! A model and an index that belong together, loaded for `lrem search` and `lrem evaluate`.

use super::Error;
use super::common::{self, Inference, Loaded};
use clap::Args;
use lrem::data::DataError;
use lrem::device::Device;
use lrem::embed::{Pooling, Settings, Thinking};
use lrem::ops::linear::WeightFormat;
use lrem::ops::sample::Sampling;
use lrem::retrieve::{ApproximateIndex, ExactIndex, Index, Scored};
use std::path::Path;
use std::sync::Arc;

/// How queries are embedded and searched.
#[derive(Args, Clone, Copy)]
pub struct Searching {
    /// Most tokens of the thought before a query is embedded; 0: no thought. By default as the model
    /// was trained.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    think: Option<u32>,
    /// Search the index's graph instead of all items.
    #[arg(long)]
    approximate: bool,
    #[command(flatten)]
    pub inference: Inference,
}

impl Searching {
    /// Exact search after a thought of at most `think` tokens; none: as the model was trained.
    pub fn new(think: Option<u32>, inference: Inference) -> Searching {
        Searching {
            think,
            approximate: false,
            inference,
        }
    }

    /// Most tokens of a thought by a model with `settings`; 0: no thought.
    pub fn budget(self, settings: &Settings) -> Result<usize, Error> {
        let budget = self.think.map_or(settings.budget, |tokens| tokens as usize);
        if budget > 0 && settings.pooling != Pooling::Emb {
            let pooling = serde_json::to_string(&settings.pooling)?;
            return Err(format!(
                "--think {budget}: the model's pooling is {pooling}, which reads no thought; expected \
                 --think 0"
            )
            .into());
        }
        Ok(budget)
    }
}

/// The most likely thought of at most `budget` tokens, or none where that is 0.
pub fn own_thinking(budget: usize) -> Thinking {
    match budget {
        0 => Thinking::Direct,
        _ => Thinking::Own {
            budget,
            sampling: Sampling::GREEDY,
        },
    }
}

enum Finder<D: Device> {
    Exact(ExactIndex<D>),
    Approximate(ApproximateIndex),
}

/// A loaded model and an index of its embeddings.
pub struct Searcher<D: Device> {
    pub loaded: Loaded<D>,
    pub index: Index,
    /// Most tokens of a thought.
    pub budget: usize,
    finder: Finder<D>,
}

impl<D: Device> Searcher<D> {
    /// Opens both, after checking that the one made the other.
    pub fn open(
        device: Arc<D>,
        model: &Path,
        index: &Path,
        searching: Searching,
    ) -> Result<Self, Error> {
        let items = Index::open(index)?;
        let folder = common::open(model)?;
        let budget = searching.budget(&folder.settings)?;
        items.check_origin(&folder.origin()?)?;
        let graph = match searching.approximate {
            true => Some(items.approximate()?.ok_or_else(|| {
                let message = "no graph for approximate search; index again with --approximate";
                DataError::file(index, message)
            })?),
            false => None,
        };
        let loaded = Loaded::new(folder, device, searching.inference.weights)?;
        let finder = match graph {
            Some(graph) => Finder::Approximate(graph),
            None => {
                let (hidden, rows) = (items.origin().hidden, items.rows());
                let exact = ExactIndex::new(&*loaded.device, hidden, rows, WeightFormat::F32)?;
                Finder::Exact(exact)
            }
        };
        Ok(Searcher {
            loaded,
            index: items,
            budget,
            finder,
        })
    }

    /// The `top` best items for each row of `queries` `[queries, hidden]`.
    pub fn search(&self, queries: &[f32], top: usize) -> Result<Vec<Vec<Scored>>, Error> {
        Ok(match &self.finder {
            Finder::Exact(exact) => exact.search(&self.loaded.device, queries, top)?,
            Finder::Approximate(graph) => graph.search(queries, top)?,
        })
    }
}
