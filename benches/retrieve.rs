//! Search among 20,000 items: all of them, and by graph.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::WeightFormat;
use lrem::ops::philox::PhiloxStream;
use lrem::retrieve::approximate::{ApproximateIndex, Graph};
use lrem::retrieve::exact::ExactIndex;

const ITEMS: usize = 20_000;
const QUERIES: usize = 64;
const HIDDEN: usize = 576;
const TOP: usize = 10;

/// Unit rows around a few hundred centres, as titles are around their product families.
fn rows(random: &mut PhiloxStream, count: usize, centres: &[f32]) -> Vec<f32> {
    let families = centres.len() / HIDDEN;
    let mut rows = Vec::with_capacity(count * HIDDEN);
    for _ in 0..count {
        let family = random.below(families) * HIDDEN;
        let row: Vec<f32> = centres[family..family + HIDDEN]
            .iter()
            .map(|x| x + 0.5 * random.normal())
            .collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        rows.extend(row.iter().map(|x| x / norm));
    }
    rows
}

fn retrieve(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut random = PhiloxStream::new(0, 0);
    let centres: Vec<f32> = (0..300 * HIDDEN).map(|_| random.normal()).collect();
    let items = rows(&mut random, ITEMS, &centres);
    let queries = rows(&mut random, QUERIES, &centres);
    let mut group = c.benchmark_group("retrieve");
    group.throughput(Throughput::Elements(QUERIES as u64));
    for format in WeightFormat::ALL {
        let index = ExactIndex::new(&device, HIDDEN, &items, format).unwrap();
        group.bench_function(format!("exact {format:?}"), |b| {
            b.iter(|| index.search(&device, &queries, TOP).unwrap());
        });
    }
    let graph = ApproximateIndex::build(HIDDEN, &items, &Graph::default()).unwrap();
    group.bench_function("graph", |b| {
        b.iter(|| graph.search(&queries, TOP).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = retrieve
}
criterion_main!(benches);
