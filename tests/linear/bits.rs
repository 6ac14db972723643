//! What changes no bit: other rows, another type of the result, the threads.

use crate::common::*;
use crate::{Case, shapes};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_row_has_the_same_bits_in_any_batch(shape in shapes(), index: prop::sample::Index, seed: u64) {
        prop_assume!(shape.m > 0);
        let case = Case::new(shape, seed);
        let LinearShape { m, n, k } = shape;
        let row = index.index(m);
        let alone = Case {
            shape: LinearShape { m: 1, n, k },
            x: case.x[row * k..][..k].to_vec(),
            ..Case::new(shape, seed)
        };
        on_each_device!(|device| {
            let master = floats(device, &case.w);
            let packed = WeightFormat::ALL.map(|format| device.pack(&case.w, n, k, format).unwrap());
            let weights = packed.iter().map(Weight::Packed).chain([Weight::Master(&master)]);
            for w in weights {
                let (all, one) = (
                    case.forward(device, w, true, None),
                    alone.forward(device, w, true, None),
                );
                assert_eq!(bits(&all[row * n..][..n]), bits(&one));
            }
        });
    }

    /// An output head's products are those of `linear` before they are rounded.
    #[test]
    fn logits_are_products_in_f32(shape in shapes(), seed: u64) {
        let case = Case::new(shape, seed);
        let LinearShape { m, n, k } = shape;
        on_each_device!(|device| {
            let master = floats(device, &case.w);
            let packed = WeightFormat::ALL.map(|format| device.pack(&case.w, n, k, format).unwrap());
            for w in packed.iter().map(Weight::Packed).chain([Weight::Master(&master)]) {
                let mut logits = poisoned_floats(device, m * n);
                let x = reals(device, &case.x);
                device.logits(shape, &x, w, &mut logits).unwrap();
                let logits = read_floats(device, "logits", &logits, m * n);
                let y = case.forward(device, w, false, None);
                assert_eq!(bits(&stored(device, &logits)), bits(&y));
            }
        });
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(
        LinearShape {
            m: 130,
            n: 300,
            k: 77,
        },
        1,
    );
    for device in devices() {
        let packed = WeightFormat::ALL.map(|format| device.pack(&case.w, 300, 77, format).unwrap());
        same_on_one_thread(|| {
            let mut results = Vec::new();
            for w in packed
                .iter()
                .map(Weight::Packed)
                .chain([Weight::Master(&case.w)])
            {
                results.push(bits(&case.forward(&device, w, true, None)));
            }
            let (mut dx, mut dw, mut db) = (case.x.clone(), case.w.clone(), case.bias.clone());
            let Case {
                shape, x, w, dy, ..
            } = &case;
            device
                .linear_backward_input(*shape, dy, Weight::Master(w), &mut dx, true)
                .unwrap();
            device
                .linear_backward_weight(*shape, dy, x, &mut dw, Some(&mut db), true)
                .unwrap();
            results.extend([dx, dw, db].map(|x| bits(&x)));
            results
        });
    }
}
