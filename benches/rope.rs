//! RoPE and the q/k norm on the heads of three models, for one row (decoding) and for 512, in flops and in bytes moved a second.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::rope::{Rope, RopeTable};
use shared::{MODELS, Model, normals, work};

fn rope(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let device = Cpu::new(Multiply::F32);
    let heads = model.heads;
    let half = heads.head_dim / 2;
    let angles =
        (0..512 * half).map(|i| (i / half) as f32 * 1e-4f32.powf((i % half) as f32 / half as f32));
    let (cos, sin) = angles.map(|a| (a.cos(), a.sin())).unzip();
    let table = RopeTable {
        cos,
        sin,
        positions: 512,
    };
    let mut group = c.benchmark_group(format!("rope/{}", model.name));
    for tokens in [1, 512] {
        let positions: Vec<u32> = (0..tokens as u32).collect();
        let len = tokens * heads.qkv_dim();
        let (mut rows, qkv) = (normals(len), normals(len));
        let (q, k) = (normals(heads.head_dim), normals(heads.head_dim));
        let rotated = tokens * (heads.q_dim() + heads.kv_dim());
        group.throughput(work(3 * rotated, 2 * rotated));
        group.bench_function(format!("rotate {tokens}"), |b| {
            b.iter(|| device.rope(&heads, &table, &positions, &mut rows).unwrap());
        });
        group.bench_function(format!("rotate back {tokens}"), |b| {
            b.iter(|| {
                device
                    .rope_backward(&heads, &table, &positions, &mut rows)
                    .unwrap()
            });
        });
        group.throughput(work(4 * rotated, 2 * len));
        group.bench_function(format!("q/k norm {tokens}"), |b| {
            b.iter(|| {
                device
                    .qk_norm(&heads, 1e-6, tokens, &qkv, &q, &k, &mut rows)
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
                        &heads, 1e-6, tokens, &qkv, &q, &k, &mut rows, &mut dq, &mut dk,
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
