//! AdamW of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::adamw::{AdamW, AdamWStep, AdamWTensor, reference};
use lrem::ops::embedding::Embedding;
use lrem::ops::linear::{Weight, WeightFormat};
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

fn steps() -> impl Strategy<Value = AdamWStep> {
    (
        1e-5f32..1e-1,
        0.0f32..0.99,
        0.5f32..0.9999,
        0.0f32..0.2,
        1u32..5000,
        0.01f32..1.0,
    )
        .prop_map(
            |(learning_rate, beta1, beta2, weight_decay, step, gradient_scale)| AdamWStep {
                learning_rate,
                beta1,
                beta2,
                eps: 1e-8,
                weight_decay,
                step,
                gradient_scale,
            },
        )
}

/// Parameter and moments after an update of `[parameter, gradient, first moment, second moment]`, a copy of the
/// parameter beside them.
fn update<D: AdamW + Embedding>(
    device: &D,
    step: &AdamWStep,
    tensor: [&Vec<f32>; 4],
) -> [Vec<f32>; 3] {
    let len = tensor[0].len();
    let [mut p, g, mut m, mut v] = tensor.map(|x| floats(device, x));
    let unwritten = vec![f32::NAN; len];
    let mut copy = device.pack(&unwritten, 1, len, WeightFormat::Bf16).unwrap();
    let tensor = AdamWTensor {
        len,
        decays: true,
        parameter: &mut p,
        gradient: &g,
        first_moment: &mut m,
        second_moment: &mut v,
        copy: Some(&mut copy),
    };
    device.adamw(step, &mut [tensor]).unwrap();
    assert_eq!(values(device, &copy, len), {
        let packed = device.upload(&read_floats(device, "parameter", &p, len));
        let mut again = device.pack(&unwritten, 1, len, WeightFormat::Bf16).unwrap();
        device.repack(&packed.unwrap(), &mut again).unwrap();
        values(device, &again, len)
    });
    [p, m, v].map(|x| read_floats(device, "tensor", &x, len))
}

/// The bits of a packed row, as a lookup finds it.
fn values<D: Embedding>(device: &D, row: &D::Packed, len: usize) -> Vec<u32> {
    let mut out = poisoned_reals(device, len);
    device
        .embedding(1, len, Weight::Packed(row), &[0], &mut out)
        .unwrap();
    bits(&read_reals(device, "copy", &out, len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_reference(step in steps(), len in 0usize..300, seed: u64) {
        let gradient = normals(seed, 1, len);
        let start = [normals(seed, 0, len), normals(seed, 2, len), normals(seed, 3, len)];
        let squares: Vec<f32> = start[2].iter().map(|v| v * v).collect();
        let (mut p, mut m, mut v) = (wide(&start[0]), wide(&start[1]), wide(&squares));
        reference::adamw(&step, &mut p, &wide(&gradient), &mut m, &mut v);

        let unbias = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step.step));
        // Two products and a sum each: a few roundings of what goes in.
        let moment = |i: usize| 4.0 * ULP * f64::from(start[1][i].abs() + gradient[i].abs());
        on_every_device!(|device| {
            let got = update(device, &step, [&start[0], &gradient, &start[1], &squares]);
            assert_close("first moment", &got[1], &m, moment);
            assert_close("second moment", &got[2], &v, |i| 8.0 * ULP * v[i] + 1e-37);
            assert_close("parameter", &got[0], &p, |i| {
                let root = (v[i] / unbias(step.beta2)).sqrt() + 1e-8;
                let rate = f64::from(step.learning_rate) / unbias(step.beta1) / root;
                let update = rate * (moment(i) + 16.0 * ULP * m[i].abs());
                update + 4.0 * ULP * f64::from(start[0][i].abs()) + 2.0 * ULP * p[i].abs()
            });
            got.map(|x| bits(&x))
        });
    }

    /// Several tensors at once, of which one does not decay, get what each gets alone.
    #[test]
    fn tensors_do_not_meet(step in steps(), lens in [0usize..90, 0usize..90, 0usize..90], seed: u64) {
        let tensors = lens.map(|len| {
            [0, 1, 2, 3].map(|stream| {
                let x = normals(seed, stream + 4 * len as u64, len);
                x.iter().map(|v| v.abs()).collect::<Vec<f32>>()
            })
        });
        let still = AdamWStep { weight_decay: 0.0, ..step };
        on_every_device!(|device| {
            let [a, b, c] = [0, 1, 2].map(|t| {
                let step = if t == 1 { still } else { step };
                let [p, g, m, v] = &tensors[t];
                update(device, &step, [p, g, m, v])
            });
            let mut buffers = tensors.clone().map(|t| t.map(|x| floats(device, &x)));
            let together = buffers.iter_mut().zip(lens).enumerate().map(|(t, (buffers, len))| {
                let [parameter, gradient, first_moment, second_moment] = buffers;
                AdamWTensor {
                    len,
                    decays: t != 1,
                    parameter,
                    gradient,
                    first_moment,
                    second_moment,
                    copy: None,
                }
            });
            device.adamw(&step, &mut together.collect::<Vec<_>>()).unwrap();
            for ((alone, buffers), len) in [a, b, c].iter().zip(&buffers).zip(lens) {
                for (want, got) in alone.iter().zip([&buffers[0], &buffers[2], &buffers[3]]) {
                    assert_eq!(bits(&read_floats(device, "tensor", got, len)), bits(want));
                }
            }
        });
    }

    #[test]
    fn sum_of_squares_agrees(len in 0usize..400, seed: u64) {
        let x = normals(seed, 0, len + 2);
        let want: f64 = wide(&x[..len]).iter().map(|v| v * v).sum();
        on_every_device!(|device| {
            let x = floats(device, &x);
            let got = device.sum_of_squares(&[(len, &x), (0, &x)]).unwrap();
            assert!((got - want).abs() <= 1e-13 * want, "{got} is not {want}");
            let twice = device.sum_of_squares(&[(len, &x), (len, &x)]).unwrap();
            assert!((twice - 2.0 * want).abs() <= 2e-13 * want, "{twice} is not twice {want}");
        });
    }
}

#[test]
fn several_chunks_and_any_threads() {
    let len = 200_001;
    let (start, gradient) = (normals(1, 0, len), normals(1, 1, len));
    let step = AdamWStep {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 1,
        gradient_scale: 1.0,
    };
    let (mut p, mut m, mut v) = (wide(&start), vec![0.0; len], vec![0.0; len]);
    reference::adamw(&step, &mut p, &wide(&gradient), &mut m, &mut v);
    let zeros = vec![0.0; len];
    let close =
        |got: &[f32]| assert_close("parameter", got, &p, |i| 4.0 * ULP * (p[i].abs() + 1e-3));
    for device in devices() {
        let (got, _) = same_on_one_thread(|| {
            let [p, ..] = update(&device, &step, [&start, &gradient, &zeros, &zeros]);
            let squares = device.sum_of_squares(&[(len, &gradient)]).unwrap();
            (p, squares.to_bits())
        });
        close(&got);
    }
    on_gpus!(|device| {
        let [got, ..] = update(device, &step, [&start, &gradient, &zeros, &zeros]);
        close(&got);
        bits(&got)
    });
}

#[test]
fn squares_beyond_f32_do_not_overflow() {
    let x = vec![1e30f32; 1000];
    on_every_device!(|device| {
        let x = floats(device, &x);
        let got = device.sum_of_squares(&[(1000, &x)]).unwrap();
        assert!((got / 1e63 - 1.0).abs() < 1e-6, "{got}");
    });
}

#[test]
fn a_short_buffer_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: AdamW>(device: &D) {
    let [mut a, b, mut c, mut d] = [3, 3, 3, 2].map(|len| device.zeros(len).unwrap());
    let error = device.sum_of_squares(&[(3, &a), (3, &d)]).unwrap_err();
    assert_eq!(error.to_string(), "sum_of_squares: x has 2, expected 3");
    let step = AdamWStep {
        learning_rate: 1.0,
        beta1: 0.0,
        beta2: 0.0,
        eps: 1.0,
        weight_decay: 1.0,
        step: 1,
        gradient_scale: 1.0,
    };
    let mut says = |second_moment: &mut D::Buffer<f32>, copy: Option<&mut D::Packed>| {
        let tensor = AdamWTensor {
            len: 3,
            decays: true,
            parameter: &mut a,
            gradient: &b,
            first_moment: &mut c,
            second_moment,
            copy,
        };
        let error = device.adamw(&step, &mut [tensor]).unwrap_err();
        error.to_string()
    };
    assert_eq!(says(&mut d, None), "adamw: second moment has 2, expected 3");
    let mut d = device.zeros(3).unwrap();
    let mut copy = device.pack(&[0.0; 2], 1, 2, WeightFormat::Bf16).unwrap();
    let copy = Some(&mut copy);
    assert_eq!(says(&mut d, copy), "adamw: copy has 2, expected 3");
}
