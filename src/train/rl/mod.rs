//! Stage 2: reinforcement learning over sampled thoughts (eq. 9-16).
//!
//! A step draws query-item pairs and, in the decode loop, G thoughts for each query. One forward over the
//! tree instructions → query → thoughts, the items beside it, gives every drawn token's probability and
//! every thought's embedding; the fused InfoNCE pass gives the loss over all thoughts (eq. 15) and the
//! rank of each one's item (eq. 12), from which rewards and advantages follow; one backward carries the
//! policy loss (eq. 14) and InfoNCE into the model (eq. 16). Further updates on the same thoughts repeat
//! forward and backward with the advantages kept.
//!
//! Where searches blend in the embedding without a thought (`[query] direct` in the recipe), so does the one
//! that rewards a thought by its search of the catalogue, and that embedding is trained beside the thoughts'.

pub mod advantage;
pub mod catalogue;
pub mod judge;
pub mod policy;
mod record;
pub mod reward;
pub mod rollouts;

use super::TrainError;
use super::batch::TrainBatch;
use super::checkpoint::RunState;
use super::contrast::{Comparison, Contrast};
use super::schedule::Schedule;
use super::stage::{Plan, Stage};
use super::training_set::TrainingSet;
use crate::device::{Device, Result as DeviceResult};
use crate::embed::Pooling;
use crate::model::Model;
use crate::ops::grpo::GrpoOptions;
use crate::ops::philox::PhiloxStream;
use crate::recipe::{Recipe, RlOptions};
use crate::text::{Prompts, Tokenizer};
use judge::{Judge, Judgement};
use policy::PolicyLoss;
use record::{Step, ThoughtsLog};
use reward::Reward;
use rollouts::{Drawing, Group, batch_of, sample};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Sets the random numbers of this stage apart from the cold start's.
const STAGE: u64 = 0x524c << 48;
/// Stream of a step's extra items.
const EXTRA: u64 = 3 << 32;
/// Most times that a step draws again for groups of equal rewards.
const ROUNDS: usize = 4;

/// A run of the reinforcement stage.
pub struct Reinforce<'a, D: Device> {
    pub recipe: &'a Recipe,
    pub options: &'a RlOptions,
    pub model: &'a mut Model<D>,
    /// The model that the KL term holds on to, where it has a weight.
    pub reference: Option<&'a Model<D>>,
    pub prompts: &'a Prompts,
    pub tokenizer: &'a Tokenizer,
    pub set: &'a TrainingSet,
    /// Rewards with their weights β; [`reward::reward`] makes the recipe's.
    pub rewards: &'a [(f32, Box<dyn Reward>)],
    /// Where checkpoints, metrics and sampled thoughts go.
    pub folder: &'a Path,
    /// Set by a signal handler: save and stop.
    pub stop: &'a AtomicBool,
    /// Name on the progress bar.
    pub label: &'a str,
}

impl<D: Device> Reinforce<'_, D> {
    /// Trains to the end, from the newest checkpoint of the folder where `resume` is set.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] after a signal, with the state saved.
    pub fn run(&mut self, resume: bool) -> Result<(), TrainError> {
        let (recipe, o) = (self.recipe, self.options);
        let plan = Plan {
            folder: self.folder,
            recipe: toml::to_string(recipe).unwrap_or_default(),
            schedule: Schedule {
                peak: o.learning_rate,
                warmup: o.warmup,
                floor: o.floor,
                steps: o.steps,
            },
            checkpoint_every: o.checkpoint_every,
            optimizer: recipe.optimizer,
            pooling: Pooling::Emb,
            label: self.label,
            stop: self.stop,
        };
        let mut stage = Stage::start(plan, self.model, resume)?;
        let mut thoughts = ThoughtsLog::open(self.folder, stage.state.step)?;
        let (baseline, options) = o.loss(recipe.thought.budget);
        let judge = Judge {
            set: self.set,
            rewards: self.rewards,
            baseline,
            budget: recipe.thought.budget,
        };
        let mut sampler = self.model.sampler()?;
        while stage.begin_step() {
            sampler.follow(self.model)?;
            let groups = self.draw(&sampler, &mut stage.state, &judge)?;
            let drawing = stage.seconds();
            let batch = batch_of(self.prompts, self.set, &groups, self.extra(&stage.state));
            let mut policy = self.policy(options, &judge, &groups, &mut stage, &batch)?;
            let mut step = Step::new(&groups, drawing);
            for _ in 0..o.updates {
                policy.again();
                let losses = stage.objective.step_with(
                    self.model,
                    self.prompts,
                    &batch,
                    o.micro_batch,
                    (o.info_nce, recipe.loss.temperature),
                    &mut policy,
                    &mut stage.gradients,
                )?;
                let update = stage.update(self.model, &losses)?;
                step.updated(losses, update, policy.seen);
            }
            let judgement = policy.judgement.take().unwrap_or_default();
            let at = stage.state.step;
            thoughts.write(
                at,
                self.tokenizer,
                self.set,
                self.prompts,
                &groups,
                &judgement,
            )?;
            let record = step.record(at + 1, &judgement, stage.seconds());
            let summary = step.summary(&judgement, stage.seconds());
            stage.end_step(self.model, &record, &summary)?;
        }
        stage.finish();
        Ok(())
    }

    /// The thoughts of a step, by the packed copy `model`.
    fn draw(
        &self,
        model: &Model<D>,
        state: &mut RunState,
        judge: &Judge<'_>,
    ) -> DeviceResult<Vec<Group>> {
        let (o, seed) = (self.options, self.recipe.train.seed);
        let stale = state.catalogue.is_empty() || state.step.is_multiple_of(o.refresh);
        if judge.searches() && stale {
            state.catalogue = catalogue::embed(model, self.prompts, &self.set.items)?;
        }
        let drawing = Drawing {
            rollouts: o.rollouts,
            direct: self.recipe.query.direct > 0.0,
            most: self.recipe.thought.budget + o.overrun,
            temperature: o.temperature,
            seed: seed ^ STAGE,
        };
        let (mut groups, mut flat) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let first = state.drawn;
            state.drawn += o.queries - groups.len();
            let pairs = self.set.draw(seed ^ STAGE, first..state.drawn);
            let drawn = sample(model, self.prompts, self.set, &pairs, first, drawing)?;
            if !o.variant.draws_again() {
                return Ok(drawn);
            }
            for (group, is_flat) in self.sift(model, state, judge, drawn)? {
                if is_flat { &mut flat } else { &mut groups }.push(group);
            }
            if groups.len() == o.queries {
                break;
            }
        }
        flat.truncate(o.queries - groups.len());
        groups.extend(flat);
        Ok(groups)
    }

    /// Every group with whether its rewards are all the same, judged before the update.
    fn sift(
        &self,
        model: &Model<D>,
        state: &RunState,
        judge: &Judge<'_>,
        groups: Vec<Group>,
    ) -> DeviceResult<Vec<(Group, bool)>> {
        let batch = batch_of(self.prompts, self.set, &groups, self.extra(state));
        let items = batch.items.iter().map(|item| &item.ids);
        let items = catalogue::embed(model, self.prompts, items)?;
        let embedded = groups.iter().flat_map(Group::embedded);
        let queries: Vec<f32> = embedded.flat_map(|t| t.embedding.iter().copied()).collect();
        let (d, width) = (&*model.device, model.config.hidden_size);
        // Ranks do not depend on the temperature.
        let found = Comparison::new(d, &batch, 1.0, width, &queries, &items)?.found;
        let searches = self.searches(state, judge, &groups)?;
        let judgement = judge.judge(&groups, &found.ranks, found.items, searches.as_deref());
        let flat = judgement
            .rewards
            .chunks(self.options.rollouts)
            .map(advantage::is_flat);
        let flat: Vec<bool> = flat.collect();
        Ok(groups.into_iter().zip(flat).collect())
    }

    fn searches(
        &self,
        state: &RunState,
        judge: &Judge<'_>,
        groups: &[Group],
    ) -> DeviceResult<Option<Vec<reward::Search>>> {
        let (d, query) = (&*self.model.device, self.recipe.query);
        let search = || catalogue::search(d, self.set, groups, query, &state.catalogue);
        judge.searches().then(search).transpose()
    }

    /// The catalogue items that a step adds to its own.
    fn extra(&self, state: &RunState) -> impl Iterator<Item = u32> + use<D> {
        let seed = self.recipe.train.seed ^ STAGE;
        let (count, items) = (self.options.extra_items, self.set.items.len());
        let mut random = PhiloxStream::new(seed, EXTRA + state.step as u64);
        (0..count).map(move |_| random.below(items) as u32)
    }

    fn policy<'p>(
        &self,
        options: GrpoOptions,
        judge: &'p Judge<'p>,
        groups: &'p [Group],
        stage: &mut Stage<'_, D>,
        batch: &TrainBatch,
    ) -> DeviceResult<PolicyLoss<'p>> {
        let reference = match self.reference {
            Some(reference) if options.kl > 0.0 => {
                let micro = self.options.micro_batch;
                let objective = &mut stage.objective;
                objective.log_probabilities(reference, self.prompts, batch, micro)?
            }
            _ => Vec::new(),
        };
        let searches = self.searches(&stage.state, judge, groups)?;
        let judged = move |found: &Contrast| -> Judgement {
            judge.judge(groups, &found.ranks, found.items, searches.as_deref())
        };
        let weight = self.options.grpo;
        Ok(PolicyLoss::new(options, weight, groups, reference, judged))
    }
}
