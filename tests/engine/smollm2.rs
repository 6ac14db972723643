//! SmolLM2-135M on a GPU against the CPU: one embedding, one thought, one step of training. `make setup`
//! fetches the model; without it, or without kernels, nothing is compared.

use crate::common::{HOPPER, driver, gpu_bf16, hopper};
use crate::gpu::{cosine, states};
use lrem::data::{read_catalogue, read_triplets};
use lrem::device::Device;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::device::cuda::{Cuda, Driver};
use lrem::embed::{ModelFolder, NewTokens, Pooling};
use lrem::ops::forest::Forest;
use lrem::ops::linear::WeightFormat;
use lrem::ops::sample::Sampling;
use lrem::reason::{Question, Reasoner, ThinkOptions};
use lrem::text::Prompts;
use lrem::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use lrem::train::objective::{Objective, Weights};
use std::path::Path;
use std::sync::Arc;

const QUERY: &str = "puppy peed in the living room how to stop the smell";
/// Pairs of a step of training. The base model's embeddings are nearly the same for every text, so that InfoNCE's
/// gradient is of small differences: of two pairs its cosine with the CPU's is 0.992.
const PAIRS: usize = 24;
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
    let query = prompts.query(&opened.tokenizer, QUERY).unwrap();
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

/// Pairs of the bundled shop from all over its training data, each embedded without a thought and with one that is
/// learned.
fn batch(opened: &ModelFolder, prompts: &Prompts) -> TrainBatch {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/shop");
    let catalogue = read_catalogue(&shop.join("catalogue.jsonl")).unwrap();
    let triplets = read_triplets(&shop.join("train.jsonl"), Some(&catalogue)).unwrap();
    let tokenizer = &opened.tokenizer;
    let mut batch = TrainBatch::default();
    let pairs = triplets.iter().step_by(triplets.len() / PAIRS).take(PAIRS);
    for (at, triplet) in (0..).zip(pairs) {
        let thought = triplet.cot.as_deref().unwrap_or_default();
        let thought = prompts.thought(tokenizer, thought, THOUGHT).unwrap();
        let learned = Branch::embedding(prompts.branch(&thought), at).learned();
        batch.samples.push(Sample {
            query: prompts.query(tokenizer, &triplet.query).unwrap(),
            branches: vec![Branch::embedding(vec![prompts.emb], at), learned],
            positives: vec![at.into()],
        });
        let title = &catalogue.get(&triplet.items[0]).unwrap().title;
        let mut ids = prompts.item(tokenizer, title).unwrap();
        ids.push(prompts.emb);
        let key = at.into();
        batch.items.push(BatchItem { key, ids });
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
            PAIRS,
            &weights,
            &mut gradients,
        )
        .unwrap();
    let flat = gradients.iter().flat_map(|g| g.read(&*device).unwrap());
    (losses.loss, flat.collect())
}

/// The GPUs that the tests have: the first, and a virtual Hopper.
fn gpus() -> Vec<Arc<Cuda<half::bf16>>> {
    let first = Cuda::new(driver()).unwrap();
    let hopper = hopper().map(|_| Cuda::on(Driver::Simt, HOPPER).unwrap());
    [Some(first), hopper]
        .into_iter()
        .flatten()
        .map(Arc::new)
        .collect()
}

#[test]
fn it_embeds_and_thinks_as_on_the_cpu() {
    let Some((opened, prompts)) = open() else {
        return;
    };
    let (want, thought) = infer(&opened, &prompts, Arc::new(Cpu::new(Multiply::F32)));
    assert!(!thought.is_empty());
    for gpu in gpus() {
        let name = gpu.context().name.clone();
        let (got, same) = infer(&opened, &prompts, gpu);
        let likeness = cosine(&got, &want);
        assert!(likeness >= 0.9995, "{name}: {likeness}");
        assert_eq!(same, thought, "{name}");
    }
}

#[test]
fn it_learns_as_on_the_cpu() {
    let Some((opened, prompts)) = open() else {
        return;
    };
    let (want, gradient) = step(&opened, &prompts, Arc::new(Cpu::new(Multiply::F32)));
    for gpu in gpus() {
        let name = gpu.context().name.clone();
        let (loss, got) = step(&opened, &prompts, gpu);
        assert!(
            (loss - want).abs() <= 5e-3 * want.abs(),
            "{name}: {loss} {want}"
        );
        let likeness = cosine(&got, &gradient);
        assert!(likeness >= 0.999, "{name}: {likeness}");
    }
}
