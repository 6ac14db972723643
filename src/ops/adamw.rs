//! AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101) and the global norm.

use super::linear::Linear;
use crate::device::{Buffer, Memory, Result, at_least};

/// Hyper-parameters of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    pub learning_rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Of the tensors that decay.
    pub weight_decay: f32,
    /// 1-based number of this update, for the bias corrections.
    pub step: u32,
    /// Factor on the gradient (global norm clipping).
    pub gradient_scale: f32,
}

/// The factors of an update with the bias corrections folded in: `p ← p·decay − rate · m / (√v · root +
/// ε)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected {
    /// Of tensors that decay.
    pub decay: f32,
    pub rate: f32,
    pub root: f32,
}

impl AdamWStep {
    /// The factors of this update, in f64 before they are rounded.
    pub fn corrected(&self) -> Corrected {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(self.step));
        let rate = f64::from(self.learning_rate);
        Corrected {
            decay: (1.0 - rate * f64::from(self.weight_decay)) as f32,
            rate: (rate / correction(self.beta1)) as f32,
            root: correction(self.beta2).sqrt().recip() as f32,
        }
    }
}

/// A tensor to update: the first `len` elements of its buffers.
pub struct AdamWTensor<'a, D: Linear + ?Sized> {
    pub len: usize,
    /// Whether weight decay applies.
    pub decays: bool,
    pub parameter: &'a mut D::Buffer<f32>,
    pub gradient: &'a D::Buffer<f32>,
    pub first_moment: &'a mut D::Buffer<f32>,
    pub second_moment: &'a mut D::Buffer<f32>,
    /// A [training copy](Linear::training_copy) of the parameter, of `len` elements, that is to hold its new values.
    pub copy: Option<&'a mut D::Packed>,
}

impl<D: Linear + ?Sized> AdamWTensor<'_, D> {
    /// Checks the lengths of the buffers, and of a copy, of which `elements` says how many it has.
    pub fn check(&self, elements: impl Fn(&D::Packed) -> usize) -> Result<()> {
        at_least("adamw", "parameter", self.parameter.len(), self.len)?;
        at_least("adamw", "gradient", self.gradient.len(), self.len)?;
        at_least("adamw", "first moment", self.first_moment.len(), self.len)?;
        at_least("adamw", "second moment", self.second_moment.len(), self.len)?;
        let copy = self.copy.as_deref().map(elements);
        copy.map_or(Ok(()), |copy| at_least("adamw", "copy", copy, self.len))
    }
}

/// Checks the lengths of what a sum of squares runs over.
pub fn check_squares<D: Memory + ?Sized>(tensors: &[(usize, &D::Buffer<f32>)]) -> Result<()> {
    let check =
        |(len, x): &(usize, &D::Buffer<f32>)| at_least("sum_of_squares", "x", x.len(), *len);
    tensors.iter().try_for_each(check)
}

/// The optimizer op, over all tensors of a model at once. Reads 16 and writes 12 bytes a parameter, and those of a
/// copy. Elementwise, with a few f32 roundings of each term.
pub trait AdamW: Linear {
    /// `m ← β1 m + (1−β1) g`, `v ← β2 v + (1−β2) g²`, `p ← p − lr·(m̂/(√v̂+ε) + wd·p)` with
    /// `g = gradient_scale · grad`, for every tensor; a copy holds what packing `p` anew would.
    ///
    /// # Errors
    /// A buffer or a copy that is too short, and a copy in a format that the device makes none in.
    fn adamw(&self, step: &AdamWStep, tensors: &mut [AdamWTensor<'_, Self>]) -> Result<()>;

    /// Σ x² over the first elements, of the given number, of all tensors, in f64 and in a fixed order
    /// (1e-13 relative).
    fn sum_of_squares(&self, tensors: &[(usize, &Self::Buffer<f32>)]) -> Result<f64>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::AdamWStep;

    /// Updates parameter and moments in place.
    pub fn adamw(s: &AdamWStep, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64]) {
        let [lr, b1, b2, eps, decay, scale] = [
            s.learning_rate,
            s.beta1,
            s.beta2,
            s.eps,
            s.weight_decay,
            s.gradient_scale,
        ]
        .map(f64::from);
        for i in 0..p.len() {
            let g = scale * g[i];
            m[i] = b1 * m[i] + (1.0 - b1) * g;
            v[i] = b2 * v[i] + (1.0 - b2) * g * g;
            let m_hat = m[i] / (1.0 - b1.powf(f64::from(s.step)));
            let v_hat = v[i] / (1.0 - b2.powf(f64::from(s.step)));
            p[i] -= lr * (m_hat / (v_hat.sqrt() + eps) + decay * p[i]);
        }
    }
}
