//! Embedding lookup in a table of 49,155 rows of 576 elements, for one id (decoding) and for 512, in
//! bytes written a second; and its backward, in bytes moved.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::embedding::Embedding;
use lrem::ops::linear::{Linear, Weight, WeightFormat};
use lrem::ops::philox::PhiloxStream;

const VOCAB: usize = 49_155;
const HIDDEN: usize = 576;

fn embedding(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut random = PhiloxStream::new(0, 0);
    let mut table: Vec<f32> = (0..VOCAB * HIDDEN).map(|_| random.normal()).collect();
    let ids: Vec<u32> = (0..512).map(|_| random.below(VOCAB) as u32).collect();
    let mut out = vec![0.0; ids.len() * HIDDEN];
    let packed = [WeightFormat::Bf16, WeightFormat::Int8]
        .map(|format| device.pack(&table, VOCAB, HIDDEN, format).unwrap());
    let mut group = c.benchmark_group("embedding");
    for tokens in [1, 512] {
        let ids = &ids[..tokens];
        group.throughput(Throughput::Bytes((4 * tokens * HIDDEN) as u64));
        let tables = [
            ("F32", Weight::Master(&table)),
            ("Bf16", Weight::Packed(&packed[0])),
            ("Int8", Weight::Packed(&packed[1])),
        ];
        for (name, table) in tables {
            group.bench_function(format!("{name} {tokens}"), |b| {
                b.iter(|| {
                    device
                        .embedding(VOCAB, HIDDEN, table, ids, &mut out)
                        .unwrap()
                });
            });
        }
    }
    group.throughput(Throughput::ElementsAndBytes {
        elements: out.len() as u64,
        bytes: 12 * out.len() as u64,
    });
    group.bench_function("backward 512", |b| {
        b.iter(|| {
            device
                .embedding_backward(VOCAB, HIDDEN, &out, &ids, &mut table)
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
