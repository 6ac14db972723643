//! The engine on a GPU against the CPU: the same hidden states, losses, gradients and thoughts.

use crate::common::{HOPPER, bits, driver, gpu_bf16, gpu_f32, hopper};
use crate::{relative_error, thinking, tiny, trunks};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::device::cuda::Cuda;
use lrem::device::{Device, Real};
use lrem::embed::{ModelFolder, NewTokens, Pooling};
use lrem::model::{Activations, Batch, Model};
use lrem::ops::forest::Forest;
use lrem::ops::linear::WeightFormat;
use lrem::ops::sample::Sampling;
use lrem::reason::{Reasoner, ThinkOptions, Thought};
use lrem::train::objective::{Losses, Objective, Weights};
use lrem::train::optimizer::{Optimizer, OptimizerOptions};
use std::sync::Arc;
use tempfile::tempdir;

/// f32 sums in another order, over the depth of the tiny model.
const ROUNDING: f32 = 5e-5;

/// The tiny model's folder and a device of the given type, made anew: a model owns its device.
pub fn on<T: Real>(like: Option<&Cuda<T>>) -> Option<Arc<Cuda<T>>> {
    like.map(|_| Arc::new(Cuda::new(driver()).unwrap()))
}

pub fn cpu() -> Arc<Cpu> {
    Arc::new(Cpu::new(Multiply::F32))
}

pub fn open(seed: u64) -> (tempfile::TempDir, ModelFolder) {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), seed);
    let opened = ModelFolder::open(folder.path(), &NewTokens::default()).unwrap();
    (folder, opened)
}

pub fn states<D: Device>(model: &Model<D>, ids: &[u32], forest: &Forest) -> Vec<f32> {
    let mut acts = Activations::for_inference(&*model.device, &model.config).unwrap();
    states_in(model, ids, forest, &mut acts)
}

fn states_in<D: Device>(
    model: &Model<D>,
    ids: &[u32],
    forest: &Forest,
    acts: &mut Activations<D>,
) -> Vec<f32> {
    let positions = forest.positions();
    let batch = Batch {
        ids,
        forest,
        positions: &positions,
        wanted: None,
    };
    model.forward(&batch, acts).unwrap();
    let len = ids.len() * model.config.hidden_size;
    let rows = model.device.download(&acts.hidden, len).unwrap();
    rows.iter().map(|x| x.to_f32()).collect()
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn hidden_states_are_those_of_the_cpu() {
    let (_folder, opened) = open(21);
    let forest = Forest::packed(&[
        (9, None),
        (5, Some(0)),
        (3, Some(1)),
        (1, Some(1)),
        (17, None),
    ]);
    let ids = trunks::draw(21, forest.tokens());
    let want = states(&opened.load(cpu(), None, 256).unwrap(), &ids, &forest);
    if let Some(gpu) = on(gpu_f32()) {
        for format in [None, Some(WeightFormat::F32)] {
            let model = opened.load(gpu.clone(), format, 256).unwrap();
            let error = relative_error(&states(&model, &ids, &forest), &want);
            assert!(error < ROUNDING, "{format:?}: {error:e}");
        }
    }
    if let Some(gpu) = on(gpu_bf16()) {
        for format in [None, Some(WeightFormat::Bf16)] {
            let model = opened.load(gpu.clone(), format, 256).unwrap();
            let likeness = cosine(&states(&model, &ids, &forest), &want);
            assert!(likeness > 0.9995, "{format:?}: {likeness}");
        }
    }
}

/// A pass that keeps nothing for a backward one computes what one that does computes, with neither gates nor ups in
/// memory.
fn infers_what_it_trains<D: Device>(device: Arc<D>, real: usize) {
    let (_folder, opened) = open(22);
    let forest = Forest::packed(&[(70, None), (5, Some(0)), (17, None)]);
    let (tokens, ids) = (forest.tokens(), trunks::draw(22, forest.tokens()));
    let model = opened.load(device.clone(), None, 256).unwrap();
    let c = &model.config;
    let mut training = Activations::for_training(&*device, c).unwrap();
    let mut inference = Activations::for_inference(&*device, c).unwrap();
    let want = states_in(&model, &ids, &forest, &mut training);
    let got = states_in(&model, &ids, &forest, &mut inference);
    assert_eq!(bits(&got), bits(&want));
    let heads = c.heads();
    let numbers = 6 * c.hidden_size + heads.qkv_dim() + heads.q_dim() + c.intermediate_size;
    let row = real * numbers + 4 * heads.num_heads;
    assert_eq!(inference.bytes(), tokens * row);
}

#[test]
fn inference_computes_what_training_computes() {
    infers_what_it_trains(cpu(), 4);
    if let Some(gpu) = on(gpu_f32()) {
        infers_what_it_trains(gpu, 4);
    }
    if let Some(gpu) = on(gpu_bf16()) {
        infers_what_it_trains(gpu, 2);
    }
    if let Some(gpu) = hopper().map(|_| Arc::new(Cuda::<half::bf16>::on(driver(), HOPPER).unwrap()))
    {
        infers_what_it_trains(gpu, 2);
    }
}

/// Losses, the whole gradient, and its norm as the optimizer gives it after an update.
fn step<D: Device>(opened: &ModelFolder, device: Arc<D>) -> (Losses, Vec<f32>, f64) {
    let mut model = opened.load(device.clone(), None, 256).unwrap();
    let prompts = opened.prompts().unwrap();
    let batch = trunks::batch(&prompts, 5);
    let mut gradients = model.zero_gradients().unwrap();
    let weights = Weights {
        sft: 0.3,
        info_nce: 1.0,
        temperature: 0.1,
    };
    let losses = Objective::new(&model, Pooling::Emb)
        .unwrap()
        .step(&model, &prompts, &batch, 3, &weights, &mut gradients)
        .unwrap();
    let flat = gradients.iter().flat_map(|g| g.read(&*device).unwrap());
    let flat: Vec<f32> = flat.collect();
    let mut optimizer = Optimizer::new(&model, OptimizerOptions::default()).unwrap();
    let norm = optimizer.update(&mut model, &mut gradients, 1e-3).unwrap();
    for gradient in gradients.iter_mut() {
        assert!(gradient.read(&*device).unwrap().iter().all(|&g| g == 0.0));
        gradient.sum(&device).unwrap();
        assert!(gradient.read(&*device).unwrap().iter().all(|&g| g == 0.0));
    }
    (losses, flat, norm)
}

#[test]
fn a_training_step_is_that_of_the_cpu() {
    let (_folder, opened) = open(22);
    let (want, gradient, norm) = step(&opened, cpu());
    let near = |got: f64, want: f64, limit: f64| {
        assert!(
            (got - want).abs() <= limit * want.abs(),
            "{got} is not {want}"
        );
    };
    if let Some(gpu) = on(gpu_f32()) {
        let (losses, got, got_norm) = step(&opened, gpu);
        near(losses.loss, want.loss, 1e-5);
        near(losses.nll, want.nll, 1e-5);
        assert_eq!(losses.contrast.ranks, want.contrast.ranks);
        let error = relative_error(&got, &gradient);
        assert!(error < ROUNDING, "{error:e}");
        near(got_norm, norm, 1e-4);
    }
    if let Some(gpu) = on(gpu_bf16()) {
        let (losses, got, got_norm) = step(&opened, gpu);
        near(losses.loss, want.loss, 5e-3);
        near(got_norm, norm, 2e-2);
        let likeness = cosine(&got, &gradient);
        assert!(likeness > 0.999, "{likeness}");
    }
}

fn thoughts<D: Device>(opened: &ModelFolder, device: Arc<D>) -> Vec<Vec<Thought>> {
    let model = opened.load(device, None, 256).unwrap().sampler().unwrap();
    let prompts = opened.prompts().unwrap();
    let mut reasoner = Reasoner::new(&model, &prompts, 400).unwrap();
    let options = ThinkOptions {
        budget: 6,
        sampling: Sampling {
            temperature: 1.0,
            top_p: 0.9,
            seed: 3,
            ..Sampling::GREEDY
        },
        rollouts: 2,
        direct: false,
        settled: None,
        batch: 4,
    };
    reasoner.think(&thinking::questions(4), &options).unwrap()
}

#[test]
fn thoughts_are_those_of_the_cpu() {
    let (_folder, opened) = open(23);
    let want = thoughts(&opened, cpu());
    let Some(gpu) = on(gpu_f32()) else { return };
    let got = thoughts(&opened, gpu.clone());
    for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
        assert_eq!(got.tokens, want.tokens);
        assert_eq!(got.ending, want.ending);
        let error = relative_error(&got.embedding, &want.embedding);
        assert!(error < ROUNDING, "{error:e}");
        let error = relative_error(&got.log_probabilities, &want.log_probabilities);
        assert!(error < ROUNDING, "{error:e}");
    }
    // What is thought again in used memory is the same to the last bit.
    let again = thoughts(&opened, gpu);
    for (again, got) in again.iter().flatten().zip(got.iter().flatten()) {
        assert_eq!(again.tokens, got.tokens);
        assert_eq!(again.embedding, got.embedding);
    }
}
