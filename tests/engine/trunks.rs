//! A batch with trunks and the same batch with every prefix repeated: the same hidden states, the
//! same losses, the same gradients.

use crate::common::{bits, normals};
use crate::{hidden, relative_error, tiny, wanted};
use lrem::device::cpu::Cpu;
use lrem::embed::Pooling;
use lrem::model::{Activations, BackwardScratch, Batch, Gradients, Model, layout};
use lrem::ops::forest::Forest;
use lrem::ops::philox::PhiloxStream;
use lrem::text::Prompts;
use lrem::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use lrem::train::objective::{Losses, Objective, Weights};
use proptest::prelude::*;
use tempfile::tempdir;

/// f32 sums in another order, over the depth of the tiny model.
const ROUNDING: f32 = 2e-5;

pub fn draw(seed: u64, len: usize) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, 7);
    (0..len).map(|_| random.below(256) as u32).collect()
}

/// A tree of segments: lengths and parents, at most four deep.
fn trees() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    proptest::collection::vec(
        (1usize..6, any::<prop::sample::Index>(), any::<bool>()),
        1..8,
    )
    .prop_map(|drawn| {
        let mut parts: Vec<(usize, Option<usize>)> = Vec::new();
        for (index, (len, parent, root)) in drawn.into_iter().enumerate() {
            let parent = (index > 0 && !root).then(|| parent.index(index));
            parts.push((len, parent));
        }
        parts
    })
}

/// Every segment as a sequence of its own: its ancestors' tokens, then its own.
fn repeated(forest: &Forest, ids: &[u32]) -> Vec<Vec<u32>> {
    let whole = |s: &lrem::ops::forest::Segment| {
        let before = s.ancestors.iter().flat_map(|a| &ids[a.range()]);
        before.chain(&ids[s.rows.clone()]).copied().collect()
    };
    forest.segments.iter().map(whole).collect()
}

fn gradients_of(
    model: &Model<Cpu>,
    ids: &[u32],
    forest: &Forest,
    dhidden: &Vec<f32>,
) -> Gradients<Cpu> {
    let positions = forest.positions();
    let batch = Batch {
        ids,
        forest,
        positions: &positions,
        wanted: None,
    };
    let device = &*model.device;
    let mut acts = Activations::for_training(device, &model.config).unwrap();
    model.forward(&batch, &mut acts).unwrap();
    let mut gradients = model.zero_gradients().unwrap();
    let mut scratch = BackwardScratch::new(device).unwrap();
    model
        .backward(
            &batch,
            &mut acts,
            dhidden,
            &[],
            &mut gradients,
            &mut scratch,
        )
        .unwrap();
    gradients
}

fn assert_same_gradients(model: &Model<Cpu>, got: &Gradients<Cpu>, want: &Gradients<Cpu>) {
    for (slot, (got, want)) in layout(&model.config)
        .iter()
        .zip(got.iter().zip(want.iter()))
    {
        let [got, want] = [got, want].map(|g| g.read(&*model.device).unwrap());
        let error = relative_error(&got, &want);
        assert!(error < ROUNDING, "{}: {error:e}", slot.parts[0].0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn wanted_rows_are_those_of_all(
        parts in trees(), seed: u64, picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let folder = tempdir().unwrap();
        tiny::write(folder.path(), seed);
        let (_, model) = tiny::open(folder.path());
        let forest = Forest::packed(&parts);
        let ids = draw(seed, forest.tokens());
        let mut rows: Vec<u32> = picks.iter().map(|p| p.index(ids.len()) as u32).collect();
        rows.truncate(ids.len());
        let width = model.config.hidden_size;
        let all = hidden(&model, &ids, &forest);
        let want: Vec<f32> = rows
            .iter()
            .flat_map(|&row| &all[row as usize * width..][..width])
            .copied()
            .collect();
        let got = wanted(&model, &ids, &forest, Some(&rows));
        prop_assert_eq!(bits(&got), bits(&want));
    }
}

#[test]
fn rows_that_cannot_be_wanted_are_an_error() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 1);
    let (_, model) = tiny::open(folder.path());
    let forest = Forest::packed(&[(3, None)]);
    let run = |wanted: &[u32], mut acts: Activations<Cpu>| {
        let batch = Batch {
            ids: &[1, 2, 3],
            forest: &forest,
            positions: &[0, 1, 2],
            wanted: Some(wanted),
        };
        model.forward(&batch, &mut acts).unwrap_err().to_string()
    };
    let inference = || Activations::for_inference(&*model.device, &model.config).unwrap();
    for wanted in [&[3][..], &[0, 1, 2, 2]] {
        let message = "model: the wanted rows are not at most 3 of 3 tokens";
        assert_eq!(run(wanted, inference()), message);
    }
    let training = Activations::for_training(&*model.device, &model.config).unwrap();
    assert_eq!(
        run(&[2], training),
        "model: a backward pass needs every row of the last layer"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn hidden_states_and_gradients_are_those_of_repeated_prefixes(parts in trees(), seed: u64) {
        let folder = tempdir().unwrap();
        tiny::write(folder.path(), seed);
        let (_, model) = tiny::open(folder.path());
        let width = model.config.hidden_size;
        let forest = Forest::packed(&parts);
        let ids = draw(seed, forest.tokens());
        let got = hidden(&model, &ids, &forest);
        let dhidden = normals(seed, 3, got.len());

        let sequences = repeated(&forest, &ids);
        let flat: Vec<(usize, Option<usize>)> = sequences.iter().map(|s| (s.len(), None)).collect();
        let flat = Forest::packed(&flat);
        let flat_ids = sequences.concat();
        let want = hidden(&model, &flat_ids, &flat);
        // The loss reads every token of the tree once, so the repeated prefixes get no gradient.
        let mut flat_dhidden = vec![0.0; want.len()];
        for (s, f) in forest.segments.iter().zip(&flat.segments) {
            let rows = f.rows.end - s.rows.len()..f.rows.end;
            let (tree, alone) = (s.rows.start * width..s.rows.end * width, rows.start * width..rows.end * width);
            let error = relative_error(&got[tree.clone()], &want[alone.clone()]);
            prop_assert!(error < ROUNDING, "{error:e}");
            flat_dhidden[alone].copy_from_slice(&dhidden[tree]);
        }
        let tree = gradients_of(&model, &ids, &forest, &dhidden);
        let alone = gradients_of(&model, &flat_ids, &flat, &flat_dhidden);
        assert_same_gradients(&model, &tree, &alone);
    }
}

/// Queries with several branches each, duplicated targets, and items beyond the targets.
pub fn batch(prompts: &Prompts, seed: u64) -> TrainBatch {
    let mut random = PhiloxStream::new(seed, 1);
    let mut below = move |n: usize| random.below(n);
    let samples = (0..7)
        .map(|i| {
            let thought = draw(seed + i, 1 + below(4));
            let gold = Branch::embedding(prompts.branch(&thought), below(5) as u32);
            let mut branches = vec![gold.learned()];
            if i % 2 == 0 {
                let empty = prompts.branch(&[]);
                branches.push(Branch::embedding(empty, below(5) as u32));
            }
            Sample {
                query: draw(100 + seed + i, 1 + below(6)),
                branches,
                positives: vec![below(9) as u64, 3],
            }
        })
        .collect();
    let items = (0..9)
        .map(|key| {
            let mut ids = draw(200 + seed + key, 1 + below(5));
            ids.push(prompts.emb);
            BatchItem { key, ids }
        })
        .collect();
    TrainBatch { samples, items }
}

fn objective(
    model: &Model<Cpu>,
    prompts: &Prompts,
    batch: &TrainBatch,
    pooling: Pooling,
    micro: usize,
) -> (Losses, Gradients<Cpu>) {
    let mut gradients = model.zero_gradients().unwrap();
    let weights = Weights {
        sft: 0.3,
        info_nce: 1.0,
        temperature: 0.1,
    };
    let losses = Objective::new(model, pooling)
        .unwrap()
        .step(model, prompts, batch, micro, &weights, &mut gradients)
        .unwrap();
    (losses, gradients)
}

/// The batch with the instructions as a part of every query and item, below trunks of one token.
fn without_trunks(prompts: &Prompts, batch: &TrainBatch) -> (Prompts, TrainBatch) {
    let mut short = prompts.clone();
    let rest = |prefix: &mut Vec<u32>| prefix.split_off(1);
    let (query, item) = (rest(&mut short.query_prefix), rest(&mut short.item_prefix));
    let mut flat = batch.clone();
    for s in &mut flat.samples {
        s.query.splice(0..0, query.iter().copied());
    }
    for i in &mut flat.items {
        i.ids.splice(0..0, item.iter().copied());
    }
    (short, flat)
}

#[test]
fn losses_and_gradients_of_a_batch_do_not_depend_on_its_trunks_or_parts() {
    for seed in 0..3 {
        let folder = tempdir().unwrap();
        tiny::write(folder.path(), seed);
        let (opened, model) = tiny::open(folder.path());
        let prompts = opened.prompts().unwrap();
        let batch = batch(&prompts, seed);
        for pooling in [Pooling::Emb, Pooling::Mean, Pooling::LastFourLayers] {
            let (losses, gradients) = objective(&model, &prompts, &batch, pooling, 100);
            let (short, flat) = without_trunks(&prompts, &batch);
            // The mean runs over a sequence's own tokens, which the other trunk changes.
            let trunkless =
                (pooling != Pooling::Mean).then(|| objective(&model, &short, &flat, pooling, 100));
            let parts = [1, 2, 3].map(|micro| objective(&model, &prompts, &batch, pooling, micro));
            for (other, gradients_of_other) in trunkless.into_iter().chain(parts) {
                let close = |a: f64, b: f64| (a - b).abs() < f64::from(ROUNDING) * b.abs();
                assert!(close(other.loss, losses.loss), "{other:?} {losses:?}");
                assert!(close(other.nll, losses.nll), "{other:?} {losses:?}");
                assert_eq!(other.contrast.ranks, losses.contrast.ranks);
                assert_same_gradients(&model, &gradients_of_other, &gradients);
            }
        }
    }
}

#[test]
fn the_gradient_of_the_objective_is_its_slope() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 11);
    let (opened, mut model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let batch = batch(&prompts, 11);
    for pooling in [
        Pooling::Emb,
        Pooling::Last,
        Pooling::Mean,
        Pooling::LastFourLayers,
    ] {
        let (_, gradients) = objective(&model, &prompts, &batch, pooling, 3);
        // Along the gradient itself the slope is its square; f32 losses allow a coarse step only.
        let tensors = layout(&model.config).iter().count();
        for at in (0..tensors).step_by(3) {
            let gradient = gradients
                .iter()
                .nth(at)
                .unwrap()
                .read(&*model.device)
                .unwrap();
            let square: f32 = gradient.iter().map(|g| g * g).sum();
            let step = 3e-3 / square.sqrt();
            let at_step = |sign: f32, model: &mut Model<Cpu>| {
                let tensor = model.parameters.iter_mut().nth(at).unwrap();
                let values = tensor.master_mut().unwrap();
                let before = values.clone();
                values
                    .iter_mut()
                    .zip(&gradient)
                    .for_each(|(v, g)| *v += sign * step * g);
                let loss = objective(model, &prompts, &batch, pooling, 100).0.loss;
                *model
                    .parameters
                    .iter_mut()
                    .nth(at)
                    .unwrap()
                    .master_mut()
                    .unwrap() = before;
                loss
            };
            let rise = at_step(1.0, &mut model) - at_step(-1.0, &mut model);
            let slope = rise / f64::from(2.0 * step);
            let error = (slope / f64::from(square) - 1.0).abs();
            assert!(
                error < 0.01,
                "tensor {at}, {pooling:?}: {slope} is not {square}"
            );
        }
    }
}
