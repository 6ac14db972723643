//! Attention with the heads of three models: a long sequence, rollouts below a shared trunk, and a step of decoding from the cache.
//!
//! Throughput is in bytes moved, and in flops of the products: 4 · head_dim · num_heads · visible keys forward (as in
//! FlashAttention, 2.5 times that backward).

mod shared;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::attention::{Attention, Heads, KeysValues, reference::visible};
use lrem::ops::forest::{Forest, Mask, Segment, Span};
use shared::{MODELS, normals, work};

fn flops(heads: &Heads, forest: &Forest) -> usize {
    let seen = |s: &Segment| {
        (0..s.rows.len())
            .map(|i| visible(s, i).len())
            .sum::<usize>()
    };
    let keys: usize = forest.segments.iter().map(seen).sum();
    4 * heads.q_dim() * keys
}

/// Forward and backward over packed keys.
fn packed(
    group: &mut BenchmarkGroup<'_, WallTime>,
    heads: &Heads,
    name: &str,
    parts: &[(usize, Option<usize>)],
) {
    let device = Cpu::new(Multiply::F32);
    let forest = Forest::packed(parts);
    let tokens = forest.tokens();
    let (qkv, dout) = (
        normals(tokens * heads.qkv_dim()),
        normals(tokens * heads.q_dim()),
    );
    let (mut out, mut dqkv) = (dout.clone(), qkv.clone());
    let mut lse = vec![0.0; tokens * heads.num_heads];
    group.throughput(work(
        flops(heads, &forest),
        qkv.len() + out.len() + lse.len(),
    ));
    group.bench_function(format!("{name} forward"), |b| {
        b.iter(|| {
            let lse = Some(&mut lse);
            device
                .attention(heads, &forest, &qkv, KeysValues::Packed, &mut out, lse)
                .unwrap();
        });
    });
    group.throughput(work(
        flops(heads, &forest) * 5 / 2,
        2 * (qkv.len() + out.len()) + lse.len(),
    ));
    group.bench_function(format!("{name} backward"), |b| {
        b.iter(|| {
            device
                .attention_backward(heads, &forest, &qkv, &out, &lse, &dout, &mut dqkv)
                .unwrap();
        });
    });
}

/// One token for each of `rows` sequences of 128 below a trunk of 256.
fn decode(group: &mut BenchmarkGroup<'_, WallTime>, heads: &Heads, rows: usize) {
    let device = Cpu::new(Multiply::F32);
    let (trunk, len) = (256, 128);
    let segment = |i: usize| Segment {
        rows: i..i + 1,
        own: Span {
            start: trunk + i * len,
            len,
        },
        mask: Mask::Causal,
        ancestors: vec![Span {
            start: 0,
            len: trunk,
        }],
        parent: None,
    };
    let forest = Forest {
        segments: (0..rows).map(segment).collect(),
    };
    let cache = normals((trunk + rows * len) * heads.kv_dim());
    let (qkv, mut out) = (
        normals(rows * heads.qkv_dim()),
        vec![0.0; rows * heads.q_dim()],
    );
    group.throughput(work(flops(heads, &forest), 2 * (cache.len() + out.len())));
    group.bench_function(format!("decode {rows}"), |b| {
        b.iter(|| {
            let kv = KeysValues::Cache {
                keys: &cache,
                values: &cache,
            };
            device
                .attention(heads, &forest, &qkv, kv, &mut out, None)
                .unwrap();
        });
    });
}

fn attention(c: &mut Criterion) {
    for model in &MODELS {
        let heads = &model.heads;
        let mut group = c.benchmark_group(format!("attention/{}", model.name));
        packed(&mut group, heads, "512 tokens", &[(512, None)]);
        let rollouts = [vec![(256, None)], vec![(32, Some(0)); 16]].concat();
        packed(&mut group, heads, "16 rollouts below a trunk", &rollouts);
        for rows in [1, 64] {
            decode(&mut group, heads, rows);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = attention
}
criterion_main!(benches);
