//! RoPE and the q/k norm on 9 query and 3 key heads of 64 elements, for one row (decoding) and for
//! 512, in flops and in bytes moved a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::attention::Heads;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::rope::{Rope, RopeTable};

const HEADS: Heads = Heads {
    num_heads: 9,
    num_kv_heads: 3,
    head_dim: 64,
};

/// Flops, and bytes of `floats` that move.
fn work(flops: usize, floats: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: flops as u64,
        bytes: 4 * floats as u64,
    }
}

fn rope(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let half = HEADS.head_dim / 2;
    let angles =
        (0..512 * half).map(|i| (i / half) as f32 * 1e-4f32.powf((i % half) as f32 / 32.0));
    let (cos, sin) = angles.map(|a| (a.cos(), a.sin())).unzip();
    let table = RopeTable {
        cos,
        sin,
        positions: 512,
    };
    let mut group = c.benchmark_group("rope");
    for tokens in [1, 512] {
        let positions: Vec<u32> = (0..tokens as u32).collect();
        let mut random = PhiloxStream::new(0, 0);
        let mut normals = |len: usize| -> Vec<f32> { (0..len).map(|_| random.normal()).collect() };
        let len = tokens * HEADS.qkv_dim();
        let (mut rows, qkv) = (normals(len), normals(len));
        let (q, k) = (normals(HEADS.head_dim), normals(HEADS.head_dim));
        let rotated = tokens * (HEADS.q_dim() + HEADS.kv_dim());
        group.throughput(work(3 * rotated, 2 * rotated));
        group.bench_function(format!("rotate {tokens}"), |b| {
            b.iter(|| device.rope(&HEADS, &table, &positions, &mut rows).unwrap());
        });
        group.bench_function(format!("rotate back {tokens}"), |b| {
            b.iter(|| {
                device
                    .rope_backward(&HEADS, &table, &positions, &mut rows)
                    .unwrap()
            });
        });
        group.throughput(work(4 * rotated, 2 * len));
        group.bench_function(format!("q/k norm {tokens}"), |b| {
            b.iter(|| {
                device
                    .qk_norm(&HEADS, 1e-6, tokens, &qkv, &q, &k, &mut rows)
                    .unwrap()
            });
        });
        let (mut dq, mut dk) = (q.clone(), k.clone());
        group.throughput(work(12 * rotated, 3 * len));
        group.bench_function(format!("q/k norm backward {tokens}"), |b| {
            b.iter(|| {
                // In place: its own output would shrink or grow from run to run.
                rows.fill(1.0);
                device
                    .qk_norm_backward(
                        &HEADS, 1e-6, tokens, &qkv, &q, &k, &mut rows, &mut dq, &mut dk,
                    )
                    .unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = rope
}
criterion_main!(benches);
