//! RMSNorm over rows of 576 elements, for one row (decoding) and for 512, in flops and in bytes
//! moved a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::philox::PhiloxStream;
use lrem::ops::rms_norm::{NormShape, RmsNorm};

/// Flops, and bytes of `floats` that move.
fn work(flops: usize, floats: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: flops as u64,
        bytes: 4 * floats as u64,
    }
}

fn rms_norm(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut group = c.benchmark_group("rms_norm");
    for rows in [1, 512] {
        let shape = NormShape {
            rows,
            dim: 576,
            eps: 1e-5,
        };
        let len = rows * shape.dim;
        let mut random = PhiloxStream::new(0, 0);
        let mut normals = |len: usize| -> Vec<f32> { (0..len).map(|_| random.normal()).collect() };
        let (x, delta, w) = (normals(len), normals(len), normals(shape.dim));
        let (mut sum, mut y, mut dw) = (x.clone(), x.clone(), w.clone());
        group.throughput(work(4 * len, 2 * len));
        group.bench_function(format!("plain {rows}"), |b| {
            b.iter(|| device.rms_norm(shape, &x, &w, &mut y).unwrap());
        });
        group.throughput(work(5 * len, 4 * len));
        group.bench_function(format!("with the residual {rows}"), |b| {
            b.iter(|| {
                device
                    .add_rms_norm(shape, &x, &delta, &w, &mut sum, &mut y)
                    .unwrap()
            });
        });
        group.throughput(work(12 * len, 4 * len));
        group.bench_function(format!("backward {rows}"), |b| {
            b.iter(|| {
                // Gradients add up, and would grow without bound.
                y.fill(0.0);
                dw.fill(0.0);
                device
                    .rms_norm_backward(shape, &x, &w, &delta, &mut y, &mut dw)
                    .unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = rms_norm
}
criterion_main!(benches);
