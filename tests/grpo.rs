//! The policy loss of every device against its f64 reference, the reference against finite differences.

mod common;

use common::*;
use lrem::device::DeviceError;
use lrem::ops::grpo::{Average, Grpo, GrpoBatch, GrpoOptions, Ratio, reference};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

fn options() -> impl Strategy<Value = GrpoOptions> {
    let ratio = prop_oneof![Just(Ratio::Thought), Just(Ratio::Mean), Just(Ratio::Token)];
    let average = prop_oneof![
        Just(Average::Thoughts),
        Just(Average::Tokens),
        (1.0f32..40.0).prop_map(Average::Budget)
    ];
    let clip = prop_oneof![
        (0.0f32..0.5, 0.0f32..0.5),
        Just((f32::INFINITY, f32::INFINITY))
    ];
    let kl = prop_oneof![Just(0.0f32), 0.001f32..0.5];
    (ratio, average, clip, kl).prop_map(|(ratio, average, clip, kl)| GrpoOptions {
        ratio,
        average,
        clip,
        kl,
    })
}

/// Thoughts of the given lengths, with log-probabilities now, then and under the reference, `drift`
/// apart.
struct Drawn {
    offsets: Vec<u32>,
    advantages: Vec<f32>,
    nll: Vec<f32>,
    old: Vec<f32>,
    reference: Vec<f32>,
}

impl Drawn {
    fn new(lengths: &[u32], drift: f32, seed: u64) -> Drawn {
        let mut random = PhiloxStream::new(seed, 0);
        let mut offsets = vec![0];
        for n in lengths {
            offsets.push(offsets[offsets.len() - 1] + n);
        }
        let tokens = offsets[lengths.len()] as usize;
        let nll: Vec<f32> = (0..tokens).map(|_| 4.0 * random.uniform()).collect();
        let mut near = |x: &f32| -x + drift * random.normal();
        let old = nll.iter().map(&mut near).collect();
        let reference = nll.iter().map(&mut near).collect();
        let mut advantages: Vec<f32> = lengths.iter().map(|_| random.normal()).collect();
        advantages[0] = 0.0;
        Drawn {
            offsets,
            advantages,
            nll,
            old,
            reference,
        }
    }

    fn batch(&self, more: (usize, usize)) -> GrpoBatch<'_> {
        GrpoBatch {
            offsets: &self.offsets,
            advantages: &self.advantages,
            old: &self.old,
            reference: &self.reference,
            total: (self.advantages.len() + more.0, self.old.len() + more.1),
        }
    }

    /// Whether some ratio is so near a clip's edge that a rounding decides its side.
    fn on_an_edge(&self, o: &GrpoOptions) -> bool {
        let delta = |t: usize| -f64::from(self.nll[t]) - f64::from(self.old[t]);
        self.offsets.windows(2).any(|w| {
            let tokens = w[0] as usize..w[1] as usize;
            let sum: f64 = tokens.clone().map(delta).sum();
            let mut ratios = tokens.map(delta).chain([sum, sum / f64::from(w[1] - w[0])]);
            let edges = [1.0 - f64::from(o.clip.0), 1.0 + f64::from(o.clip.1)];
            ratios.any(|d| edges.iter().any(|e| (d.exp() - e).abs() < 1e-4))
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn agrees_with_the_reference(
        o in options(),
        lengths in prop::collection::vec(1u32..20, 1..9),
        drift in prop_oneof![Just(0.0f32), 0.01f32..0.4],
        more in (0usize..5, 0usize..50),
        seed: u64,
    ) {
        let drawn = Drawn::new(&lengths, drift, seed);
        prop_assume!(!drawn.on_an_edge(&o));
        let (batch, nll) = (drawn.batch(more), wide(&drawn.nll));
        let loss = reference::grpo(&o, &batch, &nll);
        let gradient = reference::grpo_backward(&o, &batch, &nll);
        let kl = match o.kl > 0.0 {
            true => {
                let free = reference::grpo(&GrpoOptions { kl: 0.0, ..o }, &batch, &nll);
                (loss - free) / f64::from(o.kl)
            }
            false => 0.0,
        };
        assert_gradient("nll", &nll, &gradient, |nll| reference::grpo(&o, &batch, nll));
        on_every_device!(|device| {
            let longer = floats(device, &drawn.nll);
            let out = device.grpo(&o, &batch, &longer).unwrap();
            assert!((out.loss - loss).abs() <= 1e-9 * (1.0 + loss.abs()), "{} {}", out.loss, loss);
            assert_eq!(out.coefficients.len(), nll.len());
            assert_close("coefficient", &out.coefficients, &gradient, |i| {
                2e-7 * gradient[i].abs() + 2e-7 * f64::from(o.kl) + 1e-9
            });
            let ratios = if o.ratio == Ratio::Token { nll.len() } else { lengths.len() };
            assert_eq!(out.ratios, ratios);
            assert!(out.clipped <= ratios && (drift > 0.0 || out.clipped == 0));
            assert!((out.kl - kl).abs() <= 1e-9 * (1.0 + kl), "{} {kl}", out.kl);
            out
        });
    }

    /// More thoughts than a block has, and more tokens than it holds: what is computed of a thought is its own, wherever
    /// it begins.
    #[test]
    fn many_and_long_thoughts(
        o in options(),
        lengths in prop::collection::vec(prop_oneof![30 => 1u32..40, 1 => 1500u32..2500], 30..80),
        from in 0usize..30,
        seed: u64,
    ) {
        let drawn = Drawn::new(&lengths, 0.02, seed);
        prop_assume!(!drawn.on_an_edge(&o));
        let batch = drawn.batch((0, 0));
        let want = reference::grpo_backward(&o, &batch, &wide(&drawn.nll));
        let start = drawn.offsets[from];
        let offsets: Vec<u32> = drawn.offsets[from..].iter().map(|t| t - start).collect();
        let start = start as usize;
        let rest = GrpoBatch {
            offsets: &offsets,
            advantages: &drawn.advantages[from..],
            old: &drawn.old[start..],
            reference: &drawn.reference[start..],
            total: batch.total,
        };
        on_every_device!(|device| {
            let all = device.grpo(&o, &batch, &floats(device, &drawn.nll)).unwrap();
            assert_close("coefficient", &all.coefficients, &want, |i| {
                2e-7 * want[i].abs() + 2e-7 * f64::from(o.kl) + 1e-9
            });
            let rest = device.grpo(&o, &rest, &floats(device, &drawn.nll[start..])).unwrap();
            assert_eq!(bits(&rest.coefficients), bits(&all.coefficients[start..]));
            all
        });
    }

    /// The parts of a batch add up to it.
    #[test]
    fn parts_add_up(o in options(), lengths in prop::collection::vec(1u32..9, 2..7), seed: u64) {
        let drawn = Drawn::new(&lengths, 0.2, seed);
        on_every_device!(|device| {
        let whole = device.grpo(&o, &drawn.batch((0, 0)), &floats(device, &drawn.nll)).unwrap();
        let (mut loss, mut coefficients) = (0.0, Vec::new());
        for r in 0..lengths.len() {
            let tokens = drawn.offsets[r] as usize..drawn.offsets[r + 1] as usize;
            let part = GrpoBatch {
                offsets: &[0, tokens.len() as u32],
                advantages: &drawn.advantages[r..r + 1],
                old: &drawn.old[tokens.clone()],
                reference: &drawn.reference[tokens.clone()],
                total: drawn.batch((0, 0)).total,
            };
            let out = device.grpo(&o, &part, &floats(device, &drawn.nll[tokens])).unwrap();
            loss += out.loss;
            coefficients.extend(out.coefficients);
        }
        assert!((whole.loss - loss).abs() <= 1e-12 * (1.0 + loss.abs()));
        assert_eq!(whole.coefficients, coefficients);
        });
    }
}

#[test]
fn at_the_sampling_policy_every_ratio_gives_reinforce() {
    let drawn = Drawn::new(&[3, 1, 5], 0.0, 7);
    for (ratio, pull) in [
        (Ratio::Thought, [1.0, 1.0, 1.0]),
        (Ratio::Mean, [1.0 / 3.0, 1.0, 0.2]),
        (Ratio::Token, [1.0 / 3.0, 1.0, 0.2]),
    ] {
        let o = GrpoOptions {
            ratio,
            average: Average::Thoughts,
            clip: (0.2, 0.2),
            kl: 0.0,
        };
        let want: Vec<f64> = (0..3)
            .flat_map(|r| {
                let each = f64::from(drawn.advantages[r]) * pull[r] / 3.0;
                vec![each; (drawn.offsets[r + 1] - drawn.offsets[r]) as usize]
            })
            .collect();
        on_every_device!(|device| {
            let nll = floats(device, &drawn.nll);
            let out = device.grpo(&o, &drawn.batch((0, 0)), &nll).unwrap();
            let limit = |i: usize| 1e-6 * want[i].abs();
            assert_close("coefficient", &out.coefficients, &want, limit);
        });
    }
}

#[test]
fn refuses_what_does_not_fit() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Grpo>(device: &D) {
    let drawn = Drawn::new(&[2, 3], 0.1, 1);
    let o = GrpoOptions {
        ratio: Ratio::Thought,
        average: Average::Thoughts,
        clip: (0.2, 0.2),
        kl: 0.1,
    };
    let (batch, nll) = (drawn.batch((0, 0)), floats(device, &drawn.nll));
    let message = |o: &GrpoOptions, b: GrpoBatch<'_>| {
        let error: DeviceError = device.grpo(o, &b, &nll).unwrap_err();
        error.to_string()
    };
    let offsets = "grpo: offsets have to rise from 0 to the number of tokens";
    for wrong in [&[0, 2, 4][..], &[0, 2, 2], &[1, 2, 5], &[]] {
        assert_eq!(
            message(
                &o,
                GrpoBatch {
                    offsets: wrong,
                    ..batch
                }
            ),
            offsets
        );
    }
    assert_eq!(
        message(
            &o,
            GrpoBatch {
                advantages: &[1.0],
                ..batch
            }
        ),
        "grpo: expected an advantage a thought"
    );
    assert_eq!(
        message(
            &o,
            GrpoBatch {
                reference: &[],
                ..batch
            }
        ),
        "grpo: expected a reference log-probability a token"
    );
    assert_eq!(
        message(
            &o,
            GrpoBatch {
                total: (1, 5),
                ..batch
            }
        ),
        "grpo: the total is smaller than the batch"
    );
    let negative = GrpoOptions {
        clip: (-0.1, 0.2),
        ..o
    };
    assert_eq!(message(&negative, batch), "grpo: a clip cannot be negative");
    let budget = GrpoOptions {
        average: Average::Budget(0.0),
        ..o
    };
    assert_eq!(
        message(&budget, batch),
        "grpo: kl and budget have to be positive"
    );
    assert_eq!(
        device
            .grpo(&o, &batch, &device.zeros(4).unwrap())
            .unwrap_err()
            .to_string(),
        "grpo: nll has 4, expected 5"
    );
}
