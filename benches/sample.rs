//! Sampling from vocabularies of 49,155 and 151,936 tokens, for one row and for 64, in bytes of logits a
//! second.
//!
//! "peaked" logits are a language model's in the middle of a sentence (a few hundred tokens hold 99 %),
//! "flat" ones are the worst case, where filters keep most of the vocabulary.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::philox::PhiloxStream;
use lrem::ops::sample::{Sample, Sampling};

const VOCABULARIES: [usize; 2] = [49_155, 151_936];

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
    let kinds = [("peaked", 3.0), ("flat", 0.2)];
    for (vocab, (name, scale)) in VOCABULARIES.into_iter().flat_map(|v| kinds.map(|k| (v, k))) {
        let mut random = PhiloxStream::new(0, 0);
        let logits: Vec<f32> = (0..64 * vocab).map(|_| scale * random.normal()).collect();
        for rows in [1, 64] {
            let keys: Vec<(u64, u32)> = (0..rows).map(|i| (i, 0)).collect();
            let mut group = c.benchmark_group(format!("sample/{vocab} {name}/{rows}"));
            group.throughput(Throughput::Bytes(4 * rows * vocab as u64));
            for (setting, sampling) in &settings {
                group.bench_function(*setting, |b| {
                    b.iter(|| {
                        device
                            .sample(vocab, &logits, sampling, &keys, &[2])
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
