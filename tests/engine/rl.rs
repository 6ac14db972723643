//! The reinforcement stage: its loss and gradient against eq. 9-16 written out in f64, and whole runs.

use crate::plain::{PlainLlama, cosine, log_sum_exp};
use crate::shop::{metrics, recipe, run, shop, weights};
use crate::tiny;
use lrem::data::{read_catalogue, read_triplets};
use lrem::embed::Pooling;
use lrem::model::layout;
use lrem::ops::philox::PhiloxStream;
use lrem::reason::Ending;
use lrem::recipe::{Baseline, Recipe, Variant};
use lrem::text::Prompts;
use lrem::train::TrainError;
use lrem::train::batch::TrainBatch;
use lrem::train::objective::Objective;
use lrem::train::rl::judge::Judge;
use lrem::train::rl::policy::PolicyLoss;
use lrem::train::rl::reward::rewards;
use lrem::train::rl::rollouts::{Drawing, Group, batch_of, sample};
use lrem::train::training_set::TrainingSet;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// l of the checks below; thoughts may go on for two tokens more.
const BUDGET: usize = 4;
const OVERRUN: usize = 2;
const TEMPERATURE: f64 = 0.1;
/// γ1 and γ2.
const WEIGHTS: (f64, f64) = (0.7, 0.4);

/// Everything that the loss of a step is made of.
struct Step {
    groups: Vec<Group>,
    batch: TrainBatch,
    prompts: Prompts,
    /// Log-probabilities of every drawn token under the reference, thought by thought.
    reference: Vec<Vec<f64>>,
}

impl Step {
    /// Drawn log-probabilities of every thought, now and when they were drawn.
    fn thoughts(&self) -> impl Iterator<Item = (usize, &lrem::reason::Thought)> {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(|(i, g)| g.thoughts.iter().map(move |t| (i, t)))
    }

    /// Log-probabilities of every thought, the embeddings of all thoughts and then of the queries without
    /// one, each with its group, and every item's embedding.
    fn forward(&self, model: &PlainLlama) -> Forward {
        let p = &self.prompts;
        let mut out = Forward::default();
        for (group, thought) in self.thoughts() {
            let query = [&p.query_prefix[..], &self.batch.samples[group].query].concat();
            let ids = [&query[..], &p.branch(&thought.tokens)].concat();
            let hidden = model.hidden(&ids);
            // The row of `<think>` predicts the first drawn token.
            let scores = thought.drawn.iter().enumerate();
            let scores = scores.map(|(i, &t)| model.log_probability(&hidden[query.len() + i], t));
            out.scores.push(scores.collect());
            out.embeddings.push((group, hidden[ids.len() - 1].clone()));
        }
        for (i, group) in self.groups.iter().enumerate() {
            let query = [&p.query_prefix[..], &self.batch.samples[i].query, &[p.emb]].concat();
            let without = group.direct.iter().map(|_| model.hidden(&query));
            let last = without.map(|hidden| (i, hidden[query.len() - 1].clone()));
            out.embeddings.extend(last);
        }
        for item in &self.batch.items {
            let ids = [&p.item_prefix[..], &item.ids].concat();
            out.items.push(model.hidden(&ids)[ids.len() - 1].clone());
        }
        out
    }

    /// Scaled similarities of an embedding with its item, first, and with the others that are
    /// not relevant to its query.
    fn similarities(&self, f: &Forward, at: usize) -> Vec<f64> {
        let (group, embedding) = (f.embeddings[at].0, &f.embeddings[at].1);
        let sample = &self.batch.samples[group];
        let target = sample.branches[0].target.unwrap() as usize;
        let others = self.batch.items.iter().enumerate();
        let others =
            others.filter(|(i, item)| *i != target && !sample.positives.contains(&item.key));
        std::iter::once(target)
            .chain(others.map(|(i, _)| i))
            .map(|i| cosine(embedding, &f.items[i]) / TEMPERATURE)
            .collect()
    }

    /// Rewards (eq. 9-13) of every thought.
    fn rewards(&self, f: &Forward) -> Vec<f64> {
        let n = self.batch.items.len() as f64;
        let reward = |(i, (_, t)): (usize, (usize, &lrem::reason::Thought))| {
            let s = self.similarities(f, i);
            let rank = 1.0 + s.iter().filter(|&&x| x > s[0]).count() as f64;
            let format = f64::from(u8::from(t.ending == Ending::Closed));
            let ended = t.ending != Ending::Budget && t.tokens.len() <= BUDGET;
            let accuracy = 1.0 - rank.ln() / n.ln();
            0.5 * format + 0.2 * f64::from(u8::from(ended)) + accuracy
        };
        self.thoughts().enumerate().map(reward).collect()
    }

    /// The objective (eq. 14-16 and the variants' papers) with fixed advantages.
    fn loss(&self, f: &Forward, advantages: &[f64], variant: Variant, kl: f64) -> f64 {
        let thoughts = advantages.len() as f64;
        let tokens: usize = f.scores.iter().map(Vec::len).sum();
        let clip = |ratio: f64, a: f64, low: f64, high: f64| {
            (ratio * a).min(ratio.clamp(1.0 - low, 1.0 + high) * a)
        };
        let (mut policy, mut nce, mut apart) = (0.0, 0.0, 0.0);
        for (i, (_, t)) in self.thoughts().enumerate() {
            let (a, n) = (advantages[i], t.drawn.len() as f64);
            let old = t.log_probabilities.iter().copied().map(f64::from);
            let deltas: Vec<f64> = f.scores[i]
                .iter()
                .zip(old)
                .map(|(new, old)| new - old)
                .collect();
            let sum: f64 = deltas.iter().sum();
            policy -= match variant {
                Variant::Grpo => clip(sum.exp(), a, 0.2, 0.2) / thoughts,
                Variant::Gspo => clip((sum / n).exp(), a, 3e-4, 4e-4) / thoughts,
                Variant::Rloo => sum.exp() * a / thoughts,
                Variant::DrGrpo => {
                    let each = deltas.iter().map(|d| clip(d.exp(), a, 0.2, 0.2));
                    each.sum::<f64>() / (thoughts * BUDGET as f64)
                }
                Variant::Dapo => {
                    let each = deltas.iter().map(|d| clip(d.exp(), a, 0.2, 0.28));
                    each.sum::<f64>() / tokens as f64
                }
            };
            let weight = match variant {
                Variant::DrGrpo => 1.0 / (thoughts * BUDGET as f64),
                Variant::Dapo => 1.0 / tokens as f64,
                _ => 1.0 / (thoughts * n),
            };
            for (new, reference) in f.scores[i].iter().zip(&self.reference[i]) {
                let d = reference - new;
                apart += weight * (d.exp() - d - 1.0);
            }
        }
        for i in 0..f.embeddings.len() {
            let s = self.similarities(f, i);
            nce += (log_sum_exp(&s) - s[0]) / f.embeddings.len() as f64;
        }
        WEIGHTS.0 * (policy + kl * apart) + WEIGHTS.1 * nce
    }
}

#[derive(Default)]
struct Forward {
    scores: Vec<Vec<f64>>,
    embeddings: Vec<(usize, Vec<f64>)>,
    items: Vec<Vec<f64>>,
}

fn advantages(variant: Variant, rewards: &[f64], group: usize) -> Vec<f64> {
    let of_group = |r: &[f64]| -> Vec<f64> {
        let n = r.len() as f64;
        let mean = r.iter().sum::<f64>() / n;
        let std = (r.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt();
        let advantage = |x: &f64| match variant {
            Variant::DrGrpo => x - mean,
            Variant::Rloo => x - (n * mean - x) / (n - 1.0),
            _ if std == 0.0 => 0.0,
            _ => (x - mean) / std,
        };
        r.iter().map(advantage).collect()
    };
    rewards.chunks(group).flat_map(of_group).collect()
}

#[test]
fn loss_and_gradient_are_those_of_the_equations_in_f64() {
    let variants = [
        (Variant::Grpo, 0.0),
        (Variant::Grpo, 0.3),
        (Variant::DrGrpo, 0.1),
        (Variant::Dapo, 0.0),
        (Variant::Gspo, 0.0),
        (Variant::Rloo, 0.2),
    ];
    check_variants(false, &variants);
}

/// Where searches blend in the embedding without a thought, it has to find the item too.
#[test]
fn a_query_without_a_thought_is_one_more_branch_of_its_group() {
    check_variants(true, &[(Variant::Grpo, 0.3)]);
}

fn check_variants(direct: bool, variants: &[(Variant, f64)]) {
    let shop = shop();
    let recipe = recipe(shop.path(), "[thought]\nbudget = 4");
    let (opened, model) = tiny::open(&shop.path().join("base"));
    let prompts = Prompts::new(&recipe.prompt, &opened.tokenizer).unwrap();
    let catalogue = read_catalogue(&recipe.data.catalogue).unwrap();
    let triplets = read_triplets(&recipe.data.train, Some(&catalogue)).unwrap();
    let set = TrainingSet::new(
        &recipe,
        false,
        &opened.tokenizer,
        &prompts,
        &catalogue,
        &triplets,
    )
    .unwrap();
    let drawing = Drawing {
        rollouts: 5,
        direct,
        most: BUDGET + OVERRUN,
        temperature: 2.0,
        seed: 4,
    };
    let pairs = [(3, 3), (7, 7), (3, 3), (0, 0)];
    let mut groups = sample(&model, &prompts, &set, &pairs, 0, drawing).unwrap();
    // The tiny model hardly ever ends a thought: some end earlier here, by `</think>` or another token.
    for (i, thought) in groups.iter_mut().flat_map(|g| &mut g.thoughts).enumerate() {
        if i % 3 < 2 {
            let closes = i % 3 == 0;
            thought.tokens.truncate(i % 4);
            thought.drawn.clone_from(&thought.tokens);
            thought
                .drawn
                .push(if closes { prompts.end_think } else { 256 });
            thought.log_probabilities.truncate(thought.tokens.len());
            thought.log_probabilities.push(-5.0);
            thought.ending = if closes {
                Ending::Closed
            } else {
                Ending::Broken
            };
        }
    }
    let batch = batch_of(&prompts, &set, &groups, [5, 3, 11, 5]);
    // The policy has moved since the draw: some ratios pass the clip, some do not.
    let mut random = PhiloxStream::new(8, 8);
    let mut objective = Objective::new(&model, Pooling::Emb).unwrap();
    let now = objective
        .log_probabilities(&model, &prompts, &batch, 3)
        .unwrap();
    let thoughts = groups.iter_mut().flat_map(|g| &mut g.thoughts);
    for (old, now) in thoughts.flat_map(|t| &mut t.log_probabilities).zip(now) {
        *old = now + 0.15 * random.normal();
    }
    assert_eq!(batch.items.len(), 5, "items of the groups and two others");
    let reference = groups.iter().flat_map(|g| &g.thoughts).map(|t| {
        let near = |score: &f32| f64::from(score + 0.3 * random.normal());
        t.log_probabilities.iter().map(near).collect()
    });
    let step = Step {
        reference: reference.collect(),
        groups,
        batch,
        prompts,
    };
    for &(variant, kl) in variants {
        check(&recipe, &set, &step, &model, variant, kl);
    }
}

fn check(
    recipe: &Recipe,
    set: &TrainingSet,
    step: &Step,
    model: &lrem::model::Model<lrem::device::cpu::Cpu>,
    variant: Variant,
    kl: f64,
) {
    let options = lrem::recipe::RlOptions {
        variant,
        kl: kl as f32,
        ..Default::default()
    };
    let rewards = rewards(&options);
    let (baseline, loss_options) = options.loss(recipe.thought.budget);
    assert_eq!(baseline == Baseline::LeaveOneOut, variant == Variant::Rloo);
    let judge = Judge {
        set,
        rewards: &rewards,
        baseline,
        budget: BUDGET,
    };
    let narrow = |x: &f64| *x as f32;
    let reference = step.reference.iter().flatten().map(narrow).collect();
    let mut policy = PolicyLoss::new(
        loss_options,
        WEIGHTS.0 as f32,
        &step.groups,
        reference,
        |c| judge.judge(&step.groups, &c.ranks, c.items, None),
    );
    let mut gradients = model.zero_gradients().unwrap();
    let mut objective = Objective::new(model, Pooling::Emb).unwrap();
    let info_nce = (WEIGHTS.1 as f32, TEMPERATURE as f32);
    let losses = objective
        .step_with(
            model,
            &step.prompts,
            &step.batch,
            2,
            info_nce,
            &mut policy,
            &mut gradients,
        )
        .unwrap();
    let judgement = policy.judgement.as_ref().unwrap();

    let plain = PlainLlama::of(model);
    let now = step.forward(&plain);
    let rewards = step.rewards(&now);
    let advantages = advantages(variant, &rewards, step.groups[0].thoughts.len());
    for (got, want) in judgement.rewards.iter().zip(&rewards) {
        assert!(
            (f64::from(*got) - want).abs() < 1e-6,
            "reward {got}, not {want}"
        );
    }
    for (got, want) in judgement.advantages.iter().zip(&advantages) {
        assert!(
            (f64::from(*got) - want).abs() < 1e-5,
            "advantage {got}, not {want}"
        );
    }
    assert!(judgement.spread > 0.0 && judgement.advantages.iter().any(|&a| a != 0.0));
    if variant == Variant::Grpo {
        assert!(policy.seen.clipped > 0 && policy.seen.clipped < policy.seen.ratios);
    }
    let want = step.loss(&now, &advantages, variant, kl);
    let off = (losses.loss - want).abs();
    assert!(
        off < 2e-5 * (1.0 + want.abs()),
        "{variant:?}: loss {}, not {want}",
        losses.loss
    );

    // Slopes of the f64 loss along a few coordinates of every tensor.
    let mut random = PhiloxStream::new(9, variant as u64);
    for (slot, gradient) in layout(&model.config).iter().zip(gradients.iter()) {
        let gradient = gradient.read(&*model.device).unwrap();
        for (name, _, range) in slot.tensors() {
            let gradient = &gradient[range];
            let rms =
                gradient.iter().map(|g| f64::from(g * g)).sum::<f64>() / gradient.len() as f64;
            let largest = (0..gradient.len())
                .max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
            for at in [largest.unwrap(), random.below(gradient.len())] {
                let loss_at = |delta: f64| {
                    let mut moved = plain.clone();
                    moved.tensors.get_mut(name).unwrap()[at] += delta;
                    step.loss(&step.forward(&moved), &advantages, variant, kl)
                };
                let slope = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
                let off = (f64::from(gradient[at]) - slope).abs();
                let limit = 1e-3 * (slope.abs() + rms.sqrt());
                let got = gradient[at];
                assert!(
                    off <= limit,
                    "{variant:?}: {name}[{at}] is {got}, not {slope}"
                );
            }
        }
    }
}

/// Both stages with everything on: several updates, KL, extra items, rewards that search as queries will.
const EVERYTHING: &str = r#"
    [train]
    batch = 4
    steps = 2
    learning_rate = 3e-3
    precision = "f32"
    [thought]
    budget = 3
    [query]
    direct = 0.6
    [rl]
    variant = "dapo"
    steps = 6
    queries = 3
    micro_batch = 2
    rollouts = 4
    updates = 2
    overrun = 1
    extra_items = 3
    learning_rate = 1e-3
    info_nce = 0.5
    kl = 0.01
    refresh = 2
    checkpoint_every = 2
    reward = [
        { kind = "format", weight = 0.5 }, { kind = "length", weight = 0.2 }, { kind = "rank" },
        { kind = "catalogue_rank", weight = 0.3 }, { kind = "graded", cutoff = 3 },
        { kind = "soft_length", slack = 2 }, { kind = "repetition", weight = 0.1 },
    ]"#;

#[test]
fn a_run_stopped_after_every_step_equals_the_uninterrupted_one() {
    let shop = shop();
    let recipe = recipe(shop.path(), EVERYTHING);
    let (whole, pieces) = (shop.path().join("whole"), shop.path().join("pieces"));
    run(&recipe, &whole, false, false).unwrap();
    let mut stops = 0;
    while let Err(error) = run(&recipe, &pieces, true, true) {
        assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
        stops += 1;
    }
    // The last step of a stage is no interruption.
    assert_eq!(stops, 1 + 5);
    let (whole, pieces) = (whole.join("rl"), pieces.join("rl"));
    assert_eq!(metrics(&pieces), metrics(&whole));
    assert!(weights(&pieces) == weights(&whole), "the models differ");
    let thoughts = |out: &Path| fs::read_to_string(out.join("thoughts.jsonl")).unwrap();
    assert_eq!(thoughts(&pieces), thoughts(&whole));
    let log = metrics(&whole);
    assert_eq!(log.len(), 6);
    for line in &log {
        let number = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
        assert!(number("policy_gap") < 1e-5, "{line}");
        assert!((0.0..=1.0).contains(&number("clip_fraction")), "{line}");
        assert!(number("entropy") > 0.0 && number("kl") >= 0.0, "{line}");
        assert_eq!(
            line["rewards"].as_object().map(|r| r.len()),
            Some(7),
            "{line}"
        );
    }
}

/// The decode loop's log-probabilities are the training forward's in bf16 too.
#[test]
fn ratios_start_at_one_in_every_precision() {
    let shop = shop();
    for precision in ["f32", "bf16"] {
        let more = EVERYTHING.replace("\"f32\"", &format!("{precision:?}"));
        let recipe = recipe(shop.path(), &more);
        let out = shop.path().join(precision);
        run(&recipe, &out, false, false).unwrap();
        for line in metrics(&out.join("rl")) {
            assert!(
                line["policy_gap"].as_f64().unwrap() < 1e-5,
                "{precision}: {line}"
            );
        }
    }
}

#[test]
fn the_reward_rises() {
    let shop = shop();
    let recipe = recipe(
        shop.path(),
        r#"
        [train]
        batch = 12
        steps = 25
        learning_rate = 1e-2
        precision = "f32"
        [thought]
        budget = 4
        [rl]
        steps = 60
        queries = 6
        rollouts = 8
        extra_items = 12
        learning_rate = 2e-3"#,
    );
    let out = shop.path().join("out");
    run(&recipe, &out, false, false).unwrap();
    let log = metrics(&out.join("rl"));
    let mean = |lines: &[Value]| {
        let rewards = lines.iter().map(|l| l["reward"].as_f64().unwrap());
        rewards.sum::<f64>() / lines.len() as f64
    };
    let (first, last) = (mean(&log[..10]), mean(&log[50..]));
    assert!(last > first + 0.1, "the reward went from {first} to {last}");
}
