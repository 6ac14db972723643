//! SmolLM2-135M on a GPU against the CPU: one embedding, one thought, one step of training. `make setup`
//! fetches the model; without it, or without kernels, nothing is compared.

use crate::common::{driver, gpu_bf16};
use crate::gpu::{cosine, states};
use lrem::device::Device;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::device::cuda::Cuda;
use lrem::embed::{ModelFolder, NewTokens, Pooling};
use lrem::model::layout;
use lrem::ops::forest::Forest;
use lrem::ops::linear::WeightFormat;
use lrem::ops::sample::Sampling;
use lrem::reason::{Question, Reasoner, ThinkOptions};
use lrem::text::Prompts;
use lrem::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use lrem::train::objective::{Objective, Weights};
use std::path::Path;
use std::sync::Arc;

const PAIRS: [(&str, &str, &str); 2] = [
    (
        "puppy peed in the living room how to stop the smell",
        "pet odour remover, enzyme cleaner",
        "Brightwell Pet Accident Odour Remover, Enzyme, Carpet Safe, 1 L",
    ),
    (
        "something to sleep warm in a tent at minus ten",
        "winter sleeping bag, down",
        "Northfell Down Sleeping Bag, -12 C, Mummy",
    ),
];
const CONTEXT: usize = 256;
const THOUGHT: usize = 8;

fn open() -> Option<(ModelFolder, Prompts)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.exists() || gpu_bf16().is_none() {
        return None;
    }
    let opened = ModelFolder::open(&path, &NewTokens::default()).unwrap();
    let prompts = opened.prompts().unwrap();
    Some((opened, prompts))
}

/// Final hidden state at `<emb>`, and the tokens of the most likely thought.
fn infer<D: Device>(
    opened: &ModelFolder,
    prompts: &Prompts,
    device: Arc<D>,
) -> (Vec<f32>, Vec<u32>) {
    let model = opened
        .load(device, Some(WeightFormat::Bf16), CONTEXT)
        .unwrap();
    let query = prompts.query(&opened.tokenizer, PAIRS[0].0).unwrap();
    let ids = [&prompts.query_prefix[..], &query, &[prompts.emb]].concat();
    let rows = states(&model, &ids, &Forest::packed(&[(ids.len(), None)]));
    let embedding = rows[rows.len() - model.config.hidden_size..].to_vec();
    let mut reasoner = Reasoner::new(&model, prompts, CONTEXT).unwrap();
    let options = ThinkOptions {
        budget: THOUGHT,
        sampling: Sampling::GREEDY,
        rollouts: 1,
        direct: false,
        settled: None,
        batch: 1,
    };
    let question = Question { ids: query, key: 0 };
    let thoughts = reasoner.think(&[question], &options).unwrap();
    (embedding, thoughts[0][0].tokens.clone())
}

/// Two pairs, each embedded without a thought and with one that is learned.
fn batch(opened: &ModelFolder, prompts: &Prompts) -> TrainBatch {
    let tokenizer = &opened.tokenizer;
    let mut batch = TrainBatch::default();
    for (at, (query, thought, title)) in PAIRS.into_iter().enumerate() {
        let thought = prompts.thought(tokenizer, thought, THOUGHT).unwrap();
        let learned = Branch::embedding(prompts.branch(&thought), at as u32).learned();
        batch.samples.push(Sample {
            query: prompts.query(tokenizer, query).unwrap(),
            branches: vec![Branch::embedding(vec![prompts.emb], at as u32), learned],
            positives: vec![at as u64],
        });
        let mut ids = prompts.item(tokenizer, title).unwrap();
        ids.push(prompts.emb);
        batch.items.push(BatchItem {
            key: at as u64,
            ids,
        });
    }
    batch
}

/// The loss and the gradient of all tensors.
fn step<D: Device>(opened: &ModelFolder, prompts: &Prompts, device: Arc<D>) -> (f64, Vec<f32>) {
    let model = opened.load(device.clone(), None, CONTEXT).unwrap();
    let mut gradients = model.zero_gradients().unwrap();
    let weights = Weights {
        sft: 0.1,
        info_nce: 1.0,
        temperature: 0.05,
    };
    let losses = Objective::new(&model, Pooling::Emb)
        .unwrap()
        .step(
            &model,
            prompts,
            &batch(opened, prompts),
            2,
            &weights,
            &mut gradients,
        )
        .unwrap();
    let slots = layout(&model.config);
    let flat = slots.iter().zip(gradients.iter());
    let flat = flat.flat_map(|(slot, g)| device.download(g, slot.len()).unwrap());
    (losses.loss, flat.collect())
}

fn gpu() -> Arc<Cuda<half::bf16>> {
    Arc::new(Cuda::new(driver()).unwrap())
}

#[test]
fn it_embeds_and_thinks_as_on_the_cpu() {
    let Some((opened, prompts)) = open() else {
        return;
    };
    let (want, thought) = infer(&opened, &prompts, Arc::new(Cpu::new(Multiply::F32)));
    let (got, same) = infer(&opened, &prompts, gpu());
    let likeness = cosine(&got, &want);
    assert!(likeness >= 0.9995, "{likeness}");
    assert_eq!(same, thought);
    assert!(!thought.is_empty());
}

/// The base model's embeddings are nearly the same for every text, so that InfoNCE's gradient is of small
/// differences: of it alone the CPU with bf16 factors has a cosine of 0.998 with f32, of the next-token
/// loss alone 0.9998.
#[test]
fn it_learns_as_on_the_cpu() {
    let Some((opened, prompts)) = open() else {
        return;
    };
    let (want, gradient) = step(&opened, &prompts, Arc::new(Cpu::new(Multiply::F32)));
    let (loss, got) = step(&opened, &prompts, gpu());
    assert!((loss - want).abs() <= 5e-3 * want.abs(), "{loss} {want}");
    let likeness = cosine(&got, &gradient);
    assert!(likeness >= 0.997, "{likeness}");
}
