//! Groups of sampled thoughts, and the training batch they make.

use crate::device::{Device, Result};
use crate::model::Model;
use crate::ops::sample::Sampling;
use crate::reason::{Question, Reasoner, ThinkOptions, Thought};
use crate::text::Prompts;
use crate::train::batch::{BatchItem, Branch, Predicted, Sample, TrainBatch};
use crate::train::training_set::TrainingSet;

/// Rows decoded at a time.
const ROWS: usize = 64;

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
    let options = ThinkOptions {
        budget: drawing.most,
        sampling: Sampling {
            temperature: drawing.temperature,
            seed: drawing.seed,
            ..Sampling::GREEDY
        },
        rollouts: drawing.rollouts,
        batch: ROWS.max(drawing.rollouts),
    };
    let longest = questions.iter().map(|q| q.ids.len()).max().unwrap_or(0);
    let open = (ROWS.div_ceil(drawing.rollouts) + 1).min(pairs.len());
    let each = longest + drawing.rollouts * (drawing.most + 3);
    let mut reasoner = Reasoner::new(model, prompts, prompts.query_prefix.len() + open * each)?;
    let thoughts = reasoner.think(&questions, &options)?;
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
    let mut rows: Vec<u32> = Vec::new();
    let mut place = |row: u32| match rows.iter().position(|&r| r == row) {
        Some(at) => at as u32,
        None => {
            rows.push(row);
            rows.len() as u32 - 1
        }
    };
    let samples = groups
        .iter()
        .map(|group| {
            let (query, target) = (group.query as usize, Some(place(group.item)));
            let branch = |thought: &Thought| Branch {
                ids: prompts.branch(&thought.tokens),
                // `<think>` is given, not drawn.
                predicted: Predicted {
                    first: 1,
                    tokens: thought.drawn.clone(),
                },
                target,
            };
            Sample {
                query: set.queries[query].clone(),
                branches: group.thoughts.iter().map(branch).collect(),
                positives: set.relevant[query].iter().map(|&r| u64::from(r)).collect(),
            }
        })
        .collect();
    for row in extra {
        place(row);
    }
    let item = |&row: &u32| BatchItem {
        key: u64::from(row),
        ids: set.items[row as usize].clone(),
    };
    TrainBatch {
        samples,
        items: rows.iter().map(item).collect(),
    }
}
