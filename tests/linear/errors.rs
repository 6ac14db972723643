//! Buffers and weights that do not fit together.

use crate::common::*;
use lrem::device::{Memory, Real};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    on_every_device!(|device| refuses(device));
}

/// A buffer of sevens.
fn sevens<D: Memory>(device: &D, len: usize) -> D::Buffer<f32> {
    device.upload(&vec![7.0; len]).unwrap()
}

fn refuses<D: Linear>(device: &D) {
    let shape = LinearShape { m: 2, n: 3, k: 4 };
    let ones = |len: usize| vec![1.0f32; len];
    let [w, short_w, bias, short_bias] =
        [12, 3, 3, 2].map(|len| device.upload(&ones(len)).unwrap());
    let say = |x: usize, w: Weight<'_, D>, bias: &D::Buffer<f32>, len: usize| {
        let (x, mut y) = (device.zeros(x).unwrap(), device.zeros(len).unwrap());
        let result = device.linear(shape, &x, w, Some(bias), &mut y, false);
        let after = device.download(&y, len).unwrap();
        let unchanged = after == vec![D::Real::from_f32(0.0); len];
        assert!(result.is_ok() || unchanged);
        message(result)
    };
    let master = Weight::Master(&w);
    assert_eq!(say(8, master, &bias, 6), "");
    assert_eq!(say(7, master, &bias, 6), "linear: x has 7, expected 8");
    assert_eq!(
        say(8, Weight::Master(&short_w), &bias, 6),
        "linear: weight has 3, expected 12"
    );
    assert_eq!(
        say(8, master, &short_bias, 6),
        "linear: bias has 2, expected 3"
    );
    assert_eq!(say(8, master, &bias, 5), "linear: y has 5, expected 6");
    let packed = device.pack(&ones(12), 4, 3, WeightFormat::F32).unwrap();
    assert_eq!(
        say(8, Weight::Packed(&packed), &bias, 6),
        "linear: a weight of 4 × 3, expected 3 × 4"
    );
    let short = device
        .pack(&ones(12), 5, 3, WeightFormat::Int8)
        .err()
        .unwrap();
    assert_eq!(short.to_string(), "pack: weight has 12, expected 15");

    let input = |sizes: [usize; 3]| {
        let [dy, mut dx] = [sizes[0], sizes[2]].map(|len| device.zeros(len).unwrap());
        let w = sevens(device, sizes[1]);
        let result = device.linear_backward_input(shape, &dy, Weight::Master(&w), &mut dx, false);
        message(result)
    };
    assert_eq!(input([6, 12, 8]), "");
    let int8 = device.pack(&ones(12), 3, 4, WeightFormat::Int8).unwrap();
    let (dy, mut dx) = (device.zeros(6).unwrap(), device.zeros(8).unwrap());
    let error = device.linear_backward_input(shape, &dy, Weight::Packed(&int8), &mut dx, false);
    let error = message(error);
    assert!(
        error.starts_with("linear_backward_input: a ") && error.contains("packed"),
        "{error}"
    );
    for (sizes, want) in [
        ([5, 12, 8], "dy has 5, expected 6"),
        ([6, 11, 8], "weight has 11, expected 12"),
        ([6, 12, 7], "dx has 7, expected 8"),
    ] {
        assert_eq!(input(sizes), format!("linear_backward_input: {want}"));
    }
    let weight = |sizes: [usize; 4]| {
        let [dy, x] = [sizes[0], sizes[1]].map(|len| device.zeros(len).unwrap());
        let [mut dw, mut dbias] = [sizes[2], sizes[3]].map(|len| sevens(device, len));
        let result = device.linear_backward_weight(shape, &dy, &x, &mut dw, Some(&mut dbias), true);
        let dw = device.download(&dw, sizes[2]).unwrap();
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
