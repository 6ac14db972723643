//! Products whose columns are gated: against the reference, and with the bits of the two ops.

use crate::common::*;
use crate::{assert_launched, shapes};
use lrem::device::{Device, Real};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat, reference};
use lrem::workbench::contracts::linear_swiglu::errors;
use proptest::prelude::*;

/// Of `shape.n` gates and as many ups.
struct Case {
    shape: LinearShape,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Case {
    /// Normal numbers that bf16 holds exactly.
    fn new(shape: LinearShape, bias: bool, seed: u64) -> Case {
        let LinearShape { m, n, k } = shape;
        Case {
            shape,
            x: normals(seed, 1, m * k),
            w: normals(seed, 2, 2 * n * k),
            bias: bias.then(|| normals(seed, 3, 2 * n)),
        }
    }

    fn gated<D: Device>(&self, device: &D, w: Weight<'_, D>) -> Vec<f32> {
        let len = self.shape.m * self.shape.n;
        let (x, mut y) = (reals(device, &self.x), poisoned_reals(device, len));
        let bias = self.bias.as_ref().map(|bias| floats(device, bias));
        device
            .linear_swiglu(self.shape, &x, w, bias.as_ref(), &mut y)
            .unwrap();
        read_reals(device, "y", &y, len)
    }

    fn gated_master<D: Device>(&self, device: &D) -> Vec<f32> {
        let trained = Trained::new(device, (2 * self.shape.n, self.shape.k), &self.w);
        let [y] = trained.each(|w| [self.gated(device, w)]);
        y
    }

    fn by_two_ops<D: Device>(&self, device: &D, w: Weight<'_, D>) -> Vec<f32> {
        let (LinearShape { m, n, .. }, both) = (self.shape, self.shape.gate_up());
        let (x, mut y) = (reals(device, &self.x), poisoned_reals(device, m * n));
        let mut gate_up = poisoned_reals(device, 2 * m * n);
        let bias = self.bias.as_ref().map(|bias| floats(device, bias));
        device
            .linear(both, &x, w, bias.as_ref(), &mut gate_up, false)
            .unwrap();
        device.swiglu(m, n, &gate_up, &mut y).unwrap();
        read_reals(device, "y", &y, m * n)
    }

    fn agrees<D: Device>(&self, device: &D) -> Vec<u32> {
        let (x, w) = (wide(&self.x), wide(&self.w));
        let bias = self.bias.as_deref();
        let want = reference::linear_swiglu(self.shape, &x, &w, bias.map(wide).as_deref());
        let errors = errors::<D::Real>(self.shape, &self.x, &self.w, bias);
        let got = self.gated_master(device);
        assert_close_reals(device, "y", &got, &want, |i| errors[i]);
        bits(&got)
    }

    /// With every weight that there is.
    fn is_alike<D: Device>(&self, device: &D) {
        let LinearShape { n, k, .. } = self.shape;
        let pack = |format| device.pack(&self.w, 2 * n, k, format).unwrap();
        let (master, packed) = (floats(device, &self.w), WeightFormat::ALL.map(pack));
        let weights = packed.iter().map(Weight::Packed);
        for (i, w) in weights.chain([Weight::Master(&master)]).enumerate() {
            let (got, want) = (self.gated(device, w), self.by_two_ops(device, w));
            assert_eq!(bits(&got), bits(&want), "{:?}, weight {i}", self.shape);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn agrees_with_the_reference(shape in shapes(), bias: bool, seed: u64) {
        let case = Case::new(shape, bias, seed);
        on_each_device!(|device| case.agrees(device));
    }

    /// What training computes with two ops, inference computes with one.
    #[test]
    fn has_the_bits_of_a_product_and_an_activation(shape in shapes(), bias: bool, seed: u64) {
        let case = Case::new(shape, bias, seed);
        on_each_device!(|device| case.is_alike(device));
    }
}

#[test]
fn the_smallest_shapes_agree() {
    let none = [(0, 0, 0), (2, 0, 8), (0, 3, 8), (2, 3, 0)];
    let few = [(1, 1, 1), (1, 1, 8), (1, 8, 8), (17, 9, 16)];
    for (m, n, k) in none.into_iter().chain(few) {
        let case = Case::new(LinearShape { m, n, k }, true, 5);
        on_each_device!(|device| {
            case.is_alike(device);
            case.agrees(device)
        });
    }
}

/// Rows in every group of tiles, of more than the CPU has in memory at a time; columns at no multiple of a tile.
#[test]
fn many_tiles_agree_whatever_they_are() {
    for (m, n, bias) in [(1040, 500, true), (400, 500, false), (72, 44, true)] {
        let case = Case::new(LinearShape { m, n, k: 24 }, bias, 33);
        on_each_device!(|device| {
            case.is_alike(device);
            case.agrees(device)
        });
    }
    // Rows of x that do not start at multiples of 16 bytes, and columns in packs of scales.
    let uneven = Case::new(
        LinearShape {
            m: 70,
            n: 44,
            k: 23,
        },
        true,
        35,
    );
    on_each_device!(|device| uneven.is_alike(device));
    let odd = Case::new(
        LinearShape {
            m: 70,
            n: 45,
            k: 23,
        },
        true,
        34,
    );
    on_each_device!(|device| odd.agrees(device));
    let of_bf16 = ["large", "tall", "medium", "any"].map(|tile| format!("bf16_{tile}"));
    let of_hopper = ["warpgroups", "warpgroup"].map(|tile| format!("bf16_{tile}"));
    for (device, wanted) in [(gpu_bf16(), &of_bf16[..]), (hopper(), &of_hopper)] {
        let Some(device) = device else { continue };
        assert_launched(&device.context().launched(), "linear_swiglu_nt", wanted);
    }
    if let Some(device) = gpu_f32() {
        let wanted = ["f32_medium", "f32_any"].map(String::from);
        assert_launched(&device.context().launched(), "linear_swiglu_nt", &wanted);
    }
    if let Some(device) = gpu_bf16() {
        let wanted = ["bf16_medium", "bf16_any"].map(String::from);
        for format in ["int8", "int4"] {
            let op = format!("linear_swiglu_{format}");
            assert_launched(&device.context().launched(), &op, &wanted);
        }
    }
}

#[test]
fn few_rows_take_skinny_tiles() {
    let Some(device) = gpu_bf16() else { return };
    Case::new(LinearShape { m: 2, n: 24, k: 64 }, false, 6).gated_master(device);
    assert_launched(
        &device.context().launched(),
        "linear_swiglu_nt",
        &["bf16_skinny".into()],
    );
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let shape = LinearShape {
        m: 1100,
        n: 33,
        k: 40,
    };
    let case = Case::new(shape, true, 7);
    for device in devices() {
        let packed = WeightFormat::ALL.map(|format| device.pack(&case.w, 66, 40, format).unwrap());
        same_on_one_thread(|| {
            let weights = packed.iter().map(Weight::Packed);
            let weights = weights.chain([Weight::Master(&case.w)]);
            weights
                .map(|w| bits(&case.gated(&device, w)))
                .collect::<Vec<_>>()
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Device>(device: &D) {
    let shape = LinearShape { m: 2, n: 3, k: 4 };
    let ones = |len: usize| vec![1.0f32; len];
    let [w, short_w, bias, short_bias] =
        [24, 23, 6, 5].map(|len| device.upload(&ones(len)).unwrap());
    let say = |x: usize, w: Weight<'_, D>, bias: &D::Buffer<f32>, len: usize| {
        let (x, mut y) = (device.zeros(x).unwrap(), device.zeros(len).unwrap());
        let result = device.linear_swiglu(shape, &x, w, Some(bias), &mut y);
        let after = device.download(&y, len).unwrap();
        let unchanged = after == vec![D::Real::from_f32(0.0); len];
        assert_ne!(result.is_ok(), unchanged);
        message(result)
    };
    let master = Weight::Master(&w);
    assert_eq!(say(8, master, &bias, 6), "");
    for (said, what) in [
        (say(7, master, &bias, 6), "x has 7, expected 8"),
        (
            say(8, Weight::Master(&short_w), &bias, 6),
            "weight has 23, expected 24",
        ),
        (say(8, master, &short_bias, 6), "bias has 5, expected 6"),
        (say(8, master, &bias, 5), "y has 5, expected 6"),
    ] {
        assert_eq!(said, format!("linear_swiglu: {what}"));
    }
    for format in WeightFormat::ALL {
        // Gates alone.
        let packed = device.pack(&ones(12), 3, 4, format).unwrap();
        let said = say(8, Weight::Packed(&packed), &bias, 6);
        assert_eq!(said, "linear_swiglu: a weight of 3 × 4, expected 6 × 4");
    }
}
