//! What the ops' suites share: the models whose shapes they have, their numbers, what an iteration does.
#![allow(dead_code, reason = "every suite takes a part of it")]

use criterion::Throughput;
use lrem::ops::attention::Heads;
use lrem::ops::linear::WeightFormat;
use lrem::ops::philox::PhiloxStream;

/// The sizes of a model's layers.
#[derive(Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    pub hidden: usize,
    pub intermediate: usize,
    pub vocab: usize,
    pub heads: Heads,
}

pub const MODELS: [Model; 3] = [
    model("SmolLM2-135M", [576, 1536, 49_155], [9, 3, 64]),
    model("Qwen2.5-0.5B", [896, 4864, 151_936], [14, 2, 64]),
    model("Qwen2.5-3B", [2048, 11_008, 151_936], [16, 2, 128]),
];

const fn model(
    name: &'static str,
    [hidden, intermediate, vocab]: [usize; 3],
    [num_heads, num_kv_heads, head_dim]: [usize; 3],
) -> Model {
    Model {
        name,
        hidden,
        intermediate,
        vocab,
        heads: Heads {
            num_heads,
            num_kv_heads,
            head_dim,
        },
    }
}

/// The same normal numbers each time.
pub fn normals(len: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(0, 0);
    (0..len).map(|_| random.normal()).collect()
}

/// Numbers that are quick to make, for arrays of gigabytes.
pub fn plain(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect()
}

/// Bytes of a weight on the CPU, with its part of the scale that 32 share.
pub fn weight_bytes(format: WeightFormat) -> f64 {
    match format {
        WeightFormat::F32 => 4.0,
        WeightFormat::Bf16 => 2.0,
        WeightFormat::Int8 => 1.125,
        WeightFormat::Int4 => 0.625,
    }
}

/// Flops, and bytes of `floats` that move.
pub fn work(flops: usize, floats: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: flops as u64,
        bytes: 4 * floats as u64,
    }
}
