//! What the model itself contributes to its training data: thoughts it sampled and near misses of
//! its own index. Both are refreshed every few hundred pairs and belong to a checkpoint.

use crate::device::{Device, Result};
use crate::embed::encode::BATCH_TOKENS;
use crate::embed::{Encoder, Pooling, Sequence, Side, normalize};
use crate::model::Model;
use crate::ops::linear::WeightFormat;
use crate::ops::sample::Sampling;
use crate::reason::{Question, Reasoner, ThinkOptions};
use crate::text::Prompts;

/// Rows decoded at a time.
const THINK_ROWS: usize = 64;

/// Samples `samples` thoughts about every query (its tokens below the trunk); result
/// `[query][sample]`.
pub fn own_thoughts<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    queries: &[Vec<u32>],
    samples: usize,
    budget: usize,
    sampling: Sampling,
) -> Result<Vec<Vec<Vec<u32>>>> {
    let options = ThinkOptions {
        budget,
        sampling,
        rollouts: samples,
        batch: THINK_ROWS.max(samples),
    };
    let longest = queries.iter().map(Vec::len).max().unwrap_or(0);
    let per_query = longest + samples * (budget + 3);
    let open = THINK_ROWS.div_ceil(samples) + 1;
    let cache = prompts.query_prefix.len() + open * per_query;
    let mut reasoner = Reasoner::new(model, prompts, cache)?;
    let questions: Vec<Question> = queries
        .iter()
        .enumerate()
        .map(|(i, ids)| Question {
            ids: ids.clone(),
            key: (i * samples) as u64,
        })
        .collect();
    let thoughts = reasoner.think(&questions, &options)?;
    Ok(thoughts
        .into_iter()
        .map(|t| t.into_iter().map(|t| t.tokens).collect())
        .collect())
}

/// For every query the `depth` best-ranked items that are not among its relevant ones.
#[allow(clippy::too_many_arguments)]
pub fn near_misses<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    pooling: Pooling,
    queries: &[Vec<u32>],
    items: &[Vec<u32>],
    relevant: &[Vec<u32>],
    depth: usize,
) -> Result<Vec<Vec<u32>>> {
    let width = model.config.hidden_size;
    let mut encoder = Encoder::new(model, prompts, pooling, BATCH_TOKENS)?;
    let mut rows = |side: Side, ids: &[Vec<u32>]| -> Result<Vec<f32>> {
        let sequences: Vec<Sequence> = ids
            .iter()
            .map(|ids| Sequence {
                side,
                ids: ids.clone(),
            })
            .collect();
        let mut rows = encoder.encode(&sequences)?;
        normalize(&mut rows, width);
        Ok(rows)
    };
    let (query_rows, item_rows) = (rows(Side::Query, queries)?, rows(Side::Item, items)?);
    let d = &*model.device;
    let most = relevant.iter().map(Vec::len).max().unwrap_or(0);
    let packed = d.pack(&item_rows, items.len(), width, WeightFormat::F32)?;
    let query_rows = d.upload(&query_rows)?;
    let hits = d.top_k(
        queries.len(),
        width,
        &query_rows,
        items.len(),
        &packed,
        depth + most,
    )?;
    Ok(hits
        .iter()
        .zip(relevant)
        .map(|(hits, relevant)| {
            let misses = hits
                .iter()
                .map(|h| h.index)
                .filter(|i| !relevant.contains(i));
            misses.take(depth).collect()
        })
        .collect())
}
