use lrem::device::cpu::gemm::*;
use lrem::device::cpu::*;
use lrem::ops::linear::*;
use std::time::Instant;
fn rnd(n: usize, s: u64) -> Vec<f32> {
    let mut r = lrem::ops::philox::PhiloxStream::new(s, 0);
    (0..n).map(|_| r.normal()).collect()
}
#[test]
fn speed() {
    for isa in Isa::ALL {
        if !isa.available() {
            continue;
        }
        for (m, n, k) in [(5, 37, 19), (1, 64, 33), (25, 70, 64)] {
            let (x, w) = (rnd(m * k, 1), rnd(n * k, 2));
            let r = reference::linear(
                LinearShape { m, n, k },
                &x.iter().map(|&v| v as f64).collect::<Vec<_>>(),
                &w.iter().map(|&v| v as f64).collect::<Vec<_>>(),
                None,
            );
            for mu in [Multiply::F32, Multiply::Bf16] {
                let c = Cpu { isa, multiply: mu };
                let mut y = vec![f32::NAN; m * n];
                c.linear(
                    LinearShape { m, n, k },
                    &x,
                    Weight::Master(&w),
                    None,
                    &mut y,
                    false,
                )
                .unwrap();
                let e = y
                    .iter()
                    .zip(&r)
                    .map(|(a, b)| (*a as f64 - b).abs())
                    .fold(0.0, f64::max);
                println!("{isa:?} {mu:?} {m} {n} {k} err {e:.2e}");
                let mut dx = vec![0.0; m * k];
                c.linear_backward_input(LinearShape { m, n, k }, &y, &w, &mut dx, false)
                    .unwrap();
                let mut dw = vec![0.0; n * k];
                c.linear_backward_weight(LinearShape { m, n, k }, &y, &x, &mut dw, None)
                    .unwrap();
                let y64: Vec<f64> = y.iter().map(|&v| v as f64).collect();
                let (rx, rw, _) = reference::linear_backward(
                    LinearShape { m, n, k },
                    &x.iter().map(|&v| v as f64).collect::<Vec<_>>(),
                    &w.iter().map(|&v| v as f64).collect::<Vec<_>>(),
                    &y64,
                );
                println!(
                    "   dx {:.2e} dw {:.2e}",
                    dx.iter()
                        .zip(&rx)
                        .map(|(a, b)| (*a as f64 - b).abs())
                        .fold(0.0, f64::max),
                    dw.iter()
                        .zip(&rw)
                        .map(|(a, b)| (*a as f64 - b).abs())
                        .fold(0.0, f64::max)
                );
            }
            for f in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
                let c = Cpu {
                    isa,
                    multiply: Multiply::F32,
                };
                let p = c.pack(&w, n, k, f).unwrap();
                let mut y = vec![f32::NAN; m * n];
                c.linear(
                    LinearShape { m, n, k },
                    &x,
                    Weight::Packed(&p),
                    None,
                    &mut y,
                    false,
                )
                .unwrap();
                let e = y
                    .iter()
                    .zip(&r)
                    .map(|(a, b)| (*a as f64 - b).abs())
                    .fold(0.0, f64::max);
                println!("{isa:?} {f:?} {m} {n} {k} err {e:.2e}");
            }
        }
    }
    let isa = Isa::detect();
    for (m, n, k) in [
        (512, 1536, 576),
        (512, 576, 1536),
        (512, 3072, 576),
        (930, 960, 576),
        (64, 3072, 576),
        (8, 3072, 576),
        (1, 3072, 576),
        (272, 1024, 576),
    ] {
        let (x, w) = (rnd(m * k, 1), rnd(n * k, 2));
        let mut y = vec![0.0; m * n];
        let fl = 2.0 * (m * n * k) as f64;
        let mut dx = vec![0.0; m * k];
        let mut dw = vec![0.0; n * k];
        let s = LinearShape { m, n, k };
        let time = |f: &mut dyn FnMut()| {
            f();
            let mut b = f64::MAX;
            for _ in 0..7 {
                let t = Instant::now();
                for _ in 0..5 {
                    f();
                }
                b = b.min(t.elapsed().as_secs_f64() / 5.0);
            }
            fl / b / 1e9
        };
        print!("{m}x{n}x{k}: ");
        for mu in [Multiply::F32, Multiply::Bf16] {
            let c = Cpu { isa, multiply: mu };
            print!(
                "{mu:?} NT {:.0} NN {:.0} TN {:.0} | ",
                time(&mut || c
                    .linear(s, &x, Weight::Master(&w), None, &mut y, false)
                    .unwrap()),
                time(&mut || c.linear_backward_input(s, &y, &w, &mut dx, false).unwrap()),
                time(&mut || c.linear_backward_weight(s, &y, &x, &mut dw, None).unwrap())
            );
        }
        for f in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
            let c = Cpu {
                isa,
                multiply: Multiply::F32,
            };
            let p = c.pack(&w, n, k, f).unwrap();
            print!(
                "{f:?} {:.0} ",
                time(&mut || c
                    .linear(s, &x, Weight::Packed(&p), None, &mut y, false)
                    .unwrap())
            );
        }
        println!();
    }
}
