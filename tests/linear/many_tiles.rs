//! Products of enough tiles that a GPU takes its largest ones, and parts of the depth.

use crate::common::*;
use crate::{Case, assert_launched, sum_errors, transposed};
use lrem::ops::linear::{Linear, LinearShape, Weight, reference};

/// Not multiples of any tile, with rows that start at multiples of 16 bytes.
const MANY: usize = 1040;
const WIDE: usize = 1000;
const FEW: usize = 24;
const ULP: f64 = f32::EPSILON as f64;

/// Rows of which each fills a GPU best with other tiles.
#[test]
fn forward_agrees_and_a_row_keeps_its_bits() {
    for (m, tile) in [
        (1240, "large"),
        (MANY, "broad"),
        (400, "tall"),
        (70, "medium"),
    ] {
        forward(m);
        let Some(device) = gpu_bf16() else { continue };
        for op in ["linear", "logits"] {
            let op = format!("{op}_nt_bf16");
            assert_launched(&device.context().launched(), &op, &[tile.into()]);
        }
    }
}

fn forward(m: usize) {
    let shape = LinearShape { m, n: WIDE, k: FEW };
    let case = Case::new(shape, 31);
    let want = reference::linear(shape, &wide(&case.x), &wide(&case.w), None);
    let errors = sum_errors(shape, FEW, &case.x, &case.w);
    let row = m - 3;
    let alone = Case {
        shape: LinearShape { m: 1, ..shape },
        x: case.x[row * FEW..][..FEW].to_vec(),
        ..Case::new(shape, 31)
    };
    on_each_device!(|device| {
        let got = case.forward_master(device, false, None);
        assert_close_reals(device, "y", &got, &want, |i| errors[i]);
        let one = alone.forward_master(device, false, None);
        assert_eq!(bits(&got[row * WIDE..][..WIDE]), bits(&one));

        let mut logits = poisoned_floats(device, m * WIDE);
        let (x, w) = (reals(device, &case.x), floats(device, &case.w));
        device
            .logits(shape, &x, Weight::Master(&w), &mut logits)
            .unwrap();
        let logits = read_floats(device, "logits", &logits, m * WIDE);
        assert_close("logits", &logits, &want, |i| errors[i]);
        bits(&got)
    });
}

#[test]
fn backward_agrees() {
    let (m, n, k) = (MANY, FEW, WIDE);
    let shape = LinearShape { m, n, k };
    let case = Case::new(shape, 32);
    let (x, w, dy) = (wide(&case.x), wide(&case.w), wide(&case.dy));
    let (dx, dw, _) = reference::linear_backward(shape, &x, &w, &dy);
    let dx_shape = LinearShape { m, n: k, k: n };
    let dx_errors = sum_errors(dx_shape, n, &case.dy, &transposed(&case.w, n, k));
    let dw_shape = LinearShape { m: n, n: k, k: m };
    let (dy_t, x_t) = (transposed(&case.dy, m, n), transposed(&case.x, m, k));
    let dw_errors = sum_errors(dw_shape, m, &dy_t, &x_t);
    on_each_device!(|device| {
        let [got_dx, got_dw, _] = case.backward(device, None, false);
        assert_close_reals(device, "dx", &got_dx, &dx, |i| dx_errors[i] + ULP);
        assert_close("dw", &got_dw, &dw, |i| dw_errors[i] + ULP);
        [got_dx, got_dw].map(|x| bits(&x))
    });
}
