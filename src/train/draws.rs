//! What a step of the cold start is made of: pairs, thoughts, lessons and negatives, all drawn by the
//! recipe's seed and the step alone, so that a resumed run draws what the uninterrupted one does.

use super::batch::{Branch, Sample, TrainBatch};
use super::checkpoint::RunState;
use super::cold_start::ColdStart;
use super::training_set::ItemRows;
use crate::device::Device;
use crate::ops::philox::PhiloxStream;
use crate::recipe::Mix;
use std::ops::Range;

/// Streams of random numbers: a step's draws, which queries' thoughts are withheld, and a step's lessons;
/// those of an epoch's shuffle are in [`TrainingSet`].
const DRAW: u64 = 2 << 32;
const WITHHELD: u64 = 4 << 32;
const LESSONS: u64 = 8 << 32;

impl<D: Device> ColdStart<'_, D> {
    /// The pairs that steps draw.
    pub(super) fn pairs(&self, steps: Range<usize>) -> Vec<(u32, u32)> {
        let o = &self.recipe.train;
        self.set
            .draw(o.seed, steps.start * o.batch..steps.end * o.batch)
    }

    /// The queries drawn from `step` on until the next multiple of `every`, each once, in order.
    pub(super) fn queries(&self, step: usize, every: usize) -> Vec<usize> {
        let end = ((step / every + 1) * every).min(self.set.steps(self.recipe));
        let pairs = self.pairs(step..end);
        let mut queries: Vec<usize> = pairs.iter().map(|p| p.0 as usize).collect();
        queries.sort_unstable();
        queries.dedup();
        queries
    }

    /// Whether the query's thought is never learned.
    fn withheld(&self, query: usize) -> bool {
        let share = self.recipe.thought.withheld;
        let mut random = PhiloxStream::new(self.recipe.train.seed, WITHHELD + query as u64);
        share > 0.0 && random.uniform() < share
    }

    /// Whether the query is embedded with own thoughts where the mix says so.
    pub(super) fn uses_own(&self, query: usize) -> bool {
        self.recipe.thought.withheld == 0.0 || self.withheld(query)
    }

    pub(super) fn direct(&self) -> Vec<u32> {
        let emb = self.recipe.model.pooling.appends_emb();
        emb.then_some(self.prompts.emb).into_iter().collect()
    }

    /// The step's lessons in the catalogue's words.
    fn lessons(&self, step: usize) -> Vec<Sample> {
        let (recipe, lessons) = (self.recipe, &self.set.lessons);
        if lessons.is_empty() {
            return Vec::new();
        }
        let mut random = PhiloxStream::new(recipe.train.seed, LESSONS + step as u64);
        let mut lesson = |_| {
            let (query, thought) = &lessons[random.below(lessons.len())];
            let branch = Branch {
                ids: self.prompts.branch(thought),
                ..Branch::default()
            };
            Sample {
                query: query.clone(),
                branches: vec![branch.learned()],
                positives: Vec::new(),
            }
        };
        (0..recipe.thought.lessons).map(&mut lesson).collect()
    }

    /// Samples and items of the state's step, which draws `pairs`.
    pub(super) fn batch(
        &self,
        state: &RunState,
        pairs: &[(u32, u32)],
        mix: &Mix,
        supervised: bool,
    ) -> TrainBatch {
        let (recipe, set) = (self.recipe, self.set);
        let mut random = PhiloxStream::new(recipe.train.seed, DRAW + state.step as u64);
        let (mut samples, mut rows) = (Vec::with_capacity(pairs.len()), ItemRows::default());
        for &(query, row) in pairs {
            let q = query as usize;
            let target = rows.place(row);
            let gold = self.prompts.branch(&set.gold[q]);
            // The teacher's thought is learned once, whether a query embeds with it or not.
            let mut learns = supervised && !self.withheld(q);
            let (shift, draws) = (random.uniform(), recipe.thought.draws);
            let mut branches = Vec::with_capacity(draws + 1);
            for k in 0..draws {
                let ids = match draw(mix, (k as f32 + shift) / draws as f32) {
                    Thought::Gold => gold.clone(),
                    Thought::Own if self.uses_own(q) => {
                        let own = &state.thoughts[q];
                        self.prompts.branch(&own[random.below(own.len())])
                    }
                    Thought::Empty => self.prompts.branch(&[]),
                    Thought::Query => self.prompts.branch(&set.repeated[q]),
                    Thought::Own | Thought::Direct => self.direct(),
                };
                let teacher = learns && ids == gold;
                learns &= !teacher;
                let branch = Branch::embedding(ids, target);
                branches.push(if teacher { branch.learned() } else { branch });
            }
            if learns {
                let branch = Branch {
                    ids: gold,
                    ..Branch::default()
                };
                branches.push(branch.learned());
            }
            samples.push(set.sample(q, branches));
        }
        if supervised {
            samples.extend(self.lessons(state.step));
        }
        for &(query, _) in pairs {
            let misses = state.near_misses.get(query as usize);
            for _ in 0..recipe.negatives.per_pair {
                if let Some(misses) = misses.filter(|m| !m.is_empty()) {
                    rows.place(misses[random.below(misses.len())]);
                }
            }
        }
        TrainBatch {
            samples,
            items: set.batch_items(&rows),
        }
    }
}

enum Thought {
    Gold,
    Own,
    Empty,
    Query,
    Direct,
}

/// The kind of thought at `u` in [0, 1) of the mix's weights.
fn draw(mix: &Mix, u: f32) -> Thought {
    let kinds = [
        (mix.gold, Thought::Gold),
        (mix.own, Thought::Own),
        (mix.empty, Thought::Empty),
        (mix.query, Thought::Query),
    ];
    let mut left = u * (kinds.iter().map(|k| k.0).sum::<f32>() + mix.direct);
    for (weight, kind) in kinds {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    if mix.direct > 0.0 {
        Thought::Direct
    } else {
        Thought::Gold
    }
}
