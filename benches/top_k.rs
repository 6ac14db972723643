//! Top-10 search among 20,000 items of three models' width, for one query and for 64.

mod shared;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::{Linear, WeightFormat};
use lrem::ops::top_k::TopK;
use shared::{MODELS, Model, normals, weight_bytes};

fn top_k(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let device = Cpu::new(Multiply::F32);
    let (items, hidden) = (20_000, model.hidden);
    let (rows, queries) = (normals(items * hidden), normals(64 * hidden));
    for format in WeightFormat::ALL {
        let packed = device.pack(&rows, items, hidden, format).unwrap();
        let element = weight_bytes(format);
        let mut group = c.benchmark_group(format!("top_k/{}/{format:?}", model.name));
        for n in [1, 64] {
            group.throughput(Throughput::ElementsAndBytes {
                elements: 2 * (n * items * hidden) as u64,
                bytes: ((items * hidden) as f64 * element) as u64 + (4 * n * hidden) as u64,
            });
            group.bench_function(format!("{n} queries"), |b| {
                b.iter(|| {
                    device
                        .top_k(n, hidden, &queries, items, &packed, 10)
                        .unwrap()
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = top_k
}
criterion_main!(benches);
