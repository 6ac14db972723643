//! Search of the whole catalogue for the rewards that ask for it: ranks out of the fused InfoNCE pass,
//! without a matrix of scores.

use super::reward::Search;
use super::rollouts::Group;
use crate::device::{Device, Result};
use crate::embed::encode::BATCH_TOKENS;
use crate::embed::{Encoder, OwnThoughts, Pooling, Sequence, Side};
use crate::model::Model;
use crate::ops::info_nce::InfoNceBatch;
use crate::text::Prompts;
use crate::train::training_set::TrainingSet;

/// Embeddings of items, given by their tokens below the trunk: `[items, hidden]`.
pub fn embed<'i, D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    items: impl IntoIterator<Item = &'i Vec<u32>>,
) -> Result<Vec<f32>> {
    let item = |ids: &Vec<u32>| Sequence {
        side: Side::Item,
        ids: ids.clone(),
    };
    let items: Vec<Sequence> = items.into_iter().map(item).collect();
    Encoder::new(model, prompts, Pooling::Emb, BATCH_TOKENS)?.encode(&items)
}

/// Searches the catalogue's embeddings with every thought of `groups`, in order, each blended with the
/// embedding without one as `query` says, if a group has that.
pub fn search<D: Device>(
    device: &D,
    set: &TrainingSet,
    groups: &[Group],
    query: OwnThoughts,
    catalogue: &[f32],
) -> Result<Vec<Search>> {
    let (items, mut queries, mut targets) = (set.items.len(), Vec::new(), Vec::new());
    // A thought is judged alone, however many a search takes.
    let each = OwnThoughts {
        rollouts: 1,
        ..query
    };
    for group in groups {
        for thought in &group.thoughts {
            let embedding = match &group.direct {
                Some(direct) => each.blend(&[thought, direct]),
                None => thought.embedding.clone(),
            };
            for &row in &set.relevant[group.query as usize] {
                queries.extend_from_slice(&embedding);
                targets.push(row);
            }
        }
    }
    let batch = InfoNceBatch {
        queries: targets.len(),
        items,
        hidden: catalogue.len() / items.max(1),
        // Ranks do not depend on it.
        temperature: 1.0,
        targets,
        ..InfoNceBatch::default()
    };
    let (queries, rows) = (device.upload(&queries)?, device.upload(catalogue)?);
    let ranks = device.info_nce(&batch, &queries, &rows)?.rank;
    let mut ranks = device.download(&ranks, batch.queries)?.into_iter();
    let mut found = Vec::new();
    for group in groups {
        let query = group.query as usize;
        let (relevant, grades) = (&set.relevant[query], &set.grades[query]);
        for _ in &group.thoughts {
            let ranks: Vec<u32> = ranks.by_ref().take(relevant.len()).collect();
            let own = relevant.iter().position(|&row| row == group.item);
            let own = ranks[own.expect("a pair's item is relevant")];
            let before = ranks.iter().filter(|&&r| r < own).count();
            found.push(Search {
                rank: own - before as u32,
                relevant: ranks.into_iter().zip(grades.iter().copied()).collect(),
                items: items + 1 - relevant.len(),
            });
        }
    }
    Ok(found)
}
