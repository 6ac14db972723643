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
    /// The query without a thought, where a search blends it in.
    pub direct: Option<Thought>,
}

impl Group {
    /// All that is embedded, in the order of the batch's branches.
    pub fn embedded(&self) -> impl Iterator<Item = &Thought> {
        self.thoughts.iter().chain(&self.direct)
    }
}

/// How thoughts are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    pub rollouts: usize,
    /// Whether the query is embedded without a thought as well.
    pub direct: bool,
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
    let Drawing {
        most,
        rollouts,
        direct,
        ..
    } = drawing;
    let thoughts = think(model, prompts, &questions, most, rollouts, direct, sampling)?;
    let group = |(&(query, item), mut thoughts): (&(u32, u32), Vec<Thought>)| {
        let direct = thoughts.split_off(rollouts).pop();
        Group {
            query,
            item,
            thoughts,
            direct,
        }
    };
    Ok(pairs.iter().zip(thoughts).map(group).collect())
}

/// The batch of an update: every thought a branch of its query, whose drawn tokens the policy loss
/// reads and whose embedding has to find the item among the groups' items and `extra` ones; so does that of
/// a query without a thought.
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
            let item = rows.place(group.item);
            let target = Some(item);
            let branch = |thought: &Thought| Branch {
                ids: prompts.branch(&thought.tokens),
                // `<think>` is given, not drawn.
                predicted: Predicted {
                    first: 1,
                    tokens: thought.drawn.clone(),
                },
                target,
            };
            let direct = || Branch::embedding(vec![prompts.emb], item);
            let without = group.direct.as_ref().map(|_| direct());
            let branches = group.thoughts.iter().map(branch).chain(without).collect();
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
