//! Groups of sampled thoughts, and the training batch they make.

use crate::device::{Device, Result};
use crate::model::Model;
use crate::ops::sample::Sampling;
use crate::reason::{Question, Thought};
use crate::text::Prompts;
use crate::train::batch::{Branch, Predicted, TrainBatch};
use crate::train::thoughts::think;
use crate::train::training_set::{ItemRows, TrainingSet};

/// A query-item pair with its G thoughts.
#[derive(Clone, Debug)]
pub struct Group {
    /// Row of the query in the training set, and of the item in the catalogue.
    pub query: u32,
    pub item: u32,
    pub thoughts: Vec<Thought>,
}

/// How thoughts are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    pub rollouts: usize,
    /// Tokens after which a thought is cut off.
    pub most: usize,
    pub temperature: f32,
    pub seed: u64,
}

/// Samples thoughts for pairs, the first of which has number `place` in the run: the number keys the
/// random numbers, so that a thought does not depend on its batch.
pub fn sample<D: Device>(
    model: &Model<D>,
    prompts: &Prompts,
    set: &TrainingSet,
    pairs: &[(u32, u32)],
    place: usize,
    drawing: Drawing,
) -> Result<Vec<Group>> {
    let questions: Vec<Question> = pairs
        .iter()
        .enumerate()
        .map(|(i, &(query, _))| Question {
            ids: set.queries[query as usize].clone(),
            key: ((place + i) * drawing.rollouts) as u64,
        })
        .collect();
    let sampling = Sampling {
        temperature: drawing.temperature,
        seed: drawing.seed,
        ..Sampling::GREEDY
    };
    let (most, rollouts) = (drawing.most, drawing.rollouts);
    let thoughts = think(model, prompts, &questions, most, rollouts, sampling)?;
    let group = |(&(query, item), thoughts)| Group {
        query,
        item,
        thoughts,
    };
    Ok(pairs.iter().zip(thoughts).map(group).collect())
}

/// The batch of an update: every thought a branch of its query, whose drawn tokens the policy loss
/// reads and whose embedding has to find the item among the groups' items and `extra` ones.
pub fn batch_of(
    prompts: &Prompts,
    set: &TrainingSet,
    groups: &[Group],
    extra: impl IntoIterator<Item = u32>,
) -> TrainBatch {
    let mut rows = ItemRows::default();
    let samples = groups
        .iter()
        .map(|group| {
            let target = Some(rows.place(group.item));
            let branch = |thought: &Thought| Branch {
                ids: prompts.branch(&thought.tokens),
                // `<think>` is given, not drawn.
                predicted: Predicted {
                    first: 1,
                    tokens: thought.drawn.clone(),
                },
                target,
            };
            let branches = group.thoughts.iter().map(branch).collect();
            set.sample(group.query as usize, branches)
        })
        .collect();
    for row in extra {
        rows.place(row);
    }
    TrainBatch {
        samples,
        items: set.batch_items(&rows),
    }
}
