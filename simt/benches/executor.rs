//! Lane instructions and matrix products a second, one host thread, and the time of an empty launch.
//!
//! `cargo bench -p simt`; throughput "elements" are lane instructions, or floating-point operations.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simt::count::record::{RangeRecord, Record};
use simt::count::{Model, Output, Profile};
use simt::driver::Chip;
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::exec::program::Program;
use simt::memory::Arena;
use simt::ptx::{decode::decode, parser::parse};
use std::hint::black_box;
use std::sync::Arc;

const LIMITS: ChipLimits = ChipLimits {
    multiprocessors: 132,
    warps_per_sm: 64,
};

struct Bench {
    arena: Arena,
    program: Arc<Program>,
    counters: bool,
}

/// Takes the records of counted launches.
struct Forgotten;

impl Output for Forgotten {
    fn write(&self, record: &Record) {
        black_box(record);
    }

    fn write_range(&self, record: &RangeRecord) {
        black_box(record);
    }
}

impl Bench {
    fn new(ptx: &str) -> Bench {
        let mut arena = Arena::new(1 << 30).expect("memory");
        let module = parse(ptx).expect("PTX");
        let mut allocate = |bytes: u64, _| arena.allocate(bytes).ok();
        let (program, _) = decode(&module, &mut allocate).expect("a program");
        Bench {
            arena,
            program: Arc::new(program),
            counters: false,
        }
    }

    fn launch(&mut self, entry: &str, grid: u32, block: u32, shared: u32, params: &[u8]) -> Launch {
        let function = self.program.functions.iter().position(|f| f.name == entry);
        let shape = Shape {
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            cluster: None,
            cooperative: false,
            dynamic_shared: shared,
        };
        let memory = self.arena.allocations();
        let mut launch = Launch::new(
            Arc::clone(&self.program),
            function.expect("an entry"),
            &shape,
            params.to_vec(),
            memory,
            LIMITS,
        );
        if self.counters {
            let model = Model::of(Chip::of(0));
            let profile = Profile::new(model, Arc::new(Forgotten));
            launch.watches.push(Arc::new(profile));
        }
        launch
    }
}

/// Instructions of the loops, which are counted in `tests/ptx/kernels.ptx`.
fn scalar(c: &mut Criterion) {
    let mut bench = Bench::new(include_str!("../tests/ptx/kernels.ptx"));
    let out = bench.arena.allocate(1 << 20).expect("memory");
    let rounds = 10_000u32;
    let mut group = c.benchmark_group("lane instructions");
    for (name, entry, counters) in [
        ("fma_loop", "fma_loop", false),
        ("int_loop", "int_loop", false),
        ("fma_loop, counters", "fma_loop", true),
    ] {
        bench.counters = counters;
        let mut params = out.to_le_bytes().to_vec();
        params.extend(rounds.to_le_bytes());
        params.extend(0.5f32.to_le_bytes());
        params.extend(1.0f32.to_le_bytes());
        group.throughput(Throughput::Elements(
            u64::from(rounds) / 4 * FOUR_ROUNDS * 256,
        ));
        group.bench_function(name, |b| {
            b.iter(|| {
                bench
                    .launch(entry, 1, 256, 0, &params)
                    .run(1)
                    .expect("no fault")
            });
        });
    }
    group.finish();
}

/// The compiler unrolled four rounds: 64 fused multiply-adds, or 16 times a shift, an exclusive or, a
/// sum and a multiply-add; then a sum, a comparison and a branch.
const FOUR_ROUNDS: u64 = 67;

/// The same work on one and on two host threads.
fn scaling(c: &mut Criterion) {
    let mut bench = Bench::new(include_str!("../tests/ptx/kernels.ptx"));
    let out = bench.arena.allocate(1 << 20).expect("memory");
    let mut params = out.to_le_bytes().to_vec();
    params.extend(10_000u32.to_le_bytes());
    let mut group = c.benchmark_group("int_loop, 16 blocks");
    for threads in [1, 2] {
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter(|| {
                let launch = bench.launch("int_loop", 16, 256, 0, &params);
                launch.run(threads).expect("no fault");
            });
        });
    }
    group.finish();
}

fn products(c: &mut Criterion) {
    let size = 512u64;
    let mut group = c.benchmark_group("bf16 flops");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(2 * size * size * size));
    let cute = include_str!("../tests/ptx/cute_sm80_gemm.ptx");
    for (name, entry, ptx, shared, extra) in [
        ("cute", "gemm_tn", cute, 0, 0),
        ("cute, counters", "gemm_tn", cute, 0, 0),
        (
            "triton",
            "mm",
            include_str!("../tests/ptx/triton_matmul_sm80.ptx"),
            65536,
            20,
        ),
    ] {
        let mut bench = Bench::new(ptx);
        bench.counters = name.ends_with("counters");
        let mut params = Vec::new();
        for bytes in [2, 2, 4] {
            let at = bench.arena.allocate(bytes * size * size).expect("memory");
            params.extend(at.to_le_bytes());
        }
        for _ in 0..3 {
            params.extend((size as u32).to_le_bytes());
        }
        params.resize(params.len() + extra, 0);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut launch = bench.launch(entry, 4, 128, shared, &params);
                launch.grid = [4, 4, 1];
                launch.run(1).expect("no fault");
            });
        });
    }
    group.finish();
}

fn overhead(c: &mut Criterion) {
    let ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry nothing() { ret; }";
    let mut bench = Bench::new(ptx);
    c.bench_function("empty launch", |b| {
        b.iter(|| {
            black_box(bench.launch("nothing", 1, 32, 0, &[]))
                .run(1)
                .expect("no fault")
        });
    });
}

criterion_group!(benches, scalar, scaling, products, overhead);
criterion_main!(benches);
