//! Embedding lookup in three models' tables, for one id (decoding) and for 512, and its backward, in bytes
//! moved a second.

mod shared;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::embedding::Embedding;
use lrem::ops::linear::{Linear, Weight, WeightFormat};
use lrem::ops::philox::PhiloxStream;
use shared::{MODELS, Model, plain, weight_bytes, work};

fn embedding(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let &Model { vocab, hidden, .. } = model;
    let device = Cpu::new(Multiply::F32);
    let mut random = PhiloxStream::new(0, 0);
    let mut table = plain(vocab * hidden);
    let ids: Vec<u32> = (0..512).map(|_| random.below(vocab) as u32).collect();
    let mut out = vec![0.0; ids.len() * hidden];
    let packed = [WeightFormat::Bf16, WeightFormat::Int8, WeightFormat::Int4]
        .map(|format| device.pack(&table, vocab, hidden, format).unwrap());
    let mut group = c.benchmark_group(format!("embedding/{}", model.name));
    for tokens in [1, 512] {
        let ids = &ids[..tokens];
        let tables = [
            (WeightFormat::F32, Weight::Master(&table)),
            (WeightFormat::Bf16, Weight::Packed(&packed[0])),
            (WeightFormat::Int8, Weight::Packed(&packed[1])),
            (WeightFormat::Int4, Weight::Packed(&packed[2])),
        ];
        for (format, table) in tables {
            let written = 4.0;
            let bytes = (weight_bytes(format) + written) * (tokens * hidden) as f64;
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(format!("{format:?} {tokens}"), |b| {
                b.iter(|| {
                    device
                        .embedding(vocab, hidden, table, ids, &mut out)
                        .unwrap()
                });
            });
        }
    }
    group.throughput(work(out.len(), 3 * out.len()));
    group.bench_function("backward 512", |b| {
        b.iter(|| {
            device
                .embedding_backward(vocab, hidden, &out, &ids, &mut table)
                .unwrap()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = embedding
}
criterion_main!(benches);
