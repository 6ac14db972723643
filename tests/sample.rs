//! Sampling of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::sample::{Sample, Sampled, Sampling, reference, uniform};
use proptest::prelude::*;

fn samplings() -> impl Strategy<Value = Sampling> {
    let temperature = prop_oneof![Just(0.0f32), Just(1.0), 0.05f32..3.0];
    let top_k = prop_oneof![Just(0usize), 1usize..80, Just(1_000_000)];
    let top_p = prop_oneof![Just(1.0f32), Just(0.0), 0.05f32..1.0];
    let min_p = prop_oneof![Just(0.0f32), Just(1.0), 0.0f32..0.5];
    (temperature, top_k, top_p, min_p, any::<u64>()).prop_map(
        |(temperature, top_k, top_p, min_p, seed)| Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            seed,
        },
    )
}

/// Whether the filters' edges are so near that rounding decides which tokens they keep.
fn on_an_edge(logits: &[f64], sampling: &Sampling, banned: &[u32]) -> bool {
    let support = |factor: f32| -> Vec<bool> {
        let moved = Sampling {
            top_p: if sampling.top_p < 1.0 {
                sampling.top_p * factor
            } else {
                1.0
            },
            min_p: (sampling.min_p * factor).min(1.0),
            ..*sampling
        };
        let p = reference::distribution(logits, &moved, banned);
        p.iter().map(|p| *p > 0.0).collect()
    };
    support(1.0 - 1e-5) != support(1.0 + 1e-5)
}

/// Rows of random logits, and what is chosen from them.
struct Case<'a> {
    vocab: usize,
    scale: f32,
    levels: Option<f32>,
    sampling: &'a Sampling,
    banned: &'a [u32],
}

impl Case<'_> {
    fn agrees<D: Sample>(&self, device: &D) -> Vec<Sampled> {
        let Case {
            vocab,
            scale,
            levels,
            sampling,
            banned,
        } = *self;
        let rows = 4;
        let mut logits = normals(sampling.seed, 1, rows * vocab);
        for x in &mut logits {
            *x = levels.map_or(*x, |l| (*x * l).round()) * scale;
        }
        let keys: Vec<(u64, u32)> = (0..rows)
            .map(|i| (i as u64 * 77, 1000 + i as u32))
            .collect();
        let there = floats(device, &logits);
        let drawn = device
            .sample(vocab, &there, sampling, &keys, banned)
            .unwrap();
        for (i, got) in drawn.iter().enumerate() {
            let row = wide(&logits[i * vocab..(i + 1) * vocab]);
            if on_an_edge(&row, sampling, banned) {
                continue;
            }
            let token = got.token as usize;
            let p = reference::distribution(&row, sampling, banned);
            let plain = reference::probabilities(&row, 1.0, banned);
            assert!(p[token] > 0.0, "token {token} is filtered out");
            // Logits up to about 5·scale, divided by the temperature, in f32.
            let temperature = f64::from(sampling.temperature).clamp(0.05, 1.0);
            let tolerance = 2e-6 * (1.0 + 10.0 * f64::from(scale) / temperature);
            let close = |what: &str, got: f32, want: f64| {
                let error = (f64::from(got) - want).abs();
                assert!(error < tolerance, "{what} is {got}, not {want}");
            };
            close("log-probability", got.log_probability, plain[token].ln());
            close("entropy", got.entropy, reference::entropy(&plain));
            close("drawn with", got.sampled_log_probability, p[token].ln());
            // The inverse of the cumulative distribution, in the order of ids.
            let at = uniform(sampling.seed, keys[i]);
            let before: f64 = p[..token].iter().sum();
            assert!(before - 1e-5 <= at && at <= before + p[token] + 1e-5);
        }
        drawn
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn agrees_with_the_reference(
        vocab in 1usize..400, scale in prop_oneof![Just(0.0f32), 0.1f32..6.0],
        levels in prop_oneof![Just(None), (1.0f32..3.0).prop_map(Some)],
        sampling in samplings(), on_gpu in prop::bool::weighted(0.15), seed: u64,
    ) {
        let mut random = PhiloxStream::new(seed, 9);
        let mut banned: Vec<u32> = (0..random.below(5)).map(|_| random.below(vocab) as u32).collect();
        if (0..vocab as u32).all(|id| banned.contains(&id)) {
            banned.clear();
        }
        let case = Case { vocab, scale, levels, sampling: &sampling, banned: &banned };
        if on_gpu {
            on_gpus!(|device| case.agrees(device));
        } else {
            devices().iter().for_each(|device| drop(case.agrees(device)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn agrees_over_a_large_vocabulary(
        vocab in 2000usize..3000, scale in 0.5f32..5.0, sampling in samplings(),
        on_gpu in prop::bool::weighted(0.2),
    ) {
        let case = Case { vocab, scale, levels: None, sampling: &sampling, banned: &[0, 1500] };
        devices().iter().for_each(|device| drop(case.agrees(device)));
        if on_gpu {
            on_gpus!(|device| case.agrees(device));
        }
    }
}

#[test]
fn draws_follow_the_distribution() {
    let vocab = 12;
    let draws = 20_000;
    let logits = normals(4, 0, vocab);
    let filters = [
        (0, 1.0, 0.0),
        (7, 1.0, 0.0),
        (0, 0.8, 0.0),
        (0, 1.0, 0.2),
        (9, 0.9, 0.1),
    ];
    for (seed, (top_k, top_p, min_p)) in filters.into_iter().enumerate() {
        let sampling = Sampling {
            temperature: 1.3,
            top_k,
            top_p,
            min_p,
            seed: seed as u64,
        };
        let p = reference::distribution(&wide(&logits), &sampling, &[3]);
        // Half of the draws at other positions, half in other rows.
        let key = |i: usize| {
            if i.is_multiple_of(2) {
                (5, i as u32)
            } else {
                (i as u64, 5)
            }
        };
        let keys: Vec<(u64, u32)> = (0..draws).map(key).collect();
        let rows = logits.repeat(draws);
        let mut counts = vec![0.0; vocab];
        for s in devices()[0]
            .sample(vocab, &rows, &sampling, &keys, &[3])
            .unwrap()
        {
            counts[s.token as usize] += 1.0;
        }
        let mut chi_square = 0.0;
        for (count, p) in counts.iter().zip(&p) {
            let expected = p * draws as f64;
            assert!(*p > 0.0 || *count == 0.0);
            if *p > 0.0 {
                chi_square += (count - expected) * (count - expected) / expected;
            }
        }
        // At most 10 degrees of freedom: exceeded once in ten thousand seeds.
        assert!(
            chi_square < 35.6,
            "chi-square {chi_square} with {sampling:?}"
        );
    }
}

fn sample<D: Sample>(
    device: &D,
    vocab: usize,
    logits: &[f32],
    sampling: &Sampling,
    keys: &[(u64, u32)],
) -> Vec<Sampled> {
    let logits = floats(device, logits);
    device.sample(vocab, &logits, sampling, keys, &[7]).unwrap()
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let (vocab, rows) = (3001, 9);
    let logits = normals(6, 0, rows * vocab);
    let keys: Vec<(u64, u32)> = (0..rows as u64).map(|i| (i << 40, 3)).collect();
    let sampling = Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 0.95,
        min_p: 0.0,
        seed: 1,
    };
    for sampling in [
        sampling,
        Sampling {
            top_p: 1.0,
            ..sampling
        },
        Sampling::GREEDY,
    ] {
        let row = |i: usize| &logits[i * vocab..(i + 1) * vocab];
        for device in devices() {
            let all = same_on_one_thread(|| sample(&device, vocab, &logits, &sampling, &keys));
            for i in [0, 4, 8] {
                let alone = sample(&device, vocab, row(i), &sampling, &keys[i..=i]);
                assert_eq!(alone, [all[i]]);
            }
        }
        on_gpus!(|device| {
            let all = sample(device, vocab, &logits, &sampling, &keys);
            for i in [0, 4, 8] {
                let alone = sample(device, vocab, row(i), &sampling, &keys[i..=i]);
                assert_eq!(alone, [all[i]]);
            }
            all
        });
    }
}

#[test]
fn ties_go_to_the_lowest_id() {
    let logits = vec![1.0f32; 300];
    let all_k = Sampling {
        temperature: 0.7,
        top_k: 5,
        top_p: 1.0,
        min_p: 0.0,
        seed: 2,
    };
    let half = Sampling {
        top_k: 0,
        top_p: 0.5,
        ..all_k
    };
    let keys: Vec<(u64, u32)> = (0..400).map(|i| (0, i)).collect();
    let rows = logits.repeat(keys.len());
    on_every_device!(|device| {
        let [logits, rows] = [&logits, &rows].map(|x| floats(device, x));
        let greedy = device
            .sample(300, &logits, &Sampling::GREEDY, &[(0, 0)], &[0, 1])
            .unwrap();
        assert_eq!(
            (greedy[0].token, greedy[0].sampled_log_probability),
            (2, 0.0)
        );
        for (sampling, kept) in [(all_k, 1..=5), (half, 1..=150)] {
            let drawn = device.sample(300, &rows, &sampling, &keys, &[0]).unwrap();
            assert!(drawn.iter().all(|s| kept.contains(&s.token)));
            assert!(drawn.iter().any(|s| s.token + 10 > *kept.end()));
        }
    });
}

#[test]
fn wrong_input_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Sample>(device: &D) {
    let good = Sampling {
        temperature: 1.0,
        ..Sampling::GREEDY
    };
    let message = |logits: &[f32], sampling: &Sampling, banned: &[u32]| {
        let keys = vec![(0, 0); logits.len() / 3];
        let logits = device.upload(logits).unwrap();
        let result = device.sample(3, &logits, sampling, &keys, banned);
        result.unwrap_err().to_string()
    };
    let row = [0.0, 1.0, 2.0];
    let broken = "sample: row 1 has a logit that is not finite, or no token left";
    for bad in [f32::NAN, f32::INFINITY] {
        for sampling in [good, Sampling::GREEDY] {
            assert_eq!(
                message(&[0.0, 1.0, 2.0, 0.0, bad, 1.0], &sampling, &[]),
                broken
            );
        }
    }
    let none = "sample: row 0 has a logit that is not finite, or no token left";
    assert_eq!(message(&row, &good, &[0, 1, 2]), none);
    assert_eq!(
        message(&[f32::NEG_INFINITY; 3], &Sampling::GREEDY, &[]),
        none
    );
    assert!(message(&row, &good, &[3]).contains("banned token 3 is outside the vocabulary of 3"));
    let wrong = Sampling {
        temperature: -1.0,
        ..good
    };
    assert!(message(&row, &wrong, &[]).contains("temperature -1"));
    let wrong = Sampling { top_p: 1.5, ..good };
    assert!(message(&row, &wrong, &[]).contains("top_p 1.5 is not between 0 and 1"));
    let wrong = Sampling {
        min_p: f32::NAN,
        ..good
    };
    assert!(message(&row, &wrong, &[]).contains("min_p NaN"));
}
