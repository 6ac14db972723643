//! SwiGLU of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::swiglu::{SwiGlu, reference};
use lrem::workbench::contracts::swiglu::gradient_errors;
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;
/// Below this an exponential may come out as 0.
const TINY: f64 = 2e-38;

struct Case {
    rows: usize,
    intermediate: usize,
    gate_up: Vec<f32>,
    dout: Vec<f32>,
}

impl Case {
    /// Gates up to some times `scale`, both signs.
    fn new(rows: usize, intermediate: usize, scale: f32, seed: u64) -> Case {
        let mut gate_up = normals(seed, 0, 2 * rows * intermediate);
        for row in gate_up.chunks_exact_mut(2 * intermediate.max(1)) {
            row[..intermediate]
                .iter_mut()
                .for_each(|g| *g = to_bf16(*g * scale));
        }
        Case {
            rows,
            intermediate,
            gate_up,
            dout: normals(seed, 1, rows * intermediate),
        }
    }

    fn forward<D: SwiGlu>(&self, device: &D) -> Vec<f32> {
        let len = self.rows * self.intermediate;
        let (gate_up, mut out) = (reals(device, &self.gate_up), poisoned_reals(device, len));
        device
            .swiglu(self.rows, self.intermediate, &gate_up, &mut out)
            .unwrap();
        read_reals(device, "out", &out, len)
    }

    fn backward<D: SwiGlu>(&self, device: &D) -> Vec<f32> {
        let len = 2 * self.rows * self.intermediate;
        let [gate_up, dout] = [&self.gate_up, &self.dout].map(|x| reals(device, x));
        let mut dgate_up = poisoned_reals(device, len);
        device
            .swiglu_backward(self.rows, self.intermediate, &gate_up, &dout, &mut dgate_up)
            .unwrap();
        read_reals(device, "dgate_up", &dgate_up, len)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn agrees_with_the_reference(
        rows in 0usize..20, intermediate in prop_oneof![1usize..70, 500usize..900],
        scale in 0.01f32..60.0, seed: u64,
    ) {
        let case = Case::new(rows, intermediate, scale, seed);
        let gate_up = wide(&case.gate_up);
        let want = reference::swiglu(intermediate, &gate_up);
        let gradient = reference::swiglu_backward(intermediate, &gate_up, &wide(&case.dout));
        let errors = gradient_errors(intermediate, &case.gate_up, &case.dout);
        on_every_device!(|device| {
            let got = case.forward(device);
            // An exponential of 2 ulp and four roundings.
            assert_close_reals(device, "out", &got, &want, |i| {
                let at = i / intermediate * 2 * intermediate + i % intermediate;
                let product = gate_up[at] * gate_up[at + intermediate];
                6.0 * ULP * want[i].abs() + TINY * product.abs()
            });
            let back = case.backward(device);
            assert_close_reals(device, "dgate_up", &back, &gradient, |i| errors[i]);
            [bits(&got), bits(&back)]
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_output(
        rows in 1usize..4, intermediate in 1usize..6, seed: u64,
    ) {
        let case = Case::new(rows, intermediate, 2.0, seed);
        let (gate_up, dout) = (wide(&case.gate_up), wide(&case.dout));
        let gradient = reference::swiglu_backward(intermediate, &gate_up, &dout);
        assert_gradient("dgate_up", &gate_up, &gradient, |x| {
            let out = reference::swiglu(intermediate, x);
            out.iter().zip(&dout).map(|(a, b)| a * b).sum()
        });
    }
}

/// Where the exponential leaves f32's range, a gate is open or shut, and never NaN.
#[test]
fn the_largest_gates_are_open_or_shut() {
    let gates = [
        -3e38, -1e4, -104.0, -88.5, -87.0, 87.0, 88.5, 104.0, 1e4, 3e38,
    ]
    .map(to_bf16);
    let case = Case {
        rows: 1,
        intermediate: gates.len(),
        gate_up: gates.iter().copied().chain(gates.map(|_| 1.0)).collect(),
        dout: vec![1.0; gates.len()],
    };
    on_every_device!(|device| {
        let (out, back) = (case.forward(device), case.backward(device));
        for (i, gate) in gates.into_iter().enumerate() {
            let open = if gate > 0.0 { (gate, 1.0) } else { (0.0, 0.0) };
            let near = |got: f32, want: f32| (got - want).abs() <= 1e-30 + 1e-6 * want.abs();
            assert!(near(out[i], open.0), "{gate} gives {}", out[i]);
            assert!(near(back[i], open.1), "{gate} has the gradient {}", back[i]);
            let up = back[gates.len() + i];
            assert!(near(up, open.0), "{gate} gives its up the gradient {up}");
        }
    });
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(120, 333, 3.0, 1);
    for device in devices() {
        same_on_one_thread(|| [case.forward(&device), case.backward(&device)].map(|x| bits(&x)));
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: SwiGlu>(device: &D) {
    let forward = |sizes: [usize; 2]| {
        let [gate_up, mut out] = sizes.map(|len| device.zeros(len).unwrap());
        message(device.swiglu(2, 3, &gate_up, &mut out))
    };
    assert_eq!(forward([12, 6]), "");
    assert_eq!(forward([11, 6]), "swiglu: gate_up has 11, expected 12");
    assert_eq!(forward([12, 5]), "swiglu: out has 5, expected 6");
    let backward = |sizes: [usize; 3]| {
        let [gate_up, dout, mut dgate_up] = sizes.map(|len| device.zeros(len).unwrap());
        message(device.swiglu_backward(2, 3, &gate_up, &dout, &mut dgate_up))
    };
    assert_eq!(backward([12, 6, 12]), "");
    assert_eq!(
        backward([11, 6, 12]),
        "swiglu_backward: gate_up has 11, expected 12"
    );
    assert_eq!(
        backward([12, 5, 12]),
        "swiglu_backward: dout has 5, expected 6"
    );
    assert_eq!(
        backward([12, 6, 11]),
        "swiglu_backward: dgate_up has 11, expected 12"
    );
}
