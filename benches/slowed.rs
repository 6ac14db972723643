//! What `make bench-compare-proof` compares with itself and with a slower build: three ops, of which
//! RMSNorm is called 21 times in place of 20 in a build with `LREM_SLOWED` set.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use lrem::ops::rms_norm::{NormShape, RmsNorm};
use lrem::ops::swiglu::SwiGlu;
use shared::normals;

const ROWS: usize = 50;
const CALLS: usize = match option_env!("LREM_SLOWED") {
    Some(_) => 21,
    None => 20,
};
const DIM: usize = 576;

fn slowed(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut group = c.benchmark_group("slowed");
    let shape = NormShape {
        rows: ROWS,
        dim: DIM,
        eps: 1e-5,
    };
    let (x, w, mut y) = (normals(ROWS * DIM), normals(DIM), vec![0.0; ROWS * DIM]);
    group.bench_function("rms_norm", |b| {
        b.iter(|| (0..CALLS).for_each(|_| device.rms_norm(shape, &x, &w, &mut y).unwrap()));
    });
    let (gate_up, mut out) = (normals(ROWS * 2 * DIM), vec![0.0; ROWS * DIM]);
    group.bench_function("swiglu", |b| {
        b.iter(|| device.swiglu(ROWS, DIM, &gate_up, &mut out).unwrap());
    });
    let packed = device
        .pack(&normals(DIM * DIM), DIM, DIM, WeightFormat::F32)
        .unwrap();
    let shape = LinearShape {
        m: ROWS,
        n: DIM,
        k: DIM,
    };
    group.bench_function("linear", |b| {
        let w = Weight::Packed(&packed);
        b.iter(|| device.linear(shape, &x, w, None, &mut out, false).unwrap());
    });
}

criterion_group!(benches, slowed);
criterion_main!(benches);
