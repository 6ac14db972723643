//! A training batch as a forest: instructions → query → branches, and items below their own trunk.

use crate::ops::forest::Forest;
use crate::text::Prompts;
use std::ops::Range;

/// One continuation of a query.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    /// Tokens below the query; empty where the query itself is embedded (poolings without `<emb>`).
    pub ids: Vec<u32>,
    /// Tokens whose probability the loss reads, the first of them predicted before `ids[first]`: those
    /// of `ids` itself, except where a sampled token was replaced by a forced one.
    pub predicted: Predicted,
    /// Item (index into the batch's items) that the branch's embedding has to find.
    pub target: Option<u32>,
}

/// Tokens whose probability a loss reads.
#[derive(Clone, Debug, Default)]
pub struct Predicted {
    /// Place of the first among the branch's tokens.
    pub first: usize,
    pub tokens: Vec<u32>,
}

/// A query with its branches.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Tokens below the query trunk.
    pub query: Vec<u32>,
    pub branches: Vec<Branch>,
    /// Keys of every item relevant to the query.
    pub positives: Vec<u64>,
}

/// An item with its key in the catalogue.
#[derive(Clone, Debug)]
pub struct BatchItem {
    pub key: u64,
    /// Tokens below the item trunk, `<emb>` included where the pooling reads it.
    pub ids: Vec<u32>,
}

/// Samples and items of one optimizer step, or of a part of it.
#[derive(Clone, Debug, Default)]
pub struct TrainBatch {
    pub samples: Vec<Sample>,
    pub items: Vec<BatchItem>,
}

/// A batch laid out for the model.
#[derive(Clone, Debug, Default)]
pub struct PackedBatch {
    pub ids: Vec<u32>,
    pub forest: Forest,
    pub positions: Vec<u32>,
    /// Rows whose next token the loss reads, and that token; branch by branch.
    pub predicting_rows: Vec<u32>,
    pub predicted: Vec<u32>,
    /// Rows of every embedding: branches with a target in order, then items.
    pub embedding_rows: Vec<Range<usize>>,
}

impl Branch {
    /// A branch that embeds the query, for `target`.
    pub fn embedding(ids: Vec<u32>, target: u32) -> Branch {
        Branch {
            ids,
            predicted: Predicted::default(),
            target: Some(target),
        }
    }

    /// The same branch with every token of it learned.
    pub fn learned(mut self) -> Branch {
        self.predicted.tokens.clone_from(&self.ids);
        self
    }
}

impl TrainBatch {
    /// Cuts the batch into parts of at most `samples` samples, items spread evenly among them.
    pub fn split(&self, samples: usize) -> Vec<TrainBatch> {
        let parts = self.samples.len().div_ceil(samples.max(1)).max(1);
        let cut = |len: usize, part: usize| (len * part / parts)..(len * (part + 1) / parts);
        (0..parts)
            .map(|p| TrainBatch {
                samples: self.samples[cut(self.samples.len(), p)].to_vec(),
                items: self.items[cut(self.items.len(), p)].to_vec(),
            })
            .collect()
    }

    /// Number of branches that embed.
    pub fn embedded_branches(&self) -> usize {
        let targets = |s: &Sample| s.branches.iter().filter(|b| b.target.is_some()).count();
        self.samples.iter().map(targets).sum()
    }

    /// Lays the batch out: each trunk once, every query once, its branches below it.
    pub fn pack(&self, prompts: &Prompts) -> PackedBatch {
        let mut parts: Vec<(usize, Option<usize>)> = Vec::new();
        let mut packed = PackedBatch::default();
        let mut add = |ids: &mut Vec<u32>, tokens: &[u32], parent: Option<usize>| {
            let start = ids.len();
            ids.extend(tokens);
            parts.push((tokens.len(), parent));
            (parts.len() - 1, start..ids.len())
        };
        if !self.samples.is_empty() {
            let (trunk, _) = add(&mut packed.ids, &prompts.query_prefix, None);
            for sample in &self.samples {
                let (query, query_rows) = add(&mut packed.ids, &sample.query, Some(trunk));
                for branch in &sample.branches {
                    let rows = if branch.ids.is_empty() {
                        query_rows.clone()
                    } else {
                        add(&mut packed.ids, &branch.ids, Some(query)).1
                    };
                    if branch.target.is_some() {
                        packed.embedding_rows.push(rows.clone());
                    }
                    // The query's last row predicts the branch's first token.
                    let before = std::iter::once(query_rows.end - 1);
                    let predicting = before.chain(rows).skip(branch.predicted.first);
                    let predicting = predicting.zip(&branch.predicted.tokens);
                    for (row, &token) in predicting {
                        packed.predicting_rows.push(row as u32);
                        packed.predicted.push(token);
                    }
                }
            }
        }
        if !self.items.is_empty() {
            let (trunk, _) = add(&mut packed.ids, &prompts.item_prefix, None);
            for item in &self.items {
                let (_, rows) = add(&mut packed.ids, &item.ids, Some(trunk));
                packed.embedding_rows.push(rows);
            }
        }
        packed.forest = Forest::packed(&parts);
        packed.positions = packed.forest.positions();
        packed
    }
}
