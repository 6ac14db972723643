//! Buffers and weights that do not fit together.

use crate::common::{devices, message};
use lrem::device::cpu::Cpu;
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    let device = &devices()[0];
    let shape = LinearShape { m: 2, n: 3, k: 4 };
    let [x, w, bias] = [8, 12, 3].map(|len| vec![1.0f32; len]);
    let say = |x: &Vec<f32>, w: Weight<'_, Cpu>, bias: &Vec<f32>, len: usize| {
        let mut y = vec![7.0; len];
        let result = device.linear(shape, x, w, Some(bias), &mut y, false);
        assert!(result.is_ok() || y == vec![7.0; len], "{y:?}");
        message(result)
    };
    let master = Weight::Master(&w);
    assert_eq!(say(&x, master, &bias, 6), "");
    assert_eq!(
        say(&vec![1.0; 7], master, &bias, 6),
        "linear: x has 7, expected 8"
    );
    assert_eq!(
        say(&x, Weight::Master(&bias), &bias, 6),
        "linear: weight has 3, expected 12"
    );
    assert_eq!(
        say(&x, master, &vec![1.0; 2], 6),
        "linear: bias has 2, expected 3"
    );
    assert_eq!(say(&x, master, &bias, 5), "linear: y has 5, expected 6");
    let packed = device.pack(&w, 4, 3, WeightFormat::F32).unwrap();
    assert_eq!(
        say(&x, Weight::Packed(&packed), &bias, 6),
        "linear: a weight of 4 × 3, expected 3 × 4"
    );
    let short = device.pack(&w, 5, 3, WeightFormat::Int8).err().unwrap();
    assert_eq!(short.to_string(), "pack: weight has 12, expected 15");

    let input = |sizes: [usize; 3]| {
        let [dy, w, mut dx] = sizes.map(|len| vec![7.0; len]);
        let result = device.linear_backward_input(shape, &dy, &w, &mut dx, false);
        message(result)
    };
    assert_eq!(input([6, 12, 8]), "");
    for (sizes, want) in [
        ([5, 12, 8], "dy has 5, expected 6"),
        ([6, 11, 8], "weight has 11, expected 12"),
        ([6, 12, 7], "dx has 7, expected 8"),
    ] {
        assert_eq!(input(sizes), format!("linear_backward_input: {want}"));
    }
    let weight = |sizes: [usize; 4]| {
        let [dy, x, mut dw, mut dbias] = sizes.map(|len| vec![7.0; len]);
        let result = device.linear_backward_weight(shape, &dy, &x, &mut dw, Some(&mut dbias));
        assert!(result.is_ok() || dw == vec![7.0; dw.len()], "{dw:?}");
        message(result)
    };
    assert_eq!(weight([6, 8, 12, 3]), "");
    for (sizes, want) in [
        ([5, 8, 12, 3], "dy has 5, expected 6"),
        ([6, 7, 12, 3], "x has 7, expected 8"),
        ([6, 8, 11, 3], "dw has 11, expected 12"),
        ([6, 8, 12, 2], "dbias has 2, expected 3"),
    ] {
        assert_eq!(weight(sizes), format!("linear_backward_weight: {want}"));
    }
}
