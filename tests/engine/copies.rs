//! Copies of trained weights that products read: what an update leaves, and what a change by other hands makes of
//! them.

use crate::common::gpu_bf16;
use crate::gpu::{cpu, on, open, states};
use crate::trunks;
use lrem::device::Device;
use lrem::embed::Pooling;
use lrem::model::{Gradients, Model, layout};
use lrem::ops::forest::Forest;
use lrem::ops::linear::Weight;
use lrem::train::objective::{Objective, Weights};
use lrem::train::optimizer::{Optimizer, OptimizerOptions};
use std::sync::Arc;

/// Which weights are read from copies: the table of tokens and every projection's; none of a norm.
fn copied<D: Device>(model: &Model<D>) -> Vec<bool> {
    let parameters = model.parameters.iter();
    parameters
        .map(|p| matches!(p.weight(), Weight::Packed(_)))
        .collect()
}

/// A model after an update, and what it computes: its states, and the gradient of a step.
fn after_an_update<D: Device>(device: Arc<D>, copies: bool) {
    let (_folder, opened) = open(31);
    let mut model = opened.load(device.clone(), None, 256).unwrap();
    let prompts = opened.prompts().unwrap();
    let batch = trunks::batch(&prompts, 6);
    let weights = Weights {
        sft: 0.3,
        info_nce: 1.0,
        temperature: 0.1,
    };
    let mut objective = Objective::new(&model, Pooling::Emb).unwrap();
    let mut step = |model: &Model<D>, gradients: &mut Gradients<D>| {
        objective
            .step(model, &prompts, &batch, 3, &weights, gradients)
            .unwrap();
    };
    let mut optimizer = Optimizer::new(&model, OptimizerOptions::default()).unwrap();
    let mut gradients = model.zero_gradients().unwrap();
    step(&model, &mut gradients);
    assert!(!copied(&model).contains(&true));
    optimizer.update(&mut model, &mut gradients, 1e-2).unwrap();
    let matrices: Vec<bool> = layout(&model.config).iter().map(|s| s.matrix).collect();
    let want: Vec<bool> = matrices.iter().map(|matrix| copies && *matrix).collect();
    assert_eq!(copied(&model), want);

    let forest = Forest::packed(&[(9, None), (5, Some(0)), (17, None)]);
    let ids = trunks::draw(31, forest.tokens());
    let mut computed = |model: &Model<D>| {
        let mut gradients = model.zero_gradients().unwrap();
        step(model, &mut gradients);
        let flat = gradients
            .iter()
            .flat_map(|g| g.read(&*model.device).unwrap());
        (states(model, &ids, &forest), flat.collect::<Vec<f32>>())
    };
    let by_copies = computed(&model);
    for parameter in model.parameters.iter_mut() {
        parameter.master_mut().unwrap();
    }
    assert!(!copied(&model).contains(&true));
    assert_eq!(computed(&model), by_copies);
}

#[test]
fn copies_hold_what_an_update_makes_of_the_weights() {
    after_an_update(cpu(), false);
    if let Some(gpu) = on(gpu_bf16()) {
        after_an_update(gpu, true);
    }
}
