//! The q/k norm of every device against its f64 reference.

use crate::common::*;
use crate::{ULP, heads, of_heads};
use lrem::ops::attention::Heads;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::rope::{Rope, reference};
use proptest::prelude::*;

/// Inputs of the q/k norm.
struct Norm {
    heads: Heads,
    eps: f32,
    tokens: usize,
    qkv: Vec<f32>,
    dout: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
}

impl Norm {
    fn new(heads: Heads, tokens: usize, seed: u64) -> Norm {
        let len = tokens * heads.qkv_dim();
        let mut random = PhiloxStream::new(seed, 0);
        let mut qkv = normals(seed, 1, len);
        for head in qkv.chunks_exact_mut(heads.head_dim) {
            let scale = [0.0, 1.0, 1.0, 1.0 / 128.0, 128.0][random.below(5)];
            head.iter_mut().for_each(|v| *v *= scale);
        }
        Norm {
            heads,
            eps: 1e-6,
            tokens,
            qkv,
            dout: normals(seed, 2, len),
            q: normals(seed, 3, heads.head_dim),
            k: normals(seed, 4, heads.head_dim),
        }
    }

    fn forward<D: Rope>(&self, device: &D) -> Vec<f32> {
        let (qkv, mut out) = (
            reals(device, &self.qkv),
            poisoned_reals(device, self.qkv.len()),
        );
        let [q, k] = [&self.q, &self.k].map(|w| floats(device, w));
        device
            .qk_norm(&self.heads, self.eps, self.tokens, &qkv, &q, &k, &mut out)
            .unwrap();
        read_reals(device, "out", &out, self.qkv.len())
    }

    /// `(dqkv, dq_weight, dk_weight)`, the latter two on top of ones.
    fn backward<D: Rope>(&self, device: &D) -> [Vec<f32>; 3] {
        let (heads, d) = (&self.heads, self.heads.head_dim);
        let [qkv, mut dqkv] = [&self.qkv, &self.dout].map(|x| reals(device, x));
        let [q, k] = [&self.q, &self.k].map(|w| floats(device, w));
        let [mut dq, mut dk] = [(); 2].map(|()| floats(device, &vec![1.0; d]));
        let (eps, tokens) = (self.eps, self.tokens);
        device
            .qk_norm_backward(
                heads, eps, tokens, &qkv, &q, &k, &mut dqkv, &mut dq, &mut dk,
            )
            .unwrap();
        [
            read_reals(device, "dqkv", &dqkv, self.qkv.len()),
            read_floats(device, "dq_weight", &dq, d),
            read_floats(device, "dk_weight", &dk, d),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn norms_agree_with_the_reference(heads in heads(), tokens in 0usize..70, seed: u64) {
        let case = Norm::new(heads, tokens, seed);
        let Norm { eps, .. } = case;
        let [qkv, q, k, dout] = [&case.qkv, &case.q, &case.k, &case.dout].map(|x| wide(x));
        let want = reference::qk_norm(&heads, eps, &qkv, &q, &k);
        let (dqkv, dq, dk) = reference::qk_norm_backward(&heads, eps, &qkv, &q, &k, &dout);
        let [dq, dk] = [dq, dk].map(|g| g.iter().map(|v| v + 1.0).collect::<Vec<f64>>());

        let normed = heads.num_heads + heads.num_kv_heads;
        let parts = [(0..heads.num_heads, &case.q), (heads.num_heads..normed, &case.k)];
        let errors = parts.clone().map(|(range, w)| {
            let [x, dy] = [&case.qkv, &case.dout].map(|x| of_heads(&heads, x, range.clone()));
            norm_gradient_errors(eps, &x, w, &dy)
        });
        on_every_device!(|device| {
            let out = case.forward(device);
            let limit = |i: usize| norm_error(heads.head_dim) * want[i].abs();
            assert_close_reals(device, "out", &out, &want, limit);
            let got = case.backward(device);
            for ((range, _), [dx_error, _]) in parts.iter().zip(&errors) {
                let got = of_heads(&heads, &got[0], range.clone());
                let want = of_heads(&heads, &dqkv, range.clone());
                assert_close_reals(device, "dqkv", &got, &want, |i| dx_error[i]);
            }
            let rows = (tokens * heads.num_heads) as f64 + 2.0;
            let start = |sum: f64| ULP * rows * (1.0 + sum.abs());
            assert_close("dq_weight", &got[1], &dq, |i| errors[0][1][i] + start(dq[i]));
            assert_close("dk_weight", &got[2], &dk, |i| errors[1][1][i] + start(dk[i]));
            // Values pass through, and so do their gradients.
            let values = |x: &[f32]| {
                bits(&of_heads(&heads, x, normed..normed + heads.num_kv_heads))
            };
            assert_eq!(values(&out), values(&case.qkv));
            assert_eq!(values(&got[0]), values(&case.dout));
            [bits(&out), bits(&got.concat())]
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_norm(
        group in 1usize..3, num_kv_heads in 1usize..3, head_dim in 1usize..5, seed: u64,
    ) {
        let heads = Heads { num_heads: group * num_kv_heads, num_kv_heads, head_dim };
        let len = 2 * heads.qkv_dim();
        let [qkv, dout, q, k] = [(0, len), (1, len), (2, head_dim), (3, head_dim)]
            .map(|(stream, len)| wide(&normals(seed, stream, len)));
        let loss = |qkv: &[f64], q: &[f64], k: &[f64]| -> f64 {
            let out = reference::qk_norm(&heads, 0.1, qkv, q, k);
            out.iter().zip(&dout).map(|(a, b)| a * b).sum()
        };
        let (dqkv, dq, dk) = reference::qk_norm_backward(&heads, 0.1, &qkv, &q, &k, &dout);
        assert_gradient("dqkv", &qkv, &dqkv, |x| loss(x, &q, &k));
        assert_gradient("dq_weight", &q, &dq, |q| loss(&qkv, q, &k));
        assert_gradient("dk_weight", &k, &dk, |k| loss(&qkv, &q, k));
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let heads = Heads {
        num_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
    };
    let case = Norm::new(heads, 150, 1);
    for device in devices() {
        same_on_one_thread(|| {
            let [dqkv, dq, dk] = case.backward(&device);
            [case.forward(&device), dqkv, dq, dk].map(|x| bits(&x))
        });
    }
}

#[test]
fn norms_that_do_not_fit_are_errors() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Rope>(device: &D) {
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 4,
    };
    let say = |heads: &Heads, sizes: [usize; 6]| {
        let [qkv, mut out] = [sizes[0], sizes[3]].map(|len| device.zeros(len).unwrap());
        let [_, q, k, _, mut dq, mut dk] = sizes.map(|len| device.zeros(len).unwrap());
        let forward = device.qk_norm(heads, 1e-6, 2, &qkv, &q, &k, &mut out);
        let backward =
            device.qk_norm_backward(heads, 1e-6, 2, &qkv, &q, &k, &mut out, &mut dq, &mut dk);
        [message(forward), message(backward)]
    };
    let good = [32, 4, 4, 32, 4, 4];
    assert_eq!(say(&heads, good), ["", ""]);
    for none in [
        Heads {
            head_dim: 0,
            ..heads
        },
        Heads {
            num_heads: 0,
            num_kv_heads: 0,
            ..heads
        },
    ] {
        let want = "heads of no elements have no norm";
        assert_eq!(
            say(&none, good),
            [
                format!("qk_norm: {want}"),
                format!("qk_norm_backward: {want}")
            ]
        );
    }
    let names = [
        "qkv",
        "query weight",
        "key weight",
        "dqkv",
        "dq_weight",
        "dk_weight",
    ];
    for (i, name) in names.into_iter().enumerate() {
        let mut sizes = good;
        sizes[i] -= 1;
        let [forward, backward] = say(&heads, sizes);
        let short = format!("has {}, expected {}", sizes[i], good[i]);
        assert_eq!(backward, format!("qk_norm_backward: {name} {short}"));
        let want = match i {
            0..3 => format!("qk_norm: {name} {short}"),
            3 => format!("qk_norm: out {short}"),
            _ => String::new(),
        };
        assert_eq!(forward, want);
    }
}
