//! Attention with the heads of a 135M model (9 query heads, 3 key heads of 64 elements): a long
//! sequence, rollouts below a shared trunk, and a step of decoding from the cache.
//!
//! Throughput is in bytes moved, and in flops of the products: 4 · head_dim · num_heads · visible keys forward (as in
//! FlashAttention, 2.5 times that backward).

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::attention::{Attention, Heads, KeysValues, reference::visible};
use lrem::ops::forest::{Forest, Segment, Span};
use lrem::ops::philox::PhiloxStream;

const HEADS: Heads = Heads {
    num_heads: 9,
    num_kv_heads: 3,
    head_dim: 64,
};

fn normals(len: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(0, 0);
    (0..len).map(|_| random.normal()).collect()
}

/// Flops, and bytes of `floats` that move.
fn work(flops: u64, floats: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: flops,
        bytes: 4 * floats as u64,
    }
}

fn flops(forest: &Forest) -> u64 {
    let seen = |s: &Segment| {
        (0..s.rows.len())
            .map(|i| visible(s, i).len())
            .sum::<usize>()
    };
    let keys: usize = forest.segments.iter().map(seen).sum();
    (4 * HEADS.q_dim() * keys) as u64
}

/// Forward and backward over packed keys.
fn packed(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, parts: &[(usize, Option<usize>)]) {
    let device = Cpu::new(Multiply::F32);
    let forest = Forest::packed(parts);
    let tokens = forest.tokens();
    let (qkv, dout) = (
        normals(tokens * HEADS.qkv_dim()),
        normals(tokens * HEADS.q_dim()),
    );
    let (mut out, mut dqkv) = (dout.clone(), qkv.clone());
    let mut lse = vec![0.0; tokens * HEADS.num_heads];
    group.throughput(work(flops(&forest), qkv.len() + out.len() + lse.len()));
    group.bench_function(format!("{name} forward"), |b| {
        b.iter(|| {
            let lse = Some(&mut lse);
            device
                .attention(&HEADS, &forest, &qkv, KeysValues::Packed, &mut out, lse)
                .unwrap();
        });
    });
    group.throughput(work(
        flops(&forest) * 5 / 2,
        2 * (qkv.len() + out.len()) + lse.len(),
    ));
    group.bench_function(format!("{name} backward"), |b| {
        b.iter(|| {
            device
                .attention_backward(&HEADS, &forest, &qkv, &out, &lse, &dout, &mut dqkv)
                .unwrap();
        });
    });
}

/// One token for each of `rows` sequences of 128 below a trunk of 256.
fn decode(group: &mut BenchmarkGroup<'_, WallTime>, rows: usize) {
    let device = Cpu::new(Multiply::F32);
    let (trunk, len) = (256, 128);
    let segment = |i: usize| Segment {
        rows: i..i + 1,
        own: Span {
            start: trunk + i * len,
            len,
        },
        ancestors: vec![Span {
            start: 0,
            len: trunk,
        }],
        parent: None,
    };
    let forest = Forest {
        segments: (0..rows).map(segment).collect(),
    };
    let cache = normals((trunk + rows * len) * HEADS.kv_dim());
    let (qkv, mut out) = (
        normals(rows * HEADS.qkv_dim()),
        vec![0.0; rows * HEADS.q_dim()],
    );
    group.throughput(work(flops(&forest), 2 * (cache.len() + out.len())));
    group.bench_function(format!("decode {rows}"), |b| {
        b.iter(|| {
            let kv = KeysValues::Cache {
                keys: &cache,
                values: &cache,
            };
            device
                .attention(&HEADS, &forest, &qkv, kv, &mut out, None)
                .unwrap();
        });
    });
}

fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    packed(&mut group, "512 tokens", &[(512, None)]);
    let rollouts = [vec![(256, None)], vec![(32, Some(0)); 16]].concat();
    packed(&mut group, "16 rollouts below a trunk", &rollouts);
    for rows in [1, 64] {
        decode(&mut group, rows);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = attention
}
criterion_main!(benches);
