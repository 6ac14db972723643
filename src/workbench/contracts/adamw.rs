//! AdamW over several tensors, of which the first has a copy in bf16, and the sum of squares.
//!
//! Tolerance. A copy is the parameter, rounded. Moments may be off by four roundings of what they are made of, parameters by sixteen of the update and by
//! their own.

use super::{limits, normals, to_bf16, wide};
use crate::device::{Device, Result};
use crate::ops::adamw::{AdamWStep, AdamWTensor, reference};
use crate::ops::linear::{Weight, WeightFormat};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `adamw`.
pub struct AdamWContract;

/// Elements of two tensors, of which the second does not decay.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AdamWShape {
    pub lengths: [usize; 2],
    pub step: u32,
}

impl Contract for AdamWContract {
    type Shape = AdamWShape;
    const OP: &'static str = "adamw";
    const TYPED: bool = false;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> AdamWShape {
        let lengths = match draw {
            Draw::Counted => [576 * 192, 576],
            Draw::Model => [576 * 9, 576],
            Draw::Smallest => [1, 0],
            _ => [1 + random.below(3000), random.below(90)],
        };
        let step = 1 + random.below(5000) as u32;
        AdamWShape { lengths, step }
    }

    fn limits(s: &AdamWShape) -> std::result::Result<(), String> {
        let [decaying, plain] = s.lengths;
        limits::sizes(
            &[("lengths[0]", decaying), ("step", s.step as usize)],
            &[&[decaying], &[plain]],
        )
    }

    fn costs(s: &AdamWShape, _: u64, _: usize) -> Vec<Cost> {
        let n = s.lengths.iter().sum::<usize>();
        vec![
            Cost::new("adamw", 28 * n + 2 * s.lengths[0], 14 * n),
            Cost::new("sum_of_squares", 4 * n + 8, 2 * n),
        ]
    }

    fn run<D: Device>(
        s: &AdamWShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        // What an infinity does to a moment is not the contract's.
        let draw = draw.finite();
        let decaying = AdamWStep {
            learning_rate: 3e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            step: s.step,
            gradient_scale: 0.7,
        };
        let of = |stream: u64, tensor: usize| {
            normals(draw, seed, 8 * stream + tensor as u64, s.lengths[tensor])
        };
        let squares = |x: Vec<f32>| x.iter().map(|v| v * v).collect::<Vec<f32>>();
        let starts = [0, 1].map(|t| [of(0, t), of(1, t), of(2, t), squares(of(3, t))]);
        let mut gradients = Vec::new();
        for start in &starts {
            gradients.push(probe.floats("gradient", &start[1])?);
        }
        let mut buffers = Vec::new();
        for [p, _, m, v] in &starts {
            buffers.push([
                probe.sum_floats(p)?,
                probe.sum_floats(m)?,
                probe.sum_floats(v)?,
            ]);
        }
        let len = s.lengths[0];
        let unwritten = vec![f32::NAN; len];
        let mut copy = probe.device.pack(&unwritten, 1, len, WeightFormat::Bf16)?;
        let mut first = Some(&mut copy);
        let mut tensors: Vec<AdamWTensor<'_, D>> = Vec::new();
        for (t, (buffers, gradient)) in buffers.iter_mut().zip(&gradients).enumerate() {
            let [parameter, first_moment, second_moment] = buffers;
            tensors.push(AdamWTensor {
                len: s.lengths[t],
                decays: t == 0,
                parameter,
                gradient,
                first_moment,
                second_moment,
                copy: first.take(),
            });
        }
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        let bytes = |kernel| Cost::bytes_of(kernel, &costs);
        probe.call("adamw", bytes("adamw"), |device| {
            device.adamw(&decaying, &mut tensors)
        })?;
        for (t, (start, [p, m, v])) in starts.iter().zip(&buffers).enumerate() {
            let decay = if t == 0 { decaying.weight_decay } else { 0.0 };
            let step = AdamWStep {
                weight_decay: decay,
                ..decaying
            };
            let [mut want_p, mut want_m, mut want_v] = [0, 2, 3].map(|i| wide(&start[i]));
            reference::adamw(
                &step,
                &mut want_p,
                &wide(&start[1]),
                &mut want_m,
                &mut want_v,
            );
            let unbias = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step.step));
            // Two products and a sum each: a few roundings of what goes in.
            let moment = |i: usize| 4.0 * ULP * f64::from(start[2][i].abs() + start[1][i].abs());
            let all = 0..s.lengths[t];
            let of_p = all.clone().map(|i| {
                let root = (want_v[i] / unbias(step.beta2)).sqrt() + 1e-8;
                let rate = f64::from(step.learning_rate) / unbias(step.beta1) / root;
                let update = rate * (moment(i) + 16.0 * ULP * want_m[i].abs());
                update + 4.0 * ULP * f64::from(start[0][i].abs()) + 2.0 * ULP * want_p[i].abs()
            });
            let of_p = of_p.collect();
            let of_m = all.map(moment).collect();
            let of_v = want_v.iter().map(|v| 8.0 * ULP * v + 1e-37).collect();
            for (name, got, want, error) in [
                ("parameter", p, want_p, of_p),
                ("first moment", m, want_m, of_m),
                ("second moment", v, want_v, of_v),
            ] {
                probe.take_floats(name, got, want, error)?;
                probe.summed();
            }
        }
        let mut rounded = probe.new_reals(len)?;
        let device = probe.device;
        device.embedding(1, len, Weight::Packed(&copy), &[0], &mut rounded)?;
        let updated = device.download(&buffers[0][0], len)?;
        let want = updated.into_iter().map(|p| f64::from(to_bf16(p)));
        probe.take_reals("copy", &rounded, want.collect(), vec![0.0; len])?;
        let lengths = s.lengths.iter().copied();
        let parts: Vec<(usize, &D::Buffer<f32>)> =
            lengths.zip(gradients.iter().map(|g| &**g)).collect();
        let sum = probe.call("sum_of_squares", bytes("sum_of_squares"), |device| {
            device.sum_of_squares(&parts)
        })?;
        let want: f64 = starts
            .iter()
            .flat_map(|s| &s[1])
            .map(|&v| f64::from(v).powi(2))
            .sum();
        probe.take_number("sum of squares", sum, want, 1e-13 * want);
        Ok(())
    }
}
