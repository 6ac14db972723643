//! A model and an index that belong together, loaded for `lrem search` and `lrem evaluate`.

use super::Error;
use super::common::{self, Inference, Loaded};
use super::rewriter::Rewriter;
use clap::Args;
use lrem::data::DataError;
use lrem::device::Device;
use lrem::embed::{
    EmbedError, EmbeddedQueries, Gate, ModelFolder, OwnThoughts, Pooling, Settings, Thinking,
};
use lrem::ops::linear::WeightFormat;
use lrem::retrieve::{self, ApproximateIndex, ExactIndex, Index, Scored};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How queries are embedded and searched.
#[derive(Args, Clone)]
pub struct Searching {
    /// Most tokens of the thought before a query is embedded; 0: no thought. By default as the model
    /// was trained.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    think: Option<u32>,
    /// Thoughts a query, whose embeddings' mean is the query's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    rollouts: Option<u32>,
    /// Temperature that thoughts are drawn at; 0: the most likely thought.
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Share, from 0 to 1, of the embedding without a thought in the query's.
    #[arg(long, allow_negative_numbers = true)]
    direct: Option<f32>,
    /// Break a thought off when one more token leaves the embedding where it was, by a cosine of at least
    /// this.
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true)]
    settled: Option<f32>,
    /// Think only about queries that, embedded without a thought, have the best item less than this
    /// ahead of the second best, in cosine; the others' results are those without a thought.
    #[arg(long, value_name = "MARGIN", allow_negative_numbers = true)]
    gate: Option<f32>,
    /// Append to a query's text what this model thinks about it, in at most --think tokens, and embed the
    /// text without a thought.
    #[arg(long, value_name = "MODEL",
        conflicts_with_all = ["rollouts", "temperature", "direct", "settled", "gate"])]
    pub rewriter: Option<PathBuf>,
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
            rollouts: None,
            temperature: None,
            direct: None,
            settled: None,
            gate: None,
            rewriter: None,
            approximate: false,
            inference,
        }
    }

    /// The same with own thoughts as `own` says.
    pub fn with_own(self, own: OwnThoughts) -> Searching {
        Searching {
            rollouts: u32::try_from(own.rollouts).ok(),
            temperature: Some(own.temperature),
            direct: Some(own.direct),
            settled: own.settled,
            ..self
        }
    }

    /// The same with a gate.
    pub fn with_gate(self, gate: Option<f32>) -> Searching {
        Searching { gate, ..self }
    }

    /// The same after a model's rewriting, which is what thinks then.
    pub fn with_rewriter(self, rewriter: Option<PathBuf>) -> Searching {
        Searching { rewriter, ..self }
    }

    /// Most tokens of a thought by a model; 0: no thought.
    pub fn budget(&self, model: &ModelFolder) -> Result<usize, Error> {
        let settings = &model.settings;
        let budget = self.think.map_or(settings.budget, |tokens| tokens as usize);
        if budget > 0 && settings.pooling != Pooling::Emb {
            let pooling = serde_json::to_string(&settings.pooling)?;
            return Err(format!(
                "--think {budget}: the model's pooling is {pooling}, which reads no thought; expected \
                 --think 0"
            )
            .into());
        }
        if budget > 0 && model.config.bidirectional {
            return Err(format!(
                "--think {budget}: the model is an encoder, which writes no thought; expected --think 0"
            )
            .into());
        }
        Ok(budget)
    }

    /// How thoughts of a model with `settings` become an embedding.
    fn own_thoughts(&self, settings: &Settings) -> Result<OwnThoughts, Error> {
        let as_trained = settings.thoughts;
        let own = OwnThoughts {
            rollouts: self.rollouts.map_or(as_trained.rollouts, |n| n as usize),
            temperature: self.temperature.unwrap_or(as_trained.temperature),
            direct: self.direct.unwrap_or(as_trained.direct),
            settled: self.settled.or(as_trained.settled),
        };
        match own.problem() {
            Some((key, expected)) => {
                let option = key.trim_start_matches("query.");
                Err(format!("--{option}: {expected}").into())
            }
            None => Ok(own),
        }
    }

    /// The margin of a search that thinks at most `budget` tokens.
    fn margin(&self, budget: usize) -> Result<Option<f32>, Error> {
        match self.gate {
            Some(margin) if !(margin.is_finite() && margin >= 0.0) => {
                Err("--gate: expected a number of at least 0".into())
            }
            Some(_) if budget == 0 => Err(
                "--gate: there is no thought to be spared; expected --think of at least 1".into(),
            ),
            gate => Ok(gate),
        }
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
    /// Most tokens of a thought of the model's; 0 beside a rewriter.
    pub budget: usize,
    /// Margin below which a query is thought about; none: every query is.
    pub gate: Option<f32>,
    /// What queries are rewritten by before the model embeds them.
    pub rewriter: Option<Rewriter<D>>,
    own: OwnThoughts,
    finder: Finder<D>,
}

impl<D: Device> Searcher<D> {
    /// Opens both, after checking that the one made the other.
    pub fn open(
        device: Arc<D>,
        model: &Path,
        index: &Path,
        searching: &Searching,
    ) -> Result<Self, Error> {
        let items = Index::open(index)?;
        let folder = common::open(model)?;
        let budget = match searching.rewriter {
            None => searching.budget(&folder)?,
            Some(_) => 0,
        };
        let own = searching.own_thoughts(&folder.settings)?;
        let gate = searching.margin(budget)?;
        items.check_origin(&folder.origin()?)?;
        let graph = match searching.approximate {
            true => Some(items.approximate()?.ok_or_else(|| {
                let message = "no graph for approximate search; index again with --approximate";
                DataError::file(index, message)
            })?),
            false => None,
        };
        let rewriter = searching.rewriter.as_ref();
        let rewriter = rewriter.map(|path| Rewriter::open(device.clone(), path, searching));
        let rewriter = rewriter.transpose()?;
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
            gate,
            rewriter,
            own,
            finder,
        })
    }

    /// The model's own thoughts, or none where the budget is 0.
    pub fn own_thinking(&self) -> Thinking {
        Thinking::own(self.budget, self.own)
    }

    /// Unit vectors of queries and the thoughts that led to them, as [`Embedder::gated_queries`] gives them;
    /// of a rewriter's texts and thoughts, where there is one.
    ///
    /// # Errors
    /// Where a query is empty or longer than the context, or the gate or a device call fails.
    ///
    /// [`Embedder::gated_queries`]: lrem::embed::Embedder::gated_queries
    pub fn embedded(
        &self,
        queries: &[&str],
        thinking: &Thinking,
        gate: Option<&mut dyn Gate>,
    ) -> Result<EmbeddedQueries, EmbedError> {
        let embedder = self.loaded.embedder();
        let Some(rewriter) = &self.rewriter else {
            return embedder.gated_queries(queries, thinking, gate);
        };
        let (texts, thoughts) = rewriter.rewritten(queries)?;
        let rows = embedder.gated_queries(&texts, thinking, gate)?.rows;
        Ok(EmbeddedQueries { rows, thoughts })
    }

    /// The `top` best items for each row of `queries` `[queries, hidden]`.
    ///
    /// # Errors
    /// Where a query has no direction, or the device cannot search.
    pub fn search(&self, queries: &[f32], top: usize) -> retrieve::Result<Vec<Vec<Scored>>> {
        match &self.finder {
            Finder::Exact(exact) => exact.search(&self.loaded.device, queries, top),
            Finder::Approximate(graph) => graph.search(queries, top),
        }
    }
}
