//! AdamW on the CPU: one pass over parameter, gradient and moments, bound by memory.

use super::{Cpu, parallel, reduce};
use crate::device::Result;
use crate::ops::adamw::*;
use crate::ops::linear::Linear;
use crate::per_isa;

/// Elements of a task, and of a partial sum: fixed, so that results do not depend on the threads.
const CHUNK: usize = 1 << 16;

impl AdamW for Cpu {
    fn adamw(&self, step: &AdamWStep, tensors: &mut [AdamWTensor<'_, Self>]) -> Result<()> {
        for tensor in &*tensors {
            tensor.check(|copy| copy.n() * copy.k())?;
        }
        let corrected = step.corrected();
        for t in tensors {
            let factors = Factors {
                gradient: step.gradient_scale,
                beta1: step.beta1,
                beta2: step.beta2,
                decay: if t.decays { corrected.decay } else { 1.0 },
                rate: corrected.rate,
                root: corrected.root,
                eps: step.eps,
            };
            let len = t.len;
            let p = parallel::Rows::new(&mut t.parameter[..len], CHUNK);
            let m = parallel::Rows::new(&mut t.first_moment[..len], CHUNK);
            let v = parallel::Rows::new(&mut t.second_moment[..len], CHUNK);
            parallel::run(p.count(), |i| {
                let g = &t.gradient[i * CHUNK..len.min((i + 1) * CHUNK)];
                update(self.isa, factors, p.take(i), g, m.take(i), v.take(i));
            });
            if let Some(copy) = &mut t.copy {
                self.repack(t.parameter, copy)?;
            }
        }
        Ok(())
    }

    fn sum_of_squares(&self, tensors: &[(usize, &Vec<f32>)]) -> Result<f64> {
        check_squares::<Self>(tensors)?;
        let squares = |&(len, x): &(usize, &Vec<f32>)| -> f64 {
            let mut sums = vec![0.0; len.div_ceil(CHUNK)];
            let parts = parallel::Rows::new(&mut sums, 1);
            parallel::run(parts.count(), |i| {
                let chunk = &x[i * CHUNK..len.min((i + 1) * CHUNK)];
                parts.take(i)[0] = reduce::dot(self.isa, chunk, chunk);
            });
            sums.iter().sum()
        };
        Ok(tensors.iter().map(squares).sum())
    }
}

#[derive(Clone, Copy)]
struct Factors {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    decay: f32,
    rate: f32,
    root: f32,
    eps: f32,
}

per_isa! {
    fn update(f: Factors, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let (n1, n2) = (1.0 - f.beta1, 1.0 - f.beta2);
        let moments = m.iter_mut().zip(v.iter_mut());
        for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(moments) {
            let g = f.gradient * g;
            *m = f.beta1 * *m + n1 * g;
            *v = f.beta2 * *v + n2 * (g * g);
            *p = *p * f.decay - f.rate * *m / (v.sqrt() * f.root + f.eps);
        }
    }
}
