//! What the model itself contributes to its training data: thoughts it sampled and near misses of
//! its own index. Both are refreshed every few hundred pairs and belong to a checkpoint.

use super::training_set::TrainingSet;
use crate::device::{Device, Result};
use crate::embed::encode::BATCH_TOKENS;
use crate::embed::{Encoder, Pooling, Sequence, Side, normalize};
use crate::model::Model;
use crate::ops::linear::WeightFormat;
use crate::ops::sample::Sampling;
use crate::reason::{Question, Reasoner, ThinkOptions, Thought};
use crate::text::Prompts;

/// Rows decoded at a time.
const THINK_ROWS: usize = 64;

/// Thinks `rollouts` thoughts about every question, in a cache of their own; result
/// `[question][rollout]`, and where `direct` one more that is no thought.
pub fn think<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    questions: &[Question],
    budget: usize,
    rollouts: usize,
    direct: bool,
    sampling: Sampling,
) -> Result<Vec<Vec<Thought>>> {
    let options = ThinkOptions {
        budget,
        sampling,
        rollouts,
        direct,
        settled: None,
        batch: THINK_ROWS.max(rollouts + usize::from(direct)),
    };
    Reasoner::for_questions(model, prompts, questions, &options)?.think(questions, &options)
}

/// Samples `samples` thoughts about those of `queries` (their tokens below the trunk) that are `wanted`;
/// result `[query][sample]`, nothing for the others. A thought does not depend on what else is wanted.
pub fn own_thoughts<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    queries: &[Vec<u32>],
    wanted: &[usize],
    samples: usize,
    budget: usize,
    sampling: Sampling,
) -> Result<Vec<Vec<Vec<u32>>>> {
    let question = |&q: &usize| Question {
        ids: queries[q].clone(),
        key: (q * samples) as u64,
    };
    let questions: Vec<Question> = wanted.iter().map(question).collect();
    let thoughts = think(model, prompts, &questions, budget, samples, false, sampling)?;
    let mut own = vec![Vec::new(); queries.len()];
    for (&q, thoughts) in wanted.iter().zip(thoughts) {
        own[q] = thoughts.into_iter().map(|t| t.tokens).collect();
    }
    Ok(own)
}

/// For every `wanted` query of the set, which searches with the tokens in `branches`, the `depth`
/// best-ranked items that are not relevant to it; nothing for the others.
pub fn near_misses<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    pooling: Pooling,
    branches: &[Vec<u32>],
    wanted: &[usize],
    set: &TrainingSet,
    depth: usize,
) -> Result<Vec<Vec<u32>>> {
    let width = model.config.hidden_size;
    let mut encoder = Encoder::new(model, prompts, pooling, BATCH_TOKENS)?;
    let mut rows = |side: Side, ids: &[Vec<u32>]| -> Result<Vec<f32>> {
        let sequence = |ids: &Vec<u32>| Sequence {
            side,
            ids: ids.clone(),
        };
        let sequences: Vec<Sequence> = ids.iter().map(sequence).collect();
        let mut rows = encoder.encode(&sequences)?;
        normalize(&mut rows, width);
        Ok(rows)
    };
    let (query_rows, item_rows) = (rows(Side::Query, branches)?, rows(Side::Item, &set.items)?);
    let d = &*model.device;
    let items = set.items.len();
    let most = set.relevant.iter().map(Vec::len).max().unwrap_or(0);
    let packed = d.pack(&item_rows, items, width, WeightFormat::F32)?;
    let query_rows = d.upload(&query_rows)?;
    let hits = d.top_k(
        wanted.len(),
        width,
        &query_rows,
        items,
        &packed,
        depth + most,
    )?;
    let mut near = vec![Vec::new(); set.queries.len()];
    for (&q, hits) in wanted.iter().zip(&hits) {
        let relevant = &set.relevant[q];
        let misses = hits.iter().map(|h| h.index);
        let misses = misses.filter(|i| !relevant.contains(i));
        near[q] = misses.take(depth).collect();
    }
    Ok(near)
}
