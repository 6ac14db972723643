//! AdamW over all tensors of a model, with global norm clipping.

use crate::device::{Device, Result};
use crate::model::{Gradients, Model, Tensors, Update, layout};
use crate::ops::adamw::{AdamWStep, AdamWTensor};
use serde::{Deserialize, Serialize};

/// Hyper-parameters that stay the same over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerOptions {
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// On matrices only; norms and biases do not decay.
    pub weight_decay: f32,
    /// Largest global norm of the gradient; 0: no clipping.
    pub clip: f32,
}

impl Default for OptimizerOptions {
    /// AdamW's usual values; weight decay 0.01 as in torch, clipping at 1 as is usual for LLMs (the
    /// paper names AdamW and no more).
    fn default() -> Self {
        OptimizerOptions {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            clip: 1.0,
        }
    }
}

/// Moments of every tensor.
pub struct Optimizer<D: Device> {
    pub options: OptimizerOptions,
    /// First and second moments.
    pub first: Tensors<D>,
    pub second: Tensors<D>,
    /// Updates done.
    pub updates: u32,
}

impl<D: Device> Optimizer<D> {
    /// Zero moments.
    pub fn new(model: &Model<D>, options: OptimizerOptions) -> Result<Self> {
        Ok(Optimizer {
            options,
            first: model.zeros()?,
            second: model.zeros()?,
            updates: 0,
        })
    }

    /// One update with `gradients`, which are zeroed; returns the gradient's global norm before
    /// clipping.
    pub fn update(
        &mut self,
        model: &mut Model<D>,
        gradients: &mut Gradients<D>,
        learning_rate: f32,
    ) -> Result<f64> {
        let d = model.device.clone();
        let slots = layout(&model.config);
        let sums = gradients.iter_mut().zip(slots.iter());
        let sums = sums.map(|(gradient, slot)| Ok((slot.len(), &*gradient.sum(&d)?)));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        let norm = d.sum_of_squares(&sums)?.sqrt();
        let o = self.options;
        let clips = o.clip > 0.0 && norm > f64::from(o.clip);
        self.updates += 1;
        let step = AdamWStep {
            learning_rate,
            beta1: o.beta1,
            beta2: o.beta2,
            eps: o.eps,
            weight_decay: o.weight_decay,
            step: self.updates,
            gradient_scale: if clips {
                (f64::from(o.clip) / norm) as f32
            } else {
                1.0
            },
        };
        let moments = self.first.iter_mut().zip(self.second.iter_mut());
        let tensors = model.parameters.iter_mut().zip(sums);
        let tensors = tensors.zip(moments).zip(slots.iter());
        let tensors = tensors.map(|(((parameter, (len, gradient)), (m, v)), slot)| {
            let Update { values, copy } = parameter.for_update(&d, slot)?;
            Ok(AdamWTensor {
                len,
                decays: slot.matrix,
                parameter: values,
                gradient,
                first_moment: m,
                second_moment: v,
                copy,
            })
        });
        d.adamw(&step, &mut tensors.collect::<Result<Vec<_>>>()?)?;
        gradients.iter_mut().for_each(|gradient| gradient.forget());
        Ok(norm)
    }
}
