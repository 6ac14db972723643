//! What the checks cost: times with and without them, for the bars in `simt/README.md`.

use simt::check::{Check, Checks};
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::exec::program::Program;
use simt::memory::Arena;
use simt::ptx::{decode::decode, parser::parse};
use simt::watch::{Event, Watch};
use std::sync::Arc;
use std::time::Instant;

/// A program in memory of its own, and the checks that may look on.
struct Bench {
    arena: Arena,
    program: Arc<Program>,
    check: Arc<Check>,
}

impl Bench {
    fn new(ptx: &str) -> Bench {
        let mut arena = Arena::new(1 << 28).expect("memory");
        let module = parse(ptx).expect("PTX");
        let mut allocate = |bytes: u64, _| arena.allocate(bytes).ok();
        let (program, _) = decode(&module, &mut allocate).expect("a program");
        let (all, _) = Checks::parse("all");
        Bench {
            arena,
            program: Arc::new(program),
            check: Arc::new(Check::new(all, None)),
        }
    }

    /// Memory that the checks take for written.
    fn buffer(&mut self, bytes: u64) -> u64 {
        let address = self.arena.allocate(bytes).expect("memory");
        self.check.host(&Event::Registered { address, bytes });
        address
    }

    /// Seconds of the fastest of some runs, on one host thread.
    fn seconds(
        &mut self,
        entry: &str,
        grid: [u32; 3],
        block: u32,
        params: &[u8],
        checked: bool,
    ) -> f64 {
        let function = self.program.functions.iter().position(|f| f.name == entry);
        let shape = Shape {
            grid,
            block: [block, 1, 1],
            cluster: None,
            cooperative: false,
            dynamic_shared: 0,
        };
        let limits = ChipLimits {
            multiprocessors: 132,
            warps_per_sm: 64,
        };
        let run = |_| {
            let mut launch = Launch::new(
                Arc::clone(&self.program),
                function.expect("an entry"),
                &shape,
                params.to_vec(),
                self.arena.allocations(),
                limits,
            );
            if checked {
                launch
                    .watches
                    .push(Arc::clone(&self.check) as Arc<dyn Watch>);
            }
            let started = Instant::now();
            launch.run(1).expect("no fault");
            started.elapsed().as_secs_f64()
        };
        (0..7).map(run).fold(f64::INFINITY, f64::min)
    }

    /// How many times slower it is under all checks; they must find nothing.
    fn ratio(&mut self, entry: &str, grid: [u32; 3], block: u32, params: &[u8]) -> f64 {
        let plain = self.seconds(entry, grid, block, params, false);
        let checked = self.seconds(entry, grid, block, params, true);
        let (ms, checked_ms) = (plain * 1e3, checked * 1e3);
        let ratio = checked / plain;
        println!("{entry}: {ms:.2} ms, checked {checked_ms:.2} ms, {ratio:.1} times");
        assert_eq!(self.check.summary(), "simt: the checks found nothing");
        ratio
    }
}

#[test]
#[ignore = "times mean something on an idle machine only: cargo test --release -p simt --test check -- --ignored --nocapture"]
fn twenty_times_slower_at_most() {
    let mut ratios = Vec::new();
    let mut scalar = Bench::new(include_str!("../ptx/kernels.ptx"));
    let out = scalar.buffer(1 << 20);
    for entry in ["fma_loop", "int_loop"] {
        let mut params = out.to_le_bytes().to_vec();
        params.extend(10_000u32.to_le_bytes());
        params.extend(0.5f32.to_le_bytes());
        params.extend(1.0f32.to_le_bytes());
        ratios.push(scalar.ratio(entry, [1; 3], 256, &params));
    }
    let size = 512u64;
    let mut product = Bench::new(include_str!("../ptx/cute_sm80_gemm.ptx"));
    let mut params = Vec::new();
    for bytes in [2, 2, 4] {
        params.extend(product.buffer(bytes * size * size).to_le_bytes());
    }
    for _ in 0..3 {
        params.extend((size as u32).to_le_bytes());
    }
    ratios.push(product.ratio("gemm_tn", [4, 4, 1], 128, &params));
    assert!(ratios.iter().all(|ratio| *ratio <= 20.0), "{ratios:?}");
}
