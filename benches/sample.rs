//! Sampling from a vocabulary of 49,155, for one row and for 64.
//!
//! "peaked" logits are a language model's in the middle of a sentence (a few hundred tokens hold 99 %),
//! "flat" ones are the worst case, where filters keep most of the vocabulary.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::philox::PhiloxStream;
use lrem::ops::sample::{Sample, Sampling};

const VOCAB: usize = 49_155;

fn sample(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let all = Sampling {
        temperature: 1.0,
        ..Sampling::GREEDY
    };
    let settings = [
        ("greedy", Sampling::GREEDY),
        (
            "temperature 0.7",
            Sampling {
                temperature: 0.7,
                ..all
            },
        ),
        ("top-k 50", Sampling { top_k: 50, ..all }),
        ("top-p 0.95", Sampling { top_p: 0.95, ..all }),
        ("min-p 0.05", Sampling { min_p: 0.05, ..all }),
        (
            "top-k 50, top-p 0.95",
            Sampling {
                top_k: 50,
                top_p: 0.95,
                ..all
            },
        ),
    ];
    for (name, scale) in [("peaked", 3.0), ("flat", 0.2)] {
        let mut random = PhiloxStream::new(0, 0);
        let logits: Vec<f32> = (0..64 * VOCAB).map(|_| scale * random.normal()).collect();
        for rows in [1, 64] {
            let keys: Vec<(u64, u32)> = (0..rows).map(|i| (i, 0)).collect();
            let mut group = c.benchmark_group(format!("sample/{name}/{rows}"));
            group.throughput(Throughput::Elements(rows));
            for (setting, sampling) in &settings {
                group.bench_function(*setting, |b| {
                    b.iter(|| {
                        device
                            .sample(VOCAB, &logits, sampling, &keys, &[2])
                            .unwrap()
                    });
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = sample
}
criterion_main!(benches);
