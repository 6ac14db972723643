//! The training data as tokens, and the order in which its pairs are drawn.

use super::TrainError;
use super::batch::{BatchItem, Branch, Sample};
use crate::data::{Catalogue, Triplet, lessons};
use crate::ops::philox::PhiloxStream;
use crate::recipe::Recipe;
use crate::text::{Prompts, Tokenizer};
use std::ops::Range;

/// Streams of random numbers: one shuffle an epoch.
const SHUFFLE: u64 = 1 << 32;

/// Catalogue rows of a batch's items, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemRows(Vec<u32>);

impl ItemRows {
    /// Place of a row in the batch, at the end where it is new.
    pub(super) fn place(&mut self, row: u32) -> u32 {
        let at = self.0.iter().position(|&r| r == row);
        let at = at.unwrap_or_else(|| {
            self.0.push(row);
            self.0.len() - 1
        });
        at as u32
    }
}

/// The training data as tokens.
pub struct TrainingSet {
    /// Below the query trunk.
    pub(super) queries: Vec<Vec<u32>>,
    /// The teacher's thought, cut to the budget.
    pub(super) gold: Vec<Vec<u32>>,
    /// The query's text as a thought, cut to the budget.
    pub(super) repeated: Vec<Vec<u32>>,
    /// Catalogue rows of every query's relevant items, and how relevant each is.
    pub(super) relevant: Vec<Vec<u32>>,
    pub(super) grades: Vec<Vec<u32>>,
    /// Below the item trunk, by catalogue row.
    pub(super) items: Vec<Vec<u32>>,
    /// Query and thought of every lesson in the catalogue's words; none where no step has any.
    pub(super) lessons: Vec<(Vec<u32>, Vec<u32>)>,
    /// Query and catalogue row of every training pair.
    pairs: Vec<(u32, u32)>,
}

impl TrainingSet {
    /// Tokenizes triplets against their catalogue; without `taught`, they need no thoughts.
    ///
    /// # Errors
    /// Where a triplet names an unknown item or lacks a thought, a sequence exceeds
    /// `recipe.model.context`, or there are no pairs.
    pub fn new(
        recipe: &Recipe,
        taught: bool,
        tokenizer: &Tokenizer,
        prompts: &Prompts,
        catalogue: &Catalogue,
        triplets: &[Triplet],
    ) -> Result<TrainingSet, TrainError> {
        let budget = recipe.thought.budget;
        let emb = recipe.model.pooling.appends_emb();
        let mut set = TrainingSet {
            queries: Vec::new(),
            gold: Vec::new(),
            repeated: Vec::new(),
            relevant: Vec::new(),
            grades: Vec::new(),
            items: Vec::new(),
            lessons: Vec::new(),
            pairs: Vec::new(),
        };
        for item in catalogue.items() {
            let mut ids = prompts.item(tokenizer, &item.title)?;
            ids.extend(emb.then_some(prompts.emb));
            set.items.push(ids);
        }
        if taught && recipe.thought.lessons > 0 {
            let titles = catalogue.items().iter().map(|item| item.title.as_str());
            for lesson in lessons(&titles.collect::<Vec<_>>()) {
                let query = prompts.query(tokenizer, &lesson.query)?;
                let thought = prompts.thought(tokenizer, &lesson.thought, budget)?;
                set.lessons.push((query, thought));
            }
        }
        for t in triplets {
            let query = set.queries.len() as u32;
            let long = t.cot_long.as_ref().filter(|_| recipe.data.long_thoughts);
            let thought = long.or(t.cot.as_ref());
            if taught && thought.is_none() {
                let message = format!("triplet {}: no thought (`cot`) to learn", t.id);
                return Err(TrainError::Set(message));
            }
            let thought = thought.map_or("", String::as_str);
            set.queries.push(prompts.query(tokenizer, &t.query)?);
            set.gold.push(prompts.thought(tokenizer, thought, budget)?);
            set.repeated
                .push(prompts.thought(tokenizer, &t.query, budget)?);
            let rows: Option<Vec<u32>> = t
                .items
                .iter()
                .map(|id| catalogue.index_of(id).map(|r| r as u32))
                .collect();
            let rows = rows.ok_or_else(|| {
                TrainError::Set(format!("triplet {}: an item is not in the catalogue", t.id))
            })?;
            set.pairs.extend(rows.iter().map(|&r| (query, r)));
            set.relevant.push(rows);
            let same = || vec![1; t.items.len()];
            set.grades.push(t.grades.clone().unwrap_or_else(same));
        }
        if set.pairs.is_empty() {
            return Err(TrainError::Set(
                "the training data has no query-item pair".into(),
            ));
        }
        Ok(set)
    }

    /// Queries and items that are tokens already, query `i` belonging to item `i`, without thoughts.
    pub fn of_tokens(queries: Vec<Vec<u32>>, items: Vec<Vec<u32>>) -> TrainingSet {
        let rows = 0..queries.len().min(items.len()) as u32;
        TrainingSet {
            gold: vec![Vec::new(); queries.len()],
            repeated: vec![Vec::new(); queries.len()],
            relevant: rows.clone().map(|row| vec![row]).collect(),
            grades: vec![vec![1]; queries.len()],
            lessons: Vec::new(),
            pairs: rows.map(|row| (row, row)).collect(),
            queries,
            items,
        }
    }

    /// Number of training pairs.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Number of optimizer steps that a recipe makes over this set.
    pub fn steps(&self, recipe: &Recipe) -> usize {
        match recipe.train.steps {
            0 => {
                let pairs = self.pairs.len() as f64 * f64::from(recipe.train.epochs);
                (pairs / recipe.train.batch as f64).round().max(1.0) as usize
            }
            steps => steps,
        }
    }

    /// A query with branches, in a batch.
    pub(super) fn sample(&self, query: usize, branches: Vec<Branch>) -> Sample {
        Sample {
            query: self.queries[query].clone(),
            branches,
            positives: self.relevant[query].iter().map(|&r| u64::from(r)).collect(),
        }
    }

    /// The items of a batch.
    pub(super) fn batch_items(&self, rows: &ItemRows) -> Vec<BatchItem> {
        let item = |&row: &u32| BatchItem {
            key: u64::from(row),
            ids: self.items[row as usize].clone(),
        };
        rows.0.iter().map(item).collect()
    }

    /// The pairs at `places` of an endless row of shuffled epochs, as query and catalogue row.
    pub(super) fn draw(&self, seed: u64, places: Range<usize>) -> Vec<(u32, u32)> {
        let mut drawn = Vec::with_capacity(places.len());
        let (mut epoch, mut order) = (usize::MAX, Vec::new());
        for at in places {
            if at / self.pairs.len() != epoch {
                epoch = at / self.pairs.len();
                order = self.pairs.clone();
                PhiloxStream::new(seed, SHUFFLE + epoch as u64).shuffle(&mut order);
            }
            drawn.push(order[at % self.pairs.len()]);
        }
        drawn
    }
}
