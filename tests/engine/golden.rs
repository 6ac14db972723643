//! Tiny Llama, Qwen2 and Qwen3 models: hidden states, logits, loss and the gradient of every tensor
//! as transformers computes them (`tests/golden/make.py`).

use crate::common::devices;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::model::{Activations, BackwardScratch, Batch, Model, ModelSource, Values, layout, load};
use lrem::ops::forest::Forest;
use lrem::ops::linear::LinearShape;
use lrem::ops::linear_cross_entropy::LinearCrossEntropy;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MODELS: [&str; 5] = [
    "llama-tied",
    "llama3-untied",
    "llama-biases",
    "qwen2-yarn",
    "qwen3-linear",
];

struct Expected {
    ids: Vec<u32>,
    targets: Vec<u32>,
    floats: HashMap<String, Vec<f32>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn expected(name: &str) -> Expected {
    let bytes = std::fs::read(folder(name).join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| -> Vec<u32> {
        let ids: Vec<i32> = bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data());
        ids.into_iter().map(|id| id as u32).collect()
    };
    let floats = file.iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    Expected {
        ids: ids("input_ids"),
        targets: ids("targets"),
        floats: floats
            .map(|(name, view)| (name.to_owned(), bytemuck::pod_collect_to_vec(view.data())))
            .collect(),
    }
}

fn model(device: &Cpu, name: &str) -> Model<Cpu> {
    let source = ModelSource::open(&folder(name)).unwrap();
    let config = source.config().clone();
    let values = Values {
        source: &source,
        new_rows: None,
        initial: None,
    };
    load(Arc::new(device.clone()), values, config, None, 64).unwrap()
}

#[track_caller]
fn assert_near(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = got
        .iter()
        .zip(want)
        .map(|(g, w)| (g - w).abs())
        .fold(0.0, f32::max);
    assert!(
        largest <= tolerance,
        "{what}: off by {largest:e} > {tolerance:e}"
    );
}

#[test]
fn forward_and_backward_are_those_of_transformers() {
    for device in devices()
        .into_iter()
        .filter(|d| d.multiply == Multiply::F32)
    {
        for name in MODELS {
            check(&device, name);
        }
    }
}

fn check(device: &Cpu, name: &str) {
    let want = expected(name);
    let model = model(device, name);
    let (tokens, c) = (want.ids.len(), &model.config);
    let forest = Forest::packed(&[(tokens, None)]);
    let positions = forest.positions();
    let batch = Batch {
        ids: &want.ids,
        forest: &forest,
        positions: &positions,
        wanted: None,
    };
    let mut acts = Activations::for_training(device, c).unwrap();
    model.forward(&batch, &mut acts).unwrap();
    let tag = format!("{name} on {}", device.isa.name());
    let hidden = &acts.hidden[..tokens * c.hidden_size];
    assert_near(
        &format!("{tag}: hidden"),
        hidden,
        &want.floats["hidden"],
        1e-4,
    );
    let mut logits = vec![f32::NAN; tokens * c.vocab_size];
    model.logits(tokens, &acts.hidden, &mut logits).unwrap();
    assert_near(
        &format!("{tag}: logits"),
        &logits,
        &want.floats["logits"],
        1e-4,
    );

    let shape = LinearShape {
        m: tokens,
        n: c.vocab_size,
        k: c.hidden_size,
    };
    let head = model.head().weight();
    let (mut nll, mut lse) = (vec![f32::NAN; tokens], vec![f32::NAN; tokens]);
    let hidden = acts.hidden.clone();
    device
        .linear_cross_entropy(shape, &hidden, head, &want.targets, &mut nll, &mut lse)
        .unwrap();
    let loss: f32 = nll.iter().sum();
    assert_near(
        &format!("{tag}: loss"),
        &[loss],
        &want.floats["loss"],
        1e-4 * loss,
    );

    let mut gradients = model.zero_gradients().unwrap();
    let mut dhidden = vec![0.0; tokens * c.hidden_size];
    let dhead = gradients.head.as_mut().unwrap_or(&mut gradients.embedding);
    let (dhead, accumulate) = dhead.target();
    let ones = vec![1.0; tokens];
    device
        .linear_cross_entropy_backward(
            shape,
            &hidden,
            head,
            &want.targets,
            &lse,
            &ones,
            &mut dhidden,
            dhead,
            accumulate,
        )
        .unwrap();
    let mut scratch = BackwardScratch::new(device).unwrap();
    model
        .backward(
            &batch,
            &mut acts,
            &dhidden,
            &[],
            &mut gradients,
            &mut scratch,
        )
        .unwrap();
    let mut seen = 0;
    for (slot, gradient) in layout(c).iter().zip(gradients.iter()) {
        let gradient = gradient.read(device).unwrap();
        for (tensor, _, range) in slot.tensors() {
            let want = &want.floats[&format!("grad.{tensor}")];
            let norm = want.iter().map(|w| w * w).sum::<f32>().sqrt();
            let got = &gradient[range];
            let off = got
                .iter()
                .zip(want)
                .map(|(g, w)| (g - w).powi(2))
                .sum::<f32>()
                .sqrt();
            assert!(
                off <= 1e-3 * norm,
                "{tag}: gradient of {tensor} is off by {}",
                off / norm
            );
            seen += 1;
        }
    }
    let all = want
        .floats
        .keys()
        .filter(|k| k.starts_with("grad."))
        .count();
    assert_eq!(seen, all, "{tag}: gradients compared");
}

#[test]
fn ids_and_positions_out_of_range_are_errors() {
    let model = model(&devices()[0], "llama-tied");
    let mut acts = Activations::for_inference(&*model.device, &model.config).unwrap();
    let mut message = |ids: &[u32], len: usize| {
        let forest = Forest::packed(&[(len, None)]);
        let positions = forest.positions();
        let batch = Batch {
            ids,
            forest: &forest,
            positions: &positions,
            wanted: None,
        };
        model.forward(&batch, &mut acts).unwrap_err().to_string()
    };
    assert_eq!(
        message(&[1, 53], 2),
        "model: token id 53 is outside the vocabulary of 53"
    );
    assert_eq!(
        message(&[1; 65], 65),
        "model: a sequence of 65 tokens is longer than the context of 64"
    );
    assert_eq!(
        message(&[1, 2], 3),
        "model: 2 ids, 3 rows in the forest and 3 positions; they must be the same"
    );
}
