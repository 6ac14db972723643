//! The engine end to end on SmolLM2-135M: prefill, embedding, decoding and the cold-start step, the
//! same work as `lrem bench engine`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::bench::{ColdStartStep, DECODED, Decode, Encode, PAIRS, QUERIES, ROLLOUTS, RlStep};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::{ModelFolder, NewTokens};
use lrem::ops::linear::WeightFormat;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MODEL: &str = ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const CONTEXT: usize = 2048;

fn engine(c: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    if !path.exists() {
        eprintln!("{MODEL} is missing; `make setup` fetches it");
        return;
    }
    let device = Arc::new(Cpu::new(Multiply::Bf16));
    let folder = ModelFolder::open(&path, &NewTokens::default()).unwrap();
    let mut group = c.benchmark_group("engine");
    for format in [WeightFormat::Bf16, WeightFormat::Int8] {
        let model = folder.load(device.clone(), Some(format), CONTEXT).unwrap();
        for (name, sequences, len) in [("prefill 512", 1, 512), ("embed 64x24", 64, 24)] {
            let mut workload = Encode::new(&model, sequences, len).unwrap();
            group.throughput(Throughput::Elements((sequences * len) as u64));
            group.bench_function(format!("{name} {format:?}"), |b| {
                b.iter(|| workload.run(&model).unwrap());
            });
        }
        for sequences in [1, 8, 64] {
            let mut workload = Decode::new(&model, sequences).unwrap();
            group.throughput(Throughput::Elements((sequences * DECODED) as u64));
            group.bench_function(format!("decode batch {sequences} {format:?}"), |b| {
                // The contexts are read before each run and do not count.
                b.iter_custom(|runs| (0..runs).map(|_| workload.run(&model).unwrap()).sum());
            });
        }
    }
    let masters = || folder.load(device.clone(), None, CONTEXT).unwrap();
    let mut workload = ColdStartStep::new(masters()).unwrap();
    group.throughput(Throughput::Elements(PAIRS as u64));
    group.bench_function(format!("cold-start step {PAIRS} pairs"), |b| {
        b.iter(|| workload.run().unwrap());
    });
    let mut workload = RlStep::new(masters()).unwrap();
    group.throughput(Throughput::Elements(QUERIES as u64));
    group.bench_function(format!("RL step {QUERIES} queries x {ROLLOUTS}"), |b| {
        b.iter(|| workload.run().unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(8));
    targets = engine
}
criterion_main!(benches);
