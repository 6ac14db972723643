//! Baselines beside the decoder with `<emb>`: other poolings, bidirectional attention, random weights.

use crate::common::normals;
use crate::shop::{metrics, recipe, run, shop};
use crate::trunks::draw;
use crate::{hidden, relative_error, tiny};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::encode::{Encoder, Sequence, Side};
use lrem::embed::{Embedder, ModelFolder, NewTokens, Pooling, Session, Thinking};
use lrem::model::{Initial, Model, ModelConfig, layout};
use lrem::ops::forest::Forest;
use lrem::ops::linear::WeightFormat;
use lrem::text::Prompts;
use lrem::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use lrem::train::objective::{Objective, Weights};
use std::fs;
use std::sync::Arc;
use tempfile::tempdir;

/// The tiny model with another configuration.
fn changed(change: impl FnOnce(&mut ModelConfig)) -> (ModelFolder, Model<Cpu>) {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 3);
    let opened = ModelFolder::open(folder.path(), &NewTokens::default()).unwrap();
    let initial = Initial {
        all: false,
        seed: 5,
    };
    let opened = opened.changed(initial, change).unwrap();
    let device = Arc::new(Cpu::new(Multiply::F32));
    let mut model = opened.load(device, None, 256).unwrap();
    // Drawn for training, the layer does next to nothing; here it has to matter.
    if let Some(latent) = &mut model.parameters.latent {
        let layer = &mut latent.layer;
        for weight in [
            &mut layer.output.weight,
            &mut layer.down.weight,
            &mut layer.qkv.weight,
        ] {
            weight
                .master_mut()
                .unwrap()
                .iter_mut()
                .for_each(|w| *w *= 20.0);
        }
    }
    (opened, model)
}

fn batch() -> TrainBatch {
    let sample = |seed: u64| Sample {
        query: draw(seed, 2 + seed as usize % 4),
        branches: vec![Branch::embedding(Vec::new(), seed as u32 % 3)],
        positives: vec![seed % 3],
    };
    let item = |key: u64| BatchItem {
        key,
        ids: draw(20 + key, 1 + key as usize),
    };
    TrainBatch {
        samples: (0..3).map(sample).collect(),
        items: (0..3).map(item).collect(),
    }
}

const WEIGHTS: Weights = Weights {
    sft: 0.0,
    info_nce: 1.0,
    temperature: 0.5,
};

/// The loss of the batch, computed in parts of `micro_batch` samples, and the gradients of all tensors.
fn step(
    model: &Model<Cpu>,
    prompts: &Prompts,
    pooling: Pooling,
    micro_batch: usize,
) -> (f64, Vec<Vec<f32>>) {
    let mut objective = Objective::new(model, pooling).unwrap();
    let mut gradients = model.zero_gradients().unwrap();
    let losses = objective
        .step(
            model,
            prompts,
            &batch(),
            micro_batch,
            &WEIGHTS,
            &mut gradients,
        )
        .unwrap();
    (
        losses.loss,
        gradients
            .iter()
            .map(|g| g.read(&*model.device).unwrap())
            .collect(),
    )
}

/// The gradient of every tensor along a random direction is the loss's difference quotient.
fn check_gradients(pooling: Pooling, change: impl FnOnce(&mut ModelConfig)) {
    let (opened, mut model) = changed(change);
    let prompts = opened.prompts().unwrap();
    let (_, gradients) = step(&model, &prompts, pooling, 3);
    let names: Vec<String> = layout(&model.config)
        .iter()
        .map(|slot| slot.parts[0].0.clone())
        .collect();
    for (at, (name, gradient)) in names.iter().zip(&gradients).enumerate() {
        let direction = normals(at as u64, 9, gradient.len());
        let size = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        // The loss has to change by well more than it is rounded.
        let along: Vec<f32> = gradient
            .iter()
            .zip(&direction)
            .map(|(g, n)| g / size.max(1e-12) + 0.1 * n / (gradient.len() as f32).sqrt())
            .collect();
        let want: f64 = gradient
            .iter()
            .zip(&along)
            .map(|(g, a)| f64::from(*g) * f64::from(*a))
            .sum();
        let mut at_distance = |distance: f32| {
            let tensor = model.parameters.iter_mut().nth(at).unwrap();
            let values = tensor.master_mut().unwrap();
            let before = values.clone();
            values
                .iter_mut()
                .zip(&along)
                .for_each(|(v, a)| *v += distance * a);
            let loss = step(&model, &prompts, pooling, 3).0;
            let tensor = model.parameters.iter_mut().nth(at).unwrap();
            *tensor.master_mut().unwrap() = before;
            loss
        };
        let distance = 4e-3f32;
        let got = (at_distance(distance) - at_distance(-distance)) / (2.0 * f64::from(distance));
        let off = (got - want).abs();
        assert!(
            off <= 0.03 * want.abs() + 3e-4,
            "{name}: {got} along a gradient of {want}"
        );
    }
}

#[test]
fn gradients_through_latent_attention() {
    for latents in [1, 5] {
        check_gradients(Pooling::LatentAttention, |config| config.latents = latents);
    }
}

#[test]
fn gradients_through_bidirectional_attention() {
    check_gradients(Pooling::Mean, |config| config.bidirectional = true);
    check_gradients(Pooling::LastFourLayers, |config| {
        config.bidirectional = true
    });
}

#[test]
fn parts_give_the_gradients_of_the_whole() {
    let (opened, model) = changed(|config| config.latents = 4);
    let prompts = opened.prompts().unwrap();
    let (loss, whole) = step(&model, &prompts, Pooling::LatentAttention, 3);
    let (same, parts) = step(&model, &prompts, Pooling::LatentAttention, 1);
    assert!((loss - same).abs() < 1e-5, "{loss} {same}");
    for (part, whole) in parts.iter().zip(&whole) {
        let error = relative_error(part, whole);
        assert!(
            error < 1e-4 || whole.iter().all(|w| w.abs() < 1e-6),
            "{error}"
        );
    }
}

#[test]
fn an_encoders_token_sees_those_behind_it() {
    let forest = Forest::packed(&[(2, None), (4, Some(0)), (3, Some(0))]);
    let mut ids = draw(1, 9);
    for bidirectional in [false, true] {
        let (_, model) = changed(|config| config.bidirectional = bidirectional);
        let width = model.config.hidden_size;
        let before = hidden(&model, &ids, &forest);
        ids[5] ^= 1;
        let after = hidden(&model, &ids, &forest);
        let moved: Vec<bool> = before
            .chunks(width)
            .zip(after.chunks(width))
            .map(|(a, b)| a != b)
            .collect();
        // The last token of the first sequence: all of it sees it, or it alone; the trunk and the other
        // sequence never do.
        let others = [
            false,
            false,
            bidirectional,
            bidirectional,
            bidirectional,
            true,
        ];
        assert_eq!(moved, [&others[..], &[false; 3]].concat());
    }
}

#[test]
fn a_sequence_in_a_batch_is_embedded_as_alone() {
    let (opened, model) = changed(|config| config.latents = 3);
    let prompts = opened.prompts().unwrap();
    let sequences: Vec<Sequence> = (0..7u64)
        .map(|i| Sequence {
            side: [Side::Query, Side::Item][i as usize % 2],
            ids: draw(i, 1 + 3 * i as usize),
        })
        .collect();
    let width = model.config.hidden_size;
    // Packed, the vectors' keys are computed once.
    let packed = model.packed(WeightFormat::F32).unwrap();
    for pooling in [Pooling::LatentAttention, Pooling::Mean] {
        let mut encoder = Encoder::new(&model, &prompts, pooling, 1000).unwrap();
        let all = encoder.encode(&sequences).unwrap();
        let mut inference = Encoder::new(&packed, &prompts, pooling, 1000).unwrap();
        for (row, sequence) in all.chunks(width).zip(&sequences) {
            for encoder in [&mut encoder, &mut inference] {
                let alone = encoder.encode(std::slice::from_ref(sequence)).unwrap();
                assert!(relative_error(row, &alone) < 2e-5, "{pooling:?}");
            }
        }
    }
}

#[test]
fn queries_one_by_one_are_those_of_a_batch() {
    let queries = ["tea", "a blue mug for tea", "x"];
    let configurations: [(bool, usize); 3] = [(false, 0), (true, 0), (false, 3)];
    for (bidirectional, latents) in configurations {
        let (opened, model) = changed(|config| {
            config.bidirectional = bidirectional;
            config.latents = latents;
        });
        let poolings = match latents {
            0 => vec![
                Pooling::Emb,
                Pooling::Last,
                Pooling::Mean,
                Pooling::LastFourLayers,
            ],
            _ => vec![Pooling::LatentAttention],
        };
        let prompts = opened.prompts().unwrap();
        let packed = model.packed(WeightFormat::F32).unwrap();
        for pooling in poolings {
            let embedder = Embedder {
                model: &packed,
                tokenizer: &opened.tokenizer,
                prompts: &prompts,
                pooling,
            };
            let want = embedder.queries(&queries, &Thinking::Direct).unwrap().rows;
            let mut session = Session::new(&embedder).unwrap();
            for (query, want) in queries.iter().zip(want.chunks(model.config.hidden_size)) {
                let got = session.query(query, &Thinking::Direct, None).unwrap().rows;
                let error = relative_error(&got, want);
                assert!(error < 2e-5, "{pooling:?} {bidirectional} {query}: {error}");
            }
        }
    }
}

/// Trained, saved, opened again: every baseline learns to find, and what it was is in its folder.
#[test]
fn baselines_learn_and_are_what_was_saved() {
    let shop = shop();
    let models = [
        (
            "latent",
            "pooling = \"latent_attention\"\nlatents = 6",
            1e-2,
        ),
        ("both-ways", "bidirectional = true", 1e-2),
        (
            "scratch",
            "pooling = \"mean\"\nbidirectional = true\n\
             scratch = { layers = 2, hidden = 32, heads = 2, intermediate = 40 }",
            1e-2,
        ),
    ];
    for (name, options, rate) in models {
        let mut recipe = recipe(
            shop.path(),
            r#"
            [train]
            batch = 12
            micro_batch = 5
            steps = 60
            precision = "f32"
            [loss]
            sft = 0.0
            temperature = 0.1
            [thought]
            mix = { gold = 0.0, direct = 1.0 }"#,
        );
        recipe.train.learning_rate = rate;
        recipe.model = toml::from_str(&format!(
            "base = \"{}/base\"\ncontext = 64\n{options}",
            shop.path().display()
        ))
        .unwrap();
        let out = shop.path().join(name);
        let folder = run(&recipe, &out, false, false).unwrap();
        let last = metrics(&out).pop().unwrap();
        assert_eq!(last["accuracy"], 1.0, "{name}: {last}");

        let opened = ModelFolder::open(&folder, &NewTokens::default()).unwrap();
        let config = &opened.config;
        assert_eq!(config.latents, if name == "latent" { 6 } else { 0 });
        assert_eq!(config.bidirectional, name != "latent");
        assert_eq!(config.hidden_size, if name == "scratch" { 32 } else { 24 });
        assert_eq!(opened.settings.pooling, recipe.model.pooling);
        let text = fs::read_to_string(folder.join("config.json")).unwrap();
        let written: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            written.get("use_bidirectional_attention").is_some(),
            config.bidirectional
        );
    }
}
