//! Pooling of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::pool::{Pool, PoolPlan, reference};
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

struct Case {
    plan: PoolPlan,
    rows: usize,
    hidden: usize,
    x: Vec<f32>,
    dout: Vec<f32>,
}

impl Case {
    /// Outputs of up to five rows each, also of none, and of the same row twice.
    fn new(outputs: usize, rows: usize, hidden: usize, seed: u64) -> Case {
        let mut random = PhiloxStream::new(seed, 0);
        let mut plan = PoolPlan {
            offsets: vec![0],
            ..PoolPlan::default()
        };
        for _ in 0..outputs {
            let terms = random.below(6);
            plan.rows
                .extend((0..terms).map(|_| random.below(rows) as u32));
            plan.offsets.push(plan.rows.len() as u32);
        }
        plan.weights = normals(seed, 1, plan.rows.len());
        Case {
            plan,
            rows,
            hidden,
            x: normals(seed, 2, rows * hidden),
            dout: normals(seed, 3, outputs * hidden),
        }
    }

    /// Into f32, on top of `start` with `accumulate`.
    fn forward<D: Pool>(&self, device: &D, start: &[f32], accumulate: bool) -> Vec<f32> {
        let len = self.plan.len() * self.hidden;
        let x = reals(device, &self.x);
        let mut out = match accumulate {
            true => floats(device, start),
            false => poisoned_floats(device, len),
        };
        device
            .pool(&self.plan, self.hidden, &x, &mut out, accumulate)
            .unwrap();
        read_floats(device, "out", &out, len)
    }

    /// Into activations, on top of `start` with `accumulate`.
    fn forward_reals<D: Pool>(&self, device: &D, start: &[f32], accumulate: bool) -> Vec<f32> {
        let len = self.plan.len() * self.hidden;
        let x = reals(device, &self.x);
        let mut out = match accumulate {
            true => reals(device, start),
            false => poisoned_reals(device, len),
        };
        device
            .pool(&self.plan, self.hidden, &x, &mut out, accumulate)
            .unwrap();
        read_reals(device, "out", &out, len)
    }

    /// From f32 and from activations, on top of `start`.
    fn backward<D: Pool>(&self, device: &D, start: &[f32]) -> [Vec<f32>; 2] {
        let [mut dx, mut dx_reals] = [(); 2].map(|()| reals(device, start));
        let (plan, hidden) = (&self.plan, self.hidden);
        let dout = floats(device, &self.dout);
        device.pool_backward(plan, hidden, &dout, &mut dx).unwrap();
        let dout = reals(device, &self.dout);
        device
            .pool_backward(plan, hidden, &dout, &mut dx_reals)
            .unwrap();
        [dx, dx_reals].map(|x| read_reals(device, "dx", &x, start.len()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn agrees_with_the_reference(
        outputs in 0usize..20, rows in 1usize..30, hidden in 0usize..70, accumulate: bool, seed: u64,
    ) {
        let case = Case::new(outputs, rows, hidden, seed);
        let Case { plan, x, dout, .. } = &case;
        let starts = [(4, dout.len()), (5, x.len())].map(|(s, len)| normals(seed, s, len));
        let add = |sum: Vec<f64>, start: &[f32]| -> Vec<f64> {
            sum.iter().zip(start).map(|(a, &b)| a + f64::from(b)).collect()
        };
        let mut want = reference::pool(plan, hidden, &wide(x));
        if accumulate {
            want = add(want, &starts[0]);
        }
        let gradient = add(reference::pool_backward(plan, hidden, rows, &wide(dout)), &starts[1]);

        // A product and a sum for each term, in the order of the terms.
        let mut sizes = plan.clone();
        sizes.weights.iter_mut().for_each(|w| *w = w.abs());
        let error = |size: Vec<f64>, start: &[f32]| -> Vec<f64> {
            let terms = plan.rows.len() as f64 + 1.0;
            add(size, &magnitudes(start).iter().map(|v| *v as f32).collect::<Vec<_>>())
                .iter()
                .map(|s| terms * ULP * s)
                .collect()
        };
        let errors = error(reference::pool(&sizes, hidden, &magnitudes(x)), &starts[0]);
        let back_size = reference::pool_backward(&sizes, hidden, rows, &magnitudes(dout));
        let back_errors = error(back_size, &starts[1]);
        on_every_device!(|device| {
            let out = case.forward(device, &starts[0], accumulate);
            assert_close("out", &out, &want, |i| errors[i]);
            let out_reals = case.forward_reals(device, &starts[0], accumulate);
            assert_close_reals(device, "out", &out_reals, &want, |i| errors[i]);
            let [dx, dx_reals] = case.backward(device, &starts[1]);
            assert_close_reals(device, "dx", &dx, &gradient, |i| back_errors[i]);
            assert_eq!(bits(&dx), bits(&dx_reals));
            [bits(&out), bits(&out_reals), bits(&dx)]
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_sums(
        outputs in 1usize..5, rows in 1usize..5, hidden in 1usize..4, seed: u64,
    ) {
        let case = Case::new(outputs, rows, hidden, seed);
        let (x, dout) = (wide(&case.x), wide(&case.dout));
        let gradient = reference::pool_backward(&case.plan, hidden, case.rows, &dout);
        assert_gradient("dx", &x, &gradient, |x| {
            let out = reference::pool(&case.plan, hidden, x);
            out.iter().zip(&dout).map(|(a, b)| a * b).sum()
        });
    }
}

#[test]
fn plans_of_the_poolings() {
    let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
    on_every_device!(|device| {
        let pool = |plan: &PoolPlan| {
            let (x, mut out) = (reals(device, &x), poisoned_floats(device, 2 * plan.len()));
            device.pool(plan, 2, &x, &mut out, false).unwrap();
            read_floats(device, "out", &out, 2 * plan.len())
        };
        let picked = PoolPlan::pick(&[3, 0], 0.25);
        assert_eq!(pool(&picked), [1.5, 1.75, 0.0, 0.25]);
        let means = PoolPlan::mean(&[0..2, 2..2, 1..4]);
        assert_eq!(means.len(), 3);
        let got = pool(&means);
        assert_eq!(got[..4], [1.0, 2.0, 0.0, 0.0]);
        assert!(
            (got[4] - 4.0).abs() < 1e-6 && (got[5] - 5.0).abs() < 1e-6,
            "{got:?}"
        );
        assert!(PoolPlan::default().is_empty() && pool(&PoolPlan::default()).is_empty());
    });
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(100, 60, 77, 1);
    for device in devices() {
        same_on_one_thread(|| {
            let start = vec![0.5; 60 * 77];
            let [dx, _] = case.backward(&device, &start);
            [case.forward(&device, &[], false), dx].map(|x| bits(&x))
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Pool>(device: &D) {
    let plan = |offsets: &[u32], rows: &[u32], weights: usize| PoolPlan {
        offsets: offsets.to_vec(),
        rows: rows.to_vec(),
        weights: vec![1.0; weights],
    };
    let say = |plan: &PoolPlan, x: usize, out: usize| {
        let mut out = device.zeros::<f32>(out).unwrap();
        let mut dx = device.zeros(x).unwrap();
        let forward = device.pool(plan, 2, &dx, &mut out, false);
        [
            message(forward),
            message(device.pool_backward(plan, 2, &out, &mut dx)),
        ]
    };
    let good = plan(&[0, 1, 3], &[2, 0, 1], 3);
    assert_eq!(say(&good, 6, 4), ["", ""]);
    let both = |what: &str| [format!("pool: {what}"), format!("pool_backward: {what}")];
    assert_eq!(
        say(&plan(&[0, 1, 3], &[2, 0, 1], 2), 6, 4),
        both("3 rows have 2 weights")
    );
    let offsets = both("the offsets do not ascend within the rows");
    assert_eq!(say(&plan(&[0, 1, 4], &[2, 0, 1], 3), 6, 4), offsets);
    assert_eq!(say(&plan(&[0, 3, 1], &[2, 0, 1], 3), 6, 4), offsets);
    let [forward, backward] = say(&good, 5, 4);
    assert_eq!(forward, "pool: x has 5, expected 6");
    assert_eq!(backward, "pool_backward: dx has 5, expected 6");
    let [forward, backward] = say(&good, 6, 3);
    assert_eq!(forward, "pool: out has 3, expected 4");
    assert_eq!(backward, "pool_backward: dout has 3, expected 4");
}
